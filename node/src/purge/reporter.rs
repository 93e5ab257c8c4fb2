//! What does this node say of itself to those who wait for its word?

use weir_cache::purge::AsOf;

use super::View;
use super::record::Reported;
use crate::config::NodeConfig;

/// Newest purges whose counts go with a report.
const COUNTS_TOLD: usize = 64;

/// One run of this node.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    /// Its name.
    pub(super) name: String,
    tier: &'static str,
    /// The number that tells this run of the node from its others.
    pub(super) boot: u64,
}

impl Reporter {
    /// A run of the node with this configuration that begins now.
    pub(crate) fn new(config: &NodeConfig) -> Self {
        Self { name: config.name.clone(), tier: config.tier.as_str(), boot: boot_number() }
    }

    /// How far this node is with the log.
    pub(super) fn report(&self, view: &View) -> Reported {
        let as_of: Option<AsOf> = view.as_of();
        let mut counts = view.counts();
        let old = counts.by_seq.len().saturating_sub(COUNTS_TOLD);
        Reported {
            name: self.name.clone(),
            tier: self.tier.to_owned(),
            boot: self.boot,
            epoch: as_of.map(|as_of| as_of.epoch.to_string()),
            applied: as_of.map_or(0, |as_of| as_of.seq),
            matched: counts.by_seq.split_off(old),
            counted_to: counts.complete_to,
            ..Reported::default()
        }
    }
}

fn boot_number() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => u64::from(std::process::id()),
    }
}
