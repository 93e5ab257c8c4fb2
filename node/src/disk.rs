//! The disk tier of this node: what it is told, and what is said of what happens there.

use std::sync::Arc;
use std::time::Duration;

use weir_cache::purge::AsOf;
use weir_cache::{Present, Seq};
use weir_store::{Bearings, DiskEvent, DiskLimits, DiskOpenError, DiskTier};

use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::metrics::{Metrics, Reason};
use crate::purge::View;

/// How long a start waits for the index; after that the node answers without what is on disk.
const OPEN_WITHIN: Duration = Duration::from_millis(900);

/// The disk tier that `config` asks for; `None` where it asks for none.
///
/// # Errors
///
/// The folder cannot be used, or another node uses it.
pub(crate) fn open(
    config: &NodeConfig,
    clock: &Arc<dyn Clock>,
    purges: &Arc<View>,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<DiskTier>>, DiskOpenError> {
    let (Some(bytes_max), Some(data_dir)) = (config.store.disk, &config.data_dir) else {
        return Ok(None);
    };
    let disk = &config.store.on_disk;
    let limits = DiskLimits {
        folder: data_dir.join("store"),
        goal: config.store.goal,
        bytes_max: bytes_max.as_u64(),
        files_max: disk.files_max as u64,
        slice_bytes: u32::try_from(disk.slice.as_u64()).unwrap_or(u32::MAX),
        open_files_max: disk.open_files_max,
        waiting_bytes_max: disk.queue_max.as_u64(),
        index: disk.index,
        index_memory_bytes: disk.index_memory.as_u64(),
        sync: disk.sync,
        scrub_bytes_per_second: disk.scrub.as_u64(),
    };
    let around = Around {
        clock: Arc::clone(clock),
        purges: Arc::clone(purges),
        metrics: Arc::clone(metrics),
    };
    Ok(Some(Arc::new(DiskTier::open(limits, Arc::new(around))?)))
}

/// Waits until what is on disk can be found, for a moment at most.
pub(crate) async fn wait_open(tier: Arc<DiskTier>) {
    let opened = tokio::task::spawn_blocking(move || tier.wait_open(OPEN_WITHIN)).await;
    if !opened.unwrap_or(false) {
        tracing::warn!(
            "the index of the disk tier is not open yet; nothing is found on disk meanwhile"
        );
    }
}

/// The node, as far as the disk tier knows it.
struct Around {
    clock: Arc<dyn Clock>,
    purges: Arc<View>,
    metrics: Arc<Metrics>,
}

impl Bearings for Around {
    fn present(&self) -> Present {
        self.clock.present()
    }

    fn told(&self, position: Seq) -> Option<AsOf> {
        self.purges.told(position)
    }

    fn heard(&self, as_of: AsOf) -> Seq {
        self.purges.heard(Some(as_of))
    }

    fn note(&self, event: DiskEvent) {
        let reason = match event {
            DiskEvent::Opened { keys, bytes, took_ms } => {
                tracing::info!(keys, bytes, took_ms, "the disk tier is open");
                "opened"
            }
            DiskEvent::IndexSetAside { why } => {
                tracing::error!(
                    why,
                    "the index of the disk tier could not be read and was set aside; it is built anew from the files"
                );
                "index-set-aside"
            }
            DiskEvent::Rebuilt { found } => {
                tracing::info!(found, "the index of the disk tier is built anew");
                "rebuilt"
            }
            DiskEvent::WritesOff { why } => {
                tracing::error!(
                    why,
                    "the disk refuses to be written; nothing is kept there for a while, and requests are answered as before"
                );
                "writes-off"
            }
            DiskEvent::WritesOn => {
                tracing::info!("the disk is written again");
                "writes-on"
            }
            DiskEvent::Damaged { digest } => {
                tracing::error!(
                    digest,
                    "a file of the disk tier is not what was written; it was set aside"
                );
                "damaged"
            }
            DiskEvent::Stopped { why } => {
                tracing::error!(
                    why,
                    "the disk tier is given up until the node starts again, and begins empty then"
                );
                "stopped"
            }
        };
        self.metrics.disk.events.get_or_create(&Reason { reason }).inc();
    }
}
