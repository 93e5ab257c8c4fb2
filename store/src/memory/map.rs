//! What a map in memory must do, whichever it is.

use weir_cache::CacheKey;

use crate::{StoreStats, Variants};

/// A map from keys to what is stored under them, bounded by weight.
///
/// Two writers of one key take turns; readers wait for nobody. The bound holds whenever a change has
/// returned.
pub(super) trait MemoryMap {
    /// What is held under `key`. Allocates nothing.
    async fn get(&self, key: &CacheKey) -> Option<Variants>;

    /// Changes what is held under `key` as `decide` says, which is asked in the turn of this writer. If
    /// the future is dropped half way, there is either what was before or what comes after.
    async fn change(&self, key: CacheKey, decide: impl FnOnce(Option<Variants>) -> Change);

    /// Every key with what is held under it, in no order.
    fn iter(&self) -> impl Iterator<Item = (CacheKey, Variants)>;

    /// The weight of the heaviest entry that finds room.
    fn entry_bytes_max(&self) -> u64;

    /// What is held at this moment.
    async fn stats(&self) -> StoreStats;
}

/// What becomes of what is held under a key.
#[derive(Debug)]
pub(super) enum Change {
    /// It stays.
    Keep,
    /// This takes its place.
    Put(Variants),
    /// It goes.
    Remove,
}

impl Change {
    /// What makes `list` be held.
    pub(super) fn to(list: Variants) -> Self {
        if list.is_empty() { Self::Remove } else { Self::Put(list) }
    }
}
