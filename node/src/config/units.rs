//! How durations and sizes are written: a whole number with a unit, never a bare number.
//!
//! A bare `30` has been read as seconds, milliseconds and megabytes by different programs, so that
//! the unit is part of the value here. Ranges are left to the keys that hold the values.
//!
//! # Invariants
//!
//! 1. What [`render_duration`] and [`ByteSize`]'s `Display` write is read back as the same value.
//! 2. No text panics or wraps; a value beyond 64 bits is [`UnitError::TooLarge`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes, at most 2^64 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// Makes a size of `bytes` bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Makes a size of `kib` times 1024 bytes, saturating.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1 << 10))
    }

    /// Makes a size of `mib` times 1024² bytes, saturating.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// Makes a size of `gib` times 1024³ bytes, saturating.
    pub const fn from_gib(gib: u64) -> Self {
        Self(gib.saturating_mul(1 << 30))
    }

    /// Returns the number of bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Returns the number of bytes as a length in memory, saturating on 32-bit machines.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    /// Writes the exact value with the unit that gives the smallest number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = SIZE_UNITS
            .iter()
            .filter(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor))
            .map(|(unit, factor)| (self.0 / factor, *unit))
            .min_by_key(|(number, _)| *number)
            .unwrap_or((self.0, "B"));
        write!(f, "{number}{unit}")
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "0" {
            return Ok(Self::ZERO);
        }
        let part = next_part(text)?;
        if !part.tail.is_empty() {
            return Err(UnitError::NotANumber);
        }
        let factor = factor_of(part.unit, SIZE_UNITS)?;
        part.number.checked_mul(factor).map(Self).ok_or(UnitError::TooLarge)
    }
}

/// Why a text is no duration or no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The text does not consist of whole numbers with units.
    #[error("is not a whole number with a unit")]
    NotANumber,
    /// The number stands alone.
    #[error("has no unit")]
    NoUnit,
    /// The letters after the number name no unit. Units are spelled exactly.
    #[error("has the unknown unit `{0}`")]
    UnknownUnit(String),
    /// The value does not fit in 64 bits.
    #[error("is too large")]
    TooLarge,
    /// The units of a compound duration do not fall from large to small.
    #[error("has its units out of order")]
    Order,
}

/// Parses a duration such as `250ms`, `30s` or `1m30s`.
///
/// Units are ms, s, m, h and d, each at most once, from large to small. `0` needs no unit. One or
/// more spaces may stand between a number and its unit.
///
/// # Errors
///
/// [`UnitError`], whose text completes the sentence "the value …".
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = 0_u64;
    let mut smallest = u64::MAX;
    let mut rest = text;
    loop {
        let part = next_part(rest)?;
        let factor = factor_of(part.unit, DURATION_UNITS)?;
        if factor >= smallest {
            return Err(UnitError::Order);
        }
        let millis = part.number.checked_mul(factor).ok_or(UnitError::TooLarge)?;
        total = total.checked_add(millis).ok_or(UnitError::TooLarge)?;
        smallest = factor;
        rest = part.tail;
        if rest.is_empty() {
            return Ok(Duration::from_millis(total));
        }
    }
}

/// Renders a duration in one unit, the largest that is exact and not a lone 1 above seconds.
///
/// A minute is written `60s` and a day `24h`, as people write limits. Parts of a millisecond are
/// dropped; no configuration file can state them.
pub fn render_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (number, unit) = DURATION_UNITS
        .iter()
        .filter(|(_, factor)| millis != 0 && millis.is_multiple_of(*factor))
        .map(|(unit, factor)| (millis / factor, *unit))
        .filter(|(number, unit)| *number > 1 || matches!(*unit, "s" | "ms"))
        .min_by_key(|(number, _)| *number)
        .unwrap_or((0, "s"));
    format!("{number}{unit}")
}

const DURATION_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// One number with its unit, and what follows.
struct Part<'a> {
    number: u64,
    unit: &'a str,
    tail: &'a str,
}

fn next_part(text: &str) -> Result<Part<'_>, UnitError> {
    let (digits, rest) = split_where(text, |c| !c.is_ascii_digit());
    if digits.is_empty() {
        return Err(UnitError::NotANumber);
    }
    let (unit, tail) = split_where(rest.trim_start_matches(' '), |c| !c.is_ascii_alphabetic());
    if unit.is_empty() {
        return Err(if rest.is_empty() { UnitError::NoUnit } else { UnitError::NotANumber });
    }
    // Only digits are left, so the one way to fail is a number beyond 64 bits.
    let number = digits.parse().ok().ok_or(UnitError::TooLarge)?;
    Ok(Part { number, unit, tail })
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn factor_of(unit: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    units
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor)
        .ok_or_else(|| UnitError::UnknownUnit(unit.chars().take(16).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_need_units_in_falling_order() {
        // (text, expected milliseconds, why)
        let cases: &[(&str, Result<u64, UnitError>, &str)] = &[
            ("250ms", Ok(250), "the smallest unit"),
            ("30s", Ok(30_000), "seconds"),
            ("1m30s", Ok(90_000), "compound"),
            ("2 h", Ok(7_200_000), "a space before the unit"),
            ("1d", Ok(86_400_000), "days"),
            ("0", Ok(0), "zero is the same in every unit"),
            ("0s", Ok(0), "zero with a unit"),
            ("30", Err(UnitError::NoUnit), "a bare number"),
            ("", Err(UnitError::NotANumber), "nothing"),
            ("s", Err(UnitError::NotANumber), "no number"),
            ("1.5s", Err(UnitError::NotANumber), "no fractions: write 1500ms"),
            ("-1s", Err(UnitError::NotANumber), "no signs"),
            ("30s ", Err(UnitError::NotANumber), "something after the unit"),
            ("30S", Err(UnitError::UnknownUnit("S".into())), "units are exact"),
            ("1w", Err(UnitError::UnknownUnit("w".into())), "weeks are no unit"),
            ("30s1m", Err(UnitError::Order), "from large to small"),
            ("1s1s", Err(UnitError::Order), "each unit once"),
            ("99999999999999999999s", Err(UnitError::TooLarge), "the number overflows"),
            ("213503982335d", Err(UnitError::TooLarge), "the product overflows"),
            ("213503982334d86399s9999999999ms", Err(UnitError::TooLarge), "the sum overflows"),
        ];
        for (text, expected, why) in cases {
            let got = parse_duration(text).map(|d| u64::try_from(d.as_millis()).unwrap());
            assert_eq!(&got, expected, "{why}: {text}");
        }
    }

    #[test]
    fn sizes_need_units() {
        // (text, expected bytes, why)
        let cases: &[(&str, Result<u64, UnitError>, &str)] = &[
            ("64MiB", Ok(64 << 20), "binary"),
            ("1GB", Ok(1_000_000_000), "decimal"),
            ("1kB", Ok(1_000), "both spellings of the decimal kilobyte"),
            ("1KB", Ok(1_000), "both spellings of the decimal kilobyte"),
            ("7 B", Ok(7), "a space before the unit"),
            ("0", Ok(0), "zero is the same in every unit"),
            ("64", Err(UnitError::NoUnit), "a bare number"),
            ("64M", Err(UnitError::UnknownUnit("M".into())), "M leaves open which"),
            ("64mb", Err(UnitError::UnknownUnit("mb".into())), "units are exact"),
            ("1GiB1MiB", Err(UnitError::NotANumber), "sizes are not compound"),
            ("20000000TiB", Err(UnitError::TooLarge), "the product overflows"),
            ("64µB", Err(UnitError::NotANumber), "no letter of a unit"),
        ];
        for (text, expected, why) in cases {
            assert_eq!(&text.parse::<ByteSize>().map(ByteSize::as_u64), expected, "{why}: {text}");
        }
    }

    #[test]
    fn rendering_prefers_what_people_write() {
        let durations = [(0, "0s"), (1, "1ms"), (1_000, "1s"), (60_000, "60s"), (120_000, "2m")];
        for (millis, expected) in durations {
            assert_eq!(render_duration(Duration::from_millis(millis)), expected);
        }
        assert_eq!(render_duration(Duration::from_secs(86_400)), "24h");
        let sizes = [(0, "0B"), (8_000, "8KB"), (1 << 26, "64MiB"), (1_000_000_000_000, "1TB")];
        for (bytes, expected) in sizes {
            assert_eq!(ByteSize::from_bytes(bytes).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn rendering_is_read_back(millis: u64, bytes: u64, shift in 0_u32..64) {
            let duration = Duration::from_millis(millis >> shift);
            prop_assert_eq!(parse_duration(&render_duration(duration)), Ok(duration));
            let size = ByteSize::from_bytes(bytes >> shift);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn no_text_panics(text in "[0-9]{0,22}[a-zA-Z .µ]{0,4}[0-9]{0,3}[a-z]{0,2}") {
            let duration = parse_duration(&text);
            let size = text.parse::<ByteSize>();
            prop_assert!(text == "0" || duration.is_err() || size.is_err());
        }
    }
}
