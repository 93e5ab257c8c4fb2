//! Configuration files of the binaries: checked at once, reported whole, read again while running.

use std::net::SocketAddr;
use std::path::PathBuf;

use http::Method;
use serde_json::Value;
use weir_origin_mock::OriginMock;
use weir_tests::{Folder, Process, Program, Request, free_base_port, until_so};

const BAD: &str = r#"
[node]
name = "edge 0"
listn = "127.0.0.1:8080"
workers = 0

[store]
memory = 64

[limits]
head_timeout = "10 parsecs"

[[site]]
hosts = ["www.test"]
origins = ["ftp://a.test"]

[[site]]
name = "b"
hosts = ["www.test"]
origins = ["http://b.test"]
"#;

/// (line, key, a word of the message)
const PROBLEMS: [(u64, &str, &str); 8] = [
    (3, "node.name", "edge 0"),
    (4, "node.listn", "`listen`"),
    (5, "node.workers", "0"),
    (8, "store.memory", "unit"),
    (11, "limits.head_timeout", "parsecs"),
    (13, "site.name", "missing"),
    (15, "site.origins", "http://"),
    (19, "site.hosts", "www.test"),
];

struct File {
    _folder: Folder,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> Self {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path()).unwrap();
        let path = folder.path().join("edge-0.toml");
        std::fs::write(&path, text).unwrap();
        Self { _folder: folder, path }
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.path, text).unwrap();
    }
}

#[tokio::test]
async fn every_problem_of_a_file_is_reported_with_its_line() {
    let file = File::new(BAD);
    let check = Program::new("weir").args("config check").arg(&file.path).run().await;
    let start = Program::new("weir-edge").arg("--config").arg(&file.path).run().await;
    assert_eq!((check.code, start.code), (Some(1), Some(2)));
    for (line, key, word) in PROBLEMS {
        for said in [&check.stderr, &start.stderr] {
            let place = format!("edge-0.toml:{line}:");
            let found = said.lines().find(|text| text.contains(&place) && text.contains(key));
            assert!(found.is_some_and(|text| text.contains(word)), "{key}\n{said}");
        }
    }

    let check = Program::new("weir").args("config check --json").arg(&file.path).run().await;
    assert_eq!((check.code, check.stderr.as_str()), (Some(1), ""));
    let document: Value = serde_json::from_str(&check.stdout).unwrap();
    assert_eq!(document["ok"], false);
    let lines: Vec<_> =
        document["problems"].as_array().unwrap().iter().map(|p| &p["line"]).collect();
    assert_eq!(lines, PROBLEMS.map(|(line, ..)| line));
}

/// What a node would run with can be printed, and what is printed can be run.
#[tokio::test]
async fn the_configuration_in_force_is_a_file_too() {
    let file =
        File::new("[[site]]\nname = \"a\"\nhosts = [\"*\"]\norigins = [\"http://a.test\"]\n");
    let print = async || {
        let program = Program::new("weir-edge").arg("--print-config").arg("--config");
        program.arg(&file.path).env("WEIR__STORE__MEMORY", "64MiB").run().await
    };
    let printed = print().await;
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    assert!(printed.stdout.contains("memory = \"64MiB\""), "{}", printed.stdout);
    file.write(&printed.stdout);
    assert_eq!(print().await.stdout, printed.stdout, "and says the same again");
    let check = Program::new("weir").args("config check").arg(&file.path).run().await;
    assert_eq!(check.code, Some(0), "{}", check.stderr);
}

#[tokio::test]
async fn a_variable_that_names_no_key_is_a_problem_too() {
    let file = File::new("");
    let check = Program::new("weir-shield").arg("--print-config").arg("--config").arg(&file.path);
    let check = check.env("WEIR__NODE__WORKRS", "2").run().await;
    assert_eq!(check.code, Some(2));
    assert!(check.stderr.contains("WEIR__NODE__WORKERS"), "{}", check.stderr);
}

/// A running edge and the file it was started from.
struct Running {
    process: Process,
    file: File,
    data: SocketAddr,
    admin: SocketAddr,
    origin: OriginMock,
}

fn text(port: u16, origin: &OriginMock, hosts: &[&str]) -> String {
    let mut text = format!("[node]\nlisten = \"127.0.0.1:{port}\"\n");
    for (index, host) in hosts.iter().enumerate() {
        let origin = origin.url();
        text += &format!(
            "[[site]]\nname = \"s{index}\"\nhosts = [\"{host}\"]\norigins = [\"{origin}\"]\n"
        );
    }
    text
}

impl Running {
    async fn start(hosts: &[&str]) -> Self {
        let origin = OriginMock::start().await;
        let port = free_base_port();
        let file = File::new(&text(port, &origin, hosts));
        let program = Program::new("weir-edge").arg("--config").arg(&file.path);
        let mut process = program.env("WEIR_ADMIN_TOKEN", "mine").spawn();
        assert!(process.line().await.unwrap().contains("is ready"));
        let [data, admin] =
            [port, port + 1_000].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        Self { process, file, data, admin, origin }
    }

    fn rewrite(&self, hosts: &[&str]) {
        self.file.write(&text(self.data.port(), &self.origin, hosts));
    }

    async fn get(&self, host: &str) -> weir_tests::Reply {
        Request::get("/a").header("host", host).send(self.data).await
    }

    async fn reload(&self) -> weir_tests::Reply {
        let request = Request::new(Method::POST, "/v1/config/reload");
        request.header("authorization", "Bearer mine").send(self.admin).await
    }
}

/// SIGHUP takes new sites, keeps the cache and every connection; a bad file changes nothing.
#[tokio::test]
async fn a_hang_up_reads_the_sites_again() {
    let mut edge = Running::start(&["a.test"]).await;
    assert_eq!(edge.get("a.test").await.status, 200);
    assert_eq!(edge.get("b.test").await.status, 421);
    let mut kept = weir_tests::Raw::connect(edge.data).await;
    kept.write("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(kept.response().await.status, 200);

    edge.rewrite(&["a.test", "b.test"]);
    edge.process.signal("HUP");
    until_so("the new site", async || edge.get("b.test").await.status == 200).await;
    assert_eq!(edge.get("a.test").await.x_cache(), "HIT", "the cache stays");
    kept.write("GET /a HTTP/1.1\r\nHost: b.test\r\n\r\n").await;
    assert_eq!(kept.response().await.status, 200, "the connection stays and sees the new site");

    edge.file.write("[[site]]\nname = \"c\"\nhosts = [\"c.test\"]\n");
    edge.process.signal("HUP");
    edge.process.says("were not read again").await;
    edge.process.says("site.origins").await;
    for host in ["a.test", "b.test"] {
        assert_eq!(edge.get(host).await.x_cache(), "HIT", "{host}");
    }
    assert_eq!(edge.get("c.test").await.status, 421);

    edge.rewrite(&["b.test"]);
    edge.process.signal("HUP");
    until_so("the site to go", async || edge.get("a.test").await.status == 421).await;
    edge.process.signal("TERM");
    let ended = edge.process.end().await;
    assert_eq!(ended.code, Some(0));
    let told =
        ended.stderr.contains("were not read again") && ended.stderr.contains("site.origins");
    assert!(told, "a bad file is told of: {}", ended.stderr);
}

/// The API says what became of it.
#[tokio::test]
async fn a_reload_by_the_api_answers_with_every_problem() {
    let edge = Running::start(&["a.test"]).await;
    edge.rewrite(&["a.test", "b.test"]);
    let done = edge.reload().await;
    assert_eq!(done.status, 200);
    let document: Value = serde_json::from_slice(&done.body).unwrap();
    assert_eq!(document, serde_json::json!({"sites": ["s0", "s1"]}));
    assert_eq!(edge.get("b.test").await.status, 200);

    edge.file.write(BAD);
    let refused = edge.reload().await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.field("content-type"), "application/problem+json");
    let document: Value = serde_json::from_slice(&refused.body).unwrap();
    let detail = document["detail"].as_str().unwrap();
    for (line, key, _) in PROBLEMS {
        assert!(detail.contains(&format!("edge-0.toml:{line}:")), "{key}: {detail}");
    }

    let tls = "[[site]]\nname = \"s\"\nhosts = [\"c.test\"]\norigins = [\"https://127.0.0.1:1\"]\n\
               [site.origin]\ntls_ca = \"/nowhere/ca.pem\"\n";
    edge.file.write(tls);
    let refused = edge.reload().await;
    let said = String::from_utf8_lossy(&refused.body).into_owned();
    assert_eq!(refused.status, 422, "{said}");
    assert!(said.contains("site s: /nowhere/ca.pem: "), "{said}");
    assert_eq!(edge.get("b.test").await.status, 200, "nothing has changed");
    std::fs::remove_file(&edge.file.path).unwrap();
    assert_eq!(edge.reload().await.status, 422, "a file that is gone is a problem too");
    assert_eq!(edge.get("b.test").await.status, 200);
}
