//! The map over moka: TinyLFU, which keeps what is asked for often.
//!
//! moka's limit is soft until its pending tasks have run, so every change runs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use moka::future::Cache;
use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use weir_cache::CacheKey;

use super::map::{Change, MemoryMap};
use crate::{StoreStats, Variants};

/// Bytes that one entry takes beyond what it holds, measured.
const ENTRY_BYTES: u64 = 350;

#[derive(Debug)]
pub(super) struct MokaMap {
    cache: Cache<CacheKey, Variants>,
    bytes_max: u64,
    evictions: Arc<AtomicU64>,
}

impl MokaMap {
    /// An empty map for `bytes_max` of weight.
    pub(super) fn new(bytes_max: u64) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&evictions);
        let cache = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, list: &Variants| {
                u32::try_from(list.weight().saturating_add(ENTRY_BYTES)).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counter.fetch_add(1, Relaxed);
                }
            })
            .build();
        Self { cache, bytes_max, evictions }
    }
}

impl MemoryMap for MokaMap {
    async fn get(&self, key: &CacheKey) -> Option<Variants> {
        self.cache.get(key).await
    }

    async fn change(&self, key: CacheKey, decide: impl FnOnce(Option<Variants>) -> Change) {
        let decide = |entry: Option<moka::Entry<_, _>>| {
            let op = match decide(entry.map(moka::Entry::into_value)) {
                Change::Keep => Op::Nop,
                Change::Put(list) => Op::Put(list),
                Change::Remove => Op::Remove,
            };
            std::future::ready(op)
        };
        self.cache.entry(key).and_compute_with(decide).await;
        self.cache.run_pending_tasks().await;
    }

    fn iter(&self) -> impl Iterator<Item = (CacheKey, Variants)> {
        self.cache.iter().map(|(key, list)| (*key, list))
    }

    fn entry_bytes_max(&self) -> u64 {
        self.bytes_max.saturating_sub(ENTRY_BYTES)
    }

    /// Costs a pass over pending bookkeeping.
    async fn stats(&self) -> StoreStats {
        self.cache.run_pending_tasks().await;
        StoreStats {
            bytes: self.cache.weighted_size(),
            keys: self.cache.entry_count(),
            evictions: self.evictions.load(Relaxed),
            rejected: 0,
        }
    }
}
