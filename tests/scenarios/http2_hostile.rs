//! HTTP/2 connections that keep the node busy or hold what it has: ended, counted, and felt by nobody else.

use std::time::{Duration, Instant};

use weir_tests::frames::{END_HEADERS, END_STREAM, FrameRaw, frame, get, kind};
use weir_tests::{Shape, Stack, TestNode};

use crate::http2::spoken_within;

/// ENHANCE_YOUR_CALM (RFC 9113 §7).
const CALM: u32 = 11;

async fn stack() -> Stack {
    let stack = spoken_within(Shape::single(), |_| {}).start().await;
    stack.serve("/fine", "max-age=60", "fine");
    stack.edge().get("/fine").await;
    stack
}

/// Someone else is answered, soon.
async fn assert_others_are_served(node: &TestNode, why: &str) {
    let began = Instant::now();
    assert_eq!(node.get("/fine").await.x_cache(), "HIT", "{why}");
    assert!(began.elapsed() < Duration::from_secs(2), "{why}: {:?}", began.elapsed());
}

async fn no_connection_is_left(node: &TestNode) {
    node.metrics_reach(|metrics| metrics.get("weir_connections") == 0.0).await;
}

/// Each frame costs its sender nothing; ten thousand of them are sent in a row.
#[tokio::test]
async fn floods_of_frames_end_their_connection() {
    let floods: &[(&str, u8, u8, u32, &[u8])] = &[
        ("PING", kind::PING, 0, 0, &[0; 8]),
        ("SETTINGS", kind::SETTINGS, 0, 0, &[]),
        ("empty DATA", kind::DATA, 0, 1, &[]),
        ("unknown frames", 0xee, 0, 0, b"x"),
        ("windows", kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        ("PRIORITY", 2, 0, 3, &[0, 0, 0, 0, 1]),
    ];
    let stack = stack().await;
    for &(what, kind, flags, stream, payload) in floods {
        let mut raw = FrameRaw::connect(stack.edge().addr(), 65_535).await;
        raw.send(kind::HEADERS, END_HEADERS, 1, &get("/open")).await;
        raw.raw.try_write(frame(kind, flags, stream, payload).repeat(10_000)).await;
        let ended = raw.ended().await;
        assert!(matches!(ended, Some(CALM) | None), "{what}: {ended:?}");
        assert_others_are_served(stack.edge(), what).await;
    }
    no_connection_is_left(stack.edge()).await;
    let refused = stack.edge().metrics().await.sum("weir_refused_total", &["http2-flood"]);
    assert!(refused >= 5.0, "{refused} of {} floods", floods.len());
}

/// Requests that are canceled as soon as they are made (CVE-2023-44487): what goes upstream is bounded.
#[tokio::test]
async fn requests_that_are_canceled_at_once_end_their_connection() {
    let stack = stack().await;
    let hold = stack.answer("/held", 200).body("x").hold().set();
    let before = stack.origin.total();
    let mut raw = FrameRaw::connect(stack.edge().addr(), 65_535).await;
    let mut sent = 0;
    for stream in (1..20_001).step_by(2) {
        let ask =
            frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &get(&format!("/{stream}")));
        let cancel = frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        if !raw.raw.try_write([ask, cancel].concat()).await {
            break;
        }
        sent += 1;
    }
    assert!(matches!(raw.ended().await, Some(CALM) | None), "after {sent}");
    let upstream = stack.origin.total() - before;
    assert!(upstream <= 250, "{upstream} of {sent} went upstream");
    assert_others_are_served(stack.edge(), "rapid reset").await;
    no_connection_is_left(stack.edge()).await;
    hold.release();
}

/// Resets that the client makes the node send (CVE-2025-8671): a window that overflows, a length that does not hold.
#[tokio::test]
async fn requests_that_the_node_must_reset_end_their_connection() {
    let stack = stack().await;
    for wrong in [(kind::WINDOW_UPDATE, 0, vec![0, 0, 0, 0]), (kind::DATA, 0, vec![0; 20])] {
        let (kind, flags, payload) = wrong;
        let before = stack.origin.total();
        let mut raw = FrameRaw::connect(stack.edge().addr(), 65_535).await;
        for stream in (1..4_001).step_by(2) {
            let path = format!("/{kind}/{stream}");
            let ask = frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &get(&path));
            if !raw.raw.try_write([ask, frame(kind, flags, stream, &payload)].concat()).await {
                break;
            }
        }
        let ended = raw.ended().await;
        assert!(ended.is_none() || ended >= Some(1), "{ended:?}");
        let upstream = stack.origin.total() - before;
        assert!(upstream <= 250, "{upstream} went upstream");
        assert_others_are_served(stack.edge(), "resets of our own").await;
    }
    no_connection_is_left(stack.edge()).await;
}

/// Fields without end (CVE-2024-27316 and its like): neither their number nor their bytes pass the bounds.
#[tokio::test]
async fn fields_without_end_are_ended() {
    let stack = stack().await;
    for payload in [vec![], vec![0x40; 16_000]] {
        let mut raw = FrameRaw::connect(stack.edge().addr(), 65_535).await;
        raw.send(kind::HEADERS, END_STREAM, 1, &get("/a")).await;
        let more = frame(kind::CONTINUATION, 0, 1, &payload);
        let mut sent = 0;
        while sent < 10_000 && raw.raw.try_write(&more).await {
            sent += 1;
        }
        let ended = raw.ended().await;
        assert_ne!(ended, Some(0), "{sent}");
        assert_others_are_served(stack.edge(), "continuations").await;
    }
    no_connection_is_left(stack.edge()).await;
    assert_eq!(stack.origin.hits("/a"), 0);
}

/// A field of the table that is referred to over and over: 16 KiB on the wire, many times that when unpacked.
#[tokio::test]
async fn small_fields_that_unpack_to_large_ones_are_refused() {
    let stack = stack().await;
    let mut raw = FrameRaw::connect(stack.edge().addr(), 65_535).await;
    // A literal with an index (RFC 7541 §6.2.1) of 3,000 bytes, then 10,000 references to it.
    let mut block = get("/bomb");
    block.extend([0x40, 1, b'x', 127, 0xb9, 0x16]);
    block.extend(vec![b'y'; 3_000]);
    block.extend(vec![0xbe; 10_000]);
    raw.send(kind::HEADERS, END_HEADERS | END_STREAM, 1, &block).await;
    let mut refused = false;
    while let Some(frame) = raw.next().await {
        if matches!(frame.kind, kind::RST_STREAM | kind::GOAWAY | kind::HEADERS) {
            refused = frame.kind != kind::HEADERS || frame.payload[0] != 0x88;
            break;
        }
    }
    assert!(refused);
    assert_eq!(stack.origin.hits("/bomb"), 0);
    assert_others_are_served(stack.edge(), "a bomb").await;
}

/// Streams above the bound are refused; those who are in are answered.
#[tokio::test]
async fn streams_above_the_bound_are_refused() {
    let stack = spoken_within(Shape::single(), |limits| limits.streams_max = 5).start().await;
    let hold = stack.answer("/held", 200).body("x").hold().set();
    let mut raw = FrameRaw::connect(stack.edge().addr(), 65_535).await;
    for stream in (1..=15).step_by(2) {
        raw.ask(stream, "/held").await;
    }
    let reset = raw.next_of(kind::RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.error_code()), (11, 7), "REFUSED_STREAM");
    hold.release();
    assert!(raw.next_of(kind::DATA).await.is_some());
}

/// A client that gives no window to its streams is cut, stream by stream; one that gives some is not.
#[tokio::test]
async fn a_stuck_reader_loses_its_stream() {
    let short = Duration::from_millis(200);
    let shape = spoken_within(Shape::single(), move |limits| limits.write_timeout = short);
    let stack = shape.start().await;
    stack.serve("/large", "max-age=60", vec![7; 500_000]);
    stack.edge().get("/large").await;
    let mut raw = FrameRaw::connect(stack.edge().addr(), 0).await;
    for stream in (1..=9).step_by(2) {
        raw.ask(stream, "/large").await;
    }
    for _ in 0..5 {
        let reset = raw.next_of(kind::RST_STREAM).await.unwrap();
        assert_eq!(reset.error_code(), 8, "CANCEL");
    }
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.sum("weir_refused_total", &["stuck-reader"]), 5.0);
    // The connection is still of use.
    raw.send(kind::WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]).await;
    raw.send(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).await;
    raw.ask(11, "/a").await;
    assert!(raw.next_of(kind::DATA).await.is_some());
}

/// Slow beginnings: of the connection, and of the fields of a request.
#[tokio::test]
async fn slow_heads_are_cut() {
    let short = Duration::from_millis(200);
    let shape = spoken_within(Shape::single(), move |limits| limits.head_timeout = short);
    let stack = shape.start().await;
    let mut preface = weir_tests::Raw::connect(stack.edge().addr()).await;
    preface.write("PRI * HTTP/2.0\r\n\r\nS").await;
    let mut fields = FrameRaw::connect(stack.edge().addr(), 65_535).await;
    fields.send(kind::HEADERS, END_STREAM, 1, &get("/a")).await;
    preface.rest().await;
    assert!(matches!(fields.ended().await, Some(CALM) | None));
    no_connection_is_left(stack.edge()).await;
    assert_eq!(stack.origin.total(), 0);
}
