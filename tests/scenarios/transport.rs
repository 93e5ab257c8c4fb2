//! How origins are connected to: over TLS, over HTTP/2, and for no longer than they wait.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::{Method, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use weir_node::config::{Protocol, Scheme, UpstreamAddr};
use weir_node::{AdminToken, Components, LogHome, ManualClock, start};
use weir_tests::{
    Authority, Folder, Raw, Request, SecureOrigin, Shape, Stack, TOKEN, soon, upstream,
};

const NAME: &str = "origin.test";
const HTTP1: &[&str] = &["http/1.1"];
const BOTH: &[&str] = &["h2", "http/1.1"];

fn https(addr: SocketAddr) -> UpstreamAddr {
    UpstreamAddr { scheme: Scheme::Https, ..upstream(addr) }
}

/// One edge before `origin`, which is asked over TLS for [`NAME`] and vouched for by `authority`.
async fn edge_before(addr: SocketAddr, authority: &Authority, protocol: Protocol) -> Stack {
    let folder = Folder::new();
    let file = authority.file(&folder);
    let shape = Shape::single().site(move |site| {
        site.origins = vec![https(addr).into()];
        site.origin.protocol = protocol;
        site.origin.tls_name = Some(NAME.to_owned());
        site.origin.tls_ca = Some(file.clone());
    });
    // The file is read at start only.
    shape.start().await
}

/// One edge before an origin that knows HTTP/2 without being told.
async fn edge_before_plain(addr: SocketAddr) -> Stack {
    let shape = Shape::single().site(move |site| {
        site.origins = vec![upstream(addr).into()];
        site.origin.protocol = Protocol::Http2;
    });
    shape.start().await
}

#[tokio::test]
async fn an_origin_is_asked_over_tls() {
    let authority = Authority::new();
    let origin = SecureOrigin::start(Some(authority.server(NAME, HTTP1))).await;
    let stack = edge_before(origin.addr, &authority, Protocol::Http1).await;
    for _ in 0..5 {
        let reply = stack.edge().get("/a").await;
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b"hello"[..]));
    }
    assert_eq!(stack.edge().get("/big").await.body.len(), 3_000_000);
    let arrived = origin.arrived();
    assert_eq!((arrived[0].version, arrived[0].authority.as_str()), (Version::HTTP_11, "www.test"));
    assert_eq!(origin.connections(), 1, "used again");
    let metrics = stack.edge().metrics().await;
    let opened = metrics.sum("weir_upstream_connections_opened_total", &["kind=\"origin\""]);
    assert_eq!(opened, 1.0);
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_a_502_that_says_so() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let cases = [
        ("another name", known.server("other.test", HTTP1)),
        ("another authority", unknown.server(NAME, HTTP1)),
        ("expired", known.server_until(NAME, HTTP1, 2_001)),
    ];
    for (why, server) in cases {
        let origin = SecureOrigin::start(Some(server)).await;
        let stack = edge_before(origin.addr, &known, Protocol::Http1).await;
        let reply = stack.edge().get("/a").await;
        assert_eq!(reply.status, 502, "{why}");
        let said = reply.field("proxy-status");
        assert!(said.ends_with("; error=tls_certificate_error"), "{why}: {said}");
        assert_eq!((origin.arrived().len(), origin.connections()), (0, 1), "asked once: {why}");
        let metrics = stack.edge().metrics().await;
        let failures = metrics.sum("weir_upstream_connect_failures_total", &["step=\"tls\""]);
        assert_eq!(failures, 1.0, "{why}");
    }
}

#[tokio::test]
async fn another_origin_is_asked_when_the_certificate_of_the_first_does_not_hold() {
    let authority = Authority::new();
    let bad = SecureOrigin::start(Some(authority.server("other.test", HTTP1))).await;
    let good = SecureOrigin::start(Some(authority.server(NAME, HTTP1))).await;
    let folder = Folder::new();
    let file = authority.file(&folder);
    let addrs = vec![https(bad.addr).into(), https(good.addr).into()];
    let shape = Shape::single().site(move |site| {
        site.origins.clone_from(&addrs);
        site.origin.tls_name = Some(NAME.to_owned());
        site.origin.tls_ca = Some(file.clone());
    });
    let stack = shape.start().await;
    for _ in 0..4 {
        assert_eq!(stack.edge().get("/a").await.status, 200);
    }
    assert_eq!((bad.arrived().len(), good.arrived().len()), (0, 4));
}

#[tokio::test]
async fn certificates_are_not_looked_at_where_the_site_says_so() {
    let origin = SecureOrigin::start(Some(Authority::new().server("other.test", HTTP1))).await;
    let addr = origin.addr;
    let shape = Shape::single().site(move |site| {
        site.origins = vec![https(addr).into()];
        site.origin.tls_verify = false;
    });
    let stack = shape.start().await;
    assert_eq!(stack.edge().get("/a").await.body, "hello");
}

/// TLS where the other side speaks plain HTTP, or nothing at all.
#[tokio::test]
async fn a_handshake_that_fails_or_never_ends_is_bounded() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_addr = plain.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = plain.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        }
    });
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cases =
        [(plain_addr, "tls_protocol_error"), (silent.local_addr().unwrap(), "connection_timeout")];
    for (addr, error) in cases {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let shape = Shape::single().site(move |site| {
                site.origins = vec![https(addr).into()];
                site.origin.tls_verify = false;
                site.origin.protocol = protocol;
            });
            let shape = shape.node(|node| node.upstream.tls_timeout = Duration::from_millis(150));
            let stack = shape.start().await;
            let began = Instant::now();
            let replies: Vec<_> =
                (0..5).map(|index| stack.edge().spawn_get(&format!("/a{index}"))).collect();
            for reply in replies {
                let reply = reply.await.unwrap();
                assert_eq!(reply.status, 502, "{error}");
                let said = reply.field("proxy-status");
                assert!(said.ends_with(&format!("; error={error}")), "{said}");
            }
            assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        }
    }
}

/// A node does not start with trust that cannot be read.
#[tokio::test]
async fn a_file_of_certificates_that_cannot_be_read_is_said_at_start() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    let stack = Shape::single().start().await;
    let mut config = stack.edge().config().clone();
    config.sites[0].origins = vec![https(stack.origin.addr()).into()];
    config.sites[0].origin.tls_ca = Some(file.clone());
    let components = Components {
        clock: Arc::new(ManualClock::new()),
        secret: None,
        token: AdminToken::new(TOKEN).unwrap(),
        log_home: LogHome::OneProcess,
    };
    let error = start(config, components).await.err().unwrap();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("site www") && source.contains("ca.pem: "), "{source}");
}

#[tokio::test]
async fn http2_is_spoken_where_the_origin_takes_it() {
    let authority = Authority::new();
    let origin = SecureOrigin::start(Some(authority.server(NAME, BOTH))).await;
    let stack = edge_before(origin.addr, &authority, Protocol::Http2).await;
    assert_http2(&stack, &origin).await;
}

#[tokio::test]
async fn http2_is_spoken_by_prior_knowledge_without_tls() {
    let origin = SecureOrigin::start(None).await;
    let stack = edge_before_plain(origin.addr).await;
    assert_http2(&stack, &origin).await;
}

async fn assert_http2(stack: &Stack, origin: &SecureOrigin) {
    let target = "/%2F?&x=1&y='z'";
    let request = Request::get(target).header("connection", "x-mine").header("x-mine", "1");
    let reply = stack.edge().send(&request.header("cookie", "a=b")).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b"hello"[..]));
    assert!(reply.field("via").starts_with("2.0 ") || reply.field("via").starts_with("1.1 "));
    let arrived = origin.arrived().remove(0);
    assert_eq!((arrived.version, arrived.target.as_str()), (Version::HTTP_2, target));
    assert_eq!(arrived.authority, "www.test", "whatever address is connected to");
    for name in ["host", "connection", "te", "keep-alive", "transfer-encoding", "x-mine"] {
        assert!(!arrived.headers.contains_key(name), "{name}");
    }
    assert_eq!(arrived.headers["cookie"], "a=b");

    assert_eq!(stack.edge().get("/big").await.body, vec![7; 3_000_000]);
    let body = vec![b'x'; 1_500_000];
    let post = Request::new(Method::POST, "/p").body(body.clone());
    assert_eq!(stack.edge().send(&post).await.body, body, "up and down again");
    let head = stack.edge().send(&Request::new(Method::HEAD, "/h")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_trailers(stack, origin).await;
    assert_broken_body(stack, origin).await;

    origin.gather(50);
    let all: Vec<_> =
        (0..50).map(|_| stack.edge().spawn(Request::new(Method::DELETE, "/together"))).collect();
    for reply in all {
        assert_eq!(reply.await.unwrap().status, 200);
    }
    assert_eq!(origin.connections(), 1, "all share it");
}

/// A body that breaks off is the client's fault, and the connection goes on.
async fn assert_broken_body(stack: &Stack, origin: &SecureOrigin) {
    let before = origin.arrived().len();
    let mut client = Raw::connect(stack.edge().addr()).await;
    let head = "POST /b HTTP/1.1\r\nHost: www.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write(format!("{head}2\r\nhi\r\nzz\r\n")).await;
    assert_eq!(client.status().await, Some(400));
    assert_eq!(stack.edge().get("/c").await.body, "hello");
    assert_eq!((origin.arrived().len(), origin.connections()), (before + 1, 1));
}

async fn assert_trailers(stack: &Stack, origin: &SecureOrigin) {
    let mut client = Raw::connect(stack.edge().addr()).await;
    client
        .write(
            "POST /trailers HTTP/1.1\r\nHost: www.test\r\nTE: trailers\r\nConnection: TE\r\n\
             Transfer-Encoding: chunked\r\nTrailer: X-Up\r\n\r\n2\r\nhi\r\n0\r\nX-Up: 1\r\n\r\n",
        )
        .await;
    let reply = client.response().await;
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"whole"[..]));
    assert_eq!(reply.trailers, ["x-sum: 1"]);
    let arrived = origin.arrived().pop().unwrap();
    assert_eq!(
        (arrived.body.as_ref(), &arrived.trailers["x-up"]),
        (&b"hi"[..], &"1".parse().unwrap())
    );
    assert_eq!(arrived.headers["te"], "trailers");
}

/// The first connection, on which the origin chose HTTP/1.1, is used, and so is the choice.
#[tokio::test]
async fn an_origin_may_choose_http1() {
    let authority = Authority::new();
    for protocols in [HTTP1, &[]] {
        let origin = SecureOrigin::start(Some(authority.server(NAME, protocols))).await;
        let stack = edge_before(origin.addr, &authority, Protocol::Http2).await;
        for _ in 0..5 {
            assert_eq!(stack.edge().get("/a").await.body, "hello");
        }
        assert_eq!(origin.arrived()[0].version, Version::HTTP_11);
        assert_eq!(origin.connections(), 1);
    }
}

/// A server that ends its HTTP/2 connection in peace loses no request, of whatever method.
#[tokio::test]
async fn the_end_of_an_http2_connection_is_no_error() {
    let origin = SecureOrigin::start(None).await;
    let stack = edge_before_plain(origin.addr).await;
    for round in 0..50 {
        let post = Request::new(Method::POST, "/a").body("order");
        assert_eq!(stack.edge().send(&post).await.status, 200, "{round}");
        // The GOAWAY may be on its way while the next request is.
        let next = stack.edge().spawn(Request::new(Method::DELETE, "/b"));
        origin.end_connections();
        assert_eq!(next.await.unwrap().status, 200, "{round}");
    }
    let posts = origin.arrived().iter().filter(|arrived| arrived.target == "/a").count();
    assert_eq!(posts, 50, "each arrived once");
    assert!(origin.connections() > 1);
}

/// An HTTP/2 server on one socket that refuses the first `refusals` streams with `reason`.
async fn refusing(refusals: usize, reason: h2::Reason) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let streams = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&streams);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let streams = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_request, mut respond))) = connection.accept().await {
                    if streams.fetch_add(1, Relaxed) < refusals {
                        respond.send_reset(reason);
                        continue;
                    }
                    let hints = http::Response::builder().status(103).body(()).unwrap();
                    respond.send_informational(hints).unwrap();
                    let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                    body.send_data("hello".into(), true).unwrap();
                }
            });
        }
    });
    (addr, streams)
}

/// What a server says it has not looked at is sent again (RFC 9113 §8.7); what it may have, only where
/// doing it twice is doing it once.
#[tokio::test]
async fn a_refused_stream_is_sent_again_and_a_reset_one_is_not() {
    let refused = h2::Reason::REFUSED_STREAM;
    // (streams refused, reason, method, body, status, streams seen, why)
    let cases = [
        (1, refused, Method::DELETE, "", 200, 2, "idempotent"),
        (2, refused, Method::POST, "", 200, 3, "not idempotent, not looked at"),
        (1, refused, Method::POST, "order", 502, 1, "the body has gone"),
        (1, h2::Reason::INTERNAL_ERROR, Method::POST, "", 502, 1, "may have been carried out"),
        (1_000, refused, Method::GET, "", 502, 4, "not for ever"),
    ];
    for (refusals, reason, method, body, status, seen, why) in cases {
        let (addr, streams) = refusing(refusals, reason).await;
        let stack = edge_before_plain(addr).await;
        let request = Request::new(method, "/a").body(body);
        assert_eq!(stack.edge().send(&request).await.status, status, "{why}");
        assert_eq!(streams.load(Relaxed), seen, "{why}");
    }
}

/// What one connection to [`patient_for`] does.
async fn answer_within(mut stream: TcpStream, patience: Duration) {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\nKeep-Alive: timeout=2\r\n\r\nok";
    let mut last = Instant::now();
    let mut bytes = Vec::new();
    loop {
        // A body of one byte follows the head.
        while !bytes.windows(5).any(|end| end == b"\r\n\r\nx") {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        // The end of the connection always crosses a request that comes too late.
        if last.elapsed() >= patience {
            return;
        }
        bytes.clear();
        stream.write_all(answer.as_bytes()).await.unwrap();
        last = Instant::now();
    }
}

/// An origin that waits for the next request as long as it says, and answers none after that.
async fn patient_for(patience: Duration) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Relaxed);
            tokio::spawn(answer_within(stream, patience));
        }
    });
    (addr, connections)
}

/// POSTs are never sent again, so that only what this node knows of the server saves them.
#[tokio::test]
async fn no_connection_is_used_for_longer_than_the_origin_says_that_it_waits() {
    let (addr, connections) = patient_for(Duration::from_secs(2)).await;
    let stack =
        Shape::single().site(move |site| site.origins = vec![upstream(addr).into()]).start().await;
    let edge = stack.edge().addr();
    let lanes: Vec<_> = (0..50_u64)
        .map(|lane| {
            tokio::spawn(async move {
                for round in 0..4 {
                    let post = Request::new(Method::POST, "/a").body("x").send(edge).await;
                    assert_eq!(post.status, 200, "lane {lane}, round {round}");
                    // Around the two seconds that the origin waits: that time passes is what is tested.
                    tokio::time::sleep(Duration::from_millis(1_800 + lane * 10)).await;
                }
            })
        })
        .collect();
    for lane in lanes {
        soon("a lane", lane).await.unwrap();
    }
    // One after the other in no time is another matter.
    let before = connections.load(Relaxed);
    for _ in 0..20 {
        let post = stack.edge().send(&Request::new(Method::POST, "/a").body("x")).await;
        assert_eq!((post.status.as_u16(), post.field("keep-alive")), (200, String::new()));
    }
    assert!(connections.load(Relaxed) <= before + 1);
}

/// An origin that answers every head with `answer`, and the number of connections to it.
async fn answering(answer: String) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Relaxed);
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {
                    if bytes.ends_with(b"\r\n\r\n") {
                        bytes.clear();
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    (addr, connections)
}

/// What follows an answer of two lengths may be anybody's (RFC 9112 §6.3).
#[tokio::test]
async fn a_connection_whose_answer_has_two_lengths_is_not_used_again() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    // (fields, connections for three requests)
    for (fields, expected) in [("", 1), ("Content-Length: 3\r\n", 3)] {
        let answer = format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n{fields}{chunked}");
        let (addr, connections) = answering(answer).await;
        let shape = Shape::single().site(move |site| site.origins = vec![upstream(addr).into()]);
        let stack = shape.start().await;
        for _ in 0..3 {
            let reply = stack.edge().get("/a").await;
            assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b"hello"[..]));
            assert_eq!(reply.field("content-length"), "");
        }
        assert_eq!(connections.load(Relaxed), expected, "{fields:?}");
    }
}

/// Requests one after the other take one connection, also right after each other.
#[tokio::test]
async fn connections_are_shared_by_requests_that_follow_one_another() {
    let stack = Shape::single().start().await;
    stack.serve("/a", "no-store", "hello");
    for _ in 0..50 {
        assert_eq!(stack.edge().get("/a").await.body, "hello");
    }
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.get("weir_upstream_connections_opened_total"), 1.0);
}

/// `localhost` is this machine by either family.
#[tokio::test]
async fn an_origin_on_localhost_is_found() {
    let stack = Shape::single().start().await;
    let port = stack.origin.addr().port();
    let shape = Shape::single()
        .site(move |site| site.origins = vec![UpstreamAddr::plain("localhost", port).into()]);
    stack.serve("/a", "no-store", "hello");
    assert_eq!(shape.start().await.edge().get("/a").await.body, "hello");
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_a_502_that_says_so() {
    let origin = UpstreamAddr::plain("nowhere.invalid", 80);
    let shape = Shape::single().site(move |site| site.origins = vec![origin.clone().into()]);
    let stack = shape.start().await;
    let reply = stack.edge().get("/a").await;
    assert_eq!(reply.status, 502);
    let said = reply.field("proxy-status");
    assert!(said.contains("; error=dns_"), "{said}");
    let metrics = stack.edge().metrics().await;
    assert!(metrics.sum("weir_upstream_connect_failures_total", &["step=\"lookup\""]) >= 1.0);
}
