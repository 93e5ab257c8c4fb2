//! Answers plain requests on an HTTP/1.1 connection before hyper sees them (see [`crate::express`]), and ends the
//! connection when it has been idle for too long.
//!
//! hyper reads and writes through here. Bytes that it reads are looked at on their way: where they are a plain request
//! that can be answered at once, the answer is written and hyper reads on as if nothing had come.
//!
//! # Invariants
//!
//! 1. Answers leave in the order of their requests: here only while all that came before was answered and has gone,
//!    and hyper writes only after what was begun here.
//! 2. What is not answered here reaches hyper byte by byte as it came.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

use super::guard::Guarded;
use super::http1::Http1;
use super::outlet::Outlet;
use super::phase::Phase;
use super::rest::Rest;
use crate::express::{Found, Plain, Room, find, write_head};
use crate::handle::Remote;
use crate::metrics::CacheOutcome;
use crate::node::Node;

/// A connection on which plain requests are answered on their way to hyper.
pub(super) struct Lane<S> {
    stream: Guarded<S, Http1>,
    node: Arc<Node>,
    phase: Arc<Phase>,
    /// Who asks; `None` where nothing is answered here.
    client: Option<Remote>,
    /// What is left of an answer that the peer has not taken at once.
    rest: Option<Box<Rest>>,
    /// Whether hyper has written what may not have gone.
    is_dirty: bool,
    /// When something was last asked or answered.
    moved: Instant,
    idle: Option<Pin<Box<Sleep>>>,
}

thread_local! {
    /// Where heads are written before they leave.
    static HEAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl<S: Outlet> Lane<S> {
    /// Looks at what comes on `stream`, on which `remote` asks.
    pub(super) fn new(
        stream: Guarded<S, Http1>,
        node: Arc<Node>,
        remote: &Remote,
        phase: Arc<Phase>,
    ) -> Self {
        let is_plain = node.config.express && remote.secured.is_none();
        Self {
            client: is_plain.then(|| remote.clone()),
            stream,
            node,
            phase,
            rest: None,
            is_dirty: false,
            moved: Instant::now(),
            idle: None,
        }
    }

    /// Whether the next byte is the first of a request that nothing has to wait for.
    fn is_open(&self) -> bool {
        self.rest.is_none() && !self.is_dirty && self.stream.protocol().is_answered()
    }

    /// Answers the request that `bytes` begin with; returns how long it is, or `None` where hyper is to read it.
    fn answer(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<Option<usize>> {
        let is_in_turn = self.rest.is_none() && !self.phase.ends();
        let Some(client) = self.client.as_ref().filter(|_| is_in_turn) else { return Ok(None) };
        let began = Instant::now();
        let mut room = Room::new();
        let Some(plain) = Plain::read(bytes, &mut room) else { return Ok(None) };
        let Some(found) = find(&self.node, client, &plain) else { return Ok(None) };
        self.moved = began;
        HEAD.with_borrow_mut(|head| {
            head.clear();
            write_head(head, &self.node, &found);
            self.send(cx, head, found)
        })?;
        Ok(Some(plain.length))
    }

    /// Writes an answer as far as the peer takes it, and keeps the rest.
    fn send(&mut self, cx: &mut Context<'_>, head: &[u8], found: Found) -> io::Result<()> {
        let metrics = found.known.site.metrics.of(CacheOutcome::Hit);
        metrics.requests.inc();
        metrics.head_seconds.observe(self.moved.elapsed());
        self.node.metrics.express.inc();
        let mut written = 0;
        if !found.is_in_files() {
            let bufs = [IoSlice::new(head), IoSlice::new(found.body())];
            if let Poll::Ready(done) = Pin::new(&mut self.stream).poll_write_vectored(cx, &bufs) {
                written = done?;
            }
            if written == head.len() + found.body().len() {
                metrics.bytes.inc_by(found.body().len() as u64);
                self.phase.answered_at(self.moved);
                return Ok(());
            }
        }
        let answering = self.phase.begin();
        self.phase.set_body(false);
        let mut rest = Box::new(Rest::new((head, written), found, answering));
        if rest.poll_send(&mut self.stream, cx)?.is_pending() {
            self.rest = Some(rest);
        }
        Ok(())
    }

    /// Writes what is left of an answer.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(rest) = &mut self.rest {
            ready!(rest.poll_send(&mut self.stream, cx)?);
            self.rest = None;
            self.moved = Instant::now();
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when nothing has been asked for so long that the connection is to end.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.node.config.limits.idle_timeout;
        // Most often a timer is running, and was not what has woken this task.
        if self.idle.as_ref().is_some_and(|timer| !timer.is_elapsed()) {
            return Poll::Pending;
        }
        loop {
            let end = self.moved + timeout;
            let timer = self.idle.get_or_insert_with(|| Box::pin(sleep_until(end.into())));
            if timer.is_elapsed() {
                if self.moved.elapsed() >= timeout {
                    return Poll::Ready(());
                }
                timer.as_mut().reset(end.into());
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

impl<S: Outlet> AsyncRead for Lane<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_rest(cx))?;
        let before = buf.filled().len();
        loop {
            let is_open = this.is_open();
            match Pin::new(&mut this.stream).poll_read(cx, buf) {
                Poll::Pending if is_open && this.poll_idle(cx).is_ready() => {
                    // To hyper it looks like the end of what the peer has to ask.
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(read) => read?,
            }
            if !is_open || buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            while let Some(bytes) = buf.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
                let Some(length) = this.answer(cx, bytes)? else { return Poll::Ready(Ok(())) };
                let left = bytes.len() - length;
                buf.filled_mut().copy_within(before + length.., before);
                buf.set_filled(before + left);
            }
            ready!(this.poll_rest(cx))?;
        }
    }
}

impl<S: Outlet> AsyncWrite for Lane<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(cx))?;
        self.is_dirty = true;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if std::mem::take(&mut self.is_dirty) {
            self.moved = Instant::now();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(cx))?;
        self.is_dirty = true;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
