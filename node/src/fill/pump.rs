//! Moves the body of an answer to its readers and, if it comes whole, to the store.
//!
//! A body that is to be stored stays in memory whole; one that is too large goes through a window
//! with a spill file behind it; one that may not be shared goes through a window for its one reader.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use weir_cache::passable_trailers;
use weir_store::StoredResponse;

use super::aside::{Aside, Slices};
use super::body::End;
use super::budget::Reserved;
use super::part::keep_part;
use super::progress::{FillHead, Progress};
use super::resume::{Breaks, Resumed};
use super::run::{FillWork, Running, count_not_stored, keep, keep_body};
use crate::telemetry::chain;
use crate::upstream::{Answer, FillError, Member, UpstreamBody};

/// What one piece of a body costs beyond its bytes, so that many tiny ones are charged for.
const PIECE_OVERHEAD_BYTES: u64 = 64;

/// Pumps `answer` until it ends, fails, or nobody wants it.
pub(super) async fn pump(running: &Running, work: &FillWork, head: &FillHead, answer: Answer) {
    let mut pump = Pump::new(running, head, answer);
    if !head.admitted || pump.is_too_large_for_memory() {
        pump.open_window(work).await;
    }
    let Err(error) = pump.until_the_end(work).await else { return };
    let fill = running.fill();
    // Whoever comes next starts anew instead of joining what cannot end well.
    running.node.fills.remove(fill);
    if matches!(error, FillError::Abandoned) {
        tracing::debug!(target_uri = %work.keyed.target, "nobody reads the body any more");
    } else {
        running.node.metrics.fills_failed.inc();
        let error = chain(&error).to_string();
        tracing::warn!(target_uri = %work.keyed.target, error, "body ended early");
    }
    fill.body.finish(End::Cut(Arc::new(error)));
}

type NextFrame = Result<Frame<Bytes>, hyper::Error>;

/// A body compared with the digest that the parent sent along.
pub(super) struct Checked {
    expected: blake3::Hash,
    hasher: blake3::Hasher,
}

impl Checked {
    fn new(expected: [u8; 32]) -> Self {
        Self { expected: expected.into(), hasher: blake3::Hasher::new() }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    fn is_right(&self) -> bool {
        self.hasher.finalize() == self.expected
    }
}

/// Nobody reads any more, and finishing is not worth it.
struct Deserted;

pub(super) struct Pump<'a> {
    pub(super) running: &'a Running,
    pub(super) head: &'a FillHead,
    /// Whom the body comes from.
    pub(super) upstream: Arc<Member>,
    pub(super) body: UpstreamBody,
    /// How long no byte may come.
    pub(super) idle: Duration,
    /// Bytes at the start of the answer that are here already.
    pub(super) skip: u64,
    /// Where a body that was gone on with ends; `None` where its own framing says so.
    pub(super) ends_at: Option<u64>,
    pub(super) breaks: Breaks,
    /// What the body is to have, and has so far. It is large, and most have none.
    digest: Option<Box<Checked>>,
    /// Memory held for a body that is to be stored; `None` once it goes through a window.
    whole: Option<Reserved>,
    pub(super) aside: Option<Aside>,
    /// Bytes set aside.
    pub(super) aside_bytes: u64,
}

impl<'a> Pump<'a> {
    fn new(running: &'a Running, head: &'a FillHead, answer: Answer) -> Self {
        let node = &running.node;
        Self {
            running,
            head,
            upstream: answer.upstream,
            body: answer.body,
            idle: node.upstreams.config().idle_timeout,
            skip: 0,
            ends_at: None,
            breaks: Breaks::default(),
            digest: answer.digest.map(Checked::new).map(Box::new),
            whole: Some(node.fill_memory.reserve()),
            aside: None,
            aside_bytes: 0,
        }
    }

    async fn until_the_end(&mut self, work: &FillWork) -> Result<(), FillError> {
        while let Some(bytes) = self.next(work).await? {
            if let Some(digest) = &mut self.digest {
                digest.update(&bytes);
            }
            if self.is_last(&bytes) {
                return self.end_with(work, bytes).await;
            }
            self.add(work, bytes).await;
            self.running.fill().body.room().await;
            if self.is_given_up() {
                return Err(FillError::Abandoned);
            }
        }
        self.end_with(work, Bytes::new()).await
    }

    /// Ends the body with its last bytes, unless it is another one than was announced: then they are kept
    /// back, so that every reader sees that it does not have all of it.
    async fn end_with(&mut self, work: &FillWork, last: Bytes) -> Result<(), FillError> {
        if self.digest.as_ref().is_some_and(|digest| !digest.is_right()) {
            self.running.node.metrics.integrity_failures.inc();
            let (upstream, body) =
                (self.upstream.authority().to_owned(), &self.running.fill().body);
            let received = body.received().saturating_add(last.len() as u64);
            return Err(FillError::Corrupt { upstream, received });
        }
        self.finish(work, last).await;
        Ok(())
    }

    /// The next bytes of the body, from whoever goes on with it where it breaks off; `None` at the end.
    async fn next(&mut self, work: &FillWork) -> Result<Option<Bytes>, FillError> {
        loop {
            let broke = match self.next_sent().await {
                Ok(Some(bytes)) => match self.unseen(bytes) {
                    bytes if bytes.is_empty() => continue,
                    bytes => return Ok(Some(bytes)),
                },
                Ok(None) if self.is_short() => self.short(),
                Ok(None) => return Ok(None),
                Err(FillError::Abandoned) => return Err(FillError::Abandoned),
                Err(error) => error,
            };
            match Box::pin(self.resume(work, broke)).await? {
                Resumed::GoesOn => {}
                Resumed::Ended => return Ok(None),
            }
        }
    }

    /// What of `bytes` has not come before, and belongs to the body.
    fn unseen(&mut self, mut bytes: Bytes) -> Bytes {
        let length = bytes.len() as u64;
        let seen = self.skip.min(length);
        self.skip -= seen;
        let mut bytes = bytes.split_off(usize::try_from(seen).unwrap_or(usize::MAX));
        if let Some(ends_at) = self.ends_at {
            let left = ends_at.saturating_sub(self.running.fill().body.received());
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        bytes
    }

    /// Whether a body that was gone on with ended before its end.
    fn is_short(&self) -> bool {
        let received = self.running.fill().body.received();
        self.skip > 0 || self.ends_at.is_some_and(|ends_at| received < ends_at)
    }

    fn short(&self) -> FillError {
        let received = self.running.fill().body.received();
        FillError::Short { upstream: self.upstream.authority().to_owned(), received }
    }

    /// The next bytes as they are sent; `None` at the end.
    async fn next_sent(&mut self) -> Result<Option<Bytes>, FillError> {
        loop {
            let Ok(frame) = self.frame().await else { return Err(FillError::Abandoned) };
            let received = self.running.fill().body.received();
            let upstream = || self.upstream.authority().to_owned();
            match frame {
                Err(_elapsed) => {
                    let waited = self.idle;
                    return Err(FillError::BodyTimeout { upstream: upstream(), received, waited });
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(source))) => {
                    return Err(FillError::Truncated { upstream: upstream(), received, source });
                }
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => return Ok(Some(bytes)),
                    Err(trailers) => self.pass_on(trailers),
                },
            }
        }
    }

    /// What comes next from upstream, or that it took too long.
    ///
    /// # Errors
    ///
    /// [`Deserted`] when everybody has left meanwhile and nobody can join any more.
    async fn frame(&mut self) -> Result<Result<Option<NextFrame>, Elapsed>, Deserted> {
        let silent_at = Instant::now() + self.idle;
        let fill = Arc::clone(self.running.fill());
        tokio::select! {
            biased;
            frame = timeout_at(silent_at, self.body.frame()) => return Ok(frame),
            () = fill.body.deserted() => {}
        }
        if self.is_given_up() {
            return Err(Deserted);
        }
        // No byte comes before the next look, so it would find nothing else.
        Ok(timeout_at(silent_at, self.body.frame()).await)
    }

    /// Lets the one client of a response that is nobody else's have its trailers; all others are
    /// dropped.
    fn pass_on(&self, frame: Frame<Bytes>) {
        if self.head.private_trailer().is_some()
            && let Ok(trailers) = frame.into_trailers()
            && let Some(trailers) = passable_trailers(&trailers)
        {
            self.running.fill().body.set_trailers(trailers);
        }
    }

    /// Whether `bytes` complete a body whose length was announced.
    fn is_last(&self, bytes: &Bytes) -> bool {
        let received = self.running.fill().body.received() + bytes.len() as u64;
        self.head.content_length == Some(received)
    }

    /// Adds bytes, in the way that fits the body so far.
    async fn add(&mut self, work: &FillWork, bytes: Bytes) {
        if !self.fits_in_memory(&bytes) {
            let had_room = self.whole.is_some();
            self.open_window(work).await;
            if self.head.admitted && had_room && !self.goes_to_slices() && !self.may_be_copied() {
                count_not_stored(self.running, work, "no-room");
            }
            self.set_aside(&bytes).await;
        }
        self.running.fill().body.push(bytes);
    }

    /// Whether the body may stay in memory whole with `bytes` added; charges for them if so.
    fn fits_in_memory(&mut self, bytes: &Bytes) -> bool {
        let length = bytes.len() as u64;
        let limit = self.running.node.store.limits().memory_object_bytes_max;
        let storable = self.running.fill().body.received() + length <= limit;
        storable && self.whole.as_mut().is_some_and(|held| held.grow(length + PIECE_OVERHEAD_BYTES))
    }

    /// Whether the body is announced as one that memory does not keep.
    fn is_too_large_for_memory(&self) -> bool {
        let limit = self.running.node.store.limits().memory_object_bytes_max;
        self.head.content_length.is_some_and(|length| length > limit)
    }

    /// Changes from keeping everything to keeping a window. The rest goes to the disk: to stay there, if it is
    /// to be stored, or as long as others may still join to read it.
    async fn open_window(&mut self, work: &FillWork) {
        if self.whole.take().is_none() {
            return;
        }
        let node = &self.running.node;
        let announced = self.head.content_length;
        self.aside = match announced.and_then(|length| self.begin_slices(work, length)) {
            Some(slices) => Some(Aside::Slices(Box::new(slices))),
            None if self.is_shared() => match node.spill.create().await {
                Ok(spill) => Some(Aside::Spill(spill)),
                Err(error) => {
                    self.on_spill_failure(&error);
                    None
                }
            },
            None => None,
        };
        for bytes in self.running.fill().body.arrived() {
            self.set_aside(&bytes).await;
        }
        self.running.fill().body.keep_window(node.config.fill.window.as_u64());
    }

    /// The place of the body, of this length, in the disk tier; `None` where it is not to be stored, or there
    /// is no such tier.
    pub(super) fn begin_slices(&self, work: &FillWork, length: u64) -> Option<Slices> {
        let node = &self.running.node;
        let (tier, head) = (node.store.disk()?, self.head.storable.as_ref()?);
        if !self.head.admitted || length == 0 {
            return None;
        }
        let head = node.store.compact(head.clone());
        let stored = StoredResponse::new(head, Bytes::new(), &work.keyed.text);
        match tier.begin_body(&work.keyed.key, &stored, length) {
            Ok(writer) => Some(Slices::new(writer, stored)),
            Err(error) => {
                tracing::debug!(%error, "a large body is not kept on disk");
                None
            }
        }
    }

    fn goes_to_slices(&self) -> bool {
        matches!(self.aside, Some(Aside::Slices(_)))
    }

    /// Whether others may join.
    fn is_shared(&self) -> bool {
        matches!(&*self.running.fill().watch().borrow(), Progress::Shared(_))
    }

    async fn set_aside(&mut self, bytes: &Bytes) {
        let Some(aside) = &mut self.aside else { return };
        match aside.append(bytes.clone()).await {
            Ok(()) => {
                let body = &self.running.fill().body;
                self.aside_bytes = self.aside_bytes.saturating_add(bytes.len() as u64);
                body.spilled(aside.reader(), self.aside_bytes);
            }
            Err(error) => {
                self.aside = None;
                self.on_spill_failure(&error);
            }
        }
    }

    fn on_spill_failure(&self, error: &std::io::Error) {
        self.running.node.metrics.spill_failures.inc();
        tracing::warn!(%error, "a large body cannot be set aside on disk; its slowest reader sets its pace");
    }

    /// Ends the body with its last bytes, which may be none, and stores it if it is all here.
    ///
    /// The last bytes reach the readers after the response is stored, so that whoever has read a
    /// whole response and asks again finds it.
    async fn finish(&mut self, work: &FillWork, last: Bytes) {
        let (node, fill) = (&self.running.node, self.running.fill());
        if self.head.admitted && self.fits_in_memory(&last) {
            let whole = joined(&fill.body.arrived(), &last);
            if !self.keep(work, whole.clone()).await {
                tracing::debug!(target_uri = %work.keyed.target, "not kept");
            }
            fill.body.replace_by(whole);
        } else if self.goes_to_slices() {
            self.set_aside(&last).await;
            Box::pin(self.keep_slices(work)).await;
            fill.body.push(last);
        } else {
            self.add(work, last).await;
        }
        if let Some(held) = self.whole.take() {
            fill.body.charge(held);
        }
        fill.body.finish(End::Whole);
        // Who comes until it is copied joins the fill, which has all of it.
        if self.may_be_copied() {
            self.copy_to_slices(work).await;
            Box::pin(self.keep_slices(work)).await;
        }
        node.fills.remove(fill);
    }

    /// Stores a body that went to the disk tier while it came in.
    async fn keep_slices(&self, work: &FillWork) {
        let Some(Aside::Slices(slices)) = &self.aside else { return };
        let kept = match slices.whole() {
            Some(stored) => keep(self.running, work, Arc::new(stored)).await,
            None => false,
        };
        if !kept {
            tracing::debug!(target_uri = %work.keyed.target, "not kept");
        }
    }

    /// Stores `whole` as what its head says it is; returns whether it is kept.
    async fn keep(&self, work: &FillWork, whole: Bytes) -> bool {
        match (&self.head.storable, &self.head.part) {
            (Some(stored), _) => keep_body(self.running, work, stored, whole).await,
            (None, Some(part)) => Box::pin(keep_part(self.running, work, part, whole)).await,
            (None, None) => false,
        }
    }

    /// Whether nobody reads the body and finishing it is not worth it; if so, nobody can join any
    /// more.
    pub(super) fn is_given_up(&self) -> bool {
        let (node, fill) = (&self.running.node, self.running.fill());
        if fill.body.readers() > 0 || (self.is_worth_finishing() && !fill.is_overtaken()) {
            return false;
        }
        node.fills.remove_if_unread(fill)
    }

    /// A response that will be stored and is asked for by nobody is finished when it was wanted
    /// explicitly, when half of it is here, or when little is left.
    fn is_worth_finishing(&self) -> bool {
        let (node, fill) = (&self.running.node, self.running.fill());
        let goes_to_disk = self.goes_to_slices() || self.may_be_copied();
        if (self.whole.is_none() && !goes_to_disk) || !self.head.admitted {
            return false;
        }
        let received = fill.body.received();
        let background = node.config.fill.background_max.as_u64();
        fill.is_wanted()
            || match self.head.content_length {
                Some(length) => {
                    received >= length / 2 || length.saturating_sub(received) <= background
                }
                None => received <= background,
            }
    }
}

/// All pieces and `last` in memory of their own: what came off a connection is a slice of its read
/// buffer and would keep all of it alive.
fn joined(pieces: &[Bytes], last: &Bytes) -> Bytes {
    let length = pieces.iter().map(Bytes::len).sum::<usize>() + last.len();
    let mut whole = BytesMut::with_capacity(length);
    for piece in pieces {
        whole.extend_from_slice(piece);
    }
    whole.extend_from_slice(last);
    whole.freeze()
}
