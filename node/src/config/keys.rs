//! Which keys a node has: name, form, range and meaning of each, next to the field it sets.
//!
//! This is the one list of the keys. A [`Visitor`] goes over it to read a file, to write one, or to
//! describe the keys, so that none of the three can forget a key. Keys of sites: `site_keys`.
//! Relations between keys are not known here.

use std::time::Duration;

use super::admin_keys::visit_admin;
use super::group_keys::visit_upstream_groups;
use super::kinds::{
    Choice, Count, Flag, Kind, List, Maybe, Size, Span, directory, file, file_pattern, listen_addr,
    nats_addr, stream_name, token, upstream_addr,
};
use super::limit_keys::visit_limits;
use super::model::{
    FillConfig, LogConfig, LogFormat, LogLevel, NatsConfig, NodeConfig, PurgeConfig, PushConfig,
    UnknownHost, UpstreamConfig,
};
use super::store_keys;
use super::tls_keys::visit_tls;
use super::units::ByteSize;

/// Something that is done to every key in turn.
pub(super) trait Visitor {
    /// Goes on to the table `name`; the keys that follow belong to it. The empty name is the top
    /// of the file.
    fn table(&mut self, name: &'static str, about: &'static str);

    /// Meets one key. `value` is its default or present value and may be replaced.
    fn key<K: Kind>(
        &mut self,
        name: &'static str,
        kind: &K,
        value: &mut K::Value,
        meaning: &'static str,
    );
}

/// A file of a node as far as its keys go; sites are visited one by one.
#[derive(Clone, Debug)]
pub(super) struct NodeDraft {
    pub(super) include: Vec<String>,
    pub(super) config: NodeConfig,
}

impl NodeDraft {
    /// Visits every key outside of sites.
    pub(super) fn visit(&mut self, v: &mut impl Visitor) {
        v.table("", "Top of the file, before the first table.");
        v.key(
            "include",
            &List::of(file_pattern()),
            &mut self.include,
            "Files with further [[site]] tables, in the order of their names.",
        );
        visit_node(&mut self.config, v);
        visit_admin(&mut self.config.admin_api, v);
        store_keys::visit(&mut self.config.store, v);
        visit_fill(&mut self.config.fill, v);
        visit_upstream(&mut self.config.upstream, v);
        visit_purge(&mut self.config.purge, v);
        visit_push(&mut self.config.push, v);
        visit_limits(&mut self.config.limits, v);
        visit_tls(&mut self.config.tls, v);
        visit_log(&mut self.config.log, v);
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A limit on waiting: something must happen in it, and it must end.
pub(super) const TIMEOUT: Span = Span { min: MILLISECOND, max: DAY };

const UNKNOWN_HOST: Choice<UnknownHost> =
    Choice { options: &[("421", UnknownHost::Misdirected), ("404", UnknownHost::NotFound)] };

const LEVEL: Choice<LogLevel> = Choice {
    options: &[
        (LogLevel::Error.as_str(), LogLevel::Error),
        (LogLevel::Warn.as_str(), LogLevel::Warn),
        (LogLevel::Info.as_str(), LogLevel::Info),
        (LogLevel::Debug.as_str(), LogLevel::Debug),
        (LogLevel::Trace.as_str(), LogLevel::Trace),
    ],
};

const FORMAT: Choice<LogFormat> =
    Choice { options: &[("text", LogFormat::Text), ("json", LogFormat::Json)] };

fn visit_node(node: &mut NodeConfig, v: &mut impl Visitor) {
    v.table("node", "The node itself.");
    v.key(
        "name",
        &token(),
        &mut node.name,
        "Name of the node in response fields, logs and metrics.",
    );
    v.key("listen", &listen_addr("127.0.0.1:8080"), &mut node.listen, "Address for requests.");
    v.key(
        "admin",
        &listen_addr("127.0.0.1:9080"),
        &mut node.admin,
        "Address of the admin API. When only listen is set: loopback, port of listen + 1000.",
    );
    v.key(
        "parents",
        &List::of(upstream_addr()),
        &mut node.parents,
        "Nodes of the next tier. Without parents the origins of the sites are asked.",
    );
    v.key(
        "workers",
        &Maybe(Count::new(1, 1024)),
        &mut node.workers,
        "Worker threads; one a CPU when left out.",
    );
    v.key(
        "data_dir",
        &Maybe(directory()),
        &mut node.data_dir,
        "Directory for files; the temporary directory of the system when left out.",
    );
    v.key(
        "h2c",
        &Flag,
        &mut node.h2c,
        "Whether HTTP/2 is spoken without TLS with those who begin with it (prior knowledge).",
    );
    v.key(
        "express",
        &Flag,
        &mut node.express,
        "Whether plain hits over TCP take the short way; the answers are the same.",
    );
    v.key(
        "unknown_host",
        &UNKNOWN_HOST,
        &mut node.unknown_host,
        "Status for a request whose host no site has.",
    );
    v.key(
        "country_file",
        &Maybe(file("/etc/weir/GeoLite2-Country.mmdb")),
        node.countries.draft(),
        "MaxMind DB file that says in which country an address is, read again at each reload. Required \
         by rules that name countries.",
    );
    v.key(
        "drain_grace",
        &Span { min: Duration::ZERO, max: HOUR },
        &mut node.drain_grace,
        "How long requests in flight may take to finish after SIGTERM.",
    );
}

fn visit_fill(fill: &mut FillConfig, v: &mut impl Visitor) {
    v.table("fill", "Fetching one response for all who ask for it.");
    v.key(
        "window",
        &Size::at_least(ByteSize::from_kib(64)),
        &mut fill.window,
        "Bytes kept in memory of a body that is too large to store.",
    );
    v.key(
        "spill_max",
        &Size::at_least(ByteSize::from_kib(64)),
        &mut fill.spill_max,
        "Bytes on disk of bodies in flight that are too large to store, all together.",
    );
    v.key(
        "background_max",
        &Size::at_least(ByteSize::ZERO),
        &mut fill.background_max,
        "A fill that no client reads any more is finished when at most this much is left.",
    );
}

fn visit_upstream(upstream: &mut UpstreamConfig, v: &mut impl Visitor) {
    v.table("upstream", "Asking parents and origins.");
    v.key(
        "connect_timeout",
        &TIMEOUT,
        &mut upstream.connect_timeout,
        "Time to connect, all addresses of a name together.",
    );
    v.key(
        "tls_timeout",
        &TIMEOUT,
        &mut upstream.tls_timeout,
        "Time for the TLS handshake after that.",
    );
    v.key(
        "first_byte_timeout",
        &TIMEOUT,
        &mut upstream.first_byte_timeout,
        "Time from the request to the head of the response.",
    );
    v.key(
        "idle_timeout",
        &TIMEOUT,
        &mut upstream.idle_timeout,
        "Time without a byte of a body, after which the upstream counts as failed.",
    );
    v.key(
        "keepalive",
        &TIMEOUT,
        &mut upstream.keepalive,
        "How long an unused connection is kept; less where the upstream says that it keeps it for less.",
    );
    v.key(
        "name_ttl_max",
        &Span { min: Duration::from_secs(1), max: DAY },
        &mut upstream.name_ttl_max,
        "Longest time for which the addresses of a name are used before they are asked for again.",
    );
    v.key(
        "connections_max",
        &Count::new(1, 100_000),
        &mut upstream.connections_max,
        "Connections to one upstream, or requests in flight where it is asked over HTTP/2.",
    );
    v.key(
        "queue_timeout",
        &Span { min: Duration::ZERO, max: DAY },
        &mut upstream.queue_timeout,
        "How long a request waits for a free connection.",
    );
    v.key(
        "eject_after",
        &Count::new(1, 100),
        &mut upstream.eject_after,
        "Failures in a row after which an upstream is left out.",
    );
    v.key("eject_for", &TIMEOUT, &mut upstream.eject_for, "How long such an upstream is left out.");
    v.key(
        "tries_max",
        &Count::new(1, 10),
        &mut upstream.tries_max,
        "Upstreams tried for one request, the first one included.",
    );
    visit_upstream_groups(upstream, v);
}

fn visit_purge(purge: &mut PurgeConfig, v: &mut impl Visitor) {
    v.table("purge", "Following the purge log.");
    v.key(
        "lease",
        &Span { min: 100 * MILLISECOND, max: HOUR },
        &mut purge.lease,
        "How long a node may reuse what it stores without hearing from the purge log, and the longest \
         that a purge takes. Set where the log is kept; other nodes are told.",
    );
    v.key(
        "known_for",
        &Span { min: Duration::from_secs(60), max: 30 * DAY },
        &mut purge.known_for,
        "How long a purge is known by what it named. Responses from before the oldest purge known are \
         validated before their next use. An hour at most without data_dir.",
    );
    v.key(
        "authority",
        &Maybe(upstream_addr()),
        &mut purge.authority,
        "Data address of the node that keeps the purge log. When left out: the one that the parents \
         lead to, or this node itself where it has none.",
    );
    visit_nats(&mut purge.nats, v);
}

fn visit_nats(nats: &mut NatsConfig, v: &mut impl Visitor) {
    v.key(
        "nats",
        &Maybe(nats_addr()),
        &mut nats.server,
        "NATS server with JetStream that keeps the purge log, for several shields and regions. Set on \
         every node of the CDN; parents and authority are then not asked about purges.",
    );
    v.key(
        "nats_stream",
        &Maybe(stream_name()),
        &mut nats.stream,
        "Name of the stream; made from the tier secret when left out.",
    );
    v.key(
        "nats_replicas",
        &Count::new(1, 5),
        &mut nats.replicas,
        "Servers that keep a copy of the stream. Counts for the node that makes it.",
    );
    v.key(
        "nats_credentials",
        &Maybe(file("/etc/weir/nats.credentials")),
        &mut nats.credentials,
        "File with user:password for the NATS server, read at each connection.",
    );
}

fn visit_push(push: &mut PushConfig, v: &mut impl Visitor) {
    v.table("push", "Fetching responses before anyone asks.");
    v.key(
        "concurrency",
        &Count::new(1, 256),
        &mut push.concurrency,
        "Fetches of preloads at once, at most a quarter of upstream.connections_max.",
    );
    v.key(
        "rate",
        &Count::new(0, 100_000),
        &mut push.rate,
        "Fetches of preloads begun a second; 0 for no limit.",
    );
    v.key(
        "hot_per_minute",
        &Count::new(0, 1_000_000_000),
        &mut push.hot_per_minute,
        "Hits a minute on one edge from which a URL is fetched by the other edges too; 0 for never. \
         Set on the edges and where the purge log is kept.",
    );
    v.key(
        "hot_pushes_per_minute",
        &Count::new(1, 10_000),
        &mut push.hot_pushes_per_minute,
        "URLs fetched so a minute, at most. Set where the purge log is kept.",
    );
}

fn visit_log(log: &mut LogConfig, v: &mut impl Visitor) {
    v.table("log", "What is written to standard error.");
    v.key("level", &LEVEL, &mut log.level, "Least severe events that are written.");
    v.key("access", &Flag, &mut log.access, "Whether a line is written for each request.");
    v.key("format", &FORMAT, &mut log.format, "How a line looks.");
}
