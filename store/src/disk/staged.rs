//! Changes of the index that are made together.
//!
//! One commit costs much the same whatever is in it, so the writer makes those of several keys here and
//! writes them out as one. Until then it alone sees them: it reads through what is staged, everybody else
//! reads the index.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::index::{Batch, Index, IndexError, Rows};

/// An index under changes that are not in it yet.
pub(super) struct Staged {
    index: Arc<dyn Index>,
    /// What will be under a key; `None` where nothing will.
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Staged {
    /// The index as it is.
    pub(super) fn new(index: Arc<dyn Index>) -> Self {
        Self { index, changes: BTreeMap::new() }
    }

    /// The value that is or will be under `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.index.get(key),
        }
    }

    /// The rows from `from` on and below `below`, as [`Index::scan`].
    pub(super) fn scan(&self, from: &[u8], below: &[u8], limit: usize) -> Result<Rows, IndexError> {
        if from >= below {
            return Ok(Rows::new());
        }
        let range = (Bound::Included(from), Bound::Excluded(below));
        let staged = self.changes.range::<[u8], _>(range);
        let hidden = staged.clone().count();
        // As many of those found may be changed.
        let found = self.index.scan(from, below, limit.saturating_add(hidden))?;
        if hidden == 0 {
            return Ok(found);
        }
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = found.into_iter().collect();
        for (key, value) in staged {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(rows.into_iter().take(limit).collect())
    }

    /// Takes a batch in. It goes out as a whole: where it does not fit beside what is staged, that goes first.
    ///
    /// # Errors
    ///
    /// What was staged before could not be written. Nothing of the batch is taken.
    pub(super) fn apply(&mut self, batch: &Batch) -> Result<(), IndexError> {
        if self.changes.len().saturating_add(batch.len()) > Batch::MAX {
            self.write_out()?;
        }
        for (key, value) in batch.rows() {
            self.changes.insert(key.to_vec(), value.map(<[u8]>::to_vec));
        }
        Ok(())
    }

    /// Writes what is staged to the index, at once.
    ///
    /// # Errors
    ///
    /// [`IndexError`]. All of it is staged still.
    pub(super) fn write_out(&mut self) -> Result<(), IndexError> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        for (key, value) in &self.changes {
            match value {
                Some(value) => batch.put(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        self.index.apply(&batch)?;
        self.changes.clear();
        Ok(())
    }

    /// Forgets what is staged.
    pub(super) fn undo(&mut self) {
        self.changes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::MemoryIndex;
    use super::*;

    fn put(keys: &[&str]) -> Batch {
        let mut batch = Batch::default();
        keys.iter().for_each(|key| batch.put(*key, "new"));
        batch
    }

    fn removed(keys: &[&str]) -> Batch {
        let mut batch = Batch::default();
        keys.iter().for_each(|key| batch.remove(*key));
        batch
    }

    fn keys(rows: Rows) -> Vec<String> {
        rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
    }

    /// An index with `a` to `e`, in which `a` and `b` are to go, `d` is changed and `f` is to come.
    fn staged() -> (Arc<MemoryIndex>, Staged) {
        let index = Arc::new(MemoryIndex::default());
        index.apply(&put(&["a", "b", "c", "d", "e"])).unwrap();
        let mut staged = Staged::new(Arc::clone(&index) as Arc<dyn Index>);
        staged.apply(&removed(&["a", "b"])).unwrap();
        staged.apply(&put(&["d", "f"])).unwrap();
        (index, staged)
    }

    #[test]
    fn the_writer_sees_what_is_staged_and_nobody_else_does() {
        let (index, staged) = staged();
        assert_eq!(keys(staged.scan(b"a", b"z", 9).unwrap()), ["c", "d", "e", "f"]);
        assert_eq!(keys(staged.scan(b"a", b"z", 2).unwrap()), ["c", "d"], "past what is gone");
        assert_eq!(staged.get(b"a").unwrap(), None);
        assert_eq!(staged.get(b"f").unwrap().as_deref(), Some(b"new".as_slice()));
        assert!(staged.scan(b"z", b"a", 9).unwrap().is_empty());
        assert_eq!(keys(index.scan(b"a", b"z", 9).unwrap()), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn what_is_written_out_is_there_for_all_and_what_is_undone_never_was() {
        let (index, mut staged) = staged();
        staged.undo();
        staged.write_out().unwrap();
        assert_eq!(keys(index.scan(b"a", b"z", 9).unwrap()), ["a", "b", "c", "d", "e"]);
        staged.apply(&removed(&["a"])).unwrap();
        staged.write_out().unwrap();
        assert_eq!(keys(index.scan(b"a", b"z", 9).unwrap()), ["b", "c", "d", "e"]);
    }

    #[test]
    fn a_batch_that_does_not_fit_beside_what_is_staged_sends_that_out_first() {
        let (index, mut staged) = staged();
        let many: Vec<String> = (0..Batch::MAX).map(|number| format!("x{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        staged.apply(&put(&many)).unwrap();
        assert_eq!(keys(index.scan(b"a", b"z", 9).unwrap()), ["c", "d", "e", "f"]);
    }
}
