//! Interim responses (RFC 9110 §15.2): passed on as they come, never stored, never mixed.

use weir_tests::{Raw, Shape};

#[tokio::test]
async fn early_hints_come_before_the_answer_through_all_tiers() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let script = stack.answer("/a", 200).header("cache-control", "max-age=60").body("hello");
        let script =
            script.informational(103, &[("link", "</a.css>; rel=preload"), ("x-hint", "1")]);
        let hold = script.informational(102, &[]).hold().set();
        let mut raw = Raw::connect(stack.edge().addr()).await;
        raw.write("GET /a HTTP/1.1\r\nHost: www.test\r\n\r\n").await;

        let hints = raw.response().await;
        assert_eq!((hints.status, hints.field("link")), (103, "</a.css>; rel=preload"));
        assert_eq!(raw.response().await.status, 102, "while the origin holds its answer");
        hold.release();
        let answer = raw.response().await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
        assert_eq!(answer.field("x-hint"), "", "fields do not mix");

        let hit = raw.get("/a").await;
        assert_eq!((hit.status, hit.field("x-cache")), (200, "HIT"));
        assert_eq!((hit.field("link"), hit.field("x-hint")), ("", ""), "not stored");
    }
}

/// A client of HTTP/1.0 cannot read them.
#[tokio::test]
async fn an_old_client_gets_the_answer_alone() {
    let stack = Shape::single().start().await;
    stack.answer("/a", 200).body("hello").informational(103, &[("link", "</a>")]).set();
    let mut raw = Raw::connect(stack.edge().addr()).await;
    raw.write("GET /a HTTP/1.0\r\nHost: www.test\r\n\r\n").await;
    let reply = raw.response().await;
    assert_eq!((reply.status, reply.body.as_slice()), (200, b"hello".as_slice()));
}

/// However many come, what follows them is the answer.
#[tokio::test]
async fn a_flood_of_hints_is_survived() {
    let stack = Shape::tiers(1, 1).start().await;
    let mut script = stack.answer("/a", 200).header("cache-control", "max-age=60").body("hello");
    for _ in 0..500 {
        script = script.informational(103, &[("link", "</a.css>; rel=preload")]);
    }
    script.set();
    let mut raw = Raw::connect(stack.edge().addr()).await;
    raw.write("GET /a HTTP/1.1\r\nHost: www.test\r\n\r\n").await;
    let mut hints = 0;
    let answer = loop {
        let reply = raw.response().await;
        if reply.status != 103 {
            break reply;
        }
        hints += 1;
    };
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
    assert!((1..=16).contains(&hints), "{hints}");
}
