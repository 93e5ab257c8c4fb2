//! What does an answer that passes by tell about what is stored?
//!
//! An unsafe method invalidates (RFC 9111 §4.4); the answer to a HEAD confirms a stored response or
//! shows that it is out of date (RFC 9111 §4.3.5). Both take effect before the client can see the
//! answer.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use weir_cache::{
    CacheKey, Direction, Now, RequestHead, Target, Timing, UnixTime, check as check_access,
    confirms_by_head, freshen, invalidates, same_origin_references, strip_hop_by_hop,
};
use weir_store::StoredResponse;

use crate::inner;
use crate::lookup::Asked;
use crate::node::Node;
use crate::upstream::Answer;

/// Lets `answer`, to a request sent at `sent`, take effect on the store.
pub(crate) async fn take_effect(node: &Node, asked: Asked<'_>, answer: &Answer, sent: Now) {
    if asked.inbound.method == Method::HEAD && answer.status == StatusCode::OK {
        update_by_head(node, asked, answer, sent).await;
    }
    invalidate_changed(node, asked, answer).await;
}

/// Freshens the stored GET response that a HEAD confirms, removes one that it contradicts.
async fn update_by_head(node: &Node, asked: Asked<'_>, answer: &Answer, sent: Now) {
    let (key, policy) = (asked.keyed.key, &asked.site.policy);
    let variants = node.store.lookup(&key).await;
    let headers = &asked.inbound.headers;
    let Some(stored) = variants.as_ref().and_then(|list| list.select(headers, policy)) else {
        return;
    };
    let mut said = answer.headers.clone();
    inner::strip(&mut said);
    strip_hop_by_hop(&mut said, Direction::Response);
    let confirmed = confirms_by_head(&stored.head, answer.status, &said);
    let request = RequestHead { method: &Method::GET, headers, target_uri: None };
    let timing = Timing { request: sent, response: node.clock.now() };
    let as_of = stored.head.as_of;
    match freshen(&stored.head, policy, &request, &said, timing, as_of) {
        Ok(head) if confirmed => {
            let (body, text) = (stored.body.clone(), stored.text.clone());
            let freshened = Arc::new(StoredResponse { head, body, text });
            node.store.insert(key, freshened, headers, policy).await;
        }
        _ => invalidate(node, &key).await,
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
    let now = UnixTime::from_secs(0);
    let granted = check_access(&site.access, &Method::GET, &fields, target, now).ok()?;
    let headers = &asked.inbound.headers;
    Some(CacheKey::derive(&site.name, &site.key_rules, granted, headers).key)
}
