//! What of this crate fuzz targets see: readers of bytes from the network and from disks that stay inside otherwise.
//!
//! Behind the feature `fuzzing`, and no promise to anybody: `fuzz/` alone uses it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use weir_cache::purge::{Entry, Selector};

use crate::inner::{self, Signed};
use crate::purge::{Ask, Line, Order};
use crate::{TierSecret, push};

/// Adds the proof of the child `node` at `secs` to a request, and nothing where none can be written.
pub fn prove(
    secret: &TierSecret,
    (method, target): (&str, &str),
    (node, secs): (&str, i64),
    headers: &mut HeaderMap,
) {
    inner::sign(secret, &Signed { method, target, node, secs }, headers);
}

/// The child that has proven itself at `now`; `None` for a client.
pub fn proven(
    secret: &TierSecret,
    (method, target): (&str, &str),
    headers: &HeaderMap,
    now: i64,
) -> Option<String> {
    inner::verify(Some(secret), method, target, headers, now).ok()
}

/// Removes every inner field.
pub fn strip_inner(headers: &mut HeaderMap) {
    inner::strip(headers);
}

/// The field that vouches for a message, and how many nodes have passed one on.
pub fn control(body: &[u8], hops: u8) -> HeaderValue {
    inner::control(body, hops)
}

/// How many nodes have passed a message on, if it is the one that was vouched for.
pub fn control_hops(value: &HeaderValue, body: &[u8]) -> Option<u8> {
    inner::control_hops(value, body)
}

/// The URLs that a sitemap or an index names, `max` at most; `None` for what is neither.
pub fn sitemap(bytes: &[u8], max: usize) -> Option<Vec<String>> {
    match push::read_sitemap(bytes, max).ok()? {
        push::Named::Sitemaps(urls) | push::Named::Urls(urls) => Some(urls),
    }
}

/// The URLs that a manifest names, `max` at most.
pub fn manifest(bytes: &[u8], max: usize) -> Option<Vec<String>> {
    push::read_manifest(bytes, max).ok()
}

/// What an entry of the purge log means.
pub fn log_entry(bytes: &[u8]) -> Entry {
    crate::purge::numbered(1, bytes).record.entry()
}

/// A line of what a node knows of purges, written again.
pub fn known_line(bytes: &[u8]) -> Option<Vec<u8>> {
    Line::decode(bytes)?.encode().ok()
}

/// An object that a child passes up, written again.
pub fn put(message: &Bytes) -> Option<Bytes> {
    push::write_put(&push::read_put(message)?).ok()
}

/// What a message of a child asks to purge, as it is and once it was passed on; `None` for other messages.
pub fn order(message: &[u8]) -> Option<[Vec<Selector>; 2]> {
    let ask: Ask = serde_json::from_slice(message).ok()?;
    let Ask::Append { order, .. } = ask else { return None };
    let order = Order::from_form(&order)?;
    let passed_on = Order::from_form(&order.form()).map(|order| order.selectors);
    Some([order.selectors, passed_on.unwrap_or_default()])
}

/// How long a server keeps a connection, if it says so.
pub fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    crate::upstream::said_timeout(headers)
}
