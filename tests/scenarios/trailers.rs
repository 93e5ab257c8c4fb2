//! Trailers end at the first node, and the body before them is whole (RFC 9110 §6.5).

use weir_tests::{Raw, Shape};

#[tokio::test]
async fn trailers_of_an_answer_are_dropped() {
    // (method, Cache-Control, X-Cache, why)
    const CASES: &[(&str, &str, &str, &str)] = &[
        ("GET", "max-age=60", "MISS", "through a fill"),
        ("GET", "private", "MISS", "through a fill of its own"),
        ("DELETE", "no-store", "BYPASS", "past the store"),
    ];
    for shape in [Shape::single, || Shape::tiers(1, 1)] {
        for &(method, cache_control, x_cache, why) in CASES {
            let stack = shape().start().await;
            let script = stack.origin.script("/a").ok().header("cache-control", cache_control);
            let script = script.header("trailer", "x-sum, weir-as-of").body("whole");
            script.trailer("x-sum", "1").trailer("weir-as-of", "9").set();
            let mut client = Raw::connect(stack.edge().addr()).await;
            let head = format!("{method} /a HTTP/1.1\r\nHost: www.test\r\n");
            client.write(format!("{head}TE: trailers\r\nConnection: TE\r\n\r\n")).await;

            // Reading fails at anything between the last chunk and the end.
            let reply = client.response().await;

            assert_eq!((reply.status, reply.body.as_slice()), (200, &b"whole"[..]), "{why}");
            assert_eq!((reply.field("x-cache"), reply.field("trailer")), (x_cache, ""), "{why}");
            assert_eq!((reply.field("x-sum"), reply.field("weir-as-of")), ("", ""), "{why}");
            assert!(!stack.origin.requests("/a")[0].headers.contains_key("te"), "{why}");
            assert!(client.unread.is_empty(), "{why}");
        }
    }
}
