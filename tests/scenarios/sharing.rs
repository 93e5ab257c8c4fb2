//! What those who wait for another's fetch may get: what a cache could have given them, no more.

use std::time::Duration;

use weir_tests::{Request, Shape, Stack};

/// A leader and a waiter for `/page` while the origin holds the rest of the body.
async fn leader_and_waiter(
    stack: &Stack,
    hold: weir_origin_mock::Hold,
) -> (weir_tests::Reply, weir_tests::Reply) {
    let edge = stack.edge();
    let leader = edge.spawn(Request::get("/page").header("cookie", "user=alice"));
    hold.reached().await;
    let waiter = edge.spawn(Request::get("/page").header("cookie", "user=bob"));
    edge.metrics_reach(|m| m.get("weir_fill_waiters") == 1.0).await;
    hold.release();
    (leader.await.unwrap(), waiter.await.unwrap())
}

/// RFC 9111 §4 lets a cache collapse requests that one stored response could answer. A response that
/// must be validated at each use answers nobody but the one who asked.
#[tokio::test]
async fn a_page_that_must_be_validated_is_not_given_to_who_waited_for_it() {
    // (field, value): stored, and never reused without asking.
    let cases = [("etag", "\"a\""), ("cache-control", "no-cache"), ("cache-control", "max-age=0")];
    for (name, value) in cases {
        let stack = Shape::single().start().await;
        let bob = stack.answer("/page", 200).header(name, value).header("etag", "\"b\"");
        bob.body("for bob").set();
        let alice = stack.answer("/page", 200).header(name, value).header("etag", "\"a\"");
        let hold = alice.hold().body("for alice").once().set();
        let (first, second) = leader_and_waiter(&stack, hold).await;
        assert_eq!(
            (first.body.as_ref(), second.body.as_ref()),
            (&b"for alice"[..], &b"for bob"[..])
        );
        assert!(!second.cache_status().contains("collapsed"), "{value}");
        assert_eq!(stack.origin.hits("/page"), 2);
    }
}

/// Fields that a qualified directive keeps out of the store are the leader's alone.
#[tokio::test]
async fn fields_that_are_not_stored_are_not_shared_either() {
    for directive in ["no-cache=\"set-cookie\"", "private=\"set-cookie\""] {
        let stack = Shape::single().start().await;
        let script = stack.answer("/page", 200).header("set-cookie", "session=alice");
        let script = script.header("cache-control", format!("max-age=60, {directive}"));
        let hold = script.body(vec![1; 2_000]).send(1_000).hold().set();
        let (leader, waiter) = leader_and_waiter(&stack, hold).await;
        assert_eq!(leader.field("set-cookie"), "session=alice", "{directive}");
        assert_eq!(waiter.field("set-cookie"), "", "{directive}");
        assert_eq!(leader.body, waiter.body);
        assert_eq!(stack.origin.hits("/page"), 1);
    }
}

/// A stream that outlives its own freshness takes nobody on, and whoever joins before learns its age.
#[tokio::test]
async fn who_joins_a_stream_learns_its_age_and_nobody_joins_a_stale_one() {
    let stack = Shape::single().start().await;
    stack.serve("/page", "max-age=10", "the next");
    let script = stack.answer("/page", 200).header("cache-control", "max-age=10");
    let hold = script.body(vec![1; 2_000]).send(1_000).hold().once().set();
    let mut leader = Request::get("/page").start(stack.edge().addr()).await;
    leader.read_at_least(1).await;

    stack.advance(Duration::from_secs(5));
    let joined = Request::get("/page").start(stack.edge().addr()).await;
    assert_eq!(joined.headers["age"], "5");
    assert_eq!(stack.origin.hits("/page"), 1);

    stack.advance(Duration::from_secs(5));
    let late = stack.edge().get("/page").await;
    assert_eq!(late.body, "the next", "the first is stale before it is whole");
    assert_eq!(stack.origin.hits("/page"), 2);
    hold.release();
    assert_eq!(joined.finish().await.body.len(), 2_000);
}

/// A failing origin is not asked once for each of those who wait, nor is it from then on.
#[tokio::test]
async fn a_failing_origin_is_asked_once_for_all_who_wait() {
    let stack = Shape::tiers(2, 1).start().await;
    for round in 1..=2 {
        let hold = stack.answer("/down", 503).hold().body("no").set();
        let mut clients = Vec::new();
        for index in 0..30 {
            clients.push(stack.edges[index % 2].spawn_get("/down"));
        }
        for edge in &stack.edges {
            edge.metrics_reach(|m| m.get("weir_fill_waiters") == 14.0).await;
        }
        hold.reached().await;
        hold.release();
        for client in clients {
            assert_eq!(client.await.unwrap().status, 503);
        }
        assert_eq!(stack.origin.hits("/down"), round);
    }
}

/// The part of a large file that a player seeks to is fetched as asked, not waited for.
#[tokio::test]
async fn a_seek_far_ahead_does_not_wait_for_all_before_it() {
    let stack = Shape::single()
        .node(|config| {
            config.store.object_max = weir_node::config::ByteSize::from_kib(64);
            config.fill.window = weir_node::config::ByteSize::from_kib(64);
        })
        .start()
        .await;
    let part = stack.answer("/film", 206).header("content-range", "bytes 900000-900004/1000000");
    part.body("part!").set();
    let script = stack.answer("/film", 200).header("cache-control", "max-age=60");
    let hold = script.body(vec![7_u8; 1_000_000]).send(100_000).hold().once().set();
    let mut whole =
        Request::get("/film").header("range", "bytes=0-").start(stack.edge().addr()).await;
    whole.read_at_least(1).await;

    let seek = Request::get("/film").header("range", "bytes=900000-900004");
    let seek = stack.edge().send(&seek).await;
    assert_eq!((seek.status.as_u16(), seek.body.as_ref()), (206, &b"part!"[..]));
    hold.release();
    assert_eq!(whole.finish().await.status, 206);
}
