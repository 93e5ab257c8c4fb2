//! How are the times of a stored response kept in as few bytes as they need?
//!
//! A `Duration` takes 16 bytes, an optional date as many, and each stored response has six of them.
//! What a time means is the [`Plan`](crate::Plan)'s matter.
//!
//! # Invariants
//!
//! 1. Each value has one form, so that equal values have equal bytes.
//! 2. No time that headers, a configuration or a clock of microseconds give is rounded. What is too long for that is
//!    cut to whole microseconds or seconds: no cache reckons with parts of a second after a century.

use std::time::Duration;

use crate::time::{Timestamp, UnixTime};

/// Eight bytes that begin anywhere, so that what holds them beside something small is not rounded up to eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bits([u8; 8]);

impl Bits {
    const fn of(number: u64) -> Self {
        Self(number.to_le_bytes())
    }

    const fn get(self) -> u64 {
        u64::from_le_bytes(self.0)
    }
}

/// Where the unit of a [`Span`] is, above its number.
const UNIT_BITS: u32 = 2;
const NUMBER_BITS: u32 = u64::BITS - UNIT_BITS;
/// The largest number of a unit.
const NUMBER_MAX: u64 = u64::MAX >> UNIT_BITS;
const NANOS: u64 = 0;
const MICROS: u64 = 1;
const SECS: u64 = 2;

/// A duration: exact to the nanosecond up to 146 years, to the microsecond up to 146,000, and else to the
/// second. Its longest one is `Duration::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(Bits);

impl Span {
    fn of(unit: u64, number: u64) -> Self {
        Self(Bits::of(unit << NUMBER_BITS | number))
    }

    pub(crate) fn get(self) -> Duration {
        let bits = self.0.get();
        let number = bits & NUMBER_MAX;
        match bits >> NUMBER_BITS {
            NANOS => Duration::from_nanos(number),
            MICROS => Duration::from_micros(number),
            _ if number == NUMBER_MAX => Duration::MAX,
            _ => Duration::from_secs(number),
        }
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        let within = |number: u128| u64::try_from(number).ok().filter(|it| *it <= NUMBER_MAX);
        if let Some(nanos) = within(duration.as_nanos()) {
            Self::of(NANOS, nanos)
        } else if let Some(micros) = within(duration.as_micros()) {
            Self::of(MICROS, micros)
        } else {
            let longest = if duration == Duration::MAX { NUMBER_MAX } else { NUMBER_MAX - 1 };
            Self::of(SECS, duration.as_secs().min(longest))
        }
    }
}

/// How long a stale window may be; a directive cannot state more (RFC 9111 §1.2.2).
const WINDOW_SECS_MAX: u32 = 1 << 31;
/// How many milliseconds are told apart where they are no whole seconds: 24 days.
const WINDOW_MILLIS_MAX: u32 = u32::MAX - WINDOW_SECS_MAX - 2;

/// A duration that may be missing: whole seconds up to 68 years, or else milliseconds up to 24 days, in
/// which configurations are written. What is longer is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window([u8; 4]);

impl Window {
    const NONE: Self = Self::of(u32::MAX);

    const fn of(number: u32) -> Self {
        Self(number.to_le_bytes())
    }

    pub(crate) fn get(self) -> Option<Duration> {
        let number = u32::from_le_bytes(self.0);
        match number.checked_sub(WINDOW_SECS_MAX + 1) {
            None => Some(Duration::from_secs(number.into())),
            Some(millis) if millis <= WINDOW_MILLIS_MAX => {
                Some(Duration::from_millis(millis.into()))
            }
            Some(_) => None,
        }
    }
}

impl From<Option<Duration>> for Window {
    fn from(window: Option<Duration>) -> Self {
        let Some(window) = window else { return Self::NONE };
        let millis = u32::try_from(window.as_millis()).unwrap_or(u32::MAX);
        if window.subsec_millis() > 0 && millis <= WINDOW_MILLIS_MAX {
            return Self::of(WINDOW_SECS_MAX.saturating_add(1).saturating_add(millis));
        }
        let secs = u32::try_from(window.as_secs()).unwrap_or(u32::MAX);
        Self::of(secs.min(WINDOW_SECS_MAX))
    }
}

/// A date that may be missing: 17,000 years before and after 1970. One further away is the last of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment([u8; 5]);

impl Moment {
    /// The seconds of the last one. The first one of five bytes is none.
    const SECS_MAX: i64 = (1 << 39) - 1;
    const NONE: i64 = -Self::SECS_MAX - 1;

    fn of(secs: i64) -> Self {
        let [a, b, c, d, e, ..] = secs.to_le_bytes();
        Self([a, b, c, d, e])
    }

    pub(crate) fn get(self) -> Option<UnixTime> {
        let Self([a, b, c, d, e]) = self;
        // The sign is in the highest of them.
        let secs = i64::from_le_bytes([0, 0, 0, a, b, c, d, e]) >> 24;
        (secs != Self::NONE).then(|| UnixTime::from_secs(secs))
    }
}

impl From<Option<UnixTime>> for Moment {
    fn from(date: Option<UnixTime>) -> Self {
        Self::of(
            date.map_or(Self::NONE, |date| date.as_secs().clamp(-Self::SECS_MAX, Self::SECS_MAX)),
        )
    }
}

/// An instant on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant(Bits);

impl Instant {
    pub(crate) fn get(self) -> Timestamp {
        Timestamp::from_micros(self.0.get())
    }
}

impl From<Timestamp> for Instant {
    fn from(at: Timestamp) -> Self {
        Self(Bits::of(at.as_micros()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

    #[test]
    fn times_at_the_ends_are_kept_or_cut() {
        let nano = Duration::from_nanos(1);
        let years = |years: u64| Duration::from_secs(years * 365 * 86_400);
        // (kept, of)
        for (kept, of) in [
            (Duration::ZERO, Duration::ZERO),
            (CENTURY + nano, CENTURY + nano),
            (years(200), years(200) + nano),
            (years(9_999) + 1_000 * nano, years(9_999) + 1_999 * nano),
            (years(1_000_000), years(1_000_000) + 1_000 * nano),
            (Duration::MAX, Duration::MAX),
        ] {
            assert_eq!(Span::from(of).get(), kept, "{of:?}");
            assert_eq!(Span::from(kept), Span::from(of));
        }
        let secs = Duration::from_secs;
        let millis = Duration::from_millis;
        for (kept, of) in [
            (secs(0), secs(0)),
            (millis(500), millis(500)),
            (millis(2_147_483_645), millis(2_147_483_645)),
            (secs(2_147_483), millis(2_147_483_646)),
            (secs(1 << 31), secs(1 << 31)),
            (secs(1 << 31), Duration::MAX),
            (secs(0), nano),
        ] {
            assert_eq!(Window::from(Some(of)).get(), Some(kept), "{of:?}");
        }
        assert_eq!(Window::from(None).get(), None);
        assert_eq!(Moment::from(None).get(), None);
        // (kept, of): the years 0 and 9999, and what no year of four digits can name.
        let last = (1 << 39) - 1;
        for (kept, of) in [
            (-62_167_219_200, -62_167_219_200),
            (-1, -1),
            (0, 0),
            (253_402_300_799, 253_402_300_799),
            (last, last),
            (last, i64::MAX),
            (-last, -last),
            (-last, i64::MIN),
        ] {
            let of = Some(UnixTime::from_secs(of));
            assert_eq!(Moment::from(of).get().map(UnixTime::as_secs), Some(kept));
        }
        for at in [0, 1, 1 << 31, 1 << 32, u64::MAX].map(Timestamp::from_micros) {
            assert_eq!(Instant::from(at).get(), at);
        }
    }

    proptest! {
        #[test]
        fn times_that_occur_are_kept_as_they_are(
            nanos in 0..=CENTURY.as_nanos(), micros in 0..1_u64 << 62, secs in 0..=1_u64 << 31,
            millis in 0..2_000_000_000_u64,
        ) {
            let nanos = u64::try_from(nanos).unwrap();
            for duration in [Duration::from_nanos(nanos), Duration::from_micros(micros)] {
                prop_assert_eq!(Span::from(duration).get(), duration);
            }
            for window in [Duration::from_secs(secs), Duration::from_millis(millis)] {
                prop_assert_eq!(Window::from(Some(window)).get(), Some(window));
            }
        }

        #[test]
        fn what_was_cut_is_cut_no_further(secs: u64, nanos in 0..1_000_000_000_u32) {
            let of = Duration::new(secs, nanos);
            let (span, window) = (Span::from(of), Window::from(Some(of)));
            prop_assert!(span.get() <= of && Span::from(span.get()) == span);
            prop_assert!(window.get() <= Some(of) && Window::from(window.get()) == window);
        }
    }
}
