//! What a node is told: every value checked, with its unit in its type.
//!
//! Values come from a file by way of `keys`, or are set by a program such as `weir up`. How a key
//! is written, its range and its meaning stand in `keys`; the defaults stand here.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use http::header::{AGE, DATE, VIA};
use http::{HeaderName, StatusCode};
use weir_cache::purge::TAG_FIELDS;
use weir_cache::{HostPattern, KeyRules, Policy, Profile, RuleSet};

use super::access::SiteAccess;
use super::address::UpstreamAddr;
use super::admin::AdminConfig;
use super::country_file::CountryFile;
use super::limits::{LimitsConfig, SiteLimits};
use super::origin::{OriginConfig, OriginServer};
use super::store::StoreConfig;
use super::tls::{SiteTls, TlsConfig};
use super::units::ByteSize;

/// Role of a node in the chain from the client to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Asked by clients.
    Edge,
    /// Asked by edges.
    Regional,
    /// Asked by regionals; asks the origins.
    Shield,
}

impl Tier {
    /// Returns the name used in response fields, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Regional => "regional",
            Self::Shield => "shield",
        }
    }
}

/// What the binary of a tier brings along; a file may change all but the tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierDefaults {
    /// Role of the node; no file can change it.
    pub tier: Tier,
    /// Name of the node.
    pub name: String,
    /// Address for requests.
    pub listen: SocketAddr,
    /// Address of the admin API. Its IP address is also kept where only `listen` is set, so that
    /// opening a node to the network never opens its admin API.
    pub admin: SocketAddr,
}

/// What is answered to a request for a host that no site has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnknownHost {
    /// 421, which lets a client try another connection (RFC 9110 §15.5.20).
    #[default]
    Misdirected,
    /// 404, for clients that do not know 421.
    NotFound,
}

impl UnknownHost {
    /// Returns the status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }
}

/// Everything a node is told.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// Name of the node, a token of at most 64 characters.
    pub name: String,
    /// Role of the node.
    pub tier: Tier,
    /// Address for requests; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Address of the admin API; port 0 lets the system choose.
    pub admin: SocketAddr,
    /// Nodes of the next tier. Empty: the node asks the origins of its sites.
    pub parents: Vec<UpstreamAddr>,
    /// Worker threads; `None` for one a CPU.
    pub workers: Option<NonZeroUsize>,
    /// Directory for files; `None` for the temporary directory of the system.
    pub data_dir: Option<PathBuf>,
    /// Whether HTTP/2 is spoken without TLS with those who begin with it.
    pub h2c: bool,
    /// Whether plain requests over TCP for what lies in memory are answered before all else looks at them.
    pub express: bool,
    /// Answer to a request for a host that no site has.
    pub unknown_host: UnknownHost,
    /// Where addresses are.
    pub countries: CountryFile,
    /// How long requests in flight may take after a signal to stop.
    pub drain_grace: Duration,
    /// Who may use the admin API.
    pub admin_api: AdminConfig,
    /// Limits of the store.
    pub store: StoreConfig,
    /// Limits of fills.
    pub fill: FillConfig,
    /// How upstreams are asked.
    pub upstream: UpstreamConfig,
    /// How the node follows the purge log.
    pub purge: PurgeConfig,
    /// How responses are fetched before anyone asks.
    pub push: PushConfig,
    /// Limits that clients meet.
    pub limits: LimitsConfig,
    /// TLS to clients and between nodes.
    pub tls: TlsConfig,
    /// What is logged.
    pub log: LogConfig,
    /// Sites in the order of the files. Names and hosts are unique.
    pub sites: Vec<SiteConfig>,
}

impl NodeConfig {
    /// Makes the configuration of an empty file: defaults throughout and no site.
    pub fn with_defaults(defaults: &TierDefaults) -> Self {
        Self {
            name: defaults.name.clone(),
            tier: defaults.tier,
            listen: defaults.listen,
            admin: defaults.admin,
            parents: Vec::new(),
            workers: None,
            data_dir: None,
            h2c: false,
            express: true,
            unknown_host: UnknownHost::default(),
            countries: CountryFile::default(),
            drain_grace: Duration::from_secs(10),
            admin_api: AdminConfig::default(),
            store: StoreConfig::default(),
            fill: FillConfig::default(),
            upstream: UpstreamConfig::default(),
            purge: PurgeConfig::default(),
            push: PushConfig::default(),
            limits: LimitsConfig::default(),
            tls: TlsConfig::default(),
            log: LogConfig::default(),
            sites: Vec::new(),
        }
    }
}

/// Limits of fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillConfig {
    /// Bytes kept in memory of a body that is too large to store.
    pub window: ByteSize,
    /// Bytes of such bodies in flight on disk, all together.
    pub spill_max: ByteSize,
    /// A fill without readers is finished when at most this much of its body is left.
    pub background_max: ByteSize,
}

impl Default for FillConfig {
    fn default() -> Self {
        Self {
            window: ByteSize::from_mib(4),
            spill_max: ByteSize::from_gib(8),
            background_max: ByteSize::from_mib(1),
        }
    }
}

/// How upstreams, parents as well as origins, are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Time to connect, all addresses of a name together.
    pub connect_timeout: Duration,
    /// Time for the TLS handshake after that.
    pub tls_timeout: Duration,
    /// Time from the request to the head of the response.
    pub first_byte_timeout: Duration,
    /// Time without a byte of a body.
    pub idle_timeout: Duration,
    /// How long an unused connection is kept, if the upstream does not say that it keeps it for less.
    pub keepalive: Duration,
    /// Longest time for which the addresses of a name are used before they are asked for again.
    pub name_ttl_max: Duration,
    /// Connections to one upstream; requests in flight where it is asked over HTTP/2.
    pub connections_max: u32,
    /// How long a request waits for one of them.
    pub queue_timeout: Duration,
    /// Failures in a row after which an upstream is left out, 1 to 100.
    pub eject_after: u32,
    /// How long it is left out.
    pub eject_for: Duration,
    /// Upstreams tried for one request, the first one included, 1 to 10.
    pub tries_max: u32,
    /// How long the share of one that was left out grows to the whole; zero for at once.
    pub slow_start: Duration,
    /// Time between two checks of a parent; zero for none.
    pub parent_check_interval: Duration,
    /// Failures in a row of each server of a group from which on it is hardly asked, 1 to 100.
    pub open_after: u32,
    /// Requests that wait for a connection to one upstream.
    pub queue_max: usize,
    /// Statuses of an origin's answer with which another origin is asked.
    pub retry_statuses: Vec<u16>,
    /// Retries in percent of the requests to a group, 0 to 100.
    pub retry_budget: u8,
    /// Longest pause before the second retry of a request.
    pub backoff: Duration,
    /// Time for all tries of one request; `None` for no limit.
    pub total_timeout: Option<Duration>,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            tls_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            keepalive: Duration::from_secs(20),
            name_ttl_max: Duration::from_secs(60),
            connections_max: 512,
            queue_timeout: Duration::from_secs(1),
            eject_after: 1,
            eject_for: Duration::from_secs(2),
            tries_max: 3,
            slow_start: Duration::from_secs(10),
            parent_check_interval: Duration::from_secs(2),
            open_after: 5,
            queue_max: 1_000,
            retry_statuses: vec![502, 503, 504],
            retry_budget: 20,
            backoff: Duration::from_millis(25),
            total_timeout: None,
        }
    }
}

/// How the node follows the purge log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeConfig {
    /// How long a node may reuse what it stores without hearing from the log. Set where the log is
    /// kept; the other nodes are told.
    pub lease: Duration,
    /// How long a purge is known one by one. Where nothing outlives the node, an hour at most.
    pub known_for: Duration,
    /// The node that keeps the log. `None`: the one that the parents lead to, or this node itself where
    /// it has none.
    pub authority: Option<UpstreamAddr>,
    /// The log on NATS, which then takes the place of a node that keeps it.
    pub nats: NatsConfig,
}

impl Default for PurgeConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(5),
            known_for: Duration::from_secs(7 * 24 * 60 * 60),
            authority: None,
            nats: NatsConfig::default(),
        }
    }
}

/// The purge log on NATS JetStream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsConfig {
    /// `nats://host:port` of a server; it names the others of its cluster. `None`: no log on NATS.
    pub server: Option<String>,
    /// Name of the stream; `None` for one made from the name of the CDN.
    pub stream: Option<String>,
    /// Servers that keep a copy of the stream, 1 to 5, where this node makes it.
    pub replicas: usize,
    /// File with `user:password`; `None` for a server that asks for none.
    pub credentials: Option<PathBuf>,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self { server: None, stream: None, replicas: 1, credentials: None }
    }
}

/// How responses are fetched before anyone asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushConfig {
    /// Fetches of preloads at once.
    pub concurrency: usize,
    /// Fetches of preloads begun a second; zero for no limit.
    pub rate: u32,
    /// Requests a minute on one edge from which a URL is pushed to the others; zero for never.
    pub hot_per_minute: u32,
    /// URLs pushed so a minute. Counts where the purge log is kept.
    pub hot_pushes_per_minute: u32,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self { concurrency: 8, rate: 500, hot_per_minute: 600, hot_pushes_per_minute: 60 }
    }
}

/// What a node does with a site's stored responses when it is cut off from the purge log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnIsolation {
    /// It asks upstream before each use: a purge holds here too.
    #[default]
    Validate,
    /// It goes on: the site stays up, and a purge may not hold here meanwhile.
    ServeStale,
}

/// What is logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// Least severe events that are written.
    pub level: LogLevel,
    /// Whether each request is written.
    pub access: bool,
    /// How a line looks.
    pub format: LogFormat,
}

/// Severity of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogLevel {
    /// Failures.
    Error,
    /// Failures and what may lead to them.
    Warn,
    /// Also what an operator wants to know of normal work.
    #[default]
    Info,
    /// Also what explains a decision.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Returns the name that `tracing` uses too.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Everything a node is told about one site.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteConfig {
    /// Name of the site, a token of at most 64 characters; part of every key.
    pub name: String,
    /// Hosts the site answers for.
    pub hosts: Vec<HostPattern>,
    /// Servers that own the content. Empty where only parents are asked.
    pub origins: Vec<OriginServer>,
    /// Host field for origins; `None` sends the one of the client.
    pub origin_host: Option<String>,
    /// How these servers are chosen among and checked.
    pub origin: OriginConfig,
    /// Choices that the caching standard leaves open.
    pub policy: Policy,
    /// What is different under some paths, and how far lifetimes are spread.
    pub rules: RuleSet,
    /// What makes up a key.
    pub key: KeyRules,
    /// Fields added to responses.
    pub fields: FieldSwitches,
    /// How long a request waits for upstream before a stale response stands in, where one may; `None`
    /// for as long as upstream may take.
    pub stale_if_slow: Option<Duration>,
    /// What happens on a node that is cut off from the purge log.
    pub on_isolation: OnIsolation,
    /// Whether a stale response may stand in for an error after it was invalidated.
    pub stale_after_purge: bool,
    /// What TLS means to it.
    pub tls: SiteTls,
    /// Who may fetch what.
    pub access: SiteAccess,
    /// What clients may cost.
    pub limits: SiteLimits,
}

impl SiteConfig {
    /// Makes a site without hosts and origins that does as `profile` says.
    pub fn new(name: impl Into<String>, profile: Profile) -> Self {
        Self {
            name: name.into(),
            hosts: Vec::new(),
            origins: Vec::new(),
            origin_host: None,
            origin: OriginConfig::default(),
            policy: Policy::for_profile(profile),
            rules: RuleSet::default(),
            key: KeyRules::for_profile(profile),
            fields: FieldSwitches::default(),
            stale_if_slow: None,
            on_isolation: OnIsolation::default(),
            stale_after_purge: false,
            tls: SiteTls::default(),
            access: SiteAccess::default(),
            limits: SiteLimits::default(),
        }
    }
}

/// Which HTTP is spoken to an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 over TLS where the origin takes it (ALPN), else HTTP/1.1; without TLS HTTP/2 by prior
    /// knowledge (RFC 9113 §3.3).
    Http2,
}

/// Which fields clients see. All by default but the tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSwitches {
    /// Age (RFC 9111 §5.1).
    pub age: bool,
    /// Date (RFC 9110 §6.6.1).
    pub date: bool,
    /// Via (RFC 9110 §7.6.3).
    pub via: bool,
    /// Cache-Status (RFC 9211).
    pub cache_status: bool,
    /// X-Cache.
    pub x_cache: bool,
    /// Proxy-Status (RFC 9209).
    pub proxy_status: bool,
    /// X-Request-Id.
    pub request_id: bool,
    /// The fields that carry tags for group purge.
    pub tags: bool,
}

impl FieldSwitches {
    /// The fields that are not shown.
    pub(crate) fn hidden(&self) -> Vec<HeaderName> {
        let named = HeaderName::from_static;
        let switches = [
            (self.age, AGE),
            (self.date, DATE),
            (self.via, VIA),
            (self.cache_status, named("cache-status")),
            (self.x_cache, named("x-cache")),
            (self.proxy_status, named("proxy-status")),
            (self.request_id, named("x-request-id")),
        ];
        let tags = TAG_FIELDS.into_iter().map(|name| (self.tags, name));
        let all = switches.into_iter().chain(tags);
        all.filter(|(shown, _)| !shown).map(|(_, name)| name).collect()
    }
}

impl Default for FieldSwitches {
    fn default() -> Self {
        Self {
            age: true,
            date: true,
            via: true,
            cache_status: true,
            x_cache: true,
            proxy_status: true,
            request_id: true,
            tags: false,
        }
    }
}
