//! Where does the disk tier look up what it has stored?
//!
//! In an ordered map of bytes that lies in the folder of the tier. What keys and values mean, and
//! whether a value is what was once put, is for the caller to check: an index says only where to
//! look. It can be made anew from the files that hold the bodies, and so may be lost at any time.
//!
//! # Invariants
//!
//! Over kills and full disks:
//!
//! 1. A batch is applied as a whole or not at all.
//! 2. What was applied before a [`Index::flush`] that has returned is there.
//! 3. What is lost is the newest: no batch is there without those before it.
//!
//! Whatever the disk makes of the files:
//!
//! 4. [`open`] gives an index, unless the machine refuses.
//! 5. No panic of an engine leaves this module, and none is forgotten: an index that has panicked
//!    answers nothing any more, and the next start does not use its files.
//! 6. One folder has one index: opening one kind removes the other.
//!
//! A disk that damages a file may take any keys with it unseen, and redb, which reads pages without
//! a check, may give other bytes for a value or a key.
//!
//! ```text
//! open -- folder: which files, what is set aside
//!   \-- guard: panics, deadlines, opening anew -- engine: redb_engine | sled_engine
//! ```

mod batch;
mod deadline;
mod engine;
mod error;
mod folder;
mod guard;
mod kind;
mod memory;
mod open;
mod redb_engine;
mod room_ahead;
mod sled_engine;
#[cfg(test)]
mod tests;
mod unflushed;

pub use batch::Batch;
pub use error::{IndexError, IndexOpenError};
pub use kind::{IndexKind, IndexLimits, UnknownIndexKind};
pub use memory::MemoryIndex;
pub use open::{Opened, OpenedState, open};

/// Keys with their values, in the order of the keys.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// An ordered map of bytes. Every call may wait for the disk.
///
/// Keys and values are any bytes; keys are ordered as bytes are. Readers do not see a batch until
/// all of it is applied. Calls from several threads are answered one after the other where the
/// engine wants it.
pub trait Index: Send + Sync + 'static {
    /// The value under `key`, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`IndexError`]. That nothing was found is no error.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;

    /// Makes all changes of `batch`, or none.
    ///
    /// That holds over a kill of the process too. It need not be on disk before the next
    /// [`Index::flush`].
    ///
    /// # Errors
    ///
    /// [`IndexError`]. After [`IndexError::Full`] and [`IndexError::Io`] the batch may be there all
    /// the same, as a whole.
    fn apply(&self, batch: &Batch) -> Result<(), IndexError>;

    /// The keys from `from` on and below `below` with their values, in order, at most `limit`.
    ///
    /// Empty if `below` is not greater than `from`. To go on, ask from the last key with a zero
    /// byte appended.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn scan(&self, from: &[u8], below: &[u8], limit: usize) -> Result<Rows, IndexError>;

    /// Makes durable what was applied, as far as the engine can.
    ///
    /// Takes milliseconds, and more on a busy disk: once a second is often enough.
    ///
    /// # Errors
    ///
    /// [`IndexError`].
    fn flush(&self) -> Result<(), IndexError>;

    /// A number, from 1 on, that is another one whenever the engine was opened anew and so may have lost its newest
    /// batches.
    fn openings(&self) -> u64;

    /// Has the index count as damaged: somebody has seen that it is, where the engine has not.
    fn distrust(&self, why: &str);

    /// The room that the index takes on disk, in bytes.
    ///
    /// Costs a look at each of its files, of which there are few.
    fn bytes_on_disk(&self) -> u64;
}

/// Refuses a batch that no engine should be asked to take.
fn check(batch: &Batch) -> Result<(), IndexError> {
    if batch.has_room(0) { Ok(()) } else { Err(IndexError::TooMany { changes: batch.len() }) }
}
