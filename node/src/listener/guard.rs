//! A connection that may not be slow for ever: a deadline for each request head, and one for taking
//! bytes. Interim responses leave through it as well (see [`crate::interim`]).
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

use super::cut::{Cut, HEAD_TOO_LATE, Linger};
use super::phase::Phase;
use crate::limits::{TooSlow, Watch};

/// A stream with deadlines.
pub(super) struct Guarded<S> {
    stream: S,
    phase: Arc<Phase>,
    head_timeout: Duration,
    /// Runs from the first byte of a head until the head is complete.
    head_deadline: Option<Pin<Box<Sleep>>>,
    /// Looks at how fast the peer takes bytes.
    write_watch: Watch,
    /// What is said to a head that takes too long, in the protocol spoken; `None` for nothing.
    last_words: Option<&'static [u8]>,
    /// Takes what comes after the last answer, once that has gone.
    linger: Option<Linger>,
    /// Bytes of interim responses that are being written.
    interim: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    /// Guards `stream`.
    pub(super) fn new(
        stream: S,
        phase: Arc<Phase>,
        head_timeout: Duration,
        write_watch: Watch,
    ) -> Self {
        Self {
            stream,
            phase,
            head_timeout,
            head_deadline: None,
            write_watch,
            last_words: None,
            linger: None,
            interim: Vec::new(),
        }
    }

    /// Tells a head that takes too long so, in the words of HTTP/1.1.
    pub(super) fn speaking_http1(mut self) -> Self {
        self.last_words = Some(HEAD_TOO_LATE);
        self
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

    /// Fails once a head has been coming in for too long.
    fn check_head(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.phase.is_answering() {
            self.head_deadline = None;
        }
        let late = self
            .head_deadline
            .as_mut()
            .is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        if !late {
            return Ok(());
        }
        if let Some(words) = self.last_words.filter(|_| !self.phase.is_blocked()) {
            // Between two answers there is room for a line; where there is none, nothing is said.
            drop(Pin::new(&mut self.stream).poll_write(cx, words));
        }
        Err(Cut::Head.into())
    }

    /// Notes the outcome of a write of so many bytes; fails once the peer takes them too slowly.
    fn after_write(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.phase.set_blocked(poll.is_pending());
        if let Poll::Ready(written) = poll {
            self.write_watch.moved(*written.as_ref().unwrap_or(&0));
            return Poll::Ready(written);
        }
        match ready!(self.write_watch.poll_waiting(cx)) {
            TooSlow::Stalled => Poll::Ready(Err(Cut::Write.into())),
            TooSlow::Slow => Poll::Ready(Err(Cut::WriteRate.into())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        let arrived = buf.filled().len() > before;
        if arrived && !self.phase.is_answering() && self.head_deadline.is_none() {
            self.head_deadline = Some(Box::pin(sleep_until(Instant::now() + self.head_timeout)));
            self.phase.idle.end();
        }
        if poll.is_pending()
            && let Err(error) = self.check_head(cx)
        {
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
        let poll = self.poll_interim(cx).map_ok(|()| 0);
        ready!(self.after_write(cx, poll))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let linger = this.linger.get_or_insert_default();
        if this.phase.may_have_unread() {
            ready!(linger.poll(&mut this.stream, cx));
        }
        Poll::Ready(Ok(()))
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
