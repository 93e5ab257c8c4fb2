//! What has a fill come to so far?

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use weir_cache::{ReceivedPart, ResponseHead, Seq, StoredHead};
use weir_store::StoredResponse;

use crate::upstream::FillError;

/// The state that everyone attached to a fill watches.
#[derive(Debug, Clone)]
pub(crate) enum Progress {
    /// No response head yet.
    Pending,
    /// A response that all attached may use streams in.
    Shared(Arc<FillHead>),
    /// A response streams in that only the leader may use: it may not be shared, or not be reused
    /// without asking upstream. Waiters go for themselves.
    Private(Arc<FillHead>),
    /// A stored response answers everyone.
    Settled(Settled),
    /// There is no response.
    Failed(Arc<FillError>),
    /// The run ended without a word; waiters start again.
    Abandoned,
}

/// The head of the response that fills.
#[derive(Debug)]
pub(crate) struct FillHead {
    /// The response as it came, connection fields removed.
    pub(crate) response: ResponseHead,
    /// What will be stored if the body comes whole; `None` where storing is not lawful.
    pub(crate) storable: Option<StoredHead>,
    /// What will be kept of it if it is a part and comes whole; `None` for everything else.
    pub(crate) part: Option<ReceivedPart>,
    /// Trailers that it announces and that may be passed on.
    pub(crate) trailer: Option<HeaderValue>,
    /// Whether the node also wants to store it (it fits).
    pub(crate) admitted: bool,
    /// Why it is not stored, as a token for `Cache-Status`.
    pub(crate) detail: Option<&'static str>,
    /// The purge log position that the response reflects.
    pub(crate) as_of: Seq,
    /// Body bytes announced; `None` when the length is not known.
    pub(crate) content_length: Option<u64>,
}

impl FillHead {
    /// The trailers announced, where they may be passed on: the response is for one client only and
    /// has no length that ends it before them.
    pub(crate) fn private_trailer(&self) -> Option<&HeaderValue> {
        let private = self.storable.is_none() && self.part.is_none();
        self.trailer.as_ref().filter(|_| private && self.content_length.is_none())
    }
}

/// A stored response that answers in place of a new one.
#[derive(Debug, Clone)]
pub(crate) struct Settled {
    /// The response.
    pub(crate) stored: Arc<StoredResponse>,
    /// How it came to answer.
    pub(crate) by: SettledBy,
}

/// How a stored response came to answer a fill.
#[derive(Debug, Clone)]
pub(crate) enum SettledBy {
    /// It was stored between the lookup and the fill, by another fill.
    Found,
    /// Upstream said that it still holds (RFC 9111 §4.3.3).
    Validated,
    /// It stands in, stale, for an answer with this status (RFC 5861 §4).
    ServerError(StatusCode),
    /// It stands in, stale, for no answer at all (RFC 9111 §4.2.4).
    Unreachable,
    /// It stands in, stale, for an answer that is late; the fill goes on.
    Slow,
}
