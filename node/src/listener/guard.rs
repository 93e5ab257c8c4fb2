//! A connection that may not be slow for ever: a deadline for each request head, and one for taking
//! bytes. What comes in and goes out is read along with by a [`Watch`]. Interim responses leave through it as well (see [`crate::interim`]).
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

use super::phase::Phase;

/// Reads along with what goes over a connection, in its protocol.
pub(super) trait Watch {
    /// Notes bytes that came in.
    ///
    /// # Errors
    ///
    /// Why the connection is not to go on.
    fn read(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Notes bytes that have gone out.
    fn wrote(&mut self, bytes: &[u8]);

    /// Whether something has begun that its sender is to end soon.
    fn is_in_head(&self) -> bool;

    /// The last that the peer hears when the connection is ended for what it sent; where `is_late`, for what it
    /// did not send. `None` where nothing can be said.
    fn goodbye(&self, is_late: bool) -> Option<&'static [u8]>;
}

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// For a whole head.
    pub(super) head: Duration,
    /// For the next byte that it takes.
    pub(super) write: Duration,
}

/// A stream with deadlines.
pub(super) struct Guarded<S, W> {
    stream: S,
    watch: W,
    phase: Arc<Phase>,
    deadlines: Deadlines,
    /// Runs from the first byte of a head until the head is complete.
    head_deadline: Option<Pin<Box<Sleep>>>,
    /// Runs while the peer takes no byte.
    write_deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes of interim responses that are being written.
    interim: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, W: Watch> Guarded<S, W> {
    /// Guards `stream`, whose requests are noted in `phase`.
    pub(super) fn new(stream: S, watch: W, phase: Arc<Phase>, deadlines: Deadlines) -> Self {
        Self {
            stream,
            watch,
            phase,
            deadlines,
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

    /// Looks at what came in. A head that has begun runs against time.
    fn note_read(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.watch.read(bytes)?;
        if !self.watch.is_in_head() {
            self.head_deadline = None;
        } else if self.head_deadline.is_none() {
            self.head_deadline = Some(Box::pin(sleep_until(Instant::now() + self.deadlines.head)));
        }
        Ok(())
    }

    /// Whether a head has been coming in for too long.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.head_deadline.as_mut();
        deadline.is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready())
    }

    /// Ends the connection with `error`, and tells the peer if it takes it at once.
    fn end(&mut self, cx: &mut Context<'_>, error: io::Error) -> Poll<io::Result<()>> {
        let is_late = error.kind() == io::ErrorKind::TimedOut;
        if let Some(goodbye) = self.watch.goodbye(is_late)
            && let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_write(cx, goodbye)
        {
            tracing::trace!(%error, "the peer is gone already");
        }
        Poll::Ready(Err(error))
    }

    fn note_written(&mut self, bufs: &[io::IoSlice<'_>], mut written: usize) {
        for buf in bufs {
            let here = written.min(buf.len());
            self.watch.wrote(buf.get(..here).unwrap_or_default());
            written -= here;
        }
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
        let until = Instant::now() + self.deadlines.write;
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

impl<S: AsyncRead + AsyncWrite + Unpin, W: Watch + Unpin> AsyncRead for Guarded<S, W> {
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
        match noted {
            Err(error) => self.end(cx, error),
            Ok(()) if self.is_late(cx) => self.end(cx, timed_out("head")),
            Ok(()) => poll,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, W: Watch + Unpin> AsyncWrite for Guarded<S, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = match self.poll_interim(cx) {
            Poll::Ready(Ok(())) => {
                let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
                if let Poll::Ready(Ok(written)) = poll {
                    self.watch.wrote(buf.get(..written).unwrap_or_default());
                }
                poll
            }
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
            Poll::Ready(Ok(())) => {
                let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
                if let Poll::Ready(Ok(written)) = poll {
                    self.note_written(bufs, written);
                }
                poll
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        self.after_write(cx, poll)
    }
}
