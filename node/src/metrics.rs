//! What is counted, under which names?
//!
//! Prometheus text with `weir_` names, base units and few labels: never a URL, an address or a user
//! agent. Handles that the hit path needs are looked up once per site, not per request.

mod disk;
mod tls;
mod tunnel;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use weir_access::Denial;
use weir_store::DiskStats;

use crate::countries::Located;
use crate::upstream::Sight;

use disk::DiskMetrics;
pub(crate) use tls::{Handshake, TlsMetrics};
pub(crate) use tunnel::TunnelMetrics;
pub(crate) use upstream::UpstreamMetrics;

/// What this node did for a request, for people who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CacheOutcome {
    /// Passed on without touching the store.
    Bypass,
    /// Refused by the access rules or the limits of its site.
    Denied,
    /// Answered by this node alone, with an error.
    Error,
    /// Answered from the store, fresh.
    Hit,
    /// Fetched, or taken from a fetch in flight.
    Miss,
    /// Answered from the store, stale.
    Stale,
}

impl CacheOutcome {
    const ALL: [Self; 6] =
        [Self::Bypass, Self::Denied, Self::Error, Self::Hit, Self::Miss, Self::Stale];

    /// The word used as a label and in the access log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Denied => "denied",
            Self::Error => "error",
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
        }
    }
}

impl EncodeLabelValue for CacheOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SiteOutcome {
    site: String,
    cache: CacheOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SiteReason {
    pub(crate) site: String,
    pub(crate) reason: &'static str,
}

/// A key that requests are signed with: its name, which is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SiteKey {
    site: String,
    key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
}

/// What was found of what was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Found {
    found: &'static str,
}

/// What a second opinion says.
#[cfg(feature = "policy-audit")]
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Verdict {
    pub(crate) verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct UpstreamName {
    pub(crate) upstream: String,
}

/// Seconds to the response head: from a memory hit to a slow origin.
const HEAD_SECONDS: [f64; 12] =
    [0.000_05, 0.000_2, 0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Clone)]
struct HeadSeconds;

impl MetricConstructor<Histogram> for HeadSeconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(HEAD_SECONDS)
    }
}

/// The counters of one outcome at one site.
#[derive(Debug, Clone)]
pub(crate) struct OutcomeMetrics {
    /// Requests answered.
    pub(crate) requests: Counter,
    /// Body bytes sent.
    pub(crate) bytes: Counter,
    /// Time to the response head.
    pub(crate) head_seconds: Histogram,
}

/// The counters of one site, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct SiteMetrics {
    outcomes: [OutcomeMetrics; 6],
}

impl SiteMetrics {
    /// The counters of `outcome`.
    pub(crate) fn of(&self, outcome: CacheOutcome) -> &OutcomeMetrics {
        let [bypass, denied, error, hit, miss, stale] = &self.outcomes;
        match outcome {
            CacheOutcome::Bypass => bypass,
            CacheOutcome::Denied => denied,
            CacheOutcome::Error => error,
            CacheOutcome::Hit => hit,
            CacheOutcome::Miss => miss,
            CacheOutcome::Stale => stale,
        }
    }
}

/// Everything a node counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<SiteOutcome, Counter>,
    bytes: Family<SiteOutcome, Counter>,
    head_seconds: Family<SiteOutcome, Histogram, HeadSeconds>,
    /// Why requests went upstream, by site (the `fwd` tokens of RFC 9211).
    pub(crate) forwards: Family<SiteReason, Counter>,
    /// Why responses were not stored, by site.
    pub(crate) not_stored: Family<SiteReason, Counter>,
    /// What a second opinion says of decisions about storing.
    #[cfg(feature = "policy-audit")]
    pub(crate) policy_audit: Family<Verdict, Counter>,
    /// Requests refused before anything was looked up.
    pub(crate) refused: Family<Reason, Counter>,
    /// Requests of the admin API that were not let in.
    pub(crate) admin_refused: Family<Reason, Counter>,
    /// Lines of its audit log that could not be written.
    pub(crate) admin_audit_failures: Counter,
    /// Requests refused by the access rules of their site.
    pub(crate) denied: Family<SiteReason, Counter>,
    /// Requests that met a limit of what clients may cost; the site is empty where the limit is the node's.
    limited: Family<SiteReason, Counter>,
    /// Requests with a signature that was accepted, by site and key.
    signed: Family<SiteKey, Counter>,
    /// Clients whose country was asked for.
    located: Family<Found, Counter>,
    /// Requests that joined a fill in flight.
    pub(crate) collapsed: Counter,
    /// Fills begun.
    pub(crate) fills: Counter,
    /// Fills that ended without a whole response.
    pub(crate) fills_failed: Counter,
    /// Bodies that broke off midway, by what came of looking for their rest.
    pub(crate) fills_resumed: Family<Reason, Counter>,
    /// Bodies too large for memory whose bytes could not be set aside on disk.
    pub(crate) spill_failures: Counter,
    /// Bodies from a parent that did not have their digest.
    pub(crate) integrity_failures: Counter,
    /// Requests whose proof of being a child did not hold.
    pub(crate) proof_failures: Counter,
    /// Broken invariants: each one is a bug, treated as a miss.
    pub(crate) panics: Counter,
    /// Clients connected.
    pub(crate) connections: Gauge,
    /// Connections closed at once because there are too many.
    pub(crate) connections_refused: Family<Reason, Counter>,
    /// Times that accepting connections paused for want of descriptors.
    pub(crate) accept_pauses: Counter,
    /// Connections that the node ended before their client wanted that.
    pub(crate) connections_cut: Family<Reason, Counter>,
    /// TLS to clients.
    pub(crate) tls: TlsMetrics,
    /// Access log lines dropped because the writer was behind.
    pub(crate) upstream: UpstreamMetrics,
    /// Tunnels that have ended.
    pub(crate) tunnels: TunnelMetrics,
    /// Slices of large bodies, by where they came from.
    pub(crate) slices: Family<Reason, Counter>,
    /// Of the disk tier.
    pub(crate) disk: DiskMetrics,
    /// What concerns the purge log.
    pub(crate) purge: PurgeMetrics,
    /// What concerns push mode.
    pub(crate) push: PushMetrics,
    gauges: Gauges,
    upstream_healthy: Family<UpstreamName, Gauge>,
    upstream_outstanding: Family<UpstreamName, Gauge>,
    upstream_waiting: Family<UpstreamName, Gauge>,
}

/// The counters of the purge log.
#[derive(Debug, Clone, Default)]
pub(crate) struct PurgeMetrics {
    /// Entries applied.
    pub(crate) applied: Counter,
    /// Reports to the log that were not answered.
    pub(crate) report_failures: Counter,
    /// Requests for which nothing stored was trusted, because this node was cut off from the log.
    pub(crate) fenced_requests: Counter,
    /// Requests of children that were further in the log than this node, and stayed so.
    pub(crate) behind: Counter,
    /// Responses stored with more tags than are kept, which every purge by tag matches.
    pub(crate) overflowing_tags: Counter,
    /// Invalidations by passing requests that did not get into the log.
    pub(crate) unrecorded: Counter,
    /// Files of what was applied before that could not be believed.
    pub(crate) known_unread: Counter,
    /// Times that what was applied could not be written down.
    pub(crate) known_unwritten: Counter,
}

/// The counters of push mode.
#[derive(Debug, Clone, Default)]
pub(crate) struct PushMetrics {
    /// Preloads made, on the node that keeps the purge log.
    pub(crate) tasks: Counter,
    /// The same of what grew hot.
    pub(crate) hot: Counter,
    /// Objects put, on the node that stored them.
    pub(crate) puts: Counter,
    /// URLs worked on.
    pub(crate) urls: Counter,
    /// Those that were fresh already.
    pub(crate) hits: Counter,
    /// Those given up.
    pub(crate) failed: Counter,
    /// Fetches tried again.
    pub(crate) retries: Counter,
    /// Body bytes fetched.
    pub(crate) bytes: Counter,
    /// URLs fetched again after a purge.
    pub(crate) refills: Counter,
    /// Purges whose hottest responses found no room in the queue.
    pub(crate) refills_dropped: Counter,
    /// Times that a fetch waited because clients' own fills were many.
    pub(crate) made_way: Counter,
}

/// Values read at the moment of a scrape.
#[derive(Debug, Clone, Default)]
struct Gauges {
    tunnels_active: Gauge,
    fills_active: Gauge,
    fill_waiters: Gauge,
    fill_memory_bytes: Gauge,
    fill_spill_bytes: Gauge,
    store_bytes: Gauge,
    store_keys: Gauge,
    evictions: Counter<u64, AtomicU64>,
    rejected: Counter<u64, AtomicU64>,
    variants_dropped: Counter<u64, AtomicU64>,
    purge_applied: Gauge,
    purge_fenced: Gauge,
    purge_named: Gauge,
    countries_built: Gauge,
}

/// What [`Metrics::render`] puts into the gauges.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readings {
    pub(crate) fills_active: usize,
    pub(crate) fill_waiters: usize,
    pub(crate) fill_memory_bytes: u64,
    pub(crate) fill_spill_bytes: u64,
    pub(crate) store_bytes: u64,
    pub(crate) store_keys: u64,
    pub(crate) evictions: u64,
    pub(crate) rejected: u64,
    pub(crate) variants_dropped: u64,
    /// The disk tier; `None` where there is none.
    pub(crate) disk: Option<DiskStats>,
    /// Lookups that did not wait for the disk any longer.
    pub(crate) disk_late: u64,
    pub(crate) purge_applied: u64,
    pub(crate) purge_fenced: bool,
    pub(crate) purge_named: usize,
    pub(crate) upstreams: Vec<Sight>,
    /// When the database of countries was made, in seconds since 1970; 0 where there is none.
    pub(crate) countries_built: u64,
    /// Tunnels.
    pub(crate) tunnels_active: usize,
}

impl Metrics {
    /// Counters for a node of `tier`, all at zero.
    pub(crate) fn new(tier: &'static str, node: &str) -> Arc<Self> {
        let labels = [("tier".into(), tier.into()), ("node".into(), node.to_owned().into())];
        let registry = Registry::with_prefix_and_labels("weir", labels.into_iter());
        let mut metrics = Self {
            registry,
            requests: Family::default(),
            bytes: Family::default(),
            head_seconds: Family::new_with_constructor(HeadSeconds),
            forwards: Family::default(),
            not_stored: Family::default(),
            #[cfg(feature = "policy-audit")]
            policy_audit: Family::default(),
            refused: Family::default(),
            admin_refused: Family::default(),
            admin_audit_failures: Counter::default(),
            denied: Family::default(),
            limited: Family::default(),
            signed: Family::default(),
            located: Family::default(),
            collapsed: Counter::default(),
            fills: Counter::default(),
            fills_failed: Counter::default(),
            fills_resumed: Family::default(),
            spill_failures: Counter::default(),
            integrity_failures: Counter::default(),
            proof_failures: Counter::default(),
            panics: Counter::default(),
            connections: Gauge::default(),
            connections_refused: Family::default(),
            accept_pauses: Counter::default(),
            connections_cut: Family::default(),
            tls: TlsMetrics::default(),
            upstream: UpstreamMetrics::default(),
            tunnels: TunnelMetrics::default(),
            slices: Family::default(),
            disk: DiskMetrics::default(),
            purge: PurgeMetrics::default(),
            push: PushMetrics::default(),
            gauges: Gauges::default(),
            upstream_healthy: Family::default(),
            upstream_outstanding: Family::default(),
            upstream_waiting: Family::default(),
        };
        metrics.register_requests();
        metrics.register_admin();
        metrics.register_fills();
        metrics.register_upstreams();
        metrics.register_purge();
        metrics.register_push();
        metrics.register_gauges();
        Arc::new(metrics)
    }

    fn register_admin(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "admin_refused",
            "Requests of the admin API that were not let in",
            self.admin_refused.clone(),
        );
        registry.register(
            "admin_audit_failures",
            "Lines of the audit log that could not be written",
            self.admin_audit_failures.clone(),
        );
    }

    fn register_requests(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests by cache outcome", self.requests.clone());
        registry.register_with_unit(
            "response",
            "Body bytes sent, by cache outcome",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register_with_unit(
            "response_head",
            "Time from request to response head",
            Unit::Seconds,
            self.head_seconds.clone(),
        );
        registry.register("forwards", "Requests that went upstream", self.forwards.clone());
        registry.register("refused", "Requests refused at the door", self.refused.clone());
        registry.register(
            "denied",
            "Requests refused by the access rules of their site",
            self.denied.clone(),
        );
        registry.register(
            "signed_requests",
            "Requests whose signature was accepted, by the key of it",
            self.signed.clone(),
        );
        registry.register(
            "limited",
            "Requests that met a limit of what clients may cost",
            self.limited.clone(),
        );
        registry.register(
            "country_lookups",
            "Clients whose country a rule asked for, by what the country file says",
            self.located.clone(),
        );
        registry.register("connections", "Clients connected", self.connections.clone());
        registry.register(
            "connections_refused",
            "Connections closed because there are too many",
            self.connections_refused.clone(),
        );
        registry.register(
            "accept_pauses",
            "Times that accepting connections paused for want of descriptors",
            self.accept_pauses.clone(),
        );
        registry.register(
            "connections_cut",
            "Connections ended because their clients were slow, or idle while room was needed",
            self.connections_cut.clone(),
        );
        registry.register(
            "proof_failures",
            "Requests with a tier proof that did not hold",
            self.proof_failures.clone(),
        );
        self.tls.register(registry);
        registry.register("panics", "Requests ended by a bug of ours", self.panics.clone());
    }

    fn register_fills(&mut self) {
        let registry = &mut self.registry;
        registry.register("fills", "Fills begun", self.fills.clone());
        registry.register("fills_failed", "Fills without a whole body", self.fills_failed.clone());
        registry.register(
            "fills_resumed",
            "Bodies that broke off midway, by what came of looking for their rest",
            self.fills_resumed.clone(),
        );
        registry.register(
            "collapsed_requests",
            "Requests that joined a fill in flight",
            self.collapsed.clone(),
        );
        registry.register(
            "integrity_failures",
            "Bodies from a parent that did not have their digest",
            self.integrity_failures.clone(),
        );
        registry.register("not_stored", "Responses not stored", self.not_stored.clone());
        #[cfg(feature = "policy-audit")]
        registry.register(
            "policy_audit",
            "Decisions about storing, by what a second opinion says",
            self.policy_audit.clone(),
        );
        registry.register(
            "spill_failures",
            "Large bodies that could not be set aside on disk",
            self.spill_failures.clone(),
        );
    }

    fn register_upstreams(&mut self) {
        self.upstream.register(&mut self.registry);
        self.register_servers();
        self.tunnels.register(&mut self.registry);
        self.registry.register(
            "slices",
            "Slices of large bodies that were wanted, by where they came from",
            self.slices.clone(),
        );
        self.disk.register(&mut self.registry);
    }

    fn register_servers(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "upstream_healthy",
            "1 unless the upstream is passed over",
            self.upstream_healthy.clone(),
        );
        registry.register(
            "upstream_outstanding",
            "Requests in flight to the upstream",
            self.upstream_outstanding.clone(),
        );
        registry.register(
            "upstream_waiting",
            "Requests that wait for a connection to the upstream",
            self.upstream_waiting.clone(),
        );
    }

    fn register_purge(&mut self) {
        let registry = &mut self.registry;
        let purge = &self.purge;
        registry.register("purges_applied", "Purge log entries applied", purge.applied.clone());
        registry.register(
            "purge_report_failures",
            "Reports to the purge log without an answer",
            purge.report_failures.clone(),
        );
        registry.register(
            "purge_fenced_requests",
            "Requests answered without trusting the store, cut off from the purge log",
            purge.fenced_requests.clone(),
        );
        registry.register(
            "purge_behind_requests",
            "Requests of children that know purges this node does not",
            purge.behind.clone(),
        );
        registry.register(
            "purge_overflowing_tags",
            "Responses stored with more tags than are kept: every purge by tag matches them",
            purge.overflowing_tags.clone(),
        );
        registry.register(
            "purge_unrecorded",
            "Invalidations by passing requests that the purge log has not",
            purge.unrecorded.clone(),
        );
        registry.register(
            "purge_known_unread",
            "Files of what was applied before that could not be read: what lies on disk is validated",
            purge.known_unread.clone(),
        );
        registry.register(
            "purge_known_unwritten",
            "Times that what is applied of the purge log could not be written down",
            purge.known_unwritten.clone(),
        );
    }

    fn register_push(&mut self) {
        let (registry, push) = (&mut self.registry, &self.push);
        registry.register("preload_tasks", "Preloads made", push.tasks.clone());
        registry.register("push_hot", "Preloads of what grew hot", push.hot.clone());
        registry.register("puts", "Objects put", push.puts.clone());
        registry.register("preload_urls", "URLs preloaded", push.urls.clone());
        registry.register("preload_hits", "URLs that were fresh already", push.hits.clone());
        registry.register("preload_failed", "URLs given up", push.failed.clone());
        registry.register("preload_retries", "Fetches tried again", push.retries.clone());
        registry.register_with_unit(
            "preload",
            "Body bytes fetched by preloads",
            Unit::Bytes,
            push.bytes.clone(),
        );
        registry.register(
            "preload_refills",
            "URLs fetched again after a purge",
            push.refills.clone(),
        );
        registry.register(
            "preload_refills_dropped",
            "Purges whose hottest responses found no room in the queue",
            push.refills_dropped.clone(),
        );
        registry.register(
            "preload_made_way",
            "Times that a fetch waited for clients' own",
            push.made_way.clone(),
        );
    }

    fn register_gauges(&mut self) {
        let registry = &mut self.registry;
        let gauges = &self.gauges;
        registry.register("tunnels_active", "Tunnels", gauges.tunnels_active.clone());
        registry.register("fills_active", "Fills in flight", gauges.fills_active.clone());
        registry.register(
            "fill_waiters",
            "Requests on another's fill",
            gauges.fill_waiters.clone(),
        );
        registry.register_with_unit(
            "fill_memory",
            "Bodies in flight held in memory to be stored",
            Unit::Bytes,
            gauges.fill_memory_bytes.clone(),
        );
        registry.register_with_unit(
            "fill_spill",
            "Bodies in flight on disk",
            Unit::Bytes,
            gauges.fill_spill_bytes.clone(),
        );
        registry.register_with_unit(
            "store",
            "Bytes stored, heads and overhead included",
            Unit::Bytes,
            gauges.store_bytes.clone(),
        );
        registry.register("store_keys", "Keys stored", gauges.store_keys.clone());
        registry.register("evictions", "Keys dropped for room", gauges.evictions.clone());
        registry.register("rejected", "Keys not kept when they came", gauges.rejected.clone());
        registry.register(
            "variants_dropped",
            "Variants dropped because their key had too many",
            gauges.variants_dropped.clone(),
        );
        registry.register(
            "purge_applied_seq",
            "Purge log position applied",
            gauges.purge_applied.clone(),
        );
        registry.register(
            "purge_fenced",
            "1 while this node is cut off from the purge log",
            gauges.purge_fenced.clone(),
        );
        registry.register(
            "purge_named",
            "Things named by the purges known one by one",
            gauges.purge_named.clone(),
        );
        registry.register_with_unit(
            "country_file_built_timestamp",
            "When the database of countries was made, since 1970; 0 without one",
            Unit::Seconds,
            gauges.countries_built.clone(),
        );
    }

    /// The counters of the site called `name`.
    pub(crate) fn site(&self, name: &str) -> SiteMetrics {
        let outcomes = CacheOutcome::ALL.map(|cache| {
            let labels = SiteOutcome { site: name.to_owned(), cache };
            OutcomeMetrics {
                requests: self.requests.get_or_create(&labels).clone(),
                bytes: self.bytes.get_or_create(&labels).clone(),
                head_seconds: self.head_seconds.get_or_create(&labels).clone(),
            }
        });
        SiteMetrics { outcomes }
    }

    /// Lets the reasons of refusals at the site `name` be seen before there is one.
    pub(crate) fn expect_denials(&self, name: &str) {
        for reason in Denial::WORDS {
            let labels = SiteReason { site: name.to_owned(), reason };
            drop(self.denied.get_or_create(&labels));
        }
    }

    /// Counts a request that met the limit `reason`: one of `site`, or of the node where that is empty.
    pub(crate) fn note_limited(&self, site: &str, reason: &'static str) {
        self.limited.get_or_create(&SiteReason { site: site.to_owned(), reason }).inc();
    }

    /// Counts a request of the site `name` that was signed with `key`.
    pub(crate) fn note_signed(&self, name: &str, key: &str) {
        let labels = SiteKey { site: name.to_owned(), key: key.to_owned() };
        self.signed.get_or_create(&labels).inc();
    }

    /// Counts a client whose country was asked for.
    pub(crate) fn note_located(&self, located: Located) {
        self.located.get_or_create(&Found { found: located.as_str() }).inc();
    }

    /// All counters as Prometheus text (OpenMetrics 1.0).
    pub(crate) fn render(&self, readings: &Readings) -> String {
        self.read(readings);
        let mut text = String::new();
        // Writing to a String fails only if a value refuses to be written; none of ours does.
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            tracing::error!("a metric could not be written");
        }
        text
    }

    fn read(&self, readings: &Readings) {
        let gauges = &self.gauges;
        gauges.tunnels_active.set(signed(readings.tunnels_active as u64));
        gauges.fills_active.set(signed(readings.fills_active as u64));
        gauges.fill_waiters.set(signed(readings.fill_waiters as u64));
        gauges.fill_memory_bytes.set(signed(readings.fill_memory_bytes));
        gauges.fill_spill_bytes.set(signed(readings.fill_spill_bytes));
        gauges.store_bytes.set(signed(readings.store_bytes));
        gauges.store_keys.set(signed(readings.store_keys));
        gauges.purge_applied.set(signed(readings.purge_applied));
        gauges.purge_fenced.set(i64::from(readings.purge_fenced));
        gauges.purge_named.set(signed(readings.purge_named as u64));
        gauges.countries_built.set(signed(readings.countries_built));
        let evictions = readings.evictions.saturating_sub(gauges.evictions.get());
        gauges.evictions.inc_by(evictions);
        let rejected = readings.rejected.saturating_sub(gauges.rejected.get());
        gauges.rejected.inc_by(rejected);
        let dropped = readings.variants_dropped.saturating_sub(gauges.variants_dropped.get());
        gauges.variants_dropped.inc_by(dropped);
        if let Some(disk) = &readings.disk {
            self.disk.read(disk, readings.disk_late);
        }
        for upstream in &readings.upstreams {
            let name = UpstreamName { upstream: upstream.address.clone() };
            let healthy = upstream.state.is_usable();
            self.upstream_healthy.get_or_create(&name).set(i64::from(healthy));
            let outstanding = i64::from(upstream.outstanding);
            self.upstream_outstanding.get_or_create(&name).set(outstanding);
            self.upstream_waiting.get_or_create(&name).set(signed(upstream.waiting as u64));
        }
    }

    /// Requests and body bytes by outcome, all sites together: for `/v1/stats`.
    pub(crate) fn totals(&self, sites: &[String]) -> Vec<(CacheOutcome, u64, u64)> {
        CacheOutcome::ALL
            .into_iter()
            .map(|cache| {
                let of = |site: &String| SiteOutcome { site: site.clone(), cache };
                let requests = sites.iter().map(|s| self.requests.get_or_create(&of(s)).get());
                let bytes = sites.iter().map(|s| self.bytes.get_or_create(&of(s)).get());
                (cache, requests.sum(), bytes.sum())
            })
            .collect()
    }
}

/// A reading as a gauge value; gauges are signed.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
