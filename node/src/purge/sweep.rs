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
/// Entries are known one by one for so long, for fills that take their time and for parents that are
/// behind.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);
/// Sweeps remembered for that; more than there can be in the time.
const REMEMBERED_MAX: usize = 20_000;

/// Sweeps after every purge until the task is aborted.
pub(crate) async fn sweep(node: Arc<Node>) {
    let mut changes = node.purges.changes();
    let mut swept: VecDeque<(Instant, Seq)> = VecDeque::new();
    while changes.changed().await.is_ok() {
        let position = *changes.borrow_and_update();
        let began = Instant::now();
        once(&node).await;
        node.purges.counted(position);
        follow::tell_counts(&node).await;
        swept.push_back((began, position));
        forget(&node, &mut swept);
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

/// Forgets what was swept long ago.
fn forget(node: &Node, swept: &mut VecDeque<(Instant, Seq)>) {
    if node.store.disk().is_some() {
        // What is on disk may be older than that. The ledger bounds itself.
        swept.clear();
        return;
    }
    let mut oldest = None;
    while let Some((at, position)) = swept.front()
        && (at.elapsed() > KNOWN_FOR || swept.len() > REMEMBERED_MAX)
    {
        oldest = Some(*position);
        swept.pop_front();
    }
    if let Some(position) = oldest {
        node.purges.forget(position);
    }
}
