//! `weir bench load` as an operator runs it: what it asks an edge, what it tells, and its exit codes.

use std::net::SocketAddr;

use serde_json::Value;
use weir_tests::{Ended, Folder, Program, Shape, free_addr};

async fn load(address: SocketAddr, path: &str, arguments: &str) -> Ended {
    let load = Program::new("weir").args("bench load").arg(format!("http://{address}{path}"));
    load.args(arguments).run().await
}

fn assert_ended(ended: &Ended, code: i32, words: &str) {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(code), "{said}");
    assert!(said.contains(words), "{words}: {said}");
}

fn json(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test]
async fn a_closed_loop_asks_an_edge_exactly_as_often_and_tells_hits_from_misses() {
    let stack = Shape::single().start().await;
    stack.serve("/a", "max-age=600", "hello");
    // By the same host, which is part of the key.
    assert_ended(&load(stack.edge().addr(), "/a", "-n 1").await, 0, "200: 1");
    let figures = json(&load(stack.edge().addr(), "/a", "-n 400 -c 4 --miss 25% --json").await);
    let (hits, misses) = (&figures["outcomes"]["hit"], &figures["outcomes"]["miss"]);
    assert_eq!((&figures["requests"], &figures["errors"]), (&400.into(), &0.into()));
    assert_eq!(misses["requests"], figures["misses_asked"], "{figures}");
    let misses = misses["requests"].as_u64().unwrap();
    assert_eq!(hits["requests"].as_u64().unwrap() + misses, 400);
    // Standard deviation 8.7; six of them.
    assert!((48..=152).contains(&misses), "{misses}");
    assert_eq!(stack.origin.total(), misses + 1, "each miss was one, and only those");
}

#[tokio::test]
async fn an_open_loop_shows_a_table_and_writes_its_distribution() {
    let stack = Shape::single().start().await;
    stack.serve("/k0", "max-age=600", "hello");
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("latencies.csv");
    let pid = std::process::id();
    let arguments = format!(
        "-n 100 --rate 1000 --arrivals poisson --keys 1 --expect-status 200,3xx --max-errors 0 --pid {pid} --histogram"
    );
    let address = stack.edge().addr();
    let load = Program::new("weir").args("bench load").arg(format!("http://{address}/k{{n}}"));
    let ended = load.args(&arguments).arg(&file).run().await;
    for words in
        ["open loop, 1000 requests/s, poisson arrivals", "200: 100", "errors     none", "server "]
    {
        assert_ended(&ended, 0, words);
    }
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.trim_end().ends_with(",1.000000000000,100"), "{text}");
}

#[tokio::test]
async fn exit_codes_tell_a_failed_run_from_wrong_use() {
    let stack = Shape::single().start().await;
    stack.answer("/gone", 410).set();
    let edge = stack.edge().addr();
    let failed = [
        ("/gone", "-n 3 --expect-status 200", "3 answers have a status that is not expected"),
        ("/gone", "-n 3 --pid 4294967295", "/proc"),
    ];
    for (path, arguments, words) in failed {
        assert_ended(&load(edge, path, arguments).await, 1, words);
    }
    assert_ended(&load(free_addr(), "/", "-n 3").await, 1, "nothing was answered");
    let wrong = [
        ("/{n}", "-n 3", "a number of keys"),
        ("/", "-n 0", "the length of the run"),
        ("/", "--rate 0", "the rate"),
        ("/", "--rate 5 --expected-interval 1ms", "cannot be used with"),
        ("/", "--miss 101%", "expected a share"),
        ("/", "--range 5-", "first and last byte"),
        ("/", "-H nothing", "is no field"),
        ("/", "--method POST", "possible values: GET, HEAD"),
        ("/", "--connect nowhere.invalid:80", "has no address"),
    ];
    for (path, arguments, words) in wrong {
        assert_ended(&load(edge, path, arguments).await, 2, words);
    }
    let secure = Program::new("weir").args("bench load https://127.0.0.1/").run().await;
    assert_ended(&secure, 2, "h2load");
    assert_eq!(stack.origin.hits("/"), 0, "nothing of that was asked");
}

#[tokio::test]
async fn an_interrupted_run_keeps_its_figures() {
    let stack = Shape::single().start().await;
    let hold = stack.answer("/slow", 200).hold().body("late").set();
    let url = format!("http://{}/slow", stack.edge().addr());
    let load = Program::new("weir").args("bench load --duration 10m -c 1 --json").arg(url).spawn();
    hold.reached().await;
    load.signal("INT");
    hold.release();
    let figures = json(&load.end().await);
    assert_eq!(figures["stopped"], true);
    assert!(figures["requests"].as_u64().unwrap() >= 1, "{figures}");
}
