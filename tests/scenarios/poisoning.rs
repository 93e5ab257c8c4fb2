//! What one client sends never changes what another gets.

use weir_cache::Rule;
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

/// What clients claim about a request beside what it is.
const CLAIMS: [&str; 58] = [
    "base-url",
    "cf-connecting-ip",
    "client-ip",
    "destination",
    "fastly-client-ip",
    "front-end-https",
    "proxy",
    "proxy-host",
    "request-uri",
    "true-client-ip",
    "x-amz-website-redirect-location",
    "x-backend-host",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-original-path",
    "x-forwarded",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-middleware-prefetch",
    "x-middleware-rewrite",
    "x-middleware-subrequest",
    "x-now-route-matches",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-override-url",
    "x-proxy-url",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
    "x-wap-profile",
    // The same for gateways that make no difference between `_` and `-`.
    "x_forwarded_for",
    "x_forwarded_host",
    "x_forwarded_proto",
    "x_forwarded-host",
    "x_original_url",
    "x_rewrite_url",
    "x_http_method_override",
    "x_real_ip",
    "true_client_ip",
    "x_host",
];

/// Fields that frameworks build links and decisions from end at the first node, unless the site puts
/// them into the key.
#[tokio::test]
async fn claims_that_the_key_does_not_know_end_at_the_edge() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape
            .site(|site| site.key.headers = vec!["x-nextjs-data".parse().unwrap()])
            .start()
            .await;
        stack.serve("/a", "max-age=60", "a");
        for name in CLAIMS {
            let path = format!("/a?{name}");
            let poison =
                Request::get(&path).header(name, "evil.example").header(name, "twice.example");
            assert_eq!(stack.edge().send(&poison).await.status, 200);
            let innocent = stack.edge().get(&path).await;
            assert_eq!(
                (innocent.x_cache().as_str(), &innocent.body[..]),
                ("HIT", &b"a"[..]),
                "{name}"
            );
        }
        for seen in stack.origin.requests("/a") {
            let told = seen.headers.values().any(|value| value.as_bytes().ends_with(b".example"));
            assert!(!told, "{:?}", seen.headers);
        }
        // What the first node sets itself is its own word.
        let own = ["x-forwarded-host", "x-forwarded-proto", "forwarded"];
        let mut poison = Request::get("/a?own");
        for name in own {
            poison = poison.header(name, "host=evil.example;proto=evil.example");
        }
        stack.edge().send(&poison).await;
        let seen = stack.origin.requests("/a").pop().unwrap();
        for name in own {
            let lines = seen.headers.get_all(name).iter();
            let told = lines.filter(|line| line.to_str().unwrap().contains("evil"));
            assert_eq!(told.count(), 0, "{name}: {:?}", seen.headers);
        }

        let keyed = Request::get("/a").header("x-nextjs-data", "1");
        stack.edge().send(&keyed).await;
        let seen = stack.origin.requests("/a").pop().unwrap();
        assert_eq!(seen.headers["x-nextjs-data"], "1", "part of the key, so it passes");
        let innocent = stack.edge().get("/a").await;
        assert_eq!(innocent.x_cache(), "MISS", "the keyed field makes another key");
    }
}

/// Errors that one request's oddity causes are not what others get, whatever the origin says of caching.
#[tokio::test]
async fn an_error_about_one_request_is_no_answer_to_another() {
    let errors = [
        400, 401, 402, 405, 406, 407, 408, 409, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423,
        424, 425, 426, 428, 429, 431, 500, 501, 502, 503, 504, 505, 507, 508, 511, 599,
    ];
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        for status in errors {
            for control in ["public, max-age=3600", "s-maxage=3600", ""] {
                let path = format!("/{status}/{}", control.len());
                let script = stack.answer(&path, status).header("cache-control", control);
                script
                    .header("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT")
                    .body("no")
                    .once()
                    .set();
                stack.serve(&path, "max-age=60", "yes");
                let odd = Request::get(&path).header("x-odd", &"z".repeat(4_000));
                let first = stack.edge().send(&odd).await;
                let innocent = stack.edge().get(&path).await;
                assert_eq!(
                    (innocent.status.as_u16(), &innocent.body[..]),
                    (200, &b"yes"[..]),
                    "{path} after {}",
                    first.status
                );
            }
        }
        for status in [403, 404, 410, 451] {
            let path = format!("/{status}");
            let script = stack.answer(&path, status).header("cache-control", "max-age=3600");
            script.body("gone").set();
            for cache in ["MISS", "HIT"] {
                assert_eq!(
                    stack.edge().get(&path).await.x_cache(),
                    cache,
                    "{status} is about the resource"
                );
            }
        }
    }
}

/// A page under the path of a file is not kept for others by guesses and rules; the origin's word counts.
#[tokio::test]
async fn a_page_that_looks_like_a_file_is_not_kept_by_rules() {
    let decorations = [
        "/x.css",
        "/x.js",
        "/x.png",
        "/x.PNG",
        "/.css",
        "/a/b/x.woff2",
        ";x.css",
        ";.js",
        "%2fx.css",
        "%2Fx.css",
        "%3bx.css",
        "%3fx.css",
        "%23x.css",
        "%00x.css",
        "%0ax.css",
        "%0d%0ax.css",
        "%5cx.css",
        "%5C..%5cx.js",
        "/..%2fx.css",
        "/%2e%2e%2fx.css",
        "/..;/x.css",
        "/;/x.css",
        "/x.css%3f",
        "/x.css%00.html",
        "/x.css;jsessionid=1",
    ];
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape
            .site(|site| {
                let day = Some(std::time::Duration::from_secs(86_400));
                let path = "/**".parse().unwrap();
                let rule =
                    Rule { ttl: day, min_ttl: day, respect_origin: false, ..Rule::new(path) };
                site.rules.rules = vec![rule];
            })
            .start()
            .await;
        for decoration in decorations {
            let path = format!("/account{decoration}");
            // As the origin sees it.
            let normal = path.replace("%2e", ".").replace("%2f", "%2F").replace("%3b", "%3B");
            let normal = normal.replace("%3f", "%3F").replace("%5c", "%5C");
            let normal = normal.replace("%0a", "%0A").replace("%0d", "%0D");
            let script = stack.origin.script(&normal).ok();
            script
                .header("content-type", "text/html")
                .header("etag", "\"a\"")
                .body("private")
                .once()
                .set();
            let script = stack.origin.script(&normal).ok();
            script.header("content-type", "text/html").body("yours").set();
            let lured = Request::get(&path).header("cookie", "session=1");
            assert_eq!(stack.edge().send(&lured).await.status, 200, "{path}");
            let attacker = stack.edge().get(&path).await;
            assert_eq!(attacker.body, "yours", "{path}: {}", attacker.cache_status());
        }
        // What is what it looks like is kept by the rule, and a page where its origin says so.
        for (path, content_type, control) in
            [("/account/a.css", "text/css", ""), ("/account/b.css", "text/html", "max-age=60")]
        {
            let script = stack.origin.script(path).ok().header("content-type", content_type);
            script.header("cache-control", control).body("all").set();
            for cache in ["MISS", "HIT"] {
                let reply = stack.edge().get(path).await;
                assert_eq!(reply.x_cache(), cache, "{path}: {}", reply.cache_status());
            }
        }
    }
}

/// An origin that reflects Origin without saying so serves each origin its own answer.
#[tokio::test]
async fn a_reflected_origin_is_for_that_origin() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        for origin in ["https://evil.example", "https://good.example"] {
            let script = stack.answer("/font", 200).header("cache-control", "max-age=60");
            script.header("access-control-allow-origin", origin).body("font").set();
            let ask = Request::get("/font").header("origin", origin);
            for cache in ["MISS", "HIT"] {
                let reply = stack.edge().send(&ask).await;
                assert_eq!(
                    (reply.x_cache().as_str(), reply.field("access-control-allow-origin").as_str()),
                    (cache, origin)
                );
            }
        }
        assert_eq!(stack.origin.hits("/font"), 2);
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
