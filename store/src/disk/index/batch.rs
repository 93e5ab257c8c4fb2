//! What is changed in an index at once?
//!
//! A list of puts and removes in the order they were asked for. What keys and values mean is the
//! caller's matter; when the list takes effect is the index's.

/// Changes of an index that take effect together or not at all.
///
/// A later change of a key overrides an earlier one. An index takes at most [`Batch::MAX`] changes
/// at once: whoever has more splits them, and with them the promise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<Change>,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

impl Batch {
    /// The most changes that an index takes at once.
    ///
    /// An engine keeps all of them in memory until they are written, and lets nobody else write.
    pub const MAX: usize = 1_000;

    /// Stores `value` under `key`, in the place of what is there.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.push(Change::Put(key.into(), value.into()));
    }

    /// Removes what is under `key`, if anything is.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.changes.push(Change::Remove(key.into()));
    }

    /// The number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether it has room for `more` changes.
    #[must_use]
    pub fn has_room(&self, more: usize) -> bool {
        self.len().saturating_add(more) <= Self::MAX
    }

    /// Forgets all changes and keeps their room.
    pub fn clear(&mut self) {
        self.changes.clear();
    }

    /// Its changes in order: what is to be under a key, `None` for nothing.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes.iter().map(|change| match change {
            Change::Put(key, value) => (key.as_slice(), Some(value.as_slice())),
            Change::Remove(key) => (key.as_slice(), None),
        })
    }

    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }
}
