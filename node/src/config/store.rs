//! What a node keeps, in memory and on disk.

use weir_cache::eviction::Goal;
use weir_store::{IndexKind, MemoryKind, SyncMode};

use super::units::ByteSize;

/// Part of the memory that one body in it may take, so that one response cannot empty it.
const MEMORY_PART: u64 = 8;
/// Part of the disk that one body on it may take, likewise.
const DISK_PART: u64 = 4;

/// Limits of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Bytes of stored responses kept in memory.
    pub memory: ByteSize,
    /// Which map they are kept in.
    pub memory_kind: MemoryKind,
    /// What eviction aims at, on disk and in memory.
    pub goal: Goal,
    /// Largest body stored: at most an eighth of `memory`, or a quarter of `disk` where there is one.
    pub object_max: ByteSize,
    /// Largest body kept in memory where there is a disk.
    pub memory_object_max: ByteSize,
    /// Variants kept for one key, 1 to 256.
    pub variants_max: usize,
    /// Bytes of stored responses kept on disk; `None` for memory alone.
    pub disk: Option<ByteSize>,
    /// How it is written.
    pub on_disk: OnDiskConfig,
}

/// How the disk is used, where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDiskConfig {
    /// Which index says what is there.
    pub index: IndexKind,
    /// Memory of that index for itself.
    pub index_memory: ByteSize,
    /// Files of bodies at most.
    pub files_max: usize,
    /// Files kept open for reading.
    pub open_files_max: usize,
    /// Bytes of one slice of a large body.
    pub slice: ByteSize,
    /// Bytes of bodies in memory that may wait to be written.
    pub queue_max: ByteSize,
    /// What is made sure of before a body counts as written.
    pub sync: SyncMode,
    /// Bytes a second that are read to find damage; zero for none.
    pub scrub: ByteSize,
}

impl StoreConfig {
    /// The smallest disk that is worth one.
    pub const DISK_MIN: ByteSize = ByteSize::from_mib(16);

    /// Has up to `size` kept on disk, with the defaults for what depends on it.
    pub fn put_on_disk(&mut self, size: ByteSize) {
        self.disk = Some(size);
        self.object_max = self.object_max_by_default();
        self.memory_object_max = self.memory_object_max_by_default().min(self.object_max);
    }

    /// Returns the most that `object_max` may be.
    pub(super) fn object_max_limit(&self) -> ByteSize {
        match self.disk {
            Some(disk) => ByteSize::from_bytes(disk.as_u64() / DISK_PART),
            None => self.memory_object_limit(),
        }
    }

    /// Returns the most that a body in memory may have.
    pub(super) fn memory_object_limit(&self) -> ByteSize {
        ByteSize::from_bytes(self.memory.as_u64() / MEMORY_PART)
    }

    /// Returns the largest body stored where nothing is said of it.
    pub(super) fn object_max_by_default(&self) -> ByteSize {
        let limit = self.object_max_limit();
        if self.disk.is_some() { limit } else { ByteSize::from_mib(32).min(limit) }
    }

    /// Returns the largest body kept in memory where nothing is said of it.
    pub(super) fn memory_object_max_by_default(&self) -> ByteSize {
        ByteSize::from_mib(1).min(self.memory_object_limit())
    }

    /// Returns the largest body that a fill keeps in memory to store it.
    #[must_use]
    pub fn memory_object_max(&self) -> ByteSize {
        if self.disk.is_some() { self.memory_object_max } else { self.object_max }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        let zero = ByteSize::ZERO;
        let mut config = Self {
            memory: ByteSize::from_mib(256),
            memory_kind: MemoryKind::default(),
            goal: Goal::default(),
            object_max: zero,
            memory_object_max: zero,
            variants_max: 16,
            disk: None,
            on_disk: OnDiskConfig::default(),
        };
        config.object_max = config.object_max_by_default();
        config.memory_object_max = config.memory_object_max_by_default();
        config
    }
}

impl Default for OnDiskConfig {
    fn default() -> Self {
        Self {
            index: IndexKind::Redb,
            index_memory: ByteSize::from_mib(64),
            files_max: 10_000_000,
            open_files_max: 1024,
            slice: ByteSize::from_mib(4),
            queue_max: ByteSize::from_mib(64),
            sync: SyncMode::None,
            scrub: ByteSize::from_mib(1),
        }
    }
}
