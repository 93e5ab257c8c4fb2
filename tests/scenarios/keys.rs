//! Which spellings of a request are one resource, and which are not.

use http::Method;
use weir_tests::{Raw, Request, Shape, TestNode};

/// (target, Host, why). The first of a group is asked first; all of a group are one resource.
const GROUPS: &[&[(&str, &str, &str)]] = &[
    &[
        ("/a/~x/b", "www.test", "the normal form"),
        ("/a/%7ex/b", "www.test", "an escape that is not needed (RFC 3986 §6.2.2.2)"),
        ("/a/%7Ex/b", "www.test", "in the other case"),
        ("/a/./~x/b", "www.test", "a dot segment (RFC 3986 §6.2.2.3)"),
        ("/a/c/../~x/b", "www.test", "two dots"),
        ("/../a/~x/b", "www.test", "above the root"),
        ("/a/%2e/~x/b", "www.test", "an escaped dot is a dot"),
        ("/a/~x/b", "WWW.Test", "case of the host (RFC 9110 §4.2.3)"),
        ("/a/~x/b", "www.test:80", "the default port"),
        ("/a/~x/b", "www.test:8080", "another port is the same site"),
        ("/a/~x/b", "www.test.", "the root's dot"),
        ("http://www.test/a/~x/b", "www.test", "absolute form (RFC 9112 §3.2.2)"),
    ],
    &[("/q?a=1&b=2", "www.test", "sorted"), ("/q?b=2&a=1", "www.test", "order of different names")],
    &[("/q?a=2&a=1", "www.test", "equal names keep their order")],
    &[("/q?a=1&a=2", "www.test", "which may mean something")],
    &[("/q?", "www.test", "a query that is empty")],
    &[("/q", "www.test", "and none")],
    &[("/s%2Fs", "www.test", "an escaped slash"), ("/s%2fs", "www.test", "digits in any case")],
    &[("/s/s", "www.test", "is not a slash")],
    &[("/s//s", "www.test", "nor are two slashes one")],
    &[("/S/s", "www.test", "case of the path counts")],
    &[("/s/s/", "www.test", "and so does a final slash")],
    &[("/s/s", "other.test", "another host")],
];

async fn ask(node: &TestNode, target: &str, host: &str) -> String {
    let mut raw = Raw::connect(node.addr()).await;
    raw.write(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    let reply = raw.response().await;
    assert_eq!(reply.status, 200, "{target} {host}: {}", reply.head);
    reply.field("x-cache").to_owned()
}

#[tokio::test]
async fn spellings_of_one_resource_cost_one_origin_request() {
    for shape in [Shape::single(), Shape::tiers(1, 2)] {
        let stack = shape.start().await;
        for group in GROUPS {
            let before = stack.origin.total();
            for (index, (target, host, why)) in group.iter().enumerate() {
                let x_cache = ask(stack.edge(), target, host).await;
                let expected = if index == 0 { "MISS" } else { "HIT" };
                assert_eq!(x_cache, expected, "{target} {host}: {why}");
            }
            assert_eq!(stack.origin.total() - before, 1, "{group:?}");
        }
    }
}

/// The origin is asked for the form that was looked up, so that no two spellings can bring different
/// bodies under one key.
#[tokio::test]
async fn the_origin_sees_the_normal_form() {
    let stack = Shape::tiers(1, 1).start().await;
    ask(stack.edge(), "/x/../a/%7eb?z=%41&b=+", "WWW.Test:80").await;
    let seen = stack.origin.requests("/a/~b");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].target, "/a/~b?b=+&z=%41", "sorted, values as they came");
    assert_eq!(seen[0].headers["host"], "www.test");
}

/// What the key ignores does not go upstream either.
#[tokio::test]
async fn ignored_parameters_split_nothing_and_go_nowhere() {
    let stack = Shape::single().site(|site| site.key.query.ignore = vec!["utm_*".parse().unwrap()]);
    let stack = stack.start().await;
    let first = stack.edge().get("/a?utm_source=x&id=1").await;
    let second = stack.edge().get("/a?id=1&utm_campaign=y").await;
    assert_eq!((first.x_cache().as_str(), second.x_cache().as_str()), ("MISS", "HIT"));
    assert_eq!(stack.origin.requests("/a")[0].target, "/a?id=1");
}

/// A site may send its origins a Host of their own; the key keeps the client's.
#[tokio::test]
async fn an_origin_host_replaces_the_clients_on_the_last_hop_only() {
    let stack = Shape::tiers(1, 1).site(|site| site.origin_host = Some("inner.test".to_owned()));
    let stack = stack.start().await;
    for host in ["www.test", "shop.test"] {
        stack.edge().send(&Request::new(Method::GET, "/a").header("host", host)).await;
    }
    let hosts: Vec<_> =
        stack.origin.requests("/a").iter().map(|seen| seen.headers["host"].clone()).collect();
    assert_eq!(hosts, ["inner.test", "inner.test"], "two keys, one Host for the origin");
}
