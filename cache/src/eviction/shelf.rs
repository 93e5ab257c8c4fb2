//! Entries in memory within a bound of bytes, in the order of a policy.
//!
//! A simulation uses a shelf as it is, with nothing but keys; the memory tier has several, each behind a lock of
//! its own. A hit takes `&self` and writes one counter, so that readers need not exclude each other.
//!
//! # Invariants
//!
//! 1. Between calls no more than `bytes_max` is held.
//! 2. Each entry has one place in the order that leads to it; places of entries that were removed or moved lead
//!    nowhere, and are at most about as many as the entries.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use hashbrown::HashTable;

use super::goal::Goal;
use super::hash::Seeded;
use super::policy::{Eviction, Held, Looked, Newcomer, Place, Queue, Verdict, for_goal, is_spared};
use super::slab::Slab;

/// Entries looked at to make room once. Beyond that even one that was hit goes: all of them were.
const LOOKS_MAX: u32 = 1_024;
/// Hits beyond which an entry's count does not rise until it is looked at.
const HITS_MAX: u8 = 32;

/// What can be held on a shelf.
pub trait Charged {
    /// Bytes that it is charged for; always the same for one value.
    fn charge(&self) -> u64;
}

/// Nothing but its charge: for simulations.
impl Charged for u64 {
    fn charge(&self) -> u64 {
        *self
    }
}

/// Entries within a bound, by key.
#[derive(Debug)]
pub struct Shelf<K, V = u64, S = Seeded> {
    policy: Box<dyn Eviction>,
    bytes_max: u64,
    numbers: HashTable<u32>,
    entries: Slab<Entry<K, V>>,
    /// The places of each queue, by its number.
    lines: [BinaryHeap<Reverse<Spot>>; Queue::ALL.len()],
    held: Held,
    turn: u64,
    counts: ShelfCounts,
    hasher: S,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    /// Says what the entry is charged for.
    value: V,
    /// Which of the places that lead here counts.
    turn: u32,
    uses: u8,
    queue: Queue,
    hits: AtomicU8,
}

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    priority: u64,
    turn: u32,
    number: u32,
}

/// What a shelf has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShelfCounts {
    /// Entries that went for room, those that had only just come excluded.
    pub evictions: u64,
    /// Bytes that they were charged for.
    pub evicted_bytes: u64,
    /// Entries that were not kept when they came, because others were worth more or they were too large.
    pub rejected: u64,
}

/// What came of an insertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted<K> {
    /// Whether the entry is held.
    pub admitted: bool,
    /// The keys of those that went for it.
    pub evicted: Vec<K>,
}

impl<K: Hash + Eq + Clone> Shelf<K> {
    /// An empty shelf for `bytes_max` that hashes by a fixed seed: for simulations.
    #[must_use]
    pub fn new(goal: Goal, bytes_max: u64) -> Self {
        Self::with_hasher(goal, bytes_max, Seeded::default())
    }

    /// Has `key` held, charged for `charge` bytes. One that is held already keeps its place and gets that charge.
    pub fn insert(&mut self, key: K, charge: u64) -> Inserted<K> {
        let mut gone = Vec::new();
        let admitted = self.put(key, charge, &mut gone);
        Inserted { admitted, evicted: gone.into_iter().map(|(key, _)| key).collect() }
    }
}

impl<K: Hash + Eq + Clone, V: Charged, S: BuildHasher> Shelf<K, V, S> {
    /// An empty shelf for `bytes_max` that spreads keys by `hasher`.
    #[must_use]
    pub fn with_hasher(goal: Goal, bytes_max: u64, hasher: S) -> Self {
        Self::with_policy(for_goal(goal), bytes_max, hasher)
    }

    /// The same with a policy that is none of the goals'.
    #[must_use]
    pub fn with_policy(policy: Box<dyn Eviction>, bytes_max: u64, hasher: S) -> Self {
        Self {
            policy,
            bytes_max,
            numbers: HashTable::new(),
            entries: Slab::new(),
            lines: Default::default(),
            held: Held::default(),
            turn: 0,
            counts: ShelfCounts::default(),
            hasher,
        }
    }

    /// Notes a hit; returns whether `key` is held.
    pub fn get(&self, key: &K) -> bool {
        self.value(key).is_some()
    }

    /// Notes a hit; returns what is held under `key`.
    pub fn value(&self, key: &K) -> Option<&V> {
        let entry = self.entry(key)?;
        let hits = entry.hits.load(Relaxed);
        if hits < HITS_MAX {
            // Two hits at once may count as one.
            entry.hits.store(hits.saturating_add(1), Relaxed);
        }
        Some(&entry.value)
    }

    /// What is held under `key`, without noting a hit.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Whether `key` is held, without noting a hit.
    pub fn contains(&self, key: &K) -> bool {
        self.entry(key).is_some()
    }

    /// Has `value` held under `key`; returns whether it is. In `gone` comes what is not
    /// held any more, or was not taken in: what was evicted, what was held under `key` before, and the
    /// value itself.
    pub fn put(&mut self, key: K, value: V, gone: &mut Vec<(K, V)>) -> bool {
        let (hash, charge) = (self.hasher.hash_one(&key), value.charge());
        if charge > self.bytes_max {
            if let Some(old) = self.take(hash, &key) {
                gone.push((old.key, old.value));
            }
            self.counts.rejected = self.counts.rejected.saturating_add(1);
            gone.push((key, value));
            return false;
        }
        if let Some(number) = self.number(hash, &key)
            && let Some(entry) = self.entries.get_mut(number)
        {
            let old = std::mem::replace(&mut entry.value, value);
            self.held.take(entry.queue, old.charge());
            self.held.add(entry.queue, charge);
            gone.push((key, old));
            return self.make_room(number, gone);
        }
        match self.enter(hash, key, value) {
            Ok(number) => self.make_room(number, gone),
            Err((key, value)) => {
                self.counts.rejected = self.counts.rejected.saturating_add(1);
                gone.push((key, value));
                false
            }
        }
    }

    /// Removes what is held under `key`.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let hash = self.hasher.hash_one(key);
        let removed = self.take(hash, key).map(|entry| entry.value);
        self.tidy();
        removed
    }

    /// Everything that is held, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|entry| (&entry.key, &entry.value))
    }

    /// Bytes charged for what is held.
    pub fn bytes(&self) -> u64 {
        self.held.bytes()
    }

    /// Bytes that may be held.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// What it has done.
    pub fn counts(&self) -> ShelfCounts {
        self.counts
    }

    fn entry(&self, key: &K) -> Option<&Entry<K, V>> {
        let hash = self.hasher.hash_one(key);
        self.entries.get(self.number(hash, key)?)
    }

    fn number(&self, hash: u64, key: &K) -> Option<u32> {
        let is_it = |number: &u32| self.entries.get(*number).is_some_and(|entry| entry.key == *key);
        self.numbers.find(hash, is_it).copied()
    }

    /// Takes in an entry that is not held; gives it back where there are too many.
    fn enter(&mut self, hash: u64, key: K, value: V) -> Result<u32, (K, V)> {
        let charge = value.charge();
        self.turn = self.turn.saturating_add(1);
        let newcomer = Newcomer { print: hash, charge, turn: self.turn };
        let Place { queue, priority, uses } = self.policy.enter(newcomer, &self.held);
        let turn = stamp(self.turn);
        let entry = Entry { key, value, turn, uses, queue, hits: AtomicU8::new(0) };
        let number = self.entries.put(entry).map_err(|entry| (entry.key, entry.value))?;
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.numbers.insert_unique(hash, number, |number| {
            entries.get(*number).map_or(0, |entry| hasher.hash_one(&entry.key))
        });
        self.held.add(queue, charge);
        self.line(queue, Spot { priority, turn, number });
        Ok(number)
    }

    /// Evicts until everything fits; returns whether the entry of `newest` is held then.
    fn make_room(&mut self, newest: u32, gone: &mut Vec<(K, V)>) -> bool {
        let mut is_held = true;
        let mut spared = None;
        let mut looks: u32 = 0;
        while self.held.bytes() > self.bytes_max {
            let queue = self.policy.queue_to_look_at(&self.held);
            let Some(spot) = self.lowest(queue) else { break };
            let is_newest = spot.number == newest;
            if is_newest && spared.is_none() && self.is_spared(spot.number) {
                spared = Some((queue, spot));
                continue;
            }
            looks = looks.saturating_add(1);
            if !self.goes(spot, looks > LOOKS_MAX) {
                continue;
            }
            let Some(entry) = self.take_number(spot.number) else { continue };
            if is_newest {
                is_held = false;
                self.counts.rejected = self.counts.rejected.saturating_add(1);
            } else {
                self.counts.evictions = self.counts.evictions.saturating_add(1);
                self.counts.evicted_bytes =
                    self.counts.evicted_bytes.saturating_add(entry.value.charge());
            }
            gone.push((entry.key, entry.value));
        }
        if let Some((queue, spot)) = spared {
            self.line(queue, spot);
        }
        is_held
    }

    /// Whether an entry is not to go for itself.
    fn is_spared(&self, number: u32) -> bool {
        let entry = self.entries.get(number);
        entry.is_some_and(|entry| is_spared(entry.value.charge(), self.bytes_max))
    }

    /// Takes the lowest place of a queue that leads to an entry.
    fn lowest(&mut self, queue: Queue) -> Option<Spot> {
        let line = self.lines.get_mut(usize::from(queue.number()))?;
        loop {
            let Reverse(spot) = line.pop()?;
            if leads(&self.entries, spot) {
                return Some(spot);
            }
        }
    }

    /// Whether the entry at a place that was taken from its queue goes; gives it another place if not.
    fn goes(&mut self, spot: Spot, regardless: bool) -> bool {
        let Some(entry) = self.entries.get_mut(spot.number) else { return false };
        self.turn = self.turn.saturating_add(1);
        let (charge, queue) = (entry.value.charge(), entry.queue);
        let print = self.hasher.hash_one(&entry.key);
        let looked = Looked {
            entry: Newcomer { print, charge, turn: self.turn },
            place: Place { queue, priority: spot.priority, uses: entry.uses },
            hits: std::mem::take(entry.hits.get_mut()),
        };
        let verdict = self.policy.look(looked, &self.held);
        let Verdict::Move(place) = verdict else { return true };
        if regardless {
            return true;
        }
        entry.turn = stamp(self.turn);
        (entry.uses, entry.queue) = (place.uses, place.queue);
        let moved = Spot { priority: place.priority, turn: entry.turn, ..spot };
        self.held.take(queue, charge);
        self.held.add(place.queue, charge);
        self.line(place.queue, moved);
        false
    }

    fn line(&mut self, queue: Queue, spot: Spot) {
        if let Some(line) = self.lines.get_mut(usize::from(queue.number())) {
            line.push(Reverse(spot));
        }
    }

    fn take(&mut self, hash: u64, key: &K) -> Option<Entry<K, V>> {
        let number = self.number(hash, key)?;
        self.take_number(number)
    }

    fn take_number(&mut self, number: u32) -> Option<Entry<K, V>> {
        let entry = self.entries.take(number)?;
        let hash = self.hasher.hash_one(&entry.key);
        if let Ok(found) = self.numbers.find_entry(hash, |other| *other == number) {
            found.remove();
        }
        self.held.take(entry.queue, entry.value.charge());
        Some(entry)
    }

    /// Drops places that lead nowhere once they are more than the others.
    fn tidy(&mut self) {
        let places = self.lines.iter().fold(0_usize, |sum, line| sum.saturating_add(line.len()));
        if places > self.numbers.len().saturating_mul(2).saturating_add(64) {
            let entries = &self.entries;
            for line in &mut self.lines {
                line.retain(|Reverse(spot)| leads(entries, *spot));
                line.shrink_to_fit();
            }
        }
    }
}

/// Whether an entry is at a place.
fn leads<K, V>(entries: &Slab<Entry<K, V>>, spot: Spot) -> bool {
    entries.get(spot.number).is_some_and(|entry| entry.turn == spot.turn)
}

/// The part of a turn that tells the places of one entry apart, and orders those of one priority.
fn stamp(turn: u64) -> u32 {
    u32::try_from(turn & u64::from(u32::MAX)).unwrap_or(0)
}
