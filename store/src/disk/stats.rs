//! What does the disk tier hold, and what has it done?
//!
//! Counters are kept where things happen; here they are put together for those who ask.

use std::sync::atomic::{AtomicU64, Ordering};

use super::evict::Gone;
use super::tier::{Inner, OnDisk};

/// What the tier holds and has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Whether the index is open.
    pub open: bool,
    /// Whether writing is off, because the disk refused a moment ago.
    pub writes_off: bool,
    /// Bytes charged for everything stored.
    pub bytes: u64,
    /// Keys with at least one stored response.
    pub keys: u64,
    /// Files of bodies.
    pub files: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes that are free on the file system.
    pub free_bytes: u64,
    /// Bytes of bodies in memory that wait to be written.
    pub waiting_bytes: u64,
    /// Keys whose change waits.
    pub waiting_keys: u64,
    /// Files kept open.
    pub open_files: u64,
    /// Keys evicted.
    pub evictions: u64,
    /// Keys not kept when they came: what was held was worth more.
    pub rejected: u64,
    /// Lookups that found something.
    pub hits: u64,
    /// Lookups that found nothing.
    pub misses: u64,
    /// Keys of which it was known, without a look, that they are not there.
    pub absent: u64,
    /// Changes written.
    pub written: u64,
    /// Changes not written because the disk refused.
    pub write_failures: u64,
    /// Changes not written because too many bytes waited.
    pub overflows: u64,
    /// Files found damaged and set aside.
    pub damaged: u64,
    /// Files that the index names and that are not there.
    pub missing: u64,
    /// Reads that the system refused.
    pub read_failures: u64,
    /// Rows that could not be read, or were from the future.
    pub unreadable: u64,
    /// Bytes read by the scrubber.
    pub scrubbed_bytes: u64,
    /// Files removed that nobody used.
    pub orphans: u64,
}

/// Counters that are not kept elsewhere.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) evictions: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) absent: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) write_failures: AtomicU64,
    pub(super) overflows: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) scrubbed_bytes: AtomicU64,
    pub(super) orphans: AtomicU64,
}

impl Counts {
    /// Counts what a lookup has found.
    pub(super) fn counted(&self, found: OnDisk) -> OnDisk {
        let is_hit = matches!(found, OnDisk::Found(_));
        let counter = if is_hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Counts keys that went for room.
    pub(super) fn went(&self, gone: Gone) {
        self.evictions.fetch_add(gone.evicted, Ordering::Relaxed);
        self.rejected.fetch_add(gone.rejected, Ordering::Relaxed);
    }
}

impl Inner {
    /// What is held at this moment.
    pub(super) fn stats(&self) -> DiskStats {
        let totals = *self.shared.totals.lock();
        let index = self.index();
        let (waiting_bytes, waiting_keys) = self.pending.waiting();
        let (damaged, missing, read_failures) = self.shared.reads.faults();
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        DiskStats {
            open: index.is_some(),
            writes_off: self.off_until.lock().is_some(),
            bytes: totals.bytes(),
            keys: totals.keys,
            files: totals.files,
            free_bytes: self.shared.bodies.space().map_or(0, |space| space.free),
            index_bytes: index.map_or(0, |index| index.bytes_on_disk()),
            waiting_bytes,
            waiting_keys: crate::response::length(waiting_keys),
            open_files: crate::response::length(self.shared.reads.open_files()),
            evictions: of(&counts.evictions),
            rejected: of(&counts.rejected),
            hits: of(&counts.hits),
            misses: of(&counts.misses),
            absent: of(&counts.absent),
            written: of(&counts.written),
            write_failures: of(&counts.write_failures),
            overflows: of(&counts.overflows),
            damaged,
            missing,
            read_failures,
            unreadable: of(&counts.unreadable),
            scrubbed_bytes: of(&counts.scrubbed_bytes),
            orphans: of(&counts.orphans),
        }
    }
}
