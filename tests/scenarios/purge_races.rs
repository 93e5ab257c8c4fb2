//! A purge against what is under way when it comes: fills, waiters, validations. With the log at the top
//! of the tiers and with the log on NATS.

use serde_json::{Value, json};
use weir_tests::{NatsServer, Request, Shape, Stack};

/// Stacks of this shape with either log, each with the server that keeps it.
async fn with_either_log(shape: fn() -> Shape) -> [(Stack, Option<NatsServer>); 2] {
    let server = NatsServer::start().await;
    let on_nats = shape().log_on(&server).start().await;
    [(shape().start().await, None), (on_nats, Some(server))]
}

/// The case that other caches lose: the purge is acknowledged while a fill is in flight, and the old
/// response is stored after it.
#[tokio::test]
async fn a_purge_during_a_fill_is_not_lost() {
    let shapes: [fn() -> Shape; 2] = [Shape::single, || Shape::tiers(2, 1)];
    for (stack, _log) in
        [with_either_log(shapes[0]).await, with_either_log(shapes[1]).await].into_iter().flatten()
    {
        let script = stack.answer("/a", 200).header("cache-control", "max-age=3600");
        let hold = script.body("old").hold().set();
        let early = stack.edge().spawn_get("/a");
        hold.reached().await;
        stack.edge().purge(&json!({"urls": ["http://www.test/a"]})).await;
        hold.release();
        assert_eq!(early.await.unwrap().body, "old", "it was asked for before the purge");
        stack.serve("/a", "max-age=3600", "new");
        for edge in &stack.edges {
            assert_eq!(edge.get("/a").await.body, "new");
        }
        for node in stack.nodes() {
            node.metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
        }
        for edge in &stack.edges {
            let reply = edge.get("/a").await;
            assert_eq!((reply.x_cache().as_str(), &reply.body[..]), ("HIT", &b"new"[..]));
        }
    }
}

/// A request that comes after a purge does not share the fill from before it, though that fill is still
/// under way; and what the old fill brings does not take the place of the new.
#[tokio::test]
async fn a_request_after_a_purge_does_not_join_the_fill_from_before_it() {
    // (purge, whether it concerns the fill; by a tag it may, since the fill's tags are not known yet)
    let cases = [
        (json!({"urls": ["http://www.test/a"]}), true),
        (json!({"hosts": ["www.test"]}), true),
        (json!({"tags": ["any"]}), true),
        (json!({"urls": ["http://www.test/b"]}), false),
    ];
    for (wish, separates) in cases {
        for (stack, _log) in with_either_log(|| Shape::tiers(1, 1)).await {
            does_not_join(&stack, &wish, separates).await;
        }
    }
}

async fn does_not_join(stack: &Stack, wish: &Value, separates: bool) {
    let old = stack.answer("/a", 200).header("cache-control", "max-age=3600");
    let hold = old.body("old").before_body().hold().set();
    let early = stack.edge().spawn_get("/a");
    hold.reached().await;
    stack.edge().purge(wish).await;
    stack.serve("/a", "max-age=3600", "new");
    if separates {
        assert_eq!(stack.edge().get("/a").await.body, "new", "{wish}");
    } else {
        let late = stack.edge().spawn_get("/a");
        stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 1.0).await;
        hold.release();
        assert_eq!(late.await.unwrap().body, "old", "{wish}");
    }
    hold.release();
    assert_eq!(early.await.unwrap().body, "old", "{wish}");
    stack.edge().metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
    let reply = stack.edge().get("/a").await;
    let expected: &[u8] = if separates { b"new" } else { b"old" };
    assert_eq!((reply.x_cache().as_str(), &reply.body[..]), ("HIT", expected), "{wish}");
    assert_eq!(stack.origin.hits("/a"), if separates { 2 } else { 1 }, "{wish}");
}

/// A 304 that was on its way when the purge came does not bring the response back.
#[tokio::test]
async fn a_validation_from_before_a_purge_does_not_bring_it_back() {
    for mode in ["purge", "invalidate"] {
        for (stack, _log) in with_either_log(|| Shape::tiers(1, 1)).await {
            does_not_bring_back(&stack, mode).await;
        }
    }
}

async fn does_not_bring_back(stack: &Stack, mode: &str) {
    let script = stack.answer("/a", 200).header("cache-control", "max-age=1");
    script.header("etag", "\"1\"").body("old").set();
    stack.edge().get("/a").await;
    stack.advance(std::time::Duration::from_secs(10));
    let script = stack.answer("/a", 304).header("cache-control", "max-age=3600");
    let hold = script.header("etag", "\"1\"").hold().set();
    let early = stack.edge().spawn_get("/a");
    hold.reached().await;
    stack.edge().purge(&json!({"urls": ["http://www.test/a"], "mode": mode})).await;
    stack.serve("/a", "max-age=3600", "new");
    hold.release();
    // What was purged is fetched without conditions, also by the one who asked before.
    let expected = if mode == "purge" { "new" } else { "old" };
    assert_eq!(early.await.unwrap().body, expected, "{mode}");
    assert_eq!(stack.edge().get("/a").await.body, "new", "{mode}");
}

/// After a purge of a hot key the origin is asked once, however many clients come to however many edges.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_of_a_hot_key_costs_one_origin_request() {
    for (stack, _log) in with_either_log(|| Shape::tiers(3, 2)).await {
        costs_one_origin_request(&stack).await;
    }
}

async fn costs_one_origin_request(stack: &Stack) {
    stack.serve("/hot", "max-age=3600", "x");
    stack.edge().get("/hot").await;
    for purge in 1..=10_u64 {
        stack.edge().purge(&json!({"urls": ["http://www.test/hot"]})).await;
        let clients: Vec<_> =
            (0..60).map(|index| stack.edges[index % 3].spawn(Request::get("/hot"))).collect();
        for client in clients {
            assert_eq!(client.await.unwrap().status, 200);
        }
        assert_eq!(stack.origin.hits("/hot"), purge + 1);
    }
}
