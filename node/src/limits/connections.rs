//! How many connections has one client?

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::client::{Client, Clients, is_public};
use crate::config::{NodeConfig, Tier};

/// Connections of one client of an edge where the configuration says nothing: a tenth of all by default.
const PER_CLIENT: usize = 1_000;

/// Connections by client; shared with those that are counted.
type Counts = Arc<Mutex<HashMap<Client, usize>>>;

/// The connections of each client. Holds as many clients as there are connections, at most.
#[derive(Debug)]
pub(super) struct Connections {
    counts: Counts,
    /// `None` for no limit.
    max: Option<usize>,
    /// Whether the limit is for public addresses only.
    public_only: bool,
}

/// One connection of a client, counted until it is dropped. Empty where none is counted.
#[derive(Debug, Default)]
pub(crate) struct Held(Option<(Client, Counts)>);

impl Connections {
    pub(super) fn new(config: &NodeConfig) -> Self {
        let given = config.limits.connections_per_client;
        // Below an edge are nodes, each of which opens many.
        let by_default = (config.tier == Tier::Edge).then_some(PER_CLIENT);
        Self { counts: Arc::default(), max: given.or(by_default), public_only: given.is_none() }
    }

    /// Counts a connection from `address`; `None` if its client has as many as it may.
    pub(super) fn open(&self, clients: &Clients, address: IpAddr) -> Option<Held> {
        self.count(clients, address, self.max.unwrap_or(usize::MAX))
    }

    /// Counts a connection from `address`, however many its client has.
    pub(super) fn keep(&self, clients: &Clients, address: IpAddr) -> Held {
        self.count(clients, address, usize::MAX).unwrap_or_default()
    }

    fn count(&self, clients: &Clients, address: IpAddr, max: usize) -> Option<Held> {
        let uncounted = self.max.is_none() || (self.public_only && !is_public(address));
        let Some(client) = clients.of(address).filter(|_| !uncounted) else {
            return Some(Held::default());
        };
        let mut counts = self.counts.lock();
        let count = counts.entry(client).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Held(Some((client, Arc::clone(&self.counts)))))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some((client, counts)) = self.0.take() else { return };
        let mut counts = counts.lock();
        if let Some(count) = counts.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LimitsConfig, TierDefaults};

    fn connections(tier: Tier, per_client: Option<usize>) -> Connections {
        let any = ([127, 0, 0, 1], 0).into();
        let defaults = TierDefaults { tier, name: "n".to_owned(), listen: any, admin: any };
        let mut config = NodeConfig::with_defaults(&defaults);
        config.limits.connections_per_client = per_client;
        Connections::new(&config)
    }

    fn open_of(connections: &Connections, address: &str, tries: usize) -> Vec<Held> {
        let clients = Clients::new(&LimitsConfig::default());
        let address = address.parse().unwrap();
        (0..tries).filter_map(|_| connections.open(&clients, address)).collect()
    }

    #[test]
    fn each_client_has_so_many_and_gets_them_back() {
        let connections = connections(Tier::Edge, Some(3));
        let mut held = open_of(&connections, "192.0.2.1", 5);
        assert_eq!(held.len(), 3);
        assert_eq!(open_of(&connections, "192.0.2.2", 5).len(), 3, "another client");
        held.pop();
        held.extend(open_of(&connections, "192.0.2.1", 5));
        assert_eq!(held.len(), 3);
        drop(held);
        assert!(connections.counts.lock().is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn who_is_limited_by_default() {
        let edge = connections(Tier::Edge, None);
        assert_eq!(open_of(&edge, "192.0.2.1", 2_000).len(), PER_CLIENT);
        assert_eq!(open_of(&edge, "10.0.0.1", 2_000).len(), 2_000, "a load balancer, most likely");
        for tier in [Tier::Regional, Tier::Shield] {
            assert_eq!(open_of(&connections(tier, None), "192.0.2.1", 2_000).len(), 2_000);
        }
        let told = connections(Tier::Shield, Some(2));
        assert_eq!(open_of(&told, "10.0.0.1", 5).len(), 2, "what is said counts for all");
    }
}
