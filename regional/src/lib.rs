//! The regional tier: asked by edges, asks a shield.

use std::net::{Ipv4Addr, SocketAddr};

use weir_node::config::{Tier, TierDefaults};

/// What a regional node is where its configuration says nothing else.
#[must_use]
pub fn defaults() -> TierDefaults {
    TierDefaults {
        tier: Tier::Regional,
        name: "regional-0".to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8180)),
        admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 9180)),
    }
}
