//! Nodes that know each other by certificates, without a tier secret.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::json;
use weir_cache::{HostPattern, Profile};
use weir_node::config::{NodeConfig, Scheme, SiteConfig, TierDefaults, TlsConfig, UpstreamAddr};
use weir_node::{AdminToken, Components, LogHome, ManualClock, StartError, start};
use weir_origin_mock::OriginMock;
use weir_tests::{
    Authority, Folder, Issued, Request, TOKEN, TestNode, TlsClient, config, upstream,
};

/// Nodes that one authority vouches for, and their origin.
struct Chain {
    authority: Authority,
    folder: Folder,
    origin: OriginMock,
    clock: Arc<ManualClock>,
}

impl Chain {
    async fn new() -> Self {
        Self {
            authority: Authority::new(),
            folder: Folder::new(),
            origin: OriginMock::start().await,
            clock: Arc::new(ManualClock::new()),
        }
    }

    /// A certificate for a node: as a server on this machine, and as a client called `name`.
    fn node_certificate(&self, name: &str) -> Issued {
        self.authority.issue(&["127.0.0.1", "node.cdn.test"], |params| {
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.extended_key_usages = vec![
                rcgen::ExtendedKeyUsagePurpose::ServerAuth,
                rcgen::ExtendedKeyUsagePurpose::ClientAuth,
            ];
        })
    }

    fn config(&self, defaults: &TierDefaults, name: &str, parents: &[&TestNode]) -> NodeConfig {
        let mut config = config(defaults, name);
        let files = self.node_certificate(name).write(self.folder.path(), name);
        config.tls = TlsConfig {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            tier_ca: Some(self.authority.file(&self.folder)),
            tier_certificate: Some(files.certificate.clone()),
            tier_key: Some(files.key.clone()),
            certificates: vec![files],
            ..TlsConfig::default()
        };
        let mut site = SiteConfig::new("www", Profile::Default);
        site.hosts = vec![HostPattern::Any];
        site.origins = vec![upstream(self.origin.addr()).into()];
        config.sites = vec![site];
        config.parents = parents.iter().map(|parent| secure(parent)).collect();
        config.data_dir = Some(self.folder.path().join(name).join("data"));
        config
    }

    async fn start(&self, config: NodeConfig) -> TestNode {
        TestNode::start_with(config, Arc::clone(&self.clock), None).await
    }
}

/// The address of a node over TLS.
fn secure(node: &TestNode) -> UpstreamAddr {
    UpstreamAddr { scheme: Scheme::Https, ..upstream(node.tls_addr()) }
}

#[tokio::test]
async fn a_chain_without_a_secret_is_one_cache_and_purges_hold_in_it() {
    let chain = Chain::new().await;
    let shield = chain.start(chain.config(&weir_shield::defaults(), "shield", &[])).await;
    let regional = chain.config(&weir_regional::defaults(), "regional-0", &[&shield]);
    let regional = chain.start(regional).await;
    let mut config = chain.config(&weir_edge::defaults(), "edge-0", &[&regional]);
    config.tls.tier_name = Some("node.cdn.test".to_owned());
    let edge = chain.start(config).await;
    for node in [&shield, &regional, &edge] {
        node.ready().await;
    }
    chain.origin.script("/a").ok().header("cache-control", "max-age=600").body("one").set();
    let miss = edge.get("/a").await;
    assert_eq!((miss.status.as_u16(), &miss.body[..]), (200, &b"one"[..]));
    let status = miss.field("cache-status");
    assert!(status.starts_with("shield; fwd=uri-miss; stored, regional;"), "{status}");
    assert_eq!(edge.get("/a").await.x_cache(), "HIT");
    let seen = chain.origin.requests("/a");
    let loops = seen[0].headers.get("cdn-loop").unwrap().to_str().unwrap();
    let ids: std::collections::HashSet<_> =
        loops.split(',').map(|member| member.trim().split(';').next().unwrap()).collect();
    assert_eq!(ids.len(), 1, "all nodes agree on the name of the CDN: {loops}");

    chain.origin.script("/a").ok().header("cache-control", "max-age=600").body("two").set();
    edge.purge(&json!({"urls": ["http://www.test/a"]})).await;
    assert_eq!(&edge.get("/a").await.body[..], b"two", "the purge went up and came down");
    assert_eq!(chain.origin.requests("/a").len(), 2);
}

/// The node that keeps the purge log may be named by an https address as well.
#[tokio::test]
async fn the_purge_log_may_be_asked_over_tls() {
    let chain = Chain::new().await;
    let shield = chain.start(chain.config(&weir_shield::defaults(), "shield", &[])).await;
    let mut config = chain.config(&weir_edge::defaults(), "edge-0", &[]);
    config.purge.authority = Some(secure(&shield));
    let edge = chain.start(config).await;
    edge.ready().await;
    chain.origin.script("/a").ok().header("cache-control", "max-age=600").body("one").set();
    assert_eq!(edge.get("/a").await.x_cache(), "MISS");
    assert_eq!(edge.get("/a").await.x_cache(), "HIT");
    shield.purge(&json!({"tags": [], "urls": ["http://www.test/a"]})).await;
    assert_eq!(edge.get("/a").await.x_cache(), "MISS");
}

/// What a proven child may say, and nobody else: here the request that answers must be fresh.
#[tokio::test]
async fn only_a_certificate_of_the_tiers_for_clients_proves_a_child() {
    let chain = Chain::new().await;
    let shield = chain.start(chain.config(&weir_shield::defaults(), "shield", &[])).await;
    shield.ready().await;
    chain.origin.script("/a").ok().header("cache-control", "max-age=600").body("one").set();
    let strangers = Authority::new();
    let server_only = chain.authority.issue(&["edge-9"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let over = chain.authority.issue(&["edge-9"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = rcgen::date_time_ymd(2_001, 1, 1);
    });
    let nameless = chain.authority.issue(&[], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    // (certificate, whether it proves a child, why)
    let cases = [
        (Some(chain.authority.certify_client("edge-9")), true, "of the tiers"),
        (None, false, "none"),
        (Some(strangers.certify_client("edge-9")), false, "of another authority"),
        (Some(server_only), false, "for servers"),
        (Some(chain.authority.certify(&["edge-9"])), false, "without a use"),
        (Some(over), false, "that is over"),
        (Some(nameless), false, "without a name"),
    ];
    for (own, child, why) in cases {
        let client = match &own {
            Some(own) => TlsClient::showing(&chain.authority, own),
            None => TlsClient::trusting(&chain.authority),
        };
        let request = Request::get("/a").header("x-forwarded-proto", "http");
        // Twice: a session that is resumed proves no more and no less.
        for _ in 0..2 {
            let reply = client.send(shield.tls_addr(), "127.0.0.1", &request).await;
            assert_eq!(reply.status, 200, "{why}");
            assert_eq!(!reply.field("weir-as-of").is_empty(), child, "{why}: {:?}", reply.headers);
        }
    }
    let plain = shield.get("/a").await;
    assert_eq!(plain.field("weir-as-of"), "", "nobody proves anything without TLS here");
}

#[tokio::test]
async fn a_parent_that_nobody_vouches_for_is_not_believed() {
    let chain = Chain::new().await;
    let mut config = chain.config(&weir_shield::defaults(), "shield", &[]);
    let strangers = Authority::new();
    config.tls.certificates =
        vec![strangers.certify(&["127.0.0.1"]).write(chain.folder.path(), "stranger")];
    let shield = chain.start(config).await;
    let edge = chain.start(chain.config(&weir_edge::defaults(), "edge-0", &[&shield])).await;
    let reply = edge.get("/a").await;
    assert_eq!(reply.status, 502, "{:?}", reply.headers);
    assert_eq!(chain.origin.requests("/a").len(), 0);
}

#[tokio::test]
async fn a_node_that_its_parents_cannot_know_does_not_start() {
    let chain = Chain::new().await;
    let shield = chain.start(chain.config(&weir_shield::defaults(), "shield", &[])).await;
    let mut plain = chain.config(&weir_edge::defaults(), "edge-0", &[&shield]);
    plain.parents = vec![upstream(shield.addr())];
    let mut anonymous = chain.config(&weir_edge::defaults(), "edge-0", &[&shield]);
    anonymous.tls.tier_certificate = None;
    anonymous.tls.tier_key = None;
    for config in [plain, anonymous] {
        let components = Components {
            clock: Arc::clone(&chain.clock) as _,
            secret: None,
            token: AdminToken::new(TOKEN).unwrap(),
            log_home: LogHome::OneProcess,
        };
        let refused = start(config, components).await;
        assert!(matches!(refused.err(), Some(StartError::NoSecret { .. })));
    }
}
