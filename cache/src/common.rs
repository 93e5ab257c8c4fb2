//! Of what do many stored responses have the same, so that it is worth keeping once?
//!
//! What comes a second time is kept for all that follow. What a table holds is bounded; when it is full,
//! what nobody uses any more makes room, and while everything is in use, what is new is not shared.
//! So a site whose responses have nothing in common fills no table.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

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

/// How the table finds a shared value by an equal one.
#[derive(Debug)]
struct Held<T>(Arc<Common<T>>);

impl<T> Borrow<T> for Held<T> {
    fn borrow(&self) -> &T {
        &self.0.value
    }
}

impl<T: Hash> Hash for Held<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.value.hash(state);
    }
}

impl<T: PartialEq> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.value == other.0.value
    }
}

impl<T: Eq> Eq for Held<T> {}

/// Shared values, bounded in bytes.
#[derive(Debug)]
pub(crate) struct Table<T> {
    held: HashSet<Held<T>, Seeded>,
    bytes: usize,
    bytes_max: usize,
    /// What a value takes.
    bytes_of: fn(&T) -> usize,
    seen: Box<[u64]>,
    hasher: Seeded,
    /// Offers to be turned away until the next sweep.
    until_sweep: u32,
}

impl<T: Eq + Hash> Table<T> {
    /// An empty table for as much as takes `bytes_max` by `bytes_of`.
    pub(crate) fn new(bytes_max: usize, bytes_of: fn(&T) -> usize) -> Self {
        Self {
            held: HashSet::with_hasher(Seeded::random()),
            bytes: 0,
            bytes_max,
            bytes_of,
            seen: vec![0; SEEN_SLOTS].into(),
            hasher: Seeded::random(),
            until_sweep: 0,
        }
    }

    /// The shared value that equals `value`; `None` if it is not shared, because it came for the first
    /// time or there is no room.
    pub(crate) fn share(&mut self, value: T) -> Option<Arc<Common<T>>> {
        if let Some(Held(found)) = self.held.get(&value) {
            return Some(Arc::clone(found));
        }
        if !self.was_seen(&value) {
            return None;
        }
        let bytes = (self.bytes_of)(&value);
        if !self.has_room(bytes) {
            return None;
        }
        let kept = Arc::new(Common { value, shared: true });
        self.held.insert(Held(Arc::clone(&kept)));
        self.bytes = self.bytes.saturating_add(bytes);
        Some(kept)
    }

    /// Whether an equal value was offered lately; notes that this one was.
    fn was_seen(&mut self, value: &T) -> bool {
        let hash = self.hasher.hash_one(value);
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
        self.held.retain(|Held(kept)| Arc::strong_count(kept) > 1);
        let each = self.held.iter().map(|Held(kept)| (self.bytes_of)(&kept.value));
        self.bytes = each.fold(0, usize::saturating_add);
        fits(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(bytes_max: usize) -> Table<&'static str> {
        Table::new(bytes_max, |text| text.len())
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
        let mut table: Table<u32> = Table::new(1000, |_| 1);
        let shared = (0..100_000).filter(|n| table.share(*n).is_some()).count();
        assert_eq!((shared, table.bytes), (0, 0));
    }
}
