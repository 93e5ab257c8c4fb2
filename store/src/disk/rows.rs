//! How is what the tier holds written into the index?
//!
//! The index is one ordered map of bytes. The first byte of a key says what the row is:
//!
//! | row | key | value |
//! |---|---|---|
//! | `k` | cache key | what is stored under it, and its place in the order of eviction |
//! | `o` | queue, priority, turn | the cache key that is at that place |
//! | `b` | digest of a file, cache key | nothing: the file is used by what is stored under that key |
//! | `s` | body, number of a slice | the file of that slice |
//! | `m` | `totals` | what all of it adds up to |
//! | `m` | `rebuilding` | nothing: files that no row names are to be taken in, not removed |
//!
//! Values carry a version, a form and a check; one that fails any is no value.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use weir_cache::CacheKey;
use weir_cache::eviction::{Held, Place, Queue};

use super::bodies::Digest;
use super::record::{self, BodyAt};

/// Names a body that lies in slices.
pub(crate) type SliceId = [u8; 16];

/// Where a key waits for its eviction. Queues and what they mean are of `weir_cache::eviction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rank {
    /// The number of its queue.
    queue: u8,
    pub(super) priority: u64,
    /// Tells it from others of the same priority, which are in the order of their turns.
    pub(super) turn: u64,
    /// How often the key was used, as far as the policy counts.
    pub(super) uses: u8,
}

impl Rank {
    pub(super) fn new(place: Place, turn: u64) -> Self {
        let Place { queue, priority, uses } = place;
        Self { queue: queue.number(), priority, turn, uses }
    }

    /// One of a queue that nobody knows any more goes like one that was never asked for again.
    pub(super) fn queue(self) -> Queue {
        Queue::from_number(self.queue).unwrap_or(Queue::Trial)
    }

    /// As the policy knows it.
    pub(super) fn place(self) -> Place {
        Place { queue: self.queue(), priority: self.priority, uses: self.uses }
    }
}

/// The form of values here, beside the version of the records in them. An index of another is set aside.
const FORM: u8 = 2;

/// What is stored under one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyRow {
    pub(super) rank: Rank,
    /// Bytes on disk that it is charged for.
    pub(super) charge: u64,
    /// Files that it uses.
    pub(super) files: u64,
    /// Newest first.
    pub(super) variants: Vec<VariantRow>,
}

/// One stored response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VariantRow {
    /// Its head, as `record` writes it.
    #[serde(with = "serde_bytes")]
    pub(super) record: Vec<u8>,
    /// Where its body lies.
    pub(super) at: BodyAt,
}

/// The file of one slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SliceRow {
    pub(super) digest: [u8; 32],
    pub(super) length: u32,
}

/// What everything adds up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    /// Bytes charged for the keys of each queue, by its number.
    bytes: [u64; Queue::ALL.len()],
    pub(super) keys: u64,
    pub(super) files: u64,
    /// The turn of the next rank.
    pub(super) next_turn: u64,
}

impl Totals {
    /// Bytes charged for everything.
    pub(super) fn bytes(&self) -> u64 {
        self.held().bytes()
    }

    /// As a policy asks for it.
    pub(super) fn held(&self) -> Held {
        Held { bytes: self.bytes, keys: self.keys }
    }

    fn of(&mut self, queue: Queue) -> Option<&mut u64> {
        self.bytes.get_mut(usize::from(queue.number()))
    }

    /// Counts a row in.
    pub(super) fn add(&mut self, row: &KeyRow) {
        if let Some(bytes) = self.of(row.rank.queue()) {
            *bytes = bytes.saturating_add(row.charge);
        }
        self.keys = self.keys.saturating_add(1);
        self.files = self.files.saturating_add(row.files);
    }

    /// Counts a row out.
    pub(super) fn take(&mut self, row: &KeyRow) {
        if let Some(bytes) = self.of(row.rank.queue()) {
            *bytes = bytes.saturating_sub(row.charge);
        }
        self.keys = self.keys.saturating_sub(1);
        self.files = self.files.saturating_sub(row.files);
    }

    /// Sets right what a queue without keys is said to hold.
    pub(super) fn empty(&mut self, queue: Queue) {
        if let Some(bytes) = self.of(queue) {
            *bytes = 0;
        }
        if self.bytes() == 0 {
            (self.keys, self.files) = (0, 0);
        }
    }
}

/// Where the totals are.
pub(super) const TOTALS: &[u8] = b"mtotals";

/// Where it is noted that the index is being built anew.
pub(super) const REBUILDING: &[u8] = b"mrebuilding";

/// Where the row of `key` is.
pub(super) fn key_at(key: &CacheKey) -> Vec<u8> {
    [b"k", key.as_bytes().as_slice()].concat()
}

/// The bounds of the rows of all keys.
pub(super) fn keys_from_to() -> (Vec<u8>, Vec<u8>) {
    (b"k".to_vec(), b"l".to_vec())
}

/// The key whose row is at `at`.
pub(super) fn key_of(at: &[u8]) -> Option<CacheKey> {
    key_in(at.strip_prefix(b"k")?)
}

/// Where a place in the order of eviction is; priorities ascend, and turns within one.
pub(super) fn order_at(rank: Rank) -> Vec<u8> {
    let queue = [b'o', rank.queue];
    [&queue, rank.priority.to_be_bytes().as_slice(), &rank.turn.to_be_bytes()].concat()
}

/// The bounds of all places of one queue.
pub(super) fn order_of(queue: Queue) -> (Vec<u8>, Vec<u8>) {
    let number = queue.number();
    (vec![b'o', number], vec![b'o', number.saturating_add(1)])
}

/// The priority of a place.
pub(super) fn priority_at(at: &[u8]) -> Option<u64> {
    let priority: [u8; 8] = at.get(2..10)?.try_into().ok()?;
    Some(u64::from_be_bytes(priority))
}

/// Where it is said that `key` uses the file called `digest`.
pub(super) fn use_at(digest: &Digest, key: &CacheKey) -> Vec<u8> {
    [b"b", digest.bytes().as_slice(), key.as_bytes()].concat()
}

/// The bounds of all uses of one file.
pub(super) fn uses_of(digest: &Digest) -> (Vec<u8>, Vec<u8>) {
    let from = [b"b", digest.bytes().as_slice()].concat();
    let below = [from.as_slice(), &[0xff; 33]].concat();
    (from, below)
}

/// Where slice number `slice` of a body is.
pub(super) fn slice_at(id: &SliceId, slice: u32) -> Vec<u8> {
    [b"s", id.as_slice(), slice.to_be_bytes().as_slice()].concat()
}

/// The bounds of the slices of a body from number `first` on.
pub(super) fn slices_of(id: &SliceId, first: u32) -> (Vec<u8>, Vec<u8>) {
    let below = [b"s", id.as_slice(), &[0xff; 5]].concat();
    (slice_at(id, first), below)
}

/// The number of the slice whose row is at `at`.
pub(super) fn slice_number(at: &[u8]) -> Option<u32> {
    let number: [u8; 4] = at.get(17..)?.try_into().ok()?;
    Some(u32::from_be_bytes(number))
}

/// The key that a value names.
pub(super) fn key_in(value: &[u8]) -> Option<CacheKey> {
    value.try_into().ok().map(CacheKey::from_bytes)
}

/// A value as it is put into the index.
pub(super) fn seal<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain data in memory always has a form: nothing here is a map or a sequence of unknown length.
    record::seal(&postcard::to_extend(value, vec![FORM]).unwrap_or_default())
}

/// The value in `bytes`; `None` where they are of another version or form, or not what was written.
pub(super) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (version, value) = record::unseal(bytes)?;
    let value = value.strip_prefix(&[FORM])?;
    if version == record::VERSION { postcard::from_bytes(value).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_written_like_this_is_no_value() {
        let totals = Totals { keys: 7, next_turn: 9, ..Totals::default() };
        let sealed = seal(&totals);
        assert_eq!(unseal(&sealed), Some(totals));
        for at in 0..sealed.len() {
            let mut spoilt = sealed.clone();
            spoilt[at] ^= 1;
            assert_eq!(unseal::<Totals>(&spoilt), None, "byte {at}");
            assert_eq!(unseal::<Totals>(&sealed[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn rows_of_one_kind_lie_together_and_in_their_order() {
        let at =
            |queue, priority, turn| order_at(Rank::new(Place { queue, priority, uses: 0 }, turn));
        let (from, below) = order_of(Queue::Trial);
        let places = [at(Queue::Trial, 0, 0), at(Queue::Trial, u64::MAX, u64::MAX)];
        assert!(places.iter().all(|at| from <= *at && *at < below));
        assert!(at(Queue::Main, 0, 0) >= below);
        assert!(at(Queue::Main, 255, 9) < at(Queue::Main, 256, 0), "by priority");
        assert!(at(Queue::Main, 255, 255) < at(Queue::Main, 255, 256), "then by turn");
        assert_eq!(priority_at(&at(Queue::Main, 300, 7)), Some(300));
        let (from, below) = slices_of(&[7; 16], 3);
        let inside = |slice| from <= slice_at(&[7; 16], slice) && slice_at(&[7; 16], slice) < below;
        assert!(!inside(2) && inside(3) && inside(u32::MAX));
        assert_eq!(slice_number(&slice_at(&[7; 16], 300)), Some(300));
        let (from, below) = uses_of(&Digest::new([9; 32]));
        let at = use_at(&Digest::new([9; 32]), &CacheKey::from_bytes([0xff; 32]));
        assert!(
            from <= at
                && at < below
                && use_at(&Digest::new([10; 32]), &CacheKey::from_bytes([0; 32])) > below
        );
    }
}
