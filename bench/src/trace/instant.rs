//! Which moment does a log's date stand for?
//!
//! Three spellings: RFC 3339 in UTC, the one of the combined format with its offset, and a date beside a time.

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` for a date that does not exist.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..=9_999).contains(&year) {
        return None;
    }
    // Years begin in March, so that the leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn number(text: &str) -> Option<i64> {
    let is_digits = !text.is_empty() && text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    if is_digits { text.parse().ok() } else { None }
}

/// Milliseconds of `hh:mm:ss`, with a fraction if there is one.
fn of_day(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let second = parts.next()?;
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    let second = number(second)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut ms = 0;
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        ms = ms * 10 + i64::from(digit - b'0');
    }
    Some(((hour * 60 + minute) * 60 + second) * 1_000 + ms)
}

/// Milliseconds since 1970 of `2024-02-29` and `23:59:59.999`, in UTC.
pub(super) fn of_date_and_time(date: &str, time: &str) -> Option<i64> {
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    Some(days(number(year)?, number(month)?, number(day)?)? * 86_400_000 + of_day(time)?)
}

/// The same for `2024-02-29T23:59:59.999Z`.
pub(super) fn of_rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    of_date_and_time(date, time.strip_suffix('Z')?)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The same for `29/Feb/2024:23:59:59 +0130`.
pub(super) fn of_combined(text: &str) -> Option<i64> {
    let (local, offset) = text.split_once(' ')?;
    let (date, time) = local.split_once(':')?;
    let mut parts = date.splitn(3, '/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().zip(1..).find(|(name, _)| **name == month)?.1;
    let (sign, digits) = match (offset.strip_prefix('+'), offset.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (None, Some(digits)) => (-1, digits),
        (None, None) => return None,
    };
    let (hours, minutes) = (number(digits.get(..2)?)?, number(digits.get(2..)?)?);
    let behind = sign * (hours * 60 + minutes) * 60_000;
    Some(days(number(year)?, month, number(day)?)? * 86_400_000 + of_day(time)? - behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_three_spellings() {
        // (spelling, milliseconds since 1970, why)
        let cases = [
            (of_rfc3339("1970-01-01T00:00:00Z"), Some(0), "the beginning"),
            (
                of_rfc3339("2024-02-29T12:30:15.25Z"),
                Some(1_709_209_815_250),
                "a leap day, a fraction",
            ),
            (of_rfc3339("2000-03-01T00:00:00.123456Z"), Some(951_868_800_123), "microseconds"),
            (of_rfc3339("1969-12-31T23:59:59.999Z"), Some(-1), "before the beginning"),
            (of_combined("10/Oct/2000:13:55:36 -0700"), Some(971_211_336_000), "west"),
            (of_combined("10/Oct/2000:13:55:36 +0530"), Some(971_166_336_000), "east"),
            (of_date_and_time("2019-12-04", "21:02:31"), Some(1_575_493_351_000), "two columns"),
            (of_rfc3339("2024-02-29 12:30:15Z"), None, "no T"),
            (of_rfc3339("2024-13-01T00:00:00Z"), None, "no such month"),
            (of_rfc3339("2024-01-01T24:00:00Z"), None, "no such hour"),
            (of_rfc3339("2024-01-01T00:00:00.x1Z"), None, "no fraction"),
            (of_combined("10/Okt/2000:13:55:36 -0700"), None, "no such month"),
            (of_combined("10/Oct/2000:13:55:36 07é0"), None, "no offset"),
            (of_combined("10/Oct/2000:13:55:36 +é"), None, "cut in a character"),
            (of_date_and_time("99999999999999999999-1-1", "0:0:0"), None, "too large"),
        ];
        for (found, expected, why) in cases {
            assert_eq!(found, expected, "{why}");
        }
    }
}
