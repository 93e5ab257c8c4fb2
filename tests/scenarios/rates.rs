//! How often one client, and all clients of a site, may ask.

use std::time::Duration;

use http::Method;
use weir_node::config::{NodeConfig, Rate, SiteConfig};
use weir_tests::{Raw, RawReply, Request, Shape, Stack};

/// One request in ten seconds, and two at once.
fn slow_site(site: &mut SiteConfig) {
    (site.limits.rate, site.limits.burst) = (Some(Rate::per_minute(6)), Some(2));
}

fn slow_node(node: &mut NodeConfig) {
    (node.limits.rate, node.limits.burst) = (Some(Rate::per_minute(6)), Some(2));
}

async fn with_slow_site() -> Stack {
    let stack = Shape::single().site(slow_site).start().await;
    stack.serve("/a", "max-age=600", "hello");
    stack
}

async fn limited(stack: &Stack, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    stack.edge().metrics().await.sum("weir_limited_total", &[&label])
}

fn assert_told_to_wait(reply: &RawReply, secs: &str) {
    assert_eq!((reply.status, reply.field("retry-after")), (429, secs), "{}", reply.head);
    assert_eq!(reply.field("cache-control"), "no-store");
    assert_eq!(reply.field("x-cache"), "", "nothing was looked up");
    assert!(!reply.field("x-request-id").is_empty());
}

/// Hits count as well; the connection stays, and time heals.
#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_again() {
    let stack = with_slow_site().await;
    let mut client = Raw::connect(stack.edge().addr()).await;
    for expected in ["MISS", "HIT"] {
        let reply = client.get("/a").await;
        assert_eq!((reply.status, reply.field("x-cache")), (200, expected));
    }
    assert_told_to_wait(&client.get("/a").await, "10");
    stack.advance(Duration::from_millis(3_500));
    assert_told_to_wait(&client.get("/a").await, "7");
    stack.advance(Duration::from_millis(6_500));
    assert_eq!(client.get("/a").await.status, 200);
    assert_told_to_wait(&client.get("/a").await, "10");
    assert_eq!(limited(&stack, "client-site-rate").await, 3.0);
    assert_eq!(stack.origin.hits("/a"), 1);
}

#[tokio::test]
async fn clients_do_not_pay_for_each_other() {
    let stack = with_slow_site().await;
    for host in [2, 3] {
        let mut client = Raw::connect_from(host, stack.edge().addr()).await;
        for _ in 0..2 {
            assert_eq!(client.get("/a").await.status, 200, "from host {host}");
        }
        // Another connection is the same client.
        let mut other = Raw::connect_from(host, stack.edge().addr()).await;
        assert_told_to_wait(&other.get("/a").await, "10");
    }
}

#[tokio::test]
async fn networks_that_are_exempt_ask_as_often_as_they_like() {
    let exempt = |node: &mut NodeConfig| {
        slow_node(node);
        node.limits.exempt = vec!["127.0.0.3/32".parse().unwrap()];
    };
    let stack = Shape::single().site(slow_site).node(exempt).start().await;
    let mut exempt = Raw::connect_from(3, stack.edge().addr()).await;
    for _ in 0..10 {
        assert_eq!(exempt.get("/a").await.status, 200);
    }
}

/// What is refused before its site is known is not free.
#[tokio::test]
async fn unreadable_requests_and_unknown_hosts_count_for_the_node() {
    let host = |site: &mut SiteConfig| site.hosts = vec!["www.test".parse().unwrap()];
    let stack = Shape::single().site(host).node(slow_node).start().await;
    let edge = stack.edge();
    // (what is sent, what comes back, the reason that is counted)
    let refused = [
        ("GET /a HTTP/1.1\r\n\r\n".to_owned(), 400, "malformed"),
        ("GET /a b HTTP/1.1\r\nHost: www.test\r\n\r\n".to_owned(), 400, "unreadable-head"),
        (
            format!("GET /a HTTP/1.1\r\nHost: www.test\r\n{}\r\n", "X: x\r\n".repeat(150)),
            431,
            "head-too-large",
        ),
        ("GET /a HTTP/1.1\r\nHost: other.test\r\n\r\n".to_owned(), 421, "unknown-host"),
    ];
    for (client, (request, status, reason)) in (10..).zip(refused) {
        for _ in 0..2 {
            let mut raw = Raw::connect_from(client, edge.addr()).await;
            raw.try_write(&request).await;
            assert_eq!(raw.response().await.status, status, "{reason}");
            raw.end().await;
            assert!(raw.rest().await.is_empty(), "{reason}");
        }
        let label = format!("reason=\"{reason}\"");
        edge.metrics_reach(|metrics| metrics.sum("weir_refused_total", &[&label]) == 2.0).await;
        let mut raw = Raw::connect_from(client, edge.addr()).await;
        assert_told_to_wait(&raw.get("/a").await, "10");
    }
    assert_eq!(limited(&stack, "client-rate").await, 4.0);
    assert_eq!(Raw::connect_from(9, edge.addr()).await.get("/a").await.status, 200);
}

/// The edge has charged the client; what a shield sees are all clients as one address.
#[tokio::test]
async fn nodes_below_are_exempt_and_clients_above_are_not() {
    let shape = Shape::tiers(1, 1).site(slow_site).node(slow_node);
    let stack = shape.start().await;
    for host in 2..8 {
        let mut client = Raw::connect_from(host, stack.edge().addr()).await;
        for path in ["/a", "/b"] {
            let path = format!("{path}{host}");
            assert_eq!(client.get(&path).await.status, 200, "{path}");
        }
    }
    let shield = stack.shield.as_ref().unwrap();
    assert_eq!(shield.metrics().await.get("weir_limited_total"), 0.0);
    let mut bold = Raw::connect(shield.addr()).await;
    let statuses = [bold.get("/a").await.status, bold.get("/a").await.status];
    assert_eq!(statuses, [200, 200]);
    assert_told_to_wait(&bold.get("/a").await, "10");
}

/// A body that nobody reads is not taken for the next request.
#[tokio::test]
async fn a_body_of_a_refused_request_is_no_request() {
    let stack = with_slow_site().await;
    let mut client = Raw::connect(stack.edge().addr()).await;
    for _ in 0..2 {
        client.get("/a").await;
    }
    let inner = "GET /smuggled HTTP/1.1\r\nHost: www.test\r\n\r\n";
    let head = format!("POST /a HTTP/1.1\r\nHost: www.test\r\nContent-Length: {}", inner.len());
    client.write(format!("{head}\r\n\r\n{inner}")).await;
    assert_told_to_wait(&client.response().await, "10");
    client.try_write("GET /a HTTP/1.1\r\nHost: www.test\r\nConnection: close\r\n\r\n").await;
    let rest = String::from_utf8(client.rest().await).unwrap();
    assert!(rest.matches("HTTP/1.1 ").count() <= 1, "one answer to one request: {rest}");
    assert_eq!(stack.origin.hits("/smuggled"), 0);
}

#[tokio::test]
async fn all_clients_of_a_site_share_its_rate() {
    let rate = |site: &mut SiteConfig| site.limits.rate_total = Some(Rate::per_second(3));
    let stack = Shape::single().site(rate).start().await;
    stack.serve("/a", "max-age=600", "hello");
    for host in [2, 3, 4] {
        let mut client = Raw::connect_from(host, stack.edge().addr()).await;
        assert_eq!(client.get("/a").await.status, 200);
    }
    let mut last = Raw::connect_from(5, stack.edge().addr()).await;
    let reply = last.get("/a").await;
    assert_eq!((reply.status, reply.field("retry-after")), (503, "1"));
    assert_eq!(limited(&stack, "site-rate").await, 1.0);
    stack.advance(Duration::from_millis(334));
    assert_eq!(last.get("/a").await.status, 200);
}

#[tokio::test]
async fn so_many_requests_of_a_site_are_in_flight() {
    let quota = |site: &mut SiteConfig| site.limits.requests_in_flight_max = Some(2);
    let stack = Shape::single().site(quota).start().await;
    let hold = stack.answer("/slow", 200).body("hello").hold().set();
    let waiting: Vec<_> = (0..2).map(|_| stack.edge().spawn_get("/slow")).collect();
    hold.reached().await;
    stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 1.0).await;
    let refused = stack.edge().get("/a").await;
    assert_eq!((refused.status.as_u16(), refused.field("retry-after")), (503, "1".to_owned()));
    assert_eq!(limited(&stack, "requests-in-flight").await, 1.0);
    hold.release();
    for reply in waiting {
        assert_eq!(reply.await.unwrap().body, "hello");
    }
    assert_eq!(stack.edge().get("/a").await.status, 200);
}

/// However many writes one client sends, the purge log keeps room for what others purge.
#[tokio::test]
async fn one_client_writes_only_so_much_into_the_purge_log() {
    let stack = Shape::tiers(1, 0).start().await;
    let (few, many) = (200, 230);
    let posts: Vec<_> = (0..many)
        .map(|index| stack.edge().spawn(Request::new(Method::POST, &format!("/p{index}"))))
        .collect();
    for post in posts {
        assert_eq!(post.await.unwrap().status, 200, "all are passed on");
    }
    let shield = stack.shield.as_ref().unwrap();
    let metrics = shield.metrics().await;
    let kept_out = metrics.sum("weir_limited_total", &["reason=\"implied-purges\""]);
    assert_eq!(kept_out, f64::from(many - few));
    // On the path it holds all the same.
    stack.serve("/a", "max-age=600", "old");
    assert_eq!(stack.edge().get("/a").await.body, "old");
    stack.serve("/a", "max-age=600", "new");
    assert_eq!(stack.edge().send(&Request::new(Method::POST, "/a")).await.status, 200);
    assert_eq!(stack.edge().get("/a").await.body, "new");
}
