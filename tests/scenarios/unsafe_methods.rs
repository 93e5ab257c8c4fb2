//! Methods that change something: passed on, and what they change is not served any more
//! (RFC 9111 §4.4).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use weir_tests::{Raw, Request, Shape, Stack};

async fn fill(stack: &Stack, paths: &[&str]) {
    for path in paths {
        stack.serve(path, "max-age=600", "old");
        stack.edge().get(path).await;
        assert_eq!(stack.edge().get(path).await.x_cache(), "HIT");
        stack.serve(path, "max-age=600", "new");
    }
}

async fn body_of(stack: &Stack, path: &str) -> Bytes {
    stack.edge().get(path).await.body
}

#[tokio::test]
async fn a_successful_change_invalidates_its_target_on_every_tier() {
    for shape in [Shape::single, || Shape::tiers(1, 1)] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FROBNICATE"] {
            for status in [200, 201, 204, 302] {
                let stack = shape().start().await;
                fill(&stack, &["/a", "/other"]).await;
                stack.origin.script("/a").status(status).once().set();
                let method = Method::from_bytes(method.as_bytes()).unwrap();

                let changed = stack.edge().send(&Request::new(method.clone(), "/a")).await;

                assert_eq!(changed.status, status, "{method}");
                assert_eq!(
                    (changed.x_cache(), changed.cache_status()),
                    ("BYPASS".to_owned(), "edge; fwd=method".to_owned())
                );
                assert_eq!(body_of(&stack, "/a").await, "new", "{method} {status}");
                assert_eq!(body_of(&stack, "/other").await, "old", "{method} {status}");
            }
        }
    }
}

#[tokio::test]
async fn a_change_that_failed_invalidates_nothing() {
    let stack = Shape::tiers(1, 1).start().await;
    fill(&stack, &["/a"]).await;
    for status in [400, 403, 404, 409, 500, 503] {
        stack.origin.script("/a").status(status).once().set();
        let failed = stack.edge().send(&Request::new(Method::POST, "/a")).await;
        assert_eq!(failed.status, status);
        assert_eq!(body_of(&stack, "/a").await, "old", "{status}");
    }
    let options = stack.edge().send(&Request::new(Method::OPTIONS, "/a")).await;
    assert_eq!(options.status, 200);
    assert_eq!(body_of(&stack, "/a").await, "old", "OPTIONS is safe (RFC 9110 §9.2.1)");
}

/// What the answer names on the same host has changed too; elsewhere it may say what it likes.
#[tokio::test]
async fn what_the_answer_names_is_invalidated_on_the_same_host_only() {
    // (field, value, whether /named goes)
    let cases = [
        ("location", "/named", true),
        ("location", "named", true),
        ("location", "http://www.test/named", true),
        ("content-location", "/named", true),
        ("content-location", "/x/../named", true),
        ("location", "http://other.test/named", false),
        ("location", "//other.test/named", false),
        ("location", "https://www.test/named", false),
        ("link", "/named", false),
    ];
    for (name, value, goes) in cases {
        let stack = Shape::tiers(1, 1).start().await;
        fill(&stack, &["/named", "/kept"]).await;
        stack.origin.script("/a").status(201).header(name, value).set();
        stack.edge().send(&Request::new(Method::POST, "/a")).await;
        let expected = if goes { "new" } else { "old" };
        assert_eq!(body_of(&stack, "/named").await, expected, "{name}: {value}");
        assert_eq!(body_of(&stack, "/kept").await, "old");
    }
}

/// Every variant and the query of its own go with the target; other queries are other targets.
#[tokio::test]
async fn all_variants_go() {
    let stack = Shape::single().start().await;
    let kinds = ["one", "two"];
    let kind = |kind| Request::get("/a?q").header("x-kind", kind);
    let script = |body: &str| {
        let script = stack.answer("/a", 200).header("cache-control", "max-age=60");
        script.header("vary", "x-kind").body(body.to_owned()).set();
    };
    script("old");
    for name in kinds {
        stack.edge().send(&kind(name)).await;
    }
    stack.edge().get("/a?other").await;
    script("new");
    stack.edge().send(&Request::new(Method::DELETE, "/a?q")).await;
    for name in kinds {
        assert_eq!(stack.edge().send(&kind(name)).await.body, "new", "{name}");
    }
    assert_eq!(body_of(&stack, "/a?other").await, "old");
}

/// A change that crosses a fill: who asked before gets the bytes, nobody after.
#[tokio::test]
async fn a_change_during_a_fill_is_not_lost() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let script = stack.answer("/a", 200).header("cache-control", "max-age=600");
        let hold = script.body("made before the change").send(4).hold().once().set();
        let mut before = Request::get("/a").start(stack.edge().addr()).await;
        before.read_at_least(4).await;
        hold.reached().await;

        let changed = stack.edge().send(&Request::new(Method::PUT, "/a").body("x")).await;
        assert_eq!(changed.status, 200);
        stack.serve("/a", "max-age=600", "made after it");
        let during = stack.edge().get("/a").await;
        assert_eq!(during.body, "made after it", "does not join what began before");
        hold.release();

        assert!(before.finish().await.body.ends_with(b"the change"));
        let after = stack.edge().get("/a").await;
        assert_eq!((after.x_cache().as_str(), after.body.as_ref()), ("HIT", &b"made after it"[..]));
        for node in stack.nodes() {
            node.metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
        }
        assert_eq!(
            stack.edge().get("/a").await.body,
            "made after it",
            "the old fill stored nothing"
        );
    }
}

/// The same while the answer of the fill is still awaited.
#[tokio::test]
async fn a_change_before_the_head_of_a_fill_is_not_lost() {
    for known_as_private in [false, true] {
        for shape in [Shape::single(), Shape::tiers(1, 1)] {
            let stack = shape.start().await;
            if known_as_private {
                // Requests for such a key do not queue; what they bring must not outlive a change.
                stack.serve("/a", "private", "mine");
                stack.edge().get("/a").await;
            }
            let script = stack.answer("/a", 200).header("cache-control", "max-age=600");
            let hold = script.body("before").hold().once().set();
            let waiting = stack.edge().spawn_get("/a");
            hold.reached().await;
            stack.edge().send(&Request::new(Method::DELETE, "/a")).await;
            hold.release();
            assert_eq!(waiting.await.unwrap().body, "before");
            for node in stack.nodes() {
                node.metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
            }
            stack.serve("/a", "max-age=600", "after");
            assert_eq!(body_of(&stack, "/a").await, "after", "private: {known_as_private}");
        }
    }
}

/// What readers and the writer below know of one another.
#[derive(Default)]
struct Progress {
    /// The version whose publication has been answered.
    answered: AtomicU64,
    done: AtomicBool,
}

/// Reads until told to stop; returns how many reads were hits.
async fn read_on(edge: SocketAddr, progress: Arc<Progress>) -> u64 {
    let mut hits = 0;
    while !progress.done.load(SeqCst) {
        let at_least = progress.answered.load(SeqCst);
        let reply = Request::get("/page").send(edge).await;
        let body = String::from_utf8(reply.body.to_vec()).unwrap();
        let version: u64 = body.trim().rsplit(' ').next().unwrap().parse().unwrap();
        assert!(version >= at_least, "{version} after {at_least}: {}", reply.field("cache-status"));
        hits += u64::from(reply.x_cache() == "HIT");
    }
    hits
}

/// Reads and changes as fast as they go: whoever asks after a change was answered gets what came of it
/// or of a later one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_after_a_change_sees_what_was_before() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let progress = Arc::new(Progress::default());
        let read = || tokio::spawn(read_on(stack.edge().addr(), Arc::clone(&progress)));
        let readers: Vec<_> = (0..4).map(|_| read()).collect();
        for _ in 0..300 {
            let version = stack.origin.deploy();
            let changed = stack.edge().send(&Request::new(Method::POST, "/page")).await;
            assert_eq!(changed.status, 200);
            progress.answered.store(version, SeqCst);
        }
        progress.done.store(true, SeqCst);
        for reader in readers {
            assert!(reader.await.unwrap() > 0, "some came from the store");
        }
    }
}

/// A validation that a change overtakes confirms nothing.
#[tokio::test]
async fn a_change_during_a_validation_is_not_lost() {
    let stack = Shape::tiers(1, 1).start().await;
    let page = |status, body: &'static str| {
        let script = stack.answer("/a", status).header("cache-control", "max-age=60");
        script.header("etag", "\"v1\"").body(body)
    };
    page(200, "old").set();
    stack.edge().get("/a").await;
    stack.advance(Duration::from_secs(61));
    let hold = page(304, "").hold().once().set();
    let waiting = stack.edge().spawn_get("/a");
    hold.reached().await;
    stack.edge().send(&Request::new(Method::DELETE, "/a")).await;
    hold.release();
    assert_eq!(waiting.await.unwrap().body, "old", "asked before");
    stack.serve("/a", "max-age=60", "new");
    assert_eq!(body_of(&stack, "/a").await, "new");
}

/// Bytes of the client reach the origin through all tiers, framed as they were.
#[tokio::test]
async fn a_body_is_passed_on_with_length_and_in_chunks() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let body = weir_origin_mock::pattern_bytes("/up", 1, 0..3_000_000);
        let with_length = Request::new(Method::POST, "/echo?echo=1").body(body.clone());
        let reply = stack.edge().send(&with_length).await;
        assert!(reply.body == body);
        let seen = stack.origin.requests("/echo").pop().unwrap();
        assert_eq!(seen.headers["content-length"], "3000000");

        let mut raw = Raw::connect(stack.edge().addr()).await;
        raw.write(
            "PUT /echo?echo=1 HTTP/1.1\r\nHost: www.test\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .await;
        for piece in body[..100_000].chunks(7_777) {
            raw.write(format!("{:x};ext=1\r\n", piece.len())).await;
            raw.write([piece, b"\r\n"].concat()).await;
        }
        raw.write("0\r\nX-Trailer: 1\r\n\r\n").await;
        assert!(raw.response().await.body == body[..100_000]);
        let seen = stack.origin.requests("/echo").pop().unwrap();
        assert_eq!(seen.headers["transfer-encoding"], "chunked");
        assert_eq!((seen.body_len, seen.method), (100_000, Method::PUT));
    }
}

/// The body is passed on as it comes, not when it is whole.
#[tokio::test]
async fn an_upload_streams() {
    let stack = Shape::tiers(1, 1).start().await;
    let hold = stack.origin.script("/up").status(200).body("early").before_body().hold().set();
    let mut raw = Raw::connect(stack.edge().addr()).await;
    raw.write("POST /up HTTP/1.1\r\nHost: www.test\r\nContent-Length: 1000000\r\n\r\nfirst").await;
    hold.reached().await;
    hold.release();
    assert_eq!(raw.response().await.body, b"early", "answered before the body was whole");
}

/// `first_byte_timeout` counts from the last moment at which the body moved.
#[tokio::test]
async fn a_long_upload_is_no_timeout_while_it_moves() {
    let patience = Duration::from_millis(250);
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.node(move |config| config.upstream.first_byte_timeout = patience);
        let stack = stack.start().await;
        let began = Instant::now();
        let mut raw = Raw::connect(stack.edge().addr()).await;
        raw.write("POST /up HTTP/1.1\r\nHost: www.test\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        // The pace is what is tested: four patiences in all, a fifth of one between two pieces.
        let mut pace = tokio::time::interval(patience / 5);
        while began.elapsed() < 4 * patience {
            pace.tick().await;
            raw.write("5\r\nhello\r\n").await;
        }
        raw.write("0\r\n\r\n").await;
        assert_eq!(raw.response().await.status, 200);
        assert!(stack.origin.requests("/up")[0].body_len >= 50);
    }
}

/// One that stops is one.
#[tokio::test]
async fn an_upload_that_stops_is_a_timeout() {
    let stack = Shape::single()
        .node(|config| config.upstream.first_byte_timeout = Duration::from_millis(150))
        .start()
        .await;
    let mut raw = Raw::connect(stack.edge().addr()).await;
    raw.write("POST /up HTTP/1.1\r\nHost: www.test\r\nContent-Length: 10\r\n\r\nhello").await;
    let reply = raw.response().await;
    assert_eq!((reply.status, reply.field("cache-control")), (408, "no-store"));
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.get("weir_upstream_ejections_total"), 0.0, "the origin did nothing wrong");
    weir_tests::until("the origin's connection to end", || stack.origin.connections() == 0).await;
}

/// 100-continue is between two neighbors (RFC 9110 §10.1.1).
#[tokio::test]
async fn an_expectation_is_met_by_the_edge() {
    let stack = Shape::tiers(1, 1).start().await;
    let mut raw = Raw::connect(stack.edge().addr()).await;
    let head = "POST /echo?echo=1 HTTP/1.1\r\nHost: www.test\r\nContent-Length: 5\r\n";
    raw.write(format!("{head}Expect: 100-continue\r\n\r\n")).await;
    assert_eq!(raw.response().await.status, 100);
    raw.write("hello").await;
    assert_eq!(raw.response().await.body, b"hello");
}
