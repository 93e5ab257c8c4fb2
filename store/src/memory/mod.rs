//! The memory tier: stored responses in a map bounded in bytes, of one of three kinds.
//!
//! A hit clones one `Arc`; no body is ever copied. What a kind of map does is in [`map`]; which is chosen when,
//! and what each costs, is in docs/decisions/0012 and 0023.

mod map;
mod moka;
mod quick;
mod shards;
mod shelves;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use parking_lot::Mutex;
use weir_cache::eviction::Goal;
use weir_cache::{CacheKey, Policy, Shapes, StoredHead};

use self::map::{Change, MemoryMap};
use self::moka::MokaMap;
use self::quick::QuickMap;
use self::shelves::Shelves;
use crate::variants::KeyBounds;
use crate::{PartsChange, StoredParts, StoredResponse, StoredSlices, Variants};

/// Bytes that the largest entry may take beside its body.
const HEAD_BYTES_MAX: u64 = 128 * 1024;

/// Which map holds the responses in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MemoryKind {
    /// moka: keeps what is asked for often, takes 350 bytes an entry.
    Moka,
    /// quick_cache: faster, takes some 110 bytes an entry.
    Quick,
    /// Our own: keeps what the goal asks for, takes some 100 bytes an entry.
    #[default]
    Shelves,
}

/// What a store may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// Bytes of heads, bodies and overhead, all responses together.
    pub memory_bytes_max: u64,
    /// Bytes of the largest body kept.
    pub object_bytes_max: u64,
    /// Bytes of the largest body that is brought into memory from disk, or that a fill keeps there.
    pub memory_object_bytes_max: u64,
    /// Variants kept under one key, at least 1.
    pub variants_max: usize,
    /// Which map holds them.
    pub memory_kind: MemoryKind,
    /// What its eviction aims at; of [`MemoryKind::Shelves`] alone.
    pub goal: Goal,
}

/// What a store holds and has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes charged for everything stored.
    pub bytes: u64,
    /// Keys with at least one stored response.
    pub keys: u64,
    /// Keys dropped for room since start.
    pub evictions: u64,
    /// Keys not kept when they came, since start: what was held was worth more.
    pub rejected: u64,
}

/// Stored responses in memory, bounded in bytes.
#[derive(Debug)]
pub struct MemoryStore {
    map: Map,
    limits: StoreLimits,
    shapes: Mutex<Shapes>,
    variants_dropped: AtomicU64,
}

#[derive(Debug)]
enum Map {
    Moka(MokaMap),
    Quick(QuickMap),
    Shelves(Shelves),
}

impl MemoryStore {
    /// An empty store within `limits`.
    #[must_use]
    pub fn new(limits: StoreLimits) -> Self {
        let bytes_max = limits.memory_bytes_max;
        let entry_bytes = limits.memory_object_bytes_max.saturating_add(HEAD_BYTES_MAX);
        let map = match limits.memory_kind {
            MemoryKind::Moka => Map::Moka(MokaMap::new(bytes_max)),
            MemoryKind::Quick => Map::Quick(QuickMap::new(bytes_max, entry_bytes)),
            MemoryKind::Shelves => Map::Shelves(Shelves::new(limits.goal, bytes_max, entry_bytes)),
        };
        Self { map, limits, shapes: Mutex::default(), variants_dropped: AtomicU64::new(0) }
    }

    /// The limits this store was made with.
    #[must_use]
    pub fn limits(&self) -> StoreLimits {
        self.limits
    }

    /// A head that shares what it can with those stored before it.
    pub fn compact(&self, head: StoredHead) -> StoredHead {
        head.compact(&mut self.shapes.lock())
    }

    /// The variants stored under `key`, or `None` if there are none.
    pub async fn lookup(&self, key: &CacheKey) -> Option<Variants> {
        match &self.map {
            Map::Moka(map) => map.get(key).await,
            Map::Quick(map) => map.get(key).await,
            Map::Shelves(map) => map.get(key).await,
        }
    }

    /// What one key may hold, so that no key outgrows the store and is dropped as a whole.
    fn of_one_key(&self) -> KeyBounds<'_> {
        let StoreLimits { variants_max, memory_bytes_max, .. } = self.limits;
        let entry_bytes_max = match &self.map {
            Map::Moka(map) => map.entry_bytes_max(),
            Map::Quick(map) => map.entry_bytes_max(),
            Map::Shelves(map) => map.entry_bytes_max(),
        };
        let bytes_max = entry_bytes_max.min(memory_bytes_max / 4);
        KeyBounds { variants_max, bytes_max, dropped: &self.variants_dropped }
    }

    /// Every stored response with its key, those with missing slices included, in no order. Others may come
    /// and go meanwhile; each that is there throughout is met once.
    pub fn iter(&self) -> impl Iterator<Item = (CacheKey, Arc<StoredResponse>)> {
        let lists: Box<dyn Iterator<Item = (CacheKey, Variants)>> = match &self.map {
            Map::Moka(map) => Box::new(map.iter()),
            Map::Quick(map) => Box::new(map.iter()),
            Map::Shelves(map) => Box::new(map.iter()),
        };
        lists.flat_map(|(key, variants)| {
            let held: Vec<_> = variants.persisted().map(Arc::clone).collect();
            held.into_iter().map(move |stored| (key, stored))
        })
    }

    /// Who writes; `then` is told what a key holds after a change, in the turn of the writer, so that it hears of
    /// the changes of a key in their order. It is not told where nothing changes.
    pub fn writing<F: FnOnce(&Variants)>(&self, then: F) -> Writing<'_, F> {
        Writing { memory: self, then }
    }

    /// What is held at this moment. Costs a pass over pending bookkeeping.
    pub async fn stats(&self) -> StoreStats {
        match &self.map {
            Map::Moka(map) => map.stats().await,
            Map::Quick(map) => map.stats().await,
            Map::Shelves(map) => map.stats().await,
        }
    }

    /// Variants dropped since start because their key had too many, or too many bytes.
    #[must_use]
    pub fn variants_dropped(&self) -> u64 {
        self.variants_dropped.load(Ordering::Relaxed)
    }
}

/// Writes to a store in memory, once.
#[derive(Debug)]
#[must_use]
pub struct Writing<'a, F> {
    memory: &'a MemoryStore,
    then: F,
}

impl<F: FnOnce(&Variants)> Writing<'_, F> {
    /// Changes what is stored under `key` as `decide` says, which is asked in the turn of this writer; what it
    /// comes to is told in that turn as well. Returns the list that was put.
    async fn change(
        self,
        key: CacheKey,
        decide: impl FnOnce(Option<Variants>) -> Change,
    ) -> Option<Variants> {
        let (then, mut put) = (self.then, None);
        let decide = |old| {
            let change = decide(old);
            match &change {
                Change::Keep => {}
                Change::Put(list) => {
                    put = Some(list.clone());
                    then(list);
                }
                Change::Remove => then(&Variants::default()),
            }
            change
        };
        match &self.memory.map {
            Map::Moka(map) => map.change(key, decide).await,
            Map::Quick(map) => map.change(key, decide).await,
            Map::Shelves(map) => map.change(key, decide).await,
        }
        put
    }

    /// Stores `response` under `key`, in place of what answered the same request before.
    ///
    /// Returns the list with it if it was taken in: a body above `object_bytes_max` is not, nor is a response that
    /// was asked for before a purge which the one stored already reflects; and what was taken in may be
    /// dropped for room at any time. `request_headers` are
    /// those of the request that the response answered. If the future is dropped half way, the key
    /// holds either the old variants or the new ones.
    pub async fn insert(
        self,
        key: CacheKey,
        response: Arc<StoredResponse>,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> Option<Variants> {
        if response.body.len() > self.memory.limits.object_bytes_max {
            return None;
        }
        let bounds = self.memory.of_one_key();
        let decide = |old: Option<Variants>| {
            let old = old.unwrap_or_default();
            if old.has_later(&response, request_headers, policy) {
                return Change::Keep;
            }
            Change::Put(old.with(response, request_headers, policy, bounds))
        };
        self.change(key, decide).await
    }

    /// Stores `response` in place of `old`, unless `old` is not stored any more; returns the
    /// list then.
    ///
    /// For validation: what was removed while upstream was asked must not come back.
    pub async fn replace(
        self,
        key: CacheKey,
        old: &Arc<StoredResponse>,
        response: Arc<StoredResponse>,
    ) -> Option<Variants> {
        let replaced = |list: Option<Variants>| list?.with_replaced(old, response);
        self.change(key, |list| replaced(list).map_or(Change::Keep, Change::Put)).await
    }

    /// Puts what the disk has under `key` into memory, unless there is something already or `is_current`
    /// says, in the turn of this writer, that it was changed meanwhile. Returns what memory has then, or
    /// would have if it had room; `None` if it was changed.
    pub(crate) async fn adopt(
        self,
        key: CacheKey,
        list: &Variants,
        is_current: impl FnOnce() -> bool,
    ) -> Option<Variants> {
        let mut there = None;
        let put = self.change(key, |old| {
            there = old;
            let adopt = there.is_none() && is_current();
            if adopt { Change::Put(list.clone()) } else { Change::Keep }
        });
        let put = put.await;
        put.or(there)
    }

    /// Removes `response` from what is stored under `key`, if it is still there; returns what is left then.
    pub async fn discard(self, key: &CacheKey, response: &Arc<StoredResponse>) -> Option<Variants> {
        let mut left = None;
        let decide = |list: Option<Variants>| {
            let rest = list.and_then(|list| list.without(response));
            left.clone_from(&rest);
            rest.map_or(Change::Keep, Change::to)
        };
        self.change(*key, decide).await;
        left
    }

    /// Stores `slices` under `key`, as [`Self::insert`] does a whole response.
    pub(crate) async fn insert_slices(
        self,
        key: CacheKey,
        slices: &StoredSlices,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> Option<Variants> {
        if slices.body().len() > self.memory.limits.object_bytes_max {
            return None;
        }
        let bounds = self.memory.of_one_key();
        let decide = |old: Option<Variants>| {
            let old = old.unwrap_or_default();
            if old.has_later(slices.stored(), request_headers, policy) {
                return Change::Keep;
            }
            Change::Put(old.with_slices(slices.clone(), request_headers, policy, bounds))
        };
        self.change(key, decide).await
    }

    /// Puts `slices` where they belong by what is here of them, unless nothing of that body is stored any
    /// more; returns the list then.
    pub(crate) async fn place_slices(
        self,
        key: CacheKey,
        slices: &StoredSlices,
    ) -> Option<Variants> {
        let placed = |list: Option<Variants>| list?.with_slices_placed(slices);
        self.change(key, |list| placed(list).map_or(Change::Keep, Change::Put)).await
    }

    /// Removes `slices` from what is stored under `key`, under whatever head; returns what is left then.
    pub(crate) async fn discard_slices(
        self,
        key: CacheKey,
        slices: &StoredSlices,
    ) -> Option<Variants> {
        let mut left = None;
        let decide = |list: Option<Variants>| {
            let rest = list.and_then(|list| list.without_slices(slices));
            left.clone_from(&rest);
            rest.map_or(Change::Keep, Change::to)
        };
        self.change(key, decide).await;
        left
    }

    /// Changes the parts that a request selects as `change` says of those held; returns the list if
    /// there was a change and something is left.
    ///
    /// `change` is asked in the turn of this writer, so that no two parts overwrite each other. A
    /// body above `object_bytes_max` is not taken in.
    pub async fn change_parts(
        self,
        key: CacheKey,
        request_headers: &HeaderMap,
        policy: &Policy,
        change: impl FnOnce(Option<&Arc<StoredParts>>) -> PartsChange,
    ) -> Option<Variants> {
        let memory = self.memory;
        let bounds = memory.of_one_key();
        let decide = |old: Option<Variants>| {
            let old = old.unwrap_or_default();
            let change = Self::bounded(memory, change(old.select_parts(request_headers, policy)));
            let list = old.with_parts(change, request_headers, policy, bounds);
            list.map_or(Change::Keep, Change::to)
        };
        self.change(key, decide).await
    }

    /// Lets nothing in that is larger than one object may be.
    fn bounded(memory: &MemoryStore, change: PartsChange) -> PartsChange {
        let bytes = match &change {
            PartsChange::Keep | PartsChange::Drop => 0,
            PartsChange::Parts(parts) => parts.held.pieces.held().1,
            PartsChange::Whole(stored) => stored.body.len(),
        };
        if bytes > memory.limits.object_bytes_max { PartsChange::Keep } else { change }
    }

    /// Stores `parts` in place of `old`, unless `old` is not stored any more; returns whether they
    /// were. For validation, like [`Self::replace`].
    pub async fn replace_parts(
        self,
        key: CacheKey,
        old: &Arc<StoredParts>,
        parts: Arc<StoredParts>,
    ) -> bool {
        let replaced = |list: Option<Variants>| list?.with_parts_replaced(old, parts);
        self.change(key, |list| replaced(list).map_or(Change::Keep, Change::Put)).await.is_some()
    }

    /// Removes everything stored under `key`; returns whether there was something.
    ///
    /// Takes its turn among the writers of the key, so that none of them brings back what is removed.
    pub async fn remove(self, key: &CacheKey) -> bool {
        let mut was_there = false;
        let decide = |old: Option<Variants>| {
            was_there = old.is_some();
            Change::Remove
        };
        self.change(*key, decide).await;
        was_there
    }
}
