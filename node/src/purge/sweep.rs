//! Looks at everything stored after a purge: removes what is gone, counts what was matched, and lets
//! old entries be forgotten.
//!
//! No promise rests on this: a stored response is judged before each use. It gives room back, makes
//! receipts exact, and keeps the ledger small. It takes at most a tenth of one CPU.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_cache::Seq;
use weir_cache::purge::Standing;

use super::follow;
use crate::node::Node;

/// For each second of work, so many are left to others.
const REST: u32 = 9;
/// The shortest time between two sweeps.
const REST_MIN: Duration = Duration::from_millis(200);
/// Entries are known one by one for so long where nothing outlives the node, for fills that take their
/// time and for parents that are behind. What lies on disk has not been swept.
const KNOWN_IN_MEMORY_FOR: Duration = Duration::from_secs(60 * 60);
/// Sweeps remembered for that, spread over the time.
const REMEMBERED_MAX: u32 = 1_000;

/// Sweeps after every purge until the task is aborted.
pub(crate) async fn sweep(node: Arc<Node>) {
    let mut changes = node.purges.changes();
    let mut swept = Swept::new(known_for(&node));
    while changes.changed().await.is_ok() {
        let position = *changes.borrow_and_update();
        let began = Instant::now();
        once(&node).await;
        node.purges.counted(position);
        follow::tell_counts(&node).await;
        if let Some(position) = swept.next(began, position) {
            node.purges.forget(position);
        }
        node.known.tidy().await;
        let rest = (began.elapsed() * REST).max(REST_MIN);
        tokio::time::sleep(rest).await;
    }
}

/// Judges everything stored, and removes what was purged.
async fn once(node: &Arc<Node>) {
    let judged = Arc::clone(node);
    let found = tokio::task::spawn_blocking(move || {
        let purged = |stored: &_| matches!(judged.purges.standing(stored), Standing::Purged { .. });
        judged.store.iter().filter(|(_, stored)| purged(stored)).collect::<Vec<_>>()
    });
    let Ok(found) = found.await else { return };
    for (key, stored) in found {
        node.store.discard(&key, &stored).await;
    }
}

/// How long this node knows entries one by one.
fn known_for(node: &Node) -> Duration {
    let known_for = node.config.purge.known_for;
    match node.config.data_dir {
        Some(_) => known_for,
        None => known_for.min(KNOWN_IN_MEMORY_FOR),
    }
}

/// Sweeps of the time for which entries are known.
struct Swept {
    known_for: Duration,
    /// When some sweep began, and up to where things had been applied then or shortly after.
    marks: VecDeque<(Instant, Seq)>,
}

impl Swept {
    fn new(known_for: Duration) -> Self {
        Self { known_for, marks: VecDeque::new() }
    }

    /// Notes a sweep that began at `at` for everything up to `position`; returns up to where entries have
    /// been known for long enough.
    fn next(&mut self, at: Instant, position: Seq) -> Option<Seq> {
        let apart = self.known_for / REMEMBERED_MAX;
        match self.marks.back_mut() {
            // What comes close behind a mark is forgotten with it, a moment too early.
            Some((marked, newest)) if at.duration_since(*marked) < apart => *newest = position,
            _ => self.marks.push_back((at, position)),
        }
        let mut oldest = None;
        while let Some((_, position)) =
            self.marks.pop_front_if(|(marked, _)| at.duration_since(*marked) > self.known_for)
        {
            oldest = Some(position);
        }
        oldest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_swept_is_forgotten_in_time_however_often_that_is() {
        let known_for = Duration::from_secs(1_000);
        let mut swept = Swept::new(known_for);
        let start = Instant::now();
        for tenth in 0..30_000_u32 {
            let at = start + Duration::from_millis(100) * tenth;
            let forgotten = swept.next(at, Seq::new(u64::from(tenth)));
            assert!(swept.marks.len() <= 1_002);
            if let Some(position) = forgotten {
                let age = u64::from(tenth) - position.get();
                assert!((9_990..10_020).contains(&age), "{age}");
            }
        }
        assert!(swept.marks.front().unwrap().0 > start, "something was forgotten");
    }
}
