//! Several ranges of one stored response in one answer, and what a request cannot make of them
//! (RFC 9110 §14.6, §15.3.7.2).

use http::{Method, StatusCode};
use weir_tests::{Raw, Reply, Request, Shape, Stack, TestNode};

const LEN: usize = 4000;
const TYPE: &str = "text/plain; charset=utf-8";

fn body() -> Vec<u8> {
    weir_origin_mock::pattern_bytes("/a", 1, 0..LEN as u64)
}

fn script(stack: &Stack, fields: &[(&str, &str)]) {
    let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
    let script = script.header("etag", "\"v1\"").header("content-type", TYPE);
    fields
        .iter()
        .fold(script, |script, (name, value)| script.header(name, value))
        .body(body())
        .set();
}

/// A node that has stored the response.
async fn warm() -> Stack {
    let stack = Shape::single().start().await;
    script(&stack, &[]);
    stack.edge().get("/a").await;
    stack
}

async fn ask(node: &TestNode, ranges: &str) -> Reply {
    node.send(&Request::get("/a").header("range", ranges)).await
}

/// One part as the answer says it.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    first: usize,
    last: usize,
    bytes: Vec<u8>,
}

fn part(first: usize, last: usize) -> Part {
    Part { first, last, bytes: body()[first..=last].to_vec() }
}

fn boundary(reply: &Reply) -> String {
    let content_type = reply.field("content-type");
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=");
    boundary.unwrap_or_else(|| panic!("not in parts: {content_type:?}")).to_owned()
}

/// Reads an answer of several parts by the boundary alone, and fails if a byte is out of place.
fn parts(reply: &Reply) -> Vec<Part> {
    assert_eq!(reply.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(reply.field("content-length"), reply.body.len().to_string());
    assert_eq!(reply.field("content-range"), "", "only parts have one");
    let boundary = boundary(reply);
    let end = format!("\r\n--{boundary}--\r\n");
    let inside = reply.body.strip_suffix(end.as_bytes()).expect("the last boundary");
    let first = format!("--{boundary}\r\n");
    let mut rest = inside.strip_prefix(first.as_bytes()).expect("the first boundary");
    let between = format!("\r\n--{boundary}\r\n");
    let mut parts = Vec::new();
    while let Some(at) = find(rest, between.as_bytes()) {
        parts.push(read_part(&rest[..at]));
        rest = &rest[at + between.len()..];
    }
    parts.push(read_part(rest));
    parts
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|found| found == what)
}

fn read_part(part: &[u8]) -> Part {
    let at = find(part, b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&part[..at]).unwrap();
    let (content_type, content_range) = head.split_once("\r\n").unwrap();
    assert_eq!(content_type, format!("Content-Type: {TYPE}"), "as stored");
    let range = content_range.strip_prefix("Content-Range: bytes ").unwrap();
    let range = range.strip_suffix(&format!("/{LEN}")).unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let bytes = part[at + 4..].to_vec();
    Part { first: first.parse().unwrap(), last: last.parse().unwrap(), bytes }
}

#[tokio::test]
async fn several_ranges_are_cut_from_the_store() {
    // (Range, parts, why)
    type Case = (&'static str, &'static [(usize, usize)], &'static str);
    const CASES: &[Case] = &[
        ("bytes=0-9,100-199", &[(0, 9), (100, 199)], "two pieces"),
        ("bytes=100-199,0-9", &[(100, 199), (0, 9)], "in the order asked"),
        ("bytes=0-0,-1", &[(0, 0), (3999, 3999)], "the first byte and the last"),
        ("bytes=-10,0-9,3000-", &[(0, 9), (3000, 3999)], "overlapping ones are joined and sorted"),
        ("bytes=0-9,10-19,30-39", &[(0, 19), (30, 39)], "touching ones too"),
        ("bytes=0-9, 20-29 ,\t40-49", &[(0, 9), (20, 29), (40, 49)], "white space"),
        ("bytes=,0-9,,20-29,", &[(0, 9), (20, 29)], "empty members"),
        ("bytes=0-9,3990-99999", &[(0, 9), (3990, 3999)], "an end too far"),
        (
            "bytes=0-9,3990-99999999999999999999999",
            &[(0, 9), (3990, 3999)],
            "an end beyond all numbers",
        ),
        ("bytes=0-9,20-29,4000-,-0", &[(0, 9), (20, 29)], "what does not exist is left out"),
        ("BYTES=0-9,20-29", &[(0, 9), (20, 29)], "units fold case"),
    ];
    let stack = warm().await;
    for &(ranges, expected, why) in CASES {
        let reply = ask(stack.edge(), ranges).await;
        let expected: Vec<Part> = expected.iter().map(|&(first, last)| part(first, last)).collect();
        assert_eq!(parts(&reply), expected, "{why}");
        assert_eq!(
            (reply.x_cache(), reply.field("etag")),
            ("HIT".into(), "\"v1\"".into()),
            "{why}"
        );
    }
    assert_eq!(stack.origin.hits("/a"), 1);
}

/// Whatever is asked, no answer is longer than the whole with its fields, and none fails.
#[tokio::test]
async fn no_list_of_ranges_makes_an_answer_longer_than_the_whole() {
    let list = |count: usize, step: usize| -> String {
        (0..count).map(|n| format!("{0}-{0},", n * step)).collect()
    };
    // (ranges, status, bytes or at most the whole, why)
    let cases: &[(String, u16, Option<usize>, &str)] = &[
        (list(1_300, 2), 200, Some(LEN), "1,300 single bytes"),
        (list(1_300, 1), 206, Some(1_300), "1,300 single bytes in a row are one range"),
        (list(1_300, 0), 206, Some(1), "1,300 times the same byte"),
        (list(17, 9), 200, Some(LEN), "one more than the bound"),
        (list(16, 9), 206, None, "the bound"),
        ("0-,0-".into(), 206, Some(LEN), "the whole twice is the whole"),
        ("0-,".repeat(1_000), 206, Some(LEN), "a thousand times"),
        ("0-,0-,-1,1-".into(), 206, Some(LEN), "in other words"),
        ("0-1000,0-1000,0-1000,0-1000,2000-".into(), 200, Some(LEN), "more asked than there is"),
        ("0-1999,2001-".into(), 200, Some(LEN), "all but a byte: heads would make it longer"),
        ("18446744073709551615-,18446744073709551616-".into(), 416, Some(0), "2^64 and one less"),
        ("9223372036854775807-9223372036854775808,5000-".into(), 416, Some(0), "2^63"),
        ("-0,-0".into(), 416, Some(0), "nothing, twice"),
        ("4000-,5000-6000".into(), 416, Some(0), "all behind the end"),
        ("-18446744073709551616,0-0".into(), 206, Some(LEN), "a suffix of 2^64"),
        ("0-0,5-4".into(), 200, Some(LEN), "one backwards spoils the field"),
        ("0-0,--5".into(), 200, Some(LEN), "a negative number"),
        ("0-0 2-2".into(), 200, Some(LEN), "no comma"),
        ("0-0,0x10-".into(), 200, Some(LEN), "no decimal"),
        (",,,".into(), 200, Some(LEN), "nothing but commas"),
    ];
    let stack = warm().await;
    for (ranges, status, bytes, why) in cases {
        let reply = ask(stack.edge(), &format!("bytes={ranges}")).await;
        assert_eq!(reply.status.as_u16(), *status, "{why}");
        assert!(!reply.cut && reply.body.len() <= LEN, "{why}");
        assert!(bytes.is_none_or(|bytes| reply.body.len() == bytes), "{why}: {}", reply.body.len());
        if *status == 416 {
            assert_eq!(reply.field("content-range"), "bytes */4000", "{why}");
        }
    }
    assert_eq!(stack.origin.hits("/a"), 1);
}

#[tokio::test]
async fn conditions_count_before_several_ranges() {
    let stack = warm().await;
    let ranges = || Request::get("/a").header("range", "bytes=0-9,20-29");
    // (field, value, status, why)
    let cases = [
        ("if-range", "\"v1\"", 206, "the tag holds"),
        ("if-range", "\"v2\"", 200, "another tag: the whole"),
        ("if-range", "W/\"v1\"", 200, "a weak tag never holds"),
        ("if-none-match", "\"v1\"", 304, "the client has it"),
        ("if-none-match", "\"v2\"", 206, "the client has another"),
    ];
    for (name, value, status, why) in cases {
        let reply = stack.edge().send(&ranges().header(name, value)).await;
        assert_eq!(reply.status.as_u16(), status, "{why}");
        match status {
            200 => assert_eq!(reply.body, body(), "{why}"),
            206 => assert_eq!(parts(&reply), [part(0, 9), part(20, 29)], "{why}"),
            _ => assert!(reply.body.is_empty(), "{why}"),
        }
    }
}

/// A digest of the content is one of the whole (RFC 9530 §2 and §3).
#[tokio::test]
async fn parts_carry_no_digest_of_the_whole_content() {
    let stack = Shape::single().start().await;
    let fields = [("content-digest", "sha-256=:AAAA:"), ("repr-digest", "sha-256=:AAAA:")];
    script(&stack, &fields);
    stack.edge().get("/a").await;
    // (Range, Content-Digest)
    for (ranges, digest) in
        [("bytes=0-9", ""), ("bytes=0-9,20-29", ""), ("lines=1", "sha-256=:AAAA:")]
    {
        let reply = ask(stack.edge(), ranges).await;
        assert_eq!(reply.field("content-digest"), digest, "{ranges}");
        assert_eq!(reply.field("repr-digest"), "sha-256=:AAAA:", "{ranges}");
    }
}

/// Ranges are for GET only (RFC 9110 §14.2).
#[tokio::test]
async fn head_is_told_about_the_whole() {
    let stack = warm().await;
    let head = Request::new(Method::HEAD, "/a").header("range", "bytes=0-9,20-29");

    let reply = stack.edge().send(&head).await;

    assert_eq!((reply.status, reply.x_cache().as_str()), (StatusCode::OK, "HIT"));
    assert_eq!(
        (reply.field("content-length"), reply.field("content-type")),
        ("4000".into(), TYPE.into())
    );
}

/// A length that were wrong by a byte would spoil the next answer.
#[tokio::test]
async fn the_connection_goes_on_after_an_answer_in_parts() {
    let stack = warm().await;
    let mut client = Raw::connect(stack.edge().addr()).await;
    let ask = "GET /a HTTP/1.1\r\nHost: www.test\r\nRange: bytes=0-9,20-29\r\n\r\n";
    client.write(ask.repeat(2)).await;

    let (one, other) = (client.response().await, client.response().await);

    assert_eq!((one.status, other.status), (206, 206));
    assert_eq!(one.body.len(), other.body.len());
    assert_ne!(one.field("content-type"), other.field("content-type"), "a boundary is used once");
    assert_eq!(client.get("/a").await.body, body());
}

/// A coding of the parts could not be told from a coding of the multipart content.
#[tokio::test]
async fn an_encoded_response_is_sent_whole() {
    let stack = Shape::single().start().await;
    script(&stack, &[("content-encoding", "gzip")]);
    stack.edge().get("/a").await;

    let reply = ask(stack.edge(), "bytes=0-9,20-29").await;

    assert_eq!((reply.status, reply.x_cache().as_str()), (StatusCode::OK, "HIT"));
    assert_eq!((reply.field("content-encoding"), reply.body.to_vec()), ("gzip".into(), body()));
    let one = ask(stack.edge(), "bytes=20-29").await;
    assert_eq!(
        (one.status, one.body.to_vec()),
        (StatusCode::PARTIAL_CONTENT, body()[20..30].to_vec())
    );
}

#[tokio::test]
async fn several_ranges_of_a_fill_under_way_get_the_whole() {
    let stack = Shape::single().start().await;
    let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
    let hold = script.body(body()).send(500).hold().set();
    let first = stack.edge().spawn_get("/a");
    hold.reached().await;
    let request = Request::get("/a").header("range", "bytes=0-9,20-29");

    let joined = request.start(stack.edge().addr()).await;
    hold.release();

    assert_eq!(joined.status, StatusCode::OK);
    assert_eq!(joined.finish().await.body, body());
    assert_eq!(first.await.unwrap().body, body());
    assert_eq!(stack.origin.hits("/a"), 1);
}

/// A tier that has nothing passes the ranges on; the tier that has the response makes the parts.
#[tokio::test]
async fn parts_come_from_the_tier_that_has_the_whole() {
    let stack = Shape::tiers(2, 1).start().await;
    script(&stack, &[]);
    stack.edges[0].get("/a").await;

    let reply = ask(&stack.edges[1], "bytes=20-29,0-9").await;

    assert_eq!(parts(&reply), [part(20, 29), part(0, 9)]);
    assert_eq!(reply.cache_status(), "edge; fwd=uri-miss; detail=range");
    assert_eq!(stack.origin.hits("/a"), 1);
    let whole = stack.edges[1].get("/a").await;
    assert_eq!(
        (whole.status, whole.body.to_vec()),
        (StatusCode::OK, body()),
        "no part as the whole"
    );
}
