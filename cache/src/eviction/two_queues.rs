//! Two queues, each first in, first out: a policy to compare with.
//!
//! No goal uses it, since [`for_goal`](super::for_goal) saves more of everything on the logs there are; it is
//! the best known that does not count sizes.
//!
//! An entry begins on trial. When room is needed and those on trial take more than a tenth of it, the oldest of
//! them goes, or moves to the main queue if it was hit meanwhile; else the oldest of the main queue goes, or to
//! its end if it was hit. What comes back soon after it was evicted on trial begins in the main queue. So what
//! is asked for once passes through a tenth of the room without pushing out what is asked for again
//! (S3-FIFO; Yang and others, SOSP 2023). Sizes do not count.

use super::ghosts::Ghosts;
use super::policy::{Eviction, Held, Looked, Newcomer, Place, Queue, Verdict};

/// Part of what is held that may be on trial.
const TRIAL_PART: u64 = 10;
/// Hits beyond which an entry gets no warmer.
const WARMEST: u8 = 3;

/// Two queues and a memory of what went on trial.
#[derive(Debug, Default)]
pub struct TwoQueues {
    ghosts: Ghosts,
}

impl Eviction for TwoQueues {
    fn enter(&mut self, newcomer: Newcomer, _: &Held) -> Place {
        let is_known = self.ghosts.take(newcomer.print).is_some();
        let queue = if is_known { Queue::Main } else { Queue::Trial };
        Place { queue, priority: newcomer.turn, uses: 0 }
    }

    fn queue(&self, held: &Held) -> Queue {
        // Of what is held and not of the limit: a file system may have less room than that.
        let on_trial = held.bytes().checked_div(TRIAL_PART).unwrap_or(0);
        let is_trial = held.of(Queue::Trial) > on_trial || held.of(Queue::Main) == 0;
        if is_trial { Queue::Trial } else { Queue::Main }
    }

    fn look(&mut self, looked: Looked, held: &Held) -> Verdict {
        let Looked { entry, place, hits } = looked;
        let warmth = place.uses.saturating_add(hits).min(WARMEST);
        let Some(cooler) = warmth.checked_sub(1) else {
            if place.queue == Queue::Trial {
                self.ghosts.add(entry.print, 1, held.keys);
            }
            return Verdict::Evict;
        };
        Verdict::Move(Place { queue: Queue::Main, priority: entry.turn, uses: cooler })
    }

    fn resume(&mut self, _: u64) {}

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Trial, Queue::Main]
    }
}
