//! How dates in header fields are read and written (RFC 9110 §5.6.7).
//!
//! Three shapes are understood, exactly as the grammar spells them; names may be in any case and
//! the day of the week is not checked against the date, because senders get both wrong. Anything
//! else, another zone above all, is no date: guessing has kept expired responses fresh.

use http::HeaderValue;

use crate::time::UnixTime;

const SECS_PER_DAY: i64 = 86_400;
/// 50 mean Gregorian years in seconds.
const HALF_CENTURY_SECS: i64 = 1_577_847_600;
/// The first and the last second that a four-digit year can name.
const FIRST_SECOND: i64 = -62_167_219_200;
const LAST_SECOND: i64 = 253_402_300_799;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// Day 0 of 1970 was a Thursday.
const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const LONG_WEEKDAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Reads an HTTP date in any of the three shapes of RFC 9110 §5.6.7; `None` if it is none of them.
///
/// `now` decides the century of a two-digit year: a date that would lie more than 50 years ahead is
/// taken to lie in the past.
pub fn parse_http_date(value: &[u8], now: UnixTime) -> Option<UnixTime> {
    parse_imf_fixdate(value)
        .or_else(|| parse_rfc850(value, now))
        .or_else(|| parse_asctime(value))
        .map(UnixTime::from_secs)
}

/// Writes `at` as an IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// Instants outside the years 0 to 9999 are moved to the nearest one inside.
pub fn format_http_date(at: UnixTime) -> HeaderValue {
    HeaderValue::from_bytes(&write_fixdate(at.as_secs()))
        .expect("letters, digits, spaces and colons make a field value")
}

/// Bytes of an IMF-fixdate.
pub(crate) const FIXDATE_BYTES: usize = 29;

/// Writes the Unix time `secs` as an IMF-fixdate, moved into the years 0 to 9999.
///
/// Costs some hundred instructions and no allocation: stored responses have their dates written at each use.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "days are within ten thousand years, seconds within a day, digits below ten"
)]
pub(crate) fn write_fixdate(secs: i64) -> [u8; FIXDATE_BYTES] {
    let (days, in_day) = since_year_zero(secs);
    let [year, month, day] = date_of(days);
    let ([a, b, c], [f, g, h]) = (name_at(&WEEKDAYS, (days + 2) % 7), name_at(&MONTHS, month - 1));
    let ([d, e], [i, j], [k, l]) =
        (two_digits(day), two_digits(year / 100), two_digits(year % 100));
    let minutes = in_day / 60;
    let ([m, n], [o, p], [q, r]) =
        (two_digits(minutes / 60), two_digits(minutes % 60), two_digits(in_day % 60));
    [
        a, b, c, b',', b' ', d, e, b' ', f, g, h, b' ', i, j, k, l, b' ', m, n, b':', o, p, b':',
        q, r, b' ', b'G', b'M', b'T',
    ]
}

/// The Unix time that [`write_fixdate`] makes these very bytes of; `None` where there is none.
pub(crate) fn read_fixdate_exactly(value: &[u8]) -> Option<i64> {
    let secs = parse_imf_fixdate(value)?;
    (write_fixdate(secs) == value).then_some(secs)
}

fn name_at<const COUNT: usize>(names: &[&'static [u8; 3]; COUNT], index: u32) -> [u8; 3] {
    let name = usize::try_from(index).ok().and_then(|index| names.get(index));
    name.map_or([b' '; 3], |name| **name)
}

/// The digits of a number below a hundred.
fn two_digits(number: u32) -> [u8; 2] {
    let number = u8::try_from(number).unwrap_or(0);
    [b'0'.wrapping_add(number / 10), b'0'.wrapping_add(number % 10)]
}

/// Everything is at its place in this shape, which nearly all dates have.
fn parse_imf_fixdate(value: &[u8]) -> Option<i64> {
    let [
        a,
        b,
        c,
        b',',
        b' ',
        d,
        e,
        b' ',
        f,
        g,
        h,
        b' ',
        i,
        j,
        k,
        l,
        b' ',
        m,
        n,
        b':',
        o,
        p,
        b':',
        q,
        r,
        b' ',
        x,
        y,
        z,
    ] = *value
    else {
        return None;
    };
    place(&WEEKDAYS, [a, b, c])?;
    place(&[b"GMT"], [x, y, z])?;
    let month = i64::try_from(place(&MONTHS, [f, g, h])?).ok()?.checked_add(1)?;
    let year = number([i, j])?.checked_mul(100)?.checked_add(number([k, l])?)?;
    let date = Date { year, month, day: number([d, e])? };
    date.to_secs(secs_of_day(number([m, n])?, number([o, p])?, number([q, r])?)?)
}

/// Where in the table a name is, in any case.
fn place(names: &[&[u8; 3]], name: [u8; 3]) -> Option<usize> {
    names.iter().position(|known| known.eq_ignore_ascii_case(&name))
}

/// The number that two digits are.
fn number([tens, ones]: [u8; 2]) -> Option<i64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte & 0xf));
    digit(tens)?.checked_mul(10)?.checked_add(digit(ones)?)
}

/// The seconds since midnight; 60 seconds are a leap second.
fn secs_of_day(hour: i64, minute: i64, second: i64) -> Option<i64> {
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let minutes = hour.saturating_mul(60).saturating_add(minute);
    Some(minutes.saturating_mul(60).saturating_add(second))
}

fn parse_rfc850(value: &[u8], now: UnixTime) -> Option<i64> {
    let mut rest = Cursor(value);
    rest.name(&LONG_WEEKDAYS)?;
    rest.literal(", ")?;
    let day = rest.digits(2)?;
    rest.literal("-")?;
    let month = rest.month()?;
    rest.literal("-")?;
    let short_year = rest.digits(2)?;
    rest.literal(" ")?;
    let in_day = rest.time_of_day()?;
    rest.literal(" GMT")?;
    rest.end()?;
    widen_year(short_year, now).find_map(|year| {
        let secs = Date { year, month, day }.to_secs(in_day)?;
        (secs <= now.as_secs().saturating_add(HALF_CENTURY_SECS)).then_some(secs)
    })
}

/// Returns the years of four digits that `short_year` may stand for, the latest first.
fn widen_year(short_year: i64, now: UnixTime) -> impl Iterator<Item = i64> {
    let [this_year, ..] = date_of(since_year_zero(now.as_secs()).0).map(i64::from);
    let century = this_year.saturating_sub(this_year.rem_euclid(100));
    [100, 0, -100]
        .into_iter()
        .map(move |shift| century.saturating_add(shift).saturating_add(short_year))
        .filter(|year| (0..=9999).contains(year))
}

fn parse_asctime(value: &[u8]) -> Option<i64> {
    let mut rest = Cursor(value);
    rest.name(&WEEKDAYS)?;
    rest.literal(" ")?;
    let month = rest.month()?;
    rest.literal(" ")?;
    // The day is padded with a space, not with a zero.
    let day = if rest.literal(" ").is_some() { rest.digits(1)? } else { rest.digits(2)? };
    rest.literal(" ")?;
    let in_day = rest.time_of_day()?;
    rest.literal(" ")?;
    let year = rest.digits(4)?;
    rest.end()?;
    Date { year, month, day }.to_secs(in_day)
}

/// What is still to be read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Steps over `text`, in any case; stays where it is when something else stands there.
    fn literal(&mut self, text: impl AsRef<[u8]>) -> Option<()> {
        let text = text.as_ref();
        let (head, rest) = self.0.split_at_checked(text.len())?;
        if !head.eq_ignore_ascii_case(text) {
            return None;
        }
        self.0 = rest;
        Some(())
    }

    /// Steps over one of `names` and returns its place in the table.
    fn name(&mut self, names: &[impl AsRef<[u8]>]) -> Option<usize> {
        names.iter().position(|name| self.literal(name).is_some())
    }

    fn month(&mut self) -> Option<i64> {
        let index = self.name(&MONTHS)?;
        i64::try_from(index).ok()?.checked_add(1)
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let number = crate::grammar::parse_digits(self.take(count)?)?;
        i64::try_from(number).ok()
    }

    /// Reads `hh:mm:ss` and returns the seconds since midnight.
    fn time_of_day(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        self.literal(":")?;
        let minute = self.digits(2)?;
        self.literal(":")?;
        let second = self.digits(2)?;
        secs_of_day(hour, minute, second)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// A day of the Gregorian calendar.
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "years are 0 to 9999 and months 1 to 12, far from the ends of i64; divisors are constants"
)]
impl Date {
    /// Returns the Unix time `in_day` seconds into this day; `None` if there is no such day.
    fn to_secs(&self, in_day: i64) -> Option<i64> {
        let exists = (1..=self.days_in_month()).contains(&self.day);
        exists.then(|| self.days() * SECS_PER_DAY + in_day)
    }

    fn days_in_month(&self) -> i64 {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// Counts the days since 1970-01-01.
    ///
    /// The year is taken to begin in March, so that the leap day comes last and the months before
    /// it have `(153 * month + 2) / 5` days.
    fn days(&self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 days are 400 years.
        era * 146_097 + day_of_era - 719_468
    }
}

/// The days since 0000-01-01 at the Unix time `secs`, moved into the years 0 to 9999, and the seconds of the day.
fn since_year_zero(secs: i64) -> (u32, u32) {
    const DAY: u64 = SECS_PER_DAY.unsigned_abs();
    let secs = secs.clamp(FIRST_SECOND, LAST_SECOND).abs_diff(FIRST_SECOND);
    let small = |number| u32::try_from(number).unwrap_or(0);
    (small(secs / DAY), small(secs % DAY))
}

/// Year, month and day of the date that lies `days` days after 0000-01-01; the inverse of [`Date::days`].
///
/// Nothing is negative here, which makes the divisions cheap.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "days are of the years 0 to 9999, and the divisors are constants"
)]
fn date_of(days: u32) -> [u32; 3] {
    // 400 years are added, and taken off the year below. The year 0 begins 60 days before its March.
    let from_era = days + 146_097 - 60;
    let (era, day_of_era) = (from_era / 146_097, from_era % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let is_next_year = month_from_march >= 10;
    let month = if is_next_year { month_from_march - 9 } else { month_from_march + 3 };
    [year_of_era + era * 400 + u32::from(is_next_year) - 400, month, day]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-06-15T12:00:00Z.
    const NOW: UnixTime = UnixTime::from_secs(1_781_524_800);

    #[test]
    fn three_shapes_are_dates_and_nothing_else_is() {
        // (text, expected seconds, why); RFC 9110 §5.6.7.
        const CASES: &[(&str, Option<i64>, &str)] = &[
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777), "IMF-fixdate"),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777), "RFC 850"),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777), "asctime"),
            ("Mon Nov 16 08:49:37 1994", Some(784_975_777), "the weekday is not verified"),
            ("SUN, 06 nOV 1994 08:49:37 gmt", Some(784_111_777), "names in any case"),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0), "the start"),
            ("Sat, 01 Jan 0000 00:00:00 GMT", Some(FIRST_SECOND), "the first year"),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LAST_SECOND), "the last year"),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400), "a leap day of a fourth century"),
            ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_800), "a leap second"),
            ("Thursday, 18-Aug-50 02:01:18 GMT", Some(2_544_400_878), "24 years ahead stays ahead"),
            ("Friday, 18-Aug-78 02:01:18 GMT", Some(272_253_678), "52 years ahead is past"),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None, "only GMT"),
            ("Sun, 06 Nov 1994 08:49:37 +0000", None, "numeric zone"),
            ("Sun, 06 Nov 1994 08:49:37 AEST", None, "other zone"),
            ("Sun, 06 Nov 1994 08:49:37", None, "no zone"),
            ("Sun, 06 Nov 94 08:49:37 GMT", None, "two-digit year in the wrong shape"),
            ("Sun 06 Nov 1994 08:49:37 GMT", None, "missing comma"),
            ("Sun, 06  Nov  1994 08:49:37 GMT", None, "doubled spaces"),
            ("Sun, 06-Nov-1994 08:49:37 GMT", None, "dashes"),
            ("Sun, 06 Nov 1994 08.49.37 GMT", None, "points"),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None, "one-digit day"),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None, "one-digit hour"),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None, "no such hour"),
            ("Sun, 06 Nov 1994 08:60:00 GMT", None, "no such minute"),
            ("Thu, 30 Feb 2023 00:00:00 GMT", None, "no such day"),
            ("Thu, 29 Feb 1900 00:00:00 GMT", None, "not a leap year"),
            ("Thu, 00 Jan 2023 00:00:00 GMT", None, "days count from one"),
            ("Sun Nov 06 08:49:37 1994 GMT", None, "asctime has no zone"),
            ("Sun, 06 Nov 1994 08:49:37 GMT ", None, "trailing space"),
            ("Sun, 06 Nov 1994 08:49:37 GMT, x", None, "two dates on a line"),
            ("0", None, "the usual way to say expired"),
            ("", None, "empty"),
        ];
        for &(text, expected, why) in CASES {
            let parsed = parse_http_date(text.as_bytes(), NOW).map(UnixTime::as_secs);
            assert_eq!(parsed, expected, "{why}\n{text}");
        }
    }

    #[test]
    fn dates_are_written_as_imf_fixdate() {
        let written = |secs| format_http_date(UnixTime::from_secs(secs));
        assert_eq!(written(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(written(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
        assert_eq!(written(i64::MIN), "Sat, 01 Jan 0000 00:00:00 GMT", "clamped");
        assert_eq!(written(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT", "clamped");
    }

    #[test]
    fn every_day_of_four_centuries_is_written_as_it_is_read() {
        // The calendar repeats itself after these.
        for day in 0..146_097 {
            let secs = NOW.as_secs() - 200 * 31_556_952 + day * SECS_PER_DAY;
            assert_eq!(read_fixdate_exactly(&write_fixdate(secs)), Some(secs));
        }
    }

    #[test]
    fn a_two_digit_year_near_a_century_goes_to_the_nearest_side() {
        let at_2099 = UnixTime::from_secs(4_086_000_000);
        let parsed = parse_http_date(b"Thursday, 01-Jan-04 00:00:00 GMT", at_2099);
        assert_eq!(parsed, parse_http_date(b"Tue, 01 Jan 2104 00:00:00 GMT", at_2099));
    }

    #[test]
    fn a_two_digit_year_stands_for_none_that_four_digits_cannot_name() {
        // (now, text, the same in four digits, why).
        const CASES: &[(i64, &str, Option<&str>, &str)] = &[
            (
                FIRST_SECOND,
                "Saturday, 01-Jan-49 00:00:00 GMT",
                Some("Fri, 01 Jan 0049 00:00:00 GMT"),
                "the first century",
            ),
            (FIRST_SECOND, "Saturday, 01-Jan-94 00:00:00 GMT", None, "the one before it"),
            (
                LAST_SECOND,
                "Friday, 01-Jan-04 00:00:00 GMT",
                Some("Thu, 01 Jan 9904 00:00:00 GMT"),
                "not the one after the last",
            ),
        ];
        for &(now, text, expected, why) in CASES {
            let now = UnixTime::from_secs(now);
            let expected = expected.and_then(|text| parse_http_date(text.as_bytes(), now));
            assert_eq!(parse_http_date(text.as_bytes(), now), expected, "{why}: {text}");
        }
    }
}
