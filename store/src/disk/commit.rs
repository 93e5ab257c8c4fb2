//! How do changes come into the index, and what follows once they are there?
//!
//! Rows are staged change by change and written out together. Files go only afterwards: until then a row
//! that leads to them may be what the next start finds.

use std::io;
use std::sync::Arc;

use weir_cache::CacheKey;

use super::bodies::Digest;
use super::body::DiskBody;
use super::index::{Batch, IndexError};
use super::rows::{TOTALS, Totals, unseal, uses_of};
use super::writer::Writer;

/// Operations in one batch of a step.
pub(super) const STEP_MAX: usize = 800;

/// What one change comes to.
#[derive(Default)]
pub(super) struct Step {
    /// Its rows; those that say what is stored come first, in one batch.
    batches: Vec<Batch>,
    /// Files that its key does not use any more.
    pub(super) dropped: Vec<Digest>,
}

/// What follows when what is staged is in the index.
#[derive(Default)]
pub(super) struct Then {
    /// Bodies whose files the index protects from then on.
    settle: Vec<(Arc<DiskBody>, Vec<Digest>)>,
    /// Files that keys do not use from then on.
    dropped: Vec<Digest>,
    /// Files that were written for what is staged.
    written: Vec<Digest>,
    /// Keys that are not there from then on.
    gone: Vec<CacheKey>,
}

impl Step {
    pub(super) fn put(&mut self, at: Vec<u8>, value: Vec<u8>) {
        self.batch().put(at, value);
    }

    pub(super) fn remove(&mut self, at: Vec<u8>) {
        self.batch().remove(at);
    }

    /// The batch that has room.
    fn batch(&mut self) -> &mut Batch {
        if self.batches.last().is_none_or(|batch| batch.len() >= STEP_MAX) {
            self.batches.push(Batch::default());
        }
        let last = self.batches.len().saturating_sub(1);
        // There is one: it was just pushed if there was none.
        &mut self.batches[last]
    }
}

impl Then {
    /// Notes a file that was written for what is staged.
    pub(super) fn wrote(&mut self, digest: Digest) {
        self.written.push(digest);
    }

    /// Notes a key of which nothing is there then.
    pub(super) fn went(&mut self, key: &CacheKey) {
        self.gone.push(*key);
    }

    /// Has `body` know, once they are there, that `files` are in the index.
    pub(super) fn settle(&mut self, body: &Arc<DiskBody>, files: &[Digest]) {
        self.settle.push((Arc::clone(body), files.to_vec()));
    }
}

impl Writer {
    /// Stages a step.
    ///
    /// # Errors
    ///
    /// What was staged before had to be written out, and was not.
    pub(super) fn stage(&mut self, step: Step, totals: Totals) -> Result<(), IndexError> {
        for batch in &step.batches {
            self.index.apply(batch)?;
        }
        self.totals = totals;
        self.then.dropped.extend(step.dropped);
        Ok(())
    }

    /// Writes out what is staged, and removes the files that nobody uses after it.
    ///
    /// # Errors
    ///
    /// The index refused: undo what is staged. A file that could not be looked up stays for the sweep.
    pub(super) fn write_out(&mut self) -> Result<(), IndexError> {
        self.index.write_out()?;
        *self.shared.totals.lock() = self.totals;
        let Then { settle, dropped, gone, written: _ } = std::mem::take(&mut self.then);
        gone.iter().for_each(|key| self.shared.present.went(key));
        for (body, files) in settle {
            body.settled(|digest| files.binary_search(digest).is_ok());
        }
        for digest in &dropped {
            if !self.is_used(digest)? {
                self.unlink(digest);
            }
        }
        Ok(())
    }

    /// Forgets what is staged, with the files that were written for it.
    ///
    /// # Errors
    ///
    /// The index cannot be read.
    pub(super) fn undo(&mut self) -> Result<(), IndexError> {
        self.index.undo();
        let Then { written, .. } = std::mem::take(&mut self.then);
        self.refresh()?;
        for digest in &written {
            if !self.is_used(digest)? {
                self.unlink(digest);
            }
        }
        Ok(())
    }

    /// Reads again what everything adds up to. An index that has failed, whoever was told, may have lost its
    /// newest changes.
    ///
    /// # Errors
    ///
    /// The index cannot be read.
    pub(super) fn refresh(&mut self) -> Result<(), IndexError> {
        let next_turn = self.totals.next_turn;
        self.totals = self.index.get(TOTALS)?.and_then(|bytes| unseal(&bytes)).unwrap_or_default();
        self.totals.next_turn = self.totals.next_turn.max(next_turn);
        *self.shared.totals.lock() = self.totals;
        Ok(())
    }

    /// Whether any key uses the file, or will.
    pub(super) fn is_used(&self, digest: &Digest) -> Result<bool, IndexError> {
        let (from, below) = uses_of(digest);
        Ok(self.shared.reads.loose.has(digest) || !self.index.scan(&from, &below, 1)?.is_empty())
    }

    pub(super) fn unlink(&self, digest: &Digest) {
        self.shared.reads.forget(digest);
        if let Err(error) = self.shared.bodies.remove(digest)
            && error.kind() != io::ErrorKind::NotFound
        {
            // The sweep finds it again.
            drop(error);
        }
    }
}
