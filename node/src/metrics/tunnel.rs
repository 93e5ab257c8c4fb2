//! What is counted of tunnels when they end.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Reason;

/// The counters of tunnels that have ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct TunnelMetrics {
    ended: Family<Reason, Counter>,
    bytes: Family<Way, Counter>,
}

/// Which way bytes went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    way: &'static str,
}

impl TunnelMetrics {
    /// Counts a tunnel that ended for `reason`, after so many bytes from the client and to it.
    pub(crate) fn ended(&self, reason: &'static str, (up, down): (u64, u64)) {
        self.ended.get_or_create(&Reason { reason }).inc();
        self.bytes.get_or_create(&Way { way: "up" }).inc_by(up);
        self.bytes.get_or_create(&Way { way: "down" }).inc_by(down);
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("tunnels", "Tunnels that have ended", self.ended.clone());
        registry.register("tunnel_bytes", "Bytes through tunnels", self.bytes.clone());
    }
}
