//! Dates: a line with the present in seconds, then the field value.

#![no_main]

use std::ops::RangeInclusive;

use libfuzzer_sys::fuzz_target;
use weir_cache::{UnixTime, format_http_date, parse_http_date};
use weir_fuzz::Input;

/// 0000-01-01T00:00:00Z to 9999-12-31T23:59:59Z, what a date can name.
const NAMEABLE: RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;
const HALF_CENTURY: i64 = 1_577_847_600;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let now = i64::try_from(input.number(1 << 38)).expect("38 bits fit") - (1 << 36);
    let value = input.rest();
    let found = parse_http_date(value, UnixTime::from_secs(now)).map(UnixTime::as_secs);
    check_shape(value, found, now);
    if let Some(secs) = found {
        check_round_trip(secs);
        check_spelling(value, secs);
    }
    check_against_httpdate(value, found);
    check_round_trip(now);
});

/// Only RFC 850 depends on the present, and never lies more than 50 years ahead of it.
fn check_shape(value: &[u8], found: Option<i64>, now: i64) {
    let other = parse_http_date(value, UnixTime::from_secs(0)).map(UnixTime::as_secs);
    if value.contains(&b'-') {
        assert!(found.is_none_or(|secs| secs <= now.saturating_add(HALF_CENTURY)));
    } else {
        assert_eq!(found, other, "no century is guessed");
    }
    let zoned = value.to_ascii_uppercase().ends_with(b" GMT");
    let asctime = value.len() == 24;
    assert!(found.is_none() || zoned || asctime, "no other zone and no other shape");
}

/// What was read, written in the three shapes, is what was there but for case and day of the week.
fn check_spelling(value: &[u8], secs: i64) {
    let value = value.to_ascii_lowercase();
    // A leap second is read as the second after.
    if value.windows(3).any(|window| window == b":60") {
        return;
    }
    let text = format_http_date(UnixTime::from_secs(secs));
    let text = text.to_str().expect("visible ASCII").to_ascii_lowercase();
    let (day, month, year, time) = (&text[5..7], &text[8..11], &text[12..16], &text[17..25]);
    let unpadded = day.trim_start_matches('0');
    let shapes = [
        format!(", {day} {month} {year} {time} gmt"),
        format!("day, {day}-{month}-{} {time} gmt", &year[2..]),
        format!(" {month} {unpadded:>2} {time} {year}"),
        format!(" {month} {day} {time} {year}"),
    ];
    assert!(shapes.iter().any(|shape| value.ends_with(shape.as_bytes())), "{text}");
}

fn check_round_trip(secs: i64) {
    if !NAMEABLE.contains(&secs) {
        return;
    }
    let text = format_http_date(UnixTime::from_secs(secs));
    let again = parse_http_date(text.as_bytes(), UnixTime::from_secs(0));
    assert_eq!(again, Some(UnixTime::from_secs(secs)), "{text:?}");
    if let Ok(secs) = u64::try_from(secs) {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs);
        assert_eq!(text, httpdate::fmt_http_date(at));
    }
}

/// What `httpdate` reads of a date with four digits of year, we read alike.
fn check_against_httpdate(value: &[u8], found: Option<i64>) {
    let Ok(text) = std::str::from_utf8(value) else { return };
    let Ok(theirs) = httpdate::parse_http_date(text) else { return };
    if !text.contains('-') && text.trim() == text {
        let since = theirs.duration_since(std::time::UNIX_EPOCH).expect("it knows no earlier date");
        assert_eq!(found, i64::try_from(since.as_secs()).ok(), "{text}");
    }
}
