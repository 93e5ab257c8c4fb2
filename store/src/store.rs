//! The stored responses of a node: in memory, and under that on disk where there is a disk tier.
//!
//! What is asked for is brought into memory: heads always, bodies if they are small. Every change is made in
//! memory first and handed to the disk, which follows.
//!
//! # Invariants
//!
//! 1. What was removed or replaced does not come back from the disk, however slow that is.
//! 2. A node without a disk tier pays nothing for it: one look at an `Option`.
//! 3. A lookup waits for the disk for [`DISK_WITHIN`] at most; then it has found nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use weir_cache::{CacheKey, Policy, StoredHead};

use crate::{
    Body, BodyError, DiskTier, MemoryStore, OnDisk, PartsChange, StoreLimits, StoreStats,
    StoredParts, StoredResponse, StoredSlices, Variants,
};

/// Lookups on disk at once; more wait. The blocking pool has other work, too.
const DISK_LOOKUPS_MAX: usize = 64;
/// Keys remembered that were not found.
const BLANK_MAX: usize = 16_384;
/// How long a lookup waits for the disk.
const DISK_WITHIN: Duration = Duration::from_secs(1);

/// Stored responses, bounded in bytes.
#[derive(Debug)]
pub struct Store {
    memory: MemoryStore,
    disk: Option<OverDisk>,
}

#[derive(Debug)]
struct OverDisk {
    tier: Arc<DiskTier>,
    turns: Arc<Semaphore>,
    late: AtomicU64,
    /// Keys that were not found a moment ago, with the version at which that was so: what is fetched for
    /// them need not be looked up again before it is stored.
    blank: quick_cache::sync::Cache<CacheKey, u64>,
}

/// A key that is about to be changed.
#[derive(Debug, Clone, Copy)]
struct Prepared {
    /// The version at which the disk had nothing under it; `None` if it may have something.
    blank_at: Option<u64>,
}

impl Store {
    /// An empty store in memory, over `disk` where there is one.
    #[must_use]
    pub fn new(limits: StoreLimits, disk: Option<Arc<DiskTier>>) -> Self {
        let over = |tier| {
            let turns = Arc::new(Semaphore::new(DISK_LOOKUPS_MAX));
            let blank = quick_cache::sync::Cache::new(BLANK_MAX);
            OverDisk { tier, turns, late: AtomicU64::new(0), blank }
        };
        Self { memory: MemoryStore::new(limits), disk: disk.map(over) }
    }

    /// The limits of the memory.
    #[must_use]
    pub fn limits(&self) -> StoreLimits {
        self.memory.limits()
    }

    /// The disk tier, if there is one.
    #[must_use]
    pub fn disk(&self) -> Option<&Arc<DiskTier>> {
        self.disk.as_ref().map(|disk| &disk.tier)
    }

    /// A head that shares what it can with those stored before it, as all that is stored should. Costs a
    /// copy of the fields and a short turn at a lock.
    #[must_use]
    pub fn compact(&self, head: StoredHead) -> StoredHead {
        self.memory.compact(head)
    }

    /// The variants stored under `key`, or `None` if there are none. Bodies may be on disk: see
    /// [`Store::resident`].
    pub async fn lookup(&self, key: &CacheKey) -> Option<Variants> {
        let found = self.memory.lookup(key).await;
        match (&self.disk, found) {
            (None, found) => found,
            (Some(disk), Some(found)) => {
                disk.tier.note_hit(key);
                Some(found)
            }
            (Some(disk), None) => match Box::pin(self.look_on_disk(disk, key)).await {
                OnDisk::Found(found) => {
                    disk.tier.note_hit(key);
                    Some(found)
                }
                OnDisk::Nothing | OnDisk::Unknown => None,
            },
        }
    }

    /// The variants that memory has under `key`, as [`Self::lookup`] gives them; `None` also where only the disk has
    /// some. Waits for nothing.
    #[must_use]
    pub fn peek(&self, key: &CacheKey) -> Option<Variants> {
        let found = self.memory.peek(key)?;
        if let Some(disk) = &self.disk {
            disk.tier.note_hit(key);
        }
        Some(found)
    }

    /// What the disk has under `key`, brought into memory.
    async fn look_on_disk(&self, disk: &OverDisk, key: &CacheKey) -> OnDisk {
        // Once more where the key was changed while it was read.
        for _ in 0..2 {
            let version = disk.tier.version(key);
            let list = match disk.get(key).await {
                OnDisk::Found(list) => list,
                OnDisk::Nothing => {
                    disk.blank.insert(*key, version);
                    return OnDisk::Nothing;
                }
                OnDisk::Unknown => return OnDisk::Unknown,
            };
            let is_current = || disk.tier.version(key) == version;
            let adopting = self.memory.writing(|_| {});
            if let Some(list) = adopting.adopt(*key, &list, is_current).await {
                return OnDisk::Found(list);
            }
        }
        OnDisk::Unknown
    }

    /// `stored` with a body that can be sent: a small one is read into memory. `None` where the disk does
    /// not give it; what it does not have any more is forgotten, and where it still has slices they may be
    /// found by [`Variants::select_slices`] from then on.
    ///
    /// Costs nothing for a body in memory.
    pub async fn resident(
        &self,
        key: &CacheKey,
        stored: Arc<StoredResponse>,
    ) -> Option<Arc<StoredResponse>> {
        match &stored.body {
            Body::InMemory(_) => Some(stored),
            Body::OnDisk(body) if !body.is_whole() => {
                self.on_loss(key, &stored).await;
                None
            }
            Body::OnDisk(_) => Box::pin(self.bring(key, stored)).await,
        }
    }

    async fn bring(
        &self,
        key: &CacheKey,
        stored: Arc<StoredResponse>,
    ) -> Option<Arc<StoredResponse>> {
        let (disk, body) = (self.disk.as_ref()?, Arc::clone(stored.body.on_disk()?));
        let is_small = body.len() <= self.memory.limits().memory_object_bytes_max;
        let read = move || {
            if is_small { body.read_whole().map(Some) } else { body.place(0).map(|_| None) }
        };
        match disk.blocking(read).await? {
            Ok(None) => Some(stored),
            Ok(Some(bytes)) => {
                let resident = Arc::new(stored.with_body(bytes.into()));
                // Nothing changes for the disk.
                self.memory.writing(|_| {}).replace(*key, &stored, Arc::clone(&resident)).await;
                Some(resident)
            }
            Err(BodyError::Io { .. }) => None,
            Err(BodyError::Damaged { .. } | BodyError::Missing) => {
                self.on_loss(key, &stored).await;
                None
            }
        }
    }

    /// Keeps what is left of a body of which something was lost, where that is of use.
    async fn on_loss(&self, key: &CacheKey, stored: &Arc<StoredResponse>) {
        match StoredSlices::of(stored).filter(|slices| slices.body().slices_held() > 0) {
            Some(slices) => self.place_slices(*key, &slices).await,
            None => self.discard(key, stored).await,
        };
    }

    /// Stores `response` under `key`, in place of what answered the same request before.
    ///
    /// Returns whether it was taken in: a body that is too large is not, nor is a response that was asked for
    /// before a purge which the one stored already reflects; and what was taken in may be dropped for room at
    /// any time. `request_headers` are those of the request that the response answered. If the future is
    /// dropped half way, the key holds either the old variants or the new ones.
    pub async fn insert(
        &self,
        key: CacheKey,
        response: Arc<StoredResponse>,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> bool {
        let prepared = self.prepare(&key).await;
        let writing = self.memory.writing(self.follow(key, prepared));
        writing.insert(key, response, request_headers, policy).await.is_some()
    }

    /// Stores `response` in place of `old`, unless `old` is not stored any more; returns whether it
    /// was.
    ///
    /// For validation: what was removed while upstream was asked must not come back.
    pub async fn replace(
        &self,
        key: CacheKey,
        old: &Arc<StoredResponse>,
        response: Arc<StoredResponse>,
    ) -> bool {
        let prepared = self.prepare(&key).await;
        let writing = self.memory.writing(self.follow(key, prepared));
        writing.replace(key, old, response).await.is_some()
    }

    /// Removes `response` from what is stored under `key`, if it is still there; returns whether it was.
    pub async fn discard(&self, key: &CacheKey, response: &Arc<StoredResponse>) -> bool {
        let prepared = self.prepare(key).await;
        let writing = self.memory.writing(self.follow(*key, prepared));
        writing.discard(key, response).await.is_some()
    }

    /// Stores `slices` under `key`, in place of what answered the same request before; otherwise as
    /// [`Self::insert`].
    pub async fn insert_slices(
        &self,
        key: CacheKey,
        slices: &StoredSlices,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> bool {
        let prepared = self.prepare(&key).await;
        let writing = self.memory.writing(self.follow(key, prepared));
        writing.insert_slices(key, slices, request_headers, policy).await.is_some()
    }

    /// Takes note of another head of `slices`, or that more or fewer of them are here, unless the body is not
    /// stored any more; returns whether it is. Once nothing is missing it is a stored response like any other.
    pub async fn place_slices(&self, key: CacheKey, slices: &StoredSlices) -> bool {
        let prepared = self.prepare(&key).await;
        let writing = self.memory.writing(self.follow(key, prepared));
        writing.place_slices(key, slices).await.is_some()
    }

    /// Removes `slices`, under whatever head, from what is stored under `key`; returns whether they were there.
    pub async fn discard_slices(&self, key: CacheKey, slices: &StoredSlices) -> bool {
        let prepared = self.prepare(&key).await;
        let writing = self.memory.writing(self.follow(key, prepared));
        writing.discard_slices(key, slices).await.is_some()
    }

    /// Every response stored in memory with its key, in no order. Others may come and go meanwhile; each that
    /// is there throughout is met once.
    pub fn iter(&self) -> impl Iterator<Item = (CacheKey, Arc<StoredResponse>)> {
        self.memory.iter()
    }

    /// Changes the parts that a request selects as `change` says of those held; returns whether
    /// there was a change.
    ///
    /// `change` is asked in the turn of this writer, so that no two parts overwrite each other. Parts are
    /// kept in memory only.
    pub async fn change_parts(
        &self,
        key: CacheKey,
        request_headers: &HeaderMap,
        policy: &Policy,
        change: impl FnOnce(Option<&Arc<StoredParts>>) -> PartsChange,
    ) -> bool {
        let prepared = self.prepare(&key).await;
        let writing = self.memory.writing(self.follow(key, prepared));
        writing.change_parts(key, request_headers, policy, change).await.is_some()
    }

    /// Stores `parts` in place of `old`, unless `old` is not stored any more; returns whether they
    /// were. For validation, like [`Self::replace`].
    pub async fn replace_parts(
        &self,
        key: CacheKey,
        old: &Arc<StoredParts>,
        parts: Arc<StoredParts>,
    ) -> bool {
        self.memory.writing(|_| {}).replace_parts(key, old, parts).await
    }

    /// Removes everything stored under `key`; returns whether there was something in memory.
    pub async fn remove(&self, key: &CacheKey) -> bool {
        let prepared = Prepared { blank_at: None };
        if let Some(disk) = &self.disk {
            disk.tier.changing(key);
        }
        self.memory.writing(self.follow(*key, prepared)).remove(key).await
    }

    /// Sees to it that memory has all variants of `key` before one of them changes, and that nobody puts
    /// what was read of it before into memory afterwards.
    async fn prepare(&self, key: &CacheKey) -> Prepared {
        let Some(disk) = &self.disk else { return Prepared { blank_at: None } };
        let is_blank = self.memory.lookup(key).await.is_none() && self.is_blank(disk, key).await;
        let version = disk.tier.changing(key);
        Prepared { blank_at: is_blank.then_some(version) }
    }

    /// Whether the disk has nothing under `key`; if it has something, that is brought into memory.
    async fn is_blank(&self, disk: &OverDisk, key: &CacheKey) -> bool {
        let version = disk.tier.version(key);
        disk.blank.get(key) == Some(version)
            || matches!(Box::pin(self.look_on_disk(disk, key)).await, OnDisk::Nothing)
    }

    /// What hands a changed list to the disk, in the turn in which memory changes.
    fn follow(&self, key: CacheKey, prepared: Prepared) -> impl FnOnce(&Variants) + Send {
        let tier = self.disk.as_ref().map(|disk| Arc::clone(&disk.tier));
        move |list| {
            let Some(tier) = tier else { return };
            let is_new = prepared.blank_at == Some(tier.version(&key));
            // Once more: who has read the key since it was prepared is too late as well.
            tier.changing(&key);
            if list.persisted().next().is_some() {
                tier.put(key, list.clone(), is_new);
            } else if !is_new {
                tier.forget(key);
            }
        }
    }

    /// What memory holds at this moment. Costs a pass over pending bookkeeping.
    pub async fn stats(&self) -> StoreStats {
        self.memory.stats().await
    }

    /// Variants dropped since start because their key had too many, or too many bytes.
    #[must_use]
    pub fn variants_dropped(&self) -> u64 {
        self.memory.variants_dropped()
    }

    /// Whether there is a disk tier that is written to at present.
    #[must_use]
    pub fn takes_writes(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.tier.takes_writes())
    }

    /// Lookups that did not wait for the disk any longer.
    pub fn late_lookups(&self) -> u64 {
        self.disk.as_ref().map_or(0, |disk| disk.late.load(Relaxed))
    }
}

impl OverDisk {
    async fn get(&self, key: &CacheKey) -> OnDisk {
        if let Some(told) = self.tier.peek(key) {
            return told;
        }
        let (tier, key) = (Arc::clone(&self.tier), *key);
        self.blocking(move || tier.get(&key)).await.unwrap_or(OnDisk::Unknown)
    }

    /// What `doing` comes to on a thread that may wait; `None` if that takes too long.
    async fn blocking<T: Send + 'static>(
        &self,
        doing: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turns = Arc::clone(&self.turns);
        let done = async move {
            let turn = turns.acquire_owned().await.ok()?;
            // The turn goes with the work: work that hangs must not let more of its kind begin.
            spawn_blocking(move || {
                let done = doing();
                drop(turn);
                done
            })
            .await
            .ok()
        };
        let done = timeout(DISK_WITHIN, done).await;
        if done.is_err() {
            self.late.fetch_add(1, Relaxed);
        }
        done.ok().flatten()
    }
}
