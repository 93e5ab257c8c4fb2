//! What clients may cost: limits of a node and of a site, with their defaults.
//!
//! What each does when it is reached: `docs/limits.md`.

use std::time::Duration;

use ipnet::IpNet;

use super::rate::{Bandwidth, Rate};
use super::units::ByteSize;

/// Limits that clients meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Bytes of a request head, at least 8 KiB.
    pub head_max: ByteSize,
    /// Bytes of a request target, at least 8000 (RFC 9110 §4.1) and at most `head_max`.
    pub url_max: ByteSize,
    /// Header fields of a request.
    pub fields_max: usize,
    /// Time for a whole request head.
    pub head_timeout: Duration,
    /// Time between two requests of a connection.
    pub idle_timeout: Duration,
    /// Connections of clients, all together.
    pub connections_max: usize,
    /// Connections of one client. `None`: 1,000 on an edge, addresses that are not public left out; no
    /// limit on other tiers.
    pub connections_per_client: Option<usize>,
    /// Requests at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// Time without a client taking a byte, and the time over which `write_rate_min` is averaged.
    pub write_timeout: Duration,
    /// The least that a client must take of what waits for it.
    pub write_rate_min: Bandwidth,
    /// Bytes of a request body; `None` for no limit.
    pub body_max: Option<ByteSize>,
    /// Time without a byte of a request body, and the time over which `body_rate_min` is averaged.
    pub body_timeout: Duration,
    /// The least that a client must send of a request body.
    pub body_rate_min: Bandwidth,
    /// Requests of one client to all sites together; `None` for no limit.
    pub rate: Option<Rate>,
    /// Those that may come at once; `None` for the requests of a second.
    pub burst: Option<u32>,
    /// Clients whose rates are known at a time.
    pub clients_max: usize,
    /// Bits of an IPv4 address that make a client, 8 to 32.
    pub client_prefix_v4: u8,
    /// Bits of an IPv6 address that make a client, 16 to 128.
    pub client_prefix_v6: u8,
    /// Networks that no limit for one client applies to.
    pub exempt: Vec<IpNet>,
    /// Requests that wait for one fill.
    pub waiters_max: usize,
    /// Connections that have changed to another protocol.
    pub tunnels_max: usize,
    /// Time in which nothing moves through such a connection.
    pub tunnel_idle_timeout: Duration,
}

impl LimitsConfig {
    /// Returns the longest request target where only the size of the head is given.
    pub(super) fn url_max_for(head_max: ByteSize) -> ByteSize {
        ByteSize::from_kib(16).min(head_max)
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let head_max = ByteSize::from_kib(64);
        let least = Bandwidth::per_second(ByteSize::from_bytes(512));
        Self {
            head_max,
            url_max: Self::url_max_for(head_max),
            fields_max: 100,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            connections_max: 10_000,
            connections_per_client: None,
            streams_max: 100,
            write_timeout: Duration::from_secs(60),
            write_rate_min: least,
            body_max: None,
            body_timeout: Duration::from_secs(30),
            body_rate_min: least,
            rate: None,
            burst: None,
            clients_max: 65_536,
            client_prefix_v4: 32,
            client_prefix_v6: 64,
            exempt: Vec::new(),
            waiters_max: 10_000,
            tunnels_max: 10_000,
            tunnel_idle_timeout: Duration::from_secs(5 * 60),
        }
    }
}

/// What clients of one site may cost. Nothing is limited by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteLimits {
    /// Requests of one client.
    pub rate: Option<Rate>,
    /// Those that may come at once; `None` for the requests of a second.
    pub burst: Option<u32>,
    /// Requests of all clients together.
    pub rate_total: Option<Rate>,
    /// Requests being answered.
    pub requests_in_flight_max: Option<usize>,
    /// What all bodies together are sent with.
    pub bandwidth_max: Option<Bandwidth>,
    /// What the bodies of one connection are sent with.
    pub bandwidth_per_connection: Option<Bandwidth>,
    /// Bytes of each body that `bandwidth_per_connection` does not count.
    pub bandwidth_after: ByteSize,
    /// Bytes of a request body; `None` for what the node says.
    pub body_max: Option<ByteSize>,
}
