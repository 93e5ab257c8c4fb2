//! The programs as processes: `weir up`, `weir init`, the binaries of the tiers, and how each ends.

use std::net::SocketAddr;

use http::Method;
use serde_json::{Value, json};
use weir_origin_mock::OriginMock;
use weir_tests::{Folder, Process, Program, Reply, Request, free_base_port, until_so};

const SECRET: &str = "a secret of sixteen or more";

fn address(url: &Value) -> SocketAddr {
    url.as_str().unwrap().trim_start_matches("http://").parse().unwrap()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn admin(at: SocketAddr, method: Method, path: &str, token: &str) -> Reply {
    Request::new(method, path).header("authorization", &format!("Bearer {token}")).send(at).await
}

/// The contract: one line, these keys, these ports; a stack that works; a clean end.
#[tokio::test]
async fn up_prints_one_line_of_json_works_and_ends_cleanly() {
    for signal in ["TERM", "INT"] {
        let port = free_base_port();
        let up = Program::new("weir").args("up --json --edges 2 --regionals 2 --port");
        let mut up = up.arg(port.to_string()).env("WEIR_ADMIN_TOKEN", "mine").spawn();
        let line: Value = serde_json::from_str(&up.line().await.unwrap()).unwrap();

        let url = |above: u16| format!("http://127.0.0.1:{}", port + above);
        let node = |name: &str, above| json!({"name": name, "data": url(above), "admin": url(above + 1_000)});
        let expected = json!({
            "edges": [node("edge-0", 0), node("edge-1", 1)],
            "regionals": [node("regional-0", 100), node("regional-1", 101)],
            "shield": node("shield", 200),
            "origin": url(300),
        });
        assert_eq!(line, expected);

        let miss = Request::get("/hello").send(local(port)).await;
        assert_eq!((miss.status.as_u16(), miss.x_cache().as_str()), (200, "MISS"));
        let hit = Request::get("/hello").send(local(port)).await;
        assert_eq!((hit.body.as_ref(), hit.x_cache().as_str()), (miss.body.as_ref(), "HIT"));
        let status = hit.field("cache-status");
        let caches: Vec<_> =
            status.split(", ").filter_map(|member| member.split(';').next()).collect();
        assert_eq!(caches, ["shield", "regional", "edge"]);
        for above in [0, 1, 100, 101, 200] {
            let at = local(port + above + 1_000);
            assert_eq!(Request::get("/readyz").send(at).await.status, 200);
            assert_eq!(admin(at, Method::GET, "/v1/stats", "mine").await.status, 200);
            assert_eq!(admin(at, Method::GET, "/v1/stats", "other").await.status, 401);
        }

        up.signal(signal);
        let ended = up.end().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(ended.stdout, "", "nothing after the line");
        assert!(!ended.stderr.contains("mine"), "secrets are not logged: {}", ended.stderr);
    }
}

/// Without a token of the user's one is made up, and its user told on standard error.
#[tokio::test]
async fn up_makes_up_a_token_and_asks_the_origin_it_is_given() {
    let origin = OriginMock::start().await;
    let port = free_base_port();
    let up = Program::new("weir").args("up --json --edges 1 --regionals 0 --origin");
    let mut up = up.arg(origin.url()).arg("--port").arg(port.to_string()).spawn();
    let line: Value = serde_json::from_str(&up.line().await.unwrap()).unwrap();
    assert_eq!((&line["regionals"], &line["origin"]), (&json!([]), &json!(origin.url())));

    let reply = Request::get("/a").send(address(&line["edges"][0]["data"])).await;
    assert_eq!(reply.body, "path: /a\nversion: 1\n");
    assert_eq!(origin.hits("/a"), 1);
    let status = reply.field("cache-status");
    assert!(status.starts_with("shield; ") && !status.contains("regional"), "{status}");

    up.signal("TERM");
    let ended = up.end().await;
    assert_eq!(ended.code, Some(0));
    let token = ended.stderr.split("for this run it is ").nth(1).unwrap();
    assert_eq!(token.split_whitespace().next().unwrap().len(), 32, "{}", ended.stderr);
}

#[tokio::test]
async fn up_takes_sites_from_a_file() {
    let origin = OriginMock::start().await;
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let sites = folder.path().join("sites.toml");
    let site = |name: &str, host: &str| {
        format!(
            "[[site]]\nname = \"{name}\"\nhosts = [\"{host}\"]\norigins = [\"{}\"]\n",
            origin.url()
        )
    };
    std::fs::write(&sites, site("www", "www.test") + &site("shop", "*.shop.test")).unwrap();
    let port = free_base_port();
    let up = Program::new("weir").args("up --json --edges 1 --regionals 1 --sites").arg(&sites);
    let mut up = up.arg("--port").arg(port.to_string()).spawn();
    assert!(up.line().await.unwrap().contains("edge-0"));

    for (host, status) in [("www.test", 200), ("a.shop.test", 200), ("other.test", 421)] {
        let reply = Request::get("/a").header("host", host).send(local(port)).await;
        assert_eq!(reply.status, status, "{host}");
    }
    up.signal("TERM");
    assert_eq!(up.end().await.code, Some(0));
}

/// An error that says what to do: which address, and which flag moves it.
#[tokio::test]
async fn a_port_that_is_taken_is_named_with_the_flag_that_moves_it() {
    for above in [0, 101, 200, 300, 1_000] {
        let port = free_base_port();
        let taken = std::net::TcpListener::bind(local(port + above)).unwrap();
        let up = Program::new("weir").args("up --json --port").arg(port.to_string());
        let ended = up.run().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{above}");
        let address = taken.local_addr().unwrap().to_string();
        assert!(ended.stderr.contains(&address), "{above}: {}", ended.stderr);
        assert!(ended.stderr.contains("--port"), "{above}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn wrong_use_is_exit_code_2_and_help_is_0() {
    // (program, arguments, exit code, a word of the message)
    let cases = [
        ("weir", "", 2, "Usage"),
        ("weir", "nonsense", 2, "nonsense"),
        ("weir", "up --nonsense", 2, "--nonsense"),
        ("weir", "up --port 0", 2, "--port"),
        ("weir", "up --port 65000", 2, "--port"),
        ("weir", "up --port 99999", 2, "--port"),
        ("weir", "up --edges 0", 2, "--edges"),
        ("weir", "up --edges 101", 2, "--edges"),
        ("weir", "up --origin ftp://a", 2, "http://"),
        ("weir", "up --origin http://a/path", 2, "path"),
        ("weir", "up --listen nowhere", 2, "--listen"),
        ("weir", "up --sites /nowhere/sites.toml", 2, "/nowhere/sites.toml"),
        ("weir", "init", 2, "--dir"),
        ("weir", "config check", 2, "FILE"),
        ("weir-edge", "", 2, "--config"),
        ("weir-edge", "--config /nowhere/edge.toml", 2, "/nowhere/edge.toml"),
        ("weir-origin-mock", "--listen nowhere", 2, "--listen"),
        ("weir", "--help", 0, "Usage"),
        ("weir", "--version", 0, "weir"),
        ("weir", "help up", 0, "--regionals"),
        ("weir", "help purge", 0, "--prefix"),
        ("weir", "purge show --help", 0, "<ID>"),
        ("weir", "stats --help", 0, "WEIR_ADMIN_TOKEN"),
        ("weir-edge", "--help", 0, "WEIR_TIER_SECRET"),
        ("weir-shield", "--version", 0, "0."),
        ("weir-origin-mock", "--help", 0, "Examples"),
    ];
    for (program, arguments, code, word) in cases {
        let ended = Program::new(program).args(arguments).run().await;
        let why = format!("{program} {arguments}\n{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, Some(code), "{why}");
        let said = if code == 0 { &ended.stdout } else { &ended.stderr };
        assert!(said.contains(word), "{why}");
        assert!(code == 0 || ended.stdout.is_empty(), "errors go to standard error: {why}");
    }
}

async fn ready(process: &mut Process) -> Value {
    serde_json::from_str(&process.line().await.unwrap()).unwrap()
}

/// Files from `weir init`, each run by its own binary, are a stack.
#[tokio::test]
async fn init_writes_files_that_the_binaries_run() {
    let folder = Folder::new();
    let port = free_base_port();
    let init = || {
        let init = Program::new("weir").args("init --json --edges 1 --regionals 1 --port");
        init.arg(port.to_string()).arg("--dir").arg(folder.path()).run()
    };
    let written = init().await;
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    let files: Value = serde_json::from_str(&written.stdout).unwrap();
    let file = |name: &str| folder.path().join(format!("{name}.toml"));
    let expected: Vec<_> = ["shield", "regional-0", "edge-0"].map(file).into();
    assert_eq!(files, json!({ "files": expected }));
    for path in &expected {
        let check = Program::new("weir").args("config check").arg(path).run().await;
        assert_eq!(check.code, Some(0), "{}", check.stderr);
    }

    let listen = local(port + 300).to_string();
    let mut origin = Program::new("weir-origin-mock").args("--json --listen").arg(&listen).spawn();
    assert_eq!(ready(&mut origin).await["origin"], format!("http://{listen}"));
    let mut running = vec![origin];
    for (program, name, above) in [
        ("weir-shield", "shield", 200),
        ("weir-regional", "regional-0", 100),
        ("weir-edge", "edge-0", 0),
    ] {
        let node = Program::new(program).arg("--json").arg("--config").arg(file(name));
        let mut node = node.env("WEIR_TIER_SECRET", SECRET).spawn();
        let line = ready(&mut node).await;
        assert_eq!((&line["name"], address(&line["data"])), (&json!(name), local(port + above)));
        assert_eq!(address(&line["admin"]), local(port + above + 1_000));
        running.push(node);
    }
    let miss = Request::get("/a").send(local(port)).await;
    let status = miss.field("cache-status");
    assert_eq!(status.split(", ").count(), 3, "{status}");
    let hit = Request::get("/a").send(local(port)).await;
    assert_eq!((hit.status.as_u16(), hit.x_cache().as_str()), (200, "HIT"));
    for node in running.into_iter().rev() {
        node.signal("TERM");
        let ended = node.end().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
        assert!(!ended.stderr.contains(SECRET));
    }

    let before = std::fs::read(file("edge-0")).unwrap();
    let again = init().await;
    assert_eq!((again.code, again.stdout.as_str()), (Some(1), ""));
    assert!(again.stderr.contains("edge-0.toml"), "{}", again.stderr);
    assert_eq!(std::fs::read(file("edge-0")).unwrap(), before, "files are never overwritten");
}

#[tokio::test]
async fn a_node_with_parents_and_no_secret_says_what_is_missing() {
    let folder = Folder::new();
    let port = free_base_port();
    let init = Program::new("weir").args("init --edges 1 --regionals 1 --port");
    let init = init.arg(port.to_string()).arg("--dir").arg(folder.path());
    assert_eq!(init.run().await.code, Some(0));
    let regional = || {
        let file = folder.path().join("regional-0.toml");
        Program::new("weir-regional").arg("--config").arg(file)
    };
    let missing = regional().run().await;
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(1), ""));
    assert!(missing.stderr.contains("WEIR_TIER_SECRET"), "{}", missing.stderr);
    let short = regional().env("WEIR_TIER_SECRET", "short").run().await;
    assert_eq!(short.code, Some(2));
    assert!(short.stderr.contains("at least 16 characters"), "{}", short.stderr);
}

/// For container checks: an exit code and nothing else.
#[tokio::test]
async fn a_healthcheck_tells_whether_the_node_is_ready() {
    let folder = Folder::new();
    let port = free_base_port();
    let init = Program::new("weir").args("init --edges 1 --regionals 0 --port");
    let init = init.arg(port.to_string()).arg("--dir").arg(folder.path());
    assert_eq!(init.run().await.code, Some(0));
    let shield = || {
        let shield = Program::new("weir-shield").arg("--config");
        shield.arg(folder.path().join("shield.toml")).env("WEIR_ADMIN_TOKEN", "mine")
    };
    let check = async || shield().arg("--healthcheck").run().await.code;
    assert_eq!(check().await, Some(1), "nothing runs");
    let mut running = shield().spawn();
    assert!(running.line().await.unwrap().contains("shield is ready"));
    assert_eq!(check().await, Some(0));
    let at = local(port + 1_200);
    assert_eq!(admin(at, Method::POST, "/v1/drain", "mine").await.status, 200);
    assert_eq!(check().await, Some(1), "draining");
    running.signal("TERM");
    assert_eq!(running.end().await.code, Some(0));
    assert_eq!(check().await, Some(1), "gone");
}

/// A transfer in flight outlives the signal; a second stack on the same ports can start at once.
#[tokio::test]
async fn a_signal_lets_a_transfer_in_flight_finish() {
    let origin = OriginMock::start().await;
    let hold = origin.script("/film").ok().body(vec![7; 1_000_000]).send(1_000).hold().set();
    let port = free_base_port();
    let start = || {
        let up = Program::new("weir").args("up --json --edges 1 --regionals 0 --origin");
        up.arg(origin.url()).arg("--port").arg(port.to_string()).spawn()
    };
    let mut up = start();
    up.line().await.unwrap();
    let mut transfer = Request::get("/film").start(local(port)).await;
    let early = transfer.read_at_least(1_000).await;
    hold.reached().await;
    up.signal("TERM");
    until_so("the listener to close", async || {
        tokio::net::TcpStream::connect(local(port)).await.is_err()
    })
    .await;
    hold.release();
    let rest = transfer.finish().await;
    assert!(!rest.cut && early.len() + rest.body.len() == 1_000_000);
    assert_eq!(up.end().await.code, Some(0));

    let mut again = start();
    assert!(again.line().await.is_some(), "the ports are free again");
    again.signal("INT");
    assert_eq!(again.end().await.code, Some(0));
}
