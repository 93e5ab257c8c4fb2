//! Parts of a response: from the store, from a fill under way, and past the store (RFC 9110 §14).

use http::StatusCode;
use weir_tests::{Request, Shape, Stack};

const LEN: usize = 1000;

fn body() -> Vec<u8> {
    weir_origin_mock::pattern_bytes("/a", 1, 0..LEN as u64)
}

async fn stack(shape: Shape) -> Stack {
    let stack = shape.start().await;
    let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
    let script = script.header("etag", "\"v1\"");
    script.header("last-modified", "Tue, 01 Jul 2025 10:00:00 GMT").body(body()).set();
    stack
}

#[tokio::test]
async fn a_range_is_cut_from_the_store() {
    // (Range, If-Range, status, Content-Range, first byte and end of the body, why)
    type Case = (&'static str, &'static str, u16, &'static str, (usize, usize), &'static str);
    const CASES: &[Case] = &[
        ("bytes=10-19", "", 206, "bytes 10-19/1000", (10, 20), "a piece"),
        ("bytes=990-", "", 206, "bytes 990-999/1000", (990, 1000), "to the end"),
        ("bytes=-5", "", 206, "bytes 995-999/1000", (995, 1000), "the last five"),
        ("bytes=-5000", "", 206, "bytes 0-999/1000", (0, 1000), "more than there are"),
        ("bytes=990-5000", "", 206, "bytes 990-999/1000", (990, 1000), "an end too far"),
        ("bytes=0-0", "", 206, "bytes 0-0/1000", (0, 1), "one byte"),
        ("bytes=10-19", "\"v1\"", 206, "bytes 10-19/1000", (10, 20), "If-Range holds"),
        ("bytes=10-19", "\"v2\"", 200, "", (0, 1000), "another tag: the whole"),
        ("bytes=10-19", "W/\"v1\"", 200, "", (0, 1000), "a weak tag never holds"),
        (
            "bytes=10-19",
            "Tue, 01 Jul 2025 10:00:00 GMT",
            206,
            "bytes 10-19/1000",
            (10, 20),
            "the very date",
        ),
        ("bytes=10-19", "Wed, 02 Jul 2025 10:00:00 GMT", 200, "", (0, 1000), "a later date"),
        ("bytes=1000-", "", 416, "bytes */1000", (0, 0), "begins behind the end"),
        ("bytes=-0", "", 416, "bytes */1000", (0, 0), "the last none"),
        ("bytes=5-4", "", 200, "", (0, 1000), "not a range: ignored"),
        ("lines=1-2", "", 200, "", (0, 1000), "another unit: ignored"),
        ("bytes=0-1,6-5", "", 200, "", (0, 1000), "one bad member: ignored"),
    ];
    let stack = stack(Shape::single()).await;
    stack.edge().get("/a").await;
    for &(range, condition, status, content_range, (first, end), why) in CASES {
        let mut request = Request::get("/a").header("range", range);
        if !condition.is_empty() {
            request = request.header("if-range", condition);
        }
        let reply = stack.edge().send(&request).await;
        assert_eq!(reply.status, status, "{why}");
        assert_eq!(reply.field("content-range"), content_range, "{why}");
        assert_eq!(reply.body, body()[first..end], "{why}");
        assert_eq!(reply.x_cache(), "HIT", "{why}");
    }
    assert_eq!(stack.origin.hits("/a"), 1);
}

/// Everything from the first byte on is the whole: worth a fill.
#[tokio::test]
async fn an_open_range_from_zero_fills_a_cold_key() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = stack(shape).await;

        let cold = stack.edge().send(&Request::get("/a").header("range", "bytes=0-")).await;

        assert_eq!((cold.status, cold.body.as_ref()), (StatusCode::PARTIAL_CONTENT, &body()[..]));
        assert_eq!(cold.field("content-range"), "bytes 0-999/1000");
        let hit = stack.edge().get("/a").await;
        assert_eq!((hit.status, hit.x_cache().as_str()), (StatusCode::OK, "HIT"));
        let seen = stack.origin.requests("/a");
        assert_eq!(seen.len(), 1);
        assert!(!seen[0].headers.contains_key("range"), "the whole was asked for");
    }
}

/// The whole of something unknown may be gigabytes: a piece of it is fetched as a piece.
#[tokio::test]
async fn a_range_on_a_cold_key_is_asked_for_as_a_range() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let request = Request::get("/page?size=1000").header("range", "bytes=10-19");

        let cold = stack.edge().send(&request).await;

        assert_eq!(cold.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(cold.field("content-range"), "bytes 10-19/1000");
        assert_eq!(cold.body, weir_origin_mock::pattern_bytes("/page", 1, 10..20));
        assert_eq!(cold.cache_status(), "edge; fwd=uri-miss; stored; detail=range");
        assert_eq!(stack.origin.requests("/page")[0].headers["range"], "bytes=10-19");
        let whole = stack.edge().get("/page?size=1000").await;
        assert_eq!(
            (whole.status, whole.body.len()),
            (StatusCode::OK, 1000),
            "no part as the whole"
        );
        assert_eq!(stack.origin.hits("/page"), 2);
    }
}

/// A part can be answered while the whole is still coming in.
#[tokio::test]
async fn a_range_joins_a_fill_under_way() {
    let stack = Shape::single().start().await;
    let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
    let hold = script.body(body()).send(500).hold().set();
    let whole = stack.edge().spawn_get("/a");
    hold.reached().await;
    let mut part =
        Request::get("/a").header("range", "bytes=100-899").start(stack.edge().addr()).await;

    let early = part.read_at_least(400).await;
    assert_eq!(early, body()[100..500], "what is there comes at once");
    hold.release();

    assert_eq!(part.headers["content-range"], "bytes 100-899/1000");
    assert_eq!(part.finish().await.body, body()[500..900]);
    assert_eq!(whole.await.unwrap().body, body());
    assert_eq!(stack.origin.hits("/a"), 1);
}
