//! Which keys were asked for since they were last looked at?
//!
//! A small counter for each of a fixed number of places; a key's place follows from its digest. Two keys
//! may share one, and then both look warmer than they are. Costs one load on a hit of a warm key, and no
//! lock.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use weir_cache::CacheKey;

/// Places; a power of two.
const PLACES: usize = 1 << 20;
/// Hits beyond which a key gets no warmer.
const WARMEST: u8 = 3;

/// How warm keys are.
#[derive(Debug)]
pub(super) struct Heat {
    places: Box<[AtomicU8]>,
}

impl Heat {
    /// All cold.
    pub(super) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU8::new(0)).collect() }
    }

    /// Notes a hit.
    pub(super) fn note(&self, key: &CacheKey) {
        let Some(place) = self.place(key) else { return };
        let warmth = place.load(Relaxed);
        if warmth < WARMEST {
            // Two hits at once may count as one.
            place.store(warmth.saturating_add(1), Relaxed);
        }
    }

    /// Whether the key was hit since it was last asked about as often; cools it by one hit.
    pub(super) fn cool(&self, key: &CacheKey) -> bool {
        let Some(place) = self.place(key) else { return false };
        let warmth = place.load(Relaxed);
        place.store(warmth.saturating_sub(1), Relaxed);
        warmth > 0
    }

    fn place(&self, key: &CacheKey) -> Option<&AtomicU8> {
        let [a, b, c, ..] = *key.as_bytes();
        let number = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.places.get(number & (PLACES - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_warm_for_as_many_looks_as_it_had_hits_up_to_three() {
        let (heat, key) = (Heat::new(), CacheKey::from_bytes([7; 32]));
        assert!(!heat.cool(&key));
        for (hits, looks) in [(1, 1), (2, 2), (9, 3)] {
            (0..hits).for_each(|_| heat.note(&key));
            let warm = (0..9).filter(|_| heat.cool(&key)).count();
            assert_eq!(warm, looks, "{hits} hits");
        }
    }
}
