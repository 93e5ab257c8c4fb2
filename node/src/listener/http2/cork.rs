//! Gathers what an HTTP/2 connection writes in one go, so that answers to requests that came together leave together.
//!
//! h2 writes and flushes each larger DATA frame by itself, which is a TLS record and a system call for each answer.
//! Here small writes are held until the connection has done all it can do for the moment, and then go out as one.
//! Large ones pass through: nothing is gained by a copy of them. h2 reads again after each request, too; that nothing
//! more has come is found out once.
//!
//! # Invariants
//!
//! 1. Bytes leave in the order in which they were written.
//! 2. Whenever [`Corked`] has been polled, either nothing is held or the stream wakes the task when it takes more.
//! 3. At most [`HELD_MAX`] bytes are held, and none while the connection is idle.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are held: those of a full TLS record.
const HELD_MAX: usize = 16 << 10;
/// Bytes of a write that passes through.
const LARGE: usize = 8 << 10;

/// A stream whose small writes are held. Clones are the same stream; one task has all of them, so nobody waits.
pub(super) struct Cork<S>(Arc<Mutex<Held<S>>>);

struct Held<S> {
    stream: S,
    bytes: Vec<u8>,
    /// How many of them have gone.
    gone: usize,
    /// Whether the stream has had nothing to read since the connection was polled.
    is_read_out: bool,
    /// Why the stream took no more, for the connection to hear.
    failed: Option<io::Error>,
}

impl<S> Clone for Cork<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Cork<S> {
    /// Holds what is written to `stream`.
    pub(super) fn new(stream: S) -> Self {
        let held = Held { stream, bytes: Vec::new(), gone: 0, is_read_out: false, failed: None };
        Self(Arc::new(Mutex::new(held)))
    }
}

impl<S: AsyncWrite + Unpin> Cork<S> {
    /// Sends what is held; false where that failed and the connection has to hear of it.
    fn poll_release(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut held = self.0.lock();
        held.is_read_out = false;
        let released = ready!(held.poll_release(cx));
        held.failed = released.err();
        Poll::Ready(held.failed.is_none())
    }
}

impl<S: AsyncWrite + Unpin> Held<S> {
    /// Hands all bytes to the stream.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        while let Some(left) = self.bytes.get(self.gone..).filter(|left| !left.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gone += written;
        }
        if self.gone > 0 {
            // An idle connection holds no memory.
            (self.bytes, self.gone) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends all bytes.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Cork<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut held = self.0.lock();
        if held.is_read_out && held.failed.is_none() {
            return Poll::Pending;
        }
        // What is read may end the connection with a word, which is not to overtake what is held.
        if let Poll::Ready(Err(error)) = held.poll_empty(cx) {
            return Poll::Ready(Err(error));
        }
        let read = Pin::new(&mut held.stream).poll_read(cx, buf);
        held.is_read_out = read.is_pending();
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cork<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    /// Sends nothing: [`Corked`] does once the connection has no more to write.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = self.0.lock();
        ready!(held.poll_release(cx))?;
        Pin::new(&mut held.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut held = self.0.lock();
        let length = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if length >= LARGE || held.bytes.len() + length > HELD_MAX {
            ready!(held.poll_empty(cx))?;
        }
        if length >= LARGE {
            return Pin::new(&mut held.stream).poll_write_vectored(cx, bufs);
        }
        if held.bytes.capacity() == 0 {
            held.bytes.reserve_exact(HELD_MAX);
        }
        for buf in bufs {
            held.bytes.extend_from_slice(buf);
        }
        Poll::Ready(Ok(length))
    }
}

/// A connection that writes to a [`Cork`], which is drawn after each poll.
pub(super) struct Corked<'c, C, S> {
    pub(super) connection: Pin<&'c mut C>,
    pub(super) cork: Cork<S>,
}

impl<C: Future, S: AsyncWrite + Unpin> Future for Corked<'_, C, S> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let ended = self.connection.as_mut().poll(cx);
        if ended.is_pending() && self.cork.poll_release(cx) == Poll::Ready(false) {
            // It hears of it when it reads or writes next.
            cx.waker().wake_by_ref();
        }
        ended
    }
}

#[cfg(test)]
mod tests;
