//! Stores an object that an operator hands over, as if the origin had just sent it.
//!
//! It goes the way that a request for it would take, to the node that asks the origins. There the rules
//! of storing decide. What was stored before is purged everywhere, through the log; the object reflects
//! that purge, so it stays, and a purge that follows removes it like any other response.
//!
//! # Invariants
//!
//! 1. What may not be stored purges nothing.
//! 2. No fill that began before the object was stored leaves an older response in its place: fills in
//!    flight at the top are overtaken, and what may have slipped through is purged once more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, DATE, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use weir_cache::purge::{AsOf, Mode, Selector};
use weir_cache::{
    CacheKey, Direction, Keyed, RequestHead, ResponseHead, Seq, StoredHead, Target, Timing,
    format_http_date, strip_hop_by_hop,
};
use weir_store::StoredResponse;

use super::fetch::header_map;
use super::record::{TaskOrder, Terms};
use crate::access;
use crate::body::Content;
use crate::inner;
use crate::node::Node;
use crate::purge::{Order, message};
use crate::refuse;
use crate::site::Site;

/// What a message begins with that carries an object.
const MAGIC: &[u8] = b"weir-put 1\n";
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long a put may take at the nodes above.
const WITHIN: Duration = Duration::from_secs(60);
/// How long the purge may take to come to the node that stores.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(10);
/// Times that fills which slipped through are purged.
const ROUNDS_MAX: usize = 4;

/// An object to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    /// What is not the body.
    pub(crate) head: PutHead,
    /// The body.
    pub(crate) body: Bytes,
}

/// All of an object but its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PutHead {
    /// Where it is to be had.
    pub(crate) url: String,
    /// Its status.
    pub(crate) status: u16,
    /// Its fields.
    pub(crate) headers: Vec<(String, String)>,
}

/// An object that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accepted {
    /// The purge log position that it reflects: what lower tiers must have applied before they fetch it.
    pub(crate) after: Option<String>,
}

/// Why an object was not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PutError {
    /// It is no response, or of no site.
    #[error("{0}")]
    Wrong(String),
    /// The rules of storing refuse it; the token says why.
    #[error("the rules of caching do not let it be stored: {0}")]
    NotStorable(String),
    /// It is larger than the node that stores takes.
    #[error("the body is too large (expected at most {0} bytes)")]
    TooLarge(u64),
    /// Something failed that may work later.
    #[error("{0}")]
    Failed(String),
}

/// Stores `put` at the node that asks the origins, which may be this one.
pub(crate) async fn accept(node: &Arc<Node>, put: Put) -> Result<Accepted, PutError> {
    let object = Object::read(node, put)?;
    if node.parents.seats().is_empty() {
        return object.store(node).await;
    }
    let passed = tokio::time::timeout(WITHIN, object.pass_up(node)).await;
    passed.unwrap_or_else(|_late| Err(PutError::Failed("no answer in time".to_owned())))
}

/// Whether a message of a child carries an object.
pub(crate) fn is_put(message: &[u8]) -> bool {
    message.starts_with(MAGIC)
}

/// Answers a child that passes an object up.
pub(crate) async fn answer(node: &Arc<Node>, message: &Bytes) -> Response<Content> {
    let result = match read(message) {
        Some(put) => Box::pin(accept(node, put)).await,
        None => Err(PutError::Wrong("the message cannot be read".to_owned())),
    };
    match serde_json::to_vec(&result) {
        Ok(bytes) => Response::new(Content::Whole(bytes.into())),
        Err(error) => refuse::plain_owned(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// An object as it travels: a line, its head in one line, its body.
pub(crate) fn write(put: &Put) -> Result<Bytes, PutError> {
    let head =
        serde_json::to_vec(&put.head).map_err(|error| PutError::Failed(error.to_string()))?;
    Ok([MAGIC, &head, b"\n", &put.body].concat().into())
}

pub(crate) fn read(message: &Bytes) -> Option<Put> {
    let rest = message.strip_prefix(MAGIC)?;
    let head_bytes = rest.iter().position(|byte| *byte == b'\n')?;
    let head = serde_json::from_slice(rest.get(..head_bytes)?).ok()?;
    let body = message.slice(MAGIC.len() + head_bytes + 1..);
    Some(Put { head, body })
}

/// An object at its site.
struct Object {
    put: Put,
    site: Arc<Site>,
    keyed: Keyed,
    /// The request that it answers.
    request: HeaderMap,
    response: ResponseHead,
}

impl Object {
    fn read(node: &Node, put: Put) -> Result<Self, PutError> {
        let wrong = |why: String| PutError::Wrong(why);
        let status = StatusCode::from_u16(put.head.status)
            .map_err(|_odd| wrong(format!("{} is no status", put.head.status)))?;
        let target: Target =
            put.head.url.parse().map_err(|bad| wrong(format!("{:?}: {bad}", put.head.url)))?;
        let target = target.without_port();
        let site = node.sites.load().find(target.host_without_port()).cloned();
        let site = site.ok_or_else(|| {
            wrong(format!("no site has the host {:?}", target.host_without_port()))
        })?;
        let mut headers = header_map(&put.head.headers);
        inner::strip(&mut headers);
        strip_hop_by_hop(&mut headers, Direction::Response);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(put.body.len()));
        let now = node.clock.now();
        headers.entry(DATE).or_insert_with(|| format_http_date(now.wall));
        let request = request_for(&headers);
        let granted = access::for_operator(target)
            .ok_or_else(|| wrong("it cannot be asked for".to_owned()))?;
        let keyed = CacheKey::derive(&site.name, &site.key_rules, granted, &request);
        Ok(Self { put, site, keyed, request, response: ResponseHead { status, headers } })
    }

    /// The head that is stored, if the rules let it.
    fn derive(&self, node: &Node, as_of: Seq) -> Result<StoredHead, PutError> {
        let uri = self.keyed.target.uri();
        let request =
            RequestHead { method: &Method::GET, headers: &self.request, target_uri: Some(&uri) };
        let now = node.clock.now();
        let timing = Timing { request: now, response: now };
        let policy = self.site.policy_for(&self.keyed, self.response.status);
        if self.site.bypasses(&self.keyed) {
            return Err(PutError::NotStorable("rule-bypass".to_owned()));
        }
        StoredHead::derive(&policy, &request, &self.response, timing, as_of)
            .map_err(|reason| PutError::NotStorable(reason.as_str().to_owned()))
    }

    async fn store(&self, node: &Arc<Node>) -> Result<Accepted, PutError> {
        let limit = node.store.limits().object_bytes_max.min(super::PUT_BYTES_MAX);
        if self.put.body.len() as u64 > limit {
            return Err(PutError::TooLarge(limit));
        }
        self.derive(node, node.purges.applied())?;
        let mut after = None;
        for _ in 0..ROUNDS_MAX {
            let purged = self.purge(node).await?;
            after = Some(purged.to_string());
            if self.insert(node, purged).await? {
                break;
            }
        }
        node.push.metrics.puts.inc();
        tracing::info!(url = self.put.head.url, bytes = self.put.body.len(), "an object was put");
        Ok(Accepted { after })
    }

    /// Purges what is stored for the URL, on all nodes; returns when it holds here.
    async fn purge(&self, node: &Node) -> Result<AsOf, PutError> {
        let failed = |why: &str| PutError::Failed(why.to_owned());
        let order = Order {
            reason: "an object was put in its place".to_owned(),
            implied: true,
            by: node.config.name.clone(),
            ..Order::new(Mode::Purge, vec![Selector::url(&self.keyed.target)])
        };
        let receipt = node
            .log
            .append(order, Duration::ZERO)
            .await
            .map_err(|error| failed(&crate::telemetry::chain(&error).to_string()))?;
        let followed = node.purges.as_of().filter(|_| node.purges.has_joined());
        let epoch = followed.ok_or_else(|| failed("no purge log is followed yet"))?.epoch;
        let purged = AsOf { epoch, seq: receipt.seq };
        if !node.purges.catch_up(purged, CATCH_UP_WITHIN).await {
            return Err(failed("this node does not hear of purges"));
        }
        Ok(purged)
    }

    /// Stores the object; returns whether nothing else can have been stored since the purge.
    async fn insert(&self, node: &Node, purged: AsOf) -> Result<bool, PutError> {
        let key = self.keyed.key;
        let as_of = node.purges.applied();
        let since = node.purges.heard(Some(purged));
        let mut alone = !node.fills.is_listed(&key);
        let variants = node.store.lookup(&key).await;
        let newer = variants.iter().flat_map(|list| list.iter());
        alone &= !newer.into_iter().any(|stored| stored.head.as_of >= since);
        let head = node.store.compact(self.derive(node, as_of)?);
        let stored = StoredResponse::new(head, self.put.body.clone(), &self.keyed.text);
        node.fills.overtake(&key);
        let policy = &self.site.policy;
        if !node.store.insert(key, Arc::new(stored), &self.request, policy).await {
            return Err(PutError::TooLarge(node.store.limits().object_bytes_max));
        }
        node.unshared.forget(&key);
        // A fill that is under way now began before the object was to be found.
        alone &= !node.fills.is_listed(&key);
        Ok(alone)
    }

    /// Hands the object to the parent that a request for it would go to.
    async fn pass_up(&self, node: &Node) -> Result<Accepted, PutError> {
        let failed = |why: &dyn std::fmt::Display| PutError::Failed(why.to_string());
        let out = message(write(&self.put)?, self.keyed.key);
        let answer = node
            .upstreams
            .send(&node.parents, out)
            .await
            .map_err(|error| failed(&crate::telemetry::chain(&error)))?;
        let status = answer.status;
        let body = Limited::new(answer.body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| failed(&error))?.to_bytes();
        if status != StatusCode::OK {
            return Err(failed(&format!("the parent answered {status}")));
        }
        let result: Result<Accepted, PutError> =
            serde_json::from_slice(&body).map_err(|error| failed(&error))?;
        result
    }
}

/// The preload that brings the object `head` to `tiers`.
pub(crate) fn spread_of(node: &Node, head: &PutHead, tiers: Vec<String>) -> Spread {
    let request = request_for(&header_map(&head.headers));
    let headers = request
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let terms = Terms { tiers, headers: headers.collect(), ..Terms::default() };
    let by = node.config.name.clone();
    Spread(TaskOrder { urls: vec![head.url.clone()], terms, by, reason: "put".to_owned() })
}

/// A preload of an object that is still to be stored.
#[derive(Debug)]
pub(crate) struct Spread(TaskOrder);

impl Spread {
    /// The preload, to be begun where it is known that the object took the place of others.
    pub(crate) fn after(mut self, accepted: Accepted) -> TaskOrder {
        self.0.terms.after = accepted.after;
        self.0
    }
}

/// The request that a put object answers: one that takes the coding that the object has.
fn request_for(response: &HeaderMap) -> HeaderMap {
    let mut request = HeaderMap::new();
    if let Some(coding) = response.get(CONTENT_ENCODING) {
        request.insert(ACCEPT_ENCODING, coding.clone());
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_travels_whole() {
        let head = PutHead {
            url: "http://a/\n".to_owned(),
            status: 200,
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        };
        let put = Put { head, body: Bytes::from_static(b"one\ntwo\0") };
        let message = write(&put).unwrap();
        assert!(is_put(&message) && !is_put(b"{\"report\":1}"));
        let back = read(&message).unwrap();
        assert_eq!((back.head, back.body), (put.head, put.body));
        for junk in ["", "weir-put 1\n", "weir-put 1\n{}\n", "weir-put 1\nx"] {
            assert!(read(&Bytes::from_static(junk.as_bytes())).is_none(), "{junk:?}");
        }
    }
}
