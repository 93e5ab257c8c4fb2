//! The map over quick_cache: S3-FIFO's relative, at an eighth of moka's overhead.
//!
//! It is divided into shards, each with its part of the room, and takes nothing that is heavier than
//! one of them. So there are only as many as leave room for several of the largest entries in each. Writers of
//! one key take turns by a lock that they share with the writers of some others; readers do not take it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use weir_cache::CacheKey;

use super::map::{Change, MemoryMap};
use super::shards::shards;
use crate::{StoreStats, Variants};

/// Bytes that one entry takes beyond what it holds, measured.
const ENTRY_BYTES: u64 = 112;
/// Weight that an entry is guessed to have, for the number of evicted keys that are remembered: one for
/// every two entries, at 70 bytes each.
const GUESSED_ENTRY_BYTES: u64 = 4096;
/// Locks that writers take turns by.
const TURNS: usize = 64;

pub(super) struct QuickMap {
    cache: Cache<CacheKey, Variants, ByWeight, DefaultHashBuilder, Evictions>,
    evictions: Arc<AtomicU64>,
    turns: Box<[Mutex<()>]>,
}

impl QuickMap {
    /// An empty map for `bytes_max` of weight, in which an entry of `entry_bytes` finds room.
    pub(super) fn new(bytes_max: u64, entry_bytes: u64) -> Self {
        let shards = shards(bytes_max, entry_bytes);
        let items = usize::try_from(bytes_max / GUESSED_ENTRY_BYTES).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(items)
            // Each shard gets its part rounded up.
            .weight_capacity(bytes_max / shards * shards)
            .build();
        let options = options.expect("it has all that is needed");
        let evictions = Arc::new(AtomicU64::new(0));
        let counter = Evictions(Arc::clone(&evictions));
        let hasher = DefaultHashBuilder::default();
        let cache = Cache::with_options(options, ByWeight, hasher, counter);
        Self { cache, evictions, turns: (0..TURNS).map(|_| Mutex::new(())).collect() }
    }

    /// The lock of the writers of `key`.
    fn turn(&self, key: &CacheKey) -> Option<&Mutex<()>> {
        let [first, ..] = key.as_bytes();
        self.turns.get(usize::from(*first) % TURNS)
    }
}

impl MemoryMap for QuickMap {
    async fn get(&self, key: &CacheKey) -> Option<Variants> {
        self.cache.get(key)
    }

    async fn change(&self, key: CacheKey, decide: impl FnOnce(Option<Variants>) -> Change) {
        // What goes is dropped after the turn.
        let mut evicted = Vec::new();
        let removed;
        {
            let _turn = self.turn(&key).map(Mutex::lock);
            // Not a `get`, for that would count as a hit.
            match decide(self.cache.peek(&key)) {
                Change::Keep => removed = None,
                Change::Put(list) => {
                    self.cache.insert_with_lifecycle(key, list, &mut evicted);
                    removed = None;
                }
                Change::Remove => removed = self.cache.remove(&key),
            }
        }
        drop((evicted, removed));
    }

    fn iter(&self) -> impl Iterator<Item = (CacheKey, Variants)> {
        self.cache.iter()
    }

    fn entry_bytes_max(&self) -> u64 {
        // A shard takes nothing that is heavier than its part for what is asked for often, 97 percent.
        (self.cache.shard_capacity() / 10 * 9).saturating_sub(ENTRY_BYTES)
    }

    async fn stats(&self) -> StoreStats {
        StoreStats {
            bytes: self.cache.weight(),
            keys: u64::try_from(self.cache.len()).unwrap_or(u64::MAX),
            evictions: self.evictions.load(Relaxed),
            rejected: 0,
        }
    }
}

impl fmt::Debug for QuickMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuickMap").field("cache", &self.cache).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
struct ByWeight;

impl Weighter<CacheKey, Variants> for ByWeight {
    fn weight(&self, _: &CacheKey, list: &Variants) -> u64 {
        list.weight().saturating_add(ENTRY_BYTES)
    }
}

/// Counts what goes for room, and keeps it until no lock of the map is held.
#[derive(Debug, Clone)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<CacheKey, Variants> for Evictions {
    type RequestState = Vec<Variants>;

    /// Not called for what is replaced.
    fn before_evict(&self, _: &mut Vec<Variants>, _: &CacheKey, _: &mut Variants) {
        self.0.fetch_add(1, Relaxed);
    }

    fn on_evict(&self, state: &mut Vec<Variants>, _: CacheKey, list: Variants) {
        state.push(list);
    }
}
