//! Fields that tell of the way a request took, as the origin sees them.

use http::{HeaderMap, Method};
use weir_tests::{Request, Shape, Stack};

fn lines(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
}

async fn seen(stack: &Stack, request: &Request) -> HeaderMap {
    let reply = stack.edge().send(request).await;
    assert_eq!(reply.status, 200);
    stack.origin.requests("/a").pop().unwrap().headers
}

/// A miss and a request that passes by the store.
fn both(edit: impl Fn(Request) -> Request) -> [Request; 2] {
    [edit(Request::get("/a")), edit(Request::new(Method::POST, "/a").body("x"))]
}

/// Each tier adds itself to Via and CDN-Loop; the client is added by the first alone.
#[tokio::test]
async fn the_origin_learns_the_client_and_every_node_once() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        for request in both(|request| request) {
            let headers = seen(&stack, &request).await;

            assert_eq!(lines(&headers, "x-forwarded-for"), ["127.0.0.1"]);
            assert_eq!(lines(&headers, "x-forwarded-proto"), ["http"]);
            assert_eq!(lines(&headers, "x-forwarded-host"), ["www.test"]);
            let element = "for=127.0.0.1;host=\"www.test\";proto=http";
            assert_eq!(lines(&headers, "forwarded"), [element]);
            assert_eq!(lines(&headers, "host"), ["www.test"]);
            let names: Vec<_> = [&stack.edges, &stack.regionals]
                .into_iter()
                .flatten()
                .chain(&stack.shield)
                .collect();
            let via = lines(&headers, "via").join(", ");
            let loops = lines(&headers, "cdn-loop").join(", ");
            assert_eq!(via.split(", ").count(), names.len(), "{via}");
            assert_eq!(loops.split(", ").count(), names.len(), "{loops}");
            for (index, node) in names.iter().enumerate() {
                let name = &node.config().name;
                let member = via.split(", ").nth(index).unwrap();
                assert!(member.starts_with(&format!("1.1 {name}.weir-")), "{via}");
                let member = loops.split(", ").nth(index).unwrap();
                assert!(member.ends_with(&format!("; node=\"{name}\"")), "{loops}");
            }
            assert_eq!(lines(&headers, "x-request-id").len(), 1);
        }
    }
}

/// A client's claims are kept where they are claims and replaced where origins build links from them.
#[tokio::test]
async fn a_client_cannot_choose_host_and_protocol() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let requests = both(|request| {
            request
                .header("x-forwarded-for", "10.9.8.7")
                .header("x-forwarded-proto", "https")
                .header("x-forwarded-host", "evil.test")
                .header("forwarded", "for=10.9.8.7;host=evil.test")
                .header("via", "1.0 fred")
                .header("cdn-loop", "othercdn")
                .header("x-request-id", "mine")
        });
        for request in requests {
            let headers = seen(&stack, &request).await;
            assert_eq!(lines(&headers, "x-forwarded-for").join(", "), "10.9.8.7, 127.0.0.1");
            assert_eq!(lines(&headers, "x-forwarded-proto"), ["http"]);
            assert_eq!(lines(&headers, "x-forwarded-host"), ["www.test"]);
            let forwarded = lines(&headers, "forwarded").join(", ");
            // A claim about the host makes the whole field one that an origin must not believe.
            assert_eq!(forwarded, "for=127.0.0.1;host=\"www.test\";proto=http");
            assert!(lines(&headers, "via").join(", ").starts_with("1.0 fred, 1.1 edge-0."));
            assert!(lines(&headers, "cdn-loop").join(", ").starts_with("othercdn, weir-"));
            assert_ne!(lines(&headers, "x-request-id"), ["mine"], "names in our logs are ours");
        }
    }
}

/// RFC 9110 §7.6.1; what a message stands on cannot be taken away by naming it.
#[tokio::test]
async fn fields_of_the_clients_connection_end_at_the_edge() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let requests = both(|request| {
            request
                .header("connection", "x-hop, x-forwarded-for, host, cdn-loop, authorization, te")
                .header("x-hop", "1")
                .header("x-end", "2")
                .header("authorization", "Bearer x")
                .header("keep-alive", "timeout=5")
                .header("proxy-connection", "keep-alive")
                .header("te", "gzip, deflate")
                .header("upgrade", "h2c")
                .header("http2-settings", "AAMAAABkAAQAAP__")
        });
        for request in requests {
            let headers = seen(&stack, &request).await;
            for gone in
                ["x-hop", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings"]
            {
                assert_eq!(lines(&headers, gone), [""; 0], "{gone}");
            }
            assert_eq!(lines(&headers, "x-end"), ["2"]);
            assert_eq!(lines(&headers, "authorization"), ["Bearer x"]);
            assert_eq!(lines(&headers, "x-forwarded-for"), ["127.0.0.1"]);
            assert_eq!(lines(&headers, "host"), ["www.test"]);
        }
    }
}

/// Via of the answer names the tiers, the origin's side first (RFC 9110 §7.6.3).
#[tokio::test]
async fn the_client_learns_the_way_of_the_answer() {
    let stack = Shape::tiers(1, 1).start().await;
    let miss = stack.edge().get("/a").await.field("via");
    let names: Vec<_> =
        miss.split(", ").filter_map(|member| member.split(['.', ' ']).nth(2)).collect();
    assert_eq!(names, ["shield", "regional-0", "edge-0"], "{miss}");
    assert_eq!(stack.edge().get("/a").await.field("via"), miss);
}

/// What the site does not show is shown to no client, and to the tiers all the same.
#[tokio::test]
async fn a_site_can_hide_our_fields() {
    let stack = Shape::tiers(1, 1).site(|site| {
        let fields = &mut site.fields;
        (fields.age, fields.via, fields.cache_status, fields.x_cache) =
            (false, false, false, false);
        (fields.proxy_status, fields.request_id) = (false, false);
    });
    let stack = stack.start().await;
    stack.serve("/a", "max-age=60", "hello");
    stack.edge().get("/a").await;
    stack.advance(std::time::Duration::from_secs(61));
    stack.serve("/a", "max-age=60", "new");
    let reply = stack.edge().get("/a").await;
    assert_eq!(reply.body, "new", "age counted on every tier although nobody saw it");
    for name in ["age", "via", "cache-status", "x-cache", "proxy-status", "x-request-id"] {
        assert_eq!(reply.field(name), "", "{name}");
    }
    stack.origin.stop().await;
    assert_eq!(stack.edge().get("/b").await.field("proxy-status"), "");
}
