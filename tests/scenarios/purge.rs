//! What a purge removes, and what it says about that.

use http::Method;
use serde_json::{Value, json};
use weir_tests::{Request, Shape, Stack};

/// What every node is asked to say about one purge.
fn states(receipt: &Value) -> Vec<(String, String)> {
    let nodes = receipt["nodes"].as_object().unwrap();
    nodes
        .iter()
        .map(|(name, node)| (name.clone(), node["state"].as_str().unwrap().to_owned()))
        .collect()
}

/// Has both edges store `path` with version one, and the origin answer with version two from then on.
async fn deploy(stack: &Stack, path: &str) {
    stack.serve(path, "max-age=3600", "one");
    for edge in &stack.edges {
        edge.get(path).await;
        assert_eq!(edge.get(path).await.x_cache(), "HIT", "{path}");
    }
    stack.serve(path, "max-age=3600", "two");
}

#[tokio::test]
async fn a_purge_holds_on_every_tier_when_it_says_so() {
    let stack = Shape::tiers(2, 2).start().await;
    deploy(&stack, "/app.js").await;
    let receipt = stack.edges[1].purge(&json!({"urls": ["http://www.test/app.js"]})).await;
    assert_eq!((receipt["state"].as_str(), receipt["seq"].as_u64()), (Some("applied"), Some(1)));
    let names = ["edge-0", "edge-1", "regional-0", "regional-1", "shield"];
    assert_eq!(states(&receipt), names.map(|name| (name.to_owned(), "applied".to_owned())));
    for edge in &stack.edges {
        let reply = edge.get("/app.js").await;
        assert_eq!((reply.x_cache().as_str(), &reply.body[..]), ("MISS", &b"two"[..]));
        assert_eq!(edge.get("/app.js").await.x_cache(), "HIT");
    }
    assert_eq!(stack.origin.hits("/app.js"), 2, "one a version");
}

#[tokio::test]
async fn each_selector_removes_what_it_names_and_nothing_else() {
    let stack = Shape::tiers(1, 1).start().await;
    let paths = ["/img/a.png", "/img/b.png?v=1", "/app.js", "/tagged"];
    // (purge, what it removes)
    let cases = [
        (json!({"urls": ["https://www.test:8443/img/b.png?v=1"]}), vec!["/img/b.png?v=1"]),
        (json!({"prefixes": ["http://www.test/img/"]}), vec!["/img/a.png", "/img/b.png?v=1"]),
        (json!({"globs": ["www.test/*.js"]}), vec!["/app.js"]),
        (json!({"tags": ["news"]}), vec!["/tagged"]),
        (json!({"hosts": ["www.test"]}), paths.to_vec()),
        (json!({"everything": true}), paths.to_vec()),
        (json!({"hosts": ["other.test"], "tags": ["other"]}), vec![]),
    ];
    for (wish, removed) in cases {
        for path in paths {
            let tags = if path == "/tagged" { "sport, news" } else { "sport" };
            let script = stack.answer(path, 200).header("cache-control", "max-age=3600");
            script.header("cache-tag", tags).body("x").set();
            stack.edge().get(path).await;
        }
        stack.edge().purge(&wish).await;
        for path in paths {
            let expected = if removed.contains(&path) { "MISS" } else { "HIT" };
            assert_eq!(stack.edge().get(path).await.x_cache(), expected, "{wish}: {path}");
        }
    }
}

#[tokio::test]
async fn every_variant_of_a_url_goes() {
    let stack = Shape::tiers(1, 0).start().await;
    let german = || Request::get("/a").header("accept-language", "de");
    for (request, body) in [(Request::get("/a"), "hello"), (german(), "hallo")] {
        let script = stack.answer("/a", 200).header("cache-control", "max-age=60");
        script.header("vary", "accept-language").body(body).set();
        stack.edge().send(&request).await;
        assert_eq!(stack.edge().send(&request).await.x_cache(), "HIT");
    }
    stack.edge().purge(&json!({"urls": ["http://www.test/a"]})).await;
    for request in [Request::new(Method::HEAD, "/a"), Request::get("/a"), german()] {
        assert_eq!(stack.edge().send(&request).await.x_cache(), "MISS");
    }
}

/// `invalidate` asks whether what is stored still holds; `purge` does not even ask.
#[tokio::test]
async fn an_invalidation_validates_and_a_purge_fetches() {
    for (mode, conditional) in [("invalidate", true), ("purge", false)] {
        let stack = Shape::tiers(1, 1).start().await;
        let script = stack.answer("/a", 200).header("cache-control", "max-age=3600");
        script.header("etag", "\"1\"").body("hello").set();
        stack.edge().get("/a").await;
        let wish = json!({"urls": ["http://www.test/a"], "mode": mode});
        stack.edge().purge(&wish).await;
        stack.answer("/a", 304).header("etag", "\"1\"").set();
        if !conditional {
            stack.serve("/a", "max-age=3600", "hello");
        }
        let reply = stack.edge().get("/a").await;
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &b"hello"[..]), "{mode}");
        let asked = stack.origin.requests("/a").pop().unwrap();
        assert_eq!(asked.headers.contains_key("if-none-match"), conditional, "{mode}");
        assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT", "{mode}");
    }
}

/// Not even an origin that is down brings back what was invalidated, unless the site says so.
#[tokio::test]
async fn what_was_invalidated_stands_in_for_nothing_unless_the_site_says_so() {
    for (allowed, status) in [(false, 502), (true, 200)] {
        let shape = Shape::tiers(1, 0).site(move |site| site.stale_after_purge = allowed);
        let stack = shape.start().await;
        stack.serve("/a", "max-age=3600, stale-if-error=3600", "hello");
        stack.edge().get("/a").await;
        let wish = json!({"urls": ["http://www.test/a"], "mode": "invalidate"});
        stack.edge().purge(&wish).await;
        stack.answer("/a", 503).set();
        let reply = stack.edge().get("/a").await;
        let expected = if allowed { status } else { 503 };
        assert_eq!(reply.status.as_u16(), expected);
    }
}

#[tokio::test]
async fn tags_are_between_the_origin_and_its_cdn() {
    for (shown, expected) in [(false, ""), (true, "a, b")] {
        let stack = Shape::tiers(1, 1).site(move |site| site.fields.tags = shown).start().await;
        let script = stack.answer("/a", 200).header("cache-control", "max-age=60");
        script.header("cache-tag", "a, b").body("x").set();
        for _ in 0..2 {
            assert_eq!(stack.edge().get("/a").await.field("cache-tag"), expected);
        }
    }
}

/// What a POST changes is invalidated on the edges that it did not pass, too.
#[tokio::test]
async fn an_unsafe_request_reaches_the_edges_beside_its_path() {
    let stack = Shape::tiers(2, 1).start().await;
    deploy(&stack, "/cart").await;
    stack.edges[0].send(&Request::new(Method::POST, "/cart").body("x")).await;
    for edge in &stack.edges {
        edge.metrics_reach(|metrics| metrics.get("weir_purge_applied_seq") == 1.0).await;
        let reply = edge.get("/cart").await;
        assert_eq!(&reply.body[..], b"two");
    }
    let listed = stack.edge().admin(Method::GET, "/v1/purges").await;
    let listed: Value = serde_json::from_slice(&listed.body).unwrap();
    assert_eq!(listed["purges"], json!([]), "nobody asked for it");
}

#[tokio::test]
async fn receipts_are_kept_and_count_what_was_matched() {
    let stack = Shape::tiers(2, 1).start().await;
    for path in ["/a/1", "/a/2", "/a/3", "/b"] {
        deploy(&stack, path).await;
    }
    let wish = json!({"prefixes": ["www.test/a/"], "reason": "release 7"});
    let made = stack.edges[0].purge(&wish).await;
    let path = format!("/v1/purges/{}", made["id"].as_str().unwrap());
    let counted = |receipt: &Value| {
        receipt["nodes"].as_object().unwrap().values().all(|node| node["counted"] == true)
    };
    let mut receipt = made;
    weir_tests::soon("every node to have counted", async {
        while !counted(&receipt) {
            let reply = stack.edges[1].admin(Method::GET, &path).await;
            receipt = serde_json::from_slice(&reply.body).unwrap();
        }
    })
    .await;
    for (name, node) in receipt["nodes"].as_object().unwrap() {
        assert_eq!(node["matched"], 3, "{name}");
    }
    assert_eq!(
        (receipt["reason"].as_str(), receipt["by"].as_str()),
        (Some("release 7"), Some("edge-0"))
    );
    let listed = stack.top().admin(Method::GET, "/v1/purges").await;
    let listed: Value = serde_json::from_slice(&listed.body).unwrap();
    assert_eq!(listed["purges"][0]["id"], receipt["id"]);
    for edge in &stack.edges {
        edge.metrics_reach(|metrics| metrics.get("weir_store_keys") == 1.0).await;
    }
    let missing = stack.edge().admin(Method::GET, "/v1/purges/none").await;
    assert_eq!(missing.status, 404);
}

/// What tools for other caches send works on the admin listener.
#[tokio::test]
async fn the_purge_method_purges_by_url_and_by_tag() {
    let stack = Shape::tiers(1, 1).start().await;
    let authorized = |request: Request| {
        request.header("authorization", &format!("Bearer {}", weir_tests::TOKEN))
    };
    let purge = || Method::from_bytes(b"PURGE").unwrap();
    let by_host = || authorized(Request::new(purge(), "/a"));
    let by_url = authorized(Request::new(purge(), "http://www.test/a").header("host", "www.test"));
    let by_tag = authorized(Request::new(purge(), "/").header("surrogate-key", "x t"));
    let soft = by_host().header("fastly-soft-purge", "1");
    for request in [by_host(), by_url, by_tag, soft] {
        let script = stack.answer("/a", 200).header("cache-control", "max-age=60");
        script.header("xkey", "t").body("x").set();
        stack.edge().get("/a").await;
        assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT");
        let reply = request.send(stack.edge().admin_addr()).await;
        assert_eq!(reply.status, 204, "{}", String::from_utf8_lossy(&reply.body));
        assert_eq!(stack.edge().get("/a").await.x_cache(), "MISS");
    }
    let nobody = Request::new(purge(), "/a").send(stack.edge().admin_addr()).await;
    assert_eq!(nobody.status, 401);
    let data = Request::new(purge(), "/a").send(stack.edge().addr()).await;
    assert_ne!(data.status, 204, "not on the data listener");
}

/// A response with more tags than are kept is counted, and goes with any of them.
#[tokio::test]
async fn too_many_tags_are_counted_and_stand_for_all() {
    let stack = Shape::single().start().await;
    let tags: Vec<String> = (0..200).map(|number| format!("t{number}")).collect();
    let script = stack.answer("/a", 200).header("cache-control", "max-age=60");
    script.header("surrogate-key", tags.join(" ")).body("x").set();
    stack.edge().get("/a").await;
    let counted = stack.edge().metrics().await.get("weir_purge_overflowing_tags_total");
    assert_eq!(counted, 1.0);
    stack.edge().purge(&json!({"tags": ["t199"]})).await;
    assert_eq!(stack.edge().get("/a").await.x_cache(), "MISS");
}
