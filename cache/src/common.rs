//! Of what do many stored responses have the same, so that it is worth keeping once?
//!
//! What comes a second time is kept for all that follow. What a table holds is bounded; when it is full,
//! what nobody uses any more makes room, and while everything is in use, what is new is not shared.
//! So a site whose responses have nothing in common fills no table.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::eviction::Seeded;

/// Hashes of what was offered lately, one slot each; a power of two.
const SEEN_SLOTS: usize = 4096;
/// Offers turned away for want of room before unused values are looked for again.
const SWEEP_EVERY: u32 = 1024;

/// A value that may be shared; equal to any other with the same value.
#[derive(Debug)]
pub(crate) struct Common<T> {
    value: T,
    shared: bool,
}

impl<T> Common<T> {
    /// A value that one response has.
    pub(crate) fn own(value: T) -> Self {
        Self { value, shared: false }
    }

    pub(crate) fn get(&self) -> &T {
        &self.value
    }

    /// Whether a [`Table`] has it, which pays for it.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }
}

/// Shared values, bounded in bytes.
#[derive(Debug)]
pub(crate) struct Table<T> {
    held: HashTable<Arc<Common<T>>>,
    bytes: usize,
    bytes_max: usize,
    of: Measures<T>,
    seen: Box<[u64]>,
    hasher: Seeded,
    /// Offers to be turned away until the next sweep.
    until_sweep: u32,
}

/// What a table has to know of its values.
#[derive(Debug)]
pub(crate) struct Measures<T> {
    /// Bytes that one takes.
    pub(crate) bytes: fn(&T) -> usize,
    /// Its hash, which is the same for equal ones.
    pub(crate) hash: fn(Seeded, &T) -> u64,
}

impl<T> Table<T> {
    /// An empty table for values of `bytes_max` in all.
    pub(crate) fn new(bytes_max: usize, of: Measures<T>) -> Self {
        Self {
            held: HashTable::new(),
            bytes: 0,
            bytes_max,
            of,
            seen: vec![0; SEEN_SLOTS].into(),
            hasher: Seeded::random(),
            until_sweep: 0,
        }
    }

    /// What hashes are made with.
    pub(crate) fn hasher(&self) -> Seeded {
        self.hasher
    }

    /// The shared value with this hash of which `is_it` says that it is the one.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<Arc<Common<T>>> {
        self.held.find(hash, |held| is_it(&held.value)).map(Arc::clone)
    }

    /// Shares the value that `make` makes, which has this hash and is not shared; `None` if it is not to be, because
    /// it came for the first time or there is no room.
    pub(crate) fn keep(&mut self, hash: u64, make: impl FnOnce() -> T) -> Option<Arc<Common<T>>> {
        if !self.was_seen(hash) {
            return None;
        }
        let value = make();
        let bytes = (self.of.bytes)(&value);
        if !self.has_room(bytes) {
            return None;
        }
        let kept = Arc::new(Common { value, shared: true });
        let hash_of = |held: &Arc<Common<T>>| (self.of.hash)(self.hasher, &held.value);
        self.held.insert_unique(hash, Arc::clone(&kept), hash_of);
        self.bytes = self.bytes.saturating_add(bytes);
        Some(kept)
    }

    /// The shared value that equals `value`; `None` if it is not shared, as [`Self::keep`].
    pub(crate) fn share(&mut self, value: T) -> Option<Arc<Common<T>>>
    where
        T: PartialEq,
    {
        let hash = (self.of.hash)(self.hasher, &value);
        self.find(hash, |held| *held == value).or_else(|| self.keep(hash, || value))
    }

    /// Whether a value with this hash was offered lately; notes that this one was.
    fn was_seen(&mut self, hash: u64) -> bool {
        let low = usize::try_from(hash & 0xffff).unwrap_or_default();
        let slot = low & const { SEEN_SLOTS - 1 };
        let Some(last) = self.seen.get_mut(slot) else { return false };
        std::mem::replace(last, hash) == hash
    }

    /// Whether `bytes` more fit, after a look for what nobody uses if they do not.
    fn has_room(&mut self, bytes: usize) -> bool {
        let fits = |held: usize| held.saturating_add(bytes) <= self.bytes_max;
        if fits(self.bytes) {
            return true;
        }
        if self.until_sweep > 0 {
            self.until_sweep = self.until_sweep.saturating_sub(1);
            return false;
        }
        self.until_sweep = SWEEP_EVERY;
        self.held.retain(|kept| Arc::strong_count(kept) > 1);
        let each = self.held.iter().map(|kept| (self.of.bytes)(&kept.value));
        self.bytes = each.fold(0, usize::saturating_add);
        fits(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    fn table(bytes_max: usize) -> Table<&'static str> {
        let of = Measures { bytes: |text: &&str| text.len(), hash: |by, text| by.hash_one(text) };
        Table::new(bytes_max, of)
    }

    /// What is shared of `text` that has come before.
    fn again(
        table: &mut Table<&'static str>,
        text: &'static str,
    ) -> Option<Arc<Common<&'static str>>> {
        drop(table.share(text));
        table.share(text)
    }

    #[test]
    fn what_comes_twice_is_shared_from_then_on() {
        let mut table = table(100);
        assert!(table.share("abc").is_none(), "nobody else has it yet");
        let second = table.share("abc").unwrap();
        assert!(second.is_shared() && *second.get() == "abc");
        let third = table.share("abc").unwrap();
        assert!(Arc::ptr_eq(&second, &third));
        assert!(table.share("abd").is_none(), "another value");
    }

    #[test]
    fn a_full_table_shares_what_it_has_and_takes_nothing_new() {
        let mut table = table(5);
        let held = again(&mut table, "abc").unwrap();
        assert!(again(&mut table, "def").is_none(), "six bytes would be too many");
        assert!(Arc::ptr_eq(&held, &table.share("abc").unwrap()));
        assert_eq!(table.bytes, 3);
    }

    #[test]
    fn what_nobody_uses_makes_room() {
        let mut table = table(5);
        drop(again(&mut table, "abc").unwrap());
        let held = again(&mut table, "def").unwrap();
        assert_eq!((table.bytes, table.held.len()), (3, 1));
        assert!(again(&mut table, "ghi").is_none(), "all is in use");
        drop(held);
        assert!(table.share("ghi").is_none(), "not looked at each time");
        table.until_sweep = 0;
        assert!(table.share("ghi").is_some());
    }

    #[test]
    fn values_that_never_come_again_take_no_room() {
        let of = Measures { bytes: |_| 1, hash: |by, number| by.hash_one(number) };
        let mut table: Table<u32> = Table::new(1000, of);
        let shared = (0..100_000).filter(|n| table.share(*n).is_some()).count();
        assert_eq!((shared, table.bytes), (0, 0));
    }
}
