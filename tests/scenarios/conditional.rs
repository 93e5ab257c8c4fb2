//! Conditions of clients are answered by the first tier that can (RFC 9111 §4.3.2).

use http::StatusCode;
use weir_tests::{Reply, Request, Shape, Stack};

const ETAG: &str = "\"v1\"";
const MODIFIED: &str = "Tue, 01 Jul 2025 10:00:00 GMT";
const LATER: &str = "Wed, 02 Jul 2025 10:00:00 GMT";
const EARLIER: &str = "Mon, 30 Jun 2025 10:00:00 GMT";

async fn stack(shape: Shape) -> Stack {
    let stack = shape.start().await;
    let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
    let script = script.header("etag", ETAG).header("last-modified", MODIFIED);
    script.header("content-type", "text/plain").body("hello").set();
    stack
}

fn assert_is_304(reply: &Reply, why: &str) {
    assert_eq!(reply.status, StatusCode::NOT_MODIFIED, "{why}");
    assert_eq!(reply.body.len(), 0, "{why}");
    assert_eq!(reply.field("etag"), ETAG, "{why}");
    assert_eq!(reply.field("cache-control"), "max-age=60", "{why}");
    assert_eq!(reply.field("content-type"), "", "a 304 has few fields (RFC 9110 §15.4.5): {why}");
}

#[tokio::test]
async fn conditions_are_answered_from_the_store() {
    // (field, value, expected status, why); RFC 9110 §13.1.
    const CASES: &[(&str, &str, u16, &str)] = &[
        ("if-none-match", "\"v1\"", 304, "the same tag"),
        ("if-none-match", "\"v0\", W/\"v1\"", 304, "in a list, weakly"),
        ("if-none-match", "*", 304, "anything"),
        ("if-none-match", "\"v2\"", 200, "another tag"),
        ("if-modified-since", MODIFIED, 304, "the same date"),
        ("if-modified-since", LATER, 304, "a later date"),
        ("if-modified-since", EARLIER, 200, "an earlier date"),
        ("if-modified-since", "yesterday", 200, "no date at all"),
    ];
    let stack = stack(Shape::single()).await;
    stack.edge().get("/a").await;
    for &(name, value, status, why) in CASES {
        let reply = stack.edge().send(&Request::get("/a").header(name, value)).await;
        assert_eq!(reply.status, status, "{why}");
        assert_eq!(reply.x_cache(), "HIT", "{why}");
        assert_eq!(reply.field("age"), "0", "{why}");
        if status == 304 {
            assert_is_304(&reply, why);
        } else {
            assert_eq!(reply.body, "hello", "{why}");
        }
    }
    assert_eq!(stack.origin.hits("/a"), 1);
}

/// If-None-Match rules where both are present (RFC 9110 §13.2.2).
#[tokio::test]
async fn a_tag_that_differs_wins_over_a_date_that_holds() {
    let stack = stack(Shape::single()).await;
    stack.edge().get("/a").await;
    let request = Request::get("/a").header("if-none-match", "\"v2\"");
    let reply = stack.edge().send(&request.header("if-modified-since", LATER)).await;
    assert_eq!((reply.status, reply.body.as_ref()), (StatusCode::OK, b"hello".as_slice()));
}

/// A client that has the body must not keep it from the store: the whole is fetched once.
#[tokio::test]
async fn a_condition_on_a_cold_key_costs_one_full_origin_request_and_fills() {
    for (name, value) in [("if-none-match", ETAG), ("if-modified-since", MODIFIED)] {
        for shape in [Shape::single(), Shape::tiers(2, 1)] {
            let stack = stack(shape).await;

            let cold = stack.edge().send(&Request::get("/a").header(name, value)).await;

            assert_is_304(&cold, name);
            let seen = stack.origin.requests("/a");
            assert_eq!(seen.len(), 1);
            assert!(!seen[0].headers.contains_key(name), "{:?}", seen[0].headers);
            stack.edge().metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
            let hit = stack.edge().get("/a").await;
            assert_eq!((hit.x_cache().as_str(), hit.body.as_ref()), ("HIT", b"hello".as_slice()));
            for edge in &stack.edges {
                let reply = edge.get("/a").await;
                assert_eq!(
                    (reply.status, reply.body.as_ref()),
                    (StatusCode::OK, b"hello".as_slice())
                );
            }
            assert_eq!(stack.origin.hits("/a"), 1, "stored on every tier of the path");
        }
    }
}

/// Only the origin knows the state that these ask about, so they go there (RFC 9111 §4.3.2).
#[tokio::test]
async fn preconditions_on_state_go_to_the_origin() {
    for (name, value) in [("if-match", "\"v0\""), ("if-unmodified-since", EARLIER)] {
        let stack = stack(Shape::tiers(1, 1)).await;
        stack.edge().get("/a").await;
        stack.origin.script("/a").status(412).set();

        let reply = stack.edge().send(&Request::get("/a").header(name, value)).await;

        assert_eq!((reply.status.as_u16(), reply.x_cache().as_str()), (412, "BYPASS"));
        let last = stack.origin.requests("/a").pop().unwrap();
        assert_eq!(last.headers[name], value);
        let hit = stack.edge().get("/a").await;
        assert_eq!((hit.status.as_u16(), hit.x_cache().as_str()), (200, "HIT"), "still stored");
    }
}
