//! What must be applied once more if the disk fails an engine that may then have lost any of it?
//!
//! All that was applied since the last flush, in order: an engine that has lost one batch of it and
//! kept the next would otherwise be given a batch without those before it.

use std::mem::size_of;

use super::Batch;
use super::batch::Change;

/// Batches in the order in which they were applied.
#[derive(Debug, Default)]
pub(super) struct Unflushed {
    batches: Vec<Batch>,
    bytes: usize,
}

impl Unflushed {
    /// The memory, in bytes, at which it is time for a flush, whether the caller has asked or not.
    const BYTES_MAX: usize = 16 << 20;

    pub(super) fn push(&mut self, batch: &Batch) {
        self.bytes += batch.changes().iter().map(bytes).sum::<usize>();
        self.batches.push(batch.clone());
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= Self::BYTES_MAX
    }

    pub(super) fn batches(&self) -> &[Batch] {
        &self.batches
    }
}

fn bytes(change: &Change) -> usize {
    let text = match change {
        Change::Put(key, value) => key.len() + value.len(),
        Change::Remove(key) => key.len(),
    };
    size_of::<Change>() + text
}
