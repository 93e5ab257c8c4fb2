//! The policy for the goals `balanced` and `objects`: what is worth least for its size goes.
//!
//! An entry's priority is the level at which it was placed, and its uses divided by its size to some power
//! (GreedyDual-Size-Frequency; Cherkasova, 1998). The level is the priority of what was looked at last, so it
//! rises, and what is not asked for any more is overtaken. With the size itself a cache answers most requests
//! from the fewest bytes; with its square root large bodies stay, too, and bytes are spared.
//!
//! Hits raise no priority at once: an entry that was hit is placed anew when it is the lowest. It would have
//! been placed no later than that, so only what lies above is out of order meanwhile, and nobody looks there.

use super::ghosts::Ghosts;
use super::policy::{Eviction, Held, Looked, Newcomer, Place, Queue, Verdict};

/// The worth of one use of one byte. Sizes beyond are all the same to `objects`; the level has room for 2^28
/// times as much.
const ONE: u64 = 1 << 36;
/// Uses beyond which an entry is worth no more.
const USES_MAX: u16 = 1 << 12;

/// All entries in the order of their worth.
#[derive(Debug)]
pub(super) struct Worth {
    queue: Queue,
    /// The priority of what was looked at last.
    level: u64,
    ghosts: Ghosts,
}

impl Worth {
    pub(super) fn balanced() -> Self {
        Self::new(Queue::Balanced)
    }

    pub(super) fn objects() -> Self {
        Self::new(Queue::Objects)
    }

    fn new(queue: Queue) -> Self {
        Self { queue, level: 0, ghosts: Ghosts::default() }
    }

    fn place(&self, charge: u64, uses: u16) -> Place {
        let all = ONE.saturating_mul(u64::from(uses));
        let worth = if self.queue == Queue::Objects {
            all.checked_div(charge.max(1))
        } else {
            // The root of 2^20 times as much is 2^10 times the root.
            let root = u128::from(charge.max(1)).saturating_mul(1 << 20).isqrt();
            let worth = u128::from(all).saturating_mul(1 << 10).checked_div(root);
            worth.and_then(|worth| u64::try_from(worth).ok())
        };
        let priority = self.level.saturating_add(worth.unwrap_or(u64::MAX).max(1));
        Place { queue: self.queue, priority, uses }
    }
}

impl Eviction for Worth {
    fn enter(&mut self, newcomer: Newcomer, _: &Held) -> Place {
        let uses = self.ghosts.take(newcomer.print).map_or(1, |uses| uses.saturating_add(1));
        self.place(newcomer.charge, uses.min(USES_MAX))
    }

    fn queue(&self, _: &Held) -> Queue {
        self.queue
    }

    fn look(&mut self, looked: Looked, held: &Held) -> Verdict {
        let Looked { entry, place, hits } = looked;
        if place.queue == self.queue {
            self.level = self.level.max(place.priority);
        }
        if hits == 0 {
            self.ghosts.add(entry.print, place.uses, held.keys);
            return Verdict::Evict;
        }
        let uses = place.uses.saturating_add(u16::from(hits)).min(USES_MAX);
        Verdict::Move(self.place(entry.charge, uses))
    }

    fn resume(&mut self, lowest: u64) {
        self.level = self.level.max(lowest);
    }

    fn queues(&self) -> &'static [Queue] {
        if self.queue == Queue::Objects { &[Queue::Objects] } else { &[Queue::Balanced] }
    }
}
