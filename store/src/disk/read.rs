//! Reads a body without holding up the thread that asks: what lies in the system's page cache comes at once,
//! the rest from a thread that may wait.
//!
//! Not every file system can say that a read would wait; on one that cannot, all reads go to such a thread.

use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustix::fs::fstatfs;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::bodies::BodyError;
use super::body::{DiskBody, Place};

/// Bytes read at once.
const CHUNK_BYTES: u64 = 128 * 1024;
/// Reads that may wait at once; more wait for their turn.
const READS_MAX: usize = 64;

/// A read under way.
pub type LaterRead = Pin<Box<dyn Future<Output = Result<Bytes, BodyError>> + Send + Sync>>;

/// The next bytes of a body.
pub enum Reading {
    /// They are here.
    Now(Bytes),
    /// They will be.
    Later(LaterRead),
}

/// How reads are made on the file system of the tier.
#[derive(Debug)]
pub(super) struct ReadWays {
    turns: Arc<Semaphore>,
    cannot_tell: AtomicBool,
    /// Whether the file system lies in memory; asked once.
    in_memory: OnceLock<bool>,
}

/// `TMPFS_MAGIC` of the kernel.
const TMPFS: i64 = 0x0102_1994;

impl ReadWays {
    pub(super) fn new() -> Self {
        let turns = Arc::new(Semaphore::new(READS_MAX));
        Self { turns, cannot_tell: AtomicBool::new(false), in_memory: OnceLock::new() }
    }

    /// Whether the file system on which `place` is lies in memory.
    pub(super) fn lies_in_memory(&self, place: &Place) -> bool {
        let is_tmpfs = || fstatfs(place.file.file.as_fd()).is_ok_and(|told| told.f_type == TMPFS);
        *self.in_memory.get_or_init(is_tmpfs)
    }

    /// The bytes at `place`, at most `max`, if they come without waiting.
    fn read_now(&self, place: &Place, max: u64) -> Option<Bytes> {
        if self.cannot_tell.load(Relaxed) {
            return None;
        }
        let mut buffer = buffer(place, max);
        let at = place.file.offset.checked_add(place.at)?;
        let read = preadv2(
            place.file.file.as_fd(),
            &mut [IoSliceMut::new(&mut buffer)],
            at,
            ReadWriteFlags::NOWAIT,
        );
        match read {
            // Nothing at all is no end: how long the body is is known.
            Ok(0) => None,
            Ok(read) => {
                buffer.truncate(read);
                Some(buffer.into())
            }
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
                self.cannot_tell.store(true, Relaxed);
                None
            }
            // Not in the page cache; or an error, which the read that may wait meets again.
            Err(_) => None,
        }
    }
}

/// Room for what is to be read.
fn buffer(place: &Place, max: u64) -> Vec<u8> {
    let bytes = place.length.min(max).min(CHUNK_BYTES);
    vec![0; usize::try_from(bytes).unwrap_or(0)]
}

impl DiskBody {
    /// The bytes at `offset`, at least one and at most `max`, which must not be zero.
    ///
    /// Costs a system call where they are in the page cache and the file is open. Dropping a read under
    /// way leaves nothing behind.
    #[must_use]
    pub fn read(self: &Arc<Self>, offset: u64, max: u64) -> Reading {
        let ways = self.read_ways();
        if let Some(place) = self.place_at_hand(offset)
            && let Some(bytes) = ways.read_now(&place, max)
        {
            return Reading::Now(bytes);
        }
        let (body, turns) = (Arc::clone(self), Arc::clone(&ways.turns));
        Reading::Later(Box::pin(async move {
            let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
            let read = spawn_blocking(move || {
                let read = body.read_blocking(offset, max);
                drop(turn);
                read
            });
            read.await.map_err(io::Error::other)?
        }))
    }

    fn read_blocking(&self, offset: u64, max: u64) -> Result<Bytes, BodyError> {
        let place = self.place(offset)?;
        let mut buffer = buffer(&place, max);
        place.file.read_at(place.at, &mut buffer)?;
        Ok(buffer.into())
    }
}
