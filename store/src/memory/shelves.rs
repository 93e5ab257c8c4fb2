//! The map over our own shelves: the policy of the goal, which the disk tier and simulations use as well.
//!
//! Keys are divided over shelves, each with its part of the room and a lock that readers share. A hit takes that
//! lock, looks once, and counts; nothing is written that all cores share. There are only as many shelves as leave
//! room for several of the largest entries in each. Writers of one key take turns by a lock that they share with the
//! writers of some others; what they decide is decided without the lock of the shelf, so readers do not
//! wait for it.

use std::fmt;
use std::hash::BuildHasher;

use parking_lot::{Mutex, RwLock};
use weir_cache::CacheKey;
use weir_cache::eviction::{Charged, Goal, Seeded, Shelf};

use super::map::{Change, MemoryMap};
use super::shards::shards;
use crate::response::length;
use crate::{StoreStats, Variants};

/// Bytes that one entry takes beyond what it holds, measured: 56 for itself, 16 for its place in the order, 8
/// for the memory of one evicted key, and its number in a table.
const ENTRY_BYTES: u64 = 104;
/// Locks that writers take turns by.
const TURNS: usize = 64;

type Held = Shelf<CacheKey, Variants, Seeded>;

impl Charged for Variants {
    fn charge(&self) -> u64 {
        self.weight().saturating_add(ENTRY_BYTES)
    }
}

pub(super) struct Shelves {
    shelves: Box<[RwLock<Held>]>,
    /// Says on which shelf a key is.
    hasher: Seeded,
    turns: Box<[Mutex<()>]>,
}

impl Shelves {
    /// An empty map for `bytes_max` of weight, in which an entry of `entry_bytes` finds room.
    pub(super) fn new(goal: Goal, bytes_max: u64, entry_bytes: u64) -> Self {
        let count = shards(bytes_max, entry_bytes);
        // Clients choose what keys are made from, so none may know where they are.
        let within = Seeded::random();
        let shelf = |_| RwLock::new(Shelf::with_hasher(goal, bytes_max / count, within));
        Self {
            shelves: (0..count).map(shelf).collect(),
            hasher: Seeded::random(),
            turns: (0..TURNS).map(|_| Mutex::new(())).collect(),
        }
    }

    fn shelf(&self, key: &CacheKey) -> &RwLock<Held> {
        let hash = self.hasher.hash_one(key) >> 32;
        let place = usize::try_from(hash).unwrap_or(0) % self.shelves.len();
        // There is one, and the remainder is below their number.
        &self.shelves[place]
    }

    /// The lock of the writers of `key`.
    fn turn(&self, key: &CacheKey) -> Option<&Mutex<()>> {
        let [first, ..] = key.as_bytes();
        self.turns.get(usize::from(*first) % TURNS)
    }
}

impl MemoryMap for Shelves {
    async fn get(&self, key: &CacheKey) -> Option<Variants> {
        self.shelf(key).read().value(key).cloned()
    }

    async fn change(&self, key: CacheKey, decide: impl FnOnce(Option<Variants>) -> Change) {
        // What goes is dropped after the locks.
        let mut gone = Vec::new();
        let removed;
        {
            let _turn = self.turn(&key).map(Mutex::lock);
            let shelf = self.shelf(&key);
            let held = shelf.read().peek(&key).cloned();
            match decide(held) {
                Change::Keep => removed = None,
                Change::Put(list) => {
                    shelf.write().put(key, list, &mut gone);
                    removed = None;
                }
                Change::Remove => removed = shelf.write().remove(&key),
            }
        }
        drop((gone, removed));
    }

    fn iter(&self) -> impl Iterator<Item = (CacheKey, Variants)> {
        self.shelves.iter().flat_map(|shelf| {
            let shelf = shelf.read();
            shelf.iter().map(|(key, list)| (*key, list.clone())).collect::<Vec<_>>()
        })
    }

    fn entry_bytes_max(&self) -> u64 {
        let one = self.shelves.first().map_or(0, |shelf| shelf.read().bytes_max());
        one.saturating_sub(ENTRY_BYTES)
    }

    /// Costs a lock for each shelf.
    async fn stats(&self) -> StoreStats {
        let mut stats = StoreStats::default();
        for shelf in &self.shelves {
            let shelf = shelf.read();
            let counts = shelf.counts();
            stats.bytes = stats.bytes.saturating_add(shelf.bytes());
            stats.keys = stats.keys.saturating_add(length(shelf.len()));
            stats.evictions = stats.evictions.saturating_add(counts.evictions);
            stats.rejected = stats.rejected.saturating_add(counts.rejected);
        }
        stats
    }
}

impl fmt::Debug for Shelves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelves").field("shelves", &self.shelves.len()).finish_non_exhaustive()
    }
}
