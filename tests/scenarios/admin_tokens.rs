//! Who may do what by way of the admin API: scopes, wrong tokens, and who is locked out.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use weir_node::config::{NodeConfig, TokenConfig};
use weir_node::{AdminToken, Scope};
use weir_tests::{Program, Reply, Request, Shape, Stack, TOKEN, TestNode};

const MINUTE: Duration = Duration::from_secs(60);

fn token(name: &str, scopes: &[Scope]) -> TokenConfig {
    TokenConfig {
        name: name.to_owned(),
        scopes: scopes.to_vec(),
        secret: "env:UNUSED".to_owned(),
        token: AdminToken::new(&text_of(name)).unwrap(),
    }
}

/// The token of the holder called `name`.
fn text_of(name: &str) -> String {
    format!("{name}-0123456789abcdef")
}

/// A node with one token for each scope, and one for two.
fn with_tokens(config: &mut NodeConfig) {
    config.admin_api.tokens = vec![
        token("read", &[Scope::Read]),
        token("purge", &[Scope::Purge]),
        token("push", &[Scope::Push]),
        token("all", &[Scope::Admin]),
        token("two", &[Scope::Read, Scope::Purge]),
    ];
}

async fn stack() -> Stack {
    Shape::single().node(with_tokens).start().await
}

async fn ask(node: &TestNode, request: &Request, authorization: &str) -> Reply {
    request.clone().header("authorization", authorization).send(node.admin_addr()).await
}

fn refused(reply: &Reply, status: u16, why: &str) -> String {
    let body = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status.as_u16(), status, "{why}: {body}");
    assert_eq!(reply.field("content-type"), "application/problem+json", "{why}");
    let document: Value = serde_json::from_slice(&reply.body).unwrap();
    document["detail"].as_str().unwrap().to_owned()
}

/// (method, path, body, holders beside `all` that may, status for those)
const ROUTES: &[(&str, &str, &str, &[&str], u16)] = &[
    ("GET", "/v1/nodes", "", &["read", "two"], 200),
    ("HEAD", "/v1/nodes", "", &["read", "two"], 200),
    ("GET", "/v1/stats", "", &["read", "two"], 200),
    ("GET", "/v1/purges", "", &["read", "purge", "two"], 200),
    ("GET", "/v1/purges/none", "", &["read", "purge", "two"], 404),
    ("POST", "/v1/purges?wait=10s", r#"{"tags": ["t"]}"#, &["purge", "two"], 200),
    ("PURGE", "/a", "", &["purge", "two"], 204),
    ("PURGE", "/v1/nodes", "", &["purge", "two"], 204),
    ("GET", "/v1/preloads", "", &["read", "push", "two"], 200),
    ("GET", "/v1/preloads/none", "", &["read", "push", "two"], 404),
    ("POST", "/v1/preloads", r#"{"urls": ["http://www.test/a"]}"#, &["push"], 202),
    ("DELETE", "/v1/preloads/none", "", &["push"], 404),
    ("PUT", "/v1/objects?url=http://www.test/put", "body", &["push"], 202),
    ("POST", "/v1/config/reload", "", &[], 409),
    ("POST", "/v1/drain", "", &[], 200),
];

fn request(method: &str, path: &str, body: &str) -> Request {
    let request = Request::new(method.parse().unwrap(), path).body(body.to_owned());
    if method == "PUT" { request.header("object-cache-control", "max-age=60") } else { request }
}

#[tokio::test]
async fn each_scope_opens_its_routes_and_no_other() {
    let stack = stack().await;
    let node = stack.edge();
    let mut withheld = 0.0;
    for (method, path, body, may, status) in ROUTES {
        let request = request(method, path, body);
        for name in ["read", "purge", "push", "two"].into_iter().filter(|name| !may.contains(name))
        {
            let reply = ask(node, &request, &format!("Bearer {}", text_of(name))).await;
            withheld += 1.0;
            assert_eq!(reply.status, 403, "{name}: {method} {path}");
            if *method != "HEAD" {
                let detail = refused(&reply, 403, &format!("{name}: {method} {path}"));
                assert!(detail.contains("needs the scope") && detail.contains(name), "{detail}");
            }
            let challenge = reply.field("www-authenticate");
            assert!(challenge.starts_with("Bearer error=\"insufficient_scope\""), "{challenge}");
        }
        let ready = Request::get("/readyz").send(node.admin_addr()).await;
        assert_eq!(ready.status, 200, "nobody has drained it: {method} {path}");
        let env = [format!("Bearer {TOKEN}"), format!("Bearer {}", text_of("all"))];
        let named = may.iter().map(|name| format!("Bearer {}", text_of(name)));
        for authorization in named.chain(env) {
            let reply = ask(node, &request, &authorization).await;
            let said = String::from_utf8_lossy(&reply.body);
            assert_eq!(reply.status.as_u16(), *status, "{authorization}: {method} {path} {said}");
        }
    }
    let metrics = node.metrics().await;
    assert_eq!(metrics.sum("weir_admin_refused_total", &["reason=\"scope\""]), withheld);
    assert_eq!(metrics.sum("weir_admin_refused_total", &["reason=\"token\""]), 0.0);
}

#[tokio::test]
async fn a_403_names_the_scope_that_is_needed() {
    let stack = stack().await;
    let drain = request("POST", "/v1/drain", "");
    let reply = ask(stack.edge(), &drain, &format!("Bearer {}", text_of("two"))).await;
    let detail = refused(&reply, 403, "drain");
    assert_eq!(detail, "this needs the scope admin; the token two has read, purge");
    let receipts = request("GET", "/v1/purges", "");
    let reply = ask(stack.edge(), &receipts, &format!("Bearer {}", text_of("push"))).await;
    let detail = refused(&reply, 403, "receipts");
    assert_eq!(detail, "this needs the scope read or purge; the token push has push");
    let expected = "Bearer error=\"insufficient_scope\", scope=\"read purge\"";
    assert_eq!(reply.field("www-authenticate"), expected);
}

/// Altered tokens, on every route.
#[tokio::test]
async fn a_token_that_is_not_quite_right_is_wrong_on_every_route() {
    let stack = stack().await;
    let node = stack.edge();
    let right = text_of("all");
    let off = right.replace('7', "8");
    let wrong = [
        vec![],
        vec![String::new()],
        vec!["Bearer".to_owned()],
        vec![right.clone()],
        vec![format!("Bearer {off}")],
        vec![format!("Bearer {}", right.strip_suffix('f').unwrap())],
        vec![format!("Bearer {right}f")],
        vec![format!("Bearer {}", right.to_uppercase())],
        vec![format!("Basic {right}")],
        vec![format!("Basic {TOKEN}")],
        vec![format!("Bearer{right}")],
        vec![format!("Bearer {right}, Bearer {right}")],
        vec![format!("Bearer {right}"), format!("Bearer {right}")],
        vec![format!("Bearer {right}"), "Basic eA==".to_owned()],
    ];
    for (method, path, body, ..) in ROUTES {
        for lines in &wrong {
            let mut request = request(method, path, body);
            for line in lines {
                request = request.header("authorization", line);
            }
            let reply = request.send(node.admin_addr()).await;
            assert_eq!(reply.status, 401, "{lines:?}: {method} {path}");
            if *method != "HEAD" {
                refused(&reply, 401, &format!("{lines:?}: {method} {path}"));
            }
            assert_eq!(reply.field("www-authenticate"), "Bearer");
            stack.advance(MINUTE / 5);
        }
    }
    let ready = Request::get("/readyz").send(node.admin_addr()).await;
    assert_eq!(ready.status, 200, "nothing was drained");
    assert_eq!(node.admin(Method::GET, "/v1/purges").await.body.as_ref(), b"{\"purges\":[]}");
    assert_eq!(stack.origin.total(), 0, "nothing was fetched");
}

#[tokio::test]
async fn the_name_of_the_scheme_has_no_case() {
    let stack = stack().await;
    for scheme in ["bearer", "BEARER", "BeArEr ", "Bearer"] {
        let reply = ask(
            stack.edge(),
            &request("GET", "/v1/nodes", ""),
            &format!("{scheme} {}", text_of("read")),
        )
        .await;
        assert_eq!(reply.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn ten_wrong_tokens_lock_an_address_out_for_a_minute() {
    let stack = stack().await;
    let node = stack.edge();
    let nodes = request("GET", "/v1/nodes", "");
    for attempt in 0..10 {
        let reply = ask(node, &nodes, &format!("Bearer guess-{attempt}")).await;
        refused(&reply, 401, "a guess");
        let right = node.admin(Method::GET, "/v1/nodes").await;
        assert_eq!(right.status.as_u16(), if attempt < 9 { 200 } else { 429 }, "{attempt}");
    }
    stack.advance(Duration::from_millis(500));
    for (method, path, body, ..) in ROUTES.iter().filter(|(method, ..)| *method != "HEAD") {
        let authorization = format!("Bearer {TOKEN}");
        let reply = ask(node, &request(method, path, body), &authorization).await;
        let detail = refused(&reply, 429, &format!("{method} {path}"));
        assert!(detail.contains("right ones included"), "{detail}");
        assert_eq!(reply.field("retry-after"), "60", "of 59.5 s");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(Request::get(path).send(node.admin_addr()).await.status, 200, "{path}");
    }
    stack.advance(Duration::from_secs(59));
    let reply = node.admin(Method::GET, "/v1/nodes").await;
    refused(&reply, 429, "half a second is left");
    assert_eq!(reply.field("retry-after"), "1");
    stack.advance(Duration::from_millis(500));
    assert_eq!(node.admin(Method::GET, "/v1/nodes").await.status, 200, "asking lengthens nothing");
    let metrics = node.metrics().await;
    assert_eq!(metrics.sum("weir_admin_refused_total", &["reason=\"token\""]), 10.0);
    let locked_out = metrics.sum("weir_admin_refused_total", &["reason=\"locked-out\""]);
    assert_eq!(locked_out, 2.0 + (ROUTES.len() - 1) as f64);
}

/// What the API would answer is for the site to answer on the data port, whoever asks.
#[tokio::test]
async fn the_data_port_knows_no_token_and_no_route() {
    let stack = stack().await;
    let node = stack.edge();
    for (method, path, body, ..) in ROUTES.iter().filter(|(method, ..)| *method != "PURGE") {
        let request = request(method, path, body);
        let request = request.header("authorization", &format!("Bearer {TOKEN}"));
        let reply = node.send(&request).await;
        assert_eq!(reply.status, 200, "the site's own {method} {path}");
        let said = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(!said.contains("purges\"") && !said.contains("draining"), "{said}");
    }
    let purged = Request::new("PURGE".parse().unwrap(), "/a");
    let purged = purged.header("authorization", &format!("Bearer {TOKEN}"));
    let answered = node.send(&purged).await;
    assert!(answered.field("weir-purge-id").is_empty(), "{answered:?}");
    assert_eq!(node.admin(Method::GET, "/v1/preloads").await.body.as_ref(), b"{\"preloads\":[]}");
    let ready = Request::get("/readyz").send(node.admin_addr()).await;
    assert_eq!(ready.status, 200);
    let drained = node.admin(Method::GET, "/v1/nodes").await;
    let document: Value = serde_json::from_slice(&drained.body).unwrap();
    assert_eq!(document["draining"], false);
}

/// Purges and preloads pass between nodes by the tier secret: the admin tokens of a parent need not be
/// known to its children.
#[tokio::test]
async fn nodes_need_no_token_of_each_other() {
    let stack = Shape::tiers(1, 1)
        .node(|config| {
            let name = config.name.clone();
            config.admin_api.tokens = vec![token(&name, &[Scope::Purge, Scope::Push])];
        })
        .start()
        .await;
    stack.serve("/a", "max-age=600", "a");
    let own = format!("Bearer {}", text_of("edge-0"));
    let wish = request("POST", "/v1/preloads?wait=20s", r#"{"urls": ["http://www.test/a"]}"#);
    assert_eq!(ask(stack.edge(), &wish, &own).await.status, 200);
    let purge = request("POST", "/v1/purges?wait=10s", r#"{"urls": ["http://www.test/a"]}"#);
    assert_eq!(ask(stack.edge(), &purge, &own).await.status, 200);
    assert_eq!(ask(stack.top(), &purge, &own).await.status, 401, "it is a token of the edge only");
    for node in stack.nodes() {
        let refused = node.metrics().await.sum("weir_admin_refused_total", &[]);
        assert_eq!(refused, if node.config().name == "shield" { 1.0 } else { 0.0 });
    }
}

/// What the command says leads to what can be done.
#[tokio::test]
async fn the_command_says_what_to_do_about_a_token() {
    let stack = stack().await;
    let weir = async |line: &str, token: &str| {
        let admin = format!("http://{}", stack.edge().admin_addr());
        let program = Program::new("weir").args(line).env("WEIR_ADMIN", &admin);
        program.env("WEIR_ADMIN_TOKEN", token).run().await
    };
    let fine = weir("stats", &text_of("read")).await;
    assert_eq!(fine.code, Some(0), "{}", fine.stderr);
    // (token, words)
    let cases = [
        ("read", vec!["needs the scope purge", "the token read has read", "`scopes`"]),
        ("nobody", vec!["does not know the token in WEIR_ADMIN_TOKEN", "[[admin.token]]"]),
    ];
    for (name, words) in cases {
        let failed = weir("purge http://www.test/a", &text_of(name)).await;
        assert_eq!(failed.code, Some(1), "{}", failed.stderr);
        let told = words.iter().all(|word| failed.stderr.contains(word));
        assert!(told && !failed.stderr.contains(&text_of(name)), "{}", failed.stderr);
    }
    for _ in 0..10 {
        ask(stack.edge(), &request("GET", "/v1/nodes", ""), "Bearer guess").await;
    }
    let locked_out = weir("stats", TOKEN).await;
    assert_eq!(locked_out.code, Some(1), "{}", locked_out.stderr);
    assert!(locked_out.stderr.contains("for another 60s"), "{}", locked_out.stderr);
}
