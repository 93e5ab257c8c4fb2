//! Where the whole body of a stored response lies: in memory, or in files of the disk tier.

use std::sync::Arc;

use bytes::Bytes;

use crate::DiskBody;
use crate::response::length;
use crate::weight::allocated;

/// What `Bytes` allocates as soon as a whole body is shared with somebody.
const SHARED_BYTES: u64 = 32;

/// The whole body of a stored response. Cloning shares it.
#[derive(Debug, Clone)]
pub enum Body {
    /// In memory.
    InMemory(Bytes),
    /// On disk, in one file or several.
    OnDisk(Arc<DiskBody>),
}

impl Body {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::InMemory(bytes) => length(bytes.len()),
            Self::OnDisk(body) => body.len(),
        }
    }

    /// Whether it has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, where they are in memory.
    #[must_use]
    pub fn in_memory(&self) -> Option<&Bytes> {
        match self {
            Self::InMemory(bytes) => Some(bytes),
            Self::OnDisk(_) => None,
        }
    }

    /// The body on disk, where that is the only place where it lies.
    #[must_use]
    pub fn on_disk(&self) -> Option<&Arc<DiskBody>> {
        match self {
            Self::InMemory(_) => None,
            Self::OnDisk(body) => Some(body),
        }
    }

    /// Bytes of memory that it takes, apart from the value itself.
    pub(crate) fn memory_bytes(&self) -> u64 {
        match self {
            Self::InMemory(bytes) => allocated(bytes.len()) + SHARED_BYTES,
            Self::OnDisk(body) => body.memory_bytes(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::InMemory(bytes)
    }
}
