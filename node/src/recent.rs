//! What has lately been learned about keys: whose responses may not be shared or do not come in slices,
//! whose refresh failed.
//!
//! Requests for a key whose responses are not shared do not wait for one another, since nobody could use
//! what the other gets. A key whose refresh failed is not refreshed again at once, so that an origin that
//! is down is not asked once for each stale response served.
//!
//! Bounded by two generations: when the younger is full it becomes the older, and what was in the older
//! is forgotten. A forgotten key costs one wait or one request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use weir_cache::{CacheKey, Timestamp};

use crate::clock::Clock;

/// How long a key is remembered as one whose responses are not shared, or do not come in slices.
pub(crate) const UNSHARED_FOR: Duration = Duration::from_secs(60);
/// How long a key whose refresh failed is left alone.
pub(crate) const REFRESH_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Keys in one generation; two are kept.
const GENERATION_MAX: usize = 50_000;

/// Keys of which something has lately been learned.
pub(crate) struct RecentKeys {
    clock: Arc<dyn Clock>,
    remember_for: Duration,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    younger: HashMap<CacheKey, Timestamp>,
    older: HashMap<CacheKey, Timestamp>,
}

impl RecentKeys {
    /// Nothing remembered; each key will be for `remember_for`.
    pub(crate) fn new(clock: Arc<dyn Clock>, remember_for: Duration) -> Self {
        Self { clock, remember_for, generations: Mutex::default() }
    }

    /// Remembers `key` from the present on.
    pub(crate) fn remember(&self, key: CacheKey) {
        let now = self.clock.now().monotonic;
        let mut generations = self.generations.lock();
        if generations.younger.len() >= GENERATION_MAX {
            generations.older = std::mem::take(&mut generations.younger);
        }
        generations.younger.insert(key, now);
    }

    /// Forgets `key`.
    pub(crate) fn forget(&self, key: &CacheKey) {
        let mut generations = self.generations.lock();
        generations.younger.remove(key);
        generations.older.remove(key);
    }

    /// Whether `key` is remembered.
    pub(crate) fn contains(&self, key: &CacheKey) -> bool {
        let generations = self.generations.lock();
        let since = generations.younger.get(key).or_else(|| generations.older.get(key));
        let now = self.clock.now().monotonic;
        since.is_some_and(|since| now.saturating_since(*since) < self.remember_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn key(number: u32) -> CacheKey {
        CacheKey::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    #[test]
    fn a_key_is_remembered_for_its_time_or_until_it_is_forgotten() {
        let clock = Arc::new(ManualClock::new());
        let keys = RecentKeys::new(Arc::clone(&clock) as Arc<dyn Clock>, UNSHARED_FOR);
        keys.remember(key(1));
        keys.remember(key(2));
        keys.forget(&key(2));
        assert!(keys.contains(&key(1)) && !keys.contains(&key(2)));
        clock.advance(UNSHARED_FOR);
        assert!(!keys.contains(&key(1)));
    }

    #[test]
    fn a_flood_of_keys_pushes_the_oldest_out_and_takes_no_more_room() {
        let keys = RecentKeys::new(Arc::new(ManualClock::new()), UNSHARED_FOR);
        let flood = u32::try_from(3 * GENERATION_MAX).unwrap();
        for number in 0..flood {
            keys.remember(key(number));
        }
        assert!(!keys.contains(&key(0)) && keys.contains(&key(flood - 1)));
        let generations = keys.generations.lock();
        assert!(generations.younger.len() + generations.older.len() <= 2 * GENERATION_MAX);
    }
}
