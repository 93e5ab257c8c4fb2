//! Which servers are left out, and how they come back.

use std::time::{Duration, Instant};

use weir_origin_mock::OriginMock;
use weir_tests::{Reply, Request, Shape, upstream};

const OFTEN: Duration = Duration::from_millis(20);

fn body(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

/// A server that says that it is unwell is left out before a request finds out, and comes back.
#[tokio::test]
async fn checks_take_a_server_out_and_bring_it_back() {
    let other = OriginMock::start().await;
    let address = other.addr();
    let stack = Shape::single().site(move |site| {
        site.origins.push(upstream(address).into());
        site.origin_host = Some("origin.test".to_owned());
        site.origin.check_path = Some("/healthz?deep".to_owned());
        site.origin.check_interval = OFTEN;
    });
    let stack = stack.start().await;
    let edge = stack.edge();
    other.script("/healthz").status(500).body("unwell").set();
    edge.metrics_reach(|metrics| metrics.sum("weir_upstream_healthy", &[]) == 1.0).await;
    let before = other.total() - other.hits("/healthz");
    for index in 0..20 {
        assert_eq!(edge.get(&format!("/a{index}")).await.status, 200);
    }
    assert_eq!(other.total() - other.hits("/healthz"), before, "it is not asked");
    let nodes = body(&edge.admin(http::Method::GET, "/v1/nodes").await);
    assert!(nodes.contains("\"state\":\"checked-down\""), "{nodes}");
    let check = &other.requests("/healthz")[0];
    assert_eq!((check.method.as_str(), check.target.as_str()), ("GET", "/healthz?deep"));
    assert_eq!(check.headers["host"], "origin.test");
    assert_eq!(check.headers["user-agent"], "weir-check");

    other.clear_script("/healthz");
    edge.metrics_reach(|metrics| metrics.sum("weir_upstream_healthy", &[]) == 2.0).await;
    for index in 0..20 {
        assert_eq!(edge.get(&format!("/b{index}")).await.status, 200);
    }
    assert!(other.total() - other.hits("/healthz") >= before + 10, "it has its turns again");
}

/// What requests find out counts at once; what brings the server back is a check.
#[tokio::test]
async fn a_server_with_checks_comes_back_by_them() {
    let other = OriginMock::start().await;
    let address = other.addr();
    let stack = Shape::single().site(move |site| {
        site.origins.push(upstream(address).into());
        site.origin.check_path = Some("/".to_owned());
        site.origin.check_interval = OFTEN;
        site.origin.check_timeout = Duration::from_millis(500);
    });
    let stack = stack.start().await;
    other.stop().await;
    for index in 0..10 {
        assert_eq!(stack.edge().get(&format!("/a{index}")).await.status, 200);
    }
    stack.edge().metrics_reach(|metrics| metrics.sum("weir_upstream_healthy", &[]) == 1.0).await;
    other.restart().await.unwrap();
    stack.edge().metrics_reach(|metrics| metrics.sum("weir_upstream_healthy", &[]) == 2.0).await;
}

/// A parent that drains says so, and its children have moved on before it closes.
#[tokio::test]
async fn a_parent_that_drains_is_left_before_it_goes() {
    let stack =
        Shape::tiers(1, 2).node(|node| node.upstream.parent_check_interval = OFTEN).start().await;
    let edge = stack.edge();
    stack.regionals[0].admin(http::Method::POST, "/v1/drain").await;
    edge.metrics_reach(|metrics| metrics.sum("weir_upstream_healthy", &[]) == 1.0).await;
    for index in 0..20 {
        assert_eq!(edge.get(&format!("/a{index}")).await.status, 200);
    }
    let asked = stack.regionals[0].metrics().await.sum("weir_requests_total", &[]);
    assert_eq!(asked, 0.0, "the one that drains");
    let nodes = body(&edge.admin(http::Method::GET, "/v1/nodes").await);
    assert!(nodes.contains("\"state\":\"leaving\""), "{nodes}");
    assert_eq!(edge.metrics().await.sum("weir_upstream_retries_total", &[]), 0.0);
}

/// Checks are no requests of a site: they are counted by themselves and reach no origin.
#[tokio::test]
async fn checks_of_parents_go_no_further() {
    let stack =
        Shape::tiers(1, 1).node(|node| node.upstream.parent_check_interval = OFTEN).start().await;
    let good = |metrics: &weir_tests::Metrics| {
        metrics.sum("weir_upstream_checks_total", &["reason=\"good\""]) >= 5.0
    };
    stack.edge().metrics_reach(good).await;
    stack.regionals[0].metrics_reach(good).await;
    assert_eq!(stack.origin.total(), 0);
    assert_eq!(stack.regionals[0].metrics().await.sum("weir_requests_total", &[]), 0.0);
}

/// A dead origin is asked once a second, whatever the clients do; what may be served stale is.
#[tokio::test]
async fn an_origin_that_is_down_is_asked_once_a_second() {
    let stack = Shape::single().start().await;
    stack.serve("/a", "max-age=60, stale-if-error=600", "hello");
    stack.edge().get("/a").await;
    stack.advance(Duration::from_secs(61));
    stack.origin.stop().await;
    let failures = async || {
        let metrics = stack.edge().metrics().await;
        metrics.sum("weir_upstream_failures_total", &["kind=\"origin\""])
    };
    for index in 0..5 {
        assert_eq!(stack.edge().get(&format!("/dead{index}")).await.status, 502);
    }
    let mut asked = 0.0;
    for second in 0..5 {
        for index in 0..20 {
            let stale = stack.edge().get("/a").await;
            assert_eq!((stale.x_cache().as_str(), body(&stale).as_str()), ("STALE", "hello"));
            let refused = stack.edge().get(&format!("/b{second}-{index}")).await;
            assert!(refused.status == 502 || refused.status == 503, "{}", refused.status);
            if refused.status == 503 {
                assert_eq!(refused.field("retry-after"), "1");
                let said = refused.field("proxy-status");
                assert!(said.ends_with("error=destination_unavailable"), "{said}");
            }
        }
        asked = failures().await;
        stack.advance(Duration::from_secs(1));
    }
    assert_eq!(asked, 10.0, "five until it was clear, then one a second");
    stack.origin.restart().await.unwrap();
    for index in 0..10 {
        assert_eq!(stack.edge().get(&format!("/back{index}")).await.status, 200);
    }
    assert_eq!(stack.edge().get("/a").await.x_cache(), "MISS");
}

/// More than may wait for a connection are told so at once.
#[tokio::test]
async fn a_full_queue_is_a_503_at_once() {
    let stack = Shape::single().node(|config| {
        config.upstream.connections_max = 1;
        config.upstream.queue_max = 1;
        config.upstream.queue_timeout = Duration::from_secs(30);
    });
    let stack = stack.start().await;
    let hold = stack.origin.script("/slow").ok().body("x").hold().set();
    let slow = stack.edge().spawn_get("/slow");
    hold.reached().await;
    let queued = stack.edge().spawn_get("/queued");
    stack.edge().metrics_reach(|metrics| metrics.sum("weir_upstream_waiting", &[]) == 1.0).await;
    let began = Instant::now();
    let refused = stack.edge().get("/refused").await;
    assert_eq!((refused.status.as_u16(), refused.field("retry-after")), (503, "1".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(stack.edge().metrics().await.get("weir_upstream_busy_total"), 1.0);
    hold.release();
    assert_eq!(
        (slow.await.unwrap().status, queued.await.unwrap().status),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
}

/// An end to trying: the time for all tries of one request.
#[tokio::test]
async fn a_request_may_have_an_end_to_all_its_tries() {
    let other = OriginMock::start().await;
    let address = other.addr();
    let stack = Shape::single()
        .site(move |site| site.origins.push(upstream(address).into()))
        .node(|node| {
            node.upstream.first_byte_timeout = Duration::from_secs(30);
            node.upstream.total_timeout = Some(Duration::from_millis(200));
        })
        .start()
        .await;
    for origin in [&stack.origin, &other] {
        origin.script("/a").ok().hold().set();
    }
    let began = Instant::now();
    let reply = Request::get("/a").send(stack.edge().addr()).await;
    assert_eq!(reply.status, 504);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
