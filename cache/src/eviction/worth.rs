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

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(policy: &mut Worth, print: u64, charge: u64) -> Place {
        policy.enter(Newcomer { print: print << 8, charge, turn: 0 }, &Held::default())
    }

    fn look(policy: &mut Worth, (print, charge): (u64, u64), place: Place, hits: u8) -> Verdict {
        let entry = Newcomer { print: print << 8, charge, turn: 0 };
        policy.look(Looked { entry, place, hits }, &Held::default())
    }

    #[test]
    fn sizes_count_as_the_goal_says() {
        // (goal, by how much the worth of one use falls where the size is 10,000 times as much)
        for (goal, less) in [(Goal::Balanced, 100), (Goal::Bytes, 10), (Goal::Objects, 10_000)] {
            let mut policy = Worth::new(goal);
            let small = enter(&mut policy, 1, 1 << 10).priority;
            let large = enter(&mut policy, 2, 10_000 << 10).priority;
            let ratio = small / large.max(1);
            assert!((less * 95 / 100..=less * 105 / 100).contains(&ratio), "{goal}: {ratio}");
        }
    }

    #[test]
    fn no_size_is_worth_nothing_or_everything() {
        for goal in Goal::ALL {
            let mut policy = Worth::new(goal);
            for charge in [0, 1, u64::MAX] {
                let place = enter(&mut policy, 1, charge);
                assert!((1..=1 << 37).contains(&place.priority), "{goal} {charge}: {place:?}");
            }
        }
    }

    #[test]
    fn what_comes_back_goes_on_with_its_uses() {
        let mut policy = Worth::new(Goal::Balanced);
        let place = enter(&mut policy, 1, 1_000);
        let Verdict::Move(moved) = look(&mut policy, (1, 1_000), place, 4) else {
            panic!("it was hit");
        };
        assert_eq!(moved.uses, 5);
        assert_eq!(look(&mut policy, (1, 1_000), moved, 0), Verdict::Evict);
        let again = enter(&mut policy, 1, 1_000);
        assert_eq!(again.uses, 6);
        assert!(again.priority > moved.priority, "and above what went");
    }

    #[test]
    fn newcomers_are_worth_less_the_fewer_of_those_before_were_hit() {
        let mut policy = Worth::new(Goal::Balanced);
        let worth = |policy: &mut Worth| enter(policy, 9, 1_000).priority - policy.level;
        let at_first = worth(&mut policy);
        let place = Place { queue: Queue::Balanced, priority: 0, uses: 0 };
        (0..1_000)
            .for_each(|_| assert_eq!(look(&mut policy, (1, 1_000), place, 0), Verdict::Evict));
        let after_a_scan = worth(&mut policy);
        assert!((at_first / 70..at_first / 50).contains(&after_a_scan), "{after_a_scan}");
        for _ in 0..1_000 {
            assert_ne!(look(&mut policy, (1, 1_000), place, 1), Verdict::Evict);
        }
        assert!(worth(&mut policy) >= at_first);
    }

    #[test]
    fn an_order_that_was_kept_goes_on_from_its_lowest_priority() {
        let mut policy = Worth::new(Goal::Bytes);
        policy.resume(1 << 40);
        assert!(enter(&mut policy, 1, 1_000).priority > 1 << 40);
    }
}
