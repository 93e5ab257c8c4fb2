//! How are instants written in signatures?
//!
//! Every form has one length. Formats that write time right behind a path would else be ambiguous:
//! a digit moved from the path to the time makes another path and a far later time of the same
//! signed text.

/// How a format writes seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeForm {
    /// Ten decimal digits: 2001 to 2286.
    Decimal,
    /// Eight hexadecimal digits: 1978 to 2106.
    Hex,
}

impl TimeForm {
    /// Reads an instant.
    pub(crate) fn parse(self, text: &str) -> Option<i64> {
        let (digits, radix) = match self {
            Self::Decimal => (10, 10),
            Self::Hex => (8, 16),
        };
        let sound = text.len() == digits && text.chars().all(|digit| digit.is_digit(radix));
        if sound { i64::from_str_radix(text, radix).ok() } else { None }
    }

    /// Writes an instant; `None` if it is outside the range of the form.
    pub(crate) fn format(self, secs: i64) -> Option<String> {
        let text = match self {
            Self::Decimal => format!("{secs:010}"),
            Self::Hex => format!("{secs:08x}"),
        };
        if self.parse(&text) == Some(secs) { Some(text) } else { None }
    }

    /// What is expected, for explanations.
    pub(crate) const fn expected(self) -> &'static str {
        match self {
            Self::Decimal => "10 decimal digits",
            Self::Hex => "8 hexadecimal digits",
        }
    }
}

/// Reads seconds since 1970 in decimal digits, without leading zeros, at most 12.
pub(crate) fn parse_secs(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let sound = digits && !text.starts_with('0') && (1..=12).contains(&text.len());
    if sound { text.parse().ok() } else { None }
}

/// Difference of the clock that minute stamps are read on (UTC+8) to UTC.
const CHINA_SECS: i64 = 8 * 3600;

/// Reads `YYYYMMDDHHMM` in the time of China, which Alibaba Cloud and Tencent Cloud use.
pub(crate) fn parse_minute(text: &str) -> Option<i64> {
    if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute) = (part(8, 10)?, part(10, 12)?);
    let sound = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60;
    if !sound {
        return None;
    }
    let days = days_before(year, month).checked_add(day)?.checked_sub(1)?;
    let minutes = days.checked_mul(24 * 60)?.checked_add(hour.checked_mul(60)?)?;
    minutes.checked_add(minute)?.checked_mul(60)?.checked_sub(CHINA_SECS)
}

/// Writes the minute that `secs` lies in as `YYYYMMDDHHMM`; `None` outside 1970 to 9999.
pub(crate) fn format_minute(secs: i64) -> Option<String> {
    let minutes = secs.checked_add(CHINA_SECS)?.div_euclid(60);
    let (mut day, of_day) = (minutes.div_euclid(24 * 60), minutes.rem_euclid(24 * 60));
    if day < 0 {
        return None;
    }
    let mut year = 1970;
    while day >= days_in_year(year) {
        day = day.checked_sub(days_in_year(year))?;
        year = i64::checked_add(year, 1)?;
        if year > 9999 {
            return None;
        }
    }
    let mut month = 1;
    while day >= days_in(year, month) {
        day = day.checked_sub(days_in(year, month))?;
        month = i64::checked_add(month, 1)?;
    }
    let (hour, minute) = (of_day.div_euclid(60), of_day.rem_euclid(60));
    Some(format!("{year:04}{month:02}{:02}{hour:02}{minute:02}", day.checked_add(1)?))
}

const fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

const fn days_in_year(year: i64) -> i64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of a month. Years are few, so that they are counted.
fn days_before(year: i64, month: i64) -> i64 {
    let years: i64 = (1970..year).map(days_in_year).sum();
    (1..month).map(|month| days_in(year, month)).fold(years, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_read_and_written() {
        // TZ=Asia/Shanghai date -d '2015-08-15 08:00' +%s, and so on
        const CASES: &[(&str, i64)] = &[
            ("201508150800", 1_439_596_800),
            ("197001010800", 0),
            ("202002292359", 1_582_991_940),
            ("202612311200", 1_798_689_600),
            ("999912312359", 253_402_271_940),
        ];
        for &(text, secs) in CASES {
            assert_eq!(parse_minute(text), Some(secs), "{text}");
            assert_eq!(format_minute(secs).as_deref(), Some(text));
            assert_eq!(format_minute(secs.saturating_add(59)).as_deref(), Some(text));
        }
        for text in [
            "",
            "20150815080",
            "2015081508000",
            "201513010000",
            "201500010000",
            "201502290000",
            "201508320000",
            "201508152400",
            "201508150060",
            "20150815 800",
            "+01508150800",
            "196912312359",
            "²²²²²²",
        ] {
            assert_eq!(parse_minute(text), None, "{text}");
        }
        assert_eq!(format_minute(i64::MAX), None);
        assert_eq!(format_minute(i64::MIN), None);
        assert_eq!(format_minute(253_402_272_000), None);
    }

    #[test]
    fn seconds_have_one_length_in_each_form() {
        assert_eq!(TimeForm::Decimal.parse("1444435200"), Some(1_444_435_200));
        assert_eq!(TimeForm::Hex.parse("55CE8100"), Some(1_439_596_800));
        assert_eq!(TimeForm::Hex.parse("55ce8100"), Some(1_439_596_800));
        for text in ["", "144443520", "14444352000", "+144443520", "0x44443520", "14444352é"] {
            assert_eq!(TimeForm::Decimal.parse(text), None, "{text}");
        }
        for text in ["", "55ce810", "55ce81000", "+5ce8100", "55ce810g"] {
            assert_eq!(TimeForm::Hex.parse(text), None, "{text}");
        }
        assert_eq!(TimeForm::Hex.format(1_439_596_800).as_deref(), Some("55ce8100"));
        for secs in [-1, i64::MIN, i64::MAX, 10_000_000_000] {
            assert_eq!(TimeForm::Decimal.format(secs), None, "{secs}");
            assert_eq!(TimeForm::Hex.format(secs), None, "{secs}");
        }
        assert_eq!(parse_secs("1700000000"), Some(1_700_000_000));
        for text in ["", "0", "01", "+1", "-1", "1234567890123", "1e3", "99999999999999999999"] {
            assert_eq!(parse_secs(text), None, "{text}");
        }
    }
}
