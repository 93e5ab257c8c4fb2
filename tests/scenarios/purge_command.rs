//! `weir purge` and `weir stats` as an operator runs them: what they do, what they print, and the exit
//! codes, which are a contract.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use weir_node::config::{NodeConfig, SiteConfig};
use weir_tests::{
    Ended, Folder, Program, Request, Shape, Stack, TOKEN, TestNode, free_addr, free_base_port,
};

/// `weir ARGUMENTS`, told of the node at `admin` and of `token`.
fn weir(arguments: &str, admin: SocketAddr, token: &str) -> Program {
    let weir = Program::new("weir").args(arguments).env("WEIR_ADMIN", &format!("http://{admin}"));
    weir.env("WEIR_ADMIN_TOKEN", token)
}

async fn ask(node: &TestNode, arguments: &str) -> Ended {
    weir(arguments, node.admin_addr(), TOKEN).run().await
}

/// A stack whose only site has one host.
async fn stack() -> Stack {
    let one_host = |site: &mut SiteConfig| site.hosts = vec!["www.test".parse().unwrap()];
    Shape::tiers(2, 1).site(one_host).start().await
}

async fn kept(node: &TestNode) -> Vec<Value> {
    let reply = node.admin(Method::GET, "/v1/purges").await;
    let list: Value = serde_json::from_slice(&reply.body).unwrap();
    list["purges"].as_array().unwrap().clone()
}

fn assert_ended(ended: &Ended, code: i32, why: &str) {
    assert_eq!(ended.code, Some(code), "{why}\n{}{}", ended.stdout, ended.stderr);
}

/// The promise, on a stack of its own process: after the command no edge has the old bytes.
#[tokio::test]
async fn a_purge_holds_when_the_command_has_ended() {
    let port = free_base_port();
    let local = |above: u16| SocketAddr::from(([127, 0, 0, 1], port + above));
    let up = Program::new("weir").args("up --json --edges 2 --regionals 2 --port");
    let mut up = up.arg(port.to_string()).env("WEIR_ADMIN_TOKEN", "mine").spawn();
    up.line().await.unwrap();
    let get = async |above| Request::get("/hello").send(local(above)).await;
    for edge in [0, 1] {
        assert_eq!(get(edge).await.x_cache(), "MISS");
        assert_eq!(get(edge).await.x_cache(), "HIT");
    }
    Request::new(Method::POST, "/__origin/deploy").send(local(300)).await;
    assert_eq!(get(0).await.body, "path: /hello\nversion: 1\n", "stored and fresh");

    let purge = weir("purge http://www.test/hello --wait 20s", local(1_000), "mine").run().await;
    assert_ended(&purge, 0, "a purge that holds");
    for edge in [1, 0] {
        let reply = get(edge).await;
        assert_eq!(reply.x_cache(), "MISS", "edge {edge}");
        assert_eq!(reply.body, "path: /hello\nversion: 2\n", "edge {edge}");
        assert_eq!(get(edge).await.x_cache(), "HIT", "edge {edge}");
    }
    let lines: Vec<_> = purge.stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{}", purge.stdout);
    for (line, name) in lines.iter().zip(["edge-0", "edge-1", "regional-0", "regional-1", "shield"])
    {
        assert!(line.starts_with(name) && line.contains("applied"), "{line}");
        assert!(line.contains(" ms ") && line.contains(" matched"), "{line}");
    }
    let last = lines.last().unwrap();
    assert!(last.starts_with("applied on 5/5 nodes in ") && last.ends_with("(seq 1)"), "{last}");
    up.signal("TERM");
    assert_eq!(up.end().await.code, Some(0));
}

/// Exit code 3: it holds, though a node that was lost could not be told.
#[tokio::test]
async fn a_node_that_is_lost_is_fenced_when_its_lease_has_run_out() {
    let short = |config: &mut NodeConfig| config.purge.lease = Duration::from_secs(1);
    let mut stack = Shape::tiers(2, 1).node(short).start().await;
    drop(stack.edges.pop());
    let ended = ask(stack.edge(), "purge http://www.test/a --wait 20s").await;
    assert_ended(&ended, 3, "a node is gone");
    let last = ended.stdout.lines().last().unwrap();
    assert!(last.contains("edge-1 fenced (seq 1)"), "{last}");
    let json = ask(stack.edge(), "purge --tag t --wait --json").await;
    assert_ended(&json, 3, "it is still gone");
    let receipt: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(receipt["state"], "applied_with_fenced");
    let id = receipt["id"].as_str().unwrap();
    assert_ended(&ask(stack.edge(), &format!("purge show {id} --wait")).await, 3, "looked at");
    assert_ended(&ask(stack.edge(), &format!("purge show {id}")).await, 0, "without a wait");
}

/// Exit code 4: the lease of a node that was lost is longer than the wait.
#[tokio::test]
async fn a_wait_that_is_over_is_an_exit_code_of_its_own() {
    let long = |config: &mut NodeConfig| config.purge.lease = Duration::from_secs(3_600);
    let mut stack = Shape::tiers(2, 1).node(long).start().await;
    drop(stack.edges.pop());
    let ended = ask(stack.edge(), "purge http://www.test/a --wait 50ms").await;
    assert_ended(&ended, 4, "a node is gone and holds its lease");
    let last = ended.stdout.lines().last().unwrap();
    assert!(last.starts_with("still applying after 50ms: applied on "), "{last}");
    assert!(last.contains("edge-1 pending (seq 1)"), "{last}");
    let id = kept(stack.edge()).await[0]["id"].as_str().unwrap().to_owned();
    assert!(last.contains(&format!("weir purge show {id}")), "{last}");
    let show = format!("purge show {id} --wait 50ms --json");
    assert_ended(&ask(stack.edge(), &show).await, 4, "looked at");

    let taken = ask(stack.edge(), "purge http://www.test/a").await;
    assert_ended(&taken, 0, "without a wait it is done when it is taken");
    assert!(taken.stdout.starts_with("taken (seq 2); `weir purge show "), "{}", taken.stdout);
}

/// Exit code 2: nothing was done.
#[tokio::test]
async fn wrong_use_purges_nothing() {
    let stack = stack().await;
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let (bad, empty) = (folder.path().join("bad.txt"), folder.path().join("empty.txt"));
    std::fs::write(&bad, "http://www.test/1\n\n# why\nwww.test/2\n").unwrap();
    std::fs::write(&empty, "\n# nothing\n").unwrap();
    let bad_place = format!("{}:4: \"www.test/2\"", bad.display());
    let cases = [
        ("purge", "nothing is named"),
        ("purge --all", "purges everything that every node stores"),
        ("purge --all --soft --wait", "--yes"),
        ("purge --all --yes --tag t", "--tag"),
        ("purge --all --yes http://www.test/a", "--all"),
        ("purge /a", "absolute URL"),
        ("purge www.test/a", "absolute URL"),
        ("purge http://www.test/a list", "word first"),
        ("purge http://other.test/a", "other.test"),
        ("purge http://www.test/a http://other.test/a", "other.test"),
        ("purge --host other.test", "other.test"),
        ("purge --host http://www.test", "without scheme"),
        ("purge --prefix www.test", "a host and a path"),
        ("purge --prefix www.test/a?b", "no query"),
        ("purge --glob */*", "glob"),
        ("purge --glob /img/*", "a host before the path"),
        ("purge --tag t --wait soon", "--wait"),
        ("purge --tag t --wait 10", "--wait"),
        ("purge --tag t --wait 6m", "at most"),
        ("purge --wait http://www.test/a", "--wait"),
        ("purge --tag t --token x", "--token"),
        ("purge --tag t --admin 127.0.0.1:9080", "http://"),
        ("purge --file /nowhere/urls.txt", "/nowhere/urls.txt"),
        (&format!("purge --file {}", bad.display()), &bad_place),
        (&format!("purge --file {}", empty.display()), "no URLs"),
        ("purge --file -", "no URLs"),
        ("purge show", "<ID>"),
        ("purge show ../nodes", "no id"),
        ("purge list http://www.test/a", "http://www.test/a"),
    ];
    for (arguments, word) in cases {
        let ended = ask(stack.edge(), arguments).await;
        assert_ended(&ended, 2, arguments);
        assert!(ended.stderr.contains(word), "{arguments}\n{}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments}");
    }
    let list = ask(stack.edge(), "purge list").await;
    assert_eq!((list.code, list.stdout.as_str()), (Some(0), "no purges yet\n"));
    assert!(ask(stack.edge(), "purge --help").await.stdout.contains("Exit codes: 0 done"));
}

/// Exit code 1, with the next step.
#[tokio::test]
async fn a_node_that_cannot_be_asked_is_named_with_what_to_do() {
    let stack = stack().await;
    let (admin, data) = (stack.edge().admin_addr(), stack.edge().addr());
    let nobody = free_addr();
    for verb in ["purge --tag t", "purge list", "purge show x", "stats"] {
        let cases = [
            (nobody, TOKEN, "WEIR_ADMIN"),
            (admin, "wrong", "does not know the token in WEIR_ADMIN_TOKEN"),
            (admin, "", "set WEIR_ADMIN_TOKEN"),
            (data, TOKEN, "its data port plus 1000"),
        ];
        for (to, token, word) in cases {
            let ended = weir(verb, to, token).run().await;
            let why = format!("{verb} {word}");
            assert_ended(&ended, 1, &why);
            assert!(ended.stderr.contains(word), "{why}\n{}", ended.stderr);
            assert!(ended.stderr.contains(&to.to_string()), "{why}\n{}", ended.stderr);
            assert_eq!(ended.stdout, "", "{why}");
            assert!(!ended.stderr.contains(TOKEN), "{why}\n{}", ended.stderr);
        }
    }
    let unknown = ask(stack.edge(), "purge show none").await;
    assert_ended(&unknown, 1, "an unknown purge");
    assert!(unknown.stderr.contains("No such purge: no purge \"none\""), "{}", unknown.stderr);
    assert!(kept(stack.edge()).await.is_empty(), "nothing was purged");
    let flag = Program::new("weir").args("purge --tag t --wait --admin");
    let flag = flag.arg(format!("http://{admin}")).env("WEIR_ADMIN_TOKEN", TOKEN).run().await;
    assert_ended(&flag, 0, "the address can be an argument");
}

/// The contract: exactly the receipt, on one line.
#[tokio::test]
async fn json_is_the_receipt_of_the_admin_api() {
    let stack = stack().await;
    let arguments = "purge http://www.test/a --prefix www.test/img/ --host www.test --tag t \
        --tag u --glob *.test/x* --soft --reason why --wait 20s --json";
    let ended = ask(stack.edge(), arguments).await;
    assert_ended(&ended, 0, arguments);
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
    let mut receipts = kept(stack.edge()).await;
    // Counting goes on after the purge is complete.
    let (mut expected, mut printed) = (receipts.remove(0), printed);
    for receipt in [&mut expected, &mut printed] {
        for (_, line) in receipt["nodes"].as_object_mut().unwrap() {
            line["matched"] = Value::Null;
            line["counted"] = Value::Null;
        }
    }
    assert_eq!(printed, expected);
    assert_eq!((&printed["mode"], &printed["reason"]), (&json!("invalidate"), &json!("why")));
    let selectors = [
        "glob:*.test/x*",
        "host:www.test",
        "prefix:www.test/img/",
        "tag:t",
        "tag:u",
        "url:www.test/a",
    ];
    let mut named: Vec<_> =
        printed["selectors"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    named.sort_unstable();
    assert_eq!(named, selectors);

    let all = ask(stack.edge(), "purge --all --yes --wait --json").await;
    let all: Value = serde_json::from_str(&all.stdout).unwrap();
    assert_eq!((&all["selectors"], &all["mode"]), (&json!(["everything"]), &json!("purge")));
    let list = ask(stack.edge(), "purge list --json").await;
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(list["purges"].as_array().map(Vec::len), Some(2));
    let text = ask(stack.edge(), "purge list").await.stdout;
    assert_eq!(text.lines().count(), 2, "{text}");
    for word in ["and 5 more", "\"why\"", "everything", printed["id"].as_str().unwrap()] {
        assert!(text.contains(word), "{word}\n{text}");
    }
}

/// More URLs than one call takes: several calls, each with its receipt.
#[tokio::test]
async fn a_long_list_is_sent_in_several_calls() {
    let stack = stack().await;
    stack.serve("/item/10000", "max-age=60", "the last one");
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("urls.txt");
    let lines: String = (0..=10_000).map(|n| format!("http://www.test/item/{n}\r\n")).collect();
    std::fs::write(&file, format!("# what has changed\n\n{lines}")).unwrap();
    stack.edge().get("/item/10000").await;
    assert_eq!(stack.edge().get("/item/10000").await.x_cache(), "HIT");

    let arguments = format!("purge --wait 20s --json --file {}", file.display());
    let ended = ask(stack.edge(), &arguments).await;
    assert_ended(&ended, 0, &arguments);
    assert_eq!(stack.edge().get("/item/10000").await.x_cache(), "MISS");
    let totals = |text: &str| -> Vec<(Value, Value, Value)> {
        let receipts = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told =
            |one: Value| (one["seq"].clone(), one["selectors_total"].clone(), one["state"].clone());
        receipts.map(told).collect()
    };
    let call = |seq: u64, count: u64| (json!(seq), json!(count), json!("applied"));
    assert_eq!(totals(&ended.stdout), [call(1, 10_000), call(2, 1)]);
    assert_eq!(ended.stderr, "", "no progress where nobody watches");

    let piped = weir("purge --tag t --wait 20s --file -", stack.edge().admin_addr(), TOKEN);
    let piped = piped.input(&file).run().await;
    assert_ended(&piped, 0, "standard input");
    assert!(piped.stdout.ends_with("(seq 3 to 4)\n"), "{}", piped.stdout);
    assert_eq!(kept(stack.edge()).await.len(), 4);
}

#[tokio::test]
async fn stats_tell_how_a_node_is_doing() {
    let stack = stack().await;
    stack.serve("/a", "max-age=60", "hello");
    for _ in 0..4 {
        stack.edge().get("/a").await;
    }
    assert_ended(&ask(stack.edge(), "purge --tag t --wait 20s").await, 0, "a purge");
    let text = ask(stack.edge(), "stats").await;
    assert_ended(&text, 0, "stats");
    for word in [
        "edge-0 (edge)\n",
        "3 requests, 75.0 %, 15 B",
        "1 keys",
        "applied up to seq 1\n",
        " up, 0 requests in flight",
    ] {
        assert!(text.stdout.contains(word), "{word}\n{}", text.stdout);
    }
    let shield = ask(stack.shield.as_ref().unwrap(), "stats").await;
    assert!(shield.stdout.contains("applied up to seq 1, kept here"), "{}", shield.stdout);
    let json = ask(stack.edge(), "stats --json").await;
    assert_eq!(json.stdout.lines().count(), 1);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["node"]["purge"]["applied"], 1);
    assert_eq!(json["stats"]["outcomes"]["hit"], json!({"requests": 3, "bytes": 15}));
}
