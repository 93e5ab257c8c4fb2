//! Trailers follow the body of what is passed on, for those who take them, and end at whatever is
//! stored or shared (RFC 9110 §6.5).

use weir_tests::{Raw, RawReply, Shape, Stack};

const SHAPES: [fn() -> Shape; 2] = [Shape::single, || Shape::tiers(1, 1)];

/// Asks for `/a`, saying that trailers are taken, or not.
async fn ask(stack: &Stack, method: &str, takes: bool) -> RawReply {
    let mut client = Raw::connect(stack.edge().addr()).await;
    let te = if takes { "TE: trailers\r\nConnection: TE\r\n" } else { "" };
    client.write(format!("{method} /a HTTP/1.1\r\nHost: www.test\r\n{te}\r\n")).await;
    let reply = client.response().await;
    assert!(client.unread.is_empty(), "{}", String::from_utf8_lossy(&client.unread));
    reply
}

#[tokio::test]
async fn trailers_of_an_answer_reach_its_one_client() {
    // (method, Cache-Control, takes them, X-Cache, trailers, why)
    type Case =
        (&'static str, &'static str, bool, &'static str, &'static [&'static str], &'static str);
    const CASES: &[Case] = &[
        ("DELETE", "no-store", true, "BYPASS", &["x-sum: 1"], "past the store"),
        ("DELETE", "no-store", false, "BYPASS", &[], "not wanted"),
        ("GET", "private", true, "MISS", &["x-sum: 1"], "through a fill of its own"),
        ("GET", "private", false, "MISS", &[], "not wanted"),
        ("GET", "max-age=60", true, "MISS", &[], "others may get it too"),
    ];
    for shape in SHAPES {
        for &(method, cache_control, takes, x_cache, trailers, why) in CASES {
            let stack = shape().start().await;
            let script = stack.origin.script("/a").ok().header("cache-control", cache_control);
            let script = script.body("whole").trailer("x-sum", "1");
            // What decides about a message or speaks to tiers has no business behind it.
            let script = script.trailer("weir-as-of", "9").trailer("set-cookie", "a=b");
            script.trailer("vary", "*").set();

            let reply = ask(&stack, method, takes).await;

            assert_eq!((reply.status, reply.body.as_slice()), (200, &b"whole"[..]), "{why}");
            assert_eq!(reply.field("x-cache"), x_cache, "{why}");
            assert_eq!(reply.trailers, trailers, "{why}");
            let announced = if trailers.is_empty() { "" } else { "x-sum" };
            assert_eq!(reply.field("trailer"), announced, "{why}");
            for name in ["x-sum", "weir-as-of", "set-cookie", "vary"] {
                assert_eq!(reply.field(name), "", "never merged into the fields: {why}");
            }
            let asked = &stack.origin.requests("/a")[0].headers;
            assert_eq!(asked.contains_key("te"), takes, "{why}");
            if x_cache == "MISS" && cache_control != "private" {
                let hit = ask(&stack, method, takes).await;
                assert_eq!((hit.field("x-cache"), hit.trailers.len()), ("HIT", 0), "{why}");
                assert_eq!((hit.field("x-sum"), hit.field("trailer")), ("", ""), "{why}");
            }
        }
    }
}

/// What is too much is dropped, and the body before it is whole all the same.
#[tokio::test]
async fn too_many_trailers_are_dropped() {
    for shape in SHAPES {
        let stack = shape().start().await;
        let script = stack.origin.script("/a").ok().header("cache-control", "private");
        script.body("whole").trailer("x-sum", "y".repeat(10_000)).set();
        for method in ["GET", "DELETE"] {
            let reply = ask(&stack, method, true).await;
            assert_eq!((reply.body.as_slice(), reply.trailers.len()), (&b"whole"[..], 0));
        }
    }
}

#[tokio::test]
async fn trailers_of_a_request_reach_the_origin() {
    // (Trailer, trailers at the origin, why)
    const CASES: &[(&str, &[&str], &str)] = &[
        ("Trailer: X-Sum, Cookie, Weir-Auth\r\n", &["x-sum: 1"], "what may be one"),
        ("Trailer: X-Sum\r\nConnection: x-sum\r\n", &[], "a field of the connection"),
        ("", &[], "not announced"),
    ];
    for shape in SHAPES {
        for &(announced, expected, why) in CASES {
            let stack = shape().start().await;
            stack.origin.script("/a").status(204).set();
            let mut client = Raw::connect(stack.edge().addr()).await;
            let head = "POST /a HTTP/1.1\r\nHost: www.test\r\nTransfer-Encoding: chunked\r\n";
            let trailers = "X-Sum: 1\r\nCookie: a=b\r\nWeir-Auth: x\r\nX-Other: 2\r\n";
            client.write(format!("{head}{announced}\r\n5\r\nhello\r\n0\r\n{trailers}\r\n")).await;

            assert_eq!(client.response().await.status, 204, "{why}");

            let seen = &stack.origin.requests("/a")[0];
            assert_eq!(seen.body_len, 5, "{why}");
            assert_eq!(seen.trailers, expected, "{why}");
            for name in ["x-sum", "cookie", "weir-auth", "x-other"] {
                assert!(!seen.headers.contains_key(name), "never merged into the fields: {why}");
            }
        }
    }
}
