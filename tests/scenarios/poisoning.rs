//! What one client sends never changes what another gets.

use weir_tests::{Raw, Request, Shape};

/// A body on a GET goes nowhere; if its length went upstream without it, the origin would take the
/// next request on the connection for that body.
#[tokio::test]
async fn the_length_of_a_body_that_goes_nowhere_stays_here() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        stack.serve("/a", "max-age=60", "a");
        stack.serve("/b", "max-age=60", "b");
        let hidden = "GET /evil HTTP/1.1\r\nX: ";
        for (method, framing) in [
            ("GET", format!("Content-Length: {}\r\n\r\n{hidden}", hidden.len())),
            ("HEAD", format!("Content-Length: {}\r\n\r\n{hidden}", hidden.len())),
            (
                "GET",
                format!(
                    "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
                    hidden.len()
                ),
            ),
        ] {
            let mut raw = Raw::connect(stack.edge().addr()).await;
            raw.write(format!("{method} /a HTTP/1.1\r\nHost: www.test\r\n{framing}")).await;
            assert_eq!(raw.status().await, Some(200), "{method}");
            for _ in 0..4 {
                assert_eq!(stack.edge().get("/b?fresh=1").await.body, "b");
            }
        }
        for seen in stack.origin.requests("/a") {
            assert!(!seen.headers.contains_key("content-length"), "{:?}", seen.headers);
            assert_eq!(seen.body_len, 0);
        }
        assert_eq!(stack.origin.hits("/evil"), 0);
    }
}

/// Fields that frameworks build links and decisions from end at the first node, unless the site puts
/// them into the key.
#[tokio::test]
async fn claims_that_the_key_does_not_know_end_at_the_edge() {
    let claims = [
        "x-forwarded-scheme",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-host",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-middleware-subrequest",
        "x-real-ip",
    ];
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape
            .site(|site| site.key.headers = vec!["x-nextjs-data".parse().unwrap()])
            .start()
            .await;
        stack.serve("/a", "max-age=60", "a");
        let mut poison = Request::get("/a").header("x-nextjs-data", "1");
        for name in claims {
            poison = poison.header(name, "evil.example");
        }
        assert_eq!(stack.edge().send(&poison).await.status, 200);
        let seen = &stack.origin.requests("/a")[0];
        for name in claims {
            assert!(!seen.headers.contains_key(name), "{name}");
        }
        assert_eq!(seen.headers["x-nextjs-data"], "1", "part of the key, so it passes");
        let innocent = stack.edge().get("/a").await;
        assert_eq!(innocent.x_cache(), "MISS", "the keyed field makes another key");
    }
}

/// A list of equal lengths is one length; what goes on to the client has one.
#[tokio::test]
async fn a_repeated_length_from_the_origin_becomes_one() {
    let stack = Shape::single().start().await;
    let raw = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5, 5\r\n\r\nhello";
    stack.origin.script("/a").raw(raw).set();
    for _ in 0..2 {
        let reply = stack.edge().get("/a").await;
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b"hello"[..]));
        assert_eq!(reply.field("content-length"), "5");
    }
}
