//! How long a response is fresh and how old it was on arrival (RFC 9111 §4.2).
//!
//! The variable names are those of the RFC. Whether a stale response may still be used is decided
//! in `reuse`.
//!
//! # Invariants
//!
//! 1. The clock of the origin is only compared with itself: Expires counts from Date.
//! 2. A field that is present and cannot be read gives a lifetime of zero, never the next rule.

use std::time::Duration;

use http::header::{DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::age::parse_age;
use crate::date::parse_http_date;
use crate::policy::{Heuristic, Policy};
use crate::storable::Timing;
use crate::targeted::Governing;
use crate::time::UnixTime;

/// How long a response is fresh, and whether that was stated or guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshnessLifetime {
    /// The time from the making of the response at the origin.
    pub duration: Duration,
    /// Whether it was guessed from Last-Modified (RFC 9111 §4.2.2).
    pub heuristic: bool,
    /// Whether the field that states it could be read; if not, it is zero.
    pub readable: bool,
}

/// Returns the freshness lifetime of a response (RFC 9111 §4.2.1), or `None` if nothing gives it one.
///
/// `arrival` is the wall clock when the response came; it takes the place of an unusable Date.
/// A field that cannot be used counts as present and expired, never as absent.
pub fn freshness_lifetime(
    policy: &Policy,
    governing: &Governing,
    status: StatusCode,
    headers: &HeaderMap,
    arrival: UnixTime,
) -> Option<FreshnessLifetime> {
    let directives = &governing.directives;
    // s-maxage comes first because this is a shared cache (RFC 9111 §5.2.2.10).
    if let Some(lifetime) = directives.s_maxage.or(directives.max_age) {
        return Some(stated(lifetime.usable()));
    }
    // A targeted field replaces Expires as well (RFC 9213 §2.2).
    if !governing.targeted && headers.contains_key(EXPIRES) {
        return Some(stated(expires_after(headers, arrival)));
    }
    let rule = policy.heuristic?;
    if !(is_heuristically_cacheable(status) || directives.public) {
        return None;
    }
    guessed(rule, headers, arrival)
}

/// Returns how old a response was on arrival (RFC 9111 §4.2.3, `corrected_initial_age`).
///
/// Date is truncated to the second, so one second of the apparent age is forgiven; otherwise a
/// response with `max-age=1` would lose half its life on average.
pub fn corrected_initial_age(policy: &Policy, headers: &HeaderMap, timing: Timing) -> Duration {
    let arrival = timing.response.wall;
    let response_delay = timing.response.monotonic.saturating_since(timing.request.monotonic);
    let corrected_age_value = parse_age(headers).saturating_add(response_delay);
    if !policy.apparent_age {
        return corrected_age_value;
    }
    let apparent_age = arrival.saturating_since(response_date(headers, arrival));
    corrected_age_value.max(apparent_age.saturating_sub(Duration::from_secs(1)))
}

/// Returns when the origin made the response: Date, or `arrival` where it is missing or unusable
/// (RFC 9110 §6.6.1).
pub(crate) fn response_date(headers: &HeaderMap, arrival: UnixTime) -> UnixTime {
    parse_first(headers, DATE, arrival).unwrap_or(arrival)
}

/// Returns the date in Last-Modified, `None` where it is missing or unusable.
pub(crate) fn last_modified(headers: &HeaderMap, arrival: UnixTime) -> Option<UnixTime> {
    parse_first(headers, LAST_MODIFIED, arrival)
}

/// Says whether responses with `status` may be stored, and their lifetime guessed, without being
/// told (RFC 9110 §15.1).
pub(crate) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn parse_first(headers: &HeaderMap, name: HeaderName, arrival: UnixTime) -> Option<UnixTime> {
    headers.get(name).and_then(|line| parse_http_date(line.as_bytes(), arrival))
}

/// Returns Expires - Date, with the earliest of several Expires lines (RFC 9111 §4.2.1 and §5.3);
/// `None` where a line cannot be read.
fn expires_after(headers: &HeaderMap, arrival: UnixTime) -> Option<Duration> {
    let date = response_date(headers, arrival);
    headers
        .get_all(EXPIRES)
        .iter()
        .map(|line| parse_http_date(line.as_bytes(), arrival))
        .map(|expires| expires.map(|expires| expires.saturating_since(date)))
        .min()
        .flatten()
}

/// `None` is a field that cannot be read: it counts as expired.
fn stated(duration: Option<Duration>) -> FreshnessLifetime {
    let readable = duration.is_some();
    FreshnessLifetime { duration: duration.unwrap_or_default(), heuristic: false, readable }
}

/// Guesses that what did not change for long will not change soon (RFC 9111 §4.2.2).
fn guessed(rule: Heuristic, headers: &HeaderMap, arrival: UnixTime) -> Option<FreshnessLifetime> {
    let unmodified =
        response_date(headers, arrival).saturating_since(last_modified(headers, arrival)?);
    let share = unmodified.as_secs_f64() * rule.fraction;
    let duration = Duration::try_from_secs_f64(share).unwrap_or(Duration::ZERO).min(rule.max);
    Some(FreshnessLifetime { duration, heuristic: true, readable: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{ARRIVAL, after, at_once, headers};
    use crate::targeted::governing;
    use crate::time::Now;

    fn lifetime(policy: &Policy, status: u16, fields: &str) -> Option<u64> {
        let headers = headers(fields);
        let governing = governing(&headers, &policy.targets);
        let status = StatusCode::from_u16(status).unwrap();
        freshness_lifetime(policy, &governing, status, &headers, ARRIVAL)
            .map(|lifetime| lifetime.duration.as_secs())
    }

    #[test]
    fn freshness_lifetime_takes_the_first_rule_that_applies() {
        // (response fields, expected seconds, why); RFC 9111 §4.2.1, shared cache.
        const CASES: &[(&str, Option<u64>, &str)] = &[
            ("Cache-Control: s-maxage=10, max-age=99", Some(10), "s-maxage wins"),
            ("Cache-Control: max-age=99\nExpires: {date+10}", Some(99), "max-age beats Expires"),
            ("Date: {date}\nExpires: {date+10}", Some(10), "Expires - Date"),
            ("Date: {date-100}\nExpires: {date-90}", Some(10), "counted from Date, not from now"),
            ("Date: {date+100}\nExpires: {date+110}", Some(10), "a fast clock is its own measure"),
            ("Expires: {date+10}", Some(10), "no Date: arrival counts"),
            ("Date: soon\nExpires: {date+10}", Some(10), "unusable Date: arrival counts"),
            ("Date: {date}\nExpires: {date-10}", Some(0), "never negative"),
            ("Expires: 0\nLast-Modified: {date-1000}", Some(0), "unusable Expires is expired"),
            ("Expires: {date+10}\nExpires: 0", Some(0), "two lines: the earliest"),
            ("Cache-Control: max-age=ten\nExpires: {date+10}", Some(0), "unusable, not absent"),
            ("Cache-Control: s-maxage=ten, max-age=10", Some(0), "the same for s-maxage"),
            ("Cache-Control: max-age=-1", Some(0), "negative is unusable"),
            ("Cache-Control: max-age=4294967296", Some(1 << 31), "overflow is clamped"),
            ("CDN-Cache-Control: max-age=5\nCache-Control: s-maxage=9", Some(5), "targeted"),
            ("CDN-Cache-Control: public\nExpires: {date+10}", None, "targeted silences Expires"),
            ("Date: {date}\nLast-Modified: {date-1000}", Some(100), "a tenth of the time"),
            ("Last-Modified: {date-99999999}", Some(86_400), "at most a day"),
            ("Date: {date}\nLast-Modified: {date+10}", Some(0), "modified in the future"),
            ("Last-Modified: yesterday", None, "nothing to guess from"),
            ("ETag: \"a\"", None, "nothing to go on"),
        ];
        for &(fields, expected, why) in CASES {
            assert_eq!(lifetime(&Policy::default(), 200, fields), expected, "{why}\n{fields}");
        }
    }

    #[test]
    fn lifetimes_are_guessed_only_for_known_statuses_or_public() {
        let modified = "Last-Modified: {date-1000}";
        for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
            assert_eq!(lifetime(&Policy::default(), status, modified), Some(100), "{status}");
        }
        for status in [201, 202, 302, 307, 400, 403, 500, 502, 503, 504, 599] {
            assert_eq!(lifetime(&Policy::default(), status, modified), None, "{status}");
            let public = format!("{modified}\nCache-Control: public");
            assert_eq!(lifetime(&Policy::default(), status, &public), Some(100), "{status} public");
        }
        let none = Policy { heuristic: None, ..Policy::default() };
        assert_eq!(lifetime(&none, 200, modified), None, "guessing is switched off");
    }

    #[test]
    fn initial_age_is_the_larger_of_two_reckonings() {
        // (fields, delay in seconds, with apparent age, expected seconds, why); RFC 9111 §4.2.3.
        const CASES: &[(&str, u64, bool, u64, &str)] = &[
            ("Date: {date}", 0, true, 0, "made just before"),
            ("Age: 50\nDate: {date-50}", 0, true, 50, "age travels from tier to tier"),
            ("Age: 50\nDate: {date}", 3, true, 53, "the delay counts as age"),
            ("Date: {date-100}", 0, true, 99, "an old Date is age, less the second it was cut to"),
            ("Date: {date-100}", 0, false, 0, "unless the operator says otherwise"),
            ("Date: {date+100}", 0, true, 0, "a fast clock makes nothing younger than zero"),
            ("Date: junk\nAge: junk", 2, true, 2, "unusable fields say nothing"),
            ("Age: 18446744073709551615", 9, true, (1 << 31) + 9, "the largest age plus delay"),
        ];
        for &(fields, delay, apparent_age, expected, why) in CASES {
            let policy = Policy { apparent_age, ..Policy::default() };
            let response = Now { monotonic: after(delay), wall: ARRIVAL };
            let timing = Timing { request: at_once().request, response };
            let age = corrected_initial_age(&policy, &headers(fields), timing);
            assert_eq!(age, Duration::from_secs(expected), "{why}");
        }
    }
}
