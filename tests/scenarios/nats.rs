//! The purge log on NATS JetStream: two shields, two edges, and a server that comes and goes.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use weir_cache::{HostPattern, Profile};
use weir_node::config::{ByteSize, SiteConfig, TierDefaults};
use weir_node::{ManualClock, TierSecret};
use weir_origin_mock::OriginMock;
use weir_tests::{
    Folder, NatsServer, Reply, Request, SECRET, TOKEN, TestNode, config, until_so, upstream,
};

/// Short, so that leases run out while a scenario waits; five renewals go into it.
const LEASE: Duration = Duration::from_secs(1);

/// Two regions, each with an edge that asks a shield that asks the origin.
struct Regions {
    origin: OriginMock,
    server: NatsServer,
    clock: Arc<ManualClock>,
    shields: Vec<TestNode>,
    edges: Vec<TestNode>,
}

impl Regions {
    async fn start() -> Self {
        let (origin, server) = (OriginMock::start().await, NatsServer::start().await);
        let clock = Arc::new(ManualClock::new());
        let mut regions = Self { origin, server, clock, shields: Vec::new(), edges: Vec::new() };
        for index in 0..2 {
            let (shield, edge) = (weir_shield::defaults(), weir_edge::defaults());
            let shield = regions.node(&shield, &format!("shield-{index}"), None).await;
            let edge = regions.node(&edge, &format!("edge-{index}"), Some(&shield)).await;
            regions.shields.push(shield);
            regions.edges.push(edge);
        }
        for node in regions.nodes() {
            node.ready().await;
        }
        // Until then purges wait for leases that a node may not know of which has just come.
        regions.purge_holds("everything").await;
        regions
    }

    async fn node(
        &self,
        defaults: &TierDefaults,
        name: &str,
        parent: Option<&TestNode>,
    ) -> TestNode {
        let mut site = SiteConfig::new("www", Profile::Default);
        site.hosts = vec![HostPattern::Any];
        site.origins = vec![upstream(self.origin.addr()).into()];
        let mut config = config(defaults, name);
        config.parents = parent.iter().map(|parent| upstream(parent.addr())).collect();
        config.sites = vec![site];
        config.purge.lease = LEASE;
        config.purge.nats.server = Some(self.server.url());
        TestNode::start(config, Arc::clone(&self.clock)).await
    }

    fn nodes(&self) -> impl Iterator<Item = &TestNode> {
        self.edges.iter().chain(&self.shields)
    }

    fn serve(&self, path: &str, body: &'static str) {
        self.origin.script(path).ok().header("cache-control", "max-age=600").body(body).set();
    }

    /// Stores `path` on every node.
    async fn fill(&self, path: &str) {
        for edge in &self.edges {
            edge.get(path).await;
            assert_eq!(edge.get(path).await.x_cache(), "HIT");
        }
    }

    /// Waits until every edge serves what the origin has, without a purge.
    async fn nothing_old_is_trusted(&self, path: &str) {
        for edge in &self.edges {
            until_so("validation", async || edge.get(path).await.body == "new").await;
        }
    }

    /// Purges everything until a purge is complete on all nodes; returns its number in the log.
    async fn purge_holds(&self, why: &str) -> u64 {
        let mut seq = 0;
        until_so(why, async || {
            let reply = purge(&self.edges[0], r#"{"everything": true}"#).await;
            let holds = reply.status == 200 && state(&reply) == "applied";
            seq = if holds { receipt(&reply)["seq"].as_u64().unwrap() } else { 0 };
            holds
        })
        .await;
        seq
    }
}

/// Asks `node` for a purge and waits until it holds. One that was asked for while the log is made anew never does, so
/// that the wait leaves time for others.
async fn purge(node: &TestNode, wish: &'static str) -> Reply {
    Request::new(Method::POST, "/v1/purges?wait=4s")
        .header("authorization", &format!("Bearer {TOKEN}"))
        .header("content-type", "application/json")
        .body(wish)
        .send(node.admin_addr())
        .await
}

fn receipt(reply: &Reply) -> serde_json::Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", text(reply)))
}

fn text(reply: &Reply) -> String {
    format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body))
}

fn state(reply: &Reply) -> String {
    receipt(reply)["state"].as_str().unwrap_or_default().to_owned()
}

async fn fenced(node: &TestNode, is: bool) {
    node.metrics_reach(|metrics| metrics.get("weir_purge_fenced") == f64::from(u8::from(is))).await;
}

#[tokio::test]
async fn a_purge_asked_of_any_node_holds_in_both_regions() {
    let regions = Regions::start().await;
    for (index, node) in regions.nodes().enumerate() {
        regions.serve("/a", "old");
        regions.fill("/a").await;
        regions.serve("/a", "new");

        let reply = purge(node, r#"{"prefixes": ["www.test/a"], "reason": "a test"}"#).await;

        assert_eq!(
            (reply.status.as_u16(), state(&reply)),
            (200, "applied".to_owned()),
            "{}",
            text(&reply)
        );
        assert_eq!(receipt(&reply)["nodes"].as_object().unwrap().len(), 4, "{}", text(&reply));
        for edge in &regions.edges {
            assert_eq!(edge.get("/a").await.body, "new", "purge {index}");
        }
        purge(node, r#"{"everything": true}"#).await;
    }
    // Any node answers for any purge.
    let list = regions.shields[1].admin(Method::GET, "/v1/purges").await;
    let reasons = receipt(&list)["purges"].to_string().matches("a test").count();
    assert_eq!(reasons, 4, "{}", text(&list));
}

#[tokio::test]
async fn a_purge_during_a_fill_is_not_lost() {
    let regions = Regions::start().await;
    let script = regions.origin.script("/film").ok().header("cache-control", "max-age=600");
    let hold = script.body("old").hold().set();
    let first = regions.edges[0].spawn_get("/film");
    hold.reached().await;

    let reply = purge(&regions.edges[1], r#"{"everything": true}"#).await;
    assert_eq!(state(&reply), "applied", "{}", text(&reply));
    hold.release();

    assert_eq!(first.await.unwrap().body, "old", "it was asked for before");
    regions.serve("/film", "new");
    assert_eq!(regions.edges[0].get("/film").await.body, "new");
}

#[tokio::test]
async fn nodes_without_the_server_fence_themselves_and_recover_with_it() {
    let mut regions = Regions::start().await;
    regions.serve("/a", "old");
    regions.fill("/a").await;

    regions.server.kill().await;
    for node in regions.nodes() {
        fenced(node, true).await;
    }
    regions.serve("/a", "new");
    assert_eq!(regions.edges[0].get("/a").await.body, "new", "validated, since nobody vouches");
    let refused = purge(&regions.edges[0], r#"{"everything": true}"#).await;
    assert_eq!(refused.status, 503, "{}", text(&refused));

    regions.server.start_again().await;
    for node in regions.nodes() {
        fenced(node, false).await;
    }
    regions.purge_holds("a purge after the server's return").await;
    regions.fill("/a").await;
    regions.serve("/a", "newer");
    regions.purge_holds("another one").await;
    for edge in &regions.edges {
        assert_eq!(edge.get("/a").await.body, "newer");
    }
}

#[tokio::test]
async fn a_node_that_was_away_knows_what_was_purged_meanwhile() {
    let mut regions = Regions::start().await;
    let edge = regions.edges.pop().unwrap();
    let mut config = edge.config().clone();
    (config.listen, config.admin) = (edge.addr(), edge.admin_addr());
    edge.shutdown().await;

    let reply = purge(&regions.edges[0], r#"{"everything": true}"#).await;
    assert_eq!(state(&reply), "applied", "{}", text(&reply));
    let nodes = receipt(&reply)["nodes"].as_object().unwrap().len();
    assert_eq!(nodes, 3, "it has left: {}", text(&reply));

    regions.edges.push(TestNode::start(config, Arc::clone(&regions.clock)).await);
    regions.edges[1].ready().await;
    fenced(&regions.edges[1], false).await;
    regions.serve("/a", "old");
    regions.fill("/a").await;
    regions.serve("/a", "new");
    let reply = purge(&regions.edges[0], r#"{"everything": true}"#).await;
    assert_eq!(receipt(&reply)["nodes"].as_object().unwrap().len(), 4, "{}", text(&reply));
    assert_eq!(regions.edges[1].get("/a").await.body, "new");
}

/// It reads what it missed, one by one, and need not validate all that it has on disk.
#[tokio::test]
async fn a_restarted_node_goes_on_where_it_was() {
    let mut regions = Regions::start().await;
    let folder = Folder::new();
    let edge = regions.edges.pop().unwrap();
    let mut config = edge.config().clone();
    edge.shutdown().await;
    config.data_dir = Some(folder.path().to_owned());
    let start = || TestNode::start(config.clone(), Arc::clone(&regions.clock));
    let named = async |node: &TestNode| node.metrics().await.get("weir_purge_named");

    let edge = start().await;
    edge.ready().await;
    fenced(&edge, false).await;
    assert_eq!(named(&edge).await, 0.0, "it took the log up at its head");
    purge(&regions.edges[0], r#"{"urls": ["http://www.test/a"]}"#).await;
    edge.metrics_reach(|metrics| metrics.get("weir_purge_named") == 1.0).await;
    edge.shutdown().await;
    purge(&regions.edges[0], r#"{"urls": ["http://www.test/b"]}"#).await;

    let edge = start().await;
    fenced(&edge, false).await;
    edge.ready().await;
    assert_eq!(named(&edge).await, 2.0, "what it knew and what it missed");
    edge.shutdown().await;
    regions.server.kill().await;
    let edge = start().await;
    assert_eq!(named(&edge).await, 2.0, "without the server too");
    fenced(&edge, true).await;
}

/// Only what was purged meanwhile is fetched again.
#[tokio::test]
async fn a_restarted_node_goes_on_with_what_it_has_on_disk() {
    let mut regions = Regions::start().await;
    let folder = Folder::new();
    let edge = regions.edges.pop().unwrap();
    let mut config = edge.config().clone();
    edge.shutdown().await;
    config.data_dir = Some(folder.path().to_owned());
    config.store.disk = Some(ByteSize::from_mib(64));
    let edge = TestNode::start(config.clone(), Arc::clone(&regions.clock)).await;
    edge.ready().await;
    fenced(&edge, false).await;
    for path in ["/kept", "/purged"] {
        regions.serve(path, "old");
        edge.get(path).await;
    }
    edge.written().await;
    edge.shutdown().await;
    for path in ["/kept", "/purged"] {
        regions.serve(path, "new");
    }
    purge(&regions.edges[0], r#"{"urls": ["http://www.test/purged"]}"#).await;

    let edge = TestNode::start(config, Arc::clone(&regions.clock)).await;
    edge.ready().await;
    fenced(&edge, false).await;
    for (path, x_cache, body) in [("/kept", "HIT", "old"), ("/purged", "MISS", "new")] {
        let reply = edge.get(path).await;
        assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), (x_cache, body.as_bytes()));
    }
}

#[tokio::test]
async fn a_node_that_died_is_waited_for_until_its_lease_has_run_out() {
    let mut regions = Regions::start().await;
    // Dropped, it says no word of leaving.
    drop(regions.edges.pop());

    let reply = purge(&regions.edges[0], r#"{"everything": true}"#).await;

    assert_eq!(state(&reply), "applied_with_fenced", "{}", text(&reply));
    let receipt = receipt(&reply);
    assert_eq!(receipt["nodes"]["edge-1"]["state"], "fenced", "{}", text(&reply));
    assert_eq!(receipt["nodes"]["shield-1"]["state"], "applied", "{}", text(&reply));
}

#[tokio::test]
async fn a_log_that_was_lost_becomes_another_one_and_nothing_stored_is_trusted() {
    let mut regions = Regions::start().await;
    regions.serve("/a", "old");
    regions.fill("/a").await;
    regions.server.kill().await;
    regions.server.lose_everything();
    regions.server.start_again().await;
    regions.serve("/a", "new");

    regions.nothing_old_is_trusted("/a").await;
    regions.purge_holds("a purge in the new log").await;
}

/// What a power failure does to a server that writes to disk from time to time only. Afterwards the log
/// is shorter than what the nodes have applied, or has grown past that with other messages.
#[tokio::test]
async fn a_log_that_lost_what_it_had_confirmed_is_made_anew() {
    for grown in [0, 1_000] {
        let mut regions = Regions::start().await;
        regions.server.kill().await;
        let files = regions.server.files();
        regions.server.start_again().await;
        regions.purge_holds("a purge that will be lost").await;
        regions.serve("/a", "old");
        regions.fill("/a").await;
        regions.server.kill().await;
        regions.server.go_back_to(&files);
        let cdn = TierSecret::new(SECRET).unwrap().cdn_id().to_owned();
        regions.server.write_in_secret(&format!("weir.{cdn}.log.report"), grown).await;
        regions.server.start_again().await;
        regions.serve("/a", "new");

        regions.nothing_old_is_trusted("/a").await;
        let seq = regions.purge_holds("a purge in the new log").await;
        assert!(seq < 1_000, "the log was made anew: {seq}");
    }
}

#[tokio::test]
async fn a_password_comes_from_a_file() {
    let server = NatsServer::start_for(Some(("weir", "a password"))).await;
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("credentials");
    std::fs::write(&file, "weir:another one\n").unwrap();
    let mut config = config(&weir_edge::defaults(), "edge");
    config.purge.lease = LEASE;
    config.purge.nats.server = Some(server.url());
    config.purge.nats.credentials = Some(file.clone());
    let node = TestNode::start(config, Arc::new(ManualClock::new())).await;

    let failures = "weir_purge_report_failures_total";
    node.metrics_reach(|metrics| metrics.get(failures) > 0.0).await;
    let readiness = Request::get("/readyz").send(node.admin_addr()).await;
    assert_eq!(readiness.status, 503, "a node without the log may not serve");

    std::fs::write(&file, "weir:a password\n").unwrap();
    node.ready().await;
}
