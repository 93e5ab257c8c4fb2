//! A connection that may not be slow for ever: a deadline for each request head, and one for taking
//! bytes. What comes in is read along with (see `framing`). Interim responses leave through it as well (see [`crate::interim`]).
//!
//! hyper's own head timeout covers idle time as well; here the clock starts with the first byte of a
//! head, so that idle connections may live longer than slow heads.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::{Framing, Notice};
use super::phase::Phase;

/// A stream with deadlines.
pub(super) struct Guarded<S> {
    stream: S,
    phase: Arc<Phase>,
    framing: Framing,
    head_timeout: Duration,
    write_timeout: Duration,
    /// Runs from the first byte of a head until the head is complete.
    head_deadline: Option<Pin<Box<Sleep>>>,
    /// Runs while the peer takes no byte.
    write_deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes of interim responses that are being written.
    interim: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Guards `stream`.
    pub(super) fn new(
        stream: S,
        phase: Arc<Phase>,
        head_timeout: Duration,
        write_timeout: Duration,
    ) -> Self {
        Self {
            stream,
            phase,
            framing: Framing::new(),
            head_timeout,
            write_timeout,
            head_deadline: None,
            write_deadline: None,
            interim: Vec::new(),
        }
    }

    /// Writes what waits of interim responses, before anything else.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(bytes) = self.phase.interims.take() {
            self.interim.extend_from_slice(&bytes);
        }
        while !self.interim.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.interim))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.interim.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads along with what came in.
    fn note_read(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.framing.read(bytes) {
            None => {}
            Some(Notice::BadHead(number, fault)) => self.phase.refuse(number, fault),
            Some(Notice::Upgrade(number)) => self.phase.end_after(number),
            Some(Notice::BadBody(fault)) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
            }
        }
        if !self.framing.is_in_head() {
            self.head_deadline = None;
        } else if self.head_deadline.is_none() {
            self.head_deadline = Some(Box::pin(sleep_until(Instant::now() + self.head_timeout)));
        }
        Ok(())
    }

    /// Fails once a head has been coming in for too long.
    fn check_head(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let late = self
            .head_deadline
            .as_mut()
            .is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        if late { Err(timed_out("head")) } else { Ok(()) }
    }

    /// Notes the outcome of a write; fails once none has moved for too long.
    fn after_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.phase.set_blocked(poll.is_pending());
        if poll.is_ready() {
            self.write_deadline = None;
            return poll;
        }
        let until = Instant::now() + self.write_timeout;
        let deadline = self.write_deadline.get_or_insert_with(|| Box::pin(sleep_until(until)));
        match deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(timed_out("write"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} timeout"))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        let noted = match buf.filled().get(before..) {
            Some(bytes) if !bytes.is_empty() => self.note_read(bytes),
            _ => Ok(()),
        };
        if let Err(error) = noted.and_then(|()| self.check_head(cx)) {
            return Poll::Ready(Err(error));
        }
        poll
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = match self.poll_interim(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_write(cx, buf),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        self.after_write(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.phase.interims.written_by(cx.waker());
        let poll = self.poll_interim(cx);
        ready!(self.after_write(cx, poll))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = match self.poll_interim(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        self.after_write(cx, poll)
    }
}
