//! The edge tier: asked by clients, asks a regional node or, on its own, the origin.

use std::net::{Ipv4Addr, SocketAddr};

use weir_node::config::{Tier, TierDefaults};

/// What an edge is where its configuration says nothing else.
#[must_use]
pub fn defaults() -> TierDefaults {
    TierDefaults {
        tier: Tier::Edge,
        name: "edge-0".to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9080)),
    }
}
