//! A connection that may not be slow for ever: a deadline for each request head, and a least pace for taking
//! bytes. What comes in and goes out is read along with by a [`Protocol`]. Interim responses leave through it as
//! well (see [`crate::interim`]), and what comes after the last answer is taken.
//!
//! hyper's own head timeout covers idle time as well; here the clock starts with the first byte of a
//! head, so that idle connections may live longer than slow heads.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::cut::{Cut, Linger};
use super::outlet::Outlet;
use super::phase::Phase;
use crate::limits::{TooSlow, Watch};

/// What a guard must know of the protocol that is spoken.
pub(crate) trait Protocol {
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

/// A stream with deadlines.
pub(crate) struct Guarded<S, P> {
    stream: S,
    protocol: P,
    phase: Arc<Phase>,
    head_timeout: Duration,
    /// Runs from the first byte of a head until the head is complete.
    head_deadline: Option<Pin<Box<Sleep>>>,
    /// Looks at how fast the peer takes bytes.
    write_watch: Watch,
    /// Takes what comes after the last answer, once that has gone.
    linger: Option<Linger>,
    /// Bytes of interim responses that are being written.
    interim: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, P: Protocol> Guarded<S, P> {
    /// Guards `stream`, on which `protocol` is spoken and whose requests are noted in `phase`.
    pub(crate) fn new(
        stream: S,
        protocol: P,
        phase: Arc<Phase>,
        head_timeout: Duration,
        write_watch: Watch,
    ) -> Self {
        // Some protocols begin with the connection.
        let begins = protocol.is_in_head();
        let head_deadline = begins.then(|| Box::pin(sleep_until(Instant::now() + head_timeout)));
        Self {
            stream,
            protocol,
            phase,
            head_timeout,
            head_deadline,
            write_watch,
            linger: None,
            interim: Vec::new(),
        }
    }

    /// The protocol that is spoken.
    pub(super) fn protocol(&self) -> &P {
        &self.protocol
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
        self.protocol.read(bytes)?;
        if !self.protocol.is_in_head() {
            // What looked like the beginning of a head may have been none.
            if self.head_deadline.take().is_some() && !self.phase.is_answering() {
                self.phase.idle.begin();
            }
        } else if self.head_deadline.is_none() {
            self.head_deadline = Some(Box::pin(sleep_until(Instant::now() + self.head_timeout)));
            self.phase.idle.end();
        }
        Ok(())
    }

    /// Whether a head has been coming in for too long.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.head_deadline.as_mut();
        deadline.is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready())
    }

    /// Ends the connection with `error`, and tells the peer if it takes it at once.
    fn end(&mut self, cx: &mut Context<'_>, is_late: bool, error: io::Error) -> io::Error {
        // Amid bytes that wait for the peer there is no room for a word.
        let goodbye = self.protocol.goodbye(is_late).filter(|_| !self.phase.is_blocked());
        if let Some(goodbye) = goodbye
            && let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_write(cx, goodbye)
        {
            tracing::trace!(%error, "the peer is gone already");
        }
        error
    }

    fn note_written(&mut self, bufs: &[io::IoSlice<'_>], mut written: usize) {
        for buf in bufs {
            let here = written.min(buf.len());
            self.protocol.wrote(buf.get(..here).unwrap_or_default());
            written -= here;
        }
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

impl<S: Outlet, P: Protocol> Guarded<S, P> {
    /// Sends with `send` to the socket itself, as often as that would block once it can take bytes. `send` returns how
    /// many it sent; the peer gets them as they are.
    pub(super) fn poll_socket(
        &mut self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Some(socket) = self.stream.socket() else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        let sent = loop {
            match socket.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
            match socket.try_io(Interest::WRITABLE, || send(socket.as_fd())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => break Poll::Ready(sent),
            }
        };
        self.after_write(cx, sent)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, P: Protocol + Unpin> AsyncRead for Guarded<S, P> {
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
            Err(error) => Poll::Ready(Err(self.end(cx, false, error))),
            Ok(()) if self.is_late(cx) => Poll::Ready(Err(self.end(cx, true, Cut::Head.into()))),
            Ok(()) => poll,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, P: Protocol + Unpin> AsyncWrite for Guarded<S, P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = match self.poll_interim(cx) {
            Poll::Ready(Ok(())) => {
                let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
                if let Poll::Ready(Ok(written)) = poll {
                    self.protocol.wrote(buf.get(..written).unwrap_or_default());
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
        let poll = match self.poll_interim(cx) {
            // A stream that encrypts takes bytes at once, and waits for the peer here.
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_flush(cx),
            other => other,
        };
        self.after_write(cx, poll.map_ok(|()| 0)).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            let poll = Pin::new(&mut this.stream).poll_shutdown(cx).map_ok(|()| 0);
            ready!(this.after_write(cx, poll))?;
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::config::Bandwidth;
    use crate::listener::Http1;

    /// A stream that takes all bytes and never gets them to its peer, as one that encrypts does.
    struct Sealed;

    impl AsyncRead for Sealed {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Sealed {
        fn poll_write(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_a_stream_holds_back_run_against_time() {
        let (phase, minute) = (Phase::new(), Duration::from_secs(60));
        let watch = Watch::new(minute, Bandwidth::ZERO);
        let spoken = Http1::new(Arc::clone(&phase));
        let mut guarded = Guarded::new(Sealed, spoken, phase, minute, watch);
        guarded.write_all(b"hello").await.unwrap();
        let limit = 3 * minute;
        let flushed = tokio::time::timeout(limit, guarded.flush()).await;
        assert_eq!(flushed.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        let ended = tokio::time::timeout(limit, guarded.shutdown()).await;
        assert_eq!(ended.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
