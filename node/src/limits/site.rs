//! The limits of a site: the rate of each client, and what all of them share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use weir_cache::Timestamp;

use super::bucket::Pace;
use super::door::{Bucket, Limits};
use super::over::Over;
use super::shape::{Shaper, SharedPace};
use crate::config::{ByteSize, SiteLimits};

/// The limits of one site and how far they are used up. A reload begins with none used, but for the rates of
/// clients, which the node keeps.
#[derive(Debug)]
pub(crate) struct SiteLimiter {
    config: SiteLimits,
    /// Which bucket of a client is this site's.
    bucket: Bucket,
    client_pace: Option<Pace>,
    total_pace: Option<Pace>,
    /// When the bucket of all clients is full, nanoseconds.
    total_full_at: AtomicU64,
    in_flight: Arc<AtomicUsize>,
    bandwidth: Arc<SharedPace>,
}

/// A request in flight, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<AtomicUsize>>);

impl Place {
    /// No place: the node below has one for this request.
    pub(crate) const fn of_child() -> Self {
        Self(None)
    }
}

impl SiteLimiter {
    /// The limits of the site called `name`.
    pub(crate) fn new(name: &str, config: &SiteLimits) -> Self {
        let digest = blake3::hash(name.as_bytes());
        let number = digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Self {
            bucket: Bucket::Site(number),
            client_pace: config.rate.map(|rate| Pace::new(rate, config.burst)),
            total_pace: config.rate_total.map(|rate| Pace::new(rate, None)),
            total_full_at: AtomicU64::new(0),
            in_flight: Arc::default(),
            bandwidth: Arc::new(SharedPace::new()),
            config: config.clone(),
        }
    }

    /// Charges a request from `address` to the client's rate at this site.
    ///
    /// # Errors
    ///
    /// [`Over::ClientSiteRate`].
    pub(crate) fn charge(
        &self,
        limits: &Limits,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), Over> {
        let Some(pace) = self.client_pace else { return Ok(()) };
        let taken = limits.take(self.bucket, pace, address, now);
        taken.map_err(|wait| Over::ClientSiteRate { wait })
    }

    /// Lets in a request that nothing else refuses.
    ///
    /// # Errors
    ///
    /// [`Over::InFlight`] or [`Over::SiteRate`].
    pub(crate) fn enter(&self, now: Timestamp) -> Result<Place, Over> {
        // First what is given back, so that a request that is turned away costs the rate nothing.
        let place = self.take_place()?;
        self.charge_total(now).map_err(|wait| Over::SiteRate { wait })?;
        Ok(place)
    }

    fn take_place(&self) -> Result<Place, Over> {
        let Some(max) = self.config.requests_in_flight_max else { return Ok(Place(None)) };
        let more = |count| (count < max).then_some(count + 1);
        self.in_flight.fetch_update(Relaxed, Relaxed, more).map_err(|_full| Over::InFlight)?;
        Ok(Place(Some(Arc::clone(&self.in_flight))))
    }

    fn charge_total(&self, now: Timestamp) -> Result<(), Duration> {
        let Some(pace) = self.total_pace else { return Ok(()) };
        let now = now.as_micros().saturating_mul(1_000);
        let take = |full_at| pace.take(full_at, now).ok();
        match self.total_full_at.fetch_update(Relaxed, Relaxed, take) {
            Ok(_before) => Ok(()),
            Err(full_at) => pace.take(full_at, now).map(|_next| ()),
        }
    }

    /// Bytes that a request body may have, of `node` for all sites; `None` for no limit.
    pub(crate) fn body_max(&self, node: Option<ByteSize>) -> Option<u64> {
        self.config.body_max.or(node).map(ByteSize::as_u64)
    }

    /// Whether bodies are spread over time.
    pub(crate) fn shapes(&self) -> bool {
        self.config.bandwidth_per_connection.is_some() || self.config.bandwidth_max.is_some()
    }

    /// What spreads a body over time that goes out on a connection with this pace; `None` if nothing does.
    pub(crate) fn shaper(&self, connection: &Arc<SharedPace>) -> Option<Box<Shaper>> {
        let mut shaper = Shaper::default();
        if let Some(bandwidth) = self.config.bandwidth_per_connection {
            shaper.keep_to(connection, bandwidth, self.config.bandwidth_after.as_u64());
        }
        if let Some(bandwidth) = self.config.bandwidth_max {
            shaper.keep_to(&self.bandwidth, bandwidth, 0);
        }
        (!shaper.is_free()).then(|| Box::new(shaper))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(in_flight) = &self.0 {
            in_flight.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    #[tokio::test]
    async fn so_many_are_in_flight_and_so_many_a_second() {
        let config = SiteLimits {
            requests_in_flight_max: Some(2),
            rate_total: Some(Rate::per_second(3)),
            ..SiteLimits::default()
        };
        let site = SiteLimiter::new("www", &config);
        let first = site.enter(at(0)).unwrap();
        let second = site.enter(at(0)).unwrap();
        assert_eq!(site.enter(at(0)).unwrap_err(), Over::InFlight);
        drop((first, second));
        let third = site.enter(at(0)).unwrap();
        drop(third);
        let Err(Over::SiteRate { wait }) = site.enter(at(0)) else { panic!("three a second") };
        assert_eq!(wait.as_millis(), 333);
        assert_eq!(site.in_flight.load(Relaxed), 0, "who is turned away takes no place");
        assert!(site.enter(at(334)).is_ok());
    }

    #[tokio::test]
    async fn nothing_is_limited_by_default() {
        let site = SiteLimiter::new("www", &SiteLimits::default());
        let places: Vec<_> = (0..1_000).map(|_| site.enter(at(0)).unwrap()).collect();
        assert_eq!(places.len(), 1_000);
        assert!(site.shaper(&Arc::new(SharedPace::new())).is_none());
        assert_eq!(site.body_max(None), None);
    }
}
