//! A range of something of which nothing is stored: asked for from one border of slices to another.
//!
//! What turns out large is stored with the slices that came. What turns out small is kept as a part, like
//! without slices, and the client gets its bytes of it. Whatever else comes sends the request upstream as the
//! client made it, and the key is remembered, so that this is not tried again for a while.

use std::sync::Arc;

use http::StatusCode;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use weir_cache::{
    ByteRange, ForwardReason, Now, ReceivedPart, ask_for_range, cut_of, strip_conditionals,
};
use weir_store::{Body, StoredResponse, StoredSlices};

use super::Attempt;
use super::fetcher::{Fetcher, variant_fields};
use super::serve::SlicesAnswer;
use super::table::Opening;
use crate::fill::{FillWork, Join, Lead, Standby, Ticket};
use crate::lookup::{Asked, join};
use crate::node::Node;
use crate::outcome::Outcome;
use crate::parts;
use crate::upstream::Answer;

/// Asks for `range` in place of the one that the request wants, unless somebody asks already: then the request
/// is to be looked up again once that is known.
pub(crate) async fn open(
    node: &Arc<Node>,
    asked: Asked<'_>,
    why: ForwardReason,
    range: ByteRange,
) -> Attempt {
    let key = asked.keyed.key;
    let opener = match node.slices.open(key) {
        Opening::Leader(opener) => opener,
        Opening::Waiter(mut until) => {
            node.metrics.collapsed.inc();
            // It ends by an error: the one who asked has dropped its side.
            while until.changed().await.is_ok() {}
            return Attempt::Again;
        }
    };
    let mut headers = variant_fields(asked);
    ask_for_range(range, &mut headers);
    let Lead { begun, ticket } =
        node.fills.begin_alone(&Join { headers: &headers, ..join(node, asked, None) });
    let standby = Standby::new(node, begun);
    let mut work = asked.work(node);
    strip_conditionals(&mut work.request.headers);
    ask_for_range(range, &mut work.request.headers);
    let mut request = crate::fill::get(&work, work.request.headers.clone());
    request.interim = asked.interim_sink();
    let sent = node.clock.now();
    let answer = match node.upstreams.send(&asked.site.upstream, request).await {
        Ok(answer) => answer,
        Err(error) => return Attempt::done(parts::failed(asked, error, why)),
    };
    let came = Came { standby, ticket, work, answer, sent };
    let outcome = came.answer(node, asked, (why, range)).await;
    drop(opener);
    Attempt::done(outcome)
}

/// What came, with the place among the fills that it was asked for from.
struct Came {
    standby: Standby,
    ticket: Ticket,
    work: FillWork,
    answer: Answer,
    sent: Now,
}

impl Came {
    async fn answer(
        self,
        node: &Arc<Node>,
        asked: Asked<'_>,
        (why, range): (ForwardReason, ByteRange),
    ) -> Outcome {
        if self.answer.status != StatusCode::PARTIAL_CONTENT {
            return self.not_a_part(node, asked, why).await;
        }
        let part = self.standby.part_of(&self.work, &self.answer, self.sent).ok();
        let for_slices = part
            .as_ref()
            .filter(|part| is_as_asked(part, range) && self.standby.is_for_slices(part));
        if let Some(slices) = for_slices.and_then(|part| begin(node, asked, part)) {
            let bytes = part.map_or(range, |part| part.range());
            return self.in_slices(node, asked, (why, slices, bytes)).await;
        }
        let headers = &asked.inbound.headers;
        let has_conditions =
            [IF_NONE_MATCH, IF_MODIFIED_SINCE].iter().any(|name| headers.contains_key(name));
        let is_cut = part.is_some() && cut_of(headers, &self.answer.headers).is_some();
        let memory = node.store.limits().memory_object_bytes_max;
        if part.as_ref().is_some_and(|part| part.length() > memory) {
            // Large, and not to be kept in slices.
            node.unsliced.remember(asked.keyed.key);
        }
        if is_cut && !has_conditions {
            let Self { standby, ticket, work, answer, sent } = self;
            return match standby.run(work, answer, sent) {
                Ok(()) => parts::streamed(ticket, why).await,
                Err(_unfit) => as_asked(node, asked, why).await,
            };
        }
        drop(self);
        as_asked(node, asked, why).await
    }

    /// No part: the whole, for all who ask like this, or an error that is for the client.
    async fn not_a_part(self, node: &Arc<Node>, asked: Asked<'_>, why: ForwardReason) -> Outcome {
        if self.answer.status == StatusCode::RANGE_NOT_SATISFIABLE {
            // The client has asked for other bytes than these.
            drop(self);
            return as_asked(node, asked, why).await;
        }
        if self.answer.status.is_success() {
            node.unsliced.remember(asked.keyed.key);
        }
        Outcome::forwarded(self.answer, why, parts::DETAIL)
    }

    /// Stores what came with the slices that come, and answers from them.
    async fn in_slices(
        self,
        node: &Arc<Node>,
        asked: Asked<'_>,
        (why, slices, came): (ForwardReason, StoredSlices, ByteRange),
    ) -> Outcome {
        let key = asked.keyed.key;
        let headers = variant_fields(asked);
        // A purge that came before it is in the store is noticed here; one that comes later, by its position.
        if !self.standby.is_lost(&slices) {
            node.store.insert_slices(key, &slices, &headers, &asked.site.policy).await;
            if self.standby.is_overtaken() {
                node.store.discard_slices(key, &slices).await;
            }
        }
        let body = slices.body();
        let run = (body.slice_of(came.first), body.slice_of(came.last));
        let (seat, listed) = node.slices.begin(key, body, run);
        let fetcher = Fetcher::new(node, asked, slices.clone());
        fetcher.spawn_answered(listed, self.standby, self.answer);
        Outcome::slices(SlicesAnswer::new(fetcher, slices, Some(seat)), Some(why))
    }
}

/// Whether what came is what was asked for, as far as the whole goes.
fn is_as_asked(part: &ReceivedPart, asked: ByteRange) -> bool {
    let end = part.length().saturating_sub(1);
    part.range() == ByteRange { first: asked.first, last: asked.last.min(end) }
}

/// A place on disk for what `part` is a part of; `None` where the disk takes nothing at present.
fn begin(node: &Node, asked: Asked<'_>, part: &ReceivedPart) -> Option<StoredSlices> {
    let (tier, text) = (node.store.disk()?, &asked.keyed.text);
    let head = node.store.compact(part.head().clone());
    let stored = StoredResponse::new(head, bytes::Bytes::new(), text);
    let writer = tier.begin_body(&asked.keyed.key, &stored, part.length()).ok()?;
    let body = Body::OnDisk(Arc::clone(writer.body()));
    StoredSlices::of(&Arc::new(stored.with_body(body)))
}

/// Sends the request upstream as the client made it, and the next ones for a while.
async fn as_asked(node: &Arc<Node>, asked: Asked<'_>, why: ForwardReason) -> Outcome {
    node.unsliced.remember(asked.keyed.key);
    parts::fetch(node, asked, why, None).await
}
