//! What is counted of requests and connections upstream.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Reason;
use crate::upstream::Kind;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectFailure {
    kind: &'static str,
    step: &'static str,
}

/// The counters of requests upstream.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpstreamMetrics {
    requests: Family<UpstreamKind, Counter>,
    failures: Family<UpstreamKind, Counter>,
    retries: Family<Reason, Counter>,
    checks: Family<Reason, Counter>,
    /// Times that an upstream was passed over from then on.
    pub(crate) ejections: Counter,
    /// Retries that were not made because there were too many.
    pub(crate) budget_exhausted: Counter,
    /// Requests that found every connection in use, and the queue full or too slow.
    pub(crate) busy: Counter,
    /// Requests that failed at once because a whole group has failed.
    pub(crate) open_refused: Counter,
    connections: Family<UpstreamKind, Counter>,
    connect_failures: Family<ConnectFailure, Counter>,
    /// Names whose addresses could not be found.
    pub(crate) lookup_failures: Counter,
}

impl UpstreamMetrics {
    /// Requests that brought an answer.
    pub(crate) fn requests(&self, kind: Kind) -> Counter {
        self.requests.get_or_create(&UpstreamKind { kind: kind_text(kind) }).clone()
    }

    /// Requests sent again, by what went wrong before.
    pub(crate) fn retries(&self, reason: &'static str) -> Counter {
        self.retries.get_or_create(&Reason { reason }).clone()
    }

    /// Checks, by what they came to.
    pub(crate) fn checks(&self, reason: &'static str) -> Counter {
        self.checks.get_or_create(&Reason { reason }).clone()
    }

    /// Requests that brought none.
    pub(crate) fn failures(&self, kind: Kind) -> Counter {
        self.failures.get_or_create(&UpstreamKind { kind: kind_text(kind) }).clone()
    }

    /// Connections that were opened.
    pub(crate) fn connections(&self, kind: Kind) -> Counter {
        self.connections.get_or_create(&UpstreamKind { kind: kind_text(kind) }).clone()
    }

    /// Connections that could not be opened, by the step that failed.
    pub(crate) fn connect_failures(&self, kind: Kind, step: &'static str) -> Counter {
        let labels = ConnectFailure { kind: kind_text(kind), step };
        self.connect_failures.get_or_create(&labels).clone()
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("upstream_requests", "Answers from upstream", self.requests.clone());
        registry.register("upstream_failures", "Failed requests", self.failures.clone());
        registry.register("upstream_retries", "Requests sent again", self.retries.clone());
        registry.register("upstream_ejections", "Passed over", self.ejections.clone());
        registry.register("upstream_checks", "Checks of servers", self.checks.clone());
        registry.register(
            "upstream_budget_exhausted",
            "Retries not made because there were too many",
            self.budget_exhausted.clone(),
        );
        registry.register("upstream_busy", "No connection free in time", self.busy.clone());
        registry.register(
            "upstream_open_refused",
            "Requests that failed at once because every server has failed",
            self.open_refused.clone(),
        );
        registry.register(
            "upstream_connections_opened",
            "Connections opened to upstreams",
            self.connections.clone(),
        );
        registry.register(
            "upstream_connect_failures",
            "Connections to upstreams that could not be opened, by the step that failed",
            self.connect_failures.clone(),
        );
        registry.register(
            "upstream_lookup_failures",
            "Names of upstreams whose addresses could not be found",
            self.lookup_failures.clone(),
        );
    }
}

fn kind_text(kind: Kind) -> &'static str {
    match kind {
        Kind::Origins => "origin",
        Kind::Parents => "parent",
    }
}
