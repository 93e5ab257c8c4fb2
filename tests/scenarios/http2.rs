//! Clients that speak HTTP/2: what they ask and get is what others ask and get.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use weir_node::config::LimitsConfig;
use weir_tests::frames::{END_HEADERS, END_STREAM, FrameRaw, fields, kind};
use weir_tests::{Raw, Shape, Stack, TestNode, soon};

/// Nodes that speak HTTP/2 without TLS.
fn spoken(shape: Shape) -> Shape {
    spoken_within(shape, |_| {})
}

/// The same with limits of the scenario's choice.
pub(crate) fn spoken_within(
    shape: Shape,
    edit: impl Fn(&mut LimitsConfig) + Send + Sync + 'static,
) -> Shape {
    shape.node(move |config| {
        config.h2c = true;
        edit(&mut config.limits);
    })
}

/// A connection to ask on.
pub(crate) type Client = SendRequest<Full<Bytes>>;

pub(crate) async fn client(node: &TestNode) -> Client {
    let stream = soon("a connection", TcpStream::connect(node.addr())).await.unwrap();
    let io = TokioIo::new(stream);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (client, connection) = soon("a handshake", handshake).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) fn request(
    method: Method,
    path: &str,
    body: &'static str,
) -> http::Request<Full<Bytes>> {
    let uri = format!("http://www.test{path}");
    http::Request::builder().method(method).uri(uri).body(Full::from(body)).unwrap()
}

pub(crate) async fn ask(
    client: &mut Client,
    request: http::Request<Full<Bytes>>,
) -> (http::response::Parts, Bytes) {
    let response: Response<Incoming> =
        soon("an answer", client.send_request(request)).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts, soon("a body", body.collect()).await.unwrap().to_bytes())
}

fn field(parts: &http::response::Parts, name: &str) -> String {
    parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn the_short_way_of_hits_gives_the_same_answer() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = spoken(shape).start().await;
        let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
        let script = script.header("vary", "accept-language").header("cache-tag", "t");
        let script = script.header("link", "a").header("link", "b").header("x-cache", "origin");
        script.header("content-digest", "d").body("0123456789").set();
        let mut client = client(stack.edge()).await;
        for range in ["", "bytes=2-4", "bytes=-3"] {
            let mut ask_with = async |name: &'static str, value: &'static str| {
                let mut asked = request(Method::GET, "/a", "");
                if !range.is_empty() {
                    asked.headers_mut().insert("range", range.parse().unwrap());
                }
                asked.headers_mut().insert("accept-language", "de".parse().unwrap());
                asked.headers_mut().insert(name, value.parse().unwrap());
                let (mut parts, body) = ask(&mut client, asked).await;
                let id = parts.headers.remove("x-request-id").unwrap();
                assert_eq!(id.len(), 16);
                (parts.status, parts.headers, body)
            };
            let taken = async || {
                let metrics = stack.edge().metrics().await;
                metrics.get("weir_express_requests_total")
            };
            for _ in 0..4 {
                ask_with("user-agent", "x").await;
            }
            let before = taken().await;
            let short = ask_with("user-agent", "x").await;
            assert!(taken().await > before, "{range}");
            // A trailer that is taken changes nothing here.
            let long = ask_with("te", "trailers").await;
            assert_eq!(short.0, long.0);
            assert_eq!(short.2, long.2);
            let fields = |headers: &http::HeaderMap| {
                let mut lines: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                    .filter(|line| !line.starts_with("cache-status"))
                    .collect();
                lines.sort();
                lines
            };
            assert_eq!(fields(&short.1), fields(&long.1), "{range}");
        }
    }
}

#[tokio::test]
async fn misses_hits_and_other_methods_are_answered() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = spoken(shape).start().await;
        stack.serve("/a", "max-age=60", "hello");
        let mut client = client(stack.edge()).await;
        for cache in ["MISS", "HIT"] {
            let (parts, body) = ask(&mut client, request(Method::GET, "/a", "")).await;
            assert_eq!((parts.version, parts.status.as_u16()), (Version::HTTP_2, 200));
            assert_eq!((field(&parts, "x-cache").as_str(), &body[..]), (cache, &b"hello"[..]));
            assert!(!parts.headers.contains_key("connection"));
        }
        let (parts, body) = ask(&mut client, request(Method::HEAD, "/a", "")).await;
        assert_eq!((field(&parts, "content-length").as_str(), body.len()), ("5", 0));
        let (parts, _) = ask(&mut client, request(Method::POST, "/up", "what is sent")).await;
        assert_eq!(parts.status, 200);
        assert_eq!(stack.origin.requests("/up")[0].body_len, 12);
        let via = stack.origin.requests("/up")[0].headers["via"].clone();
        assert!(via.to_str().unwrap().starts_with("2.0 "), "{via:?}");
        // The same stored response for those who speak HTTP/1.1.
        assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT");
    }
}

/// Many at once on one connection, of which one is stuck: the others are answered.
#[tokio::test]
async fn requests_of_one_connection_do_not_wait_for_each_other() {
    let stack = spoken(Shape::single()).start().await;
    let script = stack.answer("/slow", 200).header("cache-control", "max-age=60");
    let hold = script.body("slow").hold().set();
    let mut client = client(stack.edge()).await;
    let slow = tokio::spawn(client.send_request(request(Method::GET, "/slow", "")));
    hold.reached().await;
    for index in 0..50 {
        let (parts, _) = ask(&mut client, request(Method::GET, &format!("/{index}"), "")).await;
        assert_eq!(parts.status, 200);
    }
    assert_eq!(stack.edge().metrics().await.get("weir_connections"), 1.0);
    hold.release();
    assert_eq!(soon("the slow one", slow).await.unwrap().unwrap().status(), 200);
}

/// RFC 9113 §8.2.3: crumbs of a Cookie are one field for everyone behind.
#[tokio::test]
async fn cookies_in_crumbs_are_one_field_upstream() {
    let stack = spoken(Shape::single()).start().await;
    let mut client = client(stack.edge()).await;
    let mut crumbs = request(Method::GET, "/a", "");
    for crumb in ["a=1", "b=2", "c=3"] {
        crumbs.headers_mut().append("cookie", crumb.parse().unwrap());
    }
    ask(&mut client, crumbs).await;
    let seen = stack.origin.requests("/a").pop().unwrap();
    let lines: Vec<_> = seen.headers.get_all("cookie").iter().collect();
    assert_eq!(lines, ["a=1; b=2; c=3"]);
}

/// The bound on fields is that of HTTP/1.1, and crumbs of a Cookie are one field.
#[tokio::test]
async fn fields_above_the_bound_are_refused() {
    let stack = spoken_within(Shape::single(), |limits| limits.fields_max = 20).start().await;
    let mut client = client(stack.edge()).await;
    for (name, status) in [("cookie", 200), ("x-many", 431)] {
        let mut many = request(Method::GET, "/a", "");
        for index in 0..50 {
            many.headers_mut().append(name, format!("a{index}=1").parse().unwrap());
        }
        assert_eq!(ask(&mut client, many).await.0.status, status, "{name}");
    }
    assert_eq!(stack.origin.hits("/a"), 1);
}

/// An answer that breaks off is seen to break off.
#[tokio::test]
async fn a_body_cut_upstream_resets_its_stream_only() {
    let stack = spoken(Shape::single()).start().await;
    stack.answer("/cut", 200).body("hello, world").send(5).then_close().set();
    let mut client = client(stack.edge()).await;
    let response = soon("a head", client.send_request(request(Method::GET, "/cut", ""))).await;
    assert!(soon("the end", response.unwrap().into_body().collect()).await.is_err());
    let (parts, _) = ask(&mut client, request(Method::GET, "/a", "")).await;
    assert_eq!(parts.status, 200, "the connection goes on");
}

#[tokio::test]
async fn an_idle_connection_is_ended_with_a_word() {
    let idle = Duration::from_millis(200);
    let shape = spoken_within(Shape::single(), move |limits| {
        limits.idle_timeout = idle;
        // A client that does not answer is not waited for longer than this.
        limits.write_timeout = idle;
    });
    let stack = shape.start().await;
    let mut raw = FrameRaw::connect(stack.edge().addr(), 65_535).await;
    raw.ask(1, "/a").await;
    assert_eq!(raw.ended().await, Some(0), "NO_ERROR");
    assert!(raw.next_of(kind::DATA).await.is_none());
}

/// RFC 9113 §6.8: a node that goes away answers what has been asked.
#[tokio::test]
async fn a_node_that_goes_away_answers_what_has_been_asked() {
    let stack = spoken(Shape::single()).start().await;
    let hold = stack.answer("/slow", 200).body("slow").hold().set();
    let mut client = client(stack.edge()).await;
    let slow = tokio::spawn(client.send_request(request(Method::GET, "/slow", "")));
    hold.reached().await;
    let Stack { mut edges, .. } = stack;
    let leaving = tokio::spawn(edges.remove(0).shutdown());
    hold.release();
    let response = soon("an answer", slow).await.unwrap().unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "slow");
    soon("the end", leaving).await.unwrap();
}

#[tokio::test]
async fn without_being_told_a_node_speaks_no_http2() {
    let stack = Shape::single().start().await;
    let mut raw = FrameRaw::connect(stack.edge().addr(), 65_535).await;
    raw.ask(1, "/a").await;
    let answer = raw.raw.rest().await;
    assert!(!answer.starts_with(&[0, 0]), "{answer:?}");
    assert_eq!(stack.origin.total(), 0);
}

/// A beginning that could become HTTP/2 and does not, and one that comes byte by byte.
#[tokio::test]
async fn the_protocol_is_told_by_the_whole_preface() {
    let stack = spoken(Shape::single()).start().await;
    let mut raw = Raw::connect(stack.edge().addr()).await;
    for piece in ["P", "UT /a HTTP/1.1\r\nHost: www.test\r\nContent-Length: 0\r\n\r\n"] {
        raw.write(piece).await;
    }
    assert_eq!(raw.response().await.status, 200);
    let mut raw = Raw::connect(stack.edge().addr()).await;
    raw.try_write("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
    raw.rest().await;
    assert_eq!(stack.origin.total(), 1);
}

/// The fields of a request.
type Lines = Vec<(&'static str, &'static [u8])>;

const BASE: [(&str, &[u8]); 4] =
    [(":method", b"GET"), (":scheme", b"http"), (":authority", b"www.test"), (":path", b"/a")];

/// Requests that are none, and why.
fn none_at_all() -> Vec<(&'static str, Lines)> {
    let with = |name, value| [&BASE[..], &[(name, value)]].concat();
    let without = |left_out: usize| {
        let kept = BASE.iter().enumerate().filter(|(index, _)| *index != left_out);
        kept.map(|(_, line)| *line).collect::<Vec<_>>()
    };
    let other = |index: usize, value| {
        let mut lines = BASE.to_vec();
        lines[index].1 = value;
        lines
    };
    let lengths: [(&str, &[u8]); 2] = [("content-length", b"0"), ("content-length", b"1")];
    vec![
        ("CR and LF in a value", with("x", b"a\r\nGET /smuggled HTTP/1.1")),
        ("LF in a value", with("x", b"a\nb")),
        ("NUL in a value", with("x", b"a\0b")),
        ("LF in a name", with("x\ny", b"a")),
        ("a colon in a name", with("x:y", b"a")),
        ("a space in a name", with("x y", b"a")),
        ("upper case in a name", with("X-Y", b"a")),
        ("an empty name", with("", b"a")),
        ("Connection", with("connection", b"close")),
        ("Transfer-Encoding", with("transfer-encoding", b"chunked")),
        ("Keep-Alive", with("keep-alive", b"1")),
        ("Proxy-Connection", with("proxy-connection", b"close")),
        ("Upgrade", with("upgrade", b"websocket")),
        ("TE other than trailers", with("te", b"gzip")),
        ("a pseudo-field after fields", [&[("x", &b"y"[..])], &BASE[..]].concat()),
        ("an unknown pseudo-field", with(":host", b"b.test")),
        ("a pseudo-field twice", with(":path", b"/b")),
        ("an answer's pseudo-field", with(":status", b"200")),
        ("no method", without(0)),
        ("no scheme", without(1)),
        ("no path", without(3)),
        ("an empty path", other(3, b"")),
        ("a path with a space", other(3, b"/a HTTP/1.1\r\nx: y")),
        ("a path with LF", other(3, b"/a\nb")),
        ("a method with a space", other(0, b"GET / HTTP/1.1")),
        ("an authority with a user", other(2, b"u@www.test")),
        ("an authority with a path", other(2, b"www.test/b")),
        ("an empty authority", other(2, b"")),
        ("another scheme", other(1, b"ftp")),
        ("a scheme of another listener", other(1, b"https")),
        ("Host that differs", with("host", b"b.test")),
        ("neither authority nor Host", without(2)),
        ("a length that is none", with("content-length", b"+0")),
        ("two lengths", [&BASE[..], &lengths].concat()),
        ("a length without a body", with("content-length", b"5")),
        ("CONNECT", vec![(":method", b"CONNECT"), (":authority", b"www.test:80")]),
        (
            "extended CONNECT",
            [&[(":protocol", &b"websocket"[..])], &other(0, b"CONNECT")[..]].concat(),
        ),
    ]
}

/// Whether stream 1 ends in a reset, the end of the connection, or an error.
async fn is_refused(raw: &mut FrameRaw) -> bool {
    while let Some(frame) = raw.next().await {
        match frame.kind {
            kind::RST_STREAM | kind::GOAWAY => return true,
            // The static table: 8 is 200, 12 is 400, and other errors are literals (RFC 7541, appendix A).
            kind::HEADERS => return matches!(frame.payload[0], 0x8c | 0x48 | 0x08),
            _ => {}
        }
    }
    true
}

/// What HTTP/1.1 could not express, or would read as something else, ends at its stream.
#[tokio::test]
async fn requests_that_are_none_reset_their_stream_and_go_nowhere() {
    let stack = spoken(Shape::tiers(1, 1)).start().await;
    stack.serve("/fine", "max-age=60", "fine");
    stack.edge().get("/fine").await;
    let before = stack.origin.total();
    for (why, lines) in none_at_all() {
        let mut raw = FrameRaw::connect(stack.edge().addr(), 65_535).await;
        raw.send(kind::HEADERS, END_HEADERS | END_STREAM, 1, &fields(&lines)).await;
        assert!(is_refused(&mut raw).await, "{why}");
        assert_eq!(stack.origin.total(), before, "{why} went upstream");
        assert_eq!(stack.edge().get("/fine").await.x_cache(), "HIT", "after {why}");
    }
    for node in stack.nodes() {
        assert_eq!(node.metrics().await.get("weir_panics_total"), 0.0);
    }
}
