//! Who makes room when there are too many connections, or no descriptors?
//!
//! Those that wait for a request, the longest first: a peer must reckon with the end of an idle connection
//! at any time (RFC 9112 §9.5). So many at once are asked to leave that the search pays. Whoever opens
//! connections and asks nothing shuts nobody out.
//!
//! A connection costs a request two stores to say how it is; the search looks at all of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::phase::Phase;

/// Connections that are asked to leave at once: an eighth of those that are idle, and no more than this.
const AT_ONCE: usize = 32;

/// Since when a connection waits for a request, and whether it is to wait on.
#[derive(Debug)]
pub(super) struct Idle {
    /// Microseconds since the process began to count, plus one; zero while it is not idle.
    since: AtomicU64,
    asked: AtomicBool,
    leave: Notify,
}

impl Idle {
    /// Idle from now on.
    pub(super) fn new() -> Self {
        let idle =
            Self { since: AtomicU64::new(0), asked: AtomicBool::new(false), leave: Notify::new() };
        idle.begin();
        idle
    }

    /// It waits for a request from now on.
    pub(super) fn begin(&self) {
        self.begin_at(Instant::now());
    }

    /// It waits for a request since `now`.
    pub(super) fn begin_at(&self, now: Instant) {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        let since = now.saturating_duration_since(*BEGAN);
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX - 1);
        self.since.store(micros + 1, Relaxed);
    }

    /// A request comes in.
    pub(super) fn end(&self) {
        self.since.store(0, Relaxed);
    }

    /// Whether it was asked to leave.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Relaxed)
    }

    /// Since when it is idle; `None` if it is not.
    pub(super) fn since(&self) -> Option<u64> {
        Some(self.since.load(Relaxed)).filter(|since| *since > 0)
    }

    /// Asks it to leave.
    fn ask(&self) {
        self.asked.store(true, Relaxed);
        self.leave.notify_one();
    }
}

/// The connections that may make room.
#[derive(Debug, Default)]
pub(crate) struct Room {
    phases: Arc<Mutex<HashMap<u64, Arc<Phase>>>>,
    next: AtomicU64,
    /// Connections that were asked and are not gone.
    leaving: Arc<AtomicUsize>,
}

impl Room {
    /// Counts a connection among those that may make room, until what this returns is dropped.
    pub(super) fn enter(&self, phase: &Arc<Phase>) -> Stay {
        let id = self.next.fetch_add(1, Relaxed);
        self.phases.lock().insert(id, Arc::clone(phase));
        Stay {
            id,
            phase: Arc::clone(phase),
            phases: Arc::clone(&self.phases),
            leaving: Arc::clone(&self.leaving),
        }
    }

    /// Connections that were asked to leave and are not gone.
    pub(super) fn leaving(&self) -> usize {
        self.leaving.load(Relaxed)
    }

    /// Asks those to leave that have been idle for longest; returns how many. Costs a look at each
    /// connection: about a millisecond for ten thousand.
    pub(super) fn make(&self) -> usize {
        let phases = self.phases.lock();
        let mut idle: Vec<(u64, &Arc<Phase>)> =
            phases.values().filter_map(|phase| Some((phase.may_leave()?, phase))).collect();
        let wanted = (idle.len() / 8).clamp(1, AT_ONCE);
        if idle.len() > wanted {
            idle.select_nth_unstable_by_key(wanted, |(since, _)| *since);
            idle.truncate(wanted);
        }
        for (_, phase) in &idle {
            // Counted before it can be gone.
            self.leaving.fetch_add(1, Relaxed);
            phase.idle.ask();
        }
        idle.len()
    }
}

/// One connection among those that may make room.
#[derive(Debug)]
pub(super) struct Stay {
    id: u64,
    phase: Arc<Phase>,
    phases: Arc<Mutex<HashMap<u64, Arc<Phase>>>>,
    leaving: Arc<AtomicUsize>,
}

impl Stay {
    /// Waits until the connection is asked to leave.
    pub(super) async fn asked_to_leave(&self) {
        self.phase.idle.leave.notified().await;
    }

    /// Whether nothing is asked and nothing on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.phase.idle_since().is_some()
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.phases.lock().remove(&self.id);
        if self.phase.idle.is_asked() {
            self.leaving.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_idle_for_longest_leave_first() {
        let room = Room::default();
        let phases: Vec<_> = (0..41).map(|_| Phase::new()).collect();
        let stays: Vec<_> = phases.iter().map(|phase| room.enter(phase)).collect();
        for (order, phase) in phases.iter().enumerate() {
            phase.idle.since.store(1_000 - order as u64, Relaxed);
        }
        let busy = phases[40].begin();
        assert_eq!(room.make(), 5, "an eighth");
        let asked = |index: usize| phases[index].idle.is_asked();
        assert!((35..40).all(asked), "the longest");
        assert!(!asked(40) && !asked(34), "and no others");
        assert_eq!(room.make(), 4, "others, while those go");
        assert_eq!(room.leaving(), 9);
        drop(stays);
        assert_eq!(room.leaving(), 0);
        drop(busy);
    }

    #[test]
    fn nobody_leaves_who_is_at_work() {
        let room = Room::default();
        let phase = Phase::new();
        let _stay = room.enter(&phase);
        let answering = phase.begin();
        assert_eq!(room.make(), 0);
        drop(answering);
        phase.set_blocked(true);
        assert_eq!(room.make(), 0, "its last answer is on its way");
        phase.set_blocked(false);
        phase.idle.end();
        assert_eq!(room.make(), 0, "a head is coming in");
        phase.idle.begin();
        assert_eq!(room.make(), 1);
    }
}
