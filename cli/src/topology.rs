//! Which nodes make up a local stack, what are they called, and where do they listen?
//!
//! The ports are a contract: edge *i* at `port + i`, regional *j* at `port + 100 + j`, the shield at
//! `port + 200`, the origin at `port + 300`, TLS of edge *i* at `port + 400 + i`, each admin API 1000 above its data port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, bail};
use weir_node::config::{
    ByteSize, CertificateConfig, NodeConfig, SiteConfig, StoreConfig, TierDefaults, UnitError,
    UpstreamAddr,
};

/// Nodes of one tier at most: their ports must not run into the next tier's.
pub(crate) const PER_TIER_MAX: u16 = 100;
const REGIONALS_AT: u16 = 100;
const SHIELD_AT: u16 = 200;
const ORIGIN_AT: u16 = 300;
const TLS_AT: u16 = 400;
const ADMIN_ABOVE: u16 = 1000;

/// The shape of a stack.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Shape {
    /// Edge nodes, 1 to 100.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(PER_TIER_MAX)))]
    pub(crate) edges: u16,
    /// Regional nodes, 0 to 100; with 0 the edges ask the shield.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=i64::from(PER_TIER_MAX)))]
    pub(crate) regionals: u16,
    /// Data port of edge 0; the others follow from it.
    #[arg(long, default_value_t = 8080, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
}

/// The nodes of a stack, each with its whole configuration.
#[derive(Debug)]
pub(crate) struct Topology {
    /// The edges, in order.
    pub(crate) edges: Vec<NodeConfig>,
    /// The regionals, in order.
    pub(crate) regionals: Vec<NodeConfig>,
    /// The shield.
    pub(crate) shield: NodeConfig,
}

impl Shape {
    /// The address of the stack's own origin.
    pub(crate) fn origin(&self, ip: IpAddr) -> anyhow::Result<SocketAddr> {
        Ok(SocketAddr::new(ip, self.port_at(ORIGIN_AT)?))
    }

    /// Every node listening on `ip`, with the same `sites`.
    pub(crate) fn topology(&self, ip: IpAddr, sites: &[SiteConfig]) -> anyhow::Result<Topology> {
        if ip.is_multicast() {
            bail!("{ip} is a multicast address; --listen takes one of this machine's addresses");
        }
        let shield = self.node(&weir_shield::defaults(), ip, (SHIELD_AT, None), sites)?;
        let mut regionals = Vec::new();
        for index in 0..self.regionals {
            let place = (REGIONALS_AT, Some(index));
            let mut node = self.node(&weir_regional::defaults(), ip, place, sites)?;
            node.parents = vec![asked_at(shield.listen)];
            regionals.push(node);
        }
        let mut edges = Vec::new();
        for index in 0..self.edges {
            let mut node = self.node(&weir_edge::defaults(), ip, (0, Some(index)), sites)?;
            node.parents = match regionals.as_slice() {
                [] => vec![asked_at(shield.listen)],
                several => several.iter().map(|regional| asked_at(regional.listen)).collect(),
            };
            edges.push(node);
        }
        Ok(Topology { edges, regionals, shield })
    }

    /// One node: `index` is its number where its tier has several.
    fn node(
        &self,
        defaults: &TierDefaults,
        ip: IpAddr,
        (tier_at, index): (u16, Option<u16>),
        sites: &[SiteConfig],
    ) -> anyhow::Result<NodeConfig> {
        let port = self.port_at(tier_at + index.unwrap_or(0))?;
        let mut node = NodeConfig::with_defaults(defaults);
        node.name = index.map_or_else(
            || defaults.tier.as_str().to_owned(),
            |index| format!("{}-{index}", defaults.tier.as_str()),
        );
        node.listen = SocketAddr::new(ip, port);
        node.admin = SocketAddr::new(ip, port + ADMIN_ABOVE);
        node.sites = sites.to_vec();
        Ok(node)
    }

    fn port_at(&self, above: u16) -> anyhow::Result<u16> {
        self.port
            .checked_add(above)
            .filter(|port| port.checked_add(ADMIN_ABOVE).is_some())
            .with_context(|| {
                let highest = u16::MAX - ORIGIN_AT - ADMIN_ABOVE;
                format!(
                    "--port {} leaves no room for the other ports; take {highest} at most",
                    self.port
                )
            })
    }
}

impl Topology {
    /// Every node, the shield first, so that each finds its parents.
    pub(crate) fn parents_first(&self) -> impl Iterator<Item = &NodeConfig> {
        std::iter::once(&self.shield).chain(&self.regionals).chain(&self.edges)
    }

    /// Lets the edges listen for TLS too, with one certificate for all.
    pub(crate) fn listen_for_tls(&mut self, certificate: &CertificateConfig) -> anyhow::Result<()> {
        for edge in &mut self.edges {
            let port = edge.listen.port().checked_add(TLS_AT);
            let port =
                port.context("--port leaves no room for the ports of TLS; take a lower one")?;
            edge.tls.listen = Some(SocketAddr::new(edge.listen.ip(), port));
            edge.tls.certificates = vec![certificate.clone()];
        }
        Ok(())
    }

    /// Gives every node a folder of its own under `data_dir`, with a disk tier where a size is given.
    pub(crate) fn keep_data_in(&mut self, data_dir: &Path, disk: Option<ByteSize>) {
        let nodes = self.edges.iter_mut().chain(&mut self.regionals);
        for node in nodes.chain(std::iter::once(&mut self.shield)) {
            node.data_dir = Some(data_dir.join(&node.name));
            if let Some(size) = disk {
                node.store.put_on_disk(size);
            }
        }
    }
}

/// Reads the size of a disk tier.
pub(crate) fn disk_size(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|error: UnitError| error.to_string())?;
    if size < StoreConfig::DISK_MIN {
        return Err(format!("expected at least {}", StoreConfig::DISK_MIN));
    }
    Ok(size)
}

/// The address under which other processes of this machine ask what listens on `listen`.
pub(crate) fn asked_at(listen: SocketAddr) -> UpstreamAddr {
    let address = reachable(listen);
    let host = match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    UpstreamAddr::plain(host, address.port())
}

/// The address under which a listener on all addresses can be reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(edges: u16, regionals: u16, port: u16) -> Shape {
        Shape { edges, regionals, port }
    }

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn ports_names_and_parents_follow_the_contract() {
        let topology = shape(2, 2, 8080).topology(LOCAL, &[]).unwrap();
        let listed: Vec<String> = topology
            .parents_first()
            .map(|node| {
                let parents: Vec<_> = node.parents.iter().map(ToString::to_string).collect();
                format!("{} {} {} <- {}", node.name, node.listen, node.admin, parents.join(" "))
            })
            .collect();
        assert_eq!(
            listed,
            [
                "shield 127.0.0.1:8280 127.0.0.1:9280 <- ",
                "regional-0 127.0.0.1:8180 127.0.0.1:9180 <- http://127.0.0.1:8280",
                "regional-1 127.0.0.1:8181 127.0.0.1:9181 <- http://127.0.0.1:8280",
                "edge-0 127.0.0.1:8080 127.0.0.1:9080 <- http://127.0.0.1:8180 http://127.0.0.1:8181",
                "edge-1 127.0.0.1:8081 127.0.0.1:9081 <- http://127.0.0.1:8180 http://127.0.0.1:8181",
            ]
        );
    }

    #[test]
    fn edges_without_regionals_ask_the_shield() {
        let topology = shape(1, 0, 8080).topology(LOCAL, &[]).unwrap();
        let parents: Vec<_> = topology.edges[0].parents.iter().map(ToString::to_string).collect();
        assert_eq!(parents, ["http://127.0.0.1:8280"]);
    }

    #[test]
    fn a_port_too_high_for_its_followers_is_refused_with_the_highest_that_fits() {
        let refused = shape(1, 1, 64_900).topology(LOCAL, &[]).unwrap_err().to_string();
        assert!(refused.contains("take 64235 at most"), "{refused}");
        assert!(shape(1, 1, 64_235).origin(LOCAL).is_ok());
        assert!(shape(1, 1, 64_236).origin(LOCAL).is_err());
    }

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_loopback() {
        for (ip, expected) in [("0.0.0.0", "http://127.0.0.1:8280"), ("::", "http://[::1]:8280")] {
            let topology = shape(1, 0, 8080).topology(ip.parse().unwrap(), &[]).unwrap();
            assert_eq!(topology.edges[0].parents[0].to_string(), expected);
        }
    }
}
