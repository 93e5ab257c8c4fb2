//! Parts of something that is not stored as a whole: kept, put together, and used for ranges inside
//! them alone (RFC 9111 §3.3 and §3.4).

use std::time::Duration;

use http::{Method, StatusCode};
use weir_origin_mock::{Script, pattern_bytes};
use weir_tests::{Reply, Request, Shape, Stack};

const LEN: u64 = 1000;
const SHAPES: [fn() -> Shape; 2] = [Shape::single, || Shape::tiers(1, 1)];

fn bytes(first: u64, last: u64) -> Vec<u8> {
    pattern_bytes("/a", 1, 0..LEN)[usize::try_from(first).unwrap()..=usize::try_from(last).unwrap()]
        .to_vec()
}

/// The origin's answer to one range, without its body.
fn head<'a>(stack: &'a Stack, (first, last): (u64, u64), etag: &str) -> Script<'a> {
    stack
        .answer("/a", 206)
        .header("cache-control", "max-age=60")
        .header("content-type", "video/mp4")
        .header("content-range", format!("bytes {first}-{last}/{LEN}"))
        .header("etag", etag)
}

/// Makes the origin answer the next request with one range.
fn part(stack: &Stack, (first, last): (u64, u64), etag: &str) {
    head(stack, (first, last), etag).body(bytes(first, last)).once().set();
}

fn ask(first: u64, last: u64) -> Request {
    Request::get("/a").header("range", &format!("bytes={first}-{last}"))
}

async fn get(stack: &Stack, first: u64, last: u64) -> Reply {
    stack.edge().send(&ask(first, last)).await
}

fn assert_part(reply: &Reply, first: u64, last: u64) {
    assert_eq!(reply.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(reply.field("content-range"), format!("bytes {first}-{last}/{LEN}"));
    assert_eq!(reply.field("content-length"), (last - first + 1).to_string());
    assert_eq!(reply.field("content-type"), "video/mp4");
    assert_eq!(reply.body, bytes(first, last));
}

#[tokio::test]
async fn a_range_inside_a_part_that_is_held_is_a_hit() {
    for shape in SHAPES {
        let stack = shape().start().await;
        part(&stack, (100, 299), "\"v1\"");
        let cold = get(&stack, 100, 299).await;
        assert_part(&cold, 100, 299);
        assert_eq!(cold.cache_status(), "edge; fwd=uri-miss; stored; detail=range");
        stack.advance(Duration::from_secs(5));

        for (first, last) in [(100, 299), (150, 160), (299, 299)] {
            let hit = get(&stack, first, last).await;
            assert_part(&hit, first, last);
            assert_eq!((hit.x_cache().as_str(), hit.field("age").as_str()), ("HIT", "5"));
            assert!(hit.cache_status().starts_with("edge; hit; ttl="));
        }
        let known = ask(150, 160).header("if-none-match", "\"v1\"");
        let known = stack.edge().send(&known).await;
        assert_eq!((known.status.as_u16(), known.x_cache().as_str()), (304, "HIT"));
        assert_eq!(stack.origin.hits("/a"), 1);
    }
}

/// No part answers for more than itself.
#[tokio::test]
async fn nothing_but_a_single_range_inside_is_answered_by_parts() {
    let whole_list = "bytes=100-110,120-130";
    // (method, Range, If-Range, why)
    let cases: &[(Method, &str, &str, &str)] = &[
        (Method::GET, "", "", "the whole"),
        (Method::HEAD, "", "", "the head of the whole"),
        (Method::HEAD, "bytes=100-110", "", "a HEAD has no ranges"),
        (Method::GET, whole_list, "", "a list"),
        (Method::GET, "bytes=99-110", "", "begins before"),
        (Method::GET, "bytes=200-300", "", "ends behind"),
        (Method::GET, "bytes=150-", "", "goes on to the end"),
        (Method::GET, "bytes=-800", "", "counts from the end"),
        (Method::GET, "bytes=100-110", "\"v0\"", "of another body"),
    ];
    for shape in SHAPES {
        for (method, range, if_range, why) in cases {
            let stack = shape().start().await;
            part(&stack, (100, 299), "\"v1\"");
            get(&stack, 100, 299).await;
            let script = stack.answer("/a", 200).header("cache-control", "no-store");
            script.body("the whole").set();
            let mut request = Request::new(method.clone(), "/a");
            for (name, value) in [("range", range), ("if-range", if_range)] {
                if !value.is_empty() {
                    request = request.header(name, value);
                }
            }

            let reply = stack.edge().send(&request).await;

            assert_eq!((reply.status.as_u16(), reply.x_cache().as_str()), (200, "MISS"), "{why}");
            assert!(reply.cache_status().starts_with("edge; fwd=partial"), "{why}");
            assert_eq!(stack.origin.hits("/a"), 2, "{why}");
        }
    }
}

#[tokio::test]
async fn parts_that_make_up_the_whole_become_it() {
    for shape in SHAPES {
        let stack = shape().start().await;
        for (first, last) in [(0, 399), (700, 999), (300, 799)] {
            part(&stack, (first, last), "\"v1\"");
            assert_part(&get(&stack, first, last).await, first, last);
        }

        let whole = stack.edge().get("/a").await;

        assert_eq!((whole.status.as_u16(), whole.x_cache().as_str()), (200, "HIT"));
        assert_eq!(
            (whole.body.as_ref(), whole.field("content-range")),
            (&bytes(0, 999)[..], "".to_owned())
        );
        assert_eq!(whole.field("content-length"), "1000");
        assert_part(&get(&stack, 5, 995).await, 5, 995);
        let head = stack.edge().send(&Request::new(Method::HEAD, "/a")).await;
        assert_eq!(
            (head.x_cache().as_str(), head.field("content-length").as_str()),
            ("HIT", "1000")
        );
        assert_eq!(stack.origin.hits("/a"), 3);
    }
}

#[tokio::test]
async fn parts_of_two_versions_are_never_combined() {
    for shape in SHAPES {
        let stack = shape().start().await;
        part(&stack, (0, 499), "\"v1\"");
        get(&stack, 0, 499).await;
        part(&stack, (500, 999), "\"v2\"");
        assert_part(&get(&stack, 500, 999).await, 500, 999);

        part(&stack, (0, 499), "\"v2\"");
        let old = get(&stack, 0, 499).await;
        assert!(old.cache_status().starts_with("edge; fwd=partial"), "the old part is gone");

        assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT", "the newer parts are the whole");
        assert_eq!(stack.origin.hits("/a"), 3);
    }
}

/// A part without a strong tag, or that is not what it says, is passed on and not kept.
#[tokio::test]
async fn a_part_that_cannot_be_believed_is_not_kept() {
    type Change = fn(Script<'_>) -> Script<'_>;
    // (fields, change, complete, why)
    let cases: &[(&str, &str, Change, bool, &str)] = &[
        ("bytes 0-99/1000", "W/\"v1\"", |script| script, true, "a weak tag"),
        ("bytes 0-99/*", "\"v1\"", |script| script, true, "of a whole of unknown length"),
        ("bytes 0-98/1000", "\"v1\"", |script| script, true, "longer than it says"),
        ("bytes 0-100/1000", "\"v1\"", |script| script, true, "shorter than it says"),
        ("bytes 0-99/1000", "\"v1\"", |script| script.send(50).then_close(), false, "cut short"),
        (
            "bytes 0-99/1000",
            "\"v1\"",
            |script| script.chunked().send(50).then_close(),
            false,
            "cut short in chunks",
        ),
        ("bytes 0-99/1000", "\"v1\"", |s| s.header("vary", "*"), true, "not for anyone else"),
    ];
    for shape in SHAPES {
        for (content_range, etag, change, complete, why) in cases {
            let stack = shape().start().await;
            let script = stack.answer("/a", 206).header("cache-control", "max-age=60");
            let script = script.header("content-range", content_range).header("etag", etag);
            change(script.body(bytes(0, 99))).once().set();
            let first = get(&stack, 0, 99).await;
            assert_eq!((first.status.as_u16(), first.cut), (206, !complete), "{why}");
            for node in stack.nodes() {
                node.metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
                assert_eq!(node.metrics().await.get("weir_store_keys"), 0.0, "{why}");
            }

            part(&stack, (0, 99), "\"v1\"");
            assert_eq!(get(&stack, 0, 99).await.x_cache(), "MISS", "{why}");
        }
    }
}

/// A stale part is asked about in the request for the range itself.
#[tokio::test]
async fn a_stale_part_is_confirmed_or_replaced() {
    for shape in SHAPES {
        let stack = shape().start().await;
        part(&stack, (0, 99), "\"v1\"");
        get(&stack, 0, 99).await;
        stack.advance(Duration::from_secs(61));
        let not_modified = stack.answer("/a", 304).header("etag", "\"v1\"");
        not_modified.header("cache-control", "max-age=60").once().set();

        let confirmed = get(&stack, 10, 19).await;

        assert_part(&confirmed, 10, 19);
        assert_eq!(confirmed.cache_status(), "edge; fwd=stale; fwd-status=304; ttl=60");
        let asked = &stack.origin.requests("/a")[1].headers;
        assert_eq!([&asked["if-none-match"], &asked["range"]], ["\"v1\"", "bytes=10-19"]);
        assert_eq!(get(&stack, 50, 99).await.x_cache(), "HIT", "it is fresh again, all of it");

        stack.advance(Duration::from_secs(61));
        part(&stack, (10, 19), "\"v2\"");
        let replaced = get(&stack, 10, 19).await;
        assert_eq!((replaced.status.as_u16(), replaced.field("etag")), (206, "\"v2\"".to_owned()));
        part(&stack, (50, 99), "\"v2\"");
        assert_eq!(get(&stack, 50, 99).await.x_cache(), "MISS", "the old bytes are gone");
        assert_eq!(stack.origin.hits("/a"), 4);
    }
}

/// A 304 that is about something else is no answer for a client that set no condition.
#[tokio::test]
async fn a_304_for_another_part_is_asked_again() {
    for shape in SHAPES {
        let stack = shape().start().await;
        part(&stack, (0, 99), "\"v1\"");
        get(&stack, 0, 99).await;
        stack.advance(Duration::from_secs(61));
        stack.answer("/a", 304).header("etag", "\"v2\"").once().set();
        part(&stack, (0, 99), "\"v2\"");

        let reply = get(&stack, 0, 99).await;

        assert_part(&reply, 0, 99);
        assert_eq!(reply.field("etag"), "\"v2\"");
        let asked = stack.origin.requests("/a");
        // A tier above may have a question of its own.
        let conditional = asked.last().unwrap().headers.contains_key("if-none-match");
        assert_eq!(conditional, !stack.regionals.is_empty());
    }
}

#[tokio::test]
async fn a_whole_response_takes_the_place_of_parts() {
    for shape in SHAPES {
        let stack = shape().start().await;
        part(&stack, (0, 99), "\"v1\"");
        get(&stack, 0, 99).await;
        let script = stack.answer("/a", 200).header("cache-control", "max-age=60");
        script.header("etag", "\"v2\"").body("x".repeat(1000)).set();

        let whole = stack.edge().get("/a").await;

        assert_eq!(whole.cache_status(), "edge; fwd=partial; stored");
        let range = get(&stack, 0, 99).await;
        assert_eq!((range.x_cache().as_str(), range.body.as_ref()), ("HIT", &[b'x'; 100][..]));
        assert_eq!(stack.origin.hits("/a"), 2);
    }
}

/// What is held need not come again.
#[tokio::test]
async fn a_whole_response_is_completed_from_the_parts_at_its_beginning() {
    for shape in SHAPES {
        let stack = shape().start().await;
        for (first, last) in [(0, 99), (100, 399), (600, 699)] {
            part(&stack, (first, last), "\"v1\"");
            get(&stack, first, last).await;
        }
        let hold = head(&stack, (400, 999), "\"v1\"").body(bytes(400, 999)).send(100).hold();
        let hold = hold.once().set();

        let mut whole = Request::get("/a").start(stack.edge().addr()).await;
        hold.reached().await;

        assert_eq!(
            (whole.status.as_u16(), &whole.headers["content-length"]),
            (200, &"1000".parse().unwrap())
        );
        assert!(!whole.headers.contains_key("content-range"));
        assert_eq!(whole.read_at_least(500).await, bytes(0, 499), "what is there comes at once");
        let waiter = stack.edge().spawn_get("/a");
        stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 1.0).await;
        hold.release();
        assert_eq!(whole.finish().await.body, bytes(500, 999));
        assert_eq!(waiter.await.unwrap().body, bytes(0, 999));
        assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT");
        let asked = &stack.origin.requests("/a")[3].headers;
        assert_eq!([&asked["range"], &asked["if-range"]], ["bytes=400-", "\"v1\""]);
        assert_eq!(stack.origin.hits("/a"), 4);
    }
}

/// What comes for the rest and does not fit is no answer to the client, who asked for the whole.
#[tokio::test]
async fn a_rest_that_does_not_fit_is_not_put_to_what_is_held() {
    // (status, Content-Range, ETag, requests for it, why)
    const CASES: &[(u16, &str, &str, u64, &str)] = &[
        (200, "", "\"v2\"", 1, "the whole at once: it has changed"),
        (206, "bytes 100-999/1000", "\"v2\"", 2, "of another body"),
        (206, "bytes 200-999/1000", "\"v1\"", 2, "with a gap"),
        (416, "bytes */50", "\"v2\"", 2, "there is no rest"),
    ];
    for shape in SHAPES {
        for &(status, content_range, etag, requests, why) in CASES {
            let stack = shape().start().await;
            part(&stack, (0, 99), "\"v1\"");
            get(&stack, 0, 99).await;
            let whole = |stack: &Stack| {
                let script = stack.answer("/a", 200).header("cache-control", "max-age=60");
                script.header("etag", "\"v2\"").body("the new whole").set();
            };
            whole(&stack);
            if status != 200 {
                // Each tier that still has the old part asks for itself; another tag drops it.
                let seen_by_all = status == 206 && etag != "\"v1\"";
                let times = if seen_by_all { 1 } else { stack.nodes().count() };
                for _ in 0..times {
                    let script = stack.answer("/a", status).header("etag", etag);
                    let script = script.header("cache-control", "max-age=60");
                    script.header("content-range", content_range).body("x").once().set();
                }
            }

            let reply = stack.edge().get("/a").await;

            assert_eq!(
                (reply.status.as_u16(), reply.body.as_ref()),
                (200, &b"the new whole"[..]),
                "{why}"
            );
            assert_eq!(stack.edge().get("/a").await.body, "the new whole", "{why}");
            if stack.regionals.is_empty() {
                assert_eq!(stack.origin.hits("/a"), 1 + requests, "{why}");
            }
        }
    }
}

/// A rest that is cut short is seen as cut.
#[tokio::test]
async fn a_rest_that_is_cut_short_makes_no_whole() {
    for shape in SHAPES {
        let stack = shape().start().await;
        part(&stack, (0, 99), "\"v1\"");
        get(&stack, 0, 99).await;
        let script = head(&stack, (100, 999), "\"v1\"").body(bytes(100, 999));
        script.send(300).then_close().once().set();

        assert!(stack.edge().get("/a").await.cut);

        assert_eq!(get(&stack, 0, 99).await.x_cache(), "HIT", "what was held is held");
        part(&stack, (100, 199), "\"v1\"");
        assert_eq!(get(&stack, 100, 199).await.x_cache(), "MISS", "what was cut short is not");
    }
}

#[tokio::test]
async fn a_part_is_for_its_variant_only() {
    for shape in SHAPES {
        let stack = shape().start().await;
        for language in ["en", "de"] {
            let script = head(&stack, (0, 99), &format!("\"{language}\""));
            script.header("vary", "accept-language").body(bytes(0, 99)).once().set();
            let request = ask(0, 99).header("accept-language", language);
            assert_eq!(stack.edge().send(&request).await.x_cache(), "MISS", "{language}");
        }
        for language in ["en", "de"] {
            let request = ask(10, 19).header("accept-language", language);
            let hit = stack.edge().send(&request).await;
            assert_eq!(
                (hit.x_cache(), hit.field("etag")),
                ("HIT".into(), format!("\"{language}\""))
            );
        }
        assert_eq!(stack.origin.hits("/a"), 2);
    }
}

/// A change that overtakes a part on its way keeps it out of the store.
#[tokio::test]
async fn a_part_that_an_invalidation_overtakes_is_not_kept() {
    for shape in SHAPES {
        for before_head in [true, false] {
            let stack = shape().start().await;
            let script = head(&stack, (0, 99), "\"v1\"").body(bytes(0, 99));
            let script = if before_head { script } else { script.send(10) };
            let hold = script.hold().once().set();
            let overtaken = stack.edge().spawn(ask(0, 99));
            hold.reached().await;
            stack.answer("/a", 204).once().set();
            stack.edge().send(&Request::new(Method::POST, "/a")).await;
            hold.release();
            assert_part(&overtaken.await.unwrap(), 0, 99);

            part(&stack, (0, 99), "\"v2\"");
            let later = get(&stack, 0, 99).await;

            assert_eq!((later.x_cache(), later.field("etag")), ("MISS".into(), "\"v2\"".into()));
        }
    }
}

/// A seek in something too large to store as a whole is kept as far as one response may go.
#[tokio::test]
async fn parts_of_something_large_stay_within_the_bound() {
    let shape = Shape::single().node(|config| {
        config.store.object_max = "300B".parse().unwrap();
    });
    let stack = shape.start().await;
    for (first, last) in [(0, 199), (200, 399)] {
        part(&stack, (first, last), "\"v1\"");
        get(&stack, first, last).await;
    }
    assert_eq!(get(&stack, 200, 399).await.x_cache(), "HIT", "the part wanted last is kept");
    part(&stack, (0, 199), "\"v1\"");
    assert_eq!(get(&stack, 0, 199).await.x_cache(), "MISS", "the two together were too many");
    part(&stack, (0, 399), "\"v1\"");
    get(&stack, 0, 399).await;
    part(&stack, (0, 399), "\"v1\"");
    assert_eq!(get(&stack, 0, 399).await.x_cache(), "MISS", "larger than one response may be");
}
