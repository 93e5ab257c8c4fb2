//! Ranges of what is not stored as a whole: answered from the parts that are held, or fetched as asked.
//!
//! Fetching the whole for a small part of something unknown may cost gigabytes, so the range goes
//! upstream as it is, and what comes back is kept as a part (RFC 9111 §3.3). Stale parts are asked
//! about in the same request.

use std::sync::Arc;

use http::{Method, StatusCode};
use weir_cache::{
    ByteRange, ForwardReason, HeldParts, NotModified, Now, StoredHead, judge_not_modified,
};
use weir_store::{PartsChange, StoredParts, Variants};

use crate::fill::{FillWork, Lead, Progress, Standby, Ticket};
use crate::lookup::{Asked, Trust, join};
use crate::node::Node;
use crate::outcome::Outcome;
use crate::upstream::request::forward_request;
use crate::upstream::{Answer, FillError};

/// What is said in `Cache-Status` of a range that was asked for by itself.
pub(crate) const DETAIL: Option<&str> = Some("range");

/// A range that lies wholly inside the parts that are held.
#[derive(Debug, Clone)]
pub(crate) struct PartAnswer {
    /// The parts.
    pub(crate) stored: Arc<StoredParts>,
    /// The bytes asked for.
    pub(crate) range: ByteRange,
}

impl PartAnswer {
    /// The head of the whole.
    pub(crate) fn head(&self) -> &StoredHead {
        &self.stored.held.head
    }

    /// The answer of `stored` to a request; `None` if it has none.
    pub(crate) fn of(stored: &Arc<StoredParts>, asked: Asked<'_>) -> Option<Self> {
        // RFC 9110 §14.2: no other method has ranges.
        let gets = asked.inbound.method == Method::GET;
        let range = gets.then(|| stored.held.answer(&asked.inbound.headers)).flatten()?;
        Some(Self { stored: Arc::clone(stored), range })
    }
}

/// The parts that are held for the variant that a request selects. Those that a purge matches, or may
/// match, count as not held: there is little to gain from asking about them.
pub(crate) fn select(
    node: &Node,
    asked: Asked<'_>,
    variants: &Variants,
) -> Option<Arc<StoredParts>> {
    let trusted = asked.trust == Trust::Full;
    let parts = variants.select_parts(&asked.inbound.headers, &asked.site.policy)?;
    (trusted && node.purges.is_clear(parts.subject(), parts.held.head.as_of))
        .then(|| Arc::clone(parts))
}

/// Fetches a range as it was asked for and keeps it if it may be; `known` are the parts held.
pub(crate) async fn fetch(
    node: &Arc<Node>,
    asked: Asked<'_>,
    why: ForwardReason,
    known: Option<Arc<StoredParts>>,
) -> Outcome {
    let mut request = forward_request(asked.inbound, None, asked.keyed, asked.site, &node.hop);
    request.interim = asked.interim_sink();
    request.position = asked.position(node);
    let stale = known
        .as_ref()
        .and_then(|known| PartAnswer::of(known, asked))
        .filter(|stale| stale.stored.held.condition(&mut request.headers));
    let Lead { begun, ticket } = node.fills.begin_alone(&join(node, asked, None));
    let standby = Standby::new(node, begun);
    let work = asked.work(node);
    let sent = node.clock.now();
    let answer = match node.upstreams.send(&asked.site.upstream, request).await {
        Ok(answer) => answer,
        Err(error) => return failed(asked, error, why),
    };
    if let Some(stale) = stale
        && answer.status == StatusCode::NOT_MODIFIED
    {
        return match confirm(node, &standby, &work, (&stale, &answer, sent)).await {
            Some(confirmed) => Outcome::parts_validated(confirmed, why),
            // The 304 answers a condition that the client has not set, so it never reaches it.
            None => Box::pin(fetch(node, asked, why, None)).await,
        };
    }
    match standby.run(work, answer, sent) {
        Ok(()) => streamed(ticket, why).await,
        Err(answer) => {
            drop_if_contradicted(node, asked, known.as_deref(), &answer).await;
            Outcome::forwarded(*answer, why, DETAIL)
        }
    }
}

/// Freshens stale parts by a 304 (RFC 9111 §4.3.4); `None` if it is about something else or the
/// parts may not be kept any more, and then they are gone.
async fn confirm(
    node: &Node,
    standby: &Standby,
    work: &FillWork,
    (stale, answer, sent): (&PartAnswer, &Answer, Now),
) -> Option<PartAnswer> {
    let (old, key) = (&stale.stored, work.keyed.key);
    if !node.purges.is_clear(old.subject(), old.held.head.as_of) {
        node.store.remove(&key).await;
        return None;
    }
    let head = match judge_not_modified(stale.head(), &answer.headers) {
        NotModified::Applies => standby.freshened(work, stale.head(), answer, sent),
        NotModified::Mismatch => None,
    };
    let Some(head) = head else {
        node.store.remove(&key).await;
        return None;
    };
    let held = HeldParts { head: node.store.compact(head), ..old.held.clone() };
    let stored = Arc::new(StoredParts { held, text: old.text.clone() });
    // What was removed while upstream was asked does not come back.
    node.store.replace_parts(key, old, Arc::clone(&stored)).await;
    Some(PartAnswer { stored, range: stale.range })
}

/// The part that streams in.
pub(crate) async fn streamed(ticket: Ticket, why: ForwardReason) -> Outcome {
    match ticket.progress().await {
        Progress::Private(head) => Outcome::filling(head, ticket, why),
        Progress::Failed(error) => Outcome::failed(error, why),
        Progress::Pending | Progress::Shared(_) | Progress::Settled(_) | Progress::Abandoned => {
            Outcome::failed(Arc::new(FillError::Abandoned), why)
        }
    }
}

/// Lets go of parts of which an answer shows that they are of another body.
async fn drop_if_contradicted(
    node: &Node,
    asked: Asked<'_>,
    known: Option<&StoredParts>,
    answer: &Answer,
) {
    let contradicted = |held: &HeldParts| held.is_contradicted(&answer.headers);
    if answer.status.is_success() && known.is_some_and(|known| contradicted(&known.held)) {
        let (headers, policy) = (&asked.inbound.headers, &asked.site.policy);
        let change = |now_held: Option<&Arc<StoredParts>>| match now_held {
            Some(parts) if contradicted(&parts.held) => PartsChange::Drop,
            _ => PartsChange::Keep,
        };
        node.store.change_parts(asked.keyed.key, headers, policy, change).await;
    }
}

/// No answer: the client learns that upstream failed.
pub(crate) fn failed(asked: Asked<'_>, error: FillError, why: ForwardReason) -> Outcome {
    let target_uri = asked.inbound.target.uri();
    let chain = crate::telemetry::chain(&error).to_string();
    tracing::warn!(site = asked.site.name, target_uri, error = chain, "not forwarded");
    Outcome::failed(Arc::new(error), why)
}
