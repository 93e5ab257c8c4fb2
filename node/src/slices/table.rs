//! Which slices are being fetched, and who is the first to ask for something unknown?
//!
//! # Invariants
//!
//! 1. No two runs of one body in memory bring the same slice.
//! 2. For one key at most [`RUNS_MAX`] runs ask upstream at a time; more wait for their turn.
//! 3. Of those who want a range of one unknown key one asks, and the others wait until it is known.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use weir_cache::{CacheKey, RUN_SLICES_MAX};
use weir_store::DiskBody;

use super::run::{Run, RunEnd, Seat};
use crate::upstream::FillError;

/// Runs of one key that ask upstream at a time.
const RUNS_MAX: usize = 8;

/// The runs of one key.
#[derive(Debug)]
struct Runs {
    listed: Vec<Arc<Run>>,
    turns: Arc<Semaphore>,
}

/// The slices being fetched on one node.
#[derive(Debug, Default)]
pub(crate) struct SliceTable {
    runs: Mutex<HashMap<CacheKey, Runs>>,
    openings: Mutex<HashMap<CacheKey, watch::Receiver<()>>>,
}

/// What one who wants a missing slice gets.
pub(super) struct Seated {
    pub(super) seat: Seat,
    /// The run, where there was none: it is to be fetched.
    pub(super) begun: Option<Listed>,
}

impl SliceTable {
    /// A seat at the run that brings the byte at `at` of `body`; one that begins goes on to byte `end`, as far
    /// as slices are missing. `None` if the byte is here by now.
    pub(super) fn seat(
        self: &Arc<Self>,
        key: CacheKey,
        body: &Arc<DiskBody>,
        (at, end): (u64, u64),
    ) -> Option<Seated> {
        let slice = body.slice_of(at);
        let mut all = self.runs.lock();
        let runs = all.entry(key).or_insert_with(|| Runs {
            listed: Vec::new(),
            turns: Arc::new(Semaphore::new(RUNS_MAX)),
        });
        let covering = runs.listed.iter().find(|run| run.is_of(body) && run.covers(slice));
        if let Some(run) = covering.filter(|run| run.is_near(slice)) {
            return Some(Seated { seat: Seat::at(run, at), begun: None });
        }
        let last = body.slice_of(end.saturating_sub(1)).max(slice);
        let last = last.min(slice.saturating_add(RUN_SLICES_MAX.saturating_sub(1)));
        let found = body.missing(slice, last).filter(|(first, _)| *first == slice);
        let Some((first, last)) = found else {
            Self::forget_if_empty(&mut all, &key);
            return None;
        };
        if let Some(run) = covering {
            run.end_before(slice);
        }
        let others = runs.listed.iter().filter(|run| run.is_of(body) && run.covers(run.last()));
        let next = others.map(|run| run.first()).filter(|other| *other > first).min();
        let last = next.map_or(last, |next| last.min(next.saturating_sub(1)));
        let run = Arc::new(Run::new(body, first, last));
        runs.listed.push(Arc::clone(&run));
        let turns = Arc::clone(&runs.turns);
        let seat = Seat::at(&run, at);
        Some(Seated { seat, begun: Some(Listed { table: Arc::clone(self), key, run, turns }) })
    }

    /// A seat at a run of slices `first` to `last` of a body that nobody knows yet.
    pub(super) fn begin(
        self: &Arc<Self>,
        key: CacheKey,
        body: &Arc<DiskBody>,
        (first, last): (u32, u32),
    ) -> (Seat, Listed) {
        let mut all = self.runs.lock();
        let runs = all.entry(key).or_insert_with(|| Runs {
            listed: Vec::new(),
            turns: Arc::new(Semaphore::new(RUNS_MAX)),
        });
        let run = Arc::new(Run::new(body, first, last));
        runs.listed.push(Arc::clone(&run));
        let turns = Arc::clone(&runs.turns);
        let seat = Seat::at(&run, body.bytes_of(first).start);
        (seat, Listed { table: Arc::clone(self), key, run, turns })
    }

    fn forget_if_empty(all: &mut HashMap<CacheKey, Runs>, key: &CacheKey) {
        if all.get(key).is_some_and(|runs| runs.listed.is_empty()) {
            all.remove(key);
        }
    }

    /// Makes the caller the one that asks what `key` is, or one that waits for that.
    pub(super) fn open(self: &Arc<Self>, key: CacheKey) -> Opening {
        let mut openings = self.openings.lock();
        if let Some(known) = openings.get(&key) {
            return Opening::Waiter(known.clone());
        }
        let (held, until) = watch::channel(());
        openings.insert(key, until);
        Opening::Leader(Opener { table: Arc::clone(self), key, _held: held })
    }
}

/// Who asks for something unknown.
pub(super) enum Opening {
    /// The caller, until it drops this.
    Leader(Opener),
    /// Somebody else; this ends when it is known.
    Waiter(watch::Receiver<()>),
}

/// Held by the one who asks what a key is.
pub(super) struct Opener {
    table: Arc<SliceTable>,
    key: CacheKey,
    _held: watch::Sender<()>,
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.table.openings.lock().remove(&self.key);
    }
}

/// A run that is listed until this is dropped; then it has ended.
pub(super) struct Listed {
    table: Arc<SliceTable>,
    key: CacheKey,
    run: Arc<Run>,
    turns: Arc<Semaphore>,
}

impl Listed {
    pub(super) fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// What lets so many ask at a time.
    pub(super) fn turns(&self) -> Arc<Semaphore> {
        Arc::clone(&self.turns)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        // Not listed any more before it is known to have ended: who then asks anew begins another.
        let mut all = self.table.runs.lock();
        if let Some(runs) = all.get_mut(&self.key) {
            runs.listed.retain(|run| !Arc::ptr_eq(run, &self.run));
        }
        SliceTable::forget_if_empty(&mut all, &self.key);
        drop(all);
        self.run.end(RunEnd::Failed(Arc::new(FillError::Abandoned)));
    }
}
