//! The policy of all goals: what is worth least for its size goes.
//!
//! An entry's priority is the level at which it was placed, and its uses divided by its size to some power
//! (GreedyDual-Size-Frequency; Cherkasova, 1998). The level is the priority of what was looked at last, so it
//! rises, and what is not asked for any more is overtaken. With the size itself a cache answers most requests
//! from the fewest bytes; with its square root large bodies stay, too; with its fourth root bytes are spared,
//! while large bodies that were asked for once do not push out many others.
//!
//! Three things differ from the books:
//!
//! - Hits raise no priority at once: an entry that was hit is placed anew when it is the lowest. It would have
//!   been placed no lower than that, so only what lies above is out of order meanwhile, and nobody looks there.
//! - A newcomer counts as many uses as those before it turned out to have: twice the part of them that was hit
//!   before they were looked at, one at most. So a scan, of which nothing is asked for again, soon pushes
//!   out nothing but itself.
//! - What was evicted is remembered with its uses, and goes on from there when it comes back.
//!
//! A newcomer competes like the others: when it is the lowest of all, and too large to be
//! [spared](super::is_spared), it is what goes, and was not admitted.

use super::ghosts::Ghosts;
use super::goal::Goal;
use super::policy::{Eviction, Held, Looked, Newcomer, Place, Queue, Verdict};

/// One use.
const USE: u64 = 1 << 16;
/// Uses beyond which an entry is worth no more: so often is it passed over when nobody asks for it any more.
/// More uses save no more on the logs there are, and keep what has gone out of fashion.
const USES_MAX: u8 = 32;
/// The worth of one use of one byte, in parts of [`USE`]. With a level of 64 bits and entries of a KiB there
/// is room for a thousand million times what is held.
const ONE: u64 = 1 << 20;
/// Roots of sizes are in parts of this.
const ROOT: u64 = 1 << 10;
/// Newcomers over which is averaged how many of them are hit; as many as a small cache has entries.
const NEWCOMERS: u64 = 128;
/// The least that a newcomer counts, so that after a scan some stay long enough to be hit.
const NEWCOMER_MIN: u64 = USE / 64;

/// All entries in the order of their worth.
#[derive(Debug)]
pub(super) struct Worth {
    goal: Goal,
    /// The priority of what was looked at last.
    level: u64,
    /// The part of newcomers that is hit before it is looked at, in parts of [`USE`].
    liked: u64,
    ghosts: Ghosts,
}

impl Worth {
    pub(super) fn new(goal: Goal) -> Self {
        Self { goal, level: 0, liked: USE / 2, ghosts: Ghosts::default() }
    }

    const fn own(&self) -> Queue {
        match self.goal {
            Goal::Balanced => Queue::Balanced,
            Goal::Bytes => Queue::Bytes,
            Goal::Objects => Queue::Objects,
        }
    }

    /// The size to the power that the goal asks for, in parts of [`ROOT`].
    fn root(&self, charge: u64) -> u64 {
        // 8 TiB, so that its parts are numbers.
        let charge = charge.clamp(1, 1 << 43);
        let root_of = |size: u64| size.saturating_mul(ROOT).saturating_mul(ROOT).isqrt();
        match self.goal {
            Goal::Balanced => root_of(charge),
            Goal::Bytes => root_of(charge).saturating_mul(ROOT).isqrt(),
            Goal::Objects => charge.saturating_mul(ROOT),
        }
    }

    /// The place of an entry used so often, in parts of [`USE`].
    fn place(&self, charge: u64, used: u64, uses: u8) -> Place {
        let all = ONE.saturating_mul(used).saturating_mul(ROOT);
        let worth = all.checked_div(self.root(charge)).unwrap_or(0).max(1);
        Place { queue: self.own(), priority: self.level.saturating_add(worth), uses }
    }

    fn place_used(&self, charge: u64, uses: u8) -> Place {
        let uses = uses.min(USES_MAX);
        self.place(charge, USE.saturating_mul(u64::from(uses)), uses)
    }

    /// Learns whether a newcomer was hit.
    fn learn(&mut self, was_hit: bool) {
        let kept = self.liked.saturating_sub(self.liked.div_ceil(NEWCOMERS));
        self.liked = kept.saturating_add(if was_hit { USE / NEWCOMERS } else { 0 });
    }
}

impl Eviction for Worth {
    fn enter(&mut self, newcomer: Newcomer, _: &Held) -> Place {
        match self.ghosts.take(newcomer.print) {
            Some(uses) => self.place_used(newcomer.charge, uses.saturating_add(1)),
            None => {
                let used = self.liked.saturating_mul(2).clamp(NEWCOMER_MIN, USE);
                self.place(newcomer.charge, used, 0)
            }
        }
    }

    fn queue(&self, _: &Held) -> Queue {
        self.own()
    }

    fn look(&mut self, looked: Looked, held: &Held) -> Verdict {
        let Looked { entry, place, hits } = looked;
        if place.queue == self.own() {
            self.level = self.level.max(place.priority);
        }
        if place.uses == 0 {
            self.learn(hits > 0);
        }
        let uses = place.uses.max(1);
        if hits == 0 {
            self.ghosts.add(entry.print, uses, held.keys);
            return Verdict::Evict;
        }
        Verdict::Move(self.place_used(entry.charge, uses.saturating_add(hits)))
    }

    fn resume(&mut self, lowest: u64) {
        self.level = self.level.max(lowest);
    }

    fn queues(&self) -> &'static [Queue] {
        match self.goal {
            Goal::Balanced => &[Queue::Balanced],
            Goal::Bytes => &[Queue::Bytes],
            Goal::Objects => &[Queue::Objects],
        }
    }
}
