//! What one connection may cost: time for a head, time without taking a byte, connections at once.

use std::time::{Duration, Instant};

use weir_node::config::NodeConfig;
use weir_tests::{Raw, Shape, Stack, TestNode};

const SHORT: Duration = Duration::from_millis(150);

/// Far more than the system's socket buffers hold.
const LARGE: usize = 16 << 20;

async fn no_connection_is_left(node: &TestNode) {
    node.metrics_reach(|metrics| metrics.get("weir_connections") == 0.0).await;
}

async fn with_head_timeout() -> Stack {
    let stack = Shape::single().node(|config| config.limits.head_timeout = SHORT).start().await;
    stack.serve("/a", "max-age=60", "hello");
    stack.serve("/large", "max-age=60", vec![7; LARGE]);
    for path in ["/a", "/large"] {
        assert_eq!(stack.edge().get(path).await.status, 200);
    }
    no_connection_is_left(stack.edge()).await;
    stack
}

/// The answer to a head that took too long, and nothing else.
fn assert_told_to_be_late(answer: Vec<u8>) {
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

/// Begins a request and never ends it; returns once the node has cut it.
async fn outlast_a_slow_head(stack: &Stack) {
    let mut slow = Raw::connect(stack.edge().addr()).await;
    slow.write("GET /a HTTP/1.1\r\nHost: www").await;
    let began = Instant::now();
    assert_told_to_be_late(slow.rest().await);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_slow_head_is_cut() {
    let stack = with_head_timeout().await;
    outlast_a_slow_head(&stack).await;
    no_connection_is_left(stack.edge()).await;
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.sum("weir_connections_cut_total", &["reason=\"head-timeout\""]), 1.0);
}

/// The clock runs for the whole head: a byte now and then does not help.
#[tokio::test]
async fn a_head_that_drips_is_cut() {
    let stack = with_head_timeout().await;
    let mut slow = Raw::connect(stack.edge().addr()).await;
    slow.write("GET /a HTTP/1.1\r\nX: ").await;
    let began = Instant::now();
    loop {
        // A question to the node between two bytes, so that they do not come at once.
        if stack.edge().metrics().await.get("weir_connections") == 0.0 {
            break;
        }
        slow.try_write("x").await;
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    assert!(began.elapsed() >= SHORT);
}

/// The second head on a connection is under the same clock, and the first one's is over.
#[tokio::test]
async fn each_head_has_its_own_time() {
    let stack = with_head_timeout().await;
    let mut patient = Raw::connect(stack.edge().addr()).await;
    assert_eq!(patient.get("/a").await.body, b"hello");
    outlast_a_slow_head(&stack).await;

    let again = patient.get("/a").await;
    assert_eq!((again.status, again.field("x-cache")), (200, "HIT"), "idle is not slow");
    patient.write("GET /a HT").await;
    assert_told_to_be_late(patient.rest().await);
}

/// A client that takes its time over a body is not slow with its head.
#[tokio::test]
async fn a_body_may_take_longer_than_a_head() {
    let stack = with_head_timeout().await;
    let mut slow = Raw::connect_narrow(stack.edge().addr()).await;
    slow.write("GET /large HTTP/1.1\r\nHost: www.test\r\n\r\n").await;
    assert!(slow.head().await.starts_with("HTTP/1.1 200"));
    outlast_a_slow_head(&stack).await;
    assert_eq!(slow.exactly(LARGE).await.len(), LARGE);
}

/// The same for what it sends.
#[tokio::test]
async fn an_upload_may_take_longer_than_a_head() {
    let stack = with_head_timeout().await;
    let mut slow = Raw::connect(stack.edge().addr()).await;
    slow.write("POST /up HTTP/1.1\r\nHost: www.test\r\nContent-Length: 10\r\n\r\nhello").await;
    outlast_a_slow_head(&stack).await;
    slow.write("hello").await;
    assert_eq!(slow.response().await.status, 200);
    assert_eq!(stack.origin.requests("/up")[0].body_len, 10);
}

/// Requests that come before the one before them is answered are answered in turn.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let stack = with_head_timeout().await;
    let mut raw = Raw::connect(stack.edge().addr()).await;
    let request = |path| format!("GET {path} HTTP/1.1\r\nHost: www.test\r\n\r\n");
    raw.write(["/a", "/miss", "/a"].map(request).concat()).await;
    assert_eq!(raw.response().await.body, b"hello");
    assert_eq!(raw.response().await.body, b"path: /miss\nversion: 1\n");
    assert_eq!(raw.response().await.body, b"hello");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let stack = Shape::single().node(|config| config.limits.idle_timeout = SHORT).start().await;
    let mut raw = Raw::connect(stack.edge().addr()).await;
    assert_eq!(raw.get("/a").await.status, 200);
    assert!(raw.rest().await.is_empty());
}

/// A reader that takes nothing is cut; one that takes little is not.
#[tokio::test]
async fn a_stuck_reader_is_cut() {
    let stack = Shape::single().node(|config| config.limits.write_timeout = SHORT).start().await;
    stack.serve("/large", "max-age=60", vec![7; LARGE]);
    stack.edge().get("/large").await;
    no_connection_is_left(stack.edge()).await;
    let ask = "GET /large HTTP/1.1\r\nHost: www.test\r\n\r\n";
    let began = Instant::now();
    let mut stuck = Raw::connect_narrow(stack.edge().addr()).await;
    stuck.write(ask).await;
    let mut slow = Raw::connect_narrow(stack.edge().addr()).await;
    slow.write(ask).await;
    slow.head().await;

    while stack.edge().metrics().await.get("weir_connections") > 1.0 {
        slow.exactly(1000).await;
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    assert!(began.elapsed() >= SHORT);
    let came = stuck.rest().await;
    assert!(came.len() < LARGE, "{} bytes", came.len());
    slow.exactly(1_000_000).await;
}

/// A stuck reader of a body in flight holds up neither the fill nor the others.
#[tokio::test]
async fn a_stuck_reader_of_a_fill_is_cut_and_the_fill_goes_on() {
    let stack = Shape::single().node(|config| config.limits.write_timeout = SHORT).start().await;
    let script = stack.answer("/large", 200).header("cache-control", "max-age=60");
    let hold = script.body(vec![7; LARGE]).send(1000).hold().set();
    let mut stuck = Raw::connect_narrow(stack.edge().addr()).await;
    stuck.write("GET /large HTTP/1.1\r\nHost: www.test\r\n\r\n").await;
    stuck.head().await;
    let other = stack.edge().spawn_get("/large");
    stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 1.0).await;
    hold.release();
    assert_eq!(other.await.unwrap().body.len(), LARGE);
    no_connection_is_left(stack.edge()).await;
    assert_eq!(stack.origin.hits("/large"), 1);
}

/// Connections on which nothing is asked make room, the one that is idle for longest first.
#[tokio::test]
async fn idle_connections_make_room_for_others() {
    let stack = Shape::single().node(|config| config.limits.connections_max = 3).start().await;
    let edge = stack.edge();
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut raw = Raw::connect(edge.addr()).await;
        assert_eq!(raw.get("/a").await.status, 200);
        open.push(raw);
    }
    assert_eq!(open[0].get("/a").await.status, 200, "the first has been idle for least");
    let mut next = Raw::connect(edge.addr()).await;
    assert_eq!(next.get("/a").await.status, 200);
    assert!(open.remove(1).rest().await.is_empty(), "the second was idle for longest");
    for raw in open.iter_mut().chain([&mut next]) {
        assert_eq!(raw.get("/a").await.status, 200);
    }
    let metrics = edge.metrics().await;
    assert_eq!(metrics.sum("weir_connections_cut_total", &["reason=\"idle\""]), 1.0);
    assert_eq!(metrics.get("weir_connections_refused_total"), 0.0);
    assert_eq!(metrics.get("weir_connections"), 3.0);
}

#[tokio::test]
async fn connections_above_the_bound_are_closed_at_once_where_none_is_idle() {
    let stack = Shape::single().node(|config| config.limits.connections_max = 3).start().await;
    let hold = stack.answer("/slow", 200).body("hello").hold().set();
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut raw = Raw::connect(stack.edge().addr()).await;
        raw.write("GET /slow HTTP/1.1\r\nHost: www.test\r\n\r\n").await;
        open.push(raw);
    }
    hold.reached().await;
    stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 2.0).await;
    let mut refused = Raw::connect(stack.edge().addr()).await;
    refused.try_write("GET /a HTTP/1.1\r\nHost: www.test\r\n\r\n").await;
    assert!(refused.rest().await.is_empty());
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.get("weir_connections_refused_total"), 1.0);
    assert_eq!(metrics.sum("weir_connections_refused_total", &["reason=\"connections-max\""]), 1.0);
    hold.release();
    for raw in &mut open {
        assert_eq!(raw.response().await.body, b"hello", "those who are in stay");
    }
}

#[tokio::test]
async fn one_client_has_so_many_connections() {
    let limit = |config: &mut NodeConfig| config.limits.connections_per_client = Some(2);
    let stack = Shape::single().node(limit).start().await;
    let edge = stack.edge();
    let mut open = Vec::new();
    for host in [2, 2, 3, 3] {
        let mut raw = Raw::connect_from(host, edge.addr()).await;
        assert_eq!(raw.get("/a").await.status, 200);
        open.push(raw);
    }
    let mut refused = Raw::connect_from(2, edge.addr()).await;
    assert!(refused.rest().await.is_empty());
    let metrics = edge.metrics().await;
    assert_eq!(
        metrics.sum("weir_connections_refused_total", &["reason=\"connections-per-client\""]),
        1.0
    );
    drop(open.remove(0));
    edge.metrics_reach(|metrics| metrics.get("weir_connections") == 3.0).await;
    let mut again = Raw::connect_from(2, edge.addr()).await;
    assert_eq!(again.get("/a").await.status, 200);
}

/// A crowd before a fill that does not come is bounded too; who is too many asks for himself.
#[tokio::test]
async fn waiters_above_the_bound_forward_for_themselves() {
    let stack = Shape::single().node(|config| config.limits.waiters_max = 2).start().await;
    let script = stack.answer("/a", 200).header("cache-control", "max-age=60");
    let hold = script.body("hello").hold().set();
    let clients: Vec<_> = (0..4).map(|_| stack.edge().spawn_get("/a")).collect();
    hold.reached_by(2).await;
    stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 2.0).await;
    hold.release();
    let mut crowded = 0;
    for client in clients {
        let reply = client.await.unwrap();
        assert_eq!(reply.body, "hello");
        crowded += usize::from(reply.cache_status().ends_with("detail=waiters-max"));
    }
    assert_eq!(crowded, 1);
    assert_eq!(stack.origin.hits("/a"), 2);
}
