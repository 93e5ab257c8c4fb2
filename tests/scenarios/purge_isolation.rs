//! Nodes that are cut off from the purge log, were down, or meet another log.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use weir_node::config::OnIsolation;
use weir_tests::{Request, Shape, Stack, TestNode, config, free_addr, soon, upstream};

/// Short enough to wait for, long enough to be renewed on a busy machine.
const LEASE: Duration = Duration::from_millis(1_500);

fn with_short_lease(shape: Shape) -> Shape {
    shape.node(|node| {
        node.purge.lease = LEASE;
        node.upstream.eject_for = Duration::from_millis(10);
    })
}

/// Waits until the edge is cut off, or is not any more.
async fn fenced(stack: &Stack, expected: bool) {
    let value = f64::from(u8::from(expected));
    stack.edge().metrics_reach(|metrics| metrics.get("weir_purge_fenced") == value).await;
}

#[tokio::test]
async fn a_node_that_is_cut_off_reuses_nothing_unasked_unless_the_site_says_so() {
    for policy in [OnIsolation::Validate, OnIsolation::ServeStale] {
        let shape =
            with_short_lease(Shape::tiers(1, 0)).site(move |site| site.on_isolation = policy);
        let mut stack = shape.start().await;
        stack.serve("/a", "max-age=3600, stale-if-error=3600", "hello");
        stack.edge().get("/a").await;
        let (address, admin) = (stack.top().addr(), stack.top().admin_addr());
        let mut config = stack.top().config().clone();
        stack.shield.take().unwrap().shutdown().await;
        fenced(&stack, true).await;

        let reply = stack.edge().get("/a").await;
        match policy {
            OnIsolation::Validate => assert_eq!(reply.status, 502, "it may have been purged"),
            OnIsolation::ServeStale => assert_eq!(reply.x_cache(), "HIT"),
        }
        let wish = json!({"everything": true});
        let refused = stack.edge().admin_json(Method::POST, "/v1/purges", &wish).await;
        assert_eq!(refused.status, 503, "nothing is pretended");

        (config.listen, config.admin) = (address, admin);
        let clock = Arc::clone(&stack.clock);
        stack.shield = Some(TestNode::start(config, clock).await);
        fenced(&stack, false).await;
        assert_eq!(
            stack.edge().get("/a").await.x_cache(),
            "HIT",
            "the log says that nothing happened"
        );
    }
}

/// A node that was down while a purge was made has a stated answer, and the wait is bounded.
#[tokio::test]
async fn a_purge_does_not_wait_for_a_dead_node_beyond_its_lease() {
    let mut stack = with_short_lease(Shape::tiers(2, 0)).start().await;
    let dead = stack.edges.pop().unwrap();
    // As if killed: it does not take leave of the log.
    drop(dead);
    let receipt = stack.edge().purge(&json!({"everything": true})).await;
    assert_eq!(receipt["state"], "applied_with_fenced");
    assert_eq!(receipt["nodes"]["edge-0"]["state"], "applied");
    assert_eq!(receipt["nodes"]["edge-1"]["state"], "fenced");
}

/// A node that ends in peace is not waited for at all.
#[tokio::test]
async fn a_purge_does_not_wait_for_a_node_that_left() {
    let mut stack = Shape::tiers(2, 1).start().await;
    stack.edges.pop().unwrap().shutdown().await;
    let receipt = stack.edge().purge(&json!({"everything": true})).await;
    assert_eq!(receipt["state"], "applied");
    assert!(receipt["nodes"].get("edge-1").is_none(), "{receipt}");
}

/// A shield that comes back with its log goes on with it; what the edges store stays good.
#[tokio::test]
async fn the_log_outlives_its_keeper() {
    let mut stack = with_short_lease(Shape::tiers(1, 0)).start().await;
    stack.serve("/a", "max-age=3600", "a");
    stack.serve("/b", "max-age=3600", "b");
    for path in ["/a", "/b"] {
        stack.edge().get(path).await;
    }
    stack.edge().purge(&json!({"urls": ["http://www.test/b"]})).await;
    stack.restart_shield().await;
    fenced(&stack, false).await;
    let receipt = stack.edge().purge(&json!({"urls": ["http://www.test/c"]})).await;
    assert_eq!(receipt["seq"], 2, "the numbers go on");
    assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT");
    assert_eq!(stack.edge().get("/b").await.x_cache(), "MISS");
    let listed = stack.edge().admin(Method::GET, "/v1/purges").await;
    let listed: Value = serde_json::from_slice(&listed.body).unwrap();
    assert_eq!(listed["purges"].as_array().unwrap().len(), 2);
}

/// A shield whose log is lost begins another; nothing from before is used without asking.
#[tokio::test]
async fn a_lost_log_makes_everything_older_than_every_purge() {
    let mut stack = with_short_lease(Shape::tiers(1, 0)).start().await;
    let script = stack.answer("/a", 200).header("cache-control", "max-age=3600");
    script.header("etag", "\"1\"").body("hello").set();
    stack.edge().get("/a").await;
    let log = stack.top().config().data_dir.clone().unwrap().join("purge-log");
    let shield = stack.shield.take().unwrap();
    let (mut config, address) = (shield.config().clone(), shield.addr());
    let admin = shield.admin_addr();
    shield.shutdown().await;
    std::fs::remove_dir_all(log).unwrap();
    (config.listen, config.admin) = (address, admin);
    let clock = Arc::clone(&stack.clock);
    stack.shield = Some(TestNode::start(config, clock).await);
    fenced(&stack, false).await;
    let before = stack.origin.hits("/a");
    soon("the edge to validate under the new log", async {
        while stack.origin.hits("/a") == before {
            let reply = stack.edge().get("/a").await;
            assert_eq!(reply.body, "hello");
        }
    })
    .await;
    assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT");
}

/// Two shields that nobody told which of them keeps the log: the one whose log the edge does not follow
/// refuses purges rather than pretend that they hold.
#[tokio::test]
async fn of_two_logs_the_one_that_is_not_followed_refuses_purges() {
    let stack = with_short_lease(Shape::tiers(1, 0)).start().await;
    stack.serve("/a", "max-age=3600", "hello");
    let second = |name: &str, defaults| {
        let mut config = config(&defaults, name);
        config.sites = stack.top().config().sites.clone();
        config.purge = stack.top().config().purge.clone();
        config
    };
    let clock = || Arc::clone(&stack.clock);
    let rival = TestNode::start(second("shield-1", weir_shield::defaults()), clock()).await;
    let mut edge = second("edge-0", weir_edge::defaults());
    edge.parents = vec![upstream(stack.top().addr()), upstream(rival.addr())];
    let edge = TestNode::start(edge, clock()).await;
    edge.ready().await;

    let wish = json!({"everything": true});
    let refusals = async || {
        for index in 0..8 {
            edge.get(&format!("/{index}")).await;
        }
        let mut refused = 0;
        for shield in [stack.top(), &rival] {
            let reply = shield.admin_json(Method::POST, "/v1/purges", &wish).await;
            refused += u8::from(reply.status == 503);
        }
        refused
    };
    soon("one of the logs to refuse", async { while refusals().await == 0 {} }).await;
    assert_eq!(refusals().await, 1, "the other is followed");
    edge.purge(&wish).await;
}

/// Two nodes that were told to be each other's parents follow no log, and pass no message round for ever.
#[tokio::test]
async fn nodes_that_are_each_others_parents_pass_no_message_round() {
    let stack = Shape::single().start().await;
    let addresses = [free_addr(), free_addr()];
    let mut nodes = Vec::new();
    for (index, address) in addresses.into_iter().enumerate() {
        let mut node = config(&weir_regional::defaults(), &format!("regional-{index}"));
        node.listen = address;
        node.parents = vec![upstream(addresses[1 - index])];
        node.sites = stack.edge().config().sites.clone();
        nodes.push(TestNode::start(node, Arc::clone(&stack.clock)).await);
    }
    let reply = nodes[0].admin_json(Method::POST, "/v1/purges", &json!({"everything": true})).await;
    assert_eq!(reply.status, 503, "{}", String::from_utf8_lossy(&reply.body));
    for node in &nodes {
        let connections = node.metrics().await.get("weir_connections");
        assert!(connections < 100.0, "{connections} connections");
    }
    let reply = Request::get("/readyz").send(nodes[0].admin_addr()).await;
    assert_eq!(reply.status, 503);
}
