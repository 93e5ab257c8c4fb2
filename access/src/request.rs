//! What does a check look at?
//!
//! A [`Request`] borrows what the node has read already; nothing here parses a message. A
//! [`Moment`] is the time of the check, which the caller takes from its clock.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, Method};
use weir_cache::{Target, UnixTime};

/// One request, as far as access depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// What is asked for, in normal form, with its whole query.
    pub target: &'a Target,
    /// The fields of the request.
    pub headers: &'a HeaderMap,
    /// The address of the client, which a proxy in front may have told.
    pub client: IpAddr,
}

impl Request<'_> {
    /// Address of the client; one that was mapped into IPv6 is IPv4 again.
    pub const fn address(&self) -> IpAddr {
        self.client.to_canonical()
    }
}

/// When a check is made, and how far the clock of a signer may be off.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Wall clock of this node.
    pub now: UnixTime,
    /// Tolerance at both ends of a validity; whole seconds count.
    pub skew: Duration,
}

impl Moment {
    fn skew_secs(self) -> i64 {
        i64::try_from(self.skew.as_secs()).unwrap_or(i64::MAX)
    }

    /// Whether something that is valid up to and including `last` is valid no more.
    pub(crate) fn is_after(self, last: i64) -> bool {
        self.now.as_secs() > last.saturating_add(self.skew_secs())
    }

    /// Whether something that is valid from `first` on is not valid yet.
    pub(crate) fn is_before(self, first: i64) -> bool {
        self.now.as_secs() < first.saturating_sub(self.skew_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_skew_counts_at_both_ends_and_never_overflows() {
        let at = |now, skew| Moment { now: UnixTime::from_secs(now), skew };
        let half_minute = Duration::from_secs(30);
        assert!(!at(130, half_minute).is_after(100));
        assert!(at(131, half_minute).is_after(100));
        assert!(!at(70, half_minute).is_before(100));
        assert!(at(69, half_minute).is_before(100));
        assert!(!at(i64::MAX, Duration::MAX).is_after(i64::MAX));
        assert!(!at(i64::MIN, Duration::MAX).is_before(i64::MIN));
    }
}
