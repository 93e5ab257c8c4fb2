//! An index in one file, by redb.
//!
//! A batch is a commit that is not made durable, and so costs no sync: a kill undoes all batches
//! since the last flush, never a part of one. A flush is a commit that is. It notes which pages are
//! free ("quick repair"), so that opening after a kill reads some ten pages whatever the size of the
//! file, and waits for what the killed process has written since its last flush; that costs a second
//! sync a flush. Batches wait for a flush, readers for nobody.
//!
//! The file has room ahead of what is written, so that a file system that somebody else has filled does not
//! stop those who forget and evict. After an error of the disk redb refuses everything until it is opened anew.

use std::fs::File;
use std::ops::Bound;

use redb::{
    Builder, CommitError, Database, DatabaseError, Durability, ReadableDatabase, StorageError,
    TableDefinition, TableError, TransactionError, WriteTransaction,
};

use super::batch::Change;
use super::engine::Engine;
use super::error::Failure;
use super::room_ahead::RoomAhead;
use super::{Batch, Rows};

const TABLE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("index");

pub(super) struct RedbEngine {
    database: Database,
}

impl RedbEngine {
    /// Opens the index in `file`, or makes one if it is empty.
    ///
    /// `cache_bytes` bounds pages that are kept, half of which may be ones not written yet.
    pub(super) fn open(file: File, cache_bytes: usize) -> Result<Self, Failure> {
        let backend = RoomAhead::new(file)?;
        let database = Builder::new().set_cache_size(cache_bytes).create_with_backend(backend)?;
        let engine = Self { database };
        match engine.database.begin_read()?.open_table(TABLE) {
            Ok(_) => {}
            Err(TableError::TableDoesNotExist(_)) => engine.commit_durably(|transaction| {
                drop(transaction.open_table(TABLE)?);
                Ok(())
            })?,
            Err(error) => return Err(error.into()),
        }
        Ok(engine)
    }

    fn commit_durably(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        change(&transaction)?;
        Ok(transaction.commit()?)
    }
}

impl Engine for RedbEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    }

    fn apply(&self, batch: &Batch) -> Result<(), Failure> {
        let mut transaction = self.database.begin_write()?;
        transaction
            .set_durability(Durability::None)
            .map_err(|error| Failure::Damaged(error.to_string()))?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for change in batch.changes() {
                match change {
                    Change::Put(key, value) => {
                        drop(table.insert(key.as_slice(), value.as_slice())?);
                    }
                    Change::Remove(key) => drop(table.remove(key.as_slice())?),
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn scan(&self, from: &[u8], below: &[u8], limit: usize) -> Result<Rows, Failure> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let mut rows = Rows::new();
        let range = table.range::<&[u8]>((Bound::Included(from), Bound::Excluded(below)))?;
        for row in range.take(limit) {
            let (key, value) = row?;
            rows.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(rows)
    }

    fn flush(&self) -> Result<(), Failure> {
        self.commit_durably(|_| Ok(()))
    }

    fn may_tear(&self) -> bool {
        false
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(error) => Self::from_io(error),
            StorageError::PreviousIo | StorageError::DatabaseClosed => {
                Self::Io(std::io::Error::other(error))
            }
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Storage(error) => error.into(),
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::InUse,
            // Among them a format that this version does not read: what it says can be had again.
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<TransactionError> for Failure {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            error => Self::Damaged(error.to_string()),
        }
    }
}
