//! Bytes at rest: which stored responses does this node hold, and which of them fits a request? And what
//! must outlive the node: the log of purges.
//!
//! [`Store`] is what the node asks: a byte-weighed map in memory from [`weir_cache::CacheKey`] to the variants
//! stored under it, over a disk tier where there is one. The log is a file that is only appended to.
//! Whether a response *may* be stored or reused is `weir-cache`'s decision; this crate keeps what it
//! is given, drops what does not fit, and counts both.

mod body;
mod disk;
mod faults;
mod log_file;
mod memory;
mod part;
mod response;
mod slices;
mod store;
mod variants;
mod weight;

pub use body::Body;
#[doc(hidden)]
pub use disk::fuzzing;
pub use disk::index;
pub use disk::{
    Bearings, BodiesOpenError, BodyDamage, BodyError, DiskBody, DiskEvent, DiskLimits,
    DiskOpenError, DiskStats, DiskTier, IndexKind, LaterRead, LockError, OnDisk, OpenBody, Place,
    Reading, Sent, SliceWriter, SyncMode, UnknownIndexKind,
};
pub use faults::{DiskOp, Failure, Faults};
pub use log_file::{
    Born, Damage, LOG_APPEND_BYTES_MAX, LOG_BYTES_MAX, LOG_MEMBER_BYTES_MAX, LOG_PAYLOAD_BYTES_MAX,
    LogAppendError, LogFile, LogOpenError, Recovered,
};
pub use memory::{MemoryKind, MemoryStore, StoreLimits, StoreStats, Writing};
pub use part::StoredParts;
pub use response::StoredResponse;
pub use slices::StoredSlices;
pub use store::Store;
pub use variants::{PartsChange, Variants};
