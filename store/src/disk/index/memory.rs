//! What does an index do, apart from lying on disk?
//!
//! For the tests of those who use an index, and as the measure of the others.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::RwLock;

use super::batch::Change;
use super::{Batch, Index, IndexError, Rows, check};

/// An index that ends with its process.
#[derive(Debug, Default)]
pub struct MemoryIndex {
    map: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Index for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.map.read().get(key).cloned())
    }

    fn apply(&self, batch: &Batch) -> Result<(), IndexError> {
        check(batch)?;
        let mut map = self.map.write();
        for change in batch.changes() {
            match change {
                Change::Put(key, value) => drop(map.insert(key.clone(), value.clone())),
                Change::Remove(key) => drop(map.remove(key)),
            }
        }
        Ok(())
    }

    fn scan(&self, from: &[u8], below: &[u8], limit: usize) -> Result<Rows, IndexError> {
        if from >= below {
            return Ok(Vec::new());
        }
        let map = self.map.read();
        let range = map.range::<[u8], _>((Bound::Included(from), Bound::Excluded(below)));
        Ok(range.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }

    /// It loses nothing.
    fn openings(&self) -> u64 {
        1
    }

    /// It cannot be damaged.
    fn distrust(&self, _why: &str) {}

    fn bytes_on_disk(&self) -> u64 {
        0
    }
}
