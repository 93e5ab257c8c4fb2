//! Stale responses stand in while upstream is asked or cannot be, as far as allowed (RFC 5861).

use std::time::Duration;

use weir_tests::{Shape, Stack};

const MINUTE: Duration = Duration::from_secs(60);

fn versioned(stack: &Stack, cache_control: &str, version: u32) -> weir_origin_mock::Hold {
    let script = stack.answer("/a", 200).header("cache-control", cache_control);
    script.header("etag", format!("\"v{version}\"")).body(format!("version {version}")).hold().set()
}

/// The stale response at once, one refresh in the background, the new one afterwards (RFC 5861 §3).
#[tokio::test]
async fn stale_while_revalidate_serves_at_once_and_refreshes_once() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        versioned(&stack, "max-age=60, stale-while-revalidate=600", 1).release();
        stack.edge().get("/a").await;
        stack.advance(MINUTE);
        let hold = versioned(&stack, "max-age=60, stale-while-revalidate=600", 2);

        for _ in 0..10 {
            let stale = stack.edge().get("/a").await;
            assert_eq!((stale.x_cache().as_str(), stale.field("age")), ("STALE", "60".into()));
            assert_eq!(stale.cache_status(), "edge; hit; ttl=0");
            assert_eq!(stale.body, "version 1", "while the origin still holds its answer");
        }
        hold.reached().await;
        hold.release();
        stack.edge().metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;

        let fresh = stack.edge().get("/a").await;
        assert_eq!(
            (fresh.x_cache().as_str(), fresh.body.as_ref()),
            ("HIT", b"version 2".as_slice())
        );
        assert_eq!(fresh.field("age"), "0");
        assert_eq!(stack.origin.hits("/a"), 2, "one refresh however many asked, on every tier");
    }
}

/// Past its window a response waits for its validation.
#[tokio::test]
async fn stale_while_revalidate_ends_with_its_window() {
    let stack = Shape::tiers(1, 1).start().await;
    versioned(&stack, "max-age=60, stale-while-revalidate=60", 1).release();
    stack.edge().get("/a").await;
    stack.advance(2 * MINUTE);
    versioned(&stack, "max-age=60", 2).release();
    let reply = stack.edge().get("/a").await;
    assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("MISS", b"version 2".as_slice()));
}

/// Every directive that forbids stale use forbids this one too (RFC 9111 §4.2.4).
#[tokio::test]
async fn what_must_be_validated_is_never_served_while_it_is() {
    for ban in ["must-revalidate", "proxy-revalidate", "s-maxage=60", "no-cache"] {
        let stack = Shape::single().start().await;
        let directives = format!("max-age=60, stale-while-revalidate=600, {ban}");
        versioned(&stack, &directives, 1).release();
        stack.edge().get("/a").await;
        stack.advance(MINUTE);
        versioned(&stack, "max-age=60", 2).release();
        let reply = stack.edge().get("/a").await;
        assert_eq!(
            (reply.x_cache().as_str(), reply.body.as_ref()),
            ("MISS", &b"version 2"[..]),
            "{ban}"
        );
    }
}

/// RFC 5861 §4: in place of a server error, and only of one.
#[tokio::test]
async fn stale_if_error_stands_in_for_a_server_error() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        versioned(&stack, "max-age=60, stale-if-error=600", 1).release();
        stack.edge().get("/a").await;
        stack.advance(MINUTE);
        stack.origin.script("/a").status(503).body("down").set();

        let stale = stack.edge().get("/a").await;
        assert_eq!((stale.status.as_u16(), stale.body.as_ref()), (200, b"version 1".as_slice()));
        assert_eq!(stale.field("age"), "60");
        assert_eq!(stack.origin.hits("/a"), 2);

        stack.origin.script("/a").status(404).body("gone").set();
        let gone = stack.edge().get("/a").await;
        assert_eq!((gone.status.as_u16(), gone.body.as_ref()), (404, b"gone".as_slice()));
    }
}

/// A response without stale-if-error does not hide an error that the origin means.
#[tokio::test]
async fn a_server_error_is_passed_on_where_nothing_allows_stale() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        versioned(&stack, "max-age=60", 1).release();
        stack.edge().get("/a").await;
        stack.advance(MINUTE);
        stack.origin.script("/a").status(503).body("down").set();
        for hits in [2, 3] {
            let down = stack.edge().get("/a").await;
            assert_eq!((down.status.as_u16(), down.body.as_ref()), (503, b"down".as_slice()));
            assert_eq!(stack.origin.hits("/a"), hits, "an error is not stored");
        }
    }
}

/// No answer at all: the window of the response, else the operator's (RFC 9111 §4.2.4).
#[tokio::test]
async fn a_stale_response_stands_in_for_a_dead_origin() {
    // (directives, minutes after the fetch, stale served)
    let cases = [
        ("max-age=60, stale-if-error=600", 5, true),
        ("max-age=60, stale-if-error=600", 12, false),
        ("max-age=60", 5, true),
        ("max-age=60", 60 * 24 + 2, false),
        ("max-age=60, stale-if-error=0", 5, false),
        ("max-age=60, must-revalidate", 5, false),
        ("max-age=60, stale-if-error=600, proxy-revalidate", 5, false),
        ("s-maxage=60", 5, false),
    ];
    for (directives, minutes, served) in cases {
        for shape in [Shape::single(), Shape::tiers(1, 1)] {
            let stack = shape.start().await;
            versioned(&stack, directives, 1).release();
            stack.edge().get("/a").await;
            stack.advance(minutes * MINUTE);
            stack.origin.stop().await;

            let reply = stack.edge().get("/a").await;

            let why =
                format!("{directives} after {minutes} min, {} regionals", stack.regionals.len());
            if served {
                assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b"version 1"[..]));
                assert_eq!(reply.field("age"), (minutes * 60).to_string(), "{why}");
                // The tier next to the origin is the one that knows.
                let status = reply.field("cache-status");
                let first = status.split(", ").next().unwrap_or_default();
                assert!(first.ends_with("detail=upstream-unreachable"), "{why}: {status}");
            } else {
                assert_eq!(reply.status, 502, "{why}");
                assert_eq!(reply.field("cache-control"), "no-store", "{why}");
            }
        }
    }
}

/// A shield that has lost its store says that it could not reach the origin; an edge that has a
/// lawful copy uses it. An origin's own 502 is another thing.
#[tokio::test]
async fn an_empty_shield_does_not_hide_what_the_edge_may_serve() {
    let mut stack = Shape::tiers(1, 0).start().await;
    versioned(&stack, "max-age=60", 1).release();
    stack.edge().get("/a").await;
    stack.advance(2 * MINUTE);
    stack.restart_shield().await;
    stack.origin.stop().await;

    let stale = stack.edge().get("/a").await;
    assert_eq!((stale.status.as_u16(), stale.body.as_ref()), (200, b"version 1".as_slice()));
    assert_eq!((stale.x_cache().as_str(), stale.field("age")), ("STALE", "120".into()));
    assert_eq!(stale.field("weir-failure"), "");
    let missing = stack.edge().get("/b").await;
    assert_eq!(missing.status, 502, "nothing stored stands in");
    assert_eq!(missing.field("weir-failure"), "");

    stack.origin.restart().await.unwrap();
    stack.origin.script("/a").status(502).body("the origin's own").set();
    let answered = stack.edge().get("/a").await;
    assert_eq!((answered.status.as_u16(), answered.body.as_ref()), (502, &b"the origin's own"[..]));
}

/// The origin comes back: the next request has the new version.
#[tokio::test]
async fn a_stale_stand_in_is_asked_about_again_each_time() {
    let stack = Shape::tiers(1, 1).start().await;
    versioned(&stack, "max-age=60, stale-if-error=6000", 1).release();
    stack.edge().get("/a").await;
    stack.advance(2 * MINUTE);
    stack.origin.stop().await;
    assert_eq!(stack.edge().get("/a").await.body, "version 1");
    stack.origin.restart().await.unwrap();
    // The shield passes the origin over for a while; cache time ends that.
    stack.advance(Duration::from_secs(3));
    versioned(&stack, "max-age=60", 2).release();

    let fresh = stack.edge().get("/a").await;
    assert_eq!((fresh.status.as_u16(), fresh.body.as_ref()), (200, b"version 2".as_slice()));
}

/// An origin that fails is asked again once a second for a key, not once for each stale answer.
#[tokio::test]
async fn a_failed_refresh_is_not_repeated_for_every_stale_answer() {
    let stack = Shape::single().start().await;
    stack.serve("/a", "max-age=60, stale-while-revalidate=600", "good");
    stack.edge().get("/a").await;
    stack.advance(MINUTE);
    stack.answer("/a", 503).body("bad").set();
    for second in 1..=3 {
        for _ in 0..10 {
            let reply = stack.edge().get("/a").await;
            assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("STALE", &b"good"[..]));
            stack.edge().metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
        }
        assert_eq!(stack.origin.hits("/a"), 1 + second);
        stack.advance(Duration::from_secs(1));
    }
}

/// An origin that keeps silent is no origin either: the same rules, and 504 where they forbid.
#[tokio::test]
async fn a_stale_response_stands_in_for_a_silent_origin() {
    for (directives, status) in [("max-age=60", 200), ("max-age=60, must-revalidate", 504)] {
        let stack = Shape::single()
            .node(|config| config.upstream.first_byte_timeout = Duration::from_millis(100))
            .start()
            .await;
        versioned(&stack, directives, 1).release();
        stack.edge().get("/a").await;
        stack.advance(2 * MINUTE);
        versioned(&stack, directives, 2);

        let reply = stack.edge().get("/a").await;

        assert_eq!(reply.status, status, "{directives}");
        if status == 200 {
            assert_eq!(
                (reply.x_cache().as_str(), reply.body.as_ref()),
                ("STALE", &b"version 1"[..])
            );
        } else {
            assert_eq!(reply.field("cache-control"), "no-store", "{directives}");
        }
        assert_eq!(stack.origin.hits("/a"), 2, "{directives}");
    }
}

/// A chain is as fresh as one cache: no tier answers the refresh of the one below with what it holds
/// stale itself (RFC 5861 §3).
#[tokio::test]
async fn a_body_is_as_old_through_three_tiers_as_through_one() {
    const PAUSE: u64 = 3;
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        for second in (0_u64..30).step_by(3) {
            let directives = "max-age=1, stale-while-revalidate=60";
            stack.serve("/now", directives, second.to_string());

            let reply = stack.edge().get("/now").await;

            let made: u64 = std::str::from_utf8(&reply.body).unwrap().parse().unwrap();
            assert_eq!(second - made, if second == 0 { 0 } else { PAUSE }, "at {second} s");
            for node in stack.nodes() {
                node.metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
            }
            stack.advance(Duration::from_secs(PAUSE));
        }
        assert_eq!(stack.origin.hits("/now"), 10, "one refresh a pause");
    }
}

/// An upstream that is slow gets as long as the site says; then the stale response goes out, to those
/// who joined as well, and the fill goes on for those who come later.
#[tokio::test]
async fn a_stale_response_stands_in_for_an_answer_that_is_late() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack =
            shape.site(|site| site.stale_if_slow = Some(Duration::from_millis(300))).start().await;
        versioned(&stack, "max-age=60", 1).release();
        stack.edge().get("/a").await;
        stack.advance(MINUTE);
        let hold = versioned(&stack, "max-age=60", 2);
        let clients: Vec<_> = (0..5).map(|_| stack.edge().spawn_get("/a")).collect();
        for client in clients {
            let reply = client.await.unwrap();
            assert_eq!(
                (reply.x_cache().as_str(), reply.body.as_ref()),
                ("STALE", &b"version 1"[..])
            );
            let status = reply.cache_status();
            assert!(status.contains("detail=upstream-slow"), "{status}");
        }
        hold.release();
        stack.edge().metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
        let fresh = stack.edge().get("/a").await;
        assert_eq!((fresh.x_cache().as_str(), fresh.body.as_ref()), ("HIT", &b"version 2"[..]));
        assert_eq!(stack.origin.hits("/a"), 2, "one fill for all");
    }
}

/// What may not be used stale is waited for, however long it takes.
#[tokio::test]
async fn what_must_be_validated_does_not_stand_in_for_a_late_answer() {
    let stack = Shape::single()
        .site(|site| site.stale_if_slow = Some(Duration::from_millis(50)))
        .start()
        .await;
    versioned(&stack, "max-age=60, must-revalidate", 1).release();
    stack.edge().get("/a").await;
    stack.advance(MINUTE);
    let hold = versioned(&stack, "max-age=60", 2);
    let mut client = stack.edge().spawn_get("/a");
    hold.reached().await;
    let early = tokio::time::timeout(Duration::from_millis(200), &mut client).await;
    assert!(early.is_err(), "{early:?}");
    hold.release();
    assert_eq!(client.await.unwrap().body, "version 2");
}

/// The windows of the site count for a response that states none.
#[tokio::test]
async fn the_site_says_how_stale_is_still_good_where_the_response_does_not() {
    let stack = Shape::single()
        .site(|site| {
            site.policy.stale_while_revalidate = MINUTE;
            site.policy.stale_if_error = 5 * MINUTE;
        })
        .start()
        .await;
    versioned(&stack, "max-age=60", 1).release();
    stack.edge().get("/a").await;
    stack.answer("/a", 500).body("broken").set();
    stack.advance(Duration::from_secs(90));
    let reply = stack.edge().get("/a").await;
    assert_eq!((reply.x_cache().as_str(), reply.field("age")), ("STALE", "90".into()));
    stack.advance(2 * MINUTE);
    let reply = stack.edge().get("/a").await;
    assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("STALE", &b"version 1"[..]));
    stack.advance(5 * MINUTE);
    assert_eq!(stack.edge().get("/a").await.status, 500, "past the window");
}
