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
const WARMEST: u8 = 32;

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

    /// Returns how often the key was hit since this was asked last, and begins anew.
    pub(super) fn take(&self, key: &CacheKey) -> u8 {
        self.place(key).map_or(0, |place| place.swap(0, Relaxed))
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
    fn hits_are_counted_up_to_a_bound_and_taken_once() {
        let (heat, key) = (Heat::new(), CacheKey::from_bytes([7; 32]));
        assert_eq!(heat.take(&key), 0);
        for (hits, counted) in [(1, 1), (2, 2), (99, WARMEST)] {
            (0..hits).for_each(|_| heat.note(&key));
            assert_eq!((heat.take(&key), heat.take(&key)), (counted, 0), "{hits} hits");
        }
    }
}
