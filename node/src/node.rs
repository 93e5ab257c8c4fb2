//! What one node consists of: everything that requests share.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwap;
use weir_cache::{HopIdentity, Now};
use weir_store::{DiskOpenError, DiskStats, LogOpenError, Store, StoreLimits};

use crate::admin_tokens::{AdminToken, Tokens};
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::disk;
use crate::fill::budget::Budget;
use crate::fill::{FillTable, SpillSpace};
use crate::inbound::Reading;
use crate::inner::{TierSecret, hex8};
use crate::limits::Limits;
use crate::listener::Room;
use crate::metrics::{Metrics, Readings};
use crate::purge::{
    Above, Authority, BootClock, Found, Implied, KeeperError, Known, Log, Making, Nats, Place,
    Reporter, View, disown,
};
use crate::push::Push;
use crate::recent::{REFRESH_AGAIN_AFTER, RecentKeys, UNSHARED_FOR};
use crate::site::{Sites, SitesError};
use crate::slices::SliceTable;
use crate::tls::{NodeTls, TlsProblems};
use crate::tunnel::Tunnels;
use crate::upstream::{
    Checks, Group, Links, Roster, Sight, TlsError, Transport, Upstreams, of_origins, of_parents,
};

/// One node of a tier.
pub(crate) struct Node {
    pub(crate) config: NodeConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) secret: Option<TierSecret>,
    pub(crate) hop: HopIdentity,
    /// Who it is to those who connect over TLS.
    pub(crate) tls: Arc<NodeTls>,
    /// The servers of sites that this node knows.
    roster: Roster,
    /// What clients may cost.
    pub(crate) limits: Limits,
    /// The connections of clients.
    pub(crate) room: Room,
    /// The tunnels through this node.
    pub(crate) tunnels: Tunnels,
    /// The checks of upstreams.
    pub(crate) checks: Checks,
    pub(crate) sites: ArcSwap<Sites>,
    /// Who may use the admin API.
    pub(crate) tokens: ArcSwap<Tokens>,
    pub(crate) parents: Arc<Group>,
    pub(crate) upstreams: Arc<Upstreams>,
    /// What this node knows of purges.
    pub(crate) purges: Arc<View>,
    /// The same, where it outlives the node.
    pub(crate) known: Known,
    /// Where purges are numbered.
    pub(crate) log: Arc<dyn Log>,
    /// Whether this node numbers them itself.
    pub(crate) keeps_log: bool,
    /// The log, where it is a NATS stream.
    pub(crate) nats: Option<Nats>,
    pub(crate) boot_clock: BootClock,
    /// What this run of the node says of itself to the log.
    pub(crate) reporter: Reporter,
    /// What requests that passed have invalidated and the log does not say yet.
    pub(crate) implied: Implied,
    /// Its part in push mode.
    pub(crate) push: Arc<Push>,
    pub(crate) store: Store,
    pub(crate) fills: FillTable,
    pub(crate) fill_memory: Arc<Budget>,
    pub(crate) fill_disk: Arc<Budget>,
    pub(crate) spill: SpillSpace,
    /// Keys whose responses may not be shared.
    pub(crate) unshared: RecentKeys,
    /// Slices being fetched.
    pub(crate) slices: Arc<SliceTable>,
    /// Keys that are not to be fetched in slices.
    pub(crate) unsliced: RecentKeys,
    /// Keys whose refresh has failed.
    pub(crate) unrefreshed: RecentKeys,
    pub(crate) metrics: Arc<Metrics>,
    draining: AtomicBool,
}

/// Why a node could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// The folder for bodies in flight cannot be made.
    #[error("the data folder {} cannot be used", folder.display())]
    DataFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk tier cannot be used.
    #[error("the disk tier cannot be used")]
    Disk(#[source] DiskOpenError),
    /// What the node has applied of the purge log cannot be kept.
    #[error("what is applied of the purge log cannot be kept")]
    Known(#[source] LogOpenError),
    /// The purge log cannot be used.
    #[error("the purge log cannot be used")]
    PurgeLog(#[source] KeeperError),
    /// The parents cannot be asked over TLS.
    #[error("the parents cannot be asked")]
    Parents(#[source] TlsError),
    /// The files of TLS cannot be used.
    #[error("the files named in [tls] cannot be used")]
    Tls(#[source] TlsProblems),
    /// The sites cannot be made: two claim one host, or the origins of one cannot be asked over TLS.
    #[error("the sites cannot be used")]
    Sites(#[source] SitesError),
}

impl Node {
    /// A node ready to answer; nothing is bound yet.
    pub(crate) fn new(
        mut config: NodeConfig,
        clock: Arc<dyn Clock>,
        (secret, token): (Option<TierSecret>, AdminToken),
        log_home: LogHome,
        tls_port: Option<u16>,
    ) -> Result<Arc<Self>, MakeError> {
        let metrics = Metrics::new(config.tier.as_str(), &config.name);
        let transport = Transport::new(&config.upstream, metrics.upstream.clone());
        let tls = NodeTls::read(&config.tls, tls_port, &metrics.tls).map_err(MakeError::Tls)?;
        let links = links_up(&config, &transport, &tls)?;
        let parents = Arc::new(Group::parents(&config.parents, &config.upstream, &links));
        let roster = Roster::new(&config.upstream, &transport);
        let countries = config.countries.take();
        let sites = Sites::new(&config.sites, &countries, &parents, &roster, &metrics)
            .map_err(MakeError::Sites)?;
        let upstreams =
            Upstreams::new(&config, Arc::clone(&clock), secret.clone(), metrics.upstream.clone());
        let upstreams = Arc::new(upstreams);
        let elsewhere = config.purge.authority.is_some() || config.purge.nats.server.is_some();
        let keeps_log = config.parents.is_empty() && !elsewhere;
        let found = known_before(&config, keeps_log)?;
        let purges = Arc::new(View::new(found.ledger.clone(), keeps_log, config.purge.lease));
        let known = Known::new(found, &purges, &metrics.purge);
        let push = Arc::new(Push::new(&config, metrics.push.clone()));
        let parts = LogParts { view: &purges, push: &push, upstreams: &upstreams, links: &links };
        let nats = Nats::configured(&config, shared_id(secret.as_ref(), &tls), &known, &metrics);
        let log: Arc<dyn Log> = match &nats {
            Some(nats) => Arc::new(nats.clone()),
            None => purge_log(&config, log_home, parts)?,
        };
        let fill_disk = Budget::new(config.fill.spill_max.as_u64());
        let folder = spill_folder(&config);
        let spill = SpillSpace::open(&folder, Arc::clone(&fill_disk))
            .map_err(|source| MakeError::DataFolder { folder, source })?;
        let disk = disk::open(&config, &clock, &purges, &metrics).map_err(MakeError::Disk)?;
        let hop = hop_identity(&config, shared_id(secret.as_ref(), &tls));
        Ok(Arc::new(Self {
            hop,
            sites: ArcSwap::from_pointee(sites),
            tokens: ArcSwap::from_pointee(Tokens::new(token, &config.admin_api.tokens)),
            parents,
            roster,
            tls: Arc::new(tls),
            checks: Checks::default(),
            limits: Limits::new(&config),
            room: Room::default(),
            tunnels: Tunnels::new(),
            upstreams,
            purges,
            known,
            log,
            keeps_log,
            nats,
            boot_clock: BootClock,
            reporter: Reporter::new(&config),
            implied: Implied::new(),
            push,
            store: Store::new(store_limits(&config), disk),
            fills: FillTable::new(config.limits.waiters_max),
            // Bodies on their way into the store may take a quarter of it on top.
            fill_memory: Budget::new(config.store.memory.as_u64() / 4),
            fill_disk,
            spill,
            unshared: RecentKeys::new(Arc::clone(&clock), UNSHARED_FOR),
            slices: Arc::default(),
            unsliced: RecentKeys::new(Arc::clone(&clock), UNSHARED_FOR),
            unrefreshed: RecentKeys::new(Arc::clone(&clock), REFRESH_AGAIN_AFTER),
            metrics,
            draining: AtomicBool::new(false),
            clock,
            secret,
            config,
        }))
    }

    /// What reading a request at `now` needs.
    pub(crate) fn reading(&self, now: Now) -> Reading<'_> {
        Reading {
            secret: self.secret.as_ref(),
            now_secs: now.wall.as_secs(),
            url_max: usize::try_from(self.config.limits.url_max.as_u64()).unwrap_or(usize::MAX),
            fields_max: self.config.limits.fields_max,
            proof_failures: &self.metrics.proof_failures,
        }
    }

    /// Takes the sites, the countries and the admin tokens of `config` from the next request on; the cache and all
    /// connections stay.
    pub(crate) fn replace(&self, config: &NodeConfig) -> Result<(), SitesError> {
        let countries = config.countries.countries();
        let (parents, roster) = (&self.parents, &self.roster);
        let sites = Sites::new(&config.sites, countries, parents, roster, &self.metrics)?;
        if let Some(tokens) = self.tokens.load().with(&config.admin_api.tokens) {
            self.tokens.store(Arc::new(tokens));
        }
        self.sites.store(Arc::new(sites));
        self.begin_checks();
        Ok(())
    }

    /// Checks the servers that this node may ask from now on, as the present sites say.
    pub(crate) fn begin_checks(&self) {
        let mut wanted = of_parents(&self.parents, &self.config.upstream);
        for site in self.sites.load().all() {
            wanted.extend(of_origins(&site.upstream, &site.origin, site.origin_host.as_deref()));
        }
        self.checks.set(&self.upstreams, wanted);
    }

    /// The names of all sites, in the order of the configuration.
    pub(crate) fn site_names(&self) -> Vec<String> {
        self.sites.load().all().iter().map(|site| site.name.clone()).collect()
    }

    /// Says from now on that the node goes away.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether the node goes away.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// The values that are read rather than counted.
    pub(crate) async fn readings(&self) -> Readings {
        let store = self.store.stats().await;
        Readings {
            tunnels_active: self.tunnels.active(),
            fills_active: self.fills.active(),
            fill_waiters: self.fills.waiting(),
            fill_memory_bytes: self.fill_memory.used(),
            fill_spill_bytes: self.fill_disk.used(),
            store_bytes: store.bytes,
            store_keys: store.keys,
            evictions: store.evictions,
            rejected: store.rejected,
            variants_dropped: self.store.variants_dropped(),
            disk: self.disk_stats().await,
            disk_late: self.store.late_lookups(),
            purge_applied: self.purges.as_of().map_or(0, |as_of| as_of.seq),
            purge_fenced: self.purges.is_fenced(),
            purge_named: self.purges.named(),
            upstreams: self.upstream_sights(),
            countries_built: self.sites.load().countries().built().unwrap_or_default(),
        }
    }

    /// What the disk tier holds; `None` where there is none.
    pub(crate) async fn disk_stats(&self) -> Option<DiskStats> {
        let tier = Arc::clone(self.store.disk()?);
        tokio::task::spawn_blocking(move || tier.stats()).await.ok()
    }

    /// Every upstream once; one that a site has as more than a backup is shown so.
    pub(crate) fn upstream_sights(&self) -> Vec<Sight> {
        let now = self.clock.now().monotonic;
        let sites = self.sites.load();
        let groups = sites.all().iter().map(|site| &site.upstream);
        let mut seats: Vec<_> =
            groups.chain(std::iter::once(&self.parents)).flat_map(|group| group.seats()).collect();
        seats.sort_by_key(|seat| seat.backup);
        let mut seen = HashSet::new();
        seats.retain(|seat| seen.insert(Arc::as_ptr(&seat.member)));
        seats.into_iter().map(|seat| seat.member.sight(now, seat.backup)).collect()
    }
}

/// Where the purge log of a node that keeps one outlives it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogHome {
    /// In the node's data folder where it has one, else nowhere.
    #[default]
    DataFolder,
    /// The same, and every node that follows the log lives in this process: none can hold a lease from
    /// before it began.
    OneProcess,
}

/// What a log is made with.
#[derive(Clone, Copy)]
struct LogParts<'a> {
    view: &'a Arc<View>,
    push: &'a Arc<Push>,
    upstreams: &'a Arc<Upstreams>,
    links: &'a Links,
}

/// What an earlier run of the node has applied. One that keeps the log has it there, and leaves nothing
/// that a later run, if that follows another, could take for all.
fn known_before(config: &NodeConfig, keeps_log: bool) -> Result<Found, MakeError> {
    let Some(folder) = config.data_dir.as_ref().map(|folder| folder.join("purges")) else {
        return Ok(Found::nothing());
    };
    if keeps_log {
        disown(&folder).map_err(|source| MakeError::DataFolder { folder, source })?;
        return Ok(Found::nothing());
    }
    Found::in_folder(&folder).map_err(MakeError::Known)
}

/// The log of a node: its own, or the one that its parents or the named authority lead to.
fn purge_log(
    config: &NodeConfig,
    home: LogHome,
    parts: LogParts<'_>,
) -> Result<Arc<dyn Log>, MakeError> {
    let above = match &config.purge.authority {
        Some(authority) => std::slice::from_ref(authority),
        None => config.parents.as_slice(),
    };
    if above.is_empty() {
        let place = match &config.data_dir {
            Some(folder) => Place::Folder(folder.join("purge-log")),
            None => Place::Memory,
        };
        let making = Making {
            name: &config.name,
            lease: config.purge.lease,
            place: &place,
            alone: home == LogHome::OneProcess,
            view: Arc::clone(parts.view),
            push: (Arc::clone(parts.push), &config.push),
        };
        return Ok(Arc::new(Authority::open(making).map_err(MakeError::PurgeLog)?));
    }
    // Connections and health of their own: however busy the data is, purges get through.
    let parents = Arc::new(Group::of_log(above, &config.upstream, parts.links));
    Ok(Arc::new(Above::new(&config.name, Arc::clone(parts.upstreams), parents)))
}

fn store_limits(config: &NodeConfig) -> StoreLimits {
    StoreLimits {
        memory_bytes_max: config.store.memory.as_u64(),
        object_bytes_max: config.store.object_max.as_u64(),
        memory_object_bytes_max: config.store.memory_object_max().as_u64(),
        variants_max: config.store.variants_max,
        memory_kind: config.store.memory_kind,
        goal: config.store.goal,
    }
}

/// Bodies in flight lie beside nothing else, so that a stray file there is ours to judge.
fn spill_folder(config: &NodeConfig) -> PathBuf {
    config.data_dir.clone().unwrap_or_else(std::env::temp_dir).join("weir-fills")
}

/// The name of the CDN that its nodes agree on: by their secret, or by who vouches for them.
fn shared_id<'a>(secret: Option<&'a TierSecret>, tls: &'a NodeTls) -> Option<&'a str> {
    secret.map(TierSecret::cdn_id).or(tls.cdn_id.as_deref())
}

/// How the nodes above are asked, the one that keeps the purge log included.
fn links_up(
    config: &NodeConfig,
    transport: &Arc<Transport>,
    tls: &NodeTls,
) -> Result<Links, MakeError> {
    let above = config.parents.iter().chain(&config.purge.authority);
    let tiers = (tls.towards_parents(), config.tls.tier_name.as_deref());
    transport.to_nodes(above, tiers).map_err(MakeError::Parents)
}

/// The names this node goes by in Via and CDN-Loop.
fn hop_identity(config: &NodeConfig, shared_id: Option<&str>) -> HopIdentity {
    let cdn_id = shared_id.map_or_else(random_cdn_id, str::to_owned);
    let (node, tier) = (config.name.clone(), config.tier.as_str().to_owned());
    // It tells nodes of one name in two CDNs apart.
    let via = format!("{node}.{cdn_id}");
    HopIdentity { cdn_id, node, tier, via }
}

/// A CDN of one node has nothing to derive its name from.
fn random_cdn_id() -> String {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => format!("weir-{}", hex8(&bytes)),
        Err(_) => format!("weir-{:08x}", std::process::id()),
    }
}
