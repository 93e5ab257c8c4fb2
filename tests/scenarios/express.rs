//! The short way of plain hits: its answers are those of the long way, and it passes by no rule.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use weir_node::config::{ByteSize, NodeConfig, Rate};
use weir_tests::{Folder, Raw, RawReply, Shape, Stack};

/// A field that the short way does not know, and that changes nothing.
const LONG: &str = "Keep-Alive: timeout=5\r\n";

async fn ask(raw: &mut Raw, path: &str, fields: &str) -> RawReply {
    raw.write(format!("GET {path} HTTP/1.1\r\nHost: www.test\r\n{fields}\r\n")).await;
    raw.response().await
}

/// The fields of an answer but for those that no two answers share.
fn fields(reply: &RawReply) -> BTreeMap<String, Vec<String>> {
    let mut fields = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in reply.head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
        let value = if name == "x-request-id" { "" } else { value };
        fields.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    fields
}

async fn taken(stack: &Stack) -> f64 {
    stack.edge().metrics().await.get("weir_express_requests_total")
}

/// Asks until the short way knows the target; returns what it answers.
async fn short(stack: &Stack, raw: &mut Raw, path: &str, fields: &str) -> RawReply {
    for _ in 0..4 {
        let before = taken(stack).await;
        let reply = ask(raw, path, fields).await;
        if taken(stack).await > before {
            return reply;
        }
    }
    panic!("{path} does not take the short way");
}

async fn compare(stack: &Stack, path: &str, asked: &str, why: &str) {
    let mut raw = Raw::connect(stack.edge().addr()).await;
    let short = short(stack, &mut raw, path, asked).await;
    let before = taken(stack).await;
    let long = ask(&mut raw, path, &format!("{asked}{LONG}")).await;
    assert!(taken(stack).await <= before, "{why}: that was the long way");
    assert_eq!(short.status, long.status, "{why}: {path} {asked}");
    assert_eq!(short.body, long.body, "{why}: {path} {asked}");
    assert_eq!(fields(&short), fields(&long), "{why}: {path} {asked}");
    assert!(short.field("x-request-id").len() == 16);
}

#[tokio::test]
async fn both_ways_give_the_same_answer() {
    // (path, fields of the origin, fields of the request, why)
    type Lines = &'static [(&'static str, &'static str)];
    type Case = (&'static str, Lines, &'static [&'static str], &'static str);
    const CASES: &[Case] = &[
        (
            "/plain",
            &[],
            &["", "Range: bytes=2-5\r\n", "Range: bytes=-3\r\n"],
            "whole and in ranges",
        ),
        (
            "/open",
            &[],
            &["Range: bytes=0-\r\n", "Range: lines=1-2\r\n"],
            "all of it, by other words",
        ),
        (
            "/many",
            &[("link", "a"), ("link", "b"), ("etag", "\"v\""), ("x-cache", "of the origin")],
            &[""],
            "lines that repeat, and fields that are ours",
        ),
        (
            "/tags",
            &[("cache-tag", "a"), ("surrogate-key", "b"), ("x-request-id", "7")],
            &[""],
            "hidden",
        ),
        (
            "/upper",
            &[("cache-status", "inner; hit"), ("cache-status", ""), ("age", "3")],
            &[""],
            "of a cache above",
        ),
        (
            "/digest",
            &[("content-digest", "x"), ("content-md5", "y")],
            &["", "Range: bytes=1-1\r\n"],
            "of the whole",
        ),
        (
            "/vary",
            &[("vary", "Accept-Encoding, Accept-Language")],
            &["Accept-Encoding: br, gzip\r\nAccept-Language: de\r\n", "Accept-Language: fr\r\n"],
            "variants",
        ),
        ("/cookies", &[], &["Cookie: a=b\r\nUser-Agent: x\r\n"], "a browser's"),
    ];
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        for (path, origin, requests, why) in CASES {
            let script = stack.origin.script(path).ok().header("cache-control", "max-age=600");
            let script =
                origin.iter().fold(script, |script, (name, value)| script.header(name, value));
            script.body("0123456789").set();
            for asked in *requests {
                compare(&stack, path, asked, why).await;
            }
        }
        stack.advance(Duration::from_secs(100));
        compare(&stack, "/plain", "", "older").await;
    }
}

#[tokio::test]
async fn a_head_gets_the_fields_and_no_body() {
    let stack = Shape::single().start().await;
    stack.serve("/a", "max-age=60", "hello");
    let mut raw = Raw::connect(stack.edge().addr()).await;
    short(&stack, &mut raw, "/a", "").await;
    let before = taken(&stack).await;
    raw.write("HEAD /a HTTP/1.1\r\nHost: www.test\r\n\r\n").await;
    let head = raw.head().await;
    assert!(head.contains("content-length: 5\r\n"), "{head}");
    assert!(taken(&stack).await > before);
    assert_eq!(raw.get("/a").await.body, b"hello", "nothing lies between");
}

/// What is not plain goes between what is, and all are answered in turn.
#[tokio::test]
async fn pipelined_requests_of_both_ways_are_answered_in_turn() {
    let stack = Shape::single().start().await;
    let large = vec![7; 3 << 20];
    stack.serve("/large", "max-age=60", large.clone());
    stack.serve("/a", "max-age=60", "hello");
    let mut raw = Raw::connect(stack.edge().addr()).await;
    short(&stack, &mut raw, "/large", "").await;
    short(&stack, &mut raw, "/a", "").await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: www.test\r\n\r\n");
    let post = "POST /up HTTP/1.1\r\nHost: www.test\r\nContent-Length: 3\r\n\r\nabc".to_owned();
    let parts = [get("/a"), get("/large"), get("/a"), get("/miss"), post, get("/large"), get("/a")];
    raw.write(parts.concat()).await;
    let mut bodies = Vec::new();
    for _ in 0..parts.len() {
        bodies.push(raw.response().await.body);
    }
    let expected = [&b"hello"[..], &large, b"hello", b"path: /miss\nversion: 1\n"];
    assert!(bodies.iter().zip(expected).all(|(body, expected)| body == expected));
    assert_eq!((bodies[5].as_slice(), bodies[6].as_slice()), (&large[..], &b"hello"[..]));
    // Byte by byte is one request as well.
    let request = get("/a");
    for byte in request.as_bytes() {
        raw.write([*byte]).await;
    }
    assert_eq!(raw.response().await.body, b"hello");
}

/// A fault behind a plain request is answered as such, after it.
#[tokio::test]
async fn nothing_passes_by_the_framing() {
    let stack = Shape::single().start().await;
    stack.serve("/a", "max-age=60", "hello");
    let mut raw = Raw::connect(stack.edge().addr()).await;
    short(&stack, &mut raw, "/a", "").await;
    raw.write("GET /a HTTP/1.1\r\nHost: www.test\r\n\r\nGET /a HTTP/1.1\nHost: www.test\r\n\r\n")
        .await;
    assert_eq!(raw.response().await.status, 200);
    assert_eq!(raw.response().await.status, 400);
    assert!(raw.rest().await.is_empty());
}

/// Rates, purges, reloads of freshness and isolation hold on either way.
#[tokio::test]
async fn rules_hold_on_the_short_way() {
    let limited = Shape::single().site(|site| site.limits.rate = Some(Rate::per_second(6)));
    let stack = limited.start().await;
    stack.serve("/a", "max-age=60", "hello");
    let mut raw = Raw::connect(stack.edge().addr()).await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(ask(&mut raw, "/a", "").await.status);
    }
    assert!(taken(&stack).await >= 1.0);
    let let_in = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(let_in, 6, "each costs one: {statuses:?}");
    assert!(statuses[6..].iter().all(|status| *status == 429), "{statuses:?}");

    let stack = Shape::single().start().await;
    stack.serve("/b", "max-age=60", "one");
    let mut raw = Raw::connect(stack.edge().addr()).await;
    assert_eq!(short(&stack, &mut raw, "/b", "").await.body, b"one");
    stack.serve("/b", "max-age=60", "two");
    stack.edge().purge(&serde_json::json!({"urls": ["http://www.test/b"]})).await;
    assert_eq!(ask(&mut raw, "/b", "").await.body, b"two", "purged");
    stack.serve("/b", "max-age=600", "three");
    assert_eq!(short(&stack, &mut raw, "/b", "").await.body, b"two");
    stack.advance(Duration::from_secs(61));
    assert_eq!(ask(&mut raw, "/b", "").await.body, b"three", "stale");
    // Another length: nothing of the head before may be left.
    assert_eq!(short(&stack, &mut raw, "/b", "").await.body, b"three");
}

/// Where more decides than host and target, the short way is not taken.
#[tokio::test]
async fn sites_with_rules_take_the_long_way() {
    let shapes = [
        Shape::single().site(|site| site.key.headers = vec![http::HeaderName::from_static("x-a")]),
        Shape::single().site(|site| site.key.cookies = vec!["a".to_owned()]),
        Shape::single().node(|node| node.log.access = true),
        Shape::single().node(|node| node.express = false),
    ];
    for shape in shapes {
        let stack = shape.start().await;
        stack.serve("/a", "max-age=60", "hello");
        let mut raw = Raw::connect(stack.edge().addr()).await;
        for _ in 0..4 {
            assert_eq!(ask(&mut raw, "/a", "").await.body, b"hello");
        }
        assert!(taken(&stack).await < 1.0);
    }
}

fn over(folder: &Folder) -> Shape {
    let data_dir = folder.path().to_owned();
    Shape::single().node(move |node: &mut NodeConfig| {
        node.data_dir = Some(data_dir.clone());
        node.store.memory = ByteSize::from_mib(4);
        node.store.disk = Some(ByteSize::from_mib(64));
        node.store.object_max = ByteSize::from_mib(8);
        node.store.memory_object_max = ByteSize::from_kib(64);
        node.store.on_disk.slice = ByteSize::from_mib(1);
    })
}

/// Bodies in files leave by the short way as soon as the files are open.
#[tokio::test]
async fn a_body_on_disk_is_sent_whole_and_in_ranges() {
    let folder = Folder::new();
    let stack = over(&folder).start().await;
    let body: Vec<u8> = (0..3_u32 << 20).map(|at| (at % 251) as u8).collect();
    stack.serve("/large", "max-age=600", body.clone());
    assert_eq!(stack.edge().get("/large").await.body, body);
    stack.edge().written().await;
    let mut raw = Raw::connect(stack.edge().addr()).await;
    assert_eq!(short(&stack, &mut raw, "/large", "").await.body, body);
    compare(&stack, "/large", "", "from a file").await;
    for (first, last) in [(0, 0), (1_000, 1_999), ((1 << 20) - 1, 1 << 20), (5, (3 << 20) - 1)] {
        let range = format!("Range: bytes={first}-{last}\r\n");
        let reply = short(&stack, &mut raw, "/large", &range).await;
        assert_eq!((reply.status, &reply.body[..]), (206, &body[first..=last]));
        compare(&stack, "/large", &range, "from a file").await;
    }
    // Many at once over narrow connections, each at its own pace.
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut raw = Raw::connect_narrow(stack.edge().addr()).await;
        raw.write("GET /large HTTP/1.1\r\nHost: www.test\r\n\r\n").await;
        slow.push(raw);
    }
    for mut raw in slow {
        assert_eq!(raw.response().await.body, body);
        assert_eq!(ask(&mut raw, "/large", "Range: bytes=0-9\r\n").await.body, body[..10]);
    }
    let bytes = stack.edge().metrics().await.sum("weir_response_bytes_total", &["cache=\"hit\""]);
    assert!(bytes > 30.0 * f64::from(1_u32 << 20), "{bytes}");
}

/// A node that ends lets a body that is under way end first.
#[tokio::test]
async fn a_body_under_way_is_finished_before_the_node_ends() {
    let mut stack = Shape::single().start().await;
    let large = Bytes::from(vec![7; 8 << 20]);
    stack.serve("/large", "max-age=60", large.clone());
    let mut raw = Raw::connect_narrow(stack.edge().addr()).await;
    short(&stack, &mut raw, "/large", "").await;
    raw.write("GET /large HTTP/1.1\r\nHost: www.test\r\n\r\n").await;
    assert!(raw.head().await.starts_with("HTTP/1.1 200"));
    let taking = async { raw.exactly(large.len()).await == large };
    let (_, is_whole) = tokio::join!(stack.restart_edge(), taking);
    assert!(is_whole);
}

/// Idle is who asks nothing; who goes on asking by the short way is not.
#[tokio::test]
async fn a_connection_that_goes_on_asking_is_not_idle() {
    let idle = Duration::from_millis(400);
    let stack = Shape::single().node(move |node| node.limits.idle_timeout = idle).start().await;
    stack.serve("/a", "max-age=60", "hello");
    let mut raw = Raw::connect(stack.edge().addr()).await;
    let began = std::time::Instant::now();
    while began.elapsed() < 3 * idle {
        assert_eq!(ask(&mut raw, "/a", "").await.body, b"hello");
    }
    assert!(taken(&stack).await > 1.0);
    assert!(raw.rest().await.is_empty(), "and then it is");
}
