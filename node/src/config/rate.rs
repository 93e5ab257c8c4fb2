//! How rates are written: a whole number of events, or a size, for each unit of time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::units::{ByteSize, UnitError};

/// Events in a time, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    events: u32,
    per: Per,
}

/// The time of a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Per {
    Second,
    Minute,
    Hour,
}

impl Per {
    const ALL: [Self; 3] = [Self::Second, Self::Minute, Self::Hour];

    const fn letter(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
        }
    }

    const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
        })
    }
}

impl Rate {
    /// The most events that a rate may have, whatever its time.
    pub const EVENTS_MAX: u32 = 10_000_000;

    /// Makes a rate of `events` a second, at least one and at most [`Self::EVENTS_MAX`].
    #[must_use]
    pub const fn per_second(events: u32) -> Self {
        Self { events: clamped(events), per: Per::Second }
    }

    /// Makes a rate of `events` a minute, at least one and at most [`Self::EVENTS_MAX`].
    #[must_use]
    pub const fn per_minute(events: u32) -> Self {
        Self { events: clamped(events), per: Per::Minute }
    }

    /// Returns the time between two events that keep exactly to the rate, at least 100 ns.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.per.duration() / self.events
    }

    /// Returns the events of one second, rounded up.
    #[must_use]
    pub fn of_a_second(self) -> u32 {
        let seconds = u32::try_from(self.per.duration().as_secs()).unwrap_or(1);
        self.events.div_ceil(seconds)
    }
}

const fn clamped(events: u32) -> u32 {
    match events {
        0 => 1,
        more if more > Rate::EVENTS_MAX => Rate::EVENTS_MAX,
        good => good,
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.events, self.per.letter())
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (number, unit) = text.split_once('/').ok_or(RateError::NoTime)?;
        let per = Per::ALL.into_iter().find(|per| per.letter() == unit);
        let per = per.ok_or(RateError::NoTime)?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(RateError::NotANumber);
        }
        let events = number.parse().ok().filter(|events| *events <= Self::EVENTS_MAX);
        match events.ok_or(RateError::OutOfRange)? {
            0 => Err(RateError::OutOfRange),
            events => Ok(Self { events, per }),
        }
    }
}

/// Bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bandwidth(ByteSize);

impl Bandwidth {
    /// No bytes.
    pub const ZERO: Self = Self(ByteSize::ZERO);

    /// Makes a bandwidth of `size` a second.
    #[must_use]
    pub const fn per_second(size: ByteSize) -> Self {
        Self(size)
    }

    /// Returns the bytes of a second.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0.as_u64()
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl FromStr for Bandwidth {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let size = text.strip_suffix("/s").ok_or(RateError::NoTime)?;
        Ok(Self(size.parse::<ByteSize>()?))
    }
}

/// Why a text is no rate. Completes the sentence "the value …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Nothing says in which time.
    #[error("does not say in which time: write /s behind it, or /m or /h for events")]
    NoTime,
    /// No whole number stands before the slash.
    #[error("is not a whole number for each unit of time")]
    NotANumber,
    /// The number is zero or too large.
    #[error("is out of range")]
    OutOfRange,
    /// The size is none.
    #[error(transparent)]
    Size(#[from] UnitError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_are_numbers_for_a_time() {
        // (text, expected interval in microseconds, why)
        let cases: &[(&str, Result<u128, RateError>, &str)] = &[
            ("50/s", Ok(20_000), "a second"),
            ("3000/m", Ok(20_000), "a minute"),
            ("10/h", Ok(360_000_000), "an hour"),
            ("10000000/s", Ok(0), "a tenth of a microsecond"),
            ("50", Err(RateError::NoTime), "no time"),
            ("50/d", Err(RateError::NoTime), "another time"),
            ("50/2s", Err(RateError::NoTime), "one of each"),
            ("/s", Err(RateError::NotANumber), "no number"),
            ("+5/s", Err(RateError::NotANumber), "no signs"),
            ("1.5/s", Err(RateError::NotANumber), "no fractions: write 90/m"),
            ("0/s", Err(RateError::OutOfRange), "leave the key out for no limit"),
            ("10000001/s", Err(RateError::OutOfRange), "above the most"),
            ("99999999999999999999/s", Err(RateError::OutOfRange), "far above"),
        ];
        for (text, expected, why) in cases {
            let got = text.parse::<Rate>().map(|rate| rate.interval().as_micros());
            assert_eq!(&got, expected, "{why}: {text}");
        }
        assert_eq!("90/m".parse::<Rate>().unwrap().of_a_second(), 2, "rounded up");
        assert_eq!(Rate::per_second(0), Rate::per_second(1));
    }

    #[test]
    fn bandwidths_are_sizes_for_a_second() {
        let cases: &[(&str, Result<u64, RateError>)] = &[
            ("2MiB/s", Ok(2 << 20)),
            ("0B/s", Ok(0)),
            ("2MiB", Err(RateError::NoTime)),
            ("2MiB/m", Err(RateError::NoTime)),
            ("2/s", Err(RateError::Size(UnitError::NoUnit))),
        ];
        for (text, expected) in cases {
            assert_eq!(&text.parse::<Bandwidth>().map(Bandwidth::as_u64), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn rendering_is_read_back(events in 1..=Rate::EVENTS_MAX, bytes: u64, per in 0_usize..3) {
            let rate = Rate { events, per: Per::ALL[per] };
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            let bandwidth = Bandwidth(ByteSize::from_bytes(bytes));
            prop_assert_eq!(bandwidth.to_string().parse(), Ok(bandwidth));
        }

        #[test]
        fn no_text_panics(text in "[0-9]{0,22}[a-zA-Z .µ+-]{0,3}/?[smhd]{0,2}") {
            drop(text.parse::<Rate>());
            drop(text.parse::<Bandwidth>());
        }
    }
}
