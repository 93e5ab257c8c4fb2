//! What comes back from upstream: status, fields, a body, and who sent them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::upgrade::OnUpgrade;
use weir_cache::purge::AsOf;

use super::FillError;
use super::group::Kind;
use super::member::{Member, Slot};
use crate::inner;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The fields as sent; a Content-Length beside Transfer-Encoding is gone.
    pub(crate) headers: HeaderMap,
    /// The HTTP version of the answer, for Via.
    pub(crate) version: http::Version,
    /// The body; holds the connection until it is read or dropped.
    pub(crate) body: UpstreamBody,
    /// Who answered, `host:port`.
    pub(crate) upstream: Arc<Member>,
    /// The connection, where the request asked for another protocol on it and this is a 101.
    pub(crate) upgrade: Option<OnUpgrade>,
    /// What the answering server is to this node.
    pub(crate) kind: Kind,
    /// The purge log position that the answer reflects; `None` where nothing is known.
    pub(crate) as_of: Option<AsOf>,
    /// What the parent says is the BLAKE3 digest of the body; `None` where it says nothing.
    pub(crate) digest: Option<[u8; 32]>,
}

impl Answer {
    /// Whether the status answers conditions or a range that the request did not have.
    pub(crate) fn is_unsolicited(&self) -> bool {
        matches!(self.status, StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT)
    }

    /// Takes a parent's word that it could not reach what lies behind it for no answer at all
    /// (RFC 9111 §4.2.4), so that a stale response may stand in here.
    pub(super) fn or_failure_of_parent(self) -> Result<Self, FillError> {
        if self.kind == Kind::Parents && self.headers.contains_key(inner::FAILURE) {
            let upstream = self.upstream.authority().to_owned();
            return Err(FillError::BehindParent { upstream, status: self.status });
        }
        Ok(self)
    }
}

/// The body of an answer, with the right to the connection it comes over.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    body: Incoming,
    slot: Slot,
}

impl UpstreamBody {
    /// The body, which gives `slot` back when it is read or dropped.
    pub(super) fn new(body: Incoming, slot: Slot) -> Self {
        Self { body, slot }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        if frame.is_none() || (matches!(frame, Some(Ok(_))) && this.body.is_end_stream()) {
            this.slot.member.on_whole_body();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The answer's fields with the one length that its body has.
///
/// RFC 9112 §6.3: where a transfer coding frames the message, the length beside it is a lie; a list of
/// equal lengths is one length.
pub(super) fn with_true_length(
    method: &Method,
    status: StatusCode,
    mut headers: HeaderMap,
    body: &Incoming,
) -> HeaderMap {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let has_body = *method != Method::HEAD
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_body
        && headers.contains_key(CONTENT_LENGTH)
        && let Some(length) = body.size_hint().exact()
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    headers
}
