//! Answers a plain request that hyper has read: over HTTP/2, or over TLS.

use std::time::Instant;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use weir_cache::{Scheme, content_range};

use super::find::{Found, find};
use super::plain::{FIELDS_MAX, Plain};
use super::ready::{self, Answer};
use crate::body::{Account, Content, ResponseBody};
use crate::handle::Remote;
use crate::inbound::fresh_id;
use crate::metrics::CacheOutcome;
use crate::node::Node;
use crate::part;

static X_CACHE: HeaderName = HeaderName::from_static("x-cache");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Fields that an answer has beyond those stored.
const FIELDS_ADDED: usize = 8;

/// The answer to `request`, if it is plain and can be had at once.
///
/// # Errors
///
/// The request, for the long way.
#[expect(clippy::result_large_err, reason = "it is what came in, and goes on at once")]
pub(crate) fn answer(
    node: &Node,
    remote: &Remote,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Request<Incoming>> {
    let began = Instant::now();
    let found = find_for(node, remote, &request);
    found.map_or(Err(request), |found| Ok(respond(node, remote, found, began)))
}

fn find_for(node: &Node, remote: &Remote, request: &Request<Incoming>) -> Option<Found> {
    if !node.config.express || !request.body().is_end_stream() {
        return None;
    }
    let scheme = if remote.secured.is_some() { Scheme::Https } else { Scheme::Http };
    if request.uri().scheme_str().is_some_and(|said| said != scheme.as_str()) {
        return None;
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let plain = Plain::of(request, &mut fields)?;
    let found = find(node, remote, &plain)?;
    (!found.is_in_files()).then_some(found)
}

fn respond(node: &Node, remote: &Remote, found: Found, began: Instant) -> Response<ResponseBody> {
    let site = &found.known.site;
    let status = if found.range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let make = || Answer::new(node, &found, still(remote, &found));
    let mut headers = match found.range {
        None => ready::headers(&found, make),
        Some(_) => make().at(&found),
    };
    if site.fields.request_id {
        let mut id = fresh_id();
        // No two are alike: what HPACK would keep of one is of no use (RFC 7541 §7.1.3).
        id.set_sensitive(true);
        headers.insert(X_REQUEST_ID.clone(), id);
    }
    let metrics = site.metrics.of(CacheOutcome::Hit);
    metrics.requests.inc();
    metrics.head_seconds.observe(began.elapsed());
    node.metrics.express.inc();
    let content = match found.share(found.body()) {
        bytes if bytes.is_empty() => Content::Empty,
        bytes => Content::Whole(bytes),
    };
    let account = Account { bytes: metrics.bytes.clone(), record: None };
    let mut response = Response::new(ResponseBody::new(content, Some(account)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.map(|body| body.limited(found.into_place(), None))
}

/// The fields that are the same whenever the same part is asked for, with room for the others.
fn still(remote: &Remote, found: &Found) -> HeaderMap {
    let site = &found.known.site;
    let is_sent = |name: &HeaderName| !site.unsent.holds(name);
    let mut headers = found.stored.head.headers.to_map_where(FIELDS_ADDED, is_sent);
    set_extent(&mut headers, found);
    if site.fields.x_cache {
        headers.insert(X_CACHE.clone(), HeaderValue::from_static("HIT"));
    }
    if site.fields.request_id {
        // Every answer puts its own in its place; a copy of the map has no room to add one.
        headers.insert(X_REQUEST_ID.clone(), HeaderValue::from_static("0"));
    }
    if remote.secured.is_some() {
        site.security.promise(found.known.keyed.target.host_without_port(), &mut headers);
    }
    headers
}

/// Says which bytes of the body these are, and how many.
fn set_extent(headers: &mut HeaderMap, found: &Found) {
    let length = found.stored.body.len();
    let Some(range) = found.range else {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        return;
    };
    part::strip_digests_of_whole(headers);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.len()));
    headers.insert(CONTENT_RANGE, content_range(range, length));
}
