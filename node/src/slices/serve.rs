//! Answers from a response of which slices may be missing: at once where it is fresh, else after upstream has
//! confirmed it.
//!
//! Confirming costs a request of its own only where nothing that is wanted is missing: else the slices that
//! are fetched confirm it (RFC 9111 §3.4, §4.3.4).

use std::sync::Arc;

use http::StatusCode;
use http::header::IF_NONE_MATCH;
use weir_cache::{
    ByteRange, Continued, Failure, ForwardReason, NotModified, ResponseHead, Resumption,
    ask_for_range, judge_not_modified,
};
use weir_store::StoredSlices;

use super::Attempt;
use super::fetcher::Fetcher;
use super::run::{RunEnd, Seat, Waited};
use crate::fill::get;
use crate::lookup::Asked;
use crate::metrics::Reason;
use crate::node::Node;
use crate::outcome::Outcome;
use crate::part;
use crate::parts;
use crate::stand_in::may_stand_in;
use crate::upstream::{Answer, FillError};

/// An answer from slices, those that are here and those that come.
#[derive(Debug)]
pub(crate) struct SlicesAnswer {
    /// The response.
    pub(crate) slices: StoredSlices,
    /// Brings what is missing.
    pub(crate) fetcher: Arc<Fetcher>,
    /// A seat where the first bytes come from.
    pub(crate) seat: Option<Seat>,
}

impl SlicesAnswer {
    pub(super) fn new(fetcher: Arc<Fetcher>, slices: StoredSlices, seat: Option<Seat>) -> Self {
        Self { slices, fetcher, seat }
    }
}

/// The bytes that the request gets of `slices`, and where the first one is that is missing.
fn wanted(asked: Asked<'_>, slices: &StoredSlices) -> (Option<(u64, u64)>, Option<u64>) {
    let body = slices.body();
    let wanted = part::bytes_wanted(asked.inbound, slices.head(), body);
    let missing = wanted.filter(|(first, end)| first < end).and_then(|(first, end)| {
        let (slice, _) =
            body.missing(body.slice_of(first), body.slice_of(end.saturating_sub(1)))?;
        Some(first.max(body.bytes_of(slice).start))
    });
    (wanted, missing)
}

/// Whether bytes that the request wants are missing.
pub(crate) fn lacks(asked: Asked<'_>, slices: &StoredSlices) -> bool {
    wanted(asked, slices).1.is_some()
}

/// Answers from `slices`, which need no confirmation if they are `fresh`.
pub(crate) async fn serve(
    node: &Arc<Node>,
    asked: Asked<'_>,
    slices: StoredSlices,
    fresh: bool,
) -> Attempt {
    let (wanted, missing) = wanted(asked, &slices);
    if missing.is_some() && !node.store.takes_writes() {
        // What is missing cannot be brought here: the client gets it from upstream.
        let why = if fresh { ForwardReason::Partial } else { ForwardReason::Stale };
        return Attempt::done(Box::pin(parts::fetch(node, asked, why, None)).await);
    }
    note_hits(node, wanted, &slices);
    let fetcher = Fetcher::new(node, asked, slices.clone());
    let first = wanted.map_or(0, |(first, _)| first);
    match missing {
        None if fresh => Attempt::done(Outcome::slices(answer(fetcher, None), None)),
        None => validate(node, asked, (fetcher, first)).await,
        Some(at) if fresh && at > first => {
            Attempt::done(Outcome::slices(answer(fetcher, None), Some(ForwardReason::Partial)))
        }
        Some(at) => {
            let why = if fresh { ForwardReason::Partial } else { ForwardReason::Stale };
            let end = wanted.map_or_else(|| at.saturating_add(1), |(_, end)| end);
            fetch(node, asked, (fetcher, why), (at, end)).await
        }
    }
}

fn answer(fetcher: Arc<Fetcher>, seat: Option<Seat>) -> SlicesAnswer {
    let slices = fetcher.slices().clone();
    SlicesAnswer::new(fetcher, slices, seat)
}

/// Counts the slices that need not be fetched.
fn note_hits(node: &Node, wanted: Option<(u64, u64)>, slices: &StoredSlices) {
    let (Some((first, end)), body) = (wanted.filter(|(first, end)| first < end), slices.body())
    else {
        return;
    };
    let (first, last) = (body.slice_of(first), body.slice_of(end.saturating_sub(1)));
    let here = (first..=last).filter(|slice| body.holds(body.bytes_of(*slice).start)).count();
    let counter = node.metrics.slices.get_or_create(&Reason { reason: "hit" });
    counter.inc_by(u64::try_from(here).unwrap_or(u64::MAX));
}

/// Answers once upstream has confirmed the slices that it brings.
async fn fetch(
    node: &Arc<Node>,
    asked: Asked<'_>,
    (fetcher, why): (Arc<Fetcher>, ForwardReason),
    (at, end): (u64, u64),
) -> Attempt {
    let Some(seat) = fetcher.seat(at, end) else {
        // It has come meanwhile, or is coming.
        return match why {
            ForwardReason::Stale => validate(node, asked, (fetcher, at)).await,
            _ => Attempt::done(Outcome::slices(answer(fetcher, None), Some(why))),
        };
    };
    match seat.head().await {
        Waited::Here(Some(slices)) => {
            let outcome =
                Outcome::slices(SlicesAnswer::new(fetcher, slices, Some(seat)), Some(why));
            Attempt::done(outcome)
        }
        Waited::Here(None) | Waited::Ended(RunEnd::Done | RunEnd::Changed(_)) => Attempt::Again,
        Waited::Ended(RunEnd::Failed(error)) => match &*error {
            // The disk takes nothing: then the client gets it from upstream.
            FillError::Spill { .. } => {
                Attempt::done(Box::pin(parts::fetch(node, asked, why, None)).await)
            }
            _ => Attempt::done(Outcome::failed(error, why)),
        },
    }
}

/// Asks whether slices that are all here still hold.
async fn validate(
    node: &Arc<Node>,
    asked: Asked<'_>,
    (fetcher, first): (Arc<Fetcher>, u64),
) -> Attempt {
    let why = ForwardReason::Stale;
    let slices = fetcher.slices().clone();
    let work = fetcher.work();
    let mut headers = work.request.headers.clone();
    let body = slices.body();
    let slice = body.bytes_of(body.slice_of(first));
    let range = ByteRange { first: slice.start, last: slice.end.saturating_sub(1) };
    ask_for_range(range, &mut headers);
    if let Some(etag) = slices.head().strong_etag() {
        headers.insert(IF_NONE_MATCH, etag);
    }
    let standby = fetcher.standby();
    let sent = node.clock.now();
    let came = match node.upstreams.send(&asked.site.upstream, get(&work, headers)).await {
        Ok(answer) => answer,
        Err(error) => return stand_in(node, asked, (fetcher, Failure::Unreachable), Err(error)),
    };
    let head = match came.status {
        StatusCode::NOT_MODIFIED => match judge_not_modified(slices.head(), &came.headers) {
            NotModified::Applies => standby.validated(&work, &slices, (&came, sent)),
            NotModified::Mismatch => None,
        },
        // It does not look at the condition.
        StatusCode::PARTIAL_CONTENT if is_same(&slices, range, &came) => {
            standby.confirmed(&work, &slices, (&came, sent))
        }
        status if status.is_server_error() => {
            return stand_in(node, asked, (fetcher, Failure::ServerError), Ok(came));
        }
        _ => None,
    };
    let key = asked.keyed.key;
    let Some(slices) = head.and_then(|head| slices.with_head(node.store.compact(head))) else {
        node.store.discard_slices(key, &slices).await;
        return Attempt::Again;
    };
    // What was removed while upstream was asked does not come back.
    node.store.place_slices(key, &slices).await;
    let answer = SlicesAnswer::new(fetcher, slices, None);
    Attempt::done(Outcome::slices_validated(answer, why))
}

/// Whether `answer` brings `range` of the body that is held.
fn is_same(slices: &StoredSlices, range: ByteRange, answer: &Answer) -> bool {
    let asking = Resumption::of_range(slices.head(), range, slices.body().len());
    let (status, headers) = (answer.status, answer.headers.clone());
    let said = asking.map(|asking| asking.judge(0, &ResponseHead { status, headers }));
    matches!(said, Some(Continued::Rest(_)))
}

/// The stale slices in place of no answer or an error, where they may; else that.
fn stand_in(
    node: &Arc<Node>,
    asked: Asked<'_>,
    (fetcher, failure): (Arc<Fetcher>, Failure),
    came: Result<Answer, FillError>,
) -> Attempt {
    let why = ForwardReason::Stale;
    let stored = Arc::clone(fetcher.slices().stored());
    Attempt::done(if may_stand_in(node, asked.site, asked.trust, (&stored, failure)) {
        let status = came.as_ref().ok().map(|answer| answer.status);
        Outcome::slices_stand_in(answer(fetcher, None), why, status)
    } else {
        match came {
            Ok(came) => Outcome::forwarded(came, why, None),
            Err(error) => parts::failed(asked, error, why),
        }
    })
}
