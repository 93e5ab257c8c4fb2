//! Turns an outcome into a response: preconditions and ranges answered, our fields added, inner
//! fields kept from clients.

use std::sync::Arc;
use std::time::Instant;

use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, TRAILER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use weir_access::Denial;
use weir_cache::purge::AsOf;
use weir_cache::{
    CacheStatus, Denied, Direction, Timestamp, announced_trailers, append_via, proxy_status_value,
    strip_hop_by_hop,
};

use crate::access::{NotAdmitted, Refused, word};
use crate::access_log::Record;
use crate::body::{Account, Content, Passing, ResponseBody};
use crate::inbound::Inbound;
use crate::inner;
use crate::limits::Over;
use crate::metrics::CacheOutcome;
use crate::node::Node;
use crate::outcome::{Outcome, Source};
use crate::part;
use crate::refuse;
use crate::site::Site;
use crate::slices::Fetcher;
use crate::upstream::{Answer, FillError};

/// The methods that are a request for a target.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// A request being answered.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) node: &'a Node,
    pub(crate) site: &'a Site,
    pub(crate) inbound: &'a Inbound,
    /// When the request came, on the machine's clock.
    pub(crate) began: Instant,
}

/// The response to one request.
pub(crate) fn finish(asking: Asking<'_>, outcome: Outcome) -> Response<ResponseBody> {
    let Asking { node, site, inbound, began } = asking;
    let now = node.clock.now().monotonic;
    let status = cache_status(node, &outcome, now);
    let (counted, x_cache) = (outcome.counted(), outcome.x_cache());
    let (as_of, failed) = (as_of(node, &outcome.source), made_by_failure(&outcome.source));
    let digest = digest(&outcome.source);
    let mut record =
        node.config.log.access.then(|| Box::new(Record::new(&site.name, inbound, &outcome, began)));
    let healer = outcome.healer;
    let mut response = content(asking, (outcome.source, healer), outcome.collapsed, now);
    let sent = response.status();
    let headers = response.headers_mut();
    status.append_to(headers);
    headers.insert(X_CACHE, HeaderValue::from_static(x_cache.as_str()));
    headers.insert(X_REQUEST_ID, inbound.request_id.clone());
    if inbound.is_child() {
        say_to_child(headers, as_of, failed);
        // Any other status would be that of a part, or of no body at all.
        if let Some((of, digest)) = digest
            && of == sent
            && inbound.method == Method::GET
        {
            headers.insert(inner::DIGEST, digest);
        }
    } else {
        hide(&site.hidden, headers);
        promise(site, inbound, headers);
    }
    let metrics = site.metrics.of(counted);
    metrics.requests.inc();
    metrics.head_seconds.observe(began.elapsed());
    if let Some(record) = &mut record {
        record.status = response.status();
    }
    let account = Account { bytes: metrics.bytes.clone(), record };
    response.map(|content| ResponseBody::new(content, Some(account)))
}

/// The answer to a request that is not let in: one text for all reasons, so that a guesser learns
/// nothing.
pub(crate) fn not_admitted(asking: Asking<'_>, denied: &NotAdmitted) -> Response<ResponseBody> {
    let (status, allowed) = match denied {
        // RFC 9110 §15.5.6 asks for the list; the origin has the last word on each of these.
        Denied::Method => (StatusCode::METHOD_NOT_ALLOWED, Some(METHODS)),
        Denied::Gate(Refused::Rule(denial @ Denial::Method { allowed })) => {
            (denial.status(), Some(&**allowed))
        }
        Denied::Gate(Refused::Rule(denial)) => (denial.status(), None),
        Denied::Gate(Refused::Limit(over)) => return over_a_limit(asking, *over),
    };
    let mut response = refuse::plain(status, "Not allowed.\n");
    if let Some(Ok(allowed)) = allowed.map(HeaderValue::from_str) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    turned_away(asking, response, word(denied))
}

/// The answer to a request that met a limit of its site.
pub(crate) fn over_a_limit(asking: Asking<'_>, over: Over) -> Response<ResponseBody> {
    turned_away(asking, refuse::over_a_limit(over), over.word())
}

/// Completes an answer of our own to a request that goes no further, and accounts for it.
fn turned_away(
    asking: Asking<'_>,
    mut response: Response<Content>,
    why: &'static str,
) -> Response<ResponseBody> {
    let Asking { node, site, inbound, began } = asking;
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, inbound.request_id.clone());
    hide(&site.hidden, headers);
    promise(site, inbound, headers);
    if inbound.method == Method::HEAD {
        *response.body_mut() = Content::Empty;
    }
    let metrics = site.metrics.of(CacheOutcome::Denied);
    metrics.requests.inc();
    metrics.head_seconds.observe(began.elapsed());
    let record = || Box::new(Record::denied(&site.name, inbound, (status, why), began));
    let record = node.config.log.access.then(record);
    let account = Account { bytes: metrics.bytes.clone(), record };
    response.map(|content| ResponseBody::new(content, Some(account)))
}

/// Status, fields and body as their source has them.
fn content(
    asking: Asking<'_>,
    (source, healer): (Source, Option<Arc<Fetcher>>),
    collapsed: bool,
    now: Timestamp,
) -> Response<Content> {
    let Asking { inbound, .. } = asking;
    match source {
        Source::Stored(stored) => part::from_store(inbound, &stored, healer, now),
        Source::Slices(answer) => part::from_slices(inbound, answer, now),
        Source::Parts(answer) => part::from_parts(inbound, &answer, now),
        Source::Filling(head, ticket) if collapsed => {
            part::from_shared_fill(inbound, &head, ticket, now)
        }
        Source::Filling(head, ticket) => part::from_fill(inbound, &head, ticket),
        Source::Forwarded(answer) => from_upstream(asking, *answer),
        Source::Switching(fields) => switching(fields),
        Source::Failed(error) => from_failure(asking, &error),
        Source::Unavailable => {
            refuse::plain(StatusCode::GATEWAY_TIMEOUT, "Nothing stored answers this request.\n")
        }
    }
}

/// An answer passed through, connection fields and inner fields removed. Trailers follow it where
/// the client takes them and no length ends it before them.
fn from_upstream(asking: Asking<'_>, answer: Answer) -> Response<Content> {
    let Asking { node, inbound, .. } = asking;
    let mut headers = answer.headers;
    let trailer = announced_trailers(&headers)
        .filter(|_| part::takes_trailers(inbound) && !headers.contains_key(CONTENT_LENGTH));
    inner::strip(&mut headers);
    strip_hop_by_hop(&mut headers, Direction::Response);
    append_via(&mut headers, answer.version, &node.hop.via);
    if let Some(trailer) = trailer {
        headers.insert(TRAILER, trailer);
    }
    let passing = Passing::new(answer.body, node.upstreams.config().idle_timeout);
    let mut response = Response::new(Content::Upstream(Box::new(passing)));
    *response.status_mut() = answer.status;
    *response.headers_mut() = headers;
    response
}

/// The 101 after which the connection is a tunnel (RFC 9110 §15.2.2).
fn switching(fields: HeaderMap) -> Response<Content> {
    let mut response = Response::new(Content::Empty);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = fields;
    response
}

/// An answer of our own for a request that upstream failed.
fn from_failure(asking: Asking<'_>, error: &FillError) -> Response<Content> {
    let Asking { node, inbound, .. } = asking;
    let status = error.status();
    let mut response = refuse::plain(status, refuse::upstream_text(status));
    let value = proxy_status_value(&node.hop.via, error.proxy_error(), None);
    response.headers_mut().insert(PROXY_STATUS, value);
    if error.limit().is_some() {
        // The rest of the body may come still, and is no request.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if inbound.method == Method::HEAD {
        *response.body_mut() = Content::Empty;
    }
    response
}

/// What this node says in `Cache-Status` (RFC 9211 §2).
fn cache_status(node: &Node, outcome: &Outcome, now: Timestamp) -> CacheStatus {
    let mut status = CacheStatus::new(node.config.tier.as_str());
    status.hit = outcome.forward.is_none()
        && matches!(outcome.source, Source::Stored(_) | Source::Parts(_) | Source::Slices(_));
    status.forward = outcome.forward;
    status.forward_status = outcome.forward_status.map(|status| status.as_u16());
    status.collapsed = outcome.collapsed;
    status.detail = outcome.detail;
    match &outcome.source {
        Source::Stored(stored) => status.ttl = Some(stored.head.plan.ttl_secs(now)),
        Source::Parts(answer) => status.ttl = Some(answer.head().plan.ttl_secs(now)),
        Source::Slices(answer) => status.ttl = Some(answer.slices.head().plan.ttl_secs(now)),
        Source::Filling(head, _) => status.stored = head.admitted,
        Source::Forwarded(_) | Source::Switching(_) | Source::Failed(_) | Source::Unavailable => {}
    }
    status
}

/// The purge log position that the response reflects; `None` where it is not from the store or a
/// fill.
fn as_of(node: &Node, source: &Source) -> Option<AsOf> {
    match source {
        Source::Stored(stored) => node.purges.told(stored.reflects()),
        Source::Parts(answer) => node.purges.told(answer.head().as_of),
        Source::Slices(answer) => node.purges.told(answer.slices.stored().reflects()),
        Source::Filling(head, _) => node.purges.told(head.as_of),
        Source::Forwarded(answer) => answer.as_of,
        Source::Switching(_) | Source::Failed(_) | Source::Unavailable => None,
    }
}

/// The status of a stored response and the digest of its body, where that is known.
fn digest(source: &Source) -> Option<(StatusCode, HeaderValue)> {
    let Source::Stored(stored) = source else { return None };
    let digest = blake3::Hash::from_bytes(*stored.digest()?);
    Some((stored.head.status, HeaderValue::from_str(&digest.to_hex()).ok()?))
}

/// Whether this node made the answer because upstream failed it.
fn made_by_failure(source: &Source) -> bool {
    matches!(source, Source::Failed(_))
}

/// Adds what only a child may see.
fn say_to_child(headers: &mut HeaderMap, as_of: Option<AsOf>, failed: bool) {
    if let Some(as_of) = as_of
        && let Ok(value) = HeaderValue::from_str(&as_of.to_string())
    {
        headers.insert(inner::AS_OF, value);
    }
    if failed {
        headers.insert(inner::FAILURE, HeaderValue::from_static("unreachable"));
    }
}

/// Tells a client that came over TLS how long it is to do so.
fn promise(site: &Site, inbound: &Inbound, headers: &mut HeaderMap) {
    if inbound.secured.is_some() && !inbound.is_child() {
        site.security.promise(inbound.target.host_without_port(), headers);
    }
}

/// Removes the fields that the site does not show to clients.
fn hide(hidden: &[HeaderName], headers: &mut HeaderMap) {
    for name in hidden {
        headers.remove(name);
    }
}
