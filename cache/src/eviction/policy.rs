//! What must a policy answer, and what is it told?

use super::goal::Goal;
use super::worth::Worth;

/// The part of all room that a spared entry takes at most.
const SPARED_PART: u64 = 3;

/// Says what goes, by what it is told of entries.
pub trait Eviction: Send + Sync + std::fmt::Debug {
    /// Where an entry begins that was not held until now.
    fn enter(&mut self, newcomer: Newcomer, held: &Held) -> Place;

    /// Its queue from which to take the lowest entry next.
    fn queue(&self, held: &Held) -> Queue;

    /// What becomes of the lowest entry of that queue, or of one from a queue that is not of this policy.
    fn look(&mut self, looked: Looked, held: &Held) -> Verdict;

    /// Goes on with an order that was kept from an earlier run, of which `lowest` is the lowest priority.
    fn resume(&mut self, lowest: u64);

    /// From which queue to take the lowest entry next: one that another policy has left goes first.
    fn queue_to_look_at(&self, held: &Held) -> Queue {
        let own = self.queues();
        let strange =
            Queue::ALL.into_iter().find(|queue| !own.contains(queue) && held.of(*queue) > 0);
        strange.unwrap_or_else(|| self.queue(held))
    }

    /// The queues that it uses.
    fn queues(&self) -> &'static [Queue];
}

/// The policy for a goal.
#[must_use]
pub fn for_goal(goal: Goal) -> Box<dyn Eviction> {
    Box::new(Worth::new(goal))
}

/// Whether an entry of `charge` bytes, among `bytes_max`, is passed over when room is made for nothing but itself. So
/// what was just asked for is there when it is asked for again at once, however little newcomers are worth; it
/// costs one place.
#[must_use]
pub const fn is_spared(charge: u64, bytes_max: u64) -> bool {
    charge <= bytes_max / SPARED_PART
}

/// Where entries wait for their eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Queue {
    /// Where entries begin that are not known to be asked for again, in the order of their coming.
    Trial,
    /// Where those are that were, likewise.
    Main,
    /// All entries in the order of their worth to the goal `balanced`.
    Balanced,
    /// All entries in the order of their worth to the goal `objects`.
    Objects,
    /// All entries in the order of their worth to the goal `bytes`.
    Bytes,
}

impl Queue {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Trial, Self::Main, Self::Balanced, Self::Objects, Self::Bytes];

    /// The queue of a number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.number() == number)
    }

    /// Its number, the same for ever: indexes on disk have it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Trial => 0,
            Self::Main => 1,
            Self::Balanced => 2,
            Self::Objects => 3,
            Self::Bytes => 4,
        }
    }
}

/// A place in the order, with what is to be remembered of the entry there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In which queue.
    pub queue: Queue,
    /// The lowest is looked at first; of equals the one that came there first.
    pub priority: u64,
    /// How often the entry was used, as far as the policy counts.
    pub uses: u8,
}

/// An entry that was not held until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newcomer {
    /// A number that tells its key from others; always the same for one key.
    pub print: u64,
    /// Bytes that it is charged for.
    pub charge: u64,
    /// A number that is higher for each place that is given.
    pub turn: u64,
}

/// An entry that is looked at because room is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// As it would come anew. Its turn is the one that a move would give it.
    pub entry: Newcomer,
    /// Where it is.
    pub place: Place,
    /// Hits since it came there.
    pub hits: u8,
}

/// What becomes of an entry that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes.
    Evict,
    /// It stays, there.
    Move(Place),
}

/// What is held, all together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes charged for the entries of each queue, by its number.
    pub bytes: [u64; Queue::ALL.len()],
    /// Entries.
    pub keys: u64,
}

impl Held {
    /// Bytes charged for the entries of one queue.
    #[must_use]
    pub fn of(&self, queue: Queue) -> u64 {
        self.bytes.get(usize::from(queue.number())).copied().unwrap_or(0)
    }

    /// Bytes charged for everything.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Counts an entry in.
    pub fn add(&mut self, queue: Queue, charge: u64) {
        if let Some(bytes) = self.bytes.get_mut(usize::from(queue.number())) {
            *bytes = bytes.saturating_add(charge);
        }
        self.keys = self.keys.saturating_add(1);
    }

    /// Counts an entry out.
    pub fn take(&mut self, queue: Queue, charge: u64) {
        if let Some(bytes) = self.bytes.get_mut(usize::from(queue.number())) {
            *bytes = bytes.saturating_sub(charge);
        }
        self.keys = self.keys.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_keeps_its_number() {
        for (number, queue) in (0..).zip(Queue::ALL) {
            assert_eq!(queue.number(), number);
            assert_eq!(Queue::from_number(number), Some(queue));
        }
        assert_eq!(Queue::from_number(99), None);
    }

    #[test]
    fn what_another_goal_has_left_goes_first_and_moves_to_its_queue_if_it_was_hit() {
        let mut policy = for_goal(Goal::Objects);
        let mut held = Held::default();
        held.add(Queue::Objects, 100);
        assert_eq!(policy.queue_to_look_at(&held), Queue::Objects);
        held.add(Queue::Balanced, 100);
        assert_eq!(policy.queue_to_look_at(&held), Queue::Balanced);
        let place = Place { queue: Queue::Balanced, priority: 1 << 50, uses: 3 };
        let entry = Newcomer { print: 7, charge: 100, turn: 9 };
        let Verdict::Move(moved) = policy.look(Looked { entry, place, hits: 1 }, &held) else {
            panic!("it was hit");
        };
        assert_eq!((moved.queue, moved.uses), (Queue::Objects, 4));
        assert!(moved.priority < 1 << 50, "what another goal has placed is no level of this one");
        assert_eq!(policy.look(Looked { entry, place, hits: 0 }, &held), Verdict::Evict);
    }
}
