//! What may the tier hold, and how does it write?

use std::path::PathBuf;

use weir_cache::eviction::Goal;

use super::bodies::SyncMode;
use super::index::IndexKind;

/// The limits and ways of the disk tier.
#[derive(Debug, Clone)]
pub struct DiskLimits {
    /// Its folder, which is made where it is missing.
    pub folder: PathBuf,
    /// What eviction aims at.
    pub goal: Goal,
    /// Bytes of bodies, heads and index, estimated, all together.
    pub bytes_max: u64,
    /// Files of bodies.
    pub files_max: u64,
    /// Bytes of one slice of a large body; a body of at most so many is one file.
    pub slice_bytes: u32,
    /// Files kept open for reading beyond those that an answer reads.
    pub open_files_max: usize,
    /// Bytes of bodies in memory that wait to be written.
    pub waiting_bytes_max: u64,
    /// Which index.
    pub index: IndexKind,
    /// Bytes of memory that the index may use for itself.
    pub index_memory_bytes: u64,
    /// What is made sure of before a body counts as written.
    pub sync: SyncMode,
    /// Bytes a second that are read to find damage before anybody asks; zero for none.
    pub scrub_bytes_per_second: u64,
}
