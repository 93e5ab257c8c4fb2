//! Which keys say what clients may cost: of a node in `[limits]`, of a site in `[site.limits]`.

use super::keys::{TIMEOUT, Visitor};
use super::kinds::{Count, List, Maybe, Size, bandwidth, least_bandwidth, network, rate};
use super::limits::{LimitsConfig, SiteLimits};
use super::units::ByteSize;

/// Visits the limits of a node.
pub(super) fn visit_limits(limits: &mut LimitsConfig, v: &mut impl Visitor) {
    v.table("limits", "What clients may do.");
    visit_heads(limits, v);
    visit_connections(limits, v);
    visit_bodies(limits, v);
    visit_clients(limits, v);
    v.key(
        "waiters_max",
        &Count::new(1, 1_000_000),
        &mut limits.waiters_max,
        "Requests that wait for one fill.",
    );
    v.key(
        "tunnels_max",
        &Count::new(0, 1_000_000),
        &mut limits.tunnels_max,
        "Connections that have changed to another protocol, such as WebSockets.",
    );
    v.key(
        "tunnel_idle_timeout",
        &TIMEOUT,
        &mut limits.tunnel_idle_timeout,
        "Time in which no byte moves through such a connection, either way, after which it is closed.",
    );
}

fn visit_heads(limits: &mut LimitsConfig, v: &mut impl Visitor) {
    let head_max = Size { min: ByteSize::from_kib(8), max: ByteSize::from_mib(16) };
    v.key("head_max", &head_max, &mut limits.head_max, "Bytes of a request head.");
    // RFC 9110 §4.1 recommends that at least 8000 octets be supported.
    let url_max = Size { min: ByteSize::from_bytes(8_000), max: ByteSize::from_mib(16) };
    v.key(
        "url_max",
        &url_max,
        &mut limits.url_max,
        "Bytes of a request target, at most head_max. When left out, head_max if it is less.",
    );
    let fields_max = Count::new(1, 10_000);
    v.key("fields_max", &fields_max, &mut limits.fields_max, "Header fields of a request.");
    v.key("head_timeout", &TIMEOUT, &mut limits.head_timeout, "Time for a whole request head.");
    v.key(
        "idle_timeout",
        &TIMEOUT,
        &mut limits.idle_timeout,
        "Time between two requests of a connection.",
    );
}

fn visit_connections(limits: &mut LimitsConfig, v: &mut impl Visitor) {
    v.key(
        "connections_max",
        &Count::new(1, 1_000_000),
        &mut limits.connections_max,
        "Connections of clients, all together. When reached, those idle for longest make room.",
    );
    v.key(
        "connections_per_client",
        &Maybe(Count::new(1, 1_000_000)),
        &mut limits.connections_per_client,
        "Connections of one client. When left out: 1000 on edges, for public addresses only; no limit on \
         other tiers, whose children open many.",
    );
    v.key(
        "streams_max",
        &Count::new(1, 10_000),
        &mut limits.streams_max,
        "Requests at once on one HTTP/2 connection.",
    );
    v.key(
        "write_timeout",
        &TIMEOUT,
        &mut limits.write_timeout,
        "Time in which a client takes no byte, after which it is cut off.",
    );
    v.key(
        "write_rate_min",
        &least_bandwidth(),
        &mut limits.write_rate_min,
        "Least that a client takes of what waits for it, over each write_timeout of waiting; \"0B/s\" for none.",
    );
}

fn visit_bodies(limits: &mut LimitsConfig, v: &mut impl Visitor) {
    v.key(
        "body_max",
        &Maybe(Size::at_least(ByteSize::ZERO)),
        &mut limits.body_max,
        "Bytes of a request body; no limit when left out.",
    );
    v.key(
        "body_timeout",
        &TIMEOUT,
        &mut limits.body_timeout,
        "Time in which no byte of a request body comes, after which it is given up.",
    );
    v.key(
        "body_rate_min",
        &least_bandwidth(),
        &mut limits.body_rate_min,
        "Least that comes of a request body, over each body_timeout of waiting; \"0B/s\" for none.",
    );
}

fn visit_clients(limits: &mut LimitsConfig, v: &mut impl Visitor) {
    v.key(
        "rate",
        &Maybe(rate()),
        &mut limits.rate,
        "Requests of one client to all sites together, refused ones included; no limit when left out.",
    );
    v.key(
        "burst",
        &Maybe(BURST),
        &mut limits.burst,
        "Requests that may come at once; those of a second when left out.",
    );
    v.key(
        "clients_max",
        &Count::new(64, 16_777_216),
        &mut limits.clients_max,
        "Clients whose rates are known at a time, 16 bytes each; beyond, those that owe least are forgotten.",
    );
    v.key(
        "client_prefix_v4",
        &Count::new(8, 32),
        &mut limits.client_prefix_v4,
        "Bits of an IPv4 address that make a client.",
    );
    v.key(
        "client_prefix_v6",
        &Count::new(16, 128),
        &mut limits.client_prefix_v6,
        "Bits of an IPv6 address that make a client.",
    );
    v.key(
        "exempt",
        &List::of(network()),
        &mut limits.exempt,
        "Networks that rate, burst and connections_per_client do not apply to: load balancers, checks.",
    );
}

/// Requests at once.
const BURST: Count<u32> = Count::new(1, 10_000_000);

/// Visits the limits of a site.
pub(super) fn visit_site_limits(limits: &mut SiteLimits, v: &mut impl Visitor) {
    v.table("site.limits", "What clients of the site may do.");
    v.key(
        "rate",
        &Maybe(rate()),
        &mut limits.rate,
        "Requests of one client; no limit when left out.",
    );
    v.key(
        "burst",
        &Maybe(BURST),
        &mut limits.burst,
        "Requests that may come at once; those of a second when left out.",
    );
    v.key(
        "rate_total",
        &Maybe(rate()),
        &mut limits.rate_total,
        "Requests of all clients together; no limit when left out.",
    );
    v.key(
        "requests_in_flight_max",
        &Maybe(Count::new(1, 1_000_000)),
        &mut limits.requests_in_flight_max,
        "Requests of clients that are being answered; no limit when left out.",
    );
    visit_bandwidth(limits, v);
    v.key(
        "body_max",
        &Maybe(Size::at_least(ByteSize::ZERO)),
        &mut limits.body_max,
        "Bytes of a request body; those of [limits] when left out.",
    );
}

fn visit_bandwidth(limits: &mut SiteLimits, v: &mut impl Visitor) {
    v.key(
        "bandwidth_max",
        &Maybe(bandwidth()),
        &mut limits.bandwidth_max,
        "Bytes of bodies a second to all clients together; no limit when left out.",
    );
    v.key(
        "bandwidth_per_connection",
        &Maybe(bandwidth()),
        &mut limits.bandwidth_per_connection,
        "The same for one connection.",
    );
    v.key(
        "bandwidth_after",
        &Size::at_least(ByteSize::ZERO),
        &mut limits.bandwidth_after,
        "Bytes of each body that bandwidth_per_connection does not count.",
    );
}
