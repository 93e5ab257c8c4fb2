//! Runs one fill: asks upstream, decides what the answer means, pumps the body, stores it.
//!
//! A run is a task of its own, so that no client's leaving ends it by accident. It always publishes
//! an outcome: if the task itself is lost, [`Running`] releases everyone on drop.
//!
//! ```text
//! found meanwhile? ── send ──► 304 ──► freshen ──────────────► Settled
//!                        ├──► 5xx, a stale response may stand in ► Settled
//!                        ├──► failed ──► likewise, or Failed
//!                        └──► a response ──► Shared | Private ──► pump ──► store ──► end
//! ```

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use weir_cache::purge::{Standing, Tagged};
use weir_cache::{
    Direction, Failure, Keyed, NotModified, NotStorable, Now, RequestHead, ResponseHead, Reuse,
    RuleEffect, Seq, StoredHead, Timestamp, Timing, announced_trailers, condition_on, freshen,
    judge_not_modified, strip_hop_by_hop,
};
use weir_store::{StoredParts, StoredResponse};

use super::part;
use super::progress::{FillHead, Progress, Settled, SettledBy};
use super::pump;
use super::table::{Begun, Fill};
use crate::config::Tier;
use crate::inner;
use crate::lookup::Trust;
use crate::metrics::SiteReason;
use crate::node::Node;
use crate::site::Site;
use crate::stand_in::may_stand_in;
use crate::upstream::{Answer, FillError, Kind, OutBody, OutRequest};

/// What a run needs beside its fill.
pub(crate) struct FillWork {
    /// The site.
    pub(crate) site: Arc<Site>,
    /// The key and the canonical target.
    pub(crate) keyed: Keyed,
    /// The request upstream, without conditions.
    pub(crate) request: OutRequest,
    /// The stored response that is to be validated; `None` for a plain fetch.
    pub(crate) stored: Option<Arc<StoredResponse>>,
    /// Parts that are held of what is fetched, so that only the rest need come.
    pub(crate) held: Option<Arc<StoredParts>>,
    /// Whether the asker wants no stale answer on the way (a refresh).
    pub(crate) refresh: bool,
    /// Whether this node knew of every purge that the request must reflect.
    pub(crate) trust: Trust,
    /// The method that is answered: GET, or a POST whose answer later GETs may get.
    pub(crate) method: Method,
}

/// Starts the run of a fill in a task of its own.
pub(crate) fn spawn(node: &Arc<Node>, begun: Begun, work: FillWork) {
    let running = Running::new(node, begun);
    node.metrics.fills.inc();
    tokio::spawn(async move { Box::pin(run(&running, work)).await });
}

/// Starts the run of a fill whose answer is here already.
pub(crate) fn spawn_answered(
    node: &Arc<Node>,
    begun: Begun,
    work: FillWork,
    answer: Answer,
    sent: Now,
) {
    let running = Running::new(node, begun);
    node.metrics.fills.inc();
    tokio::spawn(async move { Box::pin(on_answer(&running, &work, answer, sent)).await });
}

/// A run under way; releases everyone when it is dropped, whatever the reason.
pub(super) struct Running {
    pub(super) node: Arc<Node>,
    begun: Begun,
}

impl Running {
    pub(super) fn new(node: &Arc<Node>, begun: Begun) -> Self {
        Self { node: Arc::clone(node), begun }
    }

    /// The fill that runs.
    pub(super) fn fill(&self) -> &Arc<Fill> {
        self.begun.fill()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let fill = self.fill();
        self.node.fills.remove(fill);
        fill.publish_if_pending(Progress::Abandoned);
        fill.body.finish(super::body::End::Cut(Arc::new(FillError::Abandoned)));
        self.node.fills.ended();
    }
}

async fn run(running: &Running, mut work: FillWork) {
    if let Some(found) = found_meanwhile(running, &work).await {
        running.fill().publish(settled(found, SettledBy::Found));
        return;
    }
    let held = work.held.take();
    if let Some(held) =
        held.filter(|held| running.node.purges.is_clear(held.subject(), held.held.head.as_of))
    {
        // Seldom, and larger than all else here.
        return Box::pin(part::complete(running, &work, &held)).await;
    }
    let sent = running.node.clock.now();
    match ask(running, &work, work.stored.as_deref()).await {
        Ok(answer) if is_not_modified(&answer, &work) => {
            Box::pin(on_not_modified(running, &mut work, answer, sent)).await;
        }
        Ok(answer) => on_answer(running, &work, answer, sent).await,
        Err(error) => on_failure(running, &work, error),
    }
}

/// A fresh response that was stored between the lookup and the start of this fill.
///
/// Without this second look, a request that missed just before another fill stored its response
/// would ask upstream again.
async fn found_meanwhile(running: &Running, work: &FillWork) -> Option<Arc<StoredResponse>> {
    let (node, fill) = (&running.node, running.fill());
    let variants = node.store.lookup(&fill.key).await?;
    let stored = variants.select(&fill.request_headers, &work.site.policy)?;
    let known = work.stored.as_ref().is_some_and(|old| Arc::ptr_eq(old, stored));
    let fresh = stored.head.judge(None, node.clock.now().monotonic) == Reuse::Fresh
        && work.trust == Trust::Full
        && node.purges.standing(stored) == Standing::Clear;
    if known || !fresh {
        return None;
    }
    node.store.resident(&fill.key, Arc::clone(stored)).await
}

/// Sends the fill's request, with the conditions of `stored` if there is one.
pub(super) async fn ask(
    running: &Running,
    work: &FillWork,
    stored: Option<&StoredResponse>,
) -> Result<Answer, FillError> {
    let mut headers = work.request.headers.clone();
    // The whole is asked for; parts are cut from it here.
    headers.remove(http::header::RANGE);
    headers.remove(http::header::IF_RANGE);
    if let Some(stored) = stored {
        condition_on(&stored.head, &mut headers);
    }
    ask_with(running, work, headers).await
}

/// Sends the fill's request with these fields.
pub(super) async fn ask_with(
    running: &Running,
    work: &FillWork,
    headers: HeaderMap,
) -> Result<Answer, FillError> {
    let request = OutRequest { interim: work.request.interim.clone(), ..get(work, headers) };
    running.node.upstreams.send(&work.site.upstream, request).await
}

/// The fill's request with these fields, without a way for interim responses.
pub(crate) fn get(work: &FillWork, mut headers: HeaderMap) -> OutRequest {
    if work.refresh && work.site.upstream.kind() == Kind::Parents {
        headers.insert(inner::REFRESH, HeaderValue::from_static("1"));
    }
    OutRequest {
        method: Method::GET,
        path_and_query: work.request.path_and_query.clone(),
        headers,
        body: OutBody::Empty,
        key: work.request.key,
        interim: None,
        position: work.request.position,
        avoid: None,
    }
}

fn is_not_modified(answer: &Answer, work: &FillWork) -> bool {
    answer.status == StatusCode::NOT_MODIFIED && work.stored.is_some()
}

/// A 304: the stored response holds, with newer fields (RFC 9111 §4.3.4), unless it speaks of
/// another one; then the stored copy is dropped and the whole is asked for.
async fn on_not_modified(running: &Running, work: &mut FillWork, answer: Answer, sent: Now) {
    let Some(stored) = work.stored.take() else { return };
    let (headers, as_of) = received_fields(running, &answer);
    drop(answer);
    // A 304 says that the validator still holds, not that the bytes are from after a purge. What it makes of
    // the stored response reflects no purge that is not looked at in the next line.
    let as_of = as_of.min(running.node.purges.applied());
    let is_gone = matches!(running.node.purges.standing(&stored), Standing::Purged { .. });
    let timing = Timing { request: sent, response: running.node.clock.now() };
    let request = request_head(running, work, None);
    let policy = work.site.policy_for(&work.keyed, stored.head.status);
    let fresh = match judge_not_modified(&stored.head, &headers) {
        NotModified::Applies if !is_gone => {
            freshen(&stored.head, &policy, &request, &headers, timing, as_of).ok()
        }
        NotModified::Applies | NotModified::Mismatch => None,
    };
    let Some(head) = fresh else {
        running.node.store.remove(&running.fill().key).await;
        let sent = running.node.clock.now();
        match ask(running, work, None).await {
            Ok(answer) => on_answer(running, work, answer, sent).await,
            Err(error) => on_failure(running, work, error),
        }
        return;
    };
    let (body, text) = (stored.body.clone(), stored.text());
    let freshened = StoredResponse::new(running.node.store.compact(head), body, &text);
    if let Some(digest) = stored.digest() {
        freshened.note_digest(*digest);
    }
    let freshened = Arc::new(freshened);
    // What was removed while upstream was asked does not come back.
    running.node.store.replace(running.fill().key, &stored, Arc::clone(&freshened)).await;
    running.fill().publish(settled(freshened, SettledBy::Validated));
}

/// Any other answer: it fills, unless it is an error that a stale response may stand in for.
pub(super) async fn on_answer(running: &Running, work: &FillWork, mut answer: Answer, sent: Now) {
    let node = &running.node;
    let now = node.clock.now();
    if answer.status.is_server_error() {
        note_failed_refresh(running, work);
    }
    if answer.status.is_server_error()
        && let Some(stored) = &work.stored
        && may_stand_in(node, &work.site, work.trust, (stored, Failure::ServerError))
    {
        let by = SettledBy::ServerError(answer.status);
        running.fill().publish(settled(Arc::clone(stored), by));
        return;
    }
    if answer.is_unsolicited() {
        let upstream = answer.upstream.authority().to_owned();
        on_failure(running, work, FillError::Unsolicited { upstream, status: answer.status });
        return;
    }
    let trailer = announced_trailers(&answer.headers);
    let headers = std::mem::take(&mut answer.headers);
    let (headers, as_of) = clean(running, headers, &answer);
    let response = ResponseHead { status: answer.status, headers };
    let timing = Timing { request: sent, response: now };
    let uri = work.keyed.target.uri();
    let request = request_head(running, work, Some(&uri));
    let policy = work.site.policy_for(&work.keyed, response.status);
    let derived = StoredHead::derive(&policy, &request, &response, timing, as_of);
    #[cfg(feature = "policy-audit")]
    {
        let (policy, request, response) = (&policy, &request, &response);
        let exchange = crate::audit::Exchange { policy, request, response, timing };
        crate::audit::compare(&node.metrics, exchange, &derived);
    }
    let head = make_head(running, work, response, as_of, derived);
    let head = Arc::new(FillHead { trailer, ..head });
    running.fill().publish(progress_of(&head));
    pump::pump(running, work, &head, answer).await;
}

/// No answer: a stale response stands in if it may (RFC 9111 §4.2.4), else everyone learns why.
pub(super) fn on_failure(running: &Running, work: &FillWork, error: FillError) {
    let node = &running.node;
    node.metrics.fills_failed.inc();
    note_failed_refresh(running, work);
    tracing::warn!(site = work.site.name, target_uri = %work.keyed.target, error = %crate::telemetry::chain(&error), "fill failed");
    let stands_in = work.stored.as_ref().filter(|stored| {
        may_stand_in(node, &work.site, work.trust, (stored, Failure::Unreachable))
    });
    running.fill().publish(match stands_in {
        Some(stored) => settled(Arc::clone(stored), SettledBy::Unreachable),
        None => Progress::Failed(Arc::new(error)),
    });
}

/// The answer's fields without those of the connection, and the purge log position they reflect.
pub(super) fn received_fields(running: &Running, answer: &Answer) -> (HeaderMap, Seq) {
    clean(running, answer.headers.clone(), answer)
}

/// The same of the fields that were taken out of the answer.
fn clean(running: &Running, mut headers: HeaderMap, answer: &Answer) -> (HeaderMap, Seq) {
    let as_of = running.node.purges.heard_now(answer.as_of);
    inner::strip(&mut headers);
    strip_hop_by_hop(&mut headers, Direction::Response);
    weir_cache::append_via(&mut headers, answer.version, &running.node.hop.via);
    (headers, as_of)
}

/// Whether no purge that this node has applied has overtaken a response to this fill.
pub(super) fn is_clear(running: &Running, stored: &StoredHead, as_of: Seq) -> bool {
    let subject = running.fill().subject(Tagged::Known(&stored.tags));
    running.node.purges.is_clear(subject, as_of)
}

pub(super) fn request_head<'a>(
    running: &'a Running,
    work: &'a FillWork,
    target_uri: Option<&'a str>,
) -> RequestHead<'a> {
    RequestHead { method: &work.method, headers: &running.fill().request_headers, target_uri }
}

fn make_head(
    running: &Running,
    work: &FillWork,
    response: ResponseHead,
    as_of: Seq,
    derived: Result<StoredHead, NotStorable>,
) -> FillHead {
    let content_length = content_length(&response.headers);
    let limit = running.node.store.limits().object_bytes_max;
    let (storable, reason) = match derived {
        Ok(storable) => (Some(storable), None),
        Err(reason) => (None, Some(reason)),
    };
    note_shareability(running, work, &response, storable.as_ref(), reason);
    let fits = content_length.is_none_or(|length| length <= limit);
    let clear = storable.as_ref().is_some_and(|stored| is_clear(running, stored, as_of));
    let admitted = clear && fits && !running.fill().is_overtaken();
    let too_large = (storable.is_some() && !fits).then_some("too-large");
    if let Some(reason) = too_large {
        count_not_stored(running, work, reason);
    }
    let rule = storable.as_ref().and_then(|stored| stored.plan.rule).map(RuleEffect::as_str);
    let detail = reason.map(|reason| reason.as_str()).or(too_large).or(rule);
    let (part, trailer) = (None, None);
    FillHead { response, storable, part, trailer, admitted, detail, as_of, content_length }
}

/// Counts why a response is not stored, and remembers the key where the next will be like it.
///
/// Errors are not remembered: one bad request, or one bad moment of the origin, must not let everyone
/// through to it.
fn note_shareability(
    running: &Running,
    work: &FillWork,
    response: &ResponseHead,
    storable: Option<&StoredHead>,
    reason: Option<NotStorable>,
) {
    let (node, key) = (&running.node, running.fill().key);
    let is_error = response.status.is_client_error() || response.status.is_server_error();
    if let Some(reason) = reason {
        count_not_stored(running, work, reason.as_str());
    }
    let shared = storable.is_some_and(|stored| is_reusable(stored, stored.plan.response_time()));
    if shared {
        node.unshared.forget(&key);
    } else if !is_error && reason.is_none_or(|reason| reason.lasting()) {
        node.unshared.remember(key);
    }
}

/// Counts a response that is not stored, under the reason why.
pub(super) fn count_not_stored(running: &Running, work: &FillWork, reason: &'static str) {
    let labels = SiteReason { site: work.site.name.clone(), reason };
    running.node.metrics.not_stored.get_or_create(&labels).inc();
}

/// The body's announced length.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A response may be shared with those who wait exactly where it could be reused from the store
/// without asking upstream (RFC 9111 §4).
pub(super) fn progress_of(head: &Arc<FillHead>) -> Progress {
    let reusable = |stored: &StoredHead| is_reusable(stored, stored.plan.response_time());
    if head.storable.as_ref().is_some_and(reusable) {
        Progress::Shared(Arc::clone(head))
    } else {
        Progress::Private(Arc::clone(head))
    }
}

/// Whether a stored response answers without asking upstream at `now`.
pub(crate) fn is_reusable(stored: &StoredHead, now: Timestamp) -> bool {
    stored.judge(None, now) != Reuse::Validate
}

/// Leaves a key alone for a moment whose refresh has failed.
fn note_failed_refresh(running: &Running, work: &FillWork) {
    if work.refresh {
        running.node.unrefreshed.remember(running.fill().key);
    }
}

fn settled(stored: Arc<StoredResponse>, by: SettledBy) -> Progress {
    Progress::Settled(Settled { stored, by })
}

/// Stores a whole response, unless an invalidation overtook the fill.
///
/// Returns whether it is kept. The fill leaves the table after this, never before.
pub(super) async fn keep(
    running: &Running,
    work: &FillWork,
    response: Arc<StoredResponse>,
) -> bool {
    let (node, fill) = (&running.node, running.fill());
    if fill.is_overtaken() {
        return false;
    }
    if !is_clear(running, &response.head, response.head.as_of) {
        count_not_stored(running, work, "purged");
        return false;
    }
    if response.head.tags.is_overflowing() {
        node.metrics.purge.overflowing_tags.inc();
    }
    let policy = &work.site.policy;
    let kept = node.store.insert(fill.key, response, &fill.request_headers, policy).await;
    // An invalidation marks the fill before it removes from the store. So if it removed before this
    // response came in, the mark is seen here.
    if fill.is_overtaken() {
        node.store.remove(&fill.key).await;
        return false;
    }
    kept
}

/// Puts a whole body under the head that came with it, and stores both.
pub(super) async fn keep_body(
    running: &Running,
    work: &FillWork,
    head: &StoredHead,
    body: Bytes,
) -> bool {
    let mut head = head.clone();
    // A body whose length was not announced has one once it is whole.
    head.headers = head.headers.with(&CONTENT_LENGTH, &HeaderValue::from(body.len()));
    let head = running.node.store.compact(head);
    let digest = (running.node.config.tier != Tier::Edge).then(|| blake3::hash(&body));
    let response = StoredResponse::new(head, body, &work.keyed.text);
    if let Some(digest) = digest {
        // Children compare what they get with it.
        response.note_digest(digest.into());
    }
    keep(running, work, Arc::new(response)).await
}
