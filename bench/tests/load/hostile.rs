//! Does a run end, and count rightly, whatever the server does?

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::net::TcpListener;
use weir_bench::load::Plan;

use crate::server::{Reply, Server, ok};
use crate::{figures, plan};

#[tokio::test]
async fn answers_that_are_none_are_errors_of_their_kind() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let table: Vec<(&str, Reply)> = vec![
        ("malformed", Reply::Last(b"SSH-2.0-OpenSSH\r\n".to_vec())),
        ("malformed", Reply::Last(vec![0xff; 300_000])),
        ("malformed", Reply::Endless(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())),
        ("malformed", Reply::Endless(b"x".to_vec())),
        (
            "malformed",
            Reply::Last(
                b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n".to_vec(),
            ),
        ),
        ("malformed", Reply::Last(b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec())),
        ("malformed", Reply::Last(format!("{chunked}ffffffffffffffff0\r\n").into_bytes())),
        (
            "short",
            Reply::Last(
                b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nx".to_vec(),
            ),
        ),
        ("short", Reply::Last(format!("{chunked}ffffffffffffffff\r\nx").into_bytes())),
        ("short", Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc".to_vec())),
        ("short", Reply::Last(b"HTTP/1.1 200".to_vec())),
        ("closed", Reply::Last(Vec::new())),
        ("reset", Reply::Reset),
    ];
    for (kind, reply) in table {
        let shown = format!("{reply:?}").chars().take(120).collect::<String>();
        let server = Server::start(move |_| reply.clone()).await;
        let figures = figures(Plan { connections: 2, ..plan(&server.url("/"), 4) }).await;
        assert_eq!(figures.errors_by_kind, BTreeMap::from([(kind, 4)]), "{shown}");
        assert!(figures.error_examples.contains_key(kind), "{shown}");
        assert_eq!(figures.requests, 0, "{shown}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up_after_the_timeout() {
    let endless = [
        Reply::Silence,
        Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec()),
    ];
    for reply in endless {
        let server = Server::start(move |_| reply.clone()).await;
        let timeout = Duration::from_millis(150);
        let figures = figures(Plan { timeout, ..plan(&server.url("/"), 2) }).await;
        assert_eq!(figures.errors_by_kind, BTreeMap::from([("timeout", 2)]));
        assert!(figures.latency_us.min >= 150_000.0, "{:?}", figures.latency_us);
    }
}

#[tokio::test]
async fn bytes_after_an_answer_end_the_connection() {
    let server = Server::start(|_| Reply::Bytes([ok("a"), ok("b")].concat())).await;
    let figures = figures(plan(&server.url("/"), 20)).await;
    // On loopback one write is one read.
    assert_eq!(figures.requests, 20, "{:?}", figures.error_examples);
    assert!(server.seen.connections() > 1);
}

#[tokio::test]
async fn a_server_that_dies_midway_leaves_answers_and_errors_that_add_up() {
    let server = Server::start(|n| if n < 100 { Reply::Bytes(ok("a")) } else { Reply::Die }).await;
    let plan = Plan { connections: 4, threads: 2, ..plan(&server.url("/"), 200) };
    let figures = figures(plan).await;
    // Answers may be on their way when it dies.
    assert!((96..=100).contains(&figures.requests), "{}", figures.requests);
    assert_eq!(figures.requests + figures.errors, 200, "{:?}", figures.errors_by_kind);
    assert!(figures.errors_by_kind.contains_key("connect"), "{:?}", figures.errors_by_kind);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_for_each_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let figures = figures(plan(&format!("http://{address}/"), 5)).await;
    assert_eq!(figures.errors_by_kind, BTreeMap::from([("connect", 5)]));
    assert_eq!((figures.requests, figures.latency_us.count), (0, 0));
}
