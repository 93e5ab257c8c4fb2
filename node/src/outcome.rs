//! What became of a request: where its response comes from, and what is said about that.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use weir_cache::{ForwardReason, RuleEffect, XCache};
use weir_store::StoredResponse;

use crate::fill::{FillHead, Settled, SettledBy, Ticket};
use crate::metrics::CacheOutcome;
use crate::parts::PartAnswer;
use crate::slices::{Fetcher, SlicesAnswer};
use crate::upstream::{Answer, FillError};

/// Where the response comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// From the store.
    Stored(Arc<StoredResponse>),
    /// From parts that are stored.
    Parts(PartAnswer),
    /// From slices that are stored, and others that are fetched.
    Slices(SlicesAnswer),
    /// From a fill in flight.
    Filling(Arc<FillHead>, Ticket),
    /// Straight from upstream.
    Forwarded(Box<Answer>),
    /// Both sides go on in another protocol; these are the fields of the 101.
    Switching(HeaderMap),
    /// From upstream's failure: this node makes the answer.
    Failed(Arc<FillError>),
    /// A stored response was wanted or none, and there is none.
    Unavailable,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Where the response comes from.
    pub(crate) source: Source,
    /// Why the request went upstream; `None` where it did not.
    pub(crate) forward: Option<ForwardReason>,
    /// The status upstream gave where the response has another.
    pub(crate) forward_status: Option<StatusCode>,
    /// Whether another request's forward served this one.
    pub(crate) collapsed: bool,
    /// Whether the stored response used is stale.
    pub(crate) stale: bool,
    /// A word more for `Cache-Status`.
    pub(crate) detail: Option<&'static str>,
    /// Brings slices of a stored response that are found missing while it is sent.
    pub(crate) healer: Option<Arc<Fetcher>>,
}

impl Outcome {
    fn new(source: Source) -> Self {
        Self {
            source,
            forward: None,
            forward_status: None,
            collapsed: false,
            stale: false,
            detail: None,
            healer: None,
        }
    }

    /// A fresh stored response.
    pub(crate) fn hit(stored: Arc<StoredResponse>) -> Self {
        Self::new(Source::Stored(stored))
    }

    /// A stale stored response, used within its stale-while-revalidate time.
    pub(crate) fn stale_while_revalidate(stored: Arc<StoredResponse>) -> Self {
        Self { stale: true, ..Self::hit(stored) }
    }

    /// A range out of fresh parts.
    pub(crate) fn parts(answer: PartAnswer) -> Self {
        Self::new(Source::Parts(answer))
    }

    /// A range out of parts that upstream has just confirmed.
    pub(crate) fn parts_validated(answer: PartAnswer, why: ForwardReason) -> Self {
        let forward_status = Some(StatusCode::NOT_MODIFIED);
        Self { forward: Some(why), forward_status, ..Self::parts(answer) }
    }

    /// Slices; `forward` where some of them are fetched.
    pub(crate) fn slices(answer: SlicesAnswer, forward: Option<ForwardReason>) -> Self {
        let detail = forward.and(Some("slices"));
        Self { forward, detail, ..Self::new(Source::Slices(answer)) }
    }

    /// Slices that upstream has just confirmed.
    pub(crate) fn slices_validated(answer: SlicesAnswer, why: ForwardReason) -> Self {
        let forward_status = Some(StatusCode::NOT_MODIFIED);
        Self { forward_status, detail: None, ..Self::slices(answer, Some(why)) }
    }

    /// Stale slices that stand in for an answer with this status, or for none.
    pub(crate) fn slices_stand_in(
        answer: SlicesAnswer,
        why: ForwardReason,
        forward_status: Option<StatusCode>,
    ) -> Self {
        let detail = match forward_status {
            Some(_) => Some("stale-if-error"),
            None => Some("upstream-unreachable"),
        };
        Self { forward_status, stale: true, detail, ..Self::slices(answer, Some(why)) }
    }

    /// The response of a fill.
    pub(crate) fn filling(head: Arc<FillHead>, ticket: Ticket, why: ForwardReason) -> Self {
        let detail = head.detail;
        Self { forward: Some(why), detail, ..Self::new(Source::Filling(head, ticket)) }
    }

    /// The stored response that answers a fill.
    pub(crate) fn settled(settled: Settled, why: ForwardReason) -> Self {
        let by = settled.by;
        let rule = settled.stored.head.plan.rule.map(RuleEffect::as_str);
        let stored = Self::hit(settled.stored);
        match by {
            SettledBy::Found => stored,
            SettledBy::Validated => Self {
                forward: Some(why),
                forward_status: Some(StatusCode::NOT_MODIFIED),
                detail: rule,
                ..stored
            },
            SettledBy::ServerError(status) => Self {
                forward: Some(why),
                forward_status: Some(status),
                stale: true,
                detail: Some("stale-if-error"),
                ..stored
            },
            SettledBy::Unreachable => Self {
                forward: Some(why),
                stale: true,
                detail: Some("upstream-unreachable"),
                ..stored
            },
            SettledBy::Slow => {
                Self { forward: Some(why), stale: true, detail: Some("upstream-slow"), ..stored }
            }
        }
    }

    /// A request passed on.
    pub(crate) fn forwarded(
        answer: Answer,
        why: ForwardReason,
        detail: Option<&'static str>,
    ) -> Self {
        Self { forward: Some(why), detail, ..Self::new(Source::Forwarded(Box::new(answer))) }
    }

    /// A request whose connection is a tunnel from here on.
    pub(crate) fn switching(
        fields: HeaderMap,
        why: ForwardReason,
        detail: Option<&'static str>,
    ) -> Self {
        Self { forward: Some(why), detail, ..Self::new(Source::Switching(fields)) }
    }

    /// No response from upstream.
    pub(crate) fn failed(error: Arc<FillError>, why: ForwardReason) -> Self {
        Self { forward: Some(why), ..Self::new(Source::Failed(error)) }
    }

    /// Nothing stored for a client that wants nothing else.
    pub(crate) fn unavailable() -> Self {
        Self { detail: Some("only-if-cached"), ..Self::new(Source::Unavailable) }
    }

    /// The same, served by another request's forward.
    pub(crate) fn collapsed(self) -> Self {
        // A stored response that was found is a hit, whoever stored it.
        let collapsed = self.forward.is_some();
        Self { collapsed, ..self }
    }

    /// What is counted.
    pub(crate) fn counted(&self) -> CacheOutcome {
        match (&self.source, self.forward) {
            (Source::Failed(_) | Source::Unavailable, _) => CacheOutcome::Error,
            (Source::Stored(_) | Source::Slices(_), _) if self.stale => CacheOutcome::Stale,
            (Source::Stored(_) | Source::Parts(_) | Source::Slices(_), None) => CacheOutcome::Hit,
            (Source::Switching(_), _) => CacheOutcome::Bypass,
            (
                Source::Forwarded(_) | Source::Filling(..),
                Some(ForwardReason::Bypass | ForwardReason::Method | ForwardReason::Request),
            ) => CacheOutcome::Bypass,
            (
                Source::Stored(_)
                | Source::Parts(_)
                | Source::Slices(_)
                | Source::Filling(..)
                | Source::Forwarded(_),
                _,
            ) => CacheOutcome::Miss,
        }
    }

    /// What people who grep are told.
    pub(crate) fn x_cache(&self) -> XCache {
        match self.counted() {
            CacheOutcome::Hit => XCache::Hit,
            CacheOutcome::Stale => XCache::Stale,
            CacheOutcome::Bypass => XCache::Bypass,
            CacheOutcome::Miss | CacheOutcome::Error | CacheOutcome::Denied => XCache::Miss,
        }
    }
}
