//! Are answers read as a server may send them, and requests sent as they were wanted?

use std::collections::BTreeMap;

use weir_bench::load::{Asked, LoadError, Plan};

use crate::server::{Reply, Server, ok, with};
use crate::{asking, figures, plan, try_run};

#[tokio::test]
async fn every_framing_is_read_to_its_end() {
    let server = Server::start(|n| match n % 5 {
        0 => Reply::Bytes(ok("abc")),
        1 => Reply::Bytes(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
                .to_vec(),
        ),
        2 => {
            Reply::Bytes([&b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"[..], &ok("abc")].concat())
        }
        3 => Reply::Bytes(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n".to_vec()),
        _ => Reply::Last(b"HTTP/1.1 404 Not Found\r\n\r\nabc".to_vec()),
    })
    .await;
    let figures = figures(plan(&server.url("/"), 100)).await;
    assert_eq!(figures.statuses, BTreeMap::from([(200, 60), (304, 20), (404, 20)]));
    assert_eq!((figures.errors, figures.reopened, figures.body_bytes), (0, 0, 240));
    assert_eq!(server.seen.connections(), 20, "one for each end, the last of which is the run's");
}

#[tokio::test]
async fn connections_that_are_said_to_close_are_not_used_again() {
    let server = Server::start(|_| Reply::Last(with("Connection: close\r\n", "a"))).await;
    let figures = figures(plan(&server.url("/"), 50)).await;
    assert_eq!((figures.requests, figures.errors, figures.reopened), (50, 0, 0));
    assert_eq!(server.seen.count(), 50);
}

#[tokio::test]
async fn a_connection_that_the_server_gave_up_is_opened_again() {
    let server = Server::start(|_| Reply::Last(ok("a"))).await;
    let figures = figures(plan(&server.url("/"), 50)).await;
    assert_eq!((figures.requests, figures.errors), (50, 0), "{:?}", figures.error_examples);
    assert_eq!(figures.reopened, 49);
}

#[tokio::test]
async fn answers_are_sorted_by_what_the_cache_says() {
    let server = Server::start(|n| {
        Reply::Bytes(match n % 4 {
            0 => with("X-Cache: HIT\r\n", "ab"),
            1 => with("Cache-Status: s; hit, e; fwd=uri-miss\r\n", "a"),
            2 => with("X-Cache: STALE\r\n", ""),
            _ => ok(""),
        })
    })
    .await;
    let figures = figures(plan(&server.url("/"), 40)).await;
    let seen: Vec<_> =
        figures.outcomes.iter().map(|(name, of)| (*name, of.requests, of.body_bytes)).collect();
    assert_eq!(seen, [("hit", 10, 20), ("miss", 10, 10), ("none", 10, 0), ("stale", 10, 0)]);
    assert!(figures.outcomes.values().all(|outcome| outcome.latency_us.count == 10));
}

#[tokio::test]
async fn another_address_is_asked_with_the_host_of_the_url() {
    let server =
        Server::start(|_| Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec()))
            .await;
    let asked = Asked {
        urls: vec!["http://www.example.invalid/a".to_owned()],
        head: true,
        range: Some((0, 9)),
        fields: vec!["X-A: b".to_owned()],
        ..Asked::default()
    };
    let connect = Some(server.address.to_string());
    let figures = figures(Plan { asking: asking(asked), connect, ..plan("http://x/", 3) }).await;
    assert_eq!((figures.requests, figures.body_bytes, server.seen.connections()), (3, 0, 1));
    let head = server.seen.heads().remove(0);
    assert!(head.starts_with("HEAD /a HTTP/1.1\r\nHost: www.example.invalid\r\n"), "{head}");
    assert!(head.contains("\r\nX-A: b\r\nRange: bytes=0-9\r\n"), "{head}");
}

#[tokio::test]
async fn several_places_are_asked_in_one_run() {
    let servers = [
        Server::start(|_| Reply::Bytes(ok("a"))).await,
        Server::start(|_| Reply::Bytes(ok("a"))).await,
    ];
    let urls = servers.iter().map(|server| server.url("/")).collect();
    let asked = asking(Asked { urls, ..Asked::default() });
    let figures = figures(Plan { asking: asked, ..plan("http://x/", 200) }).await;
    let counts = servers.each_ref().map(|server| server.seen.count());
    assert_eq!((figures.requests, counts.iter().sum()), (200, 200_u64));
    assert!(counts.iter().all(|count| (55..=145).contains(count)), "{counts:?}");
}

#[tokio::test]
async fn a_large_body_is_counted_and_not_kept() {
    let body = "x".repeat(8 << 20);
    let server = Server::start(move |_| Reply::Bytes(ok(&body))).await;
    let figures = figures(plan(&server.url("/"), 3)).await;
    assert_eq!((figures.requests, figures.body_bytes), (3, 3 * (8 << 20)));
}

#[tokio::test]
async fn what_cannot_begin_says_why() {
    let no_process = Plan { pids: vec![u32::MAX], ..plan("http://127.0.0.1:1/", 1) };
    assert!(matches!(try_run(no_process).await, Err(LoadError::Processes(_))));
    let no_host = plan("http://weir-bench.invalid/", 1);
    assert!(matches!(try_run(no_host).await, Err(LoadError::Resolve { .. })));
    let no_connections = Plan { connections: 0, ..plan("http://127.0.0.1:1/", 1) };
    assert!(matches!(try_run(no_connections).await, Err(LoadError::Plan(_))));
}
