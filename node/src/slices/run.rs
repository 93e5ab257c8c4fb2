//! One run: neighboring slices of one body that are fetched with one request, and those who wait for them.
//!
//! # Invariants
//!
//! 1. Who has a seat is woken by every byte and by the end.
//! 2. A run that everybody has left goes no further than the slice that it is in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};
use weir_store::{DiskBody, StoredSlices};

use crate::upstream::FillError;

/// How many slices ahead of what has come one waits for, rather than asking for oneself.
const NEAR_SLICES: u32 = 1;

/// How a run ended.
#[derive(Debug, Clone)]
pub(crate) enum RunEnd {
    /// It went as far as it was to go.
    Done,
    /// Upstream or the disk failed.
    Failed(Arc<FillError>),
    /// What is upstream is another body.
    Changed(Arc<FillError>),
}

/// How far a run is.
#[derive(Debug, Clone)]
struct State {
    /// The response under the head that the run has confirmed.
    slices: Option<StoredSlices>,
    /// Offset behind the last byte that can be read.
    written: u64,
    end: Option<RunEnd>,
}

/// Slices being fetched.
#[derive(Debug)]
pub(super) struct Run {
    body: Arc<DiskBody>,
    first: u32,
    last: AtomicU32,
    state: watch::Sender<State>,
    seats: AtomicUsize,
    /// How far the one who is furthest has read.
    reach: AtomicU64,
    moved: Notify,
}

impl Run {
    /// A run of slices `first` to `last` of `body`.
    pub(super) fn new(body: &Arc<DiskBody>, first: u32, last: u32) -> Self {
        let written = body.bytes_of(first).start;
        Self {
            body: Arc::clone(body),
            first,
            last: AtomicU32::new(last),
            state: watch::Sender::new(State { slices: None, written, end: None }),
            seats: AtomicUsize::new(0),
            reach: AtomicU64::new(written),
            moved: Notify::new(),
        }
    }

    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// The last slice that it is to bring.
    pub(super) fn last(&self) -> u32 {
        self.last.load(Ordering::Relaxed)
    }

    pub(super) fn is_of(&self, body: &Arc<DiskBody>) -> bool {
        Arc::ptr_eq(&self.body, body)
    }

    /// The slice that comes next.
    fn current(&self) -> u32 {
        self.body.slice_of(self.state.borrow().written)
    }

    /// Whether `slice` is among those that are still to come.
    pub(super) fn covers(&self, slice: u32) -> bool {
        self.state.borrow().end.is_none() && slice >= self.current() && slice <= self.last()
    }

    /// Whether `slice`, which it covers, comes soon.
    pub(super) fn is_near(&self, slice: u32) -> bool {
        // Bytes can be read a moment before the run says so.
        let next = self.body.missing(self.current(), slice).map_or(slice, |(next, _)| next);
        slice <= next.saturating_add(NEAR_SLICES)
    }

    /// Leaves the slices from `slice` on to another run.
    pub(super) fn end_before(&self, slice: u32) {
        self.last.fetch_min(slice.saturating_sub(1), Ordering::Relaxed);
    }

    /// Says that upstream has the body, with this head.
    pub(super) fn confirm(&self, slices: StoredSlices) {
        self.state.send_modify(|state| state.slices = Some(slices));
    }

    /// Says that bytes up to `written` can be read.
    pub(super) fn wrote(&self, written: u64) {
        self.state.send_modify(|state| state.written = written);
    }

    /// Ends it; the first end stands.
    pub(super) fn end(&self, end: RunEnd) {
        self.state.send_modify(|state| {
            state.end.get_or_insert(end);
        });
    }

    /// Whether nobody waits for it.
    pub(super) fn is_deserted(&self) -> bool {
        self.seats.load(Ordering::Acquire) == 0
    }

    /// Waits at the border before byte `at` until somebody is less than `window` bytes behind it; returns
    /// whether the run is to go on.
    pub(super) async fn goes_on(&self, at: u64, window: u64) -> bool {
        loop {
            let slice = self.body.slice_of(at);
            if self.is_deserted() || slice > self.last() || self.body.holds(at) {
                return false;
            }
            if self.reach.load(Ordering::Acquire).saturating_add(window) >= at {
                return true;
            }
            // What moves between the look and this is kept for the one who waits.
            self.moved.notified().await;
        }
    }
}

/// A place at a run: it goes on for as long as somebody has one.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Run>);

/// What one with a seat has waited for.
#[derive(Debug)]
pub(super) enum Waited {
    /// It is here.
    Here(Option<StoredSlices>),
    /// The run ended without it.
    Ended(RunEnd),
}

impl Seat {
    /// A seat of somebody who wants the byte at `at` next.
    pub(super) fn at(run: &Arc<Run>, at: u64) -> Self {
        run.seats.fetch_add(1, Ordering::AcqRel);
        let seat = Self(Arc::clone(run));
        seat.reach(at);
        seat
    }

    /// Says that its holder wants the byte at `at` next.
    pub(crate) fn reach(&self, at: u64) {
        self.0.reach.fetch_max(at, Ordering::AcqRel);
        self.0.moved.notify_one();
    }

    /// Whether the byte at `at` is one that the run brings.
    pub(crate) fn brings(&self, at: u64) -> bool {
        let slice = self.0.body.slice_of(at);
        self.0.first <= slice && slice <= self.0.last()
    }

    /// Waits until upstream has confirmed that it has the body. Bounded by its timeouts.
    pub(super) async fn head(&self) -> Waited {
        self.wait(|state| state.slices.is_some()).await
    }

    /// Waits until the byte at `at` can be read. Bounded by upstream's timeouts.
    pub(super) async fn until(&self, at: u64) -> Waited {
        self.wait(|state| state.written > at).await
    }

    async fn wait(&self, is_here: impl Fn(&State) -> bool) -> Waited {
        let mut watch = self.0.state.subscribe();
        let state = watch.wait_for(|state| is_here(state) || state.end.is_some()).await;
        match state.map(|state| state.clone()) {
            Ok(state) if is_here(&state) => Waited::Here(state.slices),
            Ok(State { end: Some(end), .. }) => Waited::Ended(end),
            Ok(_) | Err(_) => Waited::Ended(RunEnd::Failed(Arc::new(FillError::Abandoned))),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seats.fetch_sub(1, Ordering::AcqRel);
        self.0.moved.notify_one();
    }
}
