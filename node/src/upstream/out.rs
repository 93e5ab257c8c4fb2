//! A request on its way upstream: its fields, its body, and how far the body has gone.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Method};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use weir_cache::purge::AsOf;
use weir_cache::{CacheKey, passable_trailers};

use super::member::Member;
use crate::interim::Sink;

/// A request upstream, complete but for the server it goes to.
pub(crate) struct OutRequest {
    /// The method.
    pub(crate) method: Method,
    /// Path and query, byte for byte as the key was made.
    pub(crate) path_and_query: String,
    /// The fields, Host included.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: OutBody,
    /// The key, which chooses among parents.
    pub(crate) key: CacheKey,
    /// Who gets interim responses; `None` drops them.
    pub(crate) interim: Option<Sink>,
    /// Where in the purge log this node stands.
    pub(crate) position: Position,
    /// A server that is asked only when no other is left: it has just failed this very request.
    pub(crate) avoid: Option<Arc<Member>>,
}

/// Where in the purge log a request is sent from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Position {
    /// What this node has applied: what an origin's answer reflects. `None` before it has heard of
    /// the log.
    pub(crate) own: Option<AsOf>,
    /// What a parent's answer must reflect.
    pub(crate) min: Option<AsOf>,
}

/// The body of a request upstream.
#[derive(Debug, Default)]
pub(crate) enum OutBody {
    /// None.
    #[default]
    Empty,
    /// The client's, as it comes.
    Client(Incoming, Arc<Sent>),
    /// This node's own.
    Whole(Bytes),
}

/// How far a request body has gone.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    frames: AtomicU64,
    whole: AtomicBool,
}

impl Sent {
    /// Frames that have gone.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    /// Whether there is nothing left to send.
    pub(super) fn is_whole(&self) -> bool {
        self.whole.load(Relaxed)
    }
}

impl OutBody {
    /// The client's body.
    pub(crate) fn client(body: Incoming) -> Self {
        Self::Client(body, Arc::default())
    }

    /// How far the body has gone, to be looked at while it goes.
    pub(super) fn sent(&self) -> Arc<Sent> {
        match self {
            Self::Empty | Self::Whole(_) => {
                Arc::new(Sent { whole: AtomicBool::new(true), ..Sent::default() })
            }
            Self::Client(_, sent) => Arc::clone(sent),
        }
    }
}

/// The frame, where it holds trailers without those that must not be passed on (RFC 9110 §6.5.1).
///
/// hyper sends only those that the head has announced.
pub(crate) fn only_passable<E>(frame: Result<Frame<Bytes>, E>) -> Result<Frame<Bytes>, E> {
    Ok(match frame?.into_trailers() {
        Ok(trailers) => Frame::trailers(passable_trailers(&trailers).unwrap_or_default()),
        Err(data) => data,
    })
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Client(body, sent) => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(cx)).map(only_passable);
                sent.frames.fetch_add(1, Relaxed);
                if frame.is_none() || body.is_end_stream() {
                    sent.whole.store(true, Relaxed);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client(body, _) => body.is_end_stream(),
            Self::Whole(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client(body, _) => body.size_hint(),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
