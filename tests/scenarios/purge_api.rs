//! Purges by the admin API: what is taken, what is refused, and that what is refused does nothing.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use weir_node::config::SiteConfig;
use weir_tests::{Reply, Request, Shape, Stack, TOKEN, TestNode};

/// A stack whose only site has one host.
async fn stack() -> Stack {
    let one_host = |site: &mut SiteConfig| site.hosts = vec!["www.test".parse().unwrap()];
    Shape::tiers(1, 1).site(one_host).start().await
}

async fn post(node: &TestNode, query: &str, body: impl Into<bytes::Bytes>) -> Reply {
    let request = Request::new(Method::POST, &format!("/v1/purges{query}"));
    let request = request.header("authorization", &format!("Bearer {TOKEN}")).body(body);
    request.send(node.admin_addr()).await
}

async fn kept(node: &TestNode) -> Vec<Value> {
    let reply = node.admin(Method::GET, "/v1/purges").await;
    assert_eq!(reply.status, StatusCode::OK);
    let list: Value = serde_json::from_slice(&reply.body).unwrap();
    list["purges"].as_array().unwrap().clone()
}

/// The title and the detail of a problem as RFC 9457 has it.
fn problem(reply: &Reply, status: u16, why: &str) -> (String, String) {
    let body = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status.as_u16(), status, "{why}: {body}");
    assert_eq!(reply.field("content-type"), "application/problem+json", "{why}: {body}");
    let document: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(document["status"], status, "{why}");
    let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
    assert!(!text("title").is_empty() && !text("detail").is_empty(), "{why}: {body}");
    (text("title"), text("detail"))
}

fn urls(count: usize) -> Value {
    (0..count).map(|n| format!("http://www.test/{n}")).collect()
}

/// (after the path, body, status, a word of the detail)
fn refused() -> Vec<(&'static str, Value, u16, &'static str)> {
    vec![
        ("", json!({}), 422, "nothing is named"),
        ("", json!({"urls": [], "tags": [], "everything": false}), 422, "nothing is named"),
        ("", json!({"urls": ["http://www.test/a"], "url": "x"}), 400, "unknown field `url`"),
        ("", json!({"urls": "http://www.test/a"}), 400, "expected"),
        ("", json!({"urls": [1]}), 400, "expected"),
        ("", json!({"everything": "yes"}), 400, "expected"),
        ("", json!([]), 400, "expected"),
        ("", json!({"everything": true, "urls": ["http://www.test/a"]}), 422, "alone"),
        ("", json!({"urls": ["/a"]}), 422, "absolute URL"),
        ("", json!({"urls": ["www.test/a"]}), 422, "absolute URL"),
        ("", json!({"urls": ["ftp://www.test/a"]}), 422, "absolute URL"),
        ("", json!({"urls": ["http://www.test/a", "http://other.test/a"]}), 422, "other.test"),
        ("", json!({"urls": urls(10_001)}), 422, "at most 10000"),
        ("", json!({"urls": urls(10_000), "tags": ["one-more"]}), 422, "at most 10000"),
        ("", json!({"prefixes": ["/img/"]}), 422, "a host and a path"),
        ("", json!({"prefixes": ["www.test"]}), 422, "a host and a path"),
        ("", json!({"prefixes": ["www.test/a?b"]}), 422, "no query"),
        ("", json!({"prefixes": ["other.test/img/"]}), 422, "other.test"),
        ("", json!({"hosts": ["other.test"]}), 422, "other.test"),
        ("", json!({"hosts": ["http://www.test"]}), 422, "without scheme"),
        ("", json!({"hosts": ["*"]}), 422, "host"),
        ("", json!({"hosts": [""]}), 422, "host"),
        ("", json!({"tags": [""]}), 422, "1 to 1024 bytes"),
        ("", json!({"tags": [" a"]}), 422, "spaces around"),
        ("", json!({"tags": ["a", "x".repeat(1_025)]}), 422, "1 to 1024 bytes"),
        ("", json!({"tags": ["x".repeat(1 << 20)]}), 422, "1 to 1024 bytes"),
        ("", json!({"globs": ["*"]}), 422, "glob"),
        ("", json!({"globs": ["*/*"]}), 422, "everything"),
        ("", json!({"globs": ["https://**/**"]}), 422, "everything"),
        ("", json!({"globs": ["/img/*"]}), 422, "a host before the path"),
        ("", json!({"globs": ["www.test/".to_owned() + &"x".repeat(2_048)]}), 422, "2048 bytes"),
        ("", json!({"tags": ["a"], "mode": "melt"}), 422, "invalidate"),
        ("", json!({"tags": ["a"], "mode": 1}), 400, "expected"),
        ("", json!({"tags": ["a"], "reason": "x".repeat(1_025)}), 422, "reason"),
        ("", json!({"tags": ["a"], "preload": {"hot": 10_001}}), 422, "preload.hot"),
        ("", json!({"tags": ["a"], "preload": {"cold": 1}}), 400, "cold"),
        ("?wait=soon", json!({"tags": ["a"]}), 400, "wait"),
        ("?wait=10", json!({"tags": ["a"]}), 400, "wait"),
        ("?wait=-1s", json!({"tags": ["a"]}), 400, "wait"),
        ("?wait=", json!({"tags": ["a"]}), 400, "wait"),
        ("?wait=301s", json!({"tags": ["a"]}), 400, "at most 300s"),
        ("?wait=1s&wait=2s", json!({"tags": ["a"]}), 400, "wait"),
        ("?wiat=10s", json!({"tags": ["a"]}), 400, "wiat"),
    ]
}

#[tokio::test]
async fn what_cannot_be_read_is_a_problem_and_purges_nothing() {
    let stack = stack().await;
    stack.serve("/a", "max-age=60", "hello");
    let good = post(stack.edge(), "?wait=10s", json!({"tags": ["kept"]}).to_string()).await;
    assert_eq!(good.status, StatusCode::OK);
    stack.edge().get("/a").await;
    for (query, body, status, word) in refused() {
        let why: String = format!("{query} {body}").chars().take(120).collect();
        let reply = post(stack.edge(), query, body.to_string()).await;
        let (_, detail) = problem(&reply, status, &why);
        assert!(detail.contains(word), "{why}: {}", &detail[..detail.len().min(300)]);
    }
    for (body, why) in [
        ("", "no body"),
        ("nonsense", "no JSON"),
        ("{\"everything\": true", "cut short"),
        ("{\"everything\": true} {}", "something after it"),
        ("{\"everything\": true, \"everything\": false}", "a name twice"),
        ("{\"tags\": [\"\u{fffd}\\ud800\"]}", "half a surrogate pair"),
    ] {
        problem(&post(stack.edge(), "", body).await, 400, why);
    }
    let large = format!("{{\"reason\": \"{}\"}}", "x".repeat(16 << 20));
    problem(&post(stack.edge(), "", large).await, 413, "a body over the limit");

    assert_eq!(kept(stack.edge()).await.len(), 1, "only the good one");
    assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT", "nothing was purged");
}

#[tokio::test]
async fn purges_need_the_token() {
    let stack = stack().await;
    stack.serve("/a", "max-age=86400", "hello");
    stack.edge().get("/a").await;
    let everything = json!({"everything": true}).to_string();
    let purge = Method::from_bytes(b"PURGE").unwrap();
    for token in [None, Some("Bearer token-for-test"), Some(TOKEN), Some("Bearer ")] {
        for (method, path) in [
            (Method::POST, "/v1/purges?wait=10s"),
            (Method::GET, "/v1/purges"),
            (Method::GET, "/v1/purges/x"),
            (purge.clone(), "/a"),
            (purge.clone(), "/healthz"),
        ] {
            let request = Request::new(method, path).body(everything.clone());
            let request = match token {
                Some(token) => request.header("authorization", token),
                None => request,
            };
            let reply = request.send(stack.edge().admin_addr()).await;
            let (_, detail) = problem(&reply, 401, path);
            assert!(detail.contains("WEIR_ADMIN_TOKEN"), "{detail}");
            assert_eq!(reply.field("www-authenticate"), "Bearer");
        }
        // So many mistakes in a minute would lock us out.
        stack.advance(std::time::Duration::from_secs(60));
    }
    assert!(kept(stack.edge()).await.is_empty());
    assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT");
}

#[tokio::test]
async fn an_unknown_purge_is_a_problem() {
    let stack = stack().await;
    for (path, status) in [
        ("/v1/purges/none", 404),
        ("/v1/purges/none?wait=10s", 404),
        ("/v1/purges/%ff", 400),
        ("/v1/purges/none?wait=x", 400),
    ] {
        problem(&stack.edge().admin(Method::GET, path).await, status, path);
    }
    let wrong = stack.edge().admin(Method::DELETE, "/v1/purges").await;
    problem(&wrong, 405, "no DELETE");
}

/// The contract: these keys, one line for each node, a Location, and 200 only when it holds.
#[tokio::test]
async fn a_receipt_says_what_was_purged_and_how_far_it_is() {
    let stack = stack().await;
    let body = json!({
        "urls": ["https://WWW.test:8443/a/../b?x=1"],
        "prefixes": ["www.test/img/"],
        "hosts": ["www.test"],
        "tags": ["sku 42"],
        "globs": ["*.test/*.js"],
        "mode": "invalidate",
        "reason": "new prices",
    });
    let taken = post(stack.edge(), "", body.to_string()).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "without a wait it is taken, no more");
    let receipt: Value = serde_json::from_slice(&taken.body).unwrap();
    let id = receipt["id"].as_str().unwrap();
    assert_eq!(taken.field("location"), format!("/v1/purges/{id}"));

    let shown = stack.shield.as_ref().unwrap();
    let shown = shown.admin(Method::GET, &format!("/v1/purges/{id}?wait=10s")).await;
    let shown: Value = serde_json::from_slice(&shown.body).unwrap();
    assert_eq!((&shown["id"], &shown["seq"]), (&receipt["id"], &json!(1)));
    assert_eq!((&shown["state"], &shown["mode"]), (&json!("applied"), &json!("invalidate")));
    assert_eq!((&shown["reason"], &shown["by"]), (&json!("new prices"), &json!("edge-0")));
    let selectors = json!([
        "url:www.test/b?x=1",
        "prefix:www.test/img/",
        "host:www.test",
        "tag:sku 42",
        "glob:*.test/*.js",
    ]);
    assert_eq!((&shown["selectors"], &shown["selectors_total"]), (&selectors, &json!(5)));
    let nodes = shown["nodes"].as_object().unwrap();
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["edge-0", "regional-0", "shield"]);
    for line in nodes.values() {
        assert_eq!(line["state"], "applied", "{shown}");
        assert!(line["after_ms"].is_u64() && line["at"].is_string(), "{shown}");
        assert!(line["matched"].is_u64() && line["counted"].is_boolean(), "{shown}");
    }
    let again = post(stack.edge(), "?wait=10s", json!({"everything": true}).to_string()).await;
    assert_eq!(again.status, StatusCode::OK);
    let seqs: Vec<_> = kept(stack.edge()).await.iter().map(|one| one["seq"].clone()).collect();
    assert_eq!(seqs, [2, 1], "the newest first");
}

/// Tools that know `PURGE` only.
#[tokio::test]
async fn the_method_purge_names_a_url_or_tags() {
    let stack = stack().await;
    // (path, fields, status, what the edge does next for /a, which carries the tag `t`)
    type Case = (&'static str, &'static [(&'static str, &'static str)], u16, &'static str);
    let cases: [Case; 6] = [
        ("/a", &[], 204, "MISS"),
        ("/b", &[], 204, "HIT"),
        ("/b", &[("surrogate-key", "x t")], 204, "MISS"),
        ("/", &[("xkey", "t")], 204, "MISS"),
        ("/", &[("cache-tag", "x, t")], 204, "MISS"),
        ("/a", &[("host", "other.test")], 422, "HIT"),
    ];
    for (path, fields, status, next) in cases {
        let answer = stack.answer("/a", 200).header("cache-control", "max-age=60");
        answer.header("surrogate-key", "t").body("hello").set();
        stack.edge().get("/a").await;
        assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT");
        let request = Request::new(Method::from_bytes(b"PURGE").unwrap(), path);
        let mut request = request.header("authorization", &format!("Bearer {TOKEN}"));
        for (name, value) in fields {
            request = request.header(name, value);
        }
        let reply = request.send(stack.edge().admin_addr()).await;
        if status == 204 {
            assert_eq!((reply.status.as_u16(), reply.body.len()), (204, 0), "{path} {fields:?}");
            let id = reply.field("weir-purge-id");
            let receipt = stack.edge().admin(Method::GET, &format!("/v1/purges/{id}")).await;
            assert_eq!(receipt.status, StatusCode::OK, "{path} {fields:?}");
        } else {
            problem(&reply, status, path);
        }
        assert_eq!(stack.edge().get("/a").await.x_cache(), next, "{path} {fields:?}");
    }
}

/// A soft purge keeps what is stored, and asks before it is used again.
#[tokio::test]
async fn a_soft_purge_validates() {
    let stack = stack().await;
    for field in ["soft-purge", "fastly-soft-purge"] {
        let answer = stack.answer("/a", 200).header("cache-control", "max-age=60");
        answer.header("etag", "\"1\"").body("hello").set();
        stack.edge().get("/a").await;
        stack.answer("/a", 304).header("etag", "\"1\"").set();
        let request = Request::new(Method::from_bytes(b"PURGE").unwrap(), "/a");
        let request = request.header("authorization", &format!("Bearer {TOKEN}"));
        let reply = request.header(field, "1").send(stack.edge().admin_addr()).await;
        assert_eq!(reply.status, 204, "{field}");
        let before = stack.origin.hits("/a");
        let reply = stack.edge().get("/a").await;
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, b"hello".as_slice()));
        assert_eq!(stack.origin.hits("/a"), before + 1, "{field}: the origin was asked");
        let purge = post(stack.edge(), "?wait=10s", json!({"everything": true}).to_string()).await;
        assert_eq!(purge.status, 200);
    }
}
