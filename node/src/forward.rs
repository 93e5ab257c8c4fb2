//! Passes a request on without touching the store, and invalidates what it changed.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use hyper::body::Incoming;
use weir_cache::{
    CacheKey, ForwardReason, Target, check as check_access, invalidates, same_origin_references,
};

use crate::fill::as_failure_of_parent;
use crate::lookup::Asked;
use crate::node::Node;
use crate::outcome::Outcome;
use crate::upstream::Answer;
use crate::upstream::request::forward_request;

/// Passes the request on, body and all.
pub(crate) async fn forward(
    node: &Node,
    asked: Asked<'_>,
    body: Option<Incoming>,
    why: ForwardReason,
    detail: Option<&'static str>,
) -> Outcome {
    let mut request = forward_request(asked.inbound, body, asked.keyed, asked.site, &node.hop);
    request.interim = asked.interim_sink();
    let sent = node.upstreams.send(&asked.site.upstream, request).await;
    match sent.and_then(as_failure_of_parent) {
        Ok(answer) => {
            invalidate_changed(node, asked, &answer).await;
            Outcome::forwarded(answer, why, detail)
        }
        Err(error) => {
            let uri = asked.inbound.target.uri();
            let chain = crate::telemetry::chain(&error).to_string();
            tracing::warn!(
                site = asked.site.name,
                target_uri = uri,
                error = chain,
                "not forwarded"
            );
            Outcome::failed(Arc::new(error), why)
        }
    }
}

/// Invalidates what an unsafe method may have changed: the target, and what the answer refers to on
/// the same origin (RFC 9111 §4.4). Happens before the client can see the answer.
async fn invalidate_changed(node: &Node, asked: Asked<'_>, answer: &Answer) {
    let (method, status): (&Method, StatusCode) = (&asked.inbound.method, answer.status);
    if !invalidates(method, status) {
        return;
    }
    invalidate(node, &asked.keyed.key).await;
    for uri in same_origin_references(&asked.inbound.target.uri(), &answer.headers) {
        if let Some(key) = key_of(asked, &uri) {
            invalidate(node, &key).await;
        }
    }
}

/// Removes what is stored under `key` and lets no fill in flight store under it.
async fn invalidate(node: &Node, key: &CacheKey) {
    node.fills.overtake(key);
    node.store.remove(key).await;
}

/// The key that a plain GET of `uri` has at this site; `None` if it names nothing here.
fn key_of(asked: Asked<'_>, uri: &str) -> Option<CacheKey> {
    let target: Target = uri.parse().ok()?;
    let (site, fields) = (asked.site, HeaderMap::new());
    let now = weir_cache::UnixTime::from_secs(0);
    let granted = check_access(&site.access, &Method::GET, &fields, target, now).ok()?;
    let headers = &asked.inbound.headers;
    Some(CacheKey::derive(&site.name, &site.key_rules, granted, headers).key)
}
