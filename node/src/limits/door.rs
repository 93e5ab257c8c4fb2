//! The limits of a node: what all sites share.

use std::net::IpAddr;
use std::time::Duration;

use weir_cache::Timestamp;

use super::bucket::Pace;
use super::client::Clients;
use super::connections::{Connections, Held};
use super::over::Over;
use super::table::Table;
use crate::config::{NodeConfig, Rate};

/// What the buckets of the table are for. Part of the key, so that one table does for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bucket {
    /// Requests to all sites.
    Node,
    /// Requests to the site with this number.
    Site(u64),
    /// Invalidations by requests that passed.
    Implied,
}

/// Invalidations by one client's requests that get into the purge log: more than people cause by hand, and
/// a small part of what the log remembers.
const IMPLIED_RATE: Rate = Rate::per_second(10);
const IMPLIED_BURST: u32 = 200;

/// The limits of a node.
#[derive(Debug)]
pub(crate) struct Limits {
    clients: Clients,
    connections: Connections,
    table: Table,
    rate: Option<Pace>,
    implied: Pace,
}

impl Limits {
    /// The limits that `config` has.
    pub(crate) fn new(config: &NodeConfig) -> Self {
        let limits = &config.limits;
        Self {
            clients: Clients::new(limits),
            connections: Connections::new(config),
            table: Table::new(limits.clients_max),
            rate: limits.rate.map(|rate| Pace::new(rate, limits.burst)),
            implied: Pace::new(IMPLIED_RATE, Some(IMPLIED_BURST)),
        }
    }

    /// Counts a connection from `address`; `None` if its client has as many as it may.
    pub(crate) fn connect(&self, address: IpAddr) -> Option<Held> {
        self.connections.open(&self.clients, address)
    }

    /// Charges a request from `address` to the rate over all sites.
    ///
    /// # Errors
    ///
    /// [`Over::ClientRate`].
    pub(crate) fn charge(&self, address: IpAddr, now: Timestamp) -> Result<(), Over> {
        let Some(pace) = self.rate else { return Ok(()) };
        self.take(Bucket::Node, pace, address, now).map_err(|wait| Over::ClientRate { wait })
    }

    /// Charges a request that is refused anyway.
    pub(crate) fn charge_refused(&self, address: IpAddr, now: Timestamp) {
        // Whether there was a token left for it is for the next request to find out.
        let _over = self.charge(address, now);
    }

    /// Counts a connection from `address` that has changed to another protocol and may not be refused.
    pub(crate) fn keep(&self, address: IpAddr) -> Held {
        self.connections.keep(&self.clients, address)
    }

    /// Whether an invalidation that a request of `address` implies may go into the purge log.
    pub(crate) fn may_imply(&self, address: IpAddr, now: Timestamp) -> bool {
        self.take(Bucket::Implied, self.implied, address, now).is_ok()
    }

    /// Takes a token of a client's bucket; the exempt have no bucket.
    pub(super) fn take(
        &self,
        bucket: Bucket,
        pace: Pace,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let Some(client) = self.clients.of(address) else { return Ok(()) };
        self.table.take((bucket, client), pace, now.as_micros().saturating_mul(1_000))
    }
}
