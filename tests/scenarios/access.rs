//! Who may fetch what: signed URLs, and rules about who asks, on the way of a request.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use serde_json::json;
use weir_access::{
    AccessConfig, COOKIE, Key, KeyConfig, RuleConfig, Scope, Secret, SignatureConfig, SourceConfig,
    Terms, Weir,
};
use weir_cache::{Target, UnixTime};
use weir_node::Clock;
use weir_node::config::{SiteAccess, SiteConfig};
use weir_tests::{Folder, Program, Reply, Request, Shape, Stack, TOKEN, TestNode, free_base_port};

const SECRET: &str = "a secret that only the tests know";

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Rules of each kind, each for paths of its own.
fn rules() -> AccessConfig {
    let deny =
        |path: &str| RuleConfig { action: text("deny"), path: text(path), ..RuleConfig::default() };
    let key = KeyConfig { id: "k1".to_owned(), secret: text("env:K1"), public_key: None };
    AccessConfig {
        methods: Some(texts(&["GET", "HEAD"])),
        rule: vec![
            RuleConfig { clients: Some(texts(&["127.0.0.0/8"])), ..deny("/not-here/**") },
            RuleConfig { clients: Some(texts(&["192.0.2.0/24"])), ..deny("/not-there/**") },
        ],
        referer: vec![SourceConfig {
            path: text("/img/**"),
            allow: texts(&["example.com", "*.example.com"]),
            absent: text("deny"),
            ..SourceConfig::default()
        }],
        signature: vec![SignatureConfig {
            path: text("/v/**"),
            format: text("weir"),
            keys: vec![key],
            ..SignatureConfig::default()
        }],
        ..AccessConfig::default()
    }
}

fn with_rules(site: &mut SiteConfig) {
    site.access = SiteAccess::compile(rules(), &|_| Ok(SECRET.to_owned())).unwrap();
}

fn shapes() -> [Shape; 2] {
    [Shape::single().site(with_rules), Shape::tiers(1, 2).site(with_rules)]
}

/// The path and query of `path` signed with `secret`, until `expires`.
fn signed_with(secret: &str, path: &str, (expires, scope): (UnixTime, Scope)) -> String {
    let key = Key::new("k1", Secret::new(secret.as_bytes()).unwrap()).unwrap();
    let target: Target = format!("http://www.test{path}").parse().unwrap();
    let terms = Terms { expires, not_before: None, client: None, scope };
    let url = Weir::new().sign(&key, &target, &terms).unwrap();
    url.strip_prefix("http://www.test").unwrap().to_owned()
}

/// The time that is so far from now, in cache time.
fn after(stack: &Stack, secs: i64) -> UnixTime {
    UnixTime::from_secs(stack.clock.now().wall.as_secs() + secs)
}

fn signed(stack: &Stack, path: &str, secs: i64) -> String {
    signed_with(SECRET, path, (after(stack, secs), Scope::Exact))
}

/// Asserts that `reply` is the one refusal there is.
fn assert_refused(reply: &Reply, why: &str) {
    assert_eq!(reply.status, 403, "{why}: {reply:?}");
    assert_eq!(reply.body.as_ref(), b"Not allowed.\n", "{why}");
    assert_eq!(reply.field("cache-control"), "no-store", "{why}");
    let mut names: Vec<_> = reply.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = ["cache-control", "content-length", "content-type", "date", "x-request-id"];
    assert_eq!(names, expected, "{why}");
}

#[tokio::test]
async fn all_signatures_of_a_path_share_one_stored_response() {
    for shape in shapes() {
        let stack = shape.start().await;
        stack.serve("/v/a", "max-age=600", "video");
        let edge = stack.edge();
        let first = edge.get(&signed(&stack, "/v/a?x=1", 100)).await;
        assert_eq!((first.status.as_u16(), first.x_cache().as_str()), (200, "MISS"));
        for secs in [200, 300] {
            let again = edge.get(&signed(&stack, "/v/a?x=1", secs)).await;
            assert_eq!((again.body.as_ref(), again.x_cache().as_str()), (&b"video"[..], "HIT"));
        }
        let folder = (after(&stack, 100), Scope::Prefix("/v/".to_owned()));
        let folder = signed_with(SECRET, "/v/a?x=1", folder);
        assert_eq!(edge.get(&folder).await.x_cache(), "HIT", "another scope");
        let seen = stack.origin.requests("/v/a");
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].target, "/v/a?x=1", "the signature stays with us");
        let metrics = edge.metrics().await;
        assert_eq!(metrics.sum("weir_signed_requests_total", &["key=\"k1\""]), 4.0);
    }
}

#[tokio::test]
async fn a_cookie_is_a_proof_too_and_stays_with_us() {
    for shape in shapes() {
        let stack = shape.start().await;
        stack.serve("/v/a", "max-age=600", "video");
        let key = Key::new("k1", Secret::new(SECRET.as_bytes()).unwrap()).unwrap();
        let target: Target = "http://www.test/v/a".parse().unwrap();
        let scope = Scope::Prefix("/v/".to_owned());
        let terms = Terms { expires: after(&stack, 60), not_before: None, client: None, scope };
        let proof = Weir::new().sign_cookie(&key, &target, &terms).unwrap();
        let cookie = format!("lang=en; {COOKIE}={proof}");
        let asked = Request::get("/v/a").header("cookie", &cookie);
        assert_eq!(stack.edge().send(&asked).await.status, 200);
        assert_eq!(stack.origin.requests("/v/a")[0].headers["cookie"], "lang=en");
        assert_eq!(stack.edge().send(&asked).await.x_cache(), "HIT");
        assert_refused(&stack.edge().get("/v/a").await, "without the cookie");
    }
}

#[tokio::test]
async fn what_is_stored_is_refused_to_those_without_a_right_to_it() {
    for shape in shapes() {
        let stack = shape.start().await;
        stack.serve("/v/a", "max-age=6000", "video");
        let edge = stack.edge();
        let good = signed(&stack, "/v/a", 100);
        let (until_later, other) = (signed(&stack, "/v/a", 5_000), signed(&stack, "/v/b", 100));
        assert_eq!(edge.get(&good).await.status, 200);
        let before = stack.origin.total();
        let foreign = signed_with(
            "another secret of that length",
            "/v/a",
            (after(&stack, 100), Scope::Exact),
        );
        let cases = [
            ("/v/a", "signature_missing", "no signature"),
            ("/v/a?weir-exp=1", "signature_malformed", "parts of one"),
            (
                &good.replace("weir-key=k1", "weir-key=k9"),
                "signature_unknown_key",
                "a key of nobody",
            ),
            (&foreign, "signature_wrong_signature", "another secret"),
            (
                &good.replace("weir-exp=1", "weir-exp=2"),
                "signature_wrong_signature",
                "another time",
            ),
            (&other.replace("/v/b", "/v/a"), "signature_wrong_signature", "another path"),
            (&good.replace("/v/a", "/v/%61"), "", "the same path, written otherwise"),
            (&good.replace("/v/a", "/x/../v/a"), "", "by a detour"),
        ];
        for (path, reason, why) in cases {
            let reply = edge.get(path).await;
            if reason.is_empty() {
                assert_eq!(
                    (reply.status.as_u16(), reply.x_cache().as_str()),
                    (200, "HIT"),
                    "{why}"
                );
                continue;
            }
            assert_refused(&reply, why);
            let labels = [&format!("reason=\"{reason}\"")[..], "site=\"www\""];
            assert!(edge.metrics().await.sum("weir_denied_total", &labels) >= 1.0, "{why}");
        }
        stack.advance(Duration::from_secs(200));
        assert_refused(&edge.get(&good).await, "it has expired");
        assert_eq!(edge.get(&until_later).await.x_cache(), "HIT", "what is stored has not");
        let metrics = edge.metrics().await;
        assert_eq!(metrics.sum("weir_denied_total", &["reason=\"signature_expired\""]), 1.0);
        assert_eq!(metrics.sum("weir_requests_total", &["cache=\"denied\""]), 7.0);
        assert_eq!(stack.origin.total(), before, "nobody asked the origin");
    }
}

#[tokio::test]
async fn a_refusal_asks_nobody_and_a_wrong_method_says_which_are_right() {
    for shape in shapes() {
        let stack = shape.start().await;
        let edge = stack.edge();
        assert_refused(&edge.get("/v/new").await, "nothing is stored");
        let head = edge.send(&Request::new(Method::HEAD, "/v/new")).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (403, 0));
        let post = edge.send(&Request::new(Method::POST, "/free").body("x")).await;
        assert_eq!((post.status.as_u16(), post.field("allow").as_str()), (405, "GET, HEAD"));
        assert_eq!(stack.origin.total(), 0);
        for node in stack.nodes() {
            let all = node.metrics().await.get("weir_requests_total");
            assert!(all == 0.0 || node.addr() == edge.addr(), "no tier above was asked");
        }
    }
}

#[tokio::test]
async fn pages_of_other_sites_and_other_clients_are_refused() {
    for shape in shapes() {
        let stack = shape.start().await;
        stack.serve("/img/a", "max-age=600", "image");
        stack.serve("/not-there/a", "max-age=600", "a");
        let edge = stack.edge();
        // (Referer, whether it is let in, why)
        let cases = [
            (Some("https://example.com/page"), true, "a host on the list"),
            (Some("https://cdn.example.com/"), true, "below it"),
            (Some("http://www.test/page"), true, "the host itself"),
            (Some("https://evil-example.com/"), false, "not below it"),
            (Some("https://example.com.evil.test/"), false, "nor this"),
            (Some("http://example.com:80@evil.test/"), false, "a browser would go elsewhere"),
            (None, false, "no page"),
        ];
        for (referer, let_in, why) in cases {
            let request = Request::get("/img/a");
            let request = match referer {
                Some(page) => request.header("referer", page),
                None => request,
            };
            let reply = edge.send(&request).await;
            if let_in {
                assert_eq!(reply.status, 200, "{why}");
            } else {
                assert_refused(&reply, why);
            }
        }
        assert_eq!(stack.origin.hits("/img/a"), 1);
        assert_refused(&edge.get("/not-here/a").await, "the address of this client");
        assert_refused(&edge.get("/%6eot-here/../not-here/a").await, "however it is written");
        assert_eq!(edge.get("/not-there/a").await.status, 200, "the address of others");
        let claim = Request::get("/not-here/b").header("x-forwarded-for", "203.0.113.1");
        assert_refused(
            &edge.send(&claim).await,
            "what a client says of its address counts nothing",
        );
        let denied = edge.metrics().await;
        assert_eq!(denied.sum("weir_denied_total", &["reason=\"rule\""]), 3.0);
        assert_eq!(denied.sum("weir_denied_total", &["reason=\"referer_unlisted\""]), 2.0);
    }
}

/// The tiers above take the word of a proven child, and of nobody else.
#[tokio::test]
async fn clients_of_a_regional_or_the_shield_are_checked_too() {
    let stack = Shape::tiers(1, 1).site(with_rules).start().await;
    stack.serve("/v/a", "max-age=600", "video");
    assert_eq!(stack.edge().get(&signed(&stack, "/v/a", 60)).await.status, 200);
    for node in [&stack.regionals[0], stack.top()] {
        assert_refused(&node.get("/v/a").await, "not a child");
        let claim = Request::get("/v/a").header("weir-proof", "1").header("via", "1.1 edge-0");
        assert_refused(&node.send(&claim).await, "a child by its own word");
        assert_eq!(node.get(&signed(&stack, "/v/a", 60)).await.x_cache(), "HIT");
    }
    assert_eq!(stack.origin.total(), 1);
}

async fn operator(node: &TestNode, request: Request) -> Reply {
    let token = format!("Bearer {TOKEN}");
    request.header("authorization", &token).send(node.admin_addr()).await
}

#[tokio::test]
async fn operators_purge_preload_and_put_by_the_plain_url() {
    for shape in shapes() {
        let stack = shape.start().await;
        stack.serve("/v/a", "max-age=600", "one");
        let (edge, url) = (stack.edge(), signed(&stack, "/v/a", 60));
        assert_eq!(edge.get(&url).await.body.as_ref(), b"one");
        stack.serve("/v/a", "max-age=600", "two");
        edge.purge(&json!({"urls": ["http://www.test/v/a"]})).await;
        assert_eq!(edge.get(&url).await.body.as_ref(), b"two", "what signed URLs brought is gone");

        stack.serve("/v/b", "max-age=600", "pushed");
        let wish = json!({"urls": ["http://www.test/v/b", "http://www.test/not-here/b"]});
        stack.serve("/not-here/b", "max-age=600", "x");
        let push = Request::new(Method::POST, "/v1/preloads?wait=20s").body(wish.to_string());
        let reply = operator(edge, push).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_refused(&edge.get("/v/b").await, "it is there, and not for everybody");
        assert_eq!(edge.get(&signed(&stack, "/v/b", 60)).await.x_cache(), "HIT");
        assert_eq!(stack.origin.hits("/v/b"), 1);

        let put = Request::new(Method::PUT, "/v1/objects?url=http://www.test/v/c&wait=20s")
            .header("object-cache-control", "max-age=600")
            .body("put");
        let reply = operator(edge, put).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_refused(&edge.get("/v/c").await, "nor is this");
        assert_eq!(edge.get(&signed(&stack, "/v/c", 60)).await.body.as_ref(), b"put");
        assert_eq!(stack.origin.hits("/v/c"), 0);
    }
}

/// A new key comes, both are right for a while, the old one goes; what is stored stays.
#[tokio::test]
async fn keys_are_rotated_by_reload() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (old, new) = ("the old secret of this site", "the new secret of this site");
    std::fs::write(place("k1"), format!("{old}\n")).unwrap();
    std::fs::write(place("k2"), format!("{new}\n")).unwrap();
    let origin = weir_origin_mock::OriginMock::start().await;
    origin.script("/a").header("cache-control", "max-age=600").body("a").set();
    let port = free_base_port();
    let config = |ids: &[&str]| {
        let keys: String = ids
            .iter()
            .map(|id| {
                format!(
                    "[[site.access.signature.keys]]\nid = \"{id}\"\nsecret = \"file:{}\"\n",
                    place(id)
                )
            })
            .collect();
        format!(
            "[node]\nlisten = \"127.0.0.1:{port}\"\n[log]\naccess = true\n[[site]]\nname = \"s\"\n\
             hosts = [\"*\"]\norigins = [\"{}\"]\n[[site.access.signature]]\nformat = \"weir\"\n{keys}",
            origin.url()
        )
    };
    let file = folder.path().join("edge.toml");
    std::fs::write(&file, config(&["k1"])).unwrap();
    let program = Program::new("weir-edge").arg("--config").arg(&file);
    let mut process = program.env("WEIR_ADMIN_TOKEN", "mine").spawn();
    assert!(process.line().await.unwrap().contains("is ready"));
    let [data, admin] = [port, port + 1_000].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let until = UnixTime::from_secs(4_000_000_000);
    let by_old = signed_with(old, "/a", (until, Scope::Exact));
    let by_new =
        signed_with(new, "/a", (until, Scope::Exact)).replace("weir-key=k1", "weir-key=k2");
    // The id is signed too.
    let target: Target = "http://www.test/a".parse().unwrap();
    let key = Key::new("k2", Secret::new(new.as_bytes()).unwrap()).unwrap();
    let terms = Terms { expires: until, not_before: None, client: None, scope: Scope::Exact };
    let renamed = Weir::new().sign(&key, &target, &terms).unwrap();
    let renamed = renamed.strip_prefix("http://www.test").unwrap();
    let status = async |path: &str| Request::get(path).send(data).await.status.as_u16();
    let reload = async |ids: &[&str]| {
        std::fs::write(&file, config(ids)).unwrap();
        let request = Request::new(Method::POST, "/v1/config/reload");
        request.header("authorization", "Bearer mine").send(admin).await.status.as_u16()
    };
    assert_eq!(
        (status(&by_old).await, status(renamed).await, status(&by_new).await),
        (200, 403, 403)
    );
    assert_eq!(reload(&["k2", "k1"]).await, 200);
    assert_eq!(
        (status(&by_old).await, status(renamed).await, status(&by_new).await),
        (200, 200, 403)
    );
    assert_eq!(reload(&["k2"]).await, 200);
    assert_eq!((status(&by_old).await, status(renamed).await), (403, 200));
    assert_eq!(reload(&["k3"]).await, 422, "a secret that is not there changes nothing");
    assert_eq!((status(&by_old).await, status(renamed).await), (403, 200));
    assert_eq!(origin.hits("/a"), 1, "the cache stays");
    process.signal("TERM");
    let ended = process.end().await;
    assert!(ended.stderr.contains("denied=\"signature_unknown_key\""), "{}", ended.stderr);
    let leaks = ended.stderr.contains("weir-sig") || ended.stderr.contains(old);
    assert!(!leaks, "no signature is logged: {}", ended.stderr);
}

/// What `weir sign` makes is let in, and what it says of a URL is what the node does.
#[tokio::test]
async fn the_command_signs_and_explains() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let config = folder.path().join("edge.toml");
    let rules = format!(
        "[[site]]\nname = \"s\"\nhosts = [\"www.test\"]\norigins = [\"http://o.test\"]\n\
         [[site.access.signature]]\npath = \"/v/**\"\nformat = \"weir\"\n\
         keys = [{{ id = \"k1\", secret = \"file:{}\" }}]\n",
        file.display()
    );
    std::fs::write(&config, rules).unwrap();
    let stack = Shape::single().site(with_rules).start().await;
    stack.serve("/v/a", "max-age=600", "video");
    let until = after(&stack, 600).as_secs().to_string();
    let at = stack.clock.now().wall.as_secs().to_string();
    let sign = |more: &str| {
        let url = "sign --key-id k1 --url http://www.test:8080/v/a?x=1 --expires";
        Program::new("weir").args(url).arg(&until).args(more).arg("--key-file").arg(&file)
    };
    let made = sign("").run().await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let url = made.stdout.trim().to_owned();
    let path = url.strip_prefix("http://www.test:8080").unwrap();
    assert_eq!(stack.edge().get(path).await.status, 200, "{url}");

    let cookie = sign("--scope /v/ --cookie --json").run().await;
    let said: serde_json::Value = serde_json::from_str(&cookie.stdout).unwrap();
    let value = said["cookies"][0]["value"].as_str().unwrap();
    let asked = Request::get("/v/b").header("cookie", &format!("{COOKIE}={value}"));
    assert_eq!(stack.edge().send(&asked).await.status, 200);

    let explain = async |url: &str| {
        let program = Program::new("weir").args("sign --json --at").arg(&at).arg("--explain");
        let ended = program.arg(url).arg("--config").arg(&config).run().await;
        let said: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        (ended.code, said)
    };
    let (code, said) = explain(&url).await;
    assert_eq!((code, &said["url"]), (Some(0), &json!("http://www.test/v/a?x=1")), "{said}");
    let (code, said) = explain(&url.replace("/v/a", "/v/b")).await;
    assert_eq!((code, &said["reason"]), (Some(1), &json!("signature_wrong_signature")), "{said}");
    assert_eq!(explain("http://www.test/free").await.0, Some(0));
    let nowhere = Program::new("weir").args("sign --key-id k1 --url http://www.test/a").run().await;
    assert_eq!(nowhere.code, Some(2), "a key is needed: {}", nowhere.stderr);
    assert!(nowhere.stderr.contains("--key-file"), "{}", nowhere.stderr);
}
