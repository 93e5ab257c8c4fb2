//! How both sides are asked about one exchange.

pub(crate) mod exchange;
mod wrong;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_cache_semantics::{CacheOptions, CachePolicy};
use weir_cache::{
    NotStorable, Now, Policy, RequestHead, ResponseHead, Seq, StoredHead, Timestamp, Timing,
    UnixTime, format_http_date,
};

/// 2026-06-15T12:00:00Z, when responses arrive.
pub(crate) const ARRIVAL: UnixTime = UnixTime::from_secs(1_781_524_800);

/// A status and fields.
pub(crate) type Answer = (StatusCode, HeaderMap);

/// The monotonic instant `secs` seconds after arrival.
pub(crate) fn after(secs: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000).saturating_add(Duration::from_secs(secs))
}

/// The same instant for the crate.
pub(crate) fn crate_time(secs: u64) -> SystemTime {
    let arrival = Duration::from_secs(u64::try_from(ARRIVAL.as_secs()).unwrap());
    SystemTime::UNIX_EPOCH + arrival + Duration::from_secs(secs)
}

/// The wall clock `secs` seconds after arrival, or before.
pub(crate) fn date(secs: i64) -> UnixTime {
    UnixTime::from_secs(ARRIVAL.as_secs() + secs)
}

/// What we make of an answer to a GET that took `delay` to come.
pub(crate) fn derive(
    policy: &Policy,
    request: &HeaderMap,
    (status, fields): &Answer,
    delay: Duration,
) -> Result<StoredHead, NotStorable> {
    let request = RequestHead { method: &Method::GET, headers: request, target_uri: None };
    let response = ResponseHead { status: *status, headers: fields.clone() };
    let sent = Timestamp::from_micros(1_000_000_000 - u64::try_from(delay.as_micros()).unwrap());
    let timing = Timing {
        request: Now { monotonic: sent, wall: ARRIVAL },
        response: Now { monotonic: after(0), wall: ARRIVAL },
    };
    StoredHead::derive(policy, &request, &response, timing, Seq::new(0))
}

/// What the crate makes of the same, as a shared cache.
pub(crate) fn their_policy(request: &HeaderMap, answer: &Answer) -> CachePolicy {
    let options =
        CacheOptions { immutable_min_time_to_live: Duration::ZERO, ..CacheOptions::default() };
    CachePolicy::new_options(&ask(request), &response(answer), crate_time(0), options)
}

/// A GET.
pub(crate) fn ask(fields: &HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.headers_mut() = fields.clone();
    request
}

/// A response without a body.
pub(crate) fn response((status, fields): &Answer) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = *status;
    *response.headers_mut() = fields.clone();
    response
}

/// Reads one field a line, bytes above ASCII as Latin-1; `{date}`, `{date+10}` and `{date-10}` are
/// dates around the arrival.
pub(crate) fn fields(text: &str) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap();
        let value: Vec<u8> =
            fill_dates(value.trim()).chars().map(|c| u8::try_from(c).unwrap()).collect();
        map.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(&value).unwrap());
    }
    map
}

fn fill_dates(value: &str) -> String {
    let Some((before, rest)) = value.split_once("{date") else { return value.to_owned() };
    let (shift, behind) = rest.split_once('}').unwrap();
    let secs: i64 = if shift.is_empty() { 0 } else { shift.parse().unwrap() };
    format!("{before}{}{behind}", format_http_date(date(secs)).to_str().unwrap())
}
