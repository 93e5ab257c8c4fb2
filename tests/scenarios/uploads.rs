//! How large the body of a request may be, and how slowly it may come.

use std::time::{Duration, Instant};

use http::Method;
use weir_node::config::{Bandwidth, ByteSize, NodeConfig, SiteConfig};
use weir_tests::{Raw, Request, Shape, Stack};

const SHORT: Duration = Duration::from_millis(200);

/// At most ten bytes for the site, and twenty for the node, which the site's ten stand in for.
async fn ten_bytes() -> Stack {
    let site = |site: &mut SiteConfig| site.limits.body_max = Some(ByteSize::from_bytes(10));
    let node = |node: &mut NodeConfig| node.limits.body_max = Some(ByteSize::from_bytes(20));
    Shape::single().site(site).node(node).start().await
}

async fn limited(stack: &Stack, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    stack.edge().metrics().await.sum("weir_limited_total", &[&label])
}

fn post(fields: &str) -> String {
    format!("POST /up HTTP/1.1\r\nHost: www.test\r\n{fields}\r\n\r\n")
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_goes_nowhere() {
    let stack = ten_bytes().await;
    let fits = Request::new(Method::POST, "/up").body("0123456789");
    assert_eq!(stack.edge().send(&fits).await.status, 200);
    let reply = stack.edge().send(&Request::new(Method::POST, "/up").body("0123456789x")).await;
    assert_eq!((reply.status.as_u16(), reply.field("connection")), (413, "close".to_owned()));
    assert_eq!(stack.origin.hits("/up"), 1);
    assert_eq!(limited(&stack, "body-max").await, 1.0);
}

/// Asked whether to send, the node says no, and not first yes.
#[tokio::test]
async fn a_body_that_is_too_large_is_not_asked_for() {
    let stack = ten_bytes().await;
    let mut client = Raw::connect(stack.edge().addr()).await;
    client.write(post("Content-Length: 11\r\nExpect: 100-continue")).await;
    assert_eq!(client.response().await.status, 413);
    assert!(client.rest().await.is_empty());
    let mut client = Raw::connect(stack.edge().addr()).await;
    client.write(post("Content-Length: 10\r\nExpect: 100-continue")).await;
    assert_eq!(client.response().await.status, 100);
    client.write("0123456789").await;
    assert_eq!(client.response().await.status, 200);
}

/// Who sends without asking gets to read the answer: the connection is not reset under it.
#[tokio::test]
async fn the_answer_to_a_body_that_is_too_large_arrives() {
    let stack = ten_bytes().await;
    let mut client = Raw::connect(stack.edge().addr()).await;
    client.write(post("Content-Length: 4194304")).await;
    client.write(vec![7; 4 << 20]).await;
    assert_eq!(client.response().await.status, 413);
}

#[tokio::test]
async fn a_body_without_a_length_may_not_grow_too_large() {
    let stack = ten_bytes().await;
    let mut client = Raw::connect(stack.edge().addr()).await;
    client.write(post("Transfer-Encoding: chunked")).await;
    client.write("8\r\n01234567\r\n").await;
    client.write("8\r\n01234567\r\n").await;
    let reply = client.response().await;
    assert_eq!((reply.status, reply.field("connection")), (413, "close"));
    assert!(client.rest().await.is_empty());
    assert_eq!(limited(&stack, "body-max").await, 1.0);
    // Ten bytes in chunks are fine.
    let mut client = Raw::connect(stack.edge().addr()).await;
    client.write(post("Transfer-Encoding: chunked")).await;
    client.write("8\r\n01234567\r\n2\r\n89\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    let stack = Shape::single().node(|node| node.limits.body_timeout = SHORT).start().await;
    let mut client = Raw::connect(stack.edge().addr()).await;
    let began = Instant::now();
    client.write(post("Content-Length: 10")).await;
    client.write("hello").await;
    let reply = client.response().await;
    assert_eq!((reply.status, reply.field("connection")), (408, "close"));
    assert!(began.elapsed() >= SHORT);
    assert!(client.rest().await.is_empty());
    assert_eq!(limited(&stack, "body-timeout").await, 1.0);
    assert_eq!(stack.edge().get("/a").await.status, 200);
}

/// A byte now and then is not enough.
#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let drip = |node: &mut NodeConfig| {
        node.limits.body_timeout = 2 * SHORT;
        node.limits.body_rate_min = Bandwidth::per_second(ByteSize::from_mib(64));
    };
    let stack = Shape::single().node(drip).start().await;
    let mut client = Raw::connect(stack.edge().addr()).await;
    client.write(post("Content-Length: 1000000")).await;
    let began = Instant::now();
    // A question to the node between two bytes, so that they do not come at once.
    while limited(&stack, "body-rate").await == 0.0 {
        client.try_write("x").await;
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(client.response().await.status, 408);
}

/// An origin that takes its time does not make its clients slow.
#[tokio::test]
async fn a_body_that_is_whole_may_wait_for_its_answer() {
    let stack = Shape::single().node(|node| node.limits.body_timeout = SHORT).start().await;
    let hold = stack.answer("/up", 200).body("done").hold().set();
    let reply = stack.edge().spawn(Request::new(Method::POST, "/up").body("hello"));
    hold.reached().await;
    let began = Instant::now();
    while began.elapsed() < 2 * SHORT {
        assert_eq!(stack.edge().get("/a").await.status, 200);
    }
    hold.release();
    assert_eq!(reply.await.unwrap().body, "done");
}
