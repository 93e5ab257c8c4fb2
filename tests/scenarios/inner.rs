//! Fields that pass between tiers only, and who may use them.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use weir_tests::{Reply, Request, Shape, Stack, TestNode, config, upstream};

fn inner(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("weir-")).collect()
}

const NAMES: [&str; 6] =
    ["weir-auth", "weir-refresh", "weir-as-of", "weir-failure", "weir-min-seq", "weir-whatever"];

#[tokio::test]
async fn inner_fields_of_a_client_go_nowhere() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        for method in [Method::GET, Method::POST] {
            let mut request = Request::new(method, "/a");
            for name in NAMES {
                request = request.header(name, "1");
            }
            let reply = stack.edge().send(&request).await;
            assert_eq!(reply.status, 200);
            assert_eq!(inner(&reply.headers), [""; 0]);
        }
        for seen in stack.origin.requests("/a") {
            assert_eq!(inner(&seen.headers), [""; 0]);
        }
        let failures = stack.edge().metrics().await.get("weir_proof_failures_total");
        assert_eq!(failures, 2.0, "a proof that does not hold is counted");
    }
}

#[tokio::test]
async fn inner_fields_of_the_origin_reach_no_client_and_mean_nothing() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        for path in ["/a", "/b"] {
            let mut script = stack.answer(path, 200).header("cache-control", "max-age=60");
            for name in NAMES {
                script = script.header(name, "unreachable");
            }
            script.body("hello").set();
        }
        let miss = stack.edge().get("/a").await;
        let hit = stack.edge().get("/a").await;
        let part = stack.edge().send(&Request::get("/b").header("range", "bytes=1-2")).await;
        let head = stack.edge().send(&Request::new(Method::HEAD, "/b")).await;
        let post = stack.edge().send(&Request::new(Method::POST, "/b")).await;
        for reply in [&miss, &hit, &part, &head, &post] {
            assert_eq!(reply.status, 200, "an origin cannot claim a failure");
            assert_eq!(inner(&reply.headers), [""; 0]);
        }
        assert_eq!(hit.x_cache(), "HIT");
    }
}

/// Nothing inner leaves the edge, whatever the tiers say to one another.
#[tokio::test]
async fn nothing_inner_leaves_the_edge() {
    let stack = Shape::tiers(1, 1).start().await;
    stack.serve("/a", "max-age=60, stale-while-revalidate=600", "hello");
    let mut replies = vec![stack.edge().get("/a").await, stack.edge().get("/a").await];
    stack.advance(Duration::from_secs(61));
    replies.push(stack.edge().get("/a").await);
    replies.push(stack.edge().send(&Request::new(Method::POST, "/a")).await);
    stack.origin.stop().await;
    replies.push(stack.edge().get("/b").await);
    for reply in replies {
        assert_eq!(inner(&reply.headers), [""; 0]);
    }
}

/// A proof that an edge made, taken from its way upstream.
async fn captured_proof(stack: &Stack) -> HeaderMap {
    let mut spied = config(&weir_edge::defaults(), "edge-9");
    spied.parents = vec![upstream(stack.origin.addr())];
    spied.sites = stack.edge().config().sites.clone();
    let edge = TestNode::start(spied, Arc::clone(&stack.clock)).await;
    edge.get("/proof").await;
    stack.origin.requests("/proof").pop().unwrap().headers
}

async fn ask_shield(stack: &Stack, target: &str, proof: &HeaderMap) -> Reply {
    let mut request = Request::get(target);
    for name in ["weir-auth", "x-forwarded-for", "x-request-id"] {
        request = request.header(name, proof[name].to_str().unwrap());
    }
    stack.top().send(&request).await
}

/// The proof is good for what it was made for, for a minute; else the sender is a client.
#[tokio::test]
async fn a_proof_that_does_not_hold_makes_a_client() {
    let stack = Shape::tiers(1, 0).start().await;
    let proof = captured_proof(&stack).await;
    let failures = async || stack.top().metrics().await.get("weir_proof_failures_total");

    let held = ask_shield(&stack, "/proof", &proof).await;
    assert_eq!(inner(&held.headers), ["weir-as-of"], "taken as a child");
    assert_eq!(held.field("x-request-id"), proof["x-request-id"]);
    let seen = stack.origin.requests("/proof").pop().unwrap().headers;
    assert_eq!(seen["x-forwarded-for"], "127.0.0.1", "left as the child wrote it");
    assert_eq!(failures().await, 0.0);

    let elsewhere = ask_shield(&stack, "/proof?x", &proof).await;
    assert_eq!(inner(&elsewhere.headers), [""; 0], "made for another target");
    assert_ne!(elsewhere.field("x-request-id"), proof["x-request-id"]);
    let seen = stack.origin.requests("/proof").pop().unwrap().headers;
    assert_eq!(seen["x-forwarded-for"], "127.0.0.1, 127.0.0.1", "a client is added");
    assert_eq!(failures().await, 1.0);

    stack.advance(Duration::from_secs(61));
    let expired = ask_shield(&stack, "/proof", &proof).await;
    assert_eq!((expired.status.as_u16(), inner(&expired.headers)), (200, vec![]), "too old");
    assert_eq!(failures().await, 2.0);
}

/// A refresh asks for something fresh. Only a child may ask so: a client gets what is stored.
#[tokio::test]
async fn only_a_child_can_ask_for_no_stale_answer() {
    let stack = Shape::tiers(1, 0).start().await;
    stack.serve("/a", "max-age=60, stale-while-revalidate=600", "old");
    stack.edge().get("/a").await;
    stack.advance(Duration::from_secs(61));
    let hold = stack.answer("/a", 200).body("new").hold().set();
    let claimed = Request::get("/a").header("weir-refresh", "1");
    for node in stack.nodes() {
        let reply = node.send(&claimed).await;
        assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("STALE", b"old".as_slice()));
    }
    hold.release();
}

/// Nodes with different secrets work together as strangers: right, and counted.
#[tokio::test]
async fn a_tier_with_another_secret_is_a_client() {
    let stack = Shape::tiers(1, 0).start().await;
    let mut config = config(&weir_edge::defaults(), "edge-9");
    config.parents = vec![upstream(stack.top().addr())];
    config.sites = stack.edge().config().sites.clone();
    let secret = weir_node::TierSecret::new("quite another secret");
    let stranger = TestNode::start_with(config, Arc::clone(&stack.clock), secret).await;
    let reply = stranger.get("/a").await;
    assert_eq!(reply.status, 200);
    // One for the request, and one for each try to follow the purge log.
    assert!(stack.top().metrics().await.get("weir_proof_failures_total") >= 1.0);
    let seen = stack.origin.requests("/a").pop().unwrap().headers;
    assert_eq!(seen["x-forwarded-for"], "127.0.0.1, 127.0.0.1");
}
