//! What the unit tests of this crate share: messages written as text, and fixed instants.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::date::format_http_date;
use crate::not_storable::NotStorable;
use crate::policy::Policy;
use crate::seq::Seq;
use crate::storable::{RequestHead, ResponseHead, Timing};
use crate::stored::StoredHead;
use crate::time::{Now, Timestamp, UnixTime};

/// 2026-06-15T12:00:00Z, when the responses of the tests arrive.
pub(crate) const ARRIVAL: UnixTime = UnixTime::from_secs(1_781_524_800);

/// The target of the tests.
pub(crate) const TARGET: &str = "http://example.com/a/b?c=d";

/// The monotonic instant `secs` seconds after responses arrive.
pub(crate) fn after(secs: u64) -> Timestamp {
    Timestamp::from_micros(5_000_000).saturating_add(Duration::from_secs(secs))
}

/// A response that arrives without delay.
pub(crate) fn at_once() -> Timing {
    let now = Now { monotonic: after(0), wall: ARRIVAL };
    Timing { request: now, response: now }
}

/// Reads one field a line; `{date}`, `{date+10}` and `{date-10}` are dates around [`ARRIVAL`].
pub(crate) fn headers(fields: &str) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in fields.lines() {
        let (name, value) = line.split_once(':').unwrap();
        let value = fill_dates(value.trim());
        map.append(
            HeaderName::try_from(name.trim()).unwrap(),
            HeaderValue::try_from(value).unwrap(),
        );
    }
    map
}

fn fill_dates(value: &str) -> String {
    let Some((before, rest)) = value.split_once("{date") else { return value.to_owned() };
    let (shift, after) = rest.split_once('}').unwrap();
    let secs: i64 = if shift.is_empty() { 0 } else { shift.parse().unwrap() };
    let date = format_http_date(UnixTime::from_secs(ARRIVAL.as_secs().saturating_add(secs)));
    format!("{before}{}{after}", date.to_str().unwrap())
}

/// A response with `fields`, as one cache would get it.
pub(crate) fn response(status: u16, fields: &str) -> ResponseHead {
    ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers: headers(fields) }
}

/// Derives the stored head of a 200 with `fields`, asked for without any field.
pub(crate) fn stored(fields: &str) -> Result<StoredHead, NotStorable> {
    stored_under(&Policy::default(), fields)
}

/// Like [`stored`], with the choices of `policy`.
pub(crate) fn stored_under(policy: &Policy, fields: &str) -> Result<StoredHead, NotStorable> {
    let none = HeaderMap::new();
    let request = RequestHead { method: &Method::GET, headers: &none, target_uri: Some(TARGET) };
    StoredHead::derive(policy, &request, &response(200, fields), at_once(), Seq::new(7))
}
