//! Upstreams that are dead, silent or rude: what the client gets, and who is asked instead.

use std::time::{Duration, Instant};

use http::Method;
use weir_tests::{Reply, Request, Shape, TestNode, free_addr, upstream};

fn assert_is_ours(reply: &Reply, status: u16, error: &str) {
    assert_eq!(reply.status, status);
    assert_eq!(reply.field("cache-control"), "no-store");
    let said = reply.field("proxy-status");
    assert!(said.ends_with(&format!("; error={error}")), "{said}");
    reply.assert_no_other_fields(&["cache-control", "content-length", "content-type", "date"]);
}

#[tokio::test]
async fn a_dead_origin_is_a_502_within_a_second() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        stack.origin.stop().await;
        let began = Instant::now();

        let reply = stack.edge().get("/a").await;

        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        let nearest =
            if stack.shield.is_some() { "destination_unavailable" } else { "connection_refused" };
        assert_is_ours(&reply, 502, nearest);
        let post = stack.edge().send(&Request::new(Method::POST, "/a").body("x")).await;
        assert_eq!(post.status, 502);
        let metrics = stack.top().metrics().await;
        assert!(metrics.sum("weir_upstream_failures_total", &["kind=\"origin\""]) >= 2.0);
        assert!(metrics.sum("weir_requests_total", &["cache=\"error\""]) >= 2.0);
    }
}

/// HEAD gets the same without a body (RFC 9110 §9.3.2).
#[tokio::test]
async fn a_head_of_what_fails_has_no_body() {
    let stack = Shape::single().start().await;
    stack.origin.stop().await;
    let reply = stack.edge().send(&Request::new(Method::HEAD, "/a")).await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (502, 0));
}

#[tokio::test]
async fn an_origin_that_never_answers_is_a_504_at_the_timeout() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.node(|config| {
            // The tier next to the origin gives up first, so that its answer comes through.
            let patience = if config.parents.is_empty() { 150 } else { 5_000 };
            config.upstream.first_byte_timeout = Duration::from_millis(patience);
        });
        let stack = stack.start().await;
        stack.origin.script("/a").ok().hold().set();
        let began = Instant::now();

        let waiters: Vec<_> = (0..5).map(|_| stack.edge().spawn_get("/a")).collect();
        for waiter in waiters {
            let reply = waiter.await.unwrap();
            assert_eq!(reply.status, 504);
            assert_eq!(reply.field("cache-control"), "no-store");
            assert!(reply.field("proxy-status").contains("error="), "{:?}", reply.headers);
        }
        let waited = began.elapsed();
        assert!(
            waited >= Duration::from_millis(150) && waited < Duration::from_secs(3),
            "{waited:?}"
        );
        assert_eq!(stack.origin.hits("/a"), 1, "all waited for one request");
        stack.serve("/b", "max-age=60", "hello");
        // Cache time ends the pause in which the origin is passed over.
        stack.advance(Duration::from_secs(5));
        assert_eq!(stack.edge().get("/b").await.body, "hello", "others go on");
    }
}

/// A body that stops coming is cut at `idle_timeout`.
#[tokio::test]
async fn an_origin_that_stops_midway_is_cut_at_the_timeout() {
    let stack = Shape::single()
        .node(|config| config.upstream.idle_timeout = Duration::from_millis(150))
        .start()
        .await;
    let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
    script.body(vec![7; 1000]).send(400).hold().set();
    let reply = stack.edge().get("/a").await;
    assert!(reply.cut);
    assert_eq!(reply.body.len(), 400);
    stack.edge().metrics_reach(|metrics| metrics.get("weir_fills_failed_total") == 1.0).await;
}

/// Each key has a parent of its own; when that one is gone, the next is asked, and nobody notices.
#[tokio::test]
async fn a_dead_parent_is_passed_over() {
    let mut stack = Shape::tiers(1, 3).start().await;
    let dead = stack.regionals.remove(1);
    dead.shutdown().await;
    for index in 0..30 {
        let reply = stack.edge().get(&format!("/a{index}")).await;
        assert_eq!((reply.status.as_u16(), reply.x_cache().as_str()), (200, "MISS"));
    }
    let metrics = stack.edge().metrics().await;
    // Questions about the purge log have connections of their own, and may have met it too.
    assert!(metrics.sum("weir_upstream_failures_total", &["kind=\"parent\""]) >= 1.0);
    assert!((1.0..=2.0).contains(&metrics.get("weir_upstream_ejections_total")));
    let retries = metrics.sum("weir_upstream_retries_total", &[]);
    assert!((1.0..=2.0).contains(&retries), "asked once, then passed over: {retries}");
    assert_eq!(metrics.get("weir_upstream_healthy"), 2.0);
    assert_eq!(stack.origin.total(), 30, "one origin request a key");
}

/// It is asked again after a while, and used again when it answers.
#[tokio::test]
async fn a_parent_that_comes_back_is_used_again() {
    let mut stack = Shape::tiers(1, 1).start().await;
    let regional = stack.regionals.remove(0);
    let address = regional.addr();
    regional.shutdown().await;
    assert_eq!(stack.edge().get("/a").await.status, 502);
    let mut config = weir_tests::config(&weir_regional::defaults(), "regional-0");
    config.listen = address;
    config.sites = stack.edge().config().sites.clone();
    config.parents = vec![upstream(stack.top().addr())];
    let back = TestNode::start(config, std::sync::Arc::clone(&stack.clock)).await;

    stack.advance(Duration::from_secs(3));
    let reply = stack.edge().get("/a").await;

    assert_eq!(reply.status, 200);
    assert_eq!(back.metrics().await.sum("weir_requests_total", &["cache=\"miss\""]), 1.0);
}

#[tokio::test]
async fn when_all_parents_are_dead_it_is_a_502() {
    let mut stack = Shape::tiers(1, 2).start().await;
    for regional in stack.regionals.drain(..) {
        regional.shutdown().await;
    }
    for _ in 0..3 {
        let began = Instant::now();
        assert_is_ours(&stack.edge().get("/a").await, 502, "connection_refused");
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(stack.origin.total(), 0);
}

/// Servers of a site take turns, and a dead one is passed over.
#[tokio::test]
async fn a_dead_origin_of_two_is_passed_over() {
    let dead = free_addr();
    let stack = Shape::single().site(move |site| site.origins.insert(0, upstream(dead).into()));
    let stack = stack.start().await;
    for index in 0..10 {
        assert_eq!(stack.edge().get(&format!("/a{index}")).await.status, 200);
    }
    assert_eq!(stack.origin.total(), 10);
}

/// The end of an idle connection may cross a request on its way: it is sent again (RFC 9112 §9.3.1).
#[tokio::test]
async fn a_reused_connection_that_is_gone_is_no_error() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        for round in 0..20 {
            // The answer says nothing of the end: the node puts the connection back.
            let path = format!("/warm{round}");
            stack
                .answer(&path, 200)
                .header("cache-control", "max-age=60")
                .body("x")
                .then_close()
                .set();
            assert_eq!(stack.edge().get(&path).await.status, 200);
            let reply = stack.edge().get(&format!("/next{round}")).await;
            assert_eq!(reply.status, 200, "{round}");
            assert_eq!(stack.origin.hits(&format!("/next{round}")), 1);
        }
    }
}

/// A reset on a reused connection after the request was read is the same: nothing came back.
#[tokio::test]
async fn a_reused_connection_reset_without_answer_is_retried_for_safe_methods_only() {
    let stack = Shape::single().start().await;
    stack.serve("/warm", "max-age=60", "x");
    stack.edge().get("/warm").await;
    stack.serve("/a", "max-age=60", "hello");
    stack.origin.script("/a").then_reset().once().set();
    let reply = stack.edge().get("/a").await;
    assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, b"hello".as_slice()));
    assert_eq!(stack.origin.hits("/a"), 2);
    assert_eq!(stack.edge().metrics().await.get("weir_upstream_retries_total"), 1.0);

    stack.edge().get("/warm-again").await;
    stack.origin.script("/b").then_reset().once().set();
    let post = stack.edge().send(&Request::new(Method::POST, "/b").body("order")).await;
    assert_eq!(post.status, 502, "it may have been carried out");
    assert_eq!(stack.origin.hits("/b"), 1);
}

/// A fresh connection that ends without an answer was ended on purpose.
#[tokio::test]
async fn a_fresh_connection_reset_without_answer_is_not_retried() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        stack.origin.script("/a").then_reset().set();
        let reply = stack.edge().get("/a").await;
        assert_eq!(reply.status, 502);
        assert_eq!(stack.origin.hits("/a"), 1, "no tier sent it again");
    }
}

/// Heads that are no HTTP, or too much of it.
#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_502() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(5_000));
    let cases = [
        ("no HTTP", "hello\r\n\r\n"),
        ("a status that is no number", "HTTP/1.1 abc OK\r\n\r\n"),
        ("NUL in the reason", "HTTP/1.1 200 O\0K\r\n\r\n"),
        ("a field without colon", "HTTP/1.1 200 OK\r\nnothing\r\n\r\n"),
        ("NUL in a field", "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("a length that is no number", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na"),
        ("nothing at all", ""),
        (
            "an unasked switch of protocols",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        ),
        ("2 MiB of head", &long),
        ("5,000 fields", &many),
    ];
    let stack = Shape::tiers(1, 1).start().await;
    for (index, (why, raw)) in cases.into_iter().enumerate() {
        let path = format!("/a{index}");
        stack.origin.script(&path).raw(raw.to_owned()).set();
        let reply = stack.edge().get(&path).await;
        assert_eq!(reply.status, 502, "{why}");
        assert_eq!(reply.field("cache-control"), "no-store", "{why}");
        stack.serve("/fine", "no-store", "hello");
        assert_eq!(stack.edge().get("/fine").await.body, "hello", "after {why}");
    }
    for node in stack.nodes() {
        let metrics = node.metrics().await;
        assert_eq!((metrics.get("weir_panics_total"), metrics.get("weir_store_keys")), (0.0, 0.0));
    }
}

/// A bound on connections, a short queue, then 503 that says when to come again.
#[tokio::test]
async fn a_busy_origin_is_a_503_with_retry_after() {
    let stack = Shape::single().node(|config| {
        config.upstream.connections_max = 1;
        config.upstream.queue_timeout = Duration::from_millis(50);
    });
    let stack = stack.start().await;
    let hold = stack.origin.script("/slow").ok().body("x").hold().set();
    let slow = stack.edge().spawn_get("/slow");
    hold.reached().await;

    let refused = stack.edge().get("/other").await;
    assert_eq!((refused.status.as_u16(), refused.field("retry-after")), (503, "1".to_owned()));
    hold.release();
    assert_eq!(slow.await.unwrap().body, "x");
    assert_eq!(stack.edge().get("/other").await.status, 200, "the connection is free again");
}
