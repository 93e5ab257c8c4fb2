//! Where the bytes of a body go that is too large for memory, while clients read it: into slices of the disk
//! tier, where it is to stay, or into a spill file that ends with its readers.
//!
//! Both are written on the blocking pool. A write that fails ends the setting aside, not the body.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use weir_store::{DiskBody, Reading, SliceWriter, StoredResponse};

use super::spill::{Spill, SpillReader};

/// The beginning of one body, set aside.
pub(super) enum Aside {
    /// In slices that will be stored.
    Slices(Box<Slices>),
    /// In a file of its own.
    Spill(Spill),
}

/// A body on its way into the disk tier.
pub(super) struct Slices {
    /// Taken while it is written to, which is by one at a time.
    writer: Arc<Mutex<SliceWriter>>,
    body: Arc<DiskBody>,
    /// What will be stored, as soon as the body is whole.
    stored: StoredResponse,
}

impl Slices {
    /// Goes on with `writer`, whose body is that of `stored`.
    pub(super) fn new(writer: SliceWriter, stored: StoredResponse) -> Self {
        let body = Arc::clone(writer.body());
        Self { writer: Arc::new(Mutex::new(writer)), body, stored }
    }

    /// The response with its body; `None` unless all of it is here.
    pub(super) fn whole(&self) -> Option<StoredResponse> {
        let body = Arc::clone(&self.body);
        self.body.is_whole().then(|| self.stored.with_body(weir_store::Body::OnDisk(body)))
    }

    /// Writes `bytes` after what is there.
    ///
    /// # Errors
    ///
    /// The disk refused, or there are more bytes than the body has.
    pub(super) async fn append(&self, bytes: Bytes) -> io::Result<()> {
        let writer = Arc::clone(&self.writer);
        spawn_blocking(move || writer.lock().append(&bytes)).await.map_err(io::Error::other)?
    }
}

impl Aside {
    /// Writes `bytes` after what is there.
    ///
    /// # Errors
    ///
    /// The disk refused or the budget is used up. What was written before stays readable.
    pub(super) async fn append(&mut self, bytes: Bytes) -> io::Result<()> {
        match self {
            Self::Slices(slices) => slices.append(bytes).await,
            Self::Spill(spill) => spill.append(bytes).await,
        }
    }

    /// A handle that reads what has been written.
    pub(super) fn reader(&self) -> AsideReader {
        match self {
            Self::Slices(slices) => AsideReader::Slices(Arc::clone(&slices.body)),
            Self::Spill(spill) => AsideReader::Spill(spill.reader()),
        }
    }
}

/// Reads what was set aside.
#[derive(Debug, Clone)]
pub(crate) enum AsideReader {
    /// From slices.
    Slices(Arc<DiskBody>),
    /// From a file.
    Spill(SpillReader),
}

impl AsideReader {
    /// Reads at most `length` bytes at `offset`; never empty on success.
    pub(crate) async fn read(self, offset: u64, length: u64) -> io::Result<Bytes> {
        match self {
            Self::Spill(spill) => spill.read(offset, length).await,
            Self::Slices(body) => match body.read(offset, length) {
                Reading::Now(bytes) => Ok(bytes),
                Reading::Later(later) => later.await.map_err(io::Error::other),
            },
        }
    }
}
