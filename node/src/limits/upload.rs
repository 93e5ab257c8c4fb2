//! The body of a client's request: how large it is, and whether it comes fast enough.
//!
//! Time counts while somebody wants the next byte and it does not come: an upstream that takes its time is
//! not the client's fault. Who ends a body here makes the request upstream break off visibly.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::floor::TooSlow;
use super::watch::Watch;

/// Why a request body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The connection ended, or the bytes were not those of a body.
    #[error("the client's body broke off")]
    Broken(#[source] hyper::Error),
    /// It is larger than it may be.
    #[error("the client's body is too large")]
    TooLarge,
    /// It came too slowly.
    #[error("the client's body came too slowly")]
    TooSlow(TooSlow),
}

/// A fault of the client alone, for who comes to know of the failed request only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// [`UploadError::TooLarge`].
    TooLarge,
    /// [`UploadError::TooSlow`].
    TooSlow(TooSlow),
}

impl UploadError {
    /// The fault, if it is one of the client alone.
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self {
            Self::Broken(_) => None,
            Self::TooLarge => Some(Fault::TooLarge),
            Self::TooSlow(why) => Some(Fault::TooSlow(*why)),
        }
    }
}

/// A request body on its way from the client.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Incoming,
    /// Bytes that may still come; `None` for no limit.
    left: Option<u64>,
    /// `None` for a body that may come as slowly as it likes.
    watch: Option<Watch>,
}

impl Upload {
    /// A body that nobody limits here.
    pub(crate) fn unlimited(body: Incoming) -> Self {
        Self { body, left: None, watch: None }
    }

    /// A body of at most `max` bytes that comes as fast as `watch` asks.
    pub(crate) fn limited(body: Incoming, max: Option<u64>, watch: Watch) -> Self {
        Self { body, left: max, watch: Some(watch) }
    }

    /// Takes the bytes of a frame off what may come.
    fn charge(&mut self, bytes: usize) -> Result<(), UploadError> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(bytes as u64).ok_or(UploadError::TooLarge)?;
        }
        Ok(())
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            let slow = self.watch.as_mut().map(|watch| watch.poll_waiting(cx));
            return match slow {
                Some(Poll::Ready(why)) => Poll::Ready(Some(Err(UploadError::TooSlow(why)))),
                Some(Poll::Pending) | None => Poll::Pending,
            };
        };
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(UploadError::Broken)?;
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if let Some(watch) = &mut self.watch {
            watch.moved(bytes);
        }
        Poll::Ready(Some(self.charge(bytes).map(|()| frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
