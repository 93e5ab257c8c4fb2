//! The shield tier: asked by regional nodes, asks the origins.

use std::net::{Ipv4Addr, SocketAddr};

use weir_node::config::{Tier, TierDefaults};

/// What a shield is where its configuration says nothing else.
#[must_use]
pub fn defaults() -> TierDefaults {
    TierDefaults {
        tier: Tier::Shield,
        name: "shield".to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8280)),
        admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9280)),
    }
}
