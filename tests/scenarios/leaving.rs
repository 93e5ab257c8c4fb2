//! Clients that leave before the end: who else is affected, and what becomes of the fill.

use weir_origin_mock::pattern_bytes;
use weir_tests::{Request, Shape, Stack, TestNode, until};

/// Well above what is finished for nobody (`fill.background_max`).
const LARGE: u64 = 8 << 20;

async fn no_client_is_left(node: &TestNode) {
    node.metrics_reach(|metrics| metrics.get("weir_connections") == 0.0).await;
}

async fn no_fill_is_left(node: &TestNode) {
    node.metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
}

/// The leader is a client like any other once its request is under way.
#[tokio::test]
async fn waiters_get_everything_when_the_leader_leaves() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let body = pattern_bytes("/film", 1, 0..LARGE);
        let script = stack.origin.script("/film").ok().header("cache-control", "max-age=60");
        let hold = script.body(body.clone()).send(500_000).hold().set();
        let mut leader = Request::get("/film").start(stack.edge().addr()).await;
        leader.read_at_least(100_000).await;
        hold.reached().await;
        let waiters: Vec<_> = (0..3).map(|_| stack.edge().spawn_get("/film")).collect();
        stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 3.0).await;

        drop(leader);
        stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 2.0).await;
        hold.release();

        for waiter in waiters {
            let reply = waiter.await.unwrap();
            assert!(!reply.cut);
            assert_eq!(reply.body, body);
        }
        assert_eq!(stack.origin.hits("/film"), 1);
        assert_eq!(stack.edge().get("/film").await.x_cache(), "HIT");
    }
}

/// A leader that leaves before there is an answer leaves its waiters the answer.
#[tokio::test]
async fn waiters_get_the_answer_when_the_leader_leaves_before_its_head() {
    let stack = Shape::single().start().await;
    let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
    let hold = script.body("hello").hold().set();
    let leader = stack.edge().spawn_get("/a");
    hold.reached().await;
    let waiter = stack.edge().spawn_get("/a");
    stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 1.0).await;

    leader.abort();
    stack.edge().metrics_reach(|metrics| metrics.get("weir_connections") == 1.0).await;
    hold.release();

    assert_eq!(waiter.await.unwrap().body, "hello");
    assert_eq!(stack.origin.hits("/a"), 1);
}

/// Bytes that nobody asks for are not fetched.
#[tokio::test]
async fn a_large_fill_ends_when_everybody_has_left() {
    let stack = Shape::single().start().await;
    let body = pattern_bytes("/film", 1, 0..LARGE);
    let script = stack.origin.script("/film").ok().header("cache-control", "max-age=60");
    let hold = script.body(body.clone()).send(500_000).hold().set();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Request::get("/film").start(stack.edge().addr()).await;
        client.read_at_least(1).await;
        clients.push(client);
    }
    hold.reached().await;

    drop(clients);
    // The origin is silent: it is left at once, not when it says something.
    no_fill_is_left(stack.edge()).await;
    hold.release();

    until("the origin's connection to end", || stack.origin.connections() == 0).await;
    assert_eq!(stack.edge().metrics().await.get("weir_store_keys"), 0.0, "nothing stored");
    let later = stack.edge().get("/film").await;
    assert_eq!((later.x_cache().as_str(), later.body.len()), ("MISS", body.len()));
    assert_eq!(stack.origin.hits("/film"), 2);
}

/// A tier whose only reader was the tier below gives up as that one does.
#[tokio::test]
async fn giving_up_goes_up_from_tier_to_tier() {
    let stack = Shape::tiers(1, 1).start().await;
    let script = stack.origin.script("/film").ok().header("cache-control", "max-age=60");
    let hold = script.body(pattern_bytes("/film", 1, 0..LARGE)).send(100_000).hold().set();
    let mut client = Request::get("/film").start(stack.edge().addr()).await;
    client.read_at_least(100_000).await;
    hold.reached().await;

    drop(client);
    for tier in stack.nodes() {
        no_fill_is_left(tier).await;
    }
    hold.release();

    until("the origin's connection to end", || stack.origin.connections() == 0).await;
    for node in stack.nodes() {
        assert_eq!(node.metrics().await.get("weir_store_keys"), 0.0, "nothing stored");
    }
}

/// What is nearly done is finished: whoever comes next has it.
#[tokio::test]
async fn a_fill_that_is_nearly_done_is_finished_for_nobody() {
    // (length, bytes sent before everybody leaves, why)
    let cases = [(LARGE, 5 << 20, "more than half is here"), (100_000, 1_000, "little is left")];
    for (length, sent, why) in cases {
        let stack = Shape::single().start().await;
        let body = pattern_bytes("/film", 1, 0..length);
        let script = stack.origin.script("/film").ok().header("cache-control", "max-age=60");
        let hold = script.body(body.clone()).send(sent).hold().set();
        let mut client = Request::get("/film").start(stack.edge().addr()).await;
        client.read_at_least(usize::try_from(sent).unwrap()).await;
        hold.reached().await;

        drop(client);
        no_client_is_left(stack.edge()).await;
        hold.release();
        no_fill_is_left(stack.edge()).await;

        let later = stack.edge().get("/film").await;
        assert!(later.x_cache() == "HIT" && later.body == body, "{why}");
        assert_eq!(stack.origin.hits("/film"), 1, "{why}");
    }
}

/// A fill that is finished for nobody can still be joined: the one who joins gets all of it.
#[tokio::test]
async fn a_fill_that_everybody_left_serves_who_comes_in_time() {
    let stack: Stack = Shape::single().start().await;
    let body = pattern_bytes("/film", 1, 0..LARGE);
    let script = stack.origin.script("/film").ok().header("cache-control", "max-age=60");
    let hold = script.body(body.clone()).send(5 << 20).hold().set();
    let mut client = Request::get("/film").start(stack.edge().addr()).await;
    client.read_at_least(5 << 20).await;
    drop(client);
    no_client_is_left(stack.edge()).await;

    let mut late = Request::get("/film").start(stack.edge().addr()).await;
    let early = late.read_at_least(1).await;
    hold.release();
    let rest = late.finish().await;

    assert!(!rest.cut);
    assert_eq!([early.as_slice(), &rest.body].concat(), body);
    assert_eq!(stack.origin.hits("/film"), 1);
}
