//! How does a part that was asked for by itself come to lie in the store, and how is it used when the
//! whole is fetched?
//!
//! It goes the way of a fill that nobody may join: the client reads it while it comes in, and what
//! came whole is put to the parts that are held. Its fill begins before the request is sent, so that
//! an invalidation on the way keeps it out of the store.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::AGE;
use weir_cache::{ByteRange, Kept, Now, ReceivedPart, ResponseHead, StoredHead, Timing, freshen};
use weir_store::{PartsChange, StoredParts, StoredResponse};

use super::progress::{FillHead, Progress};
use super::pump;
use super::run::{
    FillWork, Running, ask, ask_with, content_length, count_not_stored, is_clear, on_answer,
    on_failure, progress_of, received_fields, request_head,
};
use super::table::Begun;
use crate::node::Node;
use crate::upstream::Answer;

/// A place among the fills for a part that is being asked for. Dropped, it leaves no trace.
pub(crate) struct Standby(pub(super) Running);

impl Standby {
    /// Takes the place of a fill that has begun and is not run yet.
    pub(crate) fn new(node: &Arc<Node>, begun: Begun) -> Self {
        Self(Running::new(node, begun))
    }

    /// Runs the fill with `answer`, in a task of its own.
    ///
    /// # Errors
    ///
    /// The answer, where it is not to be kept. It is to be passed on by the caller.
    pub(crate) fn run(self, work: FillWork, answer: Answer, sent: Now) -> Result<(), Box<Answer>> {
        let Self(running) = self;
        let Some(head) = part_head(&running, &work, &answer, sent) else {
            return Err(Box::new(answer));
        };
        running.node.metrics.fills.inc();
        tokio::spawn(async move {
            let head = Arc::new(head);
            running.fill().publish(Progress::Private(Arc::clone(&head)));
            Box::pin(pump::pump(&running, &work, &head, answer)).await;
        });
        Ok(())
    }

    /// The head of `stored` after a 304; `None` where it may not be kept any more.
    pub(crate) fn freshened(
        &self,
        work: &FillWork,
        stored: &StoredHead,
        answer: &Answer,
        sent: Now,
    ) -> Option<StoredHead> {
        let Self(running) = self;
        let (headers, as_of) = received_fields(running, answer);
        // The bytes are as old as they were.
        let as_of = as_of.min(stored.as_of);
        let timing = Timing { request: sent, response: running.node.clock.now() };
        let policy = work.site.policy_for(&work.keyed, StatusCode::OK);
        let request = request_head(running, work, None);
        freshen(stored, &policy, &request, &headers, timing, as_of).ok()
    }
}

/// The head of a fill whose answer is a part that may be kept.
fn part_head(running: &Running, work: &FillWork, answer: &Answer, sent: Now) -> Option<FillHead> {
    if answer.status != StatusCode::PARTIAL_CONTENT {
        return None;
    }
    let (headers, as_of) = received_fields(running, answer);
    let response = ResponseHead { status: answer.status, headers };
    let timing = Timing { request: sent, response: running.node.clock.now() };
    let policy = work.site.policy_for(&work.keyed, StatusCode::OK);
    let request = request_head(running, work, None);
    match ReceivedPart::derive(&policy, &request, &response, timing, as_of) {
        Ok(part) => Some(FillHead {
            admitted: is_admitted(running, &part),
            content_length: content_length(&response.headers),
            response,
            storable: None,
            part: Some(part),
            trailer: None,
            detail: Some("range"),
            as_of,
        }),
        Err(reason) => {
            count_not_stored(running, work, reason.as_str());
            None
        }
    }
}

/// Whether the node wants to keep it.
fn is_admitted(running: &Running, part: &ReceivedPart) -> bool {
    let limit = running.node.store.limits().object_bytes_max;
    part.range().len() <= limit && !running.fill().is_overtaken()
}

/// Puts a part that came whole to those that are held, unless an invalidation overtook it.
///
/// Returns whether it is kept.
pub(super) async fn keep_part(
    running: &Running,
    work: &FillWork,
    part: &ReceivedPart,
    body: Bytes,
) -> bool {
    let (node, fill) = (&running.node, running.fill());
    if fill.is_overtaken() {
        return false;
    }
    if !is_clear(running, part.head(), part.head().as_of) {
        count_not_stored(running, work, "purged");
        return false;
    }
    let policy = work.site.policy_for(&work.keyed, StatusCode::OK);
    let limit = node.store.limits().object_bytes_max;
    let change = |old: Option<&Arc<StoredParts>>| {
        // What does not fit together is begun anew with the part that was wanted last.
        let room = limit.saturating_sub(body.len() as u64);
        let held = old
            .map(|old| &old.held)
            .filter(|held| held.pieces.held().1 <= room)
            .filter(|held| is_clear(running, &held.head, held.head.as_of));
        match part.keep(&policy, &request_head(running, work, None), body, held) {
            Kept::Nothing if old.is_some_and(|old| part.contradicts(&old.held)) => {
                PartsChange::Drop
            }
            kept => change_to(running, work, kept),
        }
    };
    let (headers, key) = (&fill.request_headers, fill.key);
    let kept = node.store.change_parts(key, headers, &work.site.policy, change).await;
    // As for a whole response: an invalidation marks the fill before it removes from the store.
    if fill.is_overtaken() {
        node.store.remove(&key).await;
        return false;
    }
    kept
}

/// Fetches what is missing behind the parts that are held, and puts it to them; all of it where that
/// cannot be.
pub(super) async fn complete(running: &Running, work: &FillWork, held: &StoredParts) {
    let mut headers = work.request.headers.clone();
    let sent = running.node.clock.now();
    let in_parts = held.held.ask_for_rest(&work.site.policy, &mut headers);
    let asked = match in_parts {
        true => ask_with(running, work, headers).await,
        false => ask(running, work, None).await,
    };
    match asked {
        Ok(answer) if in_parts && is_about_ranges(answer.status) => {
            match whole_head(running, work, (held, &answer, sent)) {
                Some(head) => on_rest(running, work, (held, head), answer).await,
                None => start_over(running, work, answer).await,
            }
        }
        Ok(answer) => on_answer(running, work, answer, sent).await,
        Err(error) => on_failure(running, work, error),
    }
}

/// Whether a status answers the range that was added to the request here.
fn is_about_ranges(status: StatusCode) -> bool {
    matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE)
}

/// Asks for everything, because the rest does not fit to what is held.
async fn start_over(running: &Running, work: &FillWork, unfit: Answer) {
    drop(unfit);
    let sent = running.node.clock.now();
    match ask(running, work, None).await {
        Ok(answer) => on_answer(running, work, answer, sent).await,
        Err(error) => on_failure(running, work, error),
    }
}

/// The head of the whole if `answer` is the rest of it.
fn whole_head(
    running: &Running,
    work: &FillWork,
    (held, answer, sent): (&StoredParts, &Answer, Now),
) -> Option<FillHead> {
    let (headers, as_of) = received_fields(running, answer);
    let part = ResponseHead { status: answer.status, headers };
    let timing = Timing { request: sent, response: running.node.clock.now() };
    let policy = work.site.policy_for(&work.keyed, StatusCode::OK);
    let request = request_head(running, work, None);
    let stored = held.held.completed(&policy, &request, &part, (timing, as_of))?;
    let mut headers = stored.headers.to_map(1);
    if let Some(age) = part.headers.get(AGE) {
        headers.insert(AGE, age.clone());
    }
    let length = held.held.pieces.length();
    let fits = length <= running.node.store.limits().object_bytes_max;
    Some(FillHead {
        response: ResponseHead { status: stored.status, headers },
        as_of: stored.as_of,
        storable: Some(stored),
        part: None,
        trailer: None,
        admitted: fits && !running.fill().is_overtaken(),
        detail: None,
        content_length: Some(length),
    })
}

/// Gives the readers what is held, and then the rest as it comes in.
async fn on_rest(
    running: &Running,
    work: &FillWork,
    (held, head): (&StoredParts, FillHead),
    answer: Answer,
) {
    let pieces = &held.held.pieces;
    let first = ByteRange { first: 0, last: pieces.prefix().saturating_sub(1) };
    for piece in pieces.cut(first).unwrap_or_default() {
        running.fill().body.push(piece);
    }
    let head = Arc::new(head);
    running.fill().publish(progress_of(&head));
    pump::pump(running, work, &head, answer).await;
}

fn change_to(running: &Running, work: &FillWork, kept: Kept) -> PartsChange {
    let text = &work.keyed.text;
    match kept {
        Kept::Nothing => PartsChange::Keep,
        Kept::Parts(mut held) => {
            held.head = running.node.store.compact(held.head);
            PartsChange::Parts(Arc::new(StoredParts { held: *held, text: text.clone() }))
        }
        Kept::Whole(head, body) => {
            let head = running.node.store.compact(*head);
            PartsChange::Whole(Arc::new(StoredResponse::new(head, body, text)))
        }
    }
}
