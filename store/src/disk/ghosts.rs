//! Which keys were evicted on trial a short while ago? One that comes back was worth more.

use std::collections::{HashSet, VecDeque};

use weir_cache::CacheKey;

/// Keys remembered at most.
const GHOSTS_MAX: usize = 200_000;

/// Keys evicted on trial, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    line: VecDeque<u64>,
    known: HashSet<u64>,
}

impl Ghosts {
    /// Remembers an evicted key; as many are kept as there are `keys` stored, 1,000 at least.
    pub(super) fn add(&mut self, key: &CacheKey, keys: u64) {
        let print = print_of(key);
        if self.known.insert(print) {
            self.line.push_back(print);
        }
        let bound = usize::try_from(keys).unwrap_or(GHOSTS_MAX).clamp(1_000, GHOSTS_MAX);
        while self.line.len() > bound
            && let Some(oldest) = self.line.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether the key was evicted on trial.
    pub(super) fn knows(&self, key: &CacheKey) -> bool {
        self.known.contains(&print_of(key))
    }
}

fn print_of(key: &CacheKey) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *key.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> CacheKey {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&number.to_le_bytes());
        CacheKey::from_bytes(bytes)
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut ghosts = Ghosts::default();
        (0..1_001).for_each(|number| ghosts.add(&key(number), 5));
        assert!(!ghosts.knows(&key(0)) && ghosts.knows(&key(1)) && ghosts.knows(&key(1_000)));
    }
}
