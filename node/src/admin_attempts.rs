//! How often may one address be wrong about a token?
//!
//! After [`WRONG_MAX`] failures within [`WITHIN`] an address is locked out for as long: its tokens are
//! not looked at, right ones included, so that an answer tells nothing about them. What is asked
//! meanwhile does not lengthen it. A right token does not wipe out failures, or its holder could guess
//! at others for ever.
//!
//! Addresses of IPv6 count by their /64, which is what one customer has. Loopback counts as any other.
//!
//! # Invariants
//!
//! 1. Judging and noting is one step: attempts at the same time are not more than that many.
//! 2. At most `max` addresses are kept; the one that failed longest ago is forgotten first.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;
use weir_cache::Timestamp;

/// Failures after which an address is locked out.
const WRONG_MAX: usize = 10;
/// The time in which they count, and for which it is locked out.
const WITHIN: Duration = Duration::from_secs(60);
/// Addresses that are kept.
const ADDRESSES_MAX: usize = 4096;

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attempt<T> {
    /// It was looked at and is right.
    Right(T),
    /// It was looked at and is wrong.
    Wrong {
        /// Whether it is the one after which the address is locked out.
        locks_out: bool,
    },
    /// It was not looked at.
    LockedOut {
        /// How long that lasts.
        left: Duration,
    },
}

/// The addresses that have been wrong lately.
#[derive(Debug)]
pub(crate) struct Attempts {
    by_address: Mutex<HashMap<IpAddr, Failures>>,
    max: usize,
}

#[derive(Debug, Default)]
struct Failures {
    /// When, the oldest first; fewer than [`WRONG_MAX`].
    times: VecDeque<Timestamp>,
    last: Timestamp,
    locked_out: bool,
}

impl Attempts {
    /// Nobody has been wrong.
    pub(crate) fn new() -> Self {
        Self { by_address: Mutex::default(), max: ADDRESSES_MAX }
    }

    /// Judges an attempt from `address` at `now` by what `check` finds, unless it is locked out.
    ///
    /// A first failure costs a look at all addresses where there is no room for another.
    pub(crate) fn judge<T>(
        &self,
        address: IpAddr,
        now: Timestamp,
        check: impl FnOnce() -> Option<T>,
    ) -> Attempt<T> {
        let address = network_of(address);
        let mut kept = self.by_address.lock();
        if let Some(left) = kept.get(&address).and_then(|failures| failures.left(now)) {
            return Attempt::LockedOut { left };
        }
        if let Some(right) = check() {
            return Attempt::Right(right);
        }
        if kept.len() >= self.max && !kept.contains_key(&address) {
            make_room(&mut kept, now, self.max);
        }
        let locks_out = kept.entry(address).or_default().add(now);
        Attempt::Wrong { locks_out }
    }
}

impl Failures {
    /// How long the address stays locked out at `now`; `None` if it is not.
    fn left(&self, now: Timestamp) -> Option<Duration> {
        let left = WITHIN.checked_sub(now.saturating_since(self.last))?;
        (self.locked_out && !left.is_zero()).then_some(left)
    }

    /// Notes a failure; returns whether it locks the address out.
    fn add(&mut self, now: Timestamp) -> bool {
        while self.times.front().is_some_and(|at| now.saturating_since(*at) >= WITHIN) {
            self.times.pop_front();
        }
        self.times.push_back(now);
        self.last = now;
        self.locked_out = self.times.len() >= WRONG_MAX;
        if self.locked_out {
            self.times.clear();
        }
        self.locked_out
    }
}

/// Forgets those whose failures count no more; if there are none, the one that failed longest ago.
fn make_room(kept: &mut HashMap<IpAddr, Failures>, now: Timestamp, max: usize) {
    kept.retain(|_, failures| now.saturating_since(failures.last) < WITHIN);
    if kept.len() < max {
        return;
    }
    let oldest = kept.iter().min_by_key(|(_, failures)| failures.last).map(|(address, _)| *address);
    if let Some(oldest) = oldest {
        kept.remove(&oldest);
    }
}

/// The address that counts for `address`.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: Attempt<()> = Attempt::Wrong { locks_out: false };
    const LAST: Attempt<()> = Attempt::Wrong { locks_out: true };

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_micros((3600 + secs) * 1_000_000)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn wrong(attempts: &Attempts, address: &str, secs: u64) -> Attempt<()> {
        attempts.judge(ip(address), at(secs), || None)
    }

    fn lock_out(attempts: &Attempts, address: &str, secs: u64) {
        for _ in 1..WRONG_MAX {
            assert_eq!(wrong(attempts, address, secs), WRONG);
        }
        assert_eq!(wrong(attempts, address, secs), LAST);
    }

    #[test]
    fn ten_failures_lock_an_address_out_for_a_minute_whatever_it_sends() {
        let attempts = Attempts::new();
        lock_out(&attempts, "127.0.0.1", 0);
        for secs in [0, 30, 59] {
            let left = Duration::from_secs(60 - secs);
            let judged = attempts.judge(ip("127.0.0.1"), at(secs), || -> Option<()> {
                panic!("the token is not looked at")
            });
            assert_eq!(judged, Attempt::LockedOut { left }, "asking does not lengthen it");
        }
        assert_eq!(attempts.judge(ip("127.0.0.2"), at(1), || Some(())), Attempt::Right(()));
        assert_eq!(attempts.judge(ip("127.0.0.1"), at(60), || Some(())), Attempt::Right(()));
        lock_out(&attempts, "127.0.0.1", 61);
    }

    #[test]
    fn failures_count_for_a_minute_wherever_it_begins() {
        let attempts = Attempts::new();
        for secs in 50..59 {
            assert_eq!(wrong(&attempts, "::1", secs), WRONG);
        }
        // The one at 50 counts no more at 110: nine do, with this one.
        assert_eq!(wrong(&attempts, "::1", 110), WRONG);
        assert_eq!(wrong(&attempts, "::1", 110), LAST, "those from 51 on do");
    }

    #[test]
    fn a_right_token_does_not_wipe_out_failures() {
        let attempts = Attempts::new();
        for _ in 1..WRONG_MAX {
            assert_eq!(wrong(&attempts, "192.0.2.1", 0), WRONG);
            assert_eq!(attempts.judge(ip("192.0.2.1"), at(0), || Some(())), Attempt::Right(()));
        }
        assert_eq!(wrong(&attempts, "192.0.2.1", 0), LAST);
    }

    #[test]
    fn addresses_count_by_network() {
        // (one, another, whether they are one, why)
        let cases = [
            ("2001:db8::1", "2001:db8::ffff:0:0:1", true, "one /64"),
            ("2001:db8::1", "2001:db8:0:1::1", false, "two /64"),
            ("192.0.2.1", "::ffff:192.0.2.1", true, "IPv4 over a socket of IPv6"),
            ("192.0.2.1", "192.0.2.2", false, "two of IPv4"),
        ];
        for (one, other, same, why) in cases {
            assert_eq!(network_of(ip(one)) == network_of(ip(other)), same, "{why}");
        }
    }

    #[test]
    fn the_address_that_failed_longest_ago_is_forgotten() {
        let attempts = Attempts { max: 3, ..Attempts::new() };
        lock_out(&attempts, "192.0.2.1", 0);
        lock_out(&attempts, "192.0.2.2", 1);
        lock_out(&attempts, "192.0.2.3", 2);
        assert_eq!(wrong(&attempts, "192.0.2.4", 3), WRONG);
        assert_eq!(attempts.by_address.lock().len(), 3);
        assert_eq!(wrong(&attempts, "192.0.2.1", 3), WRONG, "forgotten");
        let still = wrong(&attempts, "192.0.2.3", 3);
        assert!(matches!(still, Attempt::LockedOut { .. }), "{still:?}");
        assert_eq!(wrong(&attempts, "192.0.2.9", 500), WRONG);
        assert_eq!(attempts.by_address.lock().len(), 1, "what counts no more makes room");
    }

    #[test]
    fn attempts_at_once_are_not_more_than_that_many() {
        let attempts = Attempts::new();
        let looked_at = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..8 {
                        attempts.judge(ip("192.0.2.1"), at(0), || -> Option<()> {
                            looked_at.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                            None
                        });
                    }
                });
            }
        });
        assert_eq!(looked_at.into_inner(), WRONG_MAX);
    }
}
