//! Requests that can be read in two ways, or not at all: refused, forwarded to nobody, and without
//! effect on the next request.

use weir_node::config::UnknownHost;
use weir_tests::{Raw, Shape, Stack, raw_exchange};

/// What the node does with one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// This status; the connection ends after all but 405.
    Refused(u16),
    /// The connection ends without an answer: there is no request to answer.
    Cut,
}

use Answer::{Cut, Refused};

/// (bytes, answer, why). `{long}` stands for 20,000 letters, `{huge}` for 200,000, `{many}` for 200
/// fields.
const CASES: &[(&str, Answer, &str)] = &[
    // The target and who is asked.
    ("GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", Refused(400), "two Hosts"),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", Refused(400), "the same Host twice"),
    ("GET / HTTP/1.1\r\n\r\n", Refused(400), "no Host (RFC 9112 §3.2)"),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Refused(400), "an empty Host"),
    ("GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n", Refused(400), "two in one Host"),
    ("GET / HTTP/1.1\r\nHost: u@a.test\r\n\r\n", Refused(400), "user information in Host"),
    ("GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n", Refused(400), "a path in Host"),
    ("GET / HTTP/1.1\r\nHost: a.test:0x50\r\n\r\n", Refused(400), "a port that is no number"),
    ("GET / HTTP/1.1\r\nHost: a..test\r\n\r\n", Refused(400), "an empty label"),
    ("GET / HTTP/1.1\r\nHost: \u{e9}.test\r\n\r\n", Refused(400), "a Host that is not ASCII"),
    ("GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n", Refused(400), "two names (§3.2.2)"),
    ("GET http://a.test/ HTTP/1.1\r\n\r\n", Refused(400), "absolute form without Host"),
    ("GET http://u:p@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "a password"),
    ("GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "another scheme"),
    (
        "GET https://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        Refused(400),
        "what belongs on a secured connection (RFC 9110 §7.4)",
    ),
    ("GET /%zz HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "an escape without digits"),
    ("GET /% HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "an escape cut short"),
    ("GET /a\\b HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "a backslash"),
    ("GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "a space in the target"),
    ("GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "NUL in the target"),
    ("GET /\x7f HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "DEL in the target"),
    ("GET /\u{e9} HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "a target that is not ASCII"),
    ("GET a HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "no slash"),
    ("GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "the asterisk form names nothing"),
    ("GET /a#b HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "a fragment (RFC 9112 §3.2)"),
    ("GET /?a#b HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "a fragment after a query"),
    ("GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "two spaces"),
    ("GET /{long} HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(414), "a target over url_max"),
    ("GET /{huge} HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(431), "a target over head_max"),
    ("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", Refused(405), "no tunnels"),
    ("TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(405), "no echo"),
    // The head.
    ("nonsense\r\n\r\n", Refused(400), "no request"),
    ("GET / HTTP/9.9\r\nHost: a.test\r\n\r\n", Refused(400), "an unknown version"),
    ("GET / http/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "a version in lower case"),
    ("GET /\r\n\r\n", Refused(400), "HTTP/0.9"),
    ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\r\n\r\n", Refused(400), "TLS where it is not spoken"),
    (
        "G\x01T / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        Refused(400),
        "a control character in the method",
    ),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nX : y\r\n\r\n", Refused(400), "a space before the colon"),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nX\t: y\r\n\r\n", Refused(400), "a tab before the colon"),
    ("GET / HTTP/1.1\r\nHost: a.test\r\n: y\r\n\r\n", Refused(400), "no name"),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nX\r\n\r\n", Refused(400), "no colon"),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nX: a\0b\r\n\r\n", Refused(400), "NUL in a value"),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nX: a\rb\r\n\r\n", Refused(400), "a bare CR"),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nX: a\x01b\r\n\r\n", Refused(400), "a control character"),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nX: a\r\n b\r\n\r\n", Refused(400), "a folded line (§5.2)"),
    ("GET / HTTP/1.1\r\n Host: a.test\r\n\r\n", Refused(400), "a space before the first field"),
    ("GET / HTTP/1.1\r\nHost: a.test\r\n{many}\r\n", Refused(431), "fields over fields_max"),
    ("GET / HTTP/1.1\r\nHost: a.test\r\nX: {huge}\r\n\r\n", Refused(431), "a head over head_max"),
    ("GET / HTTP/1.1\nHost: a.test\n\n", Refused(400), "lines that end in LF alone"),
    (
        "GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n",
        Refused(400),
        "one line that ends in LF alone",
    ),
    ("GET / HTTP/1.1\r\nHost: a.test\r\n\n", Refused(400), "an empty line that is LF alone"),
    ("\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n", Refused(400), "LF before the request"),
    // Where the body ends.
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        Refused(501),
        "a coding that is not taken (§6.1)",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
        "chunked twice",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1, 1\r\n\r\nx",
        Refused(400),
        "a list of lengths that agree",
    ),
    (
        "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
        "chunks in HTTP/1.0 (§6.1)",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: identity\r\n\r\nx",
        Refused(400),
        "a coding that frames nothing",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        Refused(400),
        "chunked is not last",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        Refused(400),
        "part of a name",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        Refused(400),
        "a vertical tab before it",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        Refused(400),
        "two lengths",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1, 2\r\n\r\nxy",
        Refused(400),
        "in one line",
    ),
    ("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: +1\r\n\r\nx", Refused(400), "a plus sign"),
    ("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: -1\r\n\r\nx", Refused(400), "below zero"),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0x1\r\n\r\nx",
        Refused(400),
        "hexadecimal",
    ),
    ("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length:\r\n\r\n", Refused(400), "an empty length"),
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 18446744073709551616\r\n\r\n",
        Refused(400),
        "a length beyond 64 bits",
    ),
    // What is expected.
    (
        "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 200-ok\r\nContent-Length: 0\r\n\r\n",
        Refused(417),
        "something that nobody can promise (RFC 9110 §10.1.1)",
    ),
    (
        "OPTIONS / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue, x\r\nContent-Length: 1\r\n\r\n",
        Refused(417),
        "a list",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n",
        Refused(417),
        "the same twice",
    ),
    // Nothing to answer.
    ("", Cut, "nothing"),
    ("GET / HTTP/1.1\r\nHost: a.t", Cut, "half a head"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Cut, "HTTP/2 where it is not spoken"),
];

fn bytes(case: &str) -> Vec<u8> {
    let many: String = (0..200).map(|index| format!("x{index}: y\r\n")).collect();
    case.replace("{long}", &"a".repeat(20_000))
        .replace("{huge}", &"a".repeat(200_000))
        .replace("{many}", &many)
        .into_bytes()
}

/// What came back, shortened to a status.
fn seen(answer: &str) -> Answer {
    match answer.get(9..12).and_then(|digits| digits.parse().ok()) {
        Some(status) => Refused(status),
        None => Cut,
    }
}

async fn assert_unharmed(stack: &Stack, why: &str) {
    assert_eq!(stack.edge().get("/fine").await.status, 200, "after {why}");
    for node in stack.nodes() {
        assert_eq!(node.metrics().await.get("weir_panics_total"), 0.0, "after {why}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_in_one_way_is_refused() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        stack.edge().get("/fine").await;
        let before = stack.origin.total();
        let mut wrong = Vec::new();
        for &(case, expected, why) in CASES {
            let answer = answered(&stack, case, expected).await;
            if answer != expected {
                wrong.push(format!("{why}: {answer:?} instead of {expected:?}"));
            }
            assert_unharmed(&stack, why).await;
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(stack.origin.total(), before, "none of it went upstream");
    }
}

/// What one input gets, and waits until the connection has ended where it must.
async fn answered(stack: &Stack, case: &str, expected: Answer) -> Answer {
    let mut raw = Raw::connect(stack.edge().addr()).await;
    raw.try_write(bytes(case)).await;
    if expected == Cut {
        raw.end().await;
    }
    let answer = raw.status().await.map_or(Cut, Refused);
    // A request that was understood and refused ends nothing.
    if answer == expected && expected != Refused(405) {
        raw.rest().await;
    }
    answer
}

/// What follows a refused request is not read as a request: nobody knows where that one ended.
#[tokio::test]
async fn nothing_is_read_after_a_refused_request() {
    let stack = Shape::single().start().await;
    let after = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for head in [
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nX : y\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ] {
        let answer = raw_exchange(stack.edge().addr(), format!("{head}{after}").as_bytes()).await;
        assert_eq!(seen(&answer), Refused(400), "{head}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    assert_eq!(stack.origin.total(), 0);
}

/// RFC 9112 §6.3 lets a server read such a request by its chunks alone; who reads it by its length finds
/// another request in it.
#[tokio::test]
async fn a_request_with_length_and_chunks_goes_nowhere() {
    let stack = Shape::tiers(1, 1).start().await;
    let both = ["Content-Length: 5", "Transfer-Encoding: chunked"];
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for method in ["POST", "GET"] {
        for [first, second] in [[both[0], both[1]], [both[1], both[0]]] {
            let head =
                format!("{method} /up HTTP/1.1\r\nHost: a.test\r\n{first}\r\n{second}\r\n\r\n");
            let request = format!("{head}0\r\n\r\n{smuggled}");
            let answer = raw_exchange(stack.edge().addr(), request.as_bytes()).await;
            assert_eq!(seen(&answer), Refused(400), "{answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        }
    }
    assert_eq!(stack.origin.total(), 0);
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.sum("weir_refused_total", &["reason=\"framing\""]), 4.0);
    assert_unharmed(&stack, "both").await;
}

/// Bodies where none is meant: on GET and HEAD, answered from the store, from upstream, by 304 and by
/// an error of ours. What is in them is never a request.
#[tokio::test]
async fn a_body_that_nobody_reads_is_never_a_request() {
    let stack = Shape::single().start().await;
    let script = stack.answer("/hit", 200).header("cache-control", "max-age=60");
    script.header("etag", "\"v1\"").body("hello").set();
    stack.edge().get("/hit").await;
    let inner = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let cases = [
        ("GET /hit", "", 200),
        ("HEAD /hit", "", 200),
        ("GET /hit", "If-None-Match: \"v1\"\r\n", 304),
        ("GET /hit", "Range: bytes=99-\r\n", 416),
        ("GET /miss", "", 200),
        ("TRACE /hit", "", 405),
    ];
    for (line, field, status) in cases {
        let framings = [
            format!("Content-Length: {}\r\n\r\n{inner}", inner.len()),
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()),
        ];
        for framing in framings {
            let mut raw = Raw::connect(stack.edge().addr()).await;
            raw.write(format!("{line} HTTP/1.1\r\nHost: a.test\r\n{field}{framing}")).await;
            let answer = raw.head().await;
            assert_eq!(seen(&answer), Refused(status), "{line} {field}");
            raw.try_write("GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await;
            let rest = String::from_utf8_lossy(&raw.rest().await).into_owned();
            assert!(rest.matches("HTTP/1.1 ").count() <= 1, "{line} {field}: {rest}");
        }
    }
    assert_eq!(stack.origin.hits("/smuggled"), 0);
}

/// The head is fine and the body turns out not to be: upstream must not take it for whole.
#[tokio::test]
async fn a_body_that_breaks_off_is_not_passed_on_as_whole() {
    let chunked = "POST /up HTTP/1.1\r\nHost: www.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let lengthy = "POST /up HTTP/1.1\r\nHost: www.test\r\nContent-Length: 10\r\n\r\n";
    let cases = [
        (chunked, "5\r\nhello\r\nzz\r\n", "a size that is no number"),
        (chunked, "5\r\nhello\r\n+5\r\nhello\r\n0\r\n\r\n", "a sign before the size"),
        (chunked, "5\r\nhello\r\n0x5\r\nhello\r\n0\r\n\r\n", "a size with a prefix"),
        (chunked, "5\r\nhello\r\n 5\r\nhello\r\n0\r\n\r\n", "a space before the size"),
        (chunked, "5\r\nhello\r\nffffffffffffffffff\r\n", "a size beyond 64 bits"),
        (chunked, "5\r\nhelloXX5\r\nhello\r\n0\r\n\r\n", "no line end after a chunk"),
        (chunked, "5\r\nhello\r\n5\nhello\r\n0\r\n\r\n", "a bare LF after a size"),
        (chunked, "5\r\nhello\r\n\r\n\r\n", "an empty size"),
        (chunked, "5\r\nhello\r\n", "cut between chunks"),
        (chunked, "5\r\nhe", "cut in a chunk"),
        (lengthy, "hello", "cut before the length"),
    ];
    let stack = Shape::single().start().await;
    for (head, body, why) in cases {
        let mut raw = Raw::connect(stack.edge().addr()).await;
        raw.write(format!("{head}{body}")).await;
        raw.end().await;
        let answer = String::from_utf8_lossy(&raw.rest().await).into_owned();
        assert!(matches!(seen(&answer), Cut | Refused(400)), "{why}: {answer}");
        assert_unharmed(&stack, why).await;
    }
    let whole = stack.origin.requests("/up").into_iter().filter(|seen| seen.body_len >= 10);
    assert_eq!(whole.count(), 0);
}

#[tokio::test]
async fn a_host_that_no_site_has_is_refused_as_configured() {
    for (unknown_host, status) in [(UnknownHost::Misdirected, 421), (UnknownHost::NotFound, 404)] {
        let stack = Shape::single()
            .site(|site| {
                site.hosts = ["www.test", "*.shop.test"].map(|host| host.parse().unwrap()).into();
            })
            .node(move |config| config.unknown_host = unknown_host)
            .start()
            .await;
        let cases = [
            ("www.test", 200),
            ("WWW.TEST:8080", 200),
            ("a.b.shop.test", 200),
            ("shop.test", status),
            ("evilshop.test", status),
            ("127.0.0.1", status),
            ("www.test.evil.test", status),
        ];
        for (host, expected) in cases {
            let mut raw = Raw::connect(stack.edge().addr()).await;
            raw.write(format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            let reply = raw.response().await;
            assert_eq!(reply.status, expected, "{host}");
            if expected != 200 {
                assert_eq!(reply.field("cache-control"), "no-store", "{host}");
            }
        }
        let refused =
            stack.edge().metrics().await.sum("weir_refused_total", &["reason=\"unknown-host\""]);
        assert_eq!(refused, 4.0);
    }
}

/// A method that is refused says which are not (RFC 9110 §15.5.6), and why is counted.
#[tokio::test]
async fn a_refused_method_says_what_is_allowed() {
    let stack = Shape::single().start().await;
    let mut raw = Raw::connect(stack.edge().addr()).await;
    raw.write("TRACE / HTTP/1.1\r\nHost: a.test\r\nCookie: secret\r\n\r\n").await;
    let reply = raw.response().await;
    assert_eq!(reply.status, 405);
    assert!(reply.field("allow").contains("GET"), "{}", reply.head);
    assert!(!String::from_utf8_lossy(&reply.body).contains("secret"));
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.sum("weir_refused_total", &["reason=\"method\""]), 1.0);
}

/// Targets of 8,000 bytes must pass (RFC 9110 §4.1), and so must heads within the bounds.
#[tokio::test]
async fn what_is_within_the_bounds_passes() {
    let stack = Shape::tiers(1, 1).start().await;
    let long = format!("/{}", "a".repeat(8_000));
    assert_eq!(stack.edge().get(&long).await.status, 200);
    let mut raw = Raw::connect(stack.edge().addr()).await;
    let fields: String =
        (0..80).map(|index| format!("x{index}: {}\r\n", "y".repeat(400))).collect();
    raw.write(format!("GET /a HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n")).await;
    assert_eq!(raw.response().await.status, 200);
    let seen = stack.origin.requests("/a").pop().unwrap();
    assert_eq!(seen.headers["x79"].len(), 400);
}
