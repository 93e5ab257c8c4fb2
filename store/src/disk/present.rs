//! Which keys does the index surely not have?
//!
//! Most keys that memory lacks are not on disk either, and to learn that from the index a request would have to
//! wait for a thread that may block. Here is a small counter for each of a fixed number of places (a counting Bloom
//! filter): each key has three, and counts in all of them while the index has it. A key with an empty place is not
//! there; one without may be, and is looked up.
//!
//! Costs three loads a question. Until every row has been looked at once, and again when the index was opened anew
//! and may have lost its newest changes, every key may be there.
//!
//! # Invariant
//!
//! A key that the index has, or will have with what is staged, has no empty place.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use weir_cache::CacheKey;

/// Places for so many bytes of disk one. With objects of 8 KiB, one key in thirty that is not there seems to be.
const BYTES_PER_PLACE: u64 = 1_024;
const PLACES_MIN: u64 = 1 << 16;
const PLACES_MAX: u64 = 1 << 25;
/// Says that not every row has been looked at.
const LEARNING: u64 = 0;

/// The keys that an index may have.
#[derive(Debug)]
pub(super) struct Present {
    places: Box<[AtomicU8]>,
    /// The state of the index, as [`Index::openings`](super::index::Index::openings) tells it, that all of this is
    /// true of; or [`LEARNING`].
    whole_at: AtomicU64,
}

impl Present {
    /// Knows nothing yet. Takes a byte of memory for each KiB of a disk of `bytes_max`: from 64 KiB to 32 MiB.
    pub(super) fn new(bytes_max: u64) -> Self {
        let places = (bytes_max / BYTES_PER_PLACE).clamp(PLACES_MIN, PLACES_MAX);
        let places = (0..places.next_power_of_two()).map(|_| AtomicU8::new(0)).collect();
        Self { places, whole_at: AtomicU64::new(LEARNING) }
    }

    /// Whether an index in this state surely lacks `key`.
    pub(super) fn lacks(&self, key: &CacheKey, openings: u64) -> bool {
        self.is_whole(openings)
            && self.places_of(key).any(|place| place.load(Ordering::Acquire) == 0)
            // Not because all were emptied meanwhile.
            && self.is_whole(openings)
    }

    /// Whether all rows of an index in this state are known.
    pub(super) fn is_whole(&self, openings: u64) -> bool {
        self.whole_at.load(Ordering::Acquire) == openings
    }

    /// Takes every key for one that may be there: what is known is of another index.
    pub(super) fn doubt(&self) {
        self.whole_at.store(LEARNING, Ordering::Release);
    }

    /// Begins anew. Nothing may be staged meanwhile.
    pub(super) fn forget_all(&self) {
        self.doubt();
        self.places.iter().for_each(|place| place.store(0, Ordering::Release));
    }

    /// Notes that the index has `key`, or will have: to be called before anybody else can find it there.
    pub(super) fn came(&self, key: &CacheKey) {
        self.places_of(key).for_each(|place| {
            // One that is full stays so: how many there are is not known any more.
            let _full =
                place.fetch_update(Ordering::AcqRel, Ordering::Acquire, |keys| keys.checked_add(1));
        });
    }

    /// Notes that the index does not have `key` any more.
    pub(super) fn went(&self, key: &CacheKey) {
        // While rows are looked at, nobody knows whether this one was counted.
        if self.whole_at.load(Ordering::Acquire) == LEARNING {
            return;
        }
        let fewer = |keys: u8| if keys == u8::MAX { None } else { keys.checked_sub(1) };
        self.places_of(key).for_each(|place| {
            let _stays = place.fetch_update(Ordering::AcqRel, Ordering::Acquire, fewer);
        });
    }

    /// Notes that every row of an index in this state has been looked at since [`Self::forget_all`].
    pub(super) fn knows_all(&self, openings: u64) {
        self.whole_at.store(openings, Ordering::Release);
    }

    /// The places of a key, from a part of its digest that nothing else here goes by.
    fn places_of(&self, key: &CacheKey) -> impl Iterator<Item = &AtomicU8> {
        let [.., a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = *key.as_bytes();
        let numbers = [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3]];
        let mask = self.places.len().wrapping_sub(1);
        numbers.into_iter().filter_map(move |number| {
            let number = usize::try_from(u32::from_le_bytes(number)).unwrap_or_default();
            // There is one: their number is a power of two.
            self.places.get(number & mask)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> CacheKey {
        CacheKey::from_bytes(blake3::hash(&number.to_le_bytes()).into())
    }

    #[test]
    fn only_what_came_and_did_not_go_may_be_there() {
        let present = Present::new(0);
        assert!(!present.lacks(&key(1), 7), "nothing is known yet");
        present.forget_all();
        (0..5_000).for_each(|number| present.came(&key(number)));
        assert!(!present.lacks(&key(9_999), 7), "not all rows have been looked at");
        present.knows_all(7);
        assert!((0..5_000).all(|number| !present.lacks(&key(number), 7)));
        assert!((0..5_000).all(|number| !present.lacks(&key(number), 8)), "an index opened anew");
        assert!(!present.lacks(&key(9_999), 8), "it may have what the one before had not");
        let wrong = (10_000..20_000).filter(|number| !present.lacks(&key(*number), 7)).count();
        assert!(wrong < 300, "{wrong} of 10,000 seem to be there");
        (0..2_500).for_each(|number| present.went(&key(number)));
        assert!((2_500..5_000).all(|number| !present.lacks(&key(number), 7)), "the others stay");
        let gone = (0..2_500).filter(|number| present.lacks(&key(*number), 7)).count();
        assert!(gone > 2_400, "{gone} of 2,500 are known to be gone");
        present.doubt();
        assert!((0..2_500).all(|number| !present.lacks(&key(number), 7)), "another index");
    }

    #[test]
    fn what_goes_while_rows_are_looked_at_takes_no_other_along() {
        let present = Present::new(0);
        present.forget_all();
        present.came(&key(1));
        present.went(&key(1));
        present.knows_all(7);
        assert!(!present.lacks(&key(1), 7), "it is looked up in vain, and no more");
    }

    #[test]
    fn a_full_place_never_empties() {
        let present = Present::new(0);
        (0..300).for_each(|_| present.came(&key(1)));
        present.knows_all(7);
        (0..300).for_each(|_| present.went(&key(1)));
        assert!(!present.lacks(&key(1), 7));
    }
}
