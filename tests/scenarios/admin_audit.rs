//! The audit log of the admin API: every change is in it, and a change that cannot be is not made.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use http::Method;
use serde_json::{Value, json};
use weir_node::config::TokenConfig;
use weir_node::{AdminToken, Scope};
use weir_tests::{
    Folder, Program, Reply, Request, Shape, Stack, TOKEN, TestNode, free_addr, soon, until_so,
};

const READER: &str = "reader-0123456789";

/// A stack of one node whose audit file lies in `folder`.
async fn stack(folder: &Folder) -> (Stack, PathBuf) {
    std::fs::create_dir_all(folder.path()).unwrap();
    let path = folder.path().join("audit.jsonl");
    let file = path.clone();
    let stack = Shape::single()
        .node(move |config| {
            config.admin_api.audit_file = Some(file.clone());
            config.admin_api.tokens = vec![TokenConfig {
                name: "reader".to_owned(),
                scopes: vec![Scope::Read],
                secret: "env:UNUSED".to_owned(),
                token: AdminToken::new(READER).unwrap(),
            }];
        })
        .start()
        .await;
    (stack, path)
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn send(node: &TestNode, token: &str, request: Request) -> Reply {
    request.header("authorization", &format!("Bearer {token}")).send(node.admin_addr()).await
}

fn request(method: &str, path: &str, body: &str) -> Request {
    Request::new(method.parse().unwrap(), path).body(body.to_owned())
}

/// A change and what is noted of it.
struct Change {
    method: &'static str,
    route: &'static str,
    body: String,
    status: u16,
    selected: Value,
    first: &'static str,
}

/// Changes of every kind, well and badly asked for, in which `hunter2` stands for what is nobody's business.
fn changes() -> Vec<Change> {
    let url = "http://www.test/a?sig=hunter2";
    let purge = json!({"urls": [url, "http://www.test/b"], "tags": ["news"], "reason": "hunter2"});
    let preload = json!({"urls": [url], "headers": {"Accept-Language": "hunter2"}});
    let all = json!({"everything": true});
    let none = Value::Null;
    let change = |asked: (&'static str, &'static str), body: &str, status, selected, first| {
        let ((method, route), body) = (asked, body.to_owned());
        Change { method, route, body, status, selected, first }
    };
    let put = "/v1/objects?url=http://www.test/put?sig=hunter2";
    let foreign = "/v1/objects?url=http://u:hunter2@www.test/";
    let purged = json!({"urls": 2, "tags": 1});
    let page = "http://www.test/a";
    vec![
        change(("POST", "/v1/purges?wait=10s"), &purge.to_string(), 200, purged, "www.test/a"),
        change(("POST", "/v1/purges"), &all.to_string(), 202, json!({"everything": 1}), ""),
        change(("POST", "/v1/purges"), "hunter2", 400, none.clone(), ""),
        change(("PURGE", "/x?hunter2"), "", 204, json!({"urls": 1}), "www.test/x"),
        change(("POST", "/v1/preloads"), &preload.to_string(), 202, json!({"urls": 1}), page),
        change(("DELETE", "/v1/preloads/none"), "", 404, json!({"preloads": 1}), "none"),
        change(("PUT", put), "hunter2", 202, json!({"objects": 1}), "http://www.test/put"),
        change(("PUT", foreign), "hunter2", 422, none.clone(), ""),
        change(("POST", "/v1/config/reload"), "", 409, none.clone(), ""),
        change(("POST", "/v1/drain"), "", 200, none, ""),
    ]
}

#[tokio::test]
async fn every_change_is_noted_before_and_after_it_is_made() {
    let folder = Folder::new();
    let (stack, path) = stack(&folder).await;
    stack.serve("/a", "max-age=60", "a");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (number, change) in changes().into_iter().enumerate() {
        let Change { method, route, body, status, selected, first } = change;
        let asked = request(method, route, &body)
            .header("x-request-id", &format!("r{number}"))
            .header("object-cache-control", "max-age=60");
        let reply = send(stack.edge(), TOKEN, asked).await;
        assert_eq!(reply.status.as_u16(), status, "{method} {route}: {reply:?}");
        // The lines are there by the time the answer is.
        let all = lines(&path);
        assert_eq!(all.len(), 2 * (number + 1), "{method} {route}");
        let [before, after] = &all[all.len() - 2..] else { panic!("two lines") };
        for line in [before, after] {
            assert_eq!(line["node"], "edge-0");
            assert_eq!((&line["token"], &line["client"]), (&json!("admin"), &json!("127.0.0.1")));
            let path = route.split('?').next().unwrap();
            assert_eq!((&line["method"], &line["path"]), (&json!(method), &json!(path)));
            assert_eq!(line["request_id"], format!("r{number}"));
            assert_eq!(line["id"], before["id"]);
            assert!(line["at"].as_str().unwrap().ends_with('Z'), "{line}");
        }
        assert_eq!((&before["event"], &after["event"]), (&json!("asked"), &json!("answered")));
        assert_eq!((&before["status"], &after["status"]), (&Value::Null, &json!(status)));
        assert_eq!(after["selected"], selected, "{after}");
        assert!(after["first"].as_str().unwrap_or_default().contains(first), "{after}");
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("hunter2") && !text.contains(TOKEN), "{text}");
}

#[tokio::test]
async fn who_is_not_let_in_is_noted_and_who_reads_is_not() {
    let folder = Folder::new();
    let (stack, path) = stack(&folder).await;
    let node = stack.edge();
    assert_eq!(send(node, READER, request("GET", "/v1/stats", "")).await.status, 200);
    assert!(lines(&path).is_empty(), "reading is no change");
    assert_eq!(send(node, READER, request("POST", "/v1/drain", "")).await.status, 403);
    for _ in 0..10 {
        assert_eq!(send(node, "hunter2", request("GET", "/v1/stats", "")).await.status, 401);
    }
    for _ in 0..10 {
        assert_eq!(send(node, TOKEN, request("POST", "/v1/drain", "")).await.status, 429);
    }
    let all = lines(&path);
    assert_eq!(all.len(), 11, "who is locked out fills no disk");
    assert!(all.iter().all(|line| line["event"] == "refused" && line["client"] == "127.0.0.1"));
    let first = &all[0];
    assert_eq!((&first["token"], &first["status"]), (&json!("reader"), &json!(403)));
    assert_eq!((&first["why"], &first["path"]), (&json!("scope"), &json!("/v1/drain")));
    assert_eq!((&all[1]["token"], &all[1]["why"]), (&Value::Null, &json!("token")));
    assert!(all[10]["why"].as_str().unwrap().contains("locked out"), "{}", all[10]);
    assert!(!std::fs::read_to_string(&path).unwrap().contains("hunter2"));
}

/// An audit log that loses lines is none.
#[tokio::test]
async fn a_change_that_cannot_be_noted_is_not_made() {
    let folder = Folder::new();
    let (stack, path) = stack(&folder).await;
    let node = stack.edge();
    stack.serve("/a", "max-age=60", "a");
    node.get("/a").await;
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    for (method, route, body) in [
        ("POST", "/v1/purges", r#"{"everything": true}"#),
        ("PURGE", "/a", ""),
        ("POST", "/v1/preloads", r#"{"urls": ["http://www.test/b"]}"#),
        ("PUT", "/v1/objects?url=http://www.test/a", "other"),
        ("POST", "/v1/drain", ""),
    ] {
        let reply = send(node, TOKEN, request(method, route, body)).await;
        assert_eq!(reply.status, 503, "{method} {route}");
        assert_eq!(reply.field("content-type"), "application/problem+json");
        let said: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(said["title"], "The audit log cannot be written");
        assert!(said["detail"].as_str().unwrap().ends_with("nothing was done"), "{said}");
    }
    let again = node.get("/a").await;
    assert_eq!((again.x_cache().as_str(), again.body.as_ref()), ("HIT", b"a".as_slice()));
    assert_eq!(Request::get("/readyz").send(node.admin_addr()).await.status, 200);
    assert_eq!(
        send(node, TOKEN, request("GET", "/v1/nodes", "")).await.status,
        200,
        "reading goes on"
    );
    assert_eq!(send(node, "wrong", request("GET", "/v1/nodes", "")).await.status, 401);
    assert_eq!(node.metrics().await.get("weir_admin_audit_failures_total"), 6.0);
    std::fs::remove_dir(&path).unwrap();
    assert_eq!(send(node, TOKEN, request("POST", "/v1/drain", "")).await.status, 200);
    assert_eq!(lines(&path).len(), 2);
}

/// Whoever leaves before the answer is noted too: the purge holds all the same.
#[tokio::test]
async fn a_change_whose_client_has_left_is_noted() {
    let folder = Folder::new();
    let (mut stack, path) = stack(&folder).await;
    let (hold, node) = {
        let script = stack.answer("/slow", 200).header("cache-control", "max-age=60");
        (script.body(vec![7; 10]).send(5).hold().set(), stack.edges.remove(0))
    };
    let wish = r#"{"urls": ["http://www.test/slow"]}"#;
    let asked = request("POST", "/v1/preloads?wait=60s", wish);
    let admin = node.admin_addr();
    let asking = tokio::spawn(async move {
        asked.header("authorization", &format!("Bearer {TOKEN}")).send(admin).await
    });
    hold.reached().await;
    asking.abort();
    soon("the end of the request to be noted", async {
        while lines(&path).len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let all = lines(&path);
    assert_eq!((&all[1]["event"], &all[1]["id"]), (&json!("unanswered"), &all[0]["id"]));
    assert_eq!(all[1]["selected"], json!({"urls": 1}));
    hold.release();
}

/// As an operator has it: a file, a process, a level of the log that leaves out messages.
#[tokio::test]
async fn tokens_are_read_again_and_changes_are_logged_at_any_level() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let (data, admin) = (free_addr(), free_addr());
    let file = folder.path().join("edge-0.toml");
    let secret = folder.path().join("token");
    let write = |tokens: &str| {
        let text = format!(
            "[node]\nlisten = \"{data}\"\nadmin = \"{admin}\"\ndata_dir = {:?}\n[log]\nlevel = \"error\"\n\
             [admin]\naudit_file = {:?}\n{tokens}\n[[site]]\nname = \"w\"\nhosts = [\"*\"]\norigins = [\"http://127.0.0.1:1\"]\n",
            folder.path(),
            folder.path().join("audit.jsonl"),
        );
        std::fs::write(&file, text).unwrap();
    };
    let token = |scope: &str| {
        format!(
            "[[admin.token]]\nname = \"ci\"\nscopes = [\"{scope}\"]\nsecret = \"file:{}\"\n",
            secret.display()
        )
    };
    std::fs::write(&secret, "0123456789abcdef\n").unwrap();
    write(&token("read"));
    let mut edge = Program::new("weir-edge")
        .args("--config")
        .arg(&file)
        .env("WEIR_ADMIN_TOKEN", "mine")
        .spawn();
    assert!(edge.line().await.unwrap().contains("ready"));
    let ask = async |method: Method, path: &str, token: &str| {
        let request =
            Request::new(method, path).header("authorization", &format!("Bearer {token}"));
        request.send(admin).await.status.as_u16()
    };
    let reload = async || ask(Method::POST, "/v1/config/reload", "mine").await;
    assert_eq!(ask(Method::GET, "/v1/nodes", "0123456789abcdef").await, 200);
    assert_eq!(ask(Method::POST, "/v1/drain", "0123456789abcdef").await, 403);

    // Another scope and another text, by the API.
    write(&token("admin"));
    std::fs::write(&secret, "fedcba9876543210").unwrap();
    assert_eq!(ask(Method::POST, "/v1/drain", "0123456789abcdef").await, 403, "not read yet");
    assert_eq!(reload().await, 200);
    assert_eq!(ask(Method::GET, "/v1/nodes", "0123456789abcdef").await, 401);
    assert_eq!(ask(Method::POST, "/v1/drain", "fedcba9876543210").await, 200);

    // A bad file changes nothing.
    std::fs::write(&secret, "short").unwrap();
    assert_eq!(reload().await, 422);
    std::fs::remove_file(&secret).unwrap();
    assert_eq!(reload().await, 422);
    assert_eq!(ask(Method::GET, "/v1/nodes", "fedcba9876543210").await, 200);

    // None at all, by a signal.
    write("");
    edge.signal("HUP");
    until_so("the token to go", async || {
        ask(Method::GET, "/v1/nodes", "fedcba9876543210").await != 200
    })
    .await;
    assert_eq!(ask(Method::GET, "/v1/nodes", "mine").await, 200, "that of the environment stays");

    edge.signal("TERM");
    let stderr = edge.end().await.stderr;
    for words in ["answered", "token=\"ci\"", "path=/v1/drain", "status=200", "refused", "SIGHUP"] {
        let found = stderr.lines().any(|line| line.contains("weir::audit") && line.contains(words));
        assert!(found, "{words} in\n{stderr}");
    }
    assert!(!stderr.contains("were read again"), "messages of level info are left out\n{stderr}");
    assert!(!stderr.contains("fedcba") && !stderr.contains("mine\""), "{stderr}");
    let all = lines(&folder.path().join("audit.jsonl"));
    let by_signal: Vec<_> = all.iter().filter(|line| line["method"] == "SIGHUP").collect();
    assert_eq!(by_signal.len(), 2, "{all:?}");
    assert_eq!(by_signal[1]["status"], 200);
}
