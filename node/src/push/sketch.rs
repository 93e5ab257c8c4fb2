//! Which keys come most often, counted in a fixed amount of memory?
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi 2005): so many counters; a key without one takes over
//! the smallest. A key that came more often than the smallest counter says is always among them, and a
//! count is too high by at most what was taken over, which is kept beside it. Pure, one lock around it.

use std::collections::HashMap;
use std::hash::Hash;

/// Counters for the keys that come most often.
#[derive(Debug, Clone)]
pub(super) struct Sketch<K, V> {
    size: usize,
    slots: HashMap<K, Slot<V>>,
}

#[derive(Debug, Clone)]
struct Slot<V> {
    count: u64,
    /// The part of the count that is another key's.
    taken_over: u64,
    value: V,
}

impl<K: Eq + Hash + Copy, V> Sketch<K, V> {
    /// At most `size` counters, at least one.
    pub(super) fn new(size: usize) -> Self {
        let size = size.max(1);
        Self { size, slots: HashMap::with_capacity(size) }
    }

    /// Counts `key` once; `value` is made where the key has no counter yet.
    ///
    /// Costs a look at every counter for a key without one.
    pub(super) fn count(&mut self, key: K, value: impl FnOnce() -> V) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.count += 1;
            return;
        }
        let mut taken_over = 0;
        if self.slots.len() >= self.size {
            let smallest = self.slots.iter().min_by_key(|(_, slot)| slot.count);
            if let Some((key, count)) = smallest.map(|(key, slot)| (*key, slot.count)) {
                self.slots.remove(&key);
                taken_over = count;
            }
        }
        self.slots.insert(key, Slot { count: taken_over + 1, taken_over, value: value() });
    }

    /// All keys counted, with how often each came at least.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&K, u64, &V)> {
        self.slots.iter().map(|(key, slot)| (key, slot.count - slot.taken_over, &slot.value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hot_key_is_found_in_a_flood_of_others() {
        let mut sketch = Sketch::new(16);
        for number in 0..10_000_u32 {
            sketch.count(number + 10, || ());
            if number % 10 == 0 {
                sketch.count(7, || ());
            }
        }
        let (_, count, ()) = sketch.counts().max_by_key(|(_, count, ())| *count).unwrap();
        let seven = sketch.counts().find(|(key, _, ())| **key == 7).unwrap();
        assert_eq!(seven.1, count);
        assert!((300..=1_000).contains(&count), "{count}");
    }

    proptest! {
        #[test]
        fn counts_are_never_too_high_and_room_is_bounded(keys in prop::collection::vec(0_u8..40, 0..500)) {
            let mut sketch = Sketch::new(8);
            let mut exact: HashMap<u8, u64> = HashMap::new();
            for key in keys {
                sketch.count(key, || ());
                *exact.entry(key).or_default() += 1;
            }
            prop_assert!(sketch.slots.len() <= 8);
            let smallest = sketch.slots.values().map(|slot| slot.count).min().unwrap_or(0);
            for (key, count, ()) in sketch.counts() {
                prop_assert!(count <= exact[key]);
                prop_assert!(sketch.slots[key].count >= exact[key]);
            }
            for (key, count) in exact {
                prop_assert!(count <= smallest || sketch.slots.contains_key(&key));
            }
        }
    }
}
