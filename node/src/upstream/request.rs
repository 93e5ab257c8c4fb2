//! Which fields does a request upstream carry?

use http::header::{CONNECTION, EXPECT, HOST, IF_MATCH, IF_UNMODIFIED_SINCE, TE, TRAILER, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use weir_cache::{
    HopIdentity, Keyed, Target, append_cdn_loop, append_forwarded, append_via, strip_conditionals,
};

use super::out::{OutBody, OutRequest, Position};
use crate::inbound::{Inbound, Peer};
use crate::limits::Upload;
use crate::site::Site;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Adds our hop to the fields of `inbound`, and the client's address where we are the first tier.
///
/// Called on the way upstream only: a hit pays for none of it.
fn add_hop(headers: &mut HeaderMap, inbound: &Inbound, hop: &HopIdentity) {
    if inbound.peer == Peer::Client {
        let target = &inbound.target;
        append_forwarded(headers, inbound.address, target.host(), target.scheme());
    }
    append_via(headers, inbound.version, &hop.via);
    append_cdn_loop(headers, &hop.cdn_id, &hop.node);
    headers.insert(REQUEST_ID, inbound.request_id.clone());
    if inbound.takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        // RFC 9110 §10.1.4: it is said anew on every connection.
        headers.insert(CONNECTION, HeaderValue::from_static("TE"));
    }
    if let Some(upgrade) = &inbound.upgrade {
        headers.insert(UPGRADE, upgrade.protocols.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    // hyper answers the client's expectation itself when the body is first read.
    headers.remove(EXPECT);
}

/// A GET that fills: the client's validation is left for us to evaluate on the whole response.
pub(crate) fn fill_request(
    inbound: &Inbound,
    keyed: &Keyed,
    site: &Site,
    hop: &HopIdentity,
) -> OutRequest {
    let mut headers = inbound.headers.clone();
    strip_conditionals(&mut headers);
    add_hop(&mut headers, inbound, hop);
    set_host(&mut headers, &keyed.target, site);
    OutRequest {
        method: Method::GET,
        path_and_query: keyed.target.path_and_query(),
        headers,
        body: OutBody::Empty,
        key: keyed.key,
        interim: None,
        position: Position::default(),
        avoid: None,
    }
}

/// A request that is passed on as it is.
pub(crate) fn forward_request(
    inbound: &Inbound,
    body: Option<Upload>,
    keyed: &Keyed,
    site: &Site,
    hop: &HopIdentity,
) -> OutRequest {
    let mut headers = inbound.headers.clone();
    add_hop(&mut headers, inbound, hop);
    set_host(&mut headers, &keyed.target, site);
    if let (Some(trailer), Some(_)) = (&inbound.trailer, &body) {
        headers.insert(TRAILER, trailer.clone());
    }
    // What the key leaves out of the query means something to a method that acts on it.
    let target = match inbound.method {
        Method::GET | Method::HEAD if inbound.upgrade.is_none() => &keyed.target,
        _ => &inbound.target,
    };
    OutRequest {
        method: inbound.method.clone(),
        path_and_query: target.path_and_query(),
        headers,
        body: body.map_or(OutBody::Empty, OutBody::client),
        key: keyed.key,
        interim: None,
        position: Position::default(),
        avoid: None,
    }
}

/// Whether the request carries a precondition that only the origin may evaluate.
pub(crate) fn has_state_precondition(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH) || headers.contains_key(IF_UNMODIFIED_SINCE)
}

/// Puts one Host field first: the client's, or the site's own name for its origins.
///
/// Between tiers the client's host always goes up, since the parent needs it for the key; the tier
/// that asks the origin replaces it.
fn set_host(headers: &mut HeaderMap, target: &Target, site: &Site) {
    let text = match (&site.origin_host, site.asks_origins) {
        (Some(host), true) => host.clone(),
        _ => target.host().to_owned(),
    };
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(HOST, value);
    }
}
