//! A stored response answers for the origin: what it says about itself, on one tier and on three.

use std::time::Duration;

use http::{Method, StatusCode};
use weir_tests::{Request, Shape};

/// RFC 9111 §4 and §5.1.
#[tokio::test]
async fn the_second_request_is_a_hit_with_its_age() {
    let stack = Shape::single().start().await;
    stack.serve("/a", "max-age=60", "hello");

    let miss = stack.edge().get("/a").await;
    assert_eq!((miss.status, miss.x_cache().as_str()), (StatusCode::OK, "MISS"));
    assert_eq!(miss.field("cache-status"), "edge; fwd=uri-miss; stored");
    assert_eq!(miss.field("age"), "", "the origin sent none");
    stack.advance(Duration::from_secs(7));
    let hit = stack.edge().get("/a").await;

    assert_eq!((hit.status, hit.x_cache().as_str()), (StatusCode::OK, "HIT"));
    assert_eq!(hit.field("cache-status"), "edge; hit; ttl=53");
    assert_eq!(hit.field("age"), "7");
    assert_eq!(hit.field("date"), miss.field("date"), "Date is the origin's and stays");
    assert_eq!(hit.body, "hello");
    hit.assert_no_other_fields(&["cache-control", "content-length", "date"]);
    assert_eq!(stack.origin.hits("/a"), 1);
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.sum("weir_requests_total", &["cache=\"hit\""]), 1.0);
    assert_eq!(metrics.sum("weir_requests_total", &["cache=\"miss\""]), 1.0);
}

/// A chain is as one cache: age counts from the origin wherever the response lay (RFC 9111 §4.2.3).
#[tokio::test]
async fn age_counts_from_the_origin_through_all_tiers() {
    let stack = Shape::tiers(2, 1).start().await;
    stack.serve("/a", "max-age=60", "hello");
    let [first, second] = [&stack.edges[0], &stack.edges[1]];

    let miss = first.get("/a").await;
    let tiers = "shield; fwd=uri-miss; stored, regional; fwd=uri-miss; stored";
    assert_eq!(miss.field("cache-status"), format!("{tiers}, edge; fwd=uri-miss; stored"));
    stack.advance(Duration::from_secs(10));

    let from_regional = second.get("/a").await;
    assert_eq!(
        (from_regional.x_cache().as_str(), from_regional.field("age")),
        ("MISS", "10".into())
    );
    let status = from_regional.field("cache-status");
    assert!(status.ends_with(", regional; hit; ttl=50, edge; fwd=uri-miss; stored"), "{status}");
    stack.advance(Duration::from_secs(5));
    let hit = second.get("/a").await;
    assert_eq!((hit.x_cache().as_str(), hit.field("age")), ("HIT", "15".into()));
    assert_eq!(hit.cache_status(), "edge; hit; ttl=45");

    stack.advance(Duration::from_secs(45));
    let expired = second.get("/a").await;
    assert_eq!(expired.x_cache(), "MISS", "60 s after the origin made it, not after it came here");
    assert_eq!(stack.origin.hits("/a"), 2, "no tier had it fresh");
}

/// What a chain says of itself names each tier once, nearest to the client last (RFC 9211 §2).
#[tokio::test]
async fn a_hit_names_no_tier_twice() {
    let stack = Shape::tiers(1, 1).start().await;
    stack.serve("/a", "max-age=60", "hello");
    stack.edge().get("/a").await;
    let hit = stack.edge().get("/a").await;
    let status = hit.field("cache-status");
    let caches: Vec<_> = status.split(", ").filter_map(|member| member.split(';').next()).collect();
    assert_eq!(caches, ["shield", "regional", "edge"], "{status}");
    assert!(status.ends_with("edge; hit; ttl=60"), "{status}");
}

/// RFC 9110 §9.3.2: the fields of a GET, and no body.
#[tokio::test]
async fn a_stored_get_answers_a_head() {
    let stack = Shape::tiers(1, 1).start().await;
    stack.serve("/a", "max-age=60", "hello");
    stack.edge().get("/a").await;

    let head = stack.edge().send(&Request::new(Method::HEAD, "/a")).await;

    assert_eq!((head.status, head.x_cache().as_str()), (StatusCode::OK, "HIT"));
    assert_eq!((head.field("content-length"), head.body.len()), ("5".to_owned(), 0));
    assert_eq!(stack.origin.total(), 1);
}

/// A HEAD of something unknown asks for no body, so there is nothing to store.
#[tokio::test]
async fn a_head_on_a_cold_key_passes_through_and_stores_nothing() {
    let stack = Shape::tiers(1, 1).start().await;
    stack.serve("/a", "max-age=60", "hello");

    let head = stack.edge().send(&Request::new(Method::HEAD, "/a")).await;
    assert_eq!((head.field("content-length"), head.body.len()), ("5".to_owned(), 0));
    let get = stack.edge().get("/a").await;

    assert_eq!((get.x_cache().as_str(), get.body.as_ref()), ("MISS", b"hello".as_slice()));
    let methods: Vec<_> = stack.origin.requests("/a").into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, [Method::HEAD, Method::GET]);
}

/// Field lines stay apart and in order, also those that come twice (RFC 9110 §5.3).
#[tokio::test]
async fn every_field_line_of_the_origin_survives_the_store() {
    let stack = Shape::tiers(1, 1).start().await;
    let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
    let script = script.header("link", "</a>; rel=x").header("link", "</b>; rel=y");
    script.header("x-odd", b"\xe9t\xe9".as_slice()).body("hello").set();

    stack.edge().get("/a").await;
    let hit = stack.edge().get("/a").await;

    let links: Vec<_> = hit.headers.get_all("link").iter().collect();
    assert_eq!(links, ["</a>; rel=x", "</b>; rel=y"]);
    assert_eq!(hit.headers["x-odd"].as_bytes(), b"\xe9t\xe9");
    assert_eq!(hit.x_cache(), "HIT");
}

/// Fields that concern one connection end at each hop (RFC 9110 §7.6.1).
#[tokio::test]
async fn fields_of_the_connection_to_the_origin_stay_there() {
    let stack = Shape::single().start().await;
    let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
    let script =
        script.header("connection", "x-hop").header("x-hop", "1").header("keep-alive", "9");
    script.header("proxy-authenticate", "Basic").body("hello").set();

    let miss = stack.edge().get("/a").await;
    let hit = stack.edge().get("/a").await;

    for reply in [&miss, &hit] {
        for name in ["x-hop", "keep-alive", "connection"] {
            assert_eq!(reply.field(name), "", "{name}");
        }
    }
    assert_eq!(hit.field("proxy-authenticate"), "", "never stored (RFC 9111 §3.1)");
}
