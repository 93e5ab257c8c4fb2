//! The body of a fill: written once, read by many, each at its own pace.
//!
//! Two ways of keeping bytes:
//!
//! - **Whole**: everything stays in memory, because the response will be stored there. Bounded by
//!   the largest storable object and by the budget of all fills.
//! - **Window**: the response is too large to store. Bytes go to a spill file as they come; memory
//!   keeps the last `window` of them. The writer runs at most a window ahead of the *fastest* reader,
//!   slower ones read the file.
//!
//! Where the file cannot take the bytes (disk full, budget used up) the writer paces itself by the
//! *slowest* reader instead: slower, but nobody is cut. Nobody can join such a body any more.
//!
//! # Invariants
//!
//! 1. A byte that a reader has not read is in memory or in the file.
//! 2. After `finish`, nothing is added, and every reader sees the end after the last byte.
//! 3. A reader is woken by every change it could wait for, so no reader polls.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;

use super::aside::AsideReader;
use super::budget::Reserved;
use crate::upstream::FillError;

/// Names one reader of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ReaderId(u64);

/// How a body ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// All bytes came.
    Whole,
    /// The rest will not come.
    Cut(Arc<FillError>),
}

/// What a reader finds at its offset.
#[derive(Debug)]
pub(crate) enum Read {
    /// The next bytes, from memory.
    Bytes(Bytes),
    /// The next bytes are set aside on disk.
    Spilled { file: AsideReader, offset: u64, length: u64 },
    /// The body is whole and all read.
    End,
    /// The body ended early.
    Cut(Arc<FillError>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Whole,
    Window { bytes: u64 },
}

#[derive(Debug)]
struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

#[derive(Debug, Default)]
struct Reader {
    offset: u64,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<Chunk>,
    received: u64,
    end: Option<End>,
    keep: Keep,
    readers: HashMap<ReaderId, Reader>,
    readers_made: u64,
    writer: Option<Waker>,
    spill: Option<AsideReader>,
    spilled: u64,
    /// What came behind the body, for the one reader that may have it.
    trailers: Option<HeaderMap>,
    /// The memory that the chunks are charged for, held as long as they can be read.
    reserved: Option<Reserved>,
}

/// A body in flight.
#[derive(Debug)]
pub(crate) struct SharedBody {
    state: Mutex<State>,
}

impl SharedBody {
    /// An empty body that keeps everything.
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                chunks: VecDeque::new(),
                received: 0,
                end: None,
                keep: Keep::Whole,
                readers: HashMap::new(),
                readers_made: 0,
                writer: None,
                spill: None,
                spilled: 0,
                trailers: None,
                reserved: None,
            }),
        }
    }

    /// Adds a reader at `offset`, or returns `None` if bytes from there on are gone.
    pub(crate) fn attach(&self, offset: u64) -> Option<ReaderId> {
        let mut state = self.state.lock();
        // Where the file no longer takes bytes, a reader at the start would stop all others.
        let pacing = matches!(state.keep, Keep::Window { .. }) && !state.spilling();
        if !state.holds_from(offset) || (pacing && offset < state.memory_start()) {
            return None;
        }
        state.readers_made += 1;
        let id = ReaderId(state.readers_made);
        state.readers.insert(id, Reader { offset, waker: None });
        Some(id)
    }

    /// Removes a reader. The writer is woken: the pace may have changed.
    pub(crate) fn detach(&self, id: ReaderId) {
        let mut state = self.state.lock();
        state.readers.remove(&id);
        state.trim();
        state.wake_writer();
    }

    /// How many read this body.
    pub(crate) fn readers(&self) -> usize {
        self.state.lock().readers.len()
    }

    /// Bytes that have arrived.
    pub(crate) fn received(&self) -> u64 {
        self.state.lock().received
    }

    /// Keeps only the last `bytes` in memory from here on.
    pub(crate) fn keep_window(&self, bytes: u64) {
        self.state.lock().keep = Keep::Window { bytes };
    }

    /// Holds `reserved` for as long as the body can be read.
    pub(crate) fn charge(&self, reserved: Reserved) {
        self.state.lock().reserved = Some(reserved);
    }

    /// Takes `whole` in place of the chunks that it is made of, so that the bytes are held once.
    pub(crate) fn replace_by(&self, whole: Bytes) {
        let mut state = self.state.lock();
        state.received = whole.len() as u64;
        state.chunks.clear();
        if !whole.is_empty() {
            state.chunks.push_back(Chunk { start: 0, bytes: whole });
        }
        state.wake_readers();
    }

    /// Everything that has arrived, for writing to a spill file. Shares the bytes.
    pub(crate) fn arrived(&self) -> Vec<Bytes> {
        self.state.lock().chunks.iter().map(|chunk| chunk.bytes.clone()).collect()
    }

    /// Says that the first `spilled` bytes can be read from `file`.
    pub(crate) fn spilled(&self, file: AsideReader, spilled: u64) {
        let mut state = self.state.lock();
        state.spill = Some(file);
        state.spilled = spilled;
        state.trim();
    }

    /// Adds bytes and wakes every reader. Adding none changes nothing.
    pub(crate) fn push(&self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let start = state.received;
        state.received += bytes.len() as u64;
        state.chunks.push_back(Chunk { start, bytes });
        state.trim();
        state.wake_readers();
    }

    /// Keeps what came behind the last byte, until it is taken.
    pub(crate) fn set_trailers(&self, trailers: HeaderMap) {
        self.state.lock().trailers = Some(trailers);
    }

    /// Takes what came behind the last byte.
    pub(crate) fn take_trailers(&self) -> Option<HeaderMap> {
        self.state.lock().trailers.take()
    }

    /// Ends the body and wakes every reader. The first end stands.
    pub(crate) fn finish(&self, end: End) {
        let mut state = self.state.lock();
        state.end.get_or_insert(end);
        state.wake_readers();
    }

    /// Waits until the writer may add more.
    pub(crate) async fn room(&self) {
        std::future::poll_fn(|cx| self.poll_room(cx)).await;
    }

    /// Waits until nobody reads.
    pub(crate) async fn deserted(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.state.lock();
            if state.readers.is_empty() {
                return Poll::Ready(());
            }
            // The writer waits for one thing at a time.
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.has_room() {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What reader `id` finds at its offset; moves the offset past the bytes it returns.
    ///
    /// For [`Read::Spilled`] the caller reports what it read with [`SharedBody::advance`].
    pub(crate) fn poll_read(&self, id: ReaderId, cx: &Context<'_>) -> Poll<Read> {
        let mut state = self.state.lock();
        let Some(offset) = state.readers.get(&id).map(|reader| reader.offset) else {
            return Poll::Ready(Read::End);
        };
        match state.find(offset) {
            Some(Read::Bytes(bytes)) => {
                state.move_to(id, offset + bytes.len() as u64);
                Poll::Ready(Read::Bytes(bytes))
            }
            Some(read) => Poll::Ready(read),
            None => {
                if let Some(reader) = state.readers.get_mut(&id) {
                    reader.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Moves reader `id` forward by bytes it read from the spill file, or skips.
    pub(crate) fn advance(&self, id: ReaderId, bytes: u64) {
        let mut state = self.state.lock();
        if let Some(offset) = state.readers.get(&id).map(|reader| reader.offset) {
            state.move_to(id, offset + bytes);
        }
    }
}

impl State {
    /// Whether every byte from `offset` on is still somewhere.
    fn holds_from(&self, offset: u64) -> bool {
        let memory_start = self.memory_start();
        offset >= memory_start || self.spilled >= memory_start
    }

    /// The offset of the first byte that is in memory.
    fn memory_start(&self) -> u64 {
        self.chunks.front().map_or(self.received, |chunk| chunk.start)
    }

    fn find(&self, offset: u64) -> Option<Read> {
        let after = self.chunks.partition_point(|chunk| chunk.end() <= offset);
        if offset < self.memory_start() {
            let file = self.spill.clone()?;
            let length = self.spilled.saturating_sub(offset);
            return (length > 0).then_some(Read::Spilled { file, offset, length });
        }
        if let Some(chunk) = self.chunks.get(after) {
            let skip = usize::try_from(offset - chunk.start).unwrap_or(usize::MAX);
            return Some(Read::Bytes(chunk.bytes.slice(skip.min(chunk.bytes.len())..)));
        }
        match self.end.as_ref()? {
            End::Whole => Some(Read::End),
            End::Cut(error) => Some(Read::Cut(Arc::clone(error))),
        }
    }

    fn move_to(&mut self, id: ReaderId, offset: u64) {
        if let Some(reader) = self.readers.get_mut(&id) {
            reader.offset = offset;
        }
        self.trim();
        if self.writer.is_some() && self.has_room() {
            self.wake_writer();
        }
    }

    /// Whether the writer may add bytes: always when everything is kept, else a window ahead of the
    /// reader that sets the pace.
    fn has_room(&self) -> bool {
        let Keep::Window { bytes } = self.keep else { return true };
        let offsets = self.readers.values().map(|reader| reader.offset);
        let pace = if self.spilling() { offsets.max() } else { offsets.min() };
        pace.is_none_or(|offset| self.received.saturating_sub(offset) < bytes)
    }

    /// Whether all that arrived is in the file.
    fn spilling(&self) -> bool {
        self.spill.is_some() && self.spilled >= self.received
    }

    /// Drops chunks from memory that the window does not cover and nobody needs there.
    fn trim(&mut self) {
        let Keep::Window { bytes } = self.keep else { return };
        while let Some(first) = self.chunks.front() {
            let end = first.end();
            let outside = self.received.saturating_sub(end) >= bytes;
            let needed = || {
                let mut offsets = self.readers.values().map(|reader| reader.offset);
                self.spilled < end && offsets.any(|offset| offset < end)
            };
            if !outside || needed() {
                break;
            }
            self.chunks.pop_front();
        }
    }

    fn wake_readers(&mut self) {
        for reader in self.readers.values_mut() {
            if let Some(waker) = reader.waker.take() {
                waker.wake();
            }
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn read(body: &SharedBody, id: ReaderId) -> String {
        match body.poll_read(id, &cx()) {
            Poll::Ready(Read::Bytes(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            Poll::Ready(Read::End) => "<end>".to_owned(),
            Poll::Ready(Read::Cut(_)) => "<cut>".to_owned(),
            Poll::Ready(Read::Spilled { .. }) => "<spilled>".to_owned(),
            Poll::Pending => "<wait>".to_owned(),
        }
    }

    #[test]
    fn late_readers_get_every_byte_from_the_start() {
        let body = SharedBody::new();
        let early = body.attach(0).unwrap();
        assert_eq!(read(&body, early), "<wait>");
        body.push(Bytes::from_static(b"ab"));
        assert_eq!(read(&body, early), "ab");
        let late = body.attach(0).unwrap();
        body.push(Bytes::from_static(b"cd"));
        assert_eq!((read(&body, late), read(&body, late)), ("ab".to_owned(), "cd".to_owned()));
        assert_eq!(body.arrived(), ["ab", "cd"]);
        body.replace_by(Bytes::from_static(b"abcd"));
        body.finish(End::Whole);
        assert_eq!(read(&body, late), "<end>");
        assert_eq!(read(&body, early), "cd", "the end does not overtake bytes");
    }

    #[test]
    fn a_cut_body_ends_early_for_everyone() {
        let body = SharedBody::new();
        let id = body.attach(0).unwrap();
        body.push(Bytes::from_static(b"ab"));
        body.finish(End::Cut(Arc::new(FillError::Abandoned)));
        body.finish(End::Whole);
        assert_eq!((read(&body, id), read(&body, id)), ("ab".to_owned(), "<cut>".to_owned()));
    }

    #[test]
    fn without_a_file_the_slowest_reader_sets_the_pace_and_nobody_joins_late() {
        let body = SharedBody::new();
        body.keep_window(2);
        let fast = body.attach(0).unwrap();
        let slow = body.attach(0).unwrap();
        body.push(Bytes::from_static(b"ab"));
        assert_eq!(read(&body, fast), "ab");
        assert!(body.poll_room(&cx()).is_pending(), "the slow reader has read nothing");
        assert_eq!(read(&body, slow), "ab");
        assert!(body.poll_room(&cx()).is_ready());
        body.push(Bytes::from_static(b"cd"));
        body.push(Bytes::from_static(b"ef"));
        assert!(body.attach(0).is_none(), "the first bytes are gone");
        assert_eq!(read(&body, slow), "cd", "kept although outside the window");
    }

    #[test]
    fn a_reader_that_leaves_gives_the_writer_room() {
        let body = SharedBody::new();
        body.keep_window(1);
        let slow = body.attach(0).unwrap();
        body.push(Bytes::from_static(b"ab"));
        assert!(body.poll_room(&cx()).is_pending());
        body.detach(slow);
        assert!(body.poll_room(&cx()).is_ready());
    }
}
