//! One server upstream: how to reach it, how many connections it may have, and is it well?
//!
//! Passive health only: an upstream that fails `eject_after` times in a row is passed over for
//! `eject_for`, and for twice as long each time that it fails again, up to [`DOUBLINGS_MAX`] times.
//! When the time is over, *one* request tries it; the others pass it over until that one succeeds, so
//! that a server that hangs costs one client one timeout, not everybody. One success clears it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_cache::{CacheKey, Timestamp};

use super::FillError;
use super::link::Link;
use super::transport::Links;
use crate::config::{UpstreamAddr, UpstreamConfig};

/// How often the time for which an upstream is passed over doubles: to 32 times `eject_for`.
const DOUBLINGS_MAX: u32 = 5;

/// One server upstream.
#[derive(Debug)]
pub(crate) struct Member {
    link: Link,
    seed: u64,
    permits: Arc<Semaphore>,
    failures: AtomicU32,
    ejected_until_micros: AtomicU64,
}

impl Member {
    /// The server at `addr`, connected to as `links` says.
    pub(super) fn new(addr: &UpstreamAddr, config: &UpstreamConfig, links: &Links) -> Self {
        let link = Link::new(addr, links);
        Self {
            seed: first_u64(blake3::hash(link.authority().as_bytes()).as_bytes()),
            link,
            permits: Arc::new(Semaphore::new(config.connections_max as usize)),
            failures: AtomicU32::new(0),
            ejected_until_micros: AtomicU64::new(0),
        }
    }

    /// `host:port`.
    pub(crate) fn authority(&self) -> &str {
        self.link.authority()
    }

    /// The connections to it.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// The rank of this server for `key`: the highest is asked (rendezvous hashing), so that a
    /// server that goes moves only its own keys.
    pub(super) fn rank(&self, key: &CacheKey) -> u64 {
        mix(first_u64(key.as_bytes()) ^ self.seed)
    }

    /// Whether the server has not failed of late.
    pub(crate) fn is_healthy(&self, config: &UpstreamConfig) -> bool {
        self.failures.load(Relaxed) < config.eject_after
    }

    /// Whether this request may ask the server at `now`: always while it is well, and once at the end
    /// of each time for which it is passed over.
    pub(super) fn may_try(&self, now: Timestamp, config: &UpstreamConfig) -> bool {
        if self.is_healthy(config) {
            return true;
        }
        let until = self.ejected_until_micros.load(Relaxed);
        let next = now.saturating_add(config.eject_for).as_micros();
        until <= now.as_micros()
            && self.ejected_until_micros.compare_exchange(until, next, Relaxed, Relaxed).is_ok()
    }

    /// Notes an answer.
    pub(super) fn on_success(&self) {
        // Written only when something changes: this line is shared by all cores.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
            self.ejected_until_micros.store(0, Relaxed);
        }
    }

    /// Notes a failure; returns whether the server is passed over from here on.
    pub(super) fn on_failure(&self, now: Timestamp, config: &UpstreamConfig) -> bool {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        let eject = failures >= config.eject_after;
        if eject {
            let again = (failures - config.eject_after).min(DOUBLINGS_MAX);
            let until = now.saturating_add(config.eject_for.saturating_mul(1 << again));
            self.ejected_until_micros.store(until.as_micros(), Relaxed);
        }
        eject
    }

    /// Waits for one of the server's connections, at most `queue_timeout`.
    pub(super) async fn permit(
        &self,
        config: &UpstreamConfig,
    ) -> Result<OwnedSemaphorePermit, FillError> {
        let busy = || FillError::Busy {
            upstream: self.authority().to_owned(),
            waited: config.queue_timeout,
        };
        match tokio::time::timeout(config.queue_timeout, Arc::clone(&self.permits).acquire_owned())
            .await
        {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

/// The first eight bytes of a digest.
fn first_u64(digest: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

/// A bijection that spreads every input bit over the output (the finalizer of SplitMix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
