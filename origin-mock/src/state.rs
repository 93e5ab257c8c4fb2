//! What do all connections of one origin share?

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use crate::{gate::Gates, script::Scripts, stats::Stats};

/// Everything that outlives a connection, and a restart.
#[derive(Debug)]
pub(crate) struct State {
    /// Folder that is served, canonical; `None` for generated pages.
    pub(crate) dir: Option<PathBuf>,
    /// Cache-Control of successful answers to GET and HEAD.
    pub(crate) cache_control: String,
    pub(crate) scripts: Scripts,
    pub(crate) gates: Gates,
    pub(crate) stats: Stats,
    version: AtomicU64,
}

impl State {
    pub(crate) fn new(dir: Option<PathBuf>, cache_control: String, stats: Stats) -> Self {
        Self {
            dir,
            cache_control,
            scripts: Scripts::default(),
            gates: Gates::default(),
            stats,
            version: AtomicU64::new(1),
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(SeqCst)
    }

    /// Counts the version up and returns the new one.
    pub(crate) fn deploy(&self) -> u64 {
        self.version.fetch_add(1, SeqCst) + 1
    }
}
