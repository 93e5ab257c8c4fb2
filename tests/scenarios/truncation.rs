//! Bodies that end early or say a wrong length (RFC 9112 §8, RFC 9111 §3.3).

use std::sync::Arc;

use weir_origin_mock::{Script, pattern_bytes};
use weir_tests::{Raw, Request, Shape, TestNode, config, upstream};

const LEN: u64 = 300_000;
const SENT: u64 = 120_000;

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length,
    Chunks,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Close,
    Reset,
}

fn cut<'a>(script: Script<'a>, framing: Framing, ending: Ending) -> Script<'a> {
    let script = script.ok().header("cache-control", "max-age=60").header("etag", "W/\"v1\"");
    let script = script.body(pattern_bytes("/film", 1, 0..LEN));
    let script = match framing {
        Framing::Length => script,
        Framing::Chunks => script.chunked(),
    };
    let script = script.send(SENT).hold();
    match ending {
        Ending::Close => script.then_close(),
        Ending::Reset => script.then_reset(),
    }
}

/// The leader, one who joined before the end, and one who comes after it.
#[tokio::test]
async fn a_body_cut_short_is_seen_as_cut_and_never_stored() {
    for framing in [Framing::Length, Framing::Chunks] {
        for ending in [Ending::Close, Ending::Reset] {
            for shape in [Shape::single(), Shape::tiers(1, 1)] {
                let stack = shape.start().await;
                let hold = cut(stack.origin.script("/film"), framing, ending).once().set();
                let why = format!("{framing:?} {ending:?} {}", stack.regionals.len());
                let mut leader = Request::get("/film").start(stack.edge().addr()).await;
                leader.read_at_least(usize::try_from(SENT).unwrap()).await;
                hold.reached().await;
                let waiter = stack.edge().spawn_get("/film");
                stack.edge().metrics_reach(|m| m.get("weir_fill_waiters") == 1.0).await;
                hold.release();

                assert!(leader.finish().await.cut, "{why}");
                let waiter = waiter.await.unwrap();
                assert!(waiter.cut && waiter.body.len() as u64 <= SENT, "{why}");
                for node in stack.nodes() {
                    node.metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
                    let metrics = node.metrics().await;
                    assert_eq!(metrics.get("weir_store_keys"), 0.0, "{why}");
                    assert_eq!(metrics.get("weir_fills_failed_total"), 1.0, "{why}");
                }
                let whole = pattern_bytes("/film", 1, 0..LEN);
                stack.serve("/film", "max-age=60", whole.clone());
                let later = stack.edge().get("/film").await;
                assert_eq!(later.cache_status(), "edge; fwd=uri-miss; stored", "{why}");
                assert!(!later.cut && later.body == whole, "{why}");
                assert_eq!(stack.origin.hits("/film"), 2, "{why}");
            }
        }
    }
}

/// A cut connection and not only a short body: a client that reads until the end must not take what
/// came for the whole.
#[tokio::test]
async fn the_client_sees_no_last_chunk_and_no_full_length() {
    for framing in [Framing::Length, Framing::Chunks] {
        let stack = Shape::tiers(1, 1).start().await;
        let hold = cut(stack.origin.script("/film"), framing, Ending::Close).set();
        hold.release();
        let mut raw = Raw::connect(stack.edge().addr()).await;
        raw.write("GET /film HTTP/1.1\r\nHost: www.test\r\n\r\n").await;
        let head = raw.head().await;
        let body = raw.rest().await;
        match framing {
            Framing::Length => {
                assert!(head.contains("content-length: 300000"), "{head}");
                assert!((body.len() as u64) < LEN);
            }
            Framing::Chunks => {
                assert!(head.contains("transfer-encoding: chunked"), "{head}");
                assert!(!body.ends_with(b"0\r\n\r\n"), "a last chunk would make it whole");
            }
        }
    }
}

/// A validation that brings a new body, cut short, must leave the old response alone.
#[tokio::test]
async fn a_cut_replacement_does_not_touch_what_is_stored() {
    let stack = Shape::single().start().await;
    let script = stack.origin.script("/film").ok().header("etag", "\"v0\"");
    script.header("cache-control", "max-age=60, stale-if-error=600").body("old").once().set();
    stack.edge().get("/film").await;
    stack.advance(std::time::Duration::from_secs(61));
    cut(stack.origin.script("/film"), Framing::Length, Ending::Close).set().release();

    let replaced = stack.edge().get("/film").await;
    assert!(replaced.cut, "bytes were on their way already");
    stack.origin.script("/film").status(503).set();
    let stale = stack.edge().get("/film").await;

    assert_eq!((stale.x_cache().as_str(), stale.body.as_ref()), ("STALE", b"old".as_slice()));
}

#[tokio::test]
async fn a_length_longer_than_the_body_is_a_cut_body() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
        script.body("hello").content_length(1000).set();

        let reply = stack.edge().get("/a").await;

        assert!(reply.cut && reply.body == "hello");
        for node in stack.nodes() {
            assert_eq!(node.metrics().await.get("weir_store_keys"), 0.0);
        }
        assert!(stack.edge().get("/a").await.cut);
        assert_eq!(stack.origin.hits("/a"), 2);
    }
}

/// What follows a whole body belongs to nobody: the connection is not used again.
#[tokio::test]
async fn bytes_after_the_length_never_reach_the_next_client() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let poisoned = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\ngood\
                        HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 6\r\n\r\npoison";
        for index in 0..20 {
            let (path, next) = (format!("/a{index}"), format!("/b{index}"));
            stack.origin.script(&path).raw(poisoned).then_keep().set();
            stack.serve(&next, "max-age=60", "fine");
            for (path, expected) in [(&path, "good"), (&next, "fine")] {
                let reply = stack.edge().get(path).await;
                assert_eq!(
                    (reply.status.as_u16(), reply.body.as_ref()),
                    (200, expected.as_bytes())
                );
                let hit = stack.edge().get(path).await;
                assert_eq!(
                    (hit.x_cache().as_str(), hit.body.as_ref()),
                    ("HIT", expected.as_bytes())
                );
            }
        }
    }
}

/// Answers that have no body do not get one from what follows them.
#[tokio::test]
async fn bytes_after_an_answer_without_body_never_reach_the_next_client() {
    let stack = Shape::single().start().await;
    // A 304 answers conditions that nobody set: it is no answer, and nothing of it is passed on.
    let answers = [("204 No Content", 204), ("304 Not Modified", 502)];
    for (index, (status, expected)) in answers.into_iter().enumerate() {
        let (path, next) = (format!("/a{index}"), format!("/b{index}"));
        let raw = format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nevil");
        stack.origin.script(&path).raw(raw).then_keep().set();
        stack.serve(&next, "max-age=60", "fine");
        let bodiless = stack.edge().get(&path).await;
        assert_eq!(bodiless.status.as_u16(), expected);
        assert!(!bodiless.body.windows(4).any(|bytes| bytes == b"evil"), "{status}");
        let reply = stack.edge().get(&next).await;
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, b"fine".as_slice()));
    }
}

/// What a parent says of a body and what comes of it must be the same, or nobody gets it as whole.
#[tokio::test]
async fn a_body_that_does_not_have_its_digest_is_cut_and_never_stored() {
    let stack = Shape::single().start().await;
    let mut below = config(&weir_edge::defaults(), "edge-9");
    below.parents = vec![upstream(stack.origin.addr())];
    below.sites = stack.edge().config().sites.clone();
    let edge = TestNode::start(below, Arc::clone(&stack.clock)).await;
    // Of several pieces, so that the first ones are with the client when the last one comes.
    let whole = pattern_bytes("/a", 1, 0..LEN);
    let answer = |digest: blake3::Hash| {
        let script = stack.answer("/a", 200).header("cache-control", "max-age=60");
        script.header("weir-digest", digest.to_hex().as_str()).body(whole.clone()).once().set();
    };
    answer(blake3::hash(b"another body"));
    let reply = Request::get("/a").start(edge.addr()).await.finish().await;
    assert!(reply.cut && reply.body.len() < whole.len(), "the end is kept back");
    let metrics = edge.metrics().await;
    let counted = [metrics.get("weir_integrity_failures_total"), metrics.get("weir_store_keys")];
    assert_eq!(counted, [1.0, 0.0]);
    answer(blake3::hash(&whole));
    let reply = edge.get("/a").await;
    assert!(reply.body == whole && reply.field("weir-digest").is_empty(), "not for clients");
    assert_eq!(edge.metrics().await.get("weir_store_keys"), 1.0);
}

/// The digest goes from the shield to the edge with what is stored.
#[tokio::test]
async fn what_is_stored_travels_with_its_digest() {
    let stack = Shape::tiers(2, 1).start().await;
    stack.serve("/a", "max-age=60", "hello");
    stack.edge().get("/a").await;
    // The second edge gets a hit of the regional.
    let reply = stack.edges[1].get("/a").await;
    assert_eq!(reply.body, "hello");
    let failures = stack.edges[1].metrics().await.get("weir_integrity_failures_total");
    assert_eq!(failures, 0.0);
}
