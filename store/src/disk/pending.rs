//! Which changes are not on disk yet?
//!
//! What is stored under a key changes in memory first; a change here says what the disk is to hold
//! instead. Until it does, nobody reads the disk for that key. A second change to a key takes the place
//! of the first, so that a key waits in line once.
//!
//! # Invariants
//!
//! 1. A key with a change that is not on disk is not read from there.
//! 2. Bodies that wait are bounded in bytes, and changes in number. A list that finds no room is
//!    replaced by the wish that the key be forgotten, which takes next to nothing; where even those are
//!    too many, the tier is told to stop, since what it holds can no longer be trusted.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use weir_cache::CacheKey;
use weir_cache::eviction::Seeded;

use crate::Variants;

/// Changes that are written together.
pub(super) const TOGETHER: usize = 64;

/// What the disk is to hold under a key.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// This list.
    List(Variants),
    /// Nothing.
    Nothing,
}

impl Wanted {
    /// Bytes that wait with it.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::List(list) => list.memory_bytes(),
            Self::Nothing => 0,
        }
    }
}

/// How a change was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// As it was.
    Whole,
    /// As a wish to forget the key: too many bytes wait.
    Forgets,
    /// Not at all, and nothing is to be forgotten for it: the disk has nothing under the key.
    NotKept,
    /// Not at all: too many changes wait.
    Lost,
}

/// One change, to be reported as done with its number.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) key: CacheKey,
    pub(super) wanted: Wanted,
    pub(super) number: u64,
}

#[derive(Debug)]
struct Waiting {
    wanted: Wanted,
    number: u64,
    /// Whether it is in line; if not, it is being written.
    in_line: bool,
}

#[derive(Debug)]
struct State {
    by_key: HashMap<CacheKey, Waiting, Seeded>,
    line: VecDeque<CacheKey>,
    bytes: u64,
    numbers: u64,
    closed: bool,
}

/// The changes that wait.
#[derive(Debug)]
pub(super) struct Pending {
    state: Mutex<State>,
    changed: Condvar,
    bytes_max: u64,
    changes_max: usize,
}

impl Pending {
    /// Holds at most `bytes_max` bytes of stored responses and `changes_max` changes.
    pub(super) fn new(bytes_max: u64, changes_max: usize) -> Self {
        let state = State {
            by_key: HashMap::with_hasher(Seeded::random()),
            line: VecDeque::new(),
            bytes: 0,
            numbers: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), bytes_max, changes_max }
    }

    /// Takes a change, in place of one to the same key. `is_new` says that the disk has nothing under it.
    pub(super) fn put(&self, key: CacheKey, wanted: Wanted, is_new: bool) -> Taken {
        let mut state = self.state.lock();
        let before = state.by_key.get(&key).map_or(0, |waiting| waiting.wanted.bytes());
        let room = self.bytes_max.saturating_sub(state.bytes.saturating_sub(before));
        let (wanted, taken) = match wanted {
            wanted if wanted.bytes() <= room => (wanted, Taken::Whole),
            _ => (Wanted::Nothing, Taken::Forgets),
        };
        let waits = state.by_key.contains_key(&key);
        let has_place = waits || state.by_key.len() < self.changes_max;
        if is_new && !waits && (taken == Taken::Forgets || !has_place) {
            return Taken::NotKept;
        }
        if !has_place {
            return Taken::Lost;
        }
        state.insert(key, wanted);
        self.tell(&state);
        taken
    }

    /// Wishes that `key` be forgotten, unless a change of it waits.
    pub(super) fn forget_if_idle(&self, key: CacheKey) {
        let mut state = self.state.lock();
        if !state.by_key.contains_key(&key) && state.by_key.len() < self.changes_max {
            state.insert(key, Wanted::Nothing);
            self.tell(&state);
        }
    }

    /// Wakes the writer if it waits for what there is now: any, or enough.
    fn tell(&self, state: &State) {
        if matches!(state.line.len(), 1 | TOGETHER) {
            self.changed.notify_one();
        }
    }

    /// What waits for `key`; `None` where the disk may be read.
    pub(super) fn get(&self, key: &CacheKey) -> Option<Wanted> {
        self.state.lock().by_key.get(key).map(|waiting| waiting.wanted.clone())
    }

    /// The changes that are next, at most [`TOGETHER`]; waits up to `first` for one, and then up to `more` for as many,
    /// since one commit costs much the same whatever is in it. `None` once there are none left after
    /// [`Pending::close`].
    pub(super) fn next(&self, first: Duration, more: Duration) -> Option<Vec<Change>> {
        let mut state = self.state.lock();
        let lacks =
            |count: usize| move |state: &mut State| state.line.len() < count && !state.closed;
        self.changed.wait_while_for(&mut state, lacks(1), first);
        if state.line.is_empty() {
            return (!state.closed).then(Vec::new);
        }
        self.changed.wait_while_for(&mut state, lacks(TOGETHER), more);
        let mut changes = Vec::new();
        while changes.len() < TOGETHER
            && let Some(key) = state.line.pop_front()
        {
            if let Some(waiting) = state.by_key.get_mut(&key) {
                waiting.in_line = false;
                let (wanted, number) = (waiting.wanted.clone(), waiting.number);
                changes.push(Change { key, wanted, number });
            }
        }
        Some(changes)
    }

    /// Notes that a change is on disk, unless another has taken its place meanwhile.
    pub(super) fn done(&self, change: &Change) {
        let mut state = self.state.lock();
        if state.by_key.get(&change.key).is_some_and(|waiting| waiting.number == change.number) {
            state.remove(&change.key);
        }
    }

    /// Has a change that failed tried again as the wish to forget its key, unless another has taken its
    /// place meanwhile.
    pub(super) fn failed(&self, change: &Change) {
        let mut state = self.state.lock();
        if state.by_key.get(&change.key).is_some_and(|waiting| waiting.number == change.number) {
            state.insert(change.key, Wanted::Nothing);
        }
    }

    /// Bytes and changes that wait.
    pub(super) fn waiting(&self) -> (u64, usize) {
        let state = self.state.lock();
        (state.bytes, state.by_key.len())
    }

    /// Lets the writer end once nothing is left.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Whether nothing comes any more.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

impl State {
    fn insert(&mut self, key: CacheKey, wanted: Wanted) {
        self.numbers = self.numbers.wrapping_add(1);
        let was_in_line = self.remove(&key);
        self.bytes = self.bytes.saturating_add(wanted.bytes());
        let waiting = Waiting { wanted, number: self.numbers, in_line: true };
        self.by_key.insert(key, waiting);
        if !was_in_line {
            self.line.push_back(key);
        }
    }

    /// Takes out what waits for `key`; returns whether its key is in line.
    fn remove(&mut self, key: &CacheKey) -> bool {
        let Some(waiting) = self.by_key.remove(key) else { return false };
        self.bytes = self.bytes.saturating_sub(waiting.wanted.bytes());
        waiting.in_line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn key(number: u8) -> CacheKey {
        CacheKey::from_bytes([number; 32])
    }

    fn list() -> Wanted {
        Wanted::List(Variants::default())
    }

    fn keys(pending: &Pending) -> Vec<u8> {
        let changes = pending.next(NOW, NOW).unwrap_or_default();
        changes.iter().map(|change| change.key.as_bytes()[0]).collect()
    }

    #[test]
    fn a_key_waits_once_with_its_newest_change() {
        let pending = Pending::new(1_000, 9);
        pending.put(key(1), list(), false);
        pending.put(key(2), list(), false);
        pending.put(key(1), Wanted::Nothing, false);
        assert!(matches!(pending.get(&key(1)), Some(Wanted::Nothing)));
        assert_eq!(keys(&pending), [1, 2]);
        assert_eq!(keys(&pending), [0_u8; 0], "they are being written");
        assert_eq!(pending.waiting().1, 2, "and not on disk yet");
    }

    /// All that one commit takes leave together, and the last ones wait for no more.
    #[test]
    fn changes_are_gathered_until_they_are_enough_or_the_last() {
        let (pending, long) = (Pending::new(1_000, 99), Duration::from_secs(60));
        std::thread::scope(|threads| {
            let next = threads.spawn(|| pending.next(long, long));
            for number in (0..).take(TOGETHER) {
                pending.put(key(number), list(), false);
            }
            assert_eq!(next.join().unwrap().unwrap().len(), TOGETHER);
            let next = threads.spawn(|| pending.next(long, long));
            pending.put(key(u8::MAX), list(), false);
            pending.close();
            assert_eq!(next.join().unwrap().unwrap().len(), 1);
        });
    }

    #[test]
    fn a_change_that_comes_while_one_is_written_is_written_after_it() {
        let pending = Pending::new(1_000, 9);
        pending.put(key(1), list(), false);
        let first = pending.next(NOW, NOW).unwrap();
        pending.put(key(1), Wanted::Nothing, false);
        pending.done(&first[0]);
        assert!(pending.get(&key(1)).is_some(), "the second is not on disk");
        let second = pending.next(NOW, NOW).unwrap();
        pending.failed(&second[0]);
        assert_eq!(keys(&pending), [1], "tried again");
    }

    #[test]
    fn too_many_changes_are_lost_and_the_last_ones_are_written_before_the_end() {
        let pending = Pending::new(1_000, 2);
        assert_eq!(pending.put(key(1), list(), false), Taken::Whole);
        assert_eq!(pending.put(key(2), list(), false), Taken::Whole);
        assert_eq!(pending.put(key(3), Wanted::Nothing, false), Taken::Lost);
        assert_eq!(pending.put(key(3), list(), true), Taken::NotKept, "nothing to forget");
        assert_eq!(pending.put(key(2), Wanted::Nothing, false), Taken::Whole, "it waits already");
        pending.close();
        assert_eq!(keys(&pending), [1, 2]);
        assert!(pending.next(NOW, NOW).is_none());
    }

    #[test]
    fn what_cannot_be_read_is_forgotten_unless_a_change_waits() {
        let pending = Pending::new(1_000, 2);
        pending.put(key(1), list(), false);
        pending.forget_if_idle(key(1));
        assert!(matches!(pending.get(&key(1)), Some(Wanted::List(_))), "the newer list stays");
        pending.forget_if_idle(key(2));
        assert!(matches!(pending.get(&key(2)), Some(Wanted::Nothing)));
        pending.forget_if_idle(key(3));
        assert!(pending.get(&key(3)).is_none(), "there is no place");
    }
}
