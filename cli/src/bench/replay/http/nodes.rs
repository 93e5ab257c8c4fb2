//! The nodes of a replay: as many, as large and with the goal that the setup says, on free ports of the loopback address.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use weir_bench::replay::{Policy, Setup, Space, TierName};
use weir_cache::{HostPattern, Profile};
use weir_node::config::{ByteSize, NodeConfig, SiteConfig, StoreConfig, TierDefaults};
use weir_node::{
    AdminToken, Components, LogHome, ManualClock, RunningNode, TierSecret, random_text,
};

use crate::topology::asked_at;
use crate::up;

/// How long all nodes together may take until they answer.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// One tier of running nodes.
pub(super) struct Tier {
    pub(super) name: TierName,
    pub(super) space: Space,
    pub(super) nodes: Vec<RunningNode>,
}

/// All running nodes, edges first.
pub(super) struct Nodes {
    pub(super) tiers: Vec<Tier>,
    /// The admin API of the node that keeps the purge log.
    pub(super) log_url: String,
    pub(super) token: String,
    folder: Folder,
}

/// Where the nodes of one replay keep their files; removed with it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder of the system's temporary one that stays is no reason to fail.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

impl Nodes {
    /// Starts those of `setup` in front of `origin`, parents first, and waits until all are ready.
    pub(super) async fn start(
        setup: &Setup,
        origin: SocketAddr,
        clock: &Arc<ManualClock>,
    ) -> anyhow::Result<Self> {
        let token = random_text()?;
        let clock: Arc<ManualClock> = Arc::clone(clock);
        let components = Components {
            clock,
            secret: Some(TierSecret::new(&random_text()?).context("no tier secret was made up")?),
            token: AdminToken::new(&token).context("no token was made up")?,
            log_home: LogHome::OneProcess,
        };
        let folder = std::env::temp_dir().join(format!("weir-replay-{}", random_text()?));
        let mut nodes =
            Self { tiers: Vec::new(), log_url: String::new(), token, folder: Folder(folder) };
        let mut tiers: Vec<_> = setup.tiers().collect();
        tiers.reverse();
        for (name, count, space) in tiers {
            let mut tier = Tier { name, space, nodes: Vec::new() };
            for index in 0..count {
                let mut config = nodes.config((name, index), origin);
                set_store(&mut config.store, setup, space);
                // All follow one log, wherever several nodes ask the origin.
                let first = nodes.tiers.first().unwrap_or(&tier).nodes.first();
                config.purge.authority = first.map(|node| asked_at(node.data_addr()));
                let running = weir_node::start(config, components.clone()).await;
                let running =
                    running.with_context(|| format!("{}-{index} does not start", name.as_str()))?;
                if nodes.log_url.is_empty() {
                    nodes.log_url = running.admin_url();
                }
                tier.nodes.push(running);
            }
            nodes.tiers.push(tier);
        }
        nodes.tiers.reverse();
        for tier in &nodes.tiers {
            tokio::time::timeout(READY_WITHIN, up::all_ready(&tier.nodes))
                .await
                .context("the nodes did not get ready in time")??;
        }
        Ok(nodes)
    }

    /// A node that asks the tier started before it, or the origin.
    fn config(&self, (name, index): (TierName, u32), origin: SocketAddr) -> NodeConfig {
        let mut config = NodeConfig::with_defaults(&defaults(name));
        config.name = format!("{}-{index}", name.as_str());
        config.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.admin = config.listen;
        config.data_dir = Some(self.folder.0.join(&config.name));
        // Health follows cache time, which jumps here.
        config.upstream.parent_check_interval = Duration::ZERO;
        let mut site = SiteConfig::new("replay", Profile::Default);
        site.hosts = vec![HostPattern::Any];
        site.origins = vec![asked_at(origin).into()];
        config.sites = vec![site];
        let above = self.tiers.last().map(|tier| tier.nodes.as_slice()).unwrap_or_default();
        config.parents = above.iter().map(|node| asked_at(node.data_addr())).collect();
        config
    }

    /// Ends the nodes, children first, so that none asks a parent that is gone.
    pub(super) async fn shutdown(self) {
        for node in self.tiers.into_iter().flat_map(|tier| tier.nodes) {
            node.shutdown().await;
        }
    }
}

fn defaults(name: TierName) -> TierDefaults {
    match name {
        TierName::Edge => weir_edge::defaults(),
        TierName::Regional => weir_regional::defaults(),
        TierName::Shield => weir_shield::defaults(),
    }
}

/// Gives a store the room of the setup. The largest body is what nodes have as their default: more than a part of its room
/// no node takes, because what is on its way in has to lie in memory as well.
fn set_store(store: &mut StoreConfig, setup: &Setup, space: Space) {
    if let Policy::Goal(goal) = setup.policy {
        store.goal = goal;
    }
    let size = ByteSize::from_bytes;
    match space {
        Space::One { bytes } => {
            store.memory = size(bytes);
            store.disk = None;
            store.object_max = size(space.object_max());
        }
        Space::Two { memory, memory_object_max, disk } => {
            store.memory = size(memory);
            store.disk = Some(size(disk));
            store.object_max = size(space.object_max());
            store.memory_object_max = size(memory_object_max);
        }
    }
}
