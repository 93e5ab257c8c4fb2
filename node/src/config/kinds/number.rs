//! Which numbers a key takes: counts, sizes and durations, each within a range.
//!
//! How sizes and durations are spelled is the matter of `units`.

use std::marker::PhantomData;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::{Kind, toml_string};
use crate::config::problem::{Wrong, quote};
use crate::config::units::{ByteSize, UnitError, parse_duration, render_duration};

/// A whole number without unit.
pub(in crate::config) struct Count<T> {
    min: usize,
    max: usize,
    of: PhantomData<T>,
}

impl<T> Count<T> {
    /// A number from `min` to `max`, both of which `T` can hold.
    pub(in crate::config) const fn new(min: usize, max: usize) -> Self {
        Self { min, max, of: PhantomData }
    }
}

impl<T: TryFrom<usize>> Count<T>
where
    Self: Kind,
{
    fn within(&self, number: Option<usize>, found: &str) -> Result<T, Wrong> {
        number
            .filter(|n| (self.min..=self.max).contains(n))
            .and_then(|n| T::try_from(n).ok())
            .ok_or_else(|| self.expected(format!("found {found}")))
    }
}

impl<T: TryFrom<usize> + TryInto<usize> + Copy> Kind for Count<T> {
    type Value = T;

    fn unit(&self) -> String {
        "integer".to_owned()
    }

    fn range(&self) -> String {
        format!("{} to {}", self.min, self.max)
    }

    fn example(&self) -> String {
        // Twice the least is within every range in use, and is no boundary.
        self.min.max(1).saturating_mul(2).min(self.max).to_string()
    }

    fn read_text(&self, text: &str) -> Result<T, Wrong> {
        self.within(text.parse().ok(), &quote(text))
    }

    fn read_value(&self, value: &DeValue<'_>) -> Result<T, Wrong> {
        match value {
            DeValue::Integer(integer) => self.within(number_of(integer), &shown(integer)),
            other => Err(self.mismatch(other)),
        }
    }

    fn render(&self, value: &T) -> Option<String> {
        (*value).try_into().ok().map(|number| number.to_string())
    }
}

fn number_of(integer: &DeInteger<'_>) -> Option<usize> {
    usize::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn shown(integer: &DeInteger<'_>) -> String {
    integer.to_string().chars().take(24).collect()
}

/// A number of bytes.
pub(in crate::config) struct Size {
    pub(in crate::config) min: ByteSize,
    pub(in crate::config) max: ByteSize,
}

/// The most that a [`Size`] without an upper bound may be: a pebibyte, beyond any machine, so that
/// the sum of a few sizes cannot overflow.
const SIZE_MAX: ByteSize = ByteSize::from_gib(1 << 20);

impl Size {
    /// A size without an upper bound of its own.
    pub(in crate::config) const fn at_least(min: ByteSize) -> Self {
        Self { min, max: SIZE_MAX }
    }
}

impl Kind for Size {
    type Value = ByteSize;

    fn unit(&self) -> String {
        "size".to_owned()
    }

    fn range(&self) -> String {
        match self.max {
            SIZE_MAX => format!("at least {}", self.min),
            max => format!("{} to {max}", self.min),
        }
    }

    fn example(&self) -> String {
        let sample = ByteSize::from_mib(64);
        toml_string(&sample.clamp(self.min, self.max).to_string())
    }

    fn read_text(&self, text: &str) -> Result<ByteSize, Wrong> {
        let wrong = |why: UnitError| self.expected(format!("{} {why}", quote(text)));
        let size: ByteSize = text.parse().map_err(wrong)?;
        if (self.min..=self.max).contains(&size) {
            Ok(size)
        } else {
            Err(self.expected(format!("found {}", quote(text))))
        }
    }

    fn read_value(&self, value: &DeValue<'_>) -> Result<ByteSize, Wrong> {
        match value {
            DeValue::String(text) => self.read_text(text),
            DeValue::Integer(integer) => Err(self.expected(format!(
                "{number} has no unit, write \"{number}B\" if bytes are meant",
                number = shown(integer)
            ))),
            other => Err(self.mismatch(other)),
        }
    }

    fn render(&self, value: &ByteSize) -> Option<String> {
        Some(toml_string(&value.to_string()))
    }
}

/// A length of time.
pub(in crate::config) struct Span {
    pub(in crate::config) min: Duration,
    pub(in crate::config) max: Duration,
}

impl Kind for Span {
    type Value = Duration;

    fn unit(&self) -> String {
        "duration".to_owned()
    }

    fn range(&self) -> String {
        format!("{} to {}", render_duration(self.min), render_duration(self.max))
    }

    fn example(&self) -> String {
        let sample = Duration::from_secs(30);
        toml_string(&render_duration(sample.clamp(self.min, self.max)))
    }

    fn read_text(&self, text: &str) -> Result<Duration, Wrong> {
        let wrong = |why: UnitError| self.expected(format!("{} {why}", quote(text)));
        let duration = parse_duration(text).map_err(wrong)?;
        if (self.min..=self.max).contains(&duration) {
            Ok(duration)
        } else {
            Err(self.expected(format!("found {}", quote(text))))
        }
    }

    fn read_value(&self, value: &DeValue<'_>) -> Result<Duration, Wrong> {
        match value {
            DeValue::String(text) => self.read_text(text),
            DeValue::Integer(integer) => Err(self.expected(format!(
                "{number} has no unit, write \"{number}s\" if seconds are meant",
                number = shown(integer)
            ))),
            other => Err(self.mismatch(other)),
        }
    }

    fn render(&self, value: &Duration) -> Option<String> {
        Some(toml_string(&render_duration(*value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { min: Duration::from_millis(1), max: Duration::from_secs(86_400) };
    const SIZE: Size = Size { min: ByteSize::from_kib(8), max: ByteSize::from_gib(1) };

    fn message<K: Kind>(kind: &K, toml: &str) -> Option<String> {
        kind.read_value(DeValue::parse(toml).unwrap().get_ref()).err().map(|wrong| wrong.message)
    }

    #[test]
    fn a_wrong_number_is_told_its_unit_and_range() {
        const DURATION: &str = "expected duration (1ms to 24h), for example \"30s\"";
        const BYTES: &str = "expected size (8KiB to 1GiB), for example \"64MiB\"";
        // (value, start of the message)
        let durations = [
            ("30", "30 has no unit, write \"30s\" if seconds are meant"),
            ("\"30\"", "\"30\" has no unit"),
            ("\"0\"", "found \"0\""),
            ("\"25h\"", "found \"25h\""),
            ("\"30 secs\"", "\"30 secs\" has the unknown unit `secs`"),
            ("true", "found a boolean"),
            ("[]", "found an array"),
        ];
        for (value, start) in durations {
            assert_eq!(message(&SPAN, value), Some(format!("{start}; {DURATION}")));
        }
        let sizes = [
            ("67108864", "67108864 has no unit, write \"67108864B\" if bytes are meant"),
            ("\"8191B\"", "found \"8191B\""),
            ("\"2GiB\"", "found \"2GiB\""),
        ];
        for (value, start) in sizes {
            assert_eq!(message(&SIZE, value), Some(format!("{start}; {BYTES}")));
        }
    }

    #[test]
    fn counts_are_integers_within_their_range() {
        let count = Count::<usize>::new(1, 256);
        for good in ["1", "256", "0x10", "1_0"] {
            assert_eq!(message(&count, good), None, "{good}");
        }
        for bad in ["0", "257", "-1", "1.0", "\"1\"", "99999999999999999999999999999999"] {
            let message = message(&count, bad).unwrap_or_else(|| panic!("{bad} is refused"));
            assert!(message.ends_with("; expected integer (1 to 256), for example 2"), "{message}");
        }
    }
}
