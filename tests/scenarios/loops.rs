//! Nodes that point at each other notice it at once (RFC 8586).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use weir_cache::{HostPattern, Profile};
use weir_node::ManualClock;
use weir_node::config::{NodeConfig, SiteConfig};
use weir_tests::{Request, TestNode, config, free_addr, upstream};

fn node(name: &str, listen: SocketAddr) -> NodeConfig {
    let mut config = config(&weir_edge::defaults(), name);
    config.listen = listen;
    let mut site = SiteConfig::new("www", Profile::Default);
    site.hosts = vec![HostPattern::Any];
    config.sites = vec![site];
    config
}

async fn start(config: NodeConfig) -> TestNode {
    TestNode::start(config, Arc::new(ManualClock::new())).await
}

/// Asks `first` and expects that `last` finds the loop, without anybody being asked twice.
async fn assert_loop_is_found(first: &TestNode, last: &TestNode) {
    for method in [Method::GET, Method::HEAD, Method::POST] {
        let before = last.metrics().await.sum("weir_refused_total", &["reason=\"loop\""]);
        let began = Instant::now();
        let reply = first.send(&Request::new(method.clone(), "/a")).await;
        assert_eq!(reply.status, 508, "{method}");
        assert!(began.elapsed() < Duration::from_secs(2));
        assert_eq!(reply.field("cache-control"), "no-store");
        let said = reply.field("proxy-status");
        assert!(said.contains("error=proxy_loop_detected"), "{said}");
        let found = last.metrics().await.sum("weir_refused_total", &["reason=\"loop\""]) - before;
        assert_eq!(found, 1.0, "{method}");
    }
    for node in [first, last] {
        assert_eq!(node.metrics().await.get("weir_store_keys"), 0.0);
    }
}

#[tokio::test]
async fn a_node_that_is_its_own_origin_answers_508() {
    let address = free_addr();
    let mut config = node("edge-0", address);
    config.sites[0].origins = vec![upstream(address).into()];
    let node = start(config).await;
    assert_loop_is_found(&node, &node).await;
}

#[tokio::test]
async fn two_nodes_that_are_each_others_parents_answer_508() {
    let [first, second] = [free_addr(), free_addr()];
    let mut one = node("edge-0", first);
    one.parents = vec![upstream(second)];
    let mut two = node("edge-1", second);
    two.parents = vec![upstream(first)];
    let [one, two] = [start(one).await, start(two).await];
    assert_loop_is_found(&one, &one).await;
    assert_loop_is_found(&two, &two).await;
}

#[tokio::test]
async fn two_nodes_that_are_each_others_origins_answer_508() {
    let [first, second] = [free_addr(), free_addr()];
    let mut one = node("edge-0", first);
    one.sites[0].origins = vec![upstream(second).into()];
    let mut two = node("edge-1", second);
    two.sites[0].origins = vec![upstream(first).into()];
    let [one, _two] = [start(one).await, start(two).await];
    assert_loop_is_found(&one, &one).await;
}

/// A client can make its own request look like a loop and nobody else's.
#[tokio::test]
async fn a_forged_loop_hurts_only_who_forges_it() {
    let stack = weir_tests::Shape::single().start().await;
    let via = stack.edge().get("/a").await.field("via");
    let forged = stack.edge().send(&Request::get("/b").header("via", &via)).await;
    assert_eq!(forged.status, 508);
    let reply = stack.edge().get("/b").await;
    assert_eq!((reply.status.as_u16(), reply.x_cache().as_str()), (200, "MISS"));
}
