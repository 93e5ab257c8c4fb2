//! Push mode: preloads, objects that are put, what is hot, and what purges have to do with it.

use http::Method;
use serde_json::{Value, json};
use weir_cache::HostPattern;
use weir_tests::{Folder, Program, Reply, Request, Shape, Stack, TOKEN, TestNode, soon};

async fn send(node: &TestNode, request: Request) -> Reply {
    let token = format!("Bearer {TOKEN}");
    request.header("authorization", &token).send(node.admin_addr()).await
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

async fn preload(node: &TestNode, wish: &Value) -> Reply {
    send(node, Request::new(Method::POST, "/v1/preloads?wait=20s").body(wish.to_string())).await
}

/// Preloads what `wish` says and sees it through.
async fn preloaded(node: &TestNode, wish: &Value) -> Value {
    let reply = preload(node, wish).await;
    let said = json_of(&reply);
    assert_eq!(reply.status, 200, "{said}");
    said
}

/// An object for `path`, with a lifetime.
fn object(path: &str, body: &str) -> Request {
    Request::new(Method::PUT, &format!("/v1/objects?url=http://www.test{path}&wait=20s"))
        .header("object-cache-control", "max-age=600")
        .header("object-content-type", "text/plain")
        .body(body.to_owned())
}

async fn put(node: &TestNode, path: &str, body: &str) {
    let reply = send(node, object(path, body)).await;
    assert_eq!(reply.status, 200, "{}", json_of(&reply));
    assert_eq!(json_of(&reply)["state"], "done");
}

async fn purge(node: &TestNode, body: &Value) {
    let request = Request::new(Method::POST, "/v1/purges?wait=15s").body(body.to_string());
    assert_eq!(send(node, request).await.status, 200);
}

fn urls(paths: &[String]) -> Vec<String> {
    paths.iter().map(|path| format!("http://www.test{path}")).collect()
}

/// One site for `www.test` and no other host.
fn tiers_of_one_host(edges: usize) -> Shape {
    Shape::tiers(edges, 2).site(|site| site.hosts = vec![HostPattern::Exact("www.test".to_owned())])
}

#[tokio::test]
async fn what_was_preloaded_is_a_hit_everywhere_and_was_fetched_once() {
    let stack = Shape::tiers(2, 2).start().await;
    let paths: Vec<String> = (0..200).map(|number| format!("/page/{number}")).collect();
    for path in &paths {
        stack.serve(path, "max-age=600", path.clone());
    }
    // A child is asked, which hands it up; a second time, nothing is left to fetch.
    let said = preloaded(stack.edge(), &json!({"urls": urls(&paths)})).await;
    assert_eq!(
        (&said["state"], &said["done"], &said["hits"]),
        (&json!("done"), &json!(400), &json!(0))
    );
    assert_eq!(said["nodes"].as_object().unwrap().len(), 2, "{said}");
    for path in &paths {
        for edge in &stack.edges {
            let reply = edge.get(path).await;
            assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("HIT", path.as_bytes()));
        }
    }
    assert_eq!(stack.origin.total(), 200);
    let again = preloaded(stack.top(), &json!({"urls": urls(&paths)})).await;
    assert_eq!((&again["done"], &again["hits"]), (&json!(400), &json!(400)));
    assert_eq!(stack.origin.total(), 200);
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.get("weir_preload_urls_total"), 400.0);
    assert_eq!(metrics.sum("weir_requests_total", &["cache=\"miss\""]), 0.0, "no client missed");
}

#[tokio::test]
async fn the_tiers_asked_for_fetch_and_the_variant_asked_for_is_fetched() {
    let stack = Shape::tiers(1, 2).start().await;
    stack
        .answer("/v", 200)
        .header("cache-control", "max-age=600")
        .header("vary", "accept-language")
        .body("v")
        .set();
    let wish = json!({
        "urls": ["http://www.test/v"], "tiers": ["regional"], "headers": {"Accept-Language": "de"}
    });
    let said = preloaded(stack.edge(), &wish).await;
    assert_eq!(said["nodes"].as_object().unwrap().len(), 2, "{said}");
    assert_eq!(stack.origin.hits("/v"), 1);
    let ask = |language: &str| Request::get("/v").header("accept-language", language);
    let german = stack.edge().send(&ask("de")).await;
    assert!(german.field("cache-status").contains("regional; hit"), "{german:?}");
    stack.edge().send(&ask("fr")).await;
    assert_eq!(stack.origin.hits("/v"), 2);
}

#[tokio::test]
async fn sitemaps_and_manifests_are_read_through_the_cdn() {
    let stack = tiers_of_one_host(1).start().await;
    let index = "<sitemapindex><sitemap><loc>http://www.test/1.xml</loc></sitemap></sitemapindex>";
    let pages = "<urlset><url><loc>http://www.test/p?a=1&amp;b=2</loc></url></urlset>";
    let foreign = "<urlset><url><loc>http://other.test/</loc></url></urlset>";
    stack.serve("/index.xml", "max-age=60", index);
    stack.serve("/1.xml", "max-age=60", pages);
    stack.serve("/foreign.xml", "max-age=60", foreign);
    stack.serve("/list.txt", "max-age=60", "# hot\nhttp://www.test/m\n");
    stack.serve("/p", "max-age=60", "p");
    stack.serve("/m", "max-age=60", "m");
    stack.answer("/moved.xml", 301).header("location", "http://127.0.0.1:1/").set();
    let wish =
        json!({"sitemap": "http://www.test/index.xml", "manifest": "http://www.test/list.txt"});
    assert_eq!(preloaded(stack.edge(), &wish).await["done"], 2);
    for path in ["/p?a=1&b=2", "/m"] {
        assert_eq!(stack.edge().get(path).await.x_cache(), "HIT", "{path}");
    }
    for (sitemap, why) in [
        ("http://www.test/foreign.xml", "other.test"),
        ("http://www.test/moved.xml", "301"),
        ("http://www.test/list.txt", "no sitemap"),
        ("http://127.0.0.1:1/s.xml", "no site"),
    ] {
        let reply = preload(stack.edge(), &json!({"sitemap": sitemap})).await;
        assert_eq!(reply.status, 422, "{sitemap}");
        assert!(json_of(&reply)["detail"].as_str().unwrap().contains(why), "{}", json_of(&reply));
    }
}

#[tokio::test]
async fn what_no_site_has_and_what_makes_no_sense_is_refused() {
    let stack = tiers_of_one_host(1).start().await;
    let ok = "http://www.test/a";
    for wish in [
        json!({"urls": ["http://169.254.169.254/latest/meta-data/"]}),
        json!({"urls": [ok, "http://127.0.0.1:22/"]}),
        json!({"urls": ["file:///etc/passwd"]}),
        json!({"urls": ["/a"]}),
        json!({"urls": [ok], "tiers": ["moon"]}),
        json!({"urls": [ok], "headers": {"Host": "other.test"}}),
        json!({"urls": [ok], "rate": 0}),
        json!({"urls": []}),
    ] {
        let reply = preload(stack.edge(), &wish).await;
        assert_eq!(reply.status, 422, "{wish}");
    }
    for wish in [json!({"urls": 5}), json!({"ulrs": [ok]})] {
        assert_eq!(preload(stack.edge(), &wish).await.status, 400, "{wish}");
    }
    let foreign = Request::new(Method::PUT, "/v1/objects?url=http://other.test/").body("x");
    assert_eq!(send(stack.edge(), foreign).await.status, 422);
    for (method, path) in
        [(Method::POST, "/v1/preloads"), (Method::PUT, "/v1/objects?url=http://www.test/")]
    {
        let reply = Request::new(method, path).body("{}").send(stack.edge().admin_addr()).await;
        assert_eq!(reply.status, 401, "{path} without the token");
    }
    assert_eq!(stack.origin.total(), 0);
}

#[tokio::test]
async fn a_preload_that_is_cancelled_ends() {
    let stack = Shape::tiers(1, 1).start().await;
    let hold = stack.origin.script("/held").ok().hold().body("x").set();
    let wish = json!({"urls": ["http://www.test/held"]}).to_string();
    let made = send(stack.edge(), Request::new(Method::POST, "/v1/preloads").body(wish)).await;
    assert_eq!(made.status, 202);
    let path = made.field("location");
    hold.reached().await;
    let shown = json_of(&stack.edge().admin(Method::GET, &path).await);
    assert_eq!(shown["state"], "running");
    let ended = json_of(&stack.edge().admin(Method::DELETE, &path).await);
    assert_eq!(ended["state"], "cancelled");
    let listed = json_of(&stack.top().admin(Method::GET, "/v1/preloads").await);
    assert_eq!(listed["preloads"][0]["state"], "cancelled");
    hold.release();
    assert_eq!(stack.edge().admin(Method::DELETE, "/v1/preloads/none").await.status, 404);
    // The node has let it go, and takes the next one up.
    stack.serve("/next", "max-age=60", "x");
    assert_eq!(
        preloaded(stack.edge(), &json!({"urls": ["http://www.test/next"]})).await["done"],
        1
    );
}

#[tokio::test]
async fn one_failure_is_tried_again_and_a_lasting_one_is_told() {
    let stack = Shape::tiers(1, 1).start().await;
    stack.serve("/flaky", "max-age=60", "x");
    stack.origin.script("/flaky").status(503).once().set();
    stack.origin.script("/gone").status(404).header("cache-control", "max-age=60").set();
    stack.origin.script("/private").ok().header("cache-control", "private").body("x").set();
    let wish = json!({"urls": ["http://www.test/flaky", "http://www.test/gone", "http://www.test/private"]});
    let said = preloaded(stack.edge(), &wish).await;
    assert_eq!(
        (&said["state"], &said["done"], &said["failed"]),
        (&json!("partly"), &json!(1), &json!(2))
    );
    let failures = said["nodes"]["edge-0"]["failures"].to_string();
    assert!(failures.contains("404") && failures.contains("private"), "{failures}");
    assert_eq!(stack.origin.hits("/flaky"), 2);
    assert_eq!(stack.edge().get("/flaky").await.x_cache(), "HIT");
    assert_eq!(stack.edge().metrics().await.get("weir_preload_failed_total"), 2.0);
}

#[tokio::test]
async fn an_object_that_was_put_is_a_hit_at_every_edge_and_no_origin_was_asked() {
    let stack = Shape::tiers(2, 2).start().await;
    put(stack.edge(), "/put", "first").await;
    for edge in &stack.edges {
        let reply = edge.get("/put").await;
        assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("HIT", b"first".as_slice()));
        assert_eq!(reply.field("content-type"), "text/plain");
    }
    put(stack.top(), "/put", "second").await;
    for edge in &stack.edges {
        let reply = edge.get("/put").await;
        assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("HIT", b"second".as_slice()));
    }
    assert_eq!(stack.origin.total(), 0);
}

#[tokio::test]
async fn an_object_takes_the_place_of_what_the_origin_said_and_of_what_it_is_saying() {
    let stack = Shape::tiers(2, 1).start().await;
    stack.serve("/a", "max-age=600", "origin");
    for edge in &stack.edges {
        assert_eq!(edge.get("/a").await.body, "origin");
    }
    put(stack.edge(), "/a", "put").await;
    for edge in &stack.edges {
        assert_eq!(edge.get("/a").await.body, "put");
    }
    let hold = stack
        .origin
        .script("/slow")
        .ok()
        .header("cache-control", "max-age=600")
        .hold()
        .body("origin")
        .set();
    let asked = stack.edge().spawn_get("/slow");
    hold.reached().await;
    put(stack.edge(), "/slow", "put").await;
    hold.release();
    assert_eq!(asked.await.unwrap().body, "origin", "whoever asked before gets what was asked for");
    for edge in &stack.edges {
        assert_eq!(edge.get("/slow").await.body, "put");
    }
}

#[tokio::test]
async fn a_single_edge_stores_what_is_put_itself() {
    let stack = Shape::single().start().await;
    put(stack.edge(), "/put", "mine").await;
    let reply = stack.edge().get("/put").await;
    assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("HIT", b"mine".as_slice()));
    assert_eq!(stack.origin.total(), 0);
}

#[tokio::test]
async fn what_may_not_be_stored_is_refused_and_changes_nothing() {
    let stack = Shape::tiers(1, 1)
        .node(|node| node.store.object_max = weir_node::config::ByteSize::from_kib(64))
        .start()
        .await;
    put(stack.edge(), "/a", "kept").await;
    for (name, value, why) in [
        ("object-cache-control", "no-store", "no-store"),
        ("object-set-cookie", "a=b", "set-cookie"),
        ("object-vary", "*", "vary-any"),
        ("object-status", "206", "partial"),
        ("object-status", "0", "status"),
    ] {
        let reply = send(stack.edge(), object("/a", "bad").header(name, value)).await;
        assert_eq!(reply.status, 422, "{name}: {value}");
        assert!(json_of(&reply)["detail"].as_str().unwrap().contains(why), "{}", json_of(&reply));
    }
    assert_eq!(send(stack.edge(), object("/a", &"x".repeat(70_000))).await.status, 413);
    let reply = stack.edge().get("/a").await;
    assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("HIT", b"kept".as_slice()));
}

#[tokio::test]
async fn a_purge_removes_what_was_put_everywhere() {
    let stack = Shape::tiers(2, 2).start().await;
    stack.serve("/a", "max-age=600", "origin");
    put(stack.edge(), "/a", "put").await;
    purge(stack.edge(), &json!({"urls": ["http://www.test/a"]})).await;
    for edge in &stack.edges {
        let reply = edge.get("/a").await;
        assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("MISS", b"origin".as_slice()));
    }
    assert_eq!(stack.origin.hits("/a"), 1);
}

/// Asks until the edge's sample has seen the path, which is one hit in sixteen.
async fn make_hot(stack: &Stack, path: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(stack.edge().get(path).await.status, 200);
    }
}

#[tokio::test]
async fn a_purge_has_what_was_hot_fetched_again() {
    // The log may be kept elsewhere, or by the edge itself.
    for shape in [Shape::tiers(1, 1), Shape::single()] {
        let stack = shape.start().await;
        stack.serve("/hot", "max-age=600", "one");
        stack.serve("/other", "max-age=600", "one");
        make_hot(&stack, "/hot", 200).await;
        make_hot(&stack, "/other", 200).await;
        stack.serve("/hot", "max-age=600", "two");
        purge(stack.edge(), &json!({"urls": ["http://www.test/hot"], "preload": {"hot": 200}}))
            .await;
        stack.edge().metrics_reach(|metrics| metrics.get("weir_preload_urls_total") >= 1.0).await;
        let reply = stack.edge().get("/hot").await;
        assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("HIT", b"two".as_slice()));
        assert_eq!(stack.origin.hits("/hot"), 2);
        assert_eq!(
            stack.edge().metrics().await.get("weir_preload_refills_total"),
            1.0,
            "only that"
        );
    }
}

#[tokio::test]
async fn what_is_hot_on_one_edge_comes_to_the_other() {
    let stack = Shape::tiers(2, 1).node(|node| node.push.hot_per_minute = 64).start().await;
    stack.serve("/hot", "max-age=600", "x");
    soon("a push of what is hot", async {
        while stack.top().metrics().await.get("weir_push_hot_total") < 1.0 {
            make_hot(&stack, "/hot", 50).await;
        }
    })
    .await;
    let other = &stack.edges[1];
    other.metrics_reach(|metrics| metrics.get("weir_preload_urls_total") >= 1.0).await;
    assert_eq!(other.get("/hot").await.x_cache(), "HIT");
    assert_eq!(stack.origin.hits("/hot"), 1);
}

/// `weir push` with `arguments` to the first edge; its exit code and what it printed.
async fn weir_push(stack: &Stack, arguments: &[&str]) -> (Option<i32>, String) {
    let admin = format!("http://{}", stack.edge().admin_addr());
    let mut program = Program::new("weir").arg("push");
    for argument in arguments {
        program = program.arg(argument);
    }
    let program = program.env("WEIR_ADMIN", &admin).env("WEIR_ADMIN_TOKEN", TOKEN);
    let ended = program.run().await;
    (ended.code, ended.stdout + &ended.stderr)
}

#[tokio::test]
async fn the_command_pushes_and_its_exit_code_says_how_it_went() {
    let stack = tiers_of_one_host(2).start().await;
    stack.serve("/a", "max-age=60", "a");
    stack.origin.script("/none").status(404).set();
    let (code, said) = weir_push(&stack, &["http://www.test/a"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("done; 2 of 2 on 2 nodes"), "{said}");
    let (code, said) = weir_push(&stack, &["http://www.test/a", "http://www.test/none"]).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("http://www.test/none: the answer is 404"), "{said}");
    assert_eq!(weir_push(&stack, &["http://www.test/none"]).await.0, Some(1));
    for wrong in [&["http://other.test/"][..], &[], &["show", "../x"], &["-H", "x", "http://a/"]] {
        let (code, said) = weir_push(&stack, wrong).await;
        assert_eq!(code, Some(2), "{wrong:?}: {said}");
    }
    let hold = stack.origin.script("/held").ok().hold().body("x").set();
    let (code, said) =
        weir_push(&stack, &["http://www.test/held", "--wait", "100ms", "--json"]).await;
    assert_eq!(code, Some(4), "{said}");
    let preload: Value = serde_json::from_str(&said).unwrap();
    let id = preload["id"].as_str().unwrap();
    assert!(weir_push(&stack, &["show", id]).await.1.contains("running"));
    let (code, said) = weir_push(&stack, &["cancel", id]).await;
    assert!(code == Some(0) && said.contains("cancelled"), "{said}");
    hold.release();
}

#[tokio::test]
async fn the_command_stores_a_file_as_the_response_of_a_url() {
    let stack = Shape::tiers(2, 1).start().await;
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("app.js");
    std::fs::write(&file, "let a;").unwrap();
    let file = file.to_str().unwrap();
    let url = "http://www.test/app.js?v=1&w=2";
    let put = ["--body", file, "--url", url, "--cache-control", "max-age=60"];
    let (code, said) =
        weir_push(&stack, &[&put[..], &["--content-type", "text/javascript"]].concat()).await;
    assert_eq!(code, Some(0), "{said}");
    for edge in &stack.edges {
        let reply = edge.get("/app.js?v=1&w=2").await;
        assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("HIT", b"let a;".as_slice()));
        assert_eq!(reply.field("content-type"), "text/javascript");
    }
    let (code, said) = weir_push(&stack, &["--body", file, "--url", url]).await;
    assert!(code == Some(2) && said.contains("no-freshness"), "{said}");
}
