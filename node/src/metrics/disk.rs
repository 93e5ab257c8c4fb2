//! What is counted of the disk tier.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use weir_store::DiskStats;

use super::{Reason, signed};

/// The values of the disk tier, as of the last scrape.
#[derive(Debug, Clone, Default)]
pub(crate) struct DiskMetrics {
    /// What happened.
    pub(crate) events: Family<Reason, Counter>,
    open: Gauge,
    writes_off: Gauge,
    bytes: Gauge,
    keys: Gauge,
    files: Gauge,
    index_bytes: Gauge,
    free_bytes: Gauge,
    waiting_bytes: Gauge,
    waiting_keys: Gauge,
    open_files: Gauge,
    lookups: Family<Reason, Counter>,
    changes: Family<Reason, Counter>,
    faults: Family<Reason, Counter>,
    evictions: Counter,
    rejected: Counter,
    scrubbed_bytes: Counter,
    orphans: Counter,
}

impl DiskMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("disk_events", "What happened to the disk tier", self.events.clone());
        registry.register("disk_open", "1 while the disk tier can be read", self.open.clone());
        registry.register(
            "disk_writes_off",
            "1 while nothing is written because the disk refused",
            self.writes_off.clone(),
        );
        let with_unit = [
            ("disk", "Bytes on disk, index and overhead estimated", &self.bytes),
            ("disk_index", "Bytes of the index", &self.index_bytes),
            ("disk_free", "Free on the file system of the disk tier", &self.free_bytes),
            ("disk_waiting", "Bodies in memory that wait to be written", &self.waiting_bytes),
        ];
        for (name, help, gauge) in with_unit {
            registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        }
        let plain = [
            ("disk_keys", "Keys on disk", &self.keys),
            ("disk_files", "Files of bodies", &self.files),
            ("disk_waiting_keys", "Keys whose change waits to be written", &self.waiting_keys),
            ("disk_open_files", "Files of bodies kept open", &self.open_files),
        ];
        for (name, help, gauge) in plain {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "disk_lookups",
            "Keys looked up on disk, by what was found",
            self.lookups.clone(),
        );
        registry.register(
            "disk_changes",
            "Changes of keys, by what became of them",
            self.changes.clone(),
        );
        registry.register(
            "disk_faults",
            "Files and rows that were not as they should be",
            self.faults.clone(),
        );
        registry.register("disk_evictions", "Keys evicted from disk", self.evictions.clone());
        registry.register(
            "disk_rejected",
            "Keys not kept on disk when they came",
            self.rejected.clone(),
        );
        registry.register_with_unit(
            "disk_scrubbed",
            "Read to find damage",
            Unit::Bytes,
            self.scrubbed_bytes.clone(),
        );
        registry.register("disk_orphans", "Files removed that nobody used", self.orphans.clone());
    }

    /// Takes over what the tier says; `late` lookups did not wait for it any longer.
    pub(super) fn read(&self, stats: &DiskStats, late: u64) {
        let gauges = [
            (&self.open, u64::from(stats.open)),
            (&self.writes_off, u64::from(stats.writes_off)),
            (&self.bytes, stats.bytes),
            (&self.keys, stats.keys),
            (&self.files, stats.files),
            (&self.index_bytes, stats.index_bytes),
            (&self.free_bytes, stats.free_bytes),
            (&self.waiting_bytes, stats.waiting_bytes),
            (&self.waiting_keys, stats.waiting_keys),
            (&self.open_files, stats.open_files),
        ];
        for (gauge, value) in gauges {
            gauge.set(signed(value));
        }
        let families = [
            (&self.lookups, "hit", stats.hits),
            (&self.lookups, "miss", stats.misses),
            (&self.lookups, "absent", stats.absent),
            (&self.lookups, "late", late),
            (&self.changes, "written", stats.written),
            (&self.changes, "failed", stats.write_failures),
            (&self.changes, "overflow", stats.overflows),
            (&self.faults, "damaged", stats.damaged),
            (&self.faults, "missing", stats.missing),
            (&self.faults, "unreadable", stats.unreadable),
            (&self.faults, "read-failed", stats.read_failures),
        ];
        for (family, reason, value) in families {
            raise(&family.get_or_create(&Reason { reason }), value);
        }
        raise(&self.evictions, stats.evictions);
        raise(&self.rejected, stats.rejected);
        raise(&self.scrubbed_bytes, stats.scrubbed_bytes);
        raise(&self.orphans, stats.orphans);
    }
}

/// Brings a counter up to `value`.
fn raise(counter: &Counter, value: u64) {
    counter.inc_by(value.saturating_sub(counter.get()));
}
