//! The admin API, and how a node goes away.

use http::{Method, StatusCode};
use weir_tests::{Raw, Reply, Request, Shape, Stack, TestNode};

async fn ask(node: &TestNode, method: Method, path: &str, token: Option<&str>) -> Reply {
    let mut request = Request::new(method, path);
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    request.send(node.admin_addr()).await
}

/// RFC 9457, so that a program can tell what is wrong.
fn assert_is_problem(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status);
    assert_eq!(reply.field("content-type"), "application/problem+json");
    let document: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(document["status"], status);
    for key in ["title", "detail"] {
        assert!(document[key].as_str().is_some_and(|text| !text.is_empty()), "{document}");
    }
}

fn json(reply: &Reply) -> serde_json::Value {
    assert_eq!(reply.status, StatusCode::OK);
    serde_json::from_slice(&reply.body).unwrap()
}

#[tokio::test]
async fn health_and_metrics_need_no_token() {
    let stack = Shape::single().start().await;
    for (path, expected) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let reply = ask(stack.edge(), Method::GET, path, None).await;
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, expected.as_bytes()));
    }
    let metrics = ask(stack.edge(), Method::GET, "/metrics", None).await;
    assert!(metrics.field("content-type").starts_with("application/openmetrics-text"));
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.ends_with("# EOF\n"));
    for name in [
        "weir_requests_total",
        "weir_fills_active",
        "weir_store_bytes",
        "weir_evictions_total",
        "weir_upstream_healthy",
        "weir_panics_total",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}\n{text}");
    }
    assert!(
        text.lines()
            .filter(|line| line.starts_with("weir_"))
            .all(|line| line.contains("tier=\"edge\""))
    );
}

#[tokio::test]
async fn what_tells_or_changes_something_needs_the_token() {
    let stack = Shape::single().start().await;
    let routes = [
        (Method::GET, "/v1/nodes"),
        (Method::GET, "/v1/stats"),
        (Method::POST, "/v1/drain"),
        (Method::POST, "/v1/config/reload"),
    ];
    let wrong = [None, Some(""), Some("Bearer "), Some("Bearer token-for-test"), Some("bearer x")];
    let wrong = wrong.into_iter().chain([Some("Basic token-for-tests"), Some("token-for-tests")]);
    for token in wrong {
        for (method, path) in routes.clone() {
            let refused = ask(stack.edge(), method, path, token).await;
            assert_is_problem(&refused, 401);
            assert_eq!(refused.field("www-authenticate"), "Bearer");
        }
        // So many mistakes in a minute would lock us out.
        stack.advance(std::time::Duration::from_secs(60));
    }
    assert_eq!(ask(stack.edge(), Method::GET, "/readyz", None).await.status, 200, "not drained");
}

#[tokio::test]
async fn what_is_not_there_is_said_as_a_problem() {
    let stack = Shape::single().start().await;
    for (method, path, status) in [
        (Method::GET, "/v1/nothing", 404),
        (Method::GET, "/", 404),
        (Method::POST, "/healthz", 405),
        (Method::DELETE, "/metrics", 405),
        (Method::POST, "/v1/nodes", 405),
        (Method::GET, "/v1/drain", 405),
    ] {
        let reply = stack.edge().admin(method.clone(), path).await;
        assert_is_problem(&reply, status);
        let unknown = ask(stack.edge(), method, path, None).await;
        assert!(matches!(unknown.status.as_u16(), 401 | 404 | 405), "{path}");
    }
    let reload = stack.edge().admin(Method::POST, "/v1/config/reload").await;
    assert_is_problem(&reload, 409);
}

/// The API is on its own listener: clients of the data port cannot reach it.
#[tokio::test]
async fn the_data_port_has_no_admin_api() {
    let stack = Shape::single().start().await;
    for path in ["/healthz", "/metrics", "/v1/nodes", "/v1/drain"] {
        let reply = stack.edge().send(&Request::new(Method::POST, path)).await;
        assert_eq!(reply.status, 200, "the site's own {path}");
        assert_eq!(stack.origin.hits(path), 1, "{path}");
    }
    assert_eq!(ask(stack.edge(), Method::GET, "/readyz", None).await.status, 200);
}

#[tokio::test]
async fn a_node_tells_who_it_is_and_what_it_did() {
    let mut stack = Shape::tiers(1, 2).start().await;
    stack.serve("/a", "max-age=60", "hello");
    for _ in 0..3 {
        stack.edge().get("/a").await;
    }
    let node = json(&stack.edge().admin(Method::GET, "/v1/nodes").await);
    assert_eq!((node["name"].as_str(), node["tier"].as_str()), (Some("edge-0"), Some("edge")));
    assert_eq!(node["sites"], serde_json::json!(["www"]));
    assert_eq!(node["draining"], false);
    assert_eq!(node["upstreams"].as_array().unwrap().len(), 2);
    let stats = json(&stack.edge().admin(Method::GET, "/v1/stats").await);
    assert_eq!(stats["outcomes"]["hit"], serde_json::json!({"requests": 2, "bytes": 10}));
    assert_eq!(stats["outcomes"]["miss"], serde_json::json!({"requests": 1, "bytes": 5}));
    assert_eq!(stats["store"]["keys"], 1);

    for regional in stack.regionals.drain(..) {
        regional.shutdown().await;
    }
    stack.edge().get("/b").await;
    let node = json(&stack.edge().admin(Method::GET, "/v1/nodes").await);
    let unwell = |upstream: &serde_json::Value| upstream["healthy"] == false;
    assert!(node["upstreams"].as_array().unwrap().iter().all(unwell), "{node}");
}

/// Drained: balancers turn away, and whoever comes all the same is served.
#[tokio::test]
async fn a_drained_node_is_not_ready_and_serves_on() {
    let stack = Shape::single().start().await;
    stack.serve("/a", "max-age=60", "hello");
    let drained = stack.edge().admin(Method::POST, "/v1/drain").await;
    assert_eq!(json(&drained), serde_json::json!({"draining": true}));

    let ready = ask(stack.edge(), Method::GET, "/readyz", None).await;
    assert_eq!((ready.status.as_u16(), ready.body.as_ref()), (503, b"draining\n".as_slice()));
    assert_eq!(ask(stack.edge(), Method::GET, "/healthz", None).await.status, 200, "it lives");
    assert_eq!(stack.edge().get("/a").await.body, "hello");
    assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT");
    let node = json(&stack.edge().admin(Method::GET, "/v1/nodes").await);
    assert_eq!(node["draining"], true);
}

/// What is in flight is finished, nothing new begins.
#[tokio::test]
async fn a_shutdown_finishes_what_is_in_flight() {
    let mut stack: Stack = Shape::single().start().await;
    let body = vec![7_u8; 3_000_000];
    let script = stack.answer("/film", 200).header("cache-control", "max-age=60");
    let hold = script.body(body.clone()).send(1_000_000).hold().set();
    let edge = stack.edges.remove(0);
    let (data, admin) = (edge.addr(), edge.admin_addr());
    let mut transfer = Request::get("/film").start(data).await;
    let early = transfer.read_at_least(1_000_000).await;
    let mut idle = Raw::connect(data).await;
    assert_eq!(idle.get("/page").await.status, 200);
    hold.reached().await;

    let shutdown = tokio::spawn(edge.shutdown());
    assert!(idle.rest().await.is_empty(), "an idle connection ends at once");
    let refused = tokio::net::TcpStream::connect(data).await;
    assert!(refused.is_err(), "no new connection");
    assert!(!shutdown.is_finished(), "a transfer is in flight");
    let ready = Request::get("/readyz").send(admin).await;
    assert_eq!((ready.status.as_u16(), ready.body.as_ref()), (503, b"draining\n".as_slice()));
    hold.release();

    let rest = transfer.finish().await;
    assert!(!rest.cut && [early.as_slice(), &rest.body].concat() == body);
    shutdown.await.unwrap();
    assert!(tokio::net::TcpStream::connect(admin).await.is_err(), "the end of it all");
}

/// The grace time bounds the wait.
#[tokio::test]
async fn a_shutdown_waits_for_its_grace_time_only() {
    let grace = std::time::Duration::from_millis(200);
    let mut stack = Shape::single().node(move |config| config.drain_grace = grace).start().await;
    let hold = stack.answer("/film", 200).body(vec![7; 1000]).send(10).hold().set();
    let edge = stack.edges.remove(0);
    let mut transfer = Request::get("/film").start(edge.addr()).await;
    transfer.read_at_least(10).await;
    hold.reached().await;
    let began = std::time::Instant::now();
    edge.shutdown().await;
    let took = began.elapsed();
    assert!(took >= grace && took < std::time::Duration::from_secs(5), "{took:?}");
}
