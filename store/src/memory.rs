//! The memory tier: a byte-weighed map over moka.
//!
//! A hit clones one `Arc`; no body is ever copied. moka's limit is soft until its pending tasks have
//! run, so every insert runs them: the bound in [`StoreLimits`] holds after each insert.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::HeaderMap;
use moka::future::Cache;
use moka::notification::RemovalCause;
use moka::ops::compute::{CompResult, Op};
use parking_lot::Mutex;
use weir_cache::{CacheKey, Policy, Shapes, StoredHead};

use crate::variants::KeyBounds;
use crate::{PartsChange, StoredParts, StoredResponse, StoredSlices, Variants};

/// Bytes that one entry of the map takes beyond what it holds, measured.
const ENTRY_BYTES: u64 = 350;

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
}

impl StoreLimits {
    /// What one key may hold, so that no key outgrows the store and is dropped as a whole.
    fn of_one_key(&self) -> KeyBounds {
        KeyBounds { variants_max: self.variants_max, bytes_max: self.memory_bytes_max / 4 }
    }
}

/// What a store holds and has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes charged for everything stored.
    pub bytes: u64,
    /// Keys with at least one stored response.
    pub keys: u64,
    /// Keys dropped for room since start.
    pub evictions: u64,
}

/// Stored responses in memory, bounded in bytes.
#[derive(Debug)]
pub struct MemoryStore {
    map: Cache<CacheKey, Variants>,
    limits: StoreLimits,
    evictions: Arc<AtomicU64>,
    shapes: Mutex<Shapes>,
}

impl MemoryStore {
    /// An empty store within `limits`.
    #[must_use]
    pub fn new(limits: StoreLimits) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&evictions);
        let map = Cache::builder()
            .max_capacity(limits.memory_bytes_max)
            .weigher(|_, variants: &Variants| {
                u32::try_from(variants.weight() + ENTRY_BYTES).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counter.fetch_add(1, Relaxed);
                }
            })
            .build();
        Self { map, limits, evictions, shapes: Mutex::default() }
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
        self.map.get(key).await
    }

    /// Stores `response` under `key`, in place of what answered the same request before.
    ///
    /// Returns the list with it if it was taken in: a body above `object_bytes_max` is not, nor is a response that
    /// was asked for before a purge which the one stored already reflects; and what was taken in may be
    /// dropped for room at any time. `request_headers` are
    /// those of the request that the response answered. If the future is dropped half way, the key
    /// holds either the old variants or the new ones.
    pub async fn insert(
        &self,
        key: CacheKey,
        response: Arc<StoredResponse>,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> Option<Variants> {
        if response.body.len() > self.limits.object_bytes_max {
            return None;
        }
        let bounds = self.limits.of_one_key();
        let result = self
            .map
            .entry(key)
            .and_compute_with(|entry| {
                let old = entry.map(moka::Entry::into_value).unwrap_or_default();
                let op = if old.has_later(&response, request_headers, policy) {
                    Op::Nop
                } else {
                    Op::Put(old.with(response, request_headers, policy, bounds))
                };
                std::future::ready(op)
            })
            .await;
        self.map.run_pending_tasks().await;
        changed(result)
    }

    /// Stores `response` in place of `old`, unless `old` is not stored any more; returns the
    /// list then.
    ///
    /// For validation: what was removed while upstream was asked must not come back.
    pub async fn replace(
        &self,
        key: CacheKey,
        old: &Arc<StoredResponse>,
        response: Arc<StoredResponse>,
    ) -> Option<Variants> {
        let result = self
            .map
            .entry(key)
            .and_compute_with(|entry| {
                let list = entry.map(moka::Entry::into_value);
                let replaced = list.and_then(|list| list.with_replaced(old, response));
                std::future::ready(replaced.map_or(Op::Nop, Op::Put))
            })
            .await;
        self.map.run_pending_tasks().await;
        changed(result)
    }

    /// Puts what the disk has under `key` into memory, unless there is something already or `is_current`
    /// says, in the turn of this writer, that it was changed meanwhile. Returns what memory has then, or
    /// would have if it had room; `None` if it was changed.
    pub(crate) async fn adopt(
        &self,
        key: CacheKey,
        list: &Variants,
        is_current: impl FnOnce() -> bool,
    ) -> Option<Variants> {
        let result = self
            .map
            .entry(key)
            .and_compute_with(|entry| {
                let adopt = entry.is_none() && is_current();
                std::future::ready(if adopt { Op::Put(list.clone()) } else { Op::Nop })
            })
            .await;
        self.map.run_pending_tasks().await;
        match result {
            CompResult::Inserted(entry) | CompResult::Unchanged(entry) => Some(entry.into_value()),
            _ => None,
        }
    }

    /// Removes `response` from what is stored under `key`, if it is still there; returns what is left then.
    pub async fn discard(
        &self,
        key: &CacheKey,
        response: &Arc<StoredResponse>,
    ) -> Option<Variants> {
        let mut left = None;
        self.map
            .entry(*key)
            .and_compute_with(|entry| {
                let list = entry.map(moka::Entry::into_value);
                let rest = list.and_then(|list| list.without(response));
                left.clone_from(&rest);
                std::future::ready(match rest {
                    None => Op::Nop,
                    Some(rest) if rest.is_empty() => Op::Remove,
                    Some(rest) => Op::Put(rest),
                })
            })
            .await;
        left
    }

    /// Stores `slices` under `key`, as [`Self::insert`] does a whole response.
    pub(crate) async fn insert_slices(
        &self,
        key: CacheKey,
        slices: &StoredSlices,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> Option<Variants> {
        if slices.body().len() > self.limits.object_bytes_max {
            return None;
        }
        let bounds = self.limits.of_one_key();
        self.change(key, |old| {
            let is_late = old.has_later(slices.stored(), request_headers, policy);
            let with = || old.with_slices(slices.clone(), request_headers, policy, bounds);
            (!is_late).then(with)
        })
        .await
    }

    /// Puts `slices` where they belong by what is here of them, unless nothing of that body is stored any
    /// more; returns the list then.
    pub(crate) async fn place_slices(
        &self,
        key: CacheKey,
        slices: &StoredSlices,
    ) -> Option<Variants> {
        self.change(key, |old| old.with_slices_placed(slices)).await
    }

    /// Removes `slices` from what is stored under `key`, under whatever head; returns what is left then.
    pub(crate) async fn discard_slices(
        &self,
        key: CacheKey,
        slices: &StoredSlices,
    ) -> Option<Variants> {
        let mut left = None;
        self.change(key, |old| {
            let rest = old.without_slices(slices)?;
            // An empty list leaves nothing in memory, and is what the disk is to have.
            left = rest.is_empty().then(Variants::default);
            Some(rest)
        })
        .await
        .or(left)
    }

    /// Changes the list under `key` as `change` says in the turn of this writer; returns it if it was changed
    /// and something is left.
    async fn change(
        &self,
        key: CacheKey,
        change: impl FnOnce(&Variants) -> Option<Variants>,
    ) -> Option<Variants> {
        let result = self
            .map
            .entry(key)
            .and_compute_with(|entry| {
                let old = entry.map(moka::Entry::into_value).unwrap_or_default();
                std::future::ready(match change(&old) {
                    None => Op::Nop,
                    Some(list) if list.is_empty() => Op::Remove,
                    Some(list) => Op::Put(list),
                })
            })
            .await;
        self.map.run_pending_tasks().await;
        changed(result)
    }

    /// Every stored response with its key, those with missing slices included, in no order. Others may come and go meanwhile; each that is
    /// there throughout is met once.
    pub fn iter(&self) -> impl Iterator<Item = (CacheKey, Arc<StoredResponse>)> {
        self.map.iter().flat_map(|(key, variants)| {
            let held: Vec<_> = variants.persisted().map(Arc::clone).collect();
            held.into_iter().map(move |stored| (*key, stored))
        })
    }

    /// Changes the parts that a request selects as `change` says of those held; returns the list if
    /// there was a change and something is left.
    ///
    /// `change` is asked in the turn of this writer, so that no two parts overwrite each other. A
    /// body above `object_bytes_max` is not taken in.
    pub async fn change_parts(
        &self,
        key: CacheKey,
        request_headers: &HeaderMap,
        policy: &Policy,
        change: impl FnOnce(Option<&Arc<StoredParts>>) -> PartsChange,
    ) -> Option<Variants> {
        let bounds = self.limits.of_one_key();
        let result = self
            .map
            .entry(key)
            .and_compute_with(|entry| {
                let old = entry.map(moka::Entry::into_value).unwrap_or_default();
                let change = self.bounded(change(old.select_parts(request_headers, policy)));
                let list = old.with_parts(change, request_headers, policy, bounds);
                std::future::ready(match list {
                    None => Op::Nop,
                    Some(list) if list.is_empty() => Op::Remove,
                    Some(list) => Op::Put(list),
                })
            })
            .await;
        self.map.run_pending_tasks().await;
        changed(result)
    }

    /// Lets nothing in that is larger than one object may be.
    fn bounded(&self, change: PartsChange) -> PartsChange {
        let bytes = match &change {
            PartsChange::Keep | PartsChange::Drop => 0,
            PartsChange::Parts(parts) => parts.held.pieces.held().1,
            PartsChange::Whole(stored) => stored.body.len(),
        };
        if bytes > self.limits.object_bytes_max { PartsChange::Keep } else { change }
    }

    /// Stores `parts` in place of `old`, unless `old` is not stored any more; returns whether they
    /// were. For validation, like [`Self::replace`].
    pub async fn replace_parts(
        &self,
        key: CacheKey,
        old: &Arc<StoredParts>,
        parts: Arc<StoredParts>,
    ) -> bool {
        let result = self
            .map
            .entry(key)
            .and_compute_with(|entry| {
                let list = entry.map(moka::Entry::into_value);
                let replaced = list.and_then(|list| list.with_parts_replaced(old, parts));
                std::future::ready(replaced.map_or(Op::Nop, Op::Put))
            })
            .await;
        self.map.run_pending_tasks().await;
        matches!(result, CompResult::ReplacedWith(_))
    }

    /// Removes everything stored under `key`; returns whether there was something.
    ///
    /// Takes its turn among the writers of the key, so that none of them brings back what is removed.
    pub async fn remove(&self, key: &CacheKey) -> bool {
        let removed =
            self.map.entry(*key).and_compute_with(|_| std::future::ready(Op::Remove)).await;
        matches!(removed, CompResult::Removed(_))
    }

    /// What is held at this moment. Costs a pass over pending bookkeeping.
    pub async fn stats(&self) -> StoreStats {
        self.map.run_pending_tasks().await;
        StoreStats {
            bytes: self.map.weighted_size(),
            keys: self.map.entry_count(),
            evictions: self.evictions.load(Relaxed),
        }
    }
}

/// The list after a change; `None` if there was none, or nothing is left.
fn changed(result: CompResult<CacheKey, Variants>) -> Option<Variants> {
    match result {
        CompResult::Inserted(entry) | CompResult::ReplacedWith(entry) => Some(entry.into_value()),
        CompResult::Removed(_) | CompResult::StillNone(_) | CompResult::Unchanged(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderName, HeaderValue, Method, StatusCode};
    use weir_cache::{
        AccessRules, HeldParts, KeyRules, Keyed, Now, Pieces, Profile, RequestHead, ResponseHead,
        Scheme, Seq, Target, Timestamp, Timing, UnixTime, check,
    };

    use super::*;

    const NOW: Now = Now { monotonic: Timestamp::ZERO, wall: UnixTime::from_secs(1_795_327_200) };

    fn store(memory_bytes_max: u64) -> MemoryStore {
        MemoryStore::new(StoreLimits {
            memory_bytes_max,
            object_bytes_max: 2_000,
            memory_object_bytes_max: 2_000,
            variants_max: 2,
        })
    }

    fn policy() -> Policy {
        Policy::for_profile(Profile::Default)
    }

    fn keyed(path: &str) -> Keyed {
        let target = Target::parse(Scheme::Http, "www.test", path).unwrap();
        let fields = HeaderMap::new();
        let granted =
            check(&AccessRules::default(), &Method::GET, &fields, target, NOW.wall).unwrap();
        CacheKey::derive("www", &KeyRules::default(), granted, &fields)
    }

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(field).collect()
    }

    fn language(tag: &'static str) -> HeaderMap {
        fields(&[("accept-language", tag)])
    }

    /// A response to a request with `request` that varies by language.
    fn response(request: &HeaderMap, body: &str) -> Arc<StoredResponse> {
        response_as_of(Seq::default(), request, body)
    }

    fn response_as_of(as_of: Seq, request: &HeaderMap, body: &str) -> Arc<StoredResponse> {
        let headers = fields(&[("cache-control", "max-age=60"), ("vary", "accept-language")]);
        let head = RequestHead { method: &Method::GET, headers: request, target_uri: None };
        let answer = ResponseHead { status: StatusCode::OK, headers };
        let timing = Timing { request: NOW, response: NOW };
        let head = StoredHead::derive(&policy(), &head, &answer, timing, as_of).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        Arc::new(StoredResponse::new(head, body, keyed("/a").text))
    }

    async fn put(store: &MemoryStore, path: &str, request: &HeaderMap, body: &str) -> bool {
        store.insert(keyed(path).key, response(request, body), request, &policy()).await.is_some()
    }

    async fn got(store: &MemoryStore, path: &str, request: &HeaderMap) -> Option<Bytes> {
        let variants = store.lookup(&keyed(path).key).await?;
        variants.select(request, &policy()).and_then(|stored| stored.body.in_memory().cloned())
    }

    #[tokio::test]
    async fn a_request_gets_its_own_variant_and_a_newer_one_takes_the_place_of_the_older() {
        let store = store(1_000_000);
        let (english, german) = (language("en"), language("de"));
        put(&store, "/a", &english, "old").await;
        put(&store, "/a", &german, "deutsch").await;
        put(&store, "/a", &english, "new").await;
        assert_eq!(got(&store, "/a", &english).await.unwrap(), "new");
        assert_eq!(got(&store, "/a", &german).await.unwrap(), "deutsch");
        assert_eq!(got(&store, "/a", &language("fr")).await, None);
        assert_eq!(store.lookup(&keyed("/a").key).await.unwrap().iter().count(), 2);
    }

    #[tokio::test]
    async fn variants_and_bodies_are_bounded() {
        let store = store(1_000_000);
        for tag in ["en", "de", "fr"] {
            put(&store, "/a", &language(tag), tag).await;
        }
        assert_eq!(store.lookup(&keyed("/a").key).await.unwrap().iter().count(), 2);
        assert!(!put(&store, "/b", &language("en"), &"x".repeat(2_001)).await, "too large");
        assert_eq!(got(&store, "/b", &language("en")).await, None);
    }

    #[tokio::test]
    async fn what_was_removed_does_not_come_back_by_a_validation() {
        let store = store(1_000_000);
        let english = language("en");
        put(&store, "/a", &english, "old").await;
        let key = keyed("/a").key;
        let held = store.lookup(&key).await.unwrap();
        let old = held.select(&english, &policy()).unwrap();
        let (first, second) = (response(&english, "first"), response(&english, "second"));
        assert!(store.replace(key, old, Arc::clone(&first)).await.is_some());
        assert!(store.replace(key, old, second).await.is_none(), "old is not stored any more");
        assert!(store.remove(&key).await);
        assert!(store.replace(key, &first, Arc::clone(&first)).await.is_none());
        assert_eq!(got(&store, "/a", &english).await, None);
        assert!(!store.remove(&key).await);
    }

    /// A fill from before a purge that is not matched by it may end after one from after it.
    #[tokio::test]
    async fn what_was_asked_for_earlier_does_not_take_the_place_of_the_later() {
        let store = store(1_000_000);
        let english = language("en");
        let later = response_as_of(Seq::new(2), &english, "later");
        let key = keyed("/a").key;
        assert!(store.insert(key, later, &english, &policy()).await.is_some());
        let earlier = response_as_of(Seq::new(1), &english, "earlier");
        assert!(store.insert(key, earlier, &english, &policy()).await.is_none());
        assert_eq!(got(&store, "/a", &english).await.unwrap(), "later");
    }

    #[tokio::test]
    async fn the_bytes_stored_stay_within_the_limit() {
        let store = store(50_000);
        for index in 0..500 {
            put(&store, &format!("/{index}"), &language("en"), &"x".repeat(1_000)).await;
            assert!(store.stats().await.bytes <= 50_000);
        }
        let stats = store.stats().await;
        assert!(stats.keys > 10 && stats.evictions > 100, "{stats:?}");
    }

    /// `bytes` of a body of 10,000, the answer to a request with `request`.
    fn parts(request: &HeaderMap, bytes: usize) -> Arc<StoredParts> {
        let head = response(request, "").head.clone();
        let pieces = Pieces::one(0, Bytes::from(vec![b'x'; bytes]), 10_000).unwrap();
        Arc::new(StoredParts {
            held: HeldParts { head, pieces, asked: None },
            text: keyed("/a").text,
        })
    }

    async fn put_parts(store: &MemoryStore, request: &HeaderMap, bytes: usize) -> bool {
        let parts = parts(request, bytes);
        let change = |_: Option<&Arc<StoredParts>>| PartsChange::Parts(parts);
        store.change_parts(keyed("/a").key, request, &policy(), change).await.is_some()
    }

    async fn got_parts(store: &MemoryStore, request: &HeaderMap) -> Option<u64> {
        let variants = store.lookup(&keyed("/a").key).await?;
        let parts = variants.select_parts(request, &policy())?;
        Some(parts.held.pieces.held().1)
    }

    #[tokio::test]
    async fn parts_are_for_their_variant_and_never_for_the_whole() {
        let store = store(1_000_000);
        let (english, german) = (language("en"), language("de"));
        assert!(put_parts(&store, &english, 5).await);
        assert_eq!(got_parts(&store, &english).await, Some(5));
        assert_eq!(got_parts(&store, &german).await, None);
        assert_eq!(got(&store, "/a", &english).await, None, "no part as the whole");
        put_parts(&store, &german, 7).await;
        assert_eq!(got_parts(&store, &english).await, Some(5), "another variant's stay");

        put(&store, "/a", &english, "whole").await;

        assert_eq!(got_parts(&store, &english).await, None, "the whole takes their place");
        assert_eq!(got_parts(&store, &german).await, Some(7));
        assert!(!put_parts(&store, &english, 5).await, "and they do not come back beside it");
        assert_eq!(got(&store, "/a", &english).await.unwrap(), "whole");
    }

    #[tokio::test]
    async fn parts_are_bounded_and_charged_for() {
        let store = store(1_000_000);
        assert!(!put_parts(&store, &language("en"), 2_001).await, "too large");
        for tag in ["en", "de", "fr"] {
            put_parts(&store, &language(tag), 2_000).await;
        }
        assert_eq!(got_parts(&store, &language("en")).await, None, "two variants at most");
        let bytes = store.stats().await.bytes;
        assert!((4_000..7_000).contains(&bytes), "{bytes}");
    }

    #[tokio::test]
    async fn parts_that_were_removed_do_not_come_back_by_a_validation() {
        let store = store(1_000_000);
        let (key, english) = (keyed("/a").key, language("en"));
        put_parts(&store, &english, 5).await;
        let held = store.lookup(&key).await.unwrap();
        let old = held.select_parts(&english, &policy()).unwrap();
        assert!(store.replace_parts(key, old, parts(&english, 5)).await);
        assert!(!store.replace_parts(key, old, parts(&english, 5)).await, "replaced already");
        let drop = |_: Option<&Arc<StoredParts>>| PartsChange::Drop;
        store.change_parts(key, &english, &policy(), drop).await;
        assert!(store.lookup(&key).await.is_none(), "nothing is left under the key");
        assert!(!store.replace_parts(key, old, parts(&english, 5)).await);
    }
}
