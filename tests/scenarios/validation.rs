//! A stale response is asked about before it is used again (RFC 9111 §4.3).

use std::time::Duration;

use weir_origin_mock::Script;
use weir_tests::{Shape, Stack};

fn page<'a>(stack: &'a Stack, status: u16, etag: &str, note: &str) -> Script<'a> {
    let script = stack.answer("/a", status).header("cache-control", "max-age=60");
    script.header("etag", etag).header("x-note", note)
}

/// What the 304 says anew is what is stored from then on, and its age restarts (RFC 9111 §4.3.4).
#[tokio::test]
async fn a_304_freshens_what_is_stored_on_every_tier() {
    for shape in [Shape::single(), Shape::tiers(2, 1)] {
        let stack = shape.start().await;
        page(&stack, 200, "\"v1\"", "old").body("hello").set();
        stack.edge().get("/a").await;
        stack.advance(Duration::from_secs(61));
        page(&stack, 304, "\"v1\"", "new").set();

        let validated = stack.edge().get("/a").await;

        assert_eq!((validated.status.as_u16(), validated.body.as_ref()), (200, &b"hello"[..]));
        assert_eq!(validated.x_cache(), "MISS", "upstream was asked");
        let status = validated.cache_status();
        assert_eq!(status, "edge; fwd=stale; fwd-status=304; ttl=60", "{status}");
        assert_eq!((validated.field("x-note"), validated.field("age")), ("new".into(), "0".into()));
        let asked = stack.origin.requests("/a").pop().unwrap();
        assert_eq!(asked.headers["if-none-match"], "\"v1\"");

        stack.advance(Duration::from_secs(59));
        for edge in &stack.edges {
            let hit = edge.get("/a").await;
            assert_eq!((hit.field("x-note"), hit.field("age")), ("new".into(), "59".into()));
            assert_eq!(hit.body, "hello");
        }
        assert_eq!(stack.origin.hits("/a"), 2, "every tier was freshened by one validation");
    }
}

/// A 304 about another response says nothing about ours: the whole is fetched (RFC 9111 §4.3.4).
#[tokio::test]
async fn a_304_with_another_tag_leads_to_a_full_fetch() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        page(&stack, 200, "\"v1\"", "old").body("old body").once().set();
        stack.edge().get("/a").await;
        stack.advance(Duration::from_secs(61));
        page(&stack, 304, "\"v2\"", "odd").once().set();
        page(&stack, 200, "\"v2\"", "new").body("new body").once().set();

        let replaced = stack.edge().get("/a").await;

        assert_eq!((replaced.status.as_u16(), replaced.body.as_ref()), (200, &b"new body"[..]));
        assert_eq!(replaced.field("etag"), "\"v2\"");
        let hit = stack.edge().get("/a").await;
        assert_eq!((hit.x_cache().as_str(), hit.body.as_ref()), ("HIT", b"new body".as_slice()));
        let seen = stack.origin.requests("/a");
        assert_eq!(seen.len(), 3);
        assert!(!seen[2].headers.contains_key("if-none-match"), "asked without conditions");
    }
}

/// A full answer to a validation takes the place of what was stored (RFC 9111 §4.3.3).
#[tokio::test]
async fn a_new_version_replaces_the_stored_one() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        page(&stack, 200, "\"v1\"", "").body("old").set();
        stack.edge().get("/a").await;
        page(&stack, 200, "\"v2\"", "").body("new").set();
        let still = stack.edge().get("/a").await;
        assert_eq!((still.x_cache().as_str(), still.body.as_ref()), ("HIT", b"old".as_slice()));
        stack.advance(Duration::from_secs(61));
        page(&stack, 200, "\"v2\"", "").body("new").set();

        let new = stack.edge().get("/a").await;

        assert_eq!(new.cache_status(), "edge; fwd=stale; stored");
        assert_eq!(new.body, "new");
        let hit = stack.edge().get("/a").await;
        assert_eq!((hit.x_cache().as_str(), hit.body.as_ref()), ("HIT", b"new".as_slice()));
        assert_eq!(stack.origin.hits("/a"), 2);
    }
}

/// no-cache is stored and never used unasked (RFC 9111 §5.2.2.4).
#[tokio::test]
async fn no_cache_is_validated_every_time() {
    let stack = Shape::tiers(1, 1).start().await;
    let script = stack.answer("/a", 200).header("cache-control", "no-cache");
    script.header("etag", "\"v1\"").body("hello").once().set();
    for _ in 0..3 {
        let again = stack.origin.script("/a").status(304).header("cache-control", "no-cache");
        again.header("etag", "\"v1\"").once().set();
    }
    for count in 1..=4 {
        let reply = stack.edge().get("/a").await;
        assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("MISS", b"hello".as_slice()));
        assert_eq!(stack.origin.hits("/a"), count);
    }
}

/// A validation that many wait for is one request.
#[tokio::test]
async fn validations_collapse() {
    let stack = Shape::tiers(2, 1).start().await;
    page(&stack, 200, "\"v1\"", "old").body("hello").set();
    for edge in &stack.edges {
        edge.get("/a").await;
    }
    stack.advance(Duration::from_secs(61));
    let hold = page(&stack, 304, "\"v1\"", "new").hold().set();
    let clients: Vec<_> = (0..20).map(|index| stack.edges[index % 2].spawn_get("/a")).collect();
    for edge in &stack.edges {
        edge.metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 9.0).await;
    }
    hold.reached().await;
    hold.release();

    for client in clients {
        let reply = client.await.unwrap();
        assert_eq!(
            (reply.body.as_ref(), reply.field("x-note")),
            (b"hello".as_slice(), "new".into())
        );
    }
    assert_eq!(stack.origin.hits("/a"), 2, "one fetch, one validation");
}
