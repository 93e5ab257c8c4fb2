//! A request on its way upstream: its fields, its body, and how far the body has gone.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Method};
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use weir_cache::purge::AsOf;
use weir_cache::{CacheKey, passable_trailers};

use super::member::Member;
use crate::interim::Sink;
use crate::limits::{Fault, Upload, UploadError};

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
    Client(Lent),
    /// This node's own.
    Whole(Bytes),
}

/// How far a request body has gone.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    frames: AtomicU64,
    whole: AtomicBool,
    fault: OnceLock<Fault>,
}

impl Sent {
    /// Frames that have gone.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    /// What the client did wrong with it, so that the request was given up.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get().copied()
    }

    /// Whether there is nothing left to send.
    pub(super) fn is_whole(&self) -> bool {
        self.whole.load(Relaxed)
    }
}

/// A client's body, lent to one attempt after the other until one has begun to send it.
///
/// Of an attempt that failed before that, nothing was sent: the request may be sent to another server,
/// whatever its method (RFC 9110 §9.2.2).
#[derive(Debug)]
pub(crate) struct Lent {
    /// Where the body lies until it is first polled; shared by the attempts.
    cell: Arc<Mutex<Option<Upload>>>,
    /// The body, of the attempt that sends it.
    taken: Option<Upload>,
    sent: Arc<Sent>,
}

impl Lent {
    fn new(body: Upload) -> Self {
        Self { cell: Arc::new(Mutex::new(Some(body))), taken: None, sent: Arc::default() }
    }

    /// The same body for another attempt; `None` once one has begun to send it.
    fn again(&self) -> Option<Self> {
        self.cell.lock().is_some().then(|| Self {
            cell: Arc::clone(&self.cell),
            taken: None,
            sent: Arc::clone(&self.sent),
        })
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if self.taken.is_none() {
            self.taken = self.cell.lock().take();
        }
        // An attempt that comes after another has begun to send is never made; it would send nothing.
        let Some(body) = &mut self.taken else { return Poll::Pending };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx)).map(only_passable);
        self.sent.frames.fetch_add(1, Relaxed);
        if let Some(Err(error)) = &frame
            && let Some(fault) = error.fault()
        {
            // Only the first counts; after it nothing is read.
            self.sent.fault.get_or_init(|| fault);
        }
        if frame.is_none() || body.is_end_stream() {
            self.sent.whole.store(true, Relaxed);
        }
        Poll::Ready(frame)
    }

    /// What `of` says of the body, wherever it lies; `otherwise` where another attempt has it.
    fn look<T>(&self, otherwise: T, of: impl Fn(&Upload) -> T) -> T {
        match &self.taken {
            Some(body) => of(body),
            None => self.cell.lock().as_ref().map_or(otherwise, of),
        }
    }
}

impl OutBody {
    /// The client's body.
    pub(crate) fn client(body: Upload) -> Self {
        Self::Client(Lent::new(body))
    }

    /// The same body for another attempt; `None` where it is gone.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Client(lent) => lent.again().map(Self::Client),
        }
    }

    /// How far the body has gone, to be looked at while it goes.
    pub(super) fn sent(&self) -> Arc<Sent> {
        match self {
            Self::Empty | Self::Whole(_) => {
                Arc::new(Sent { whole: AtomicBool::new(true), ..Sent::default() })
            }
            Self::Client(lent) => Arc::clone(&lent.sent),
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
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Client(lent) => lent.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client(lent) => lent.look(false, Upload::is_end_stream),
            Self::Whole(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client(lent) => lent.look(SizeHint::default(), Upload::size_hint),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
