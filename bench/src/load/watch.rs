//! How far is a run, and shall it stop? What a command shows and does while threads work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The state of a run, for others than its threads.
#[derive(Debug)]
pub struct Watch {
    /// A count for each thread: one for all would make them wait for each other.
    done: Vec<AtomicU64>,
    stopped: AtomicBool,
}

impl Watch {
    /// Of a run with so many threads.
    pub fn new(threads: usize) -> Self {
        Self {
            done: (0..threads).map(|_| AtomicU64::new(0)).collect(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Requests that are done, warm-up and faults included.
    pub fn done(&self) -> u64 {
        self.done.iter().map(|done| done.load(Ordering::Relaxed)).sum()
    }

    /// Ends the run: no more requests are sent, those in flight are waited for.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has ended the run.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn set_done(&self, thread: usize, count: u64) {
        if let Some(done) = self.done.get(thread) {
            done.store(count, Ordering::Relaxed);
        }
    }
}
