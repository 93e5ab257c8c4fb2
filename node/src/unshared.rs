//! Which keys are known to have responses that may not be shared?
//!
//! Requests for such a key do not wait for one another, since nobody could use what the other gets.
//! A key is remembered for [`REMEMBER_FOR`] after its last unshareable response and forgotten as soon
//! as a shareable one comes. Bounded by two generations: when the younger is full it becomes the
//! older, and what was in the older is forgotten; a forgotten key costs one wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use weir_cache::{CacheKey, Timestamp};

use crate::clock::Clock;

/// How long a key is remembered.
const REMEMBER_FOR: Duration = Duration::from_secs(60);
/// Keys in one generation; two are kept.
const GENERATION_MAX: usize = 50_000;

/// Keys whose responses are not shared.
pub(crate) struct Unshared {
    clock: Arc<dyn Clock>,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    younger: HashMap<CacheKey, Timestamp>,
    older: HashMap<CacheKey, Timestamp>,
}

impl Unshared {
    /// Nothing remembered.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, generations: Mutex::default() }
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
        since.is_some_and(|since| now.saturating_since(*since) < REMEMBER_FOR)
    }
}
