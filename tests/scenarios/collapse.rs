//! Many requests for one key, one request upstream.

use weir_tests::{Request, Shape, Stack, soon};

/// Two hundred clients over three edges ask for one cold key while the origin holds the body half
/// sent: one origin request, all bodies equal, and every client has its first bytes before the
/// origin sends its last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_over_three_edges_cost_one_origin_request_and_stream() {
    let stack = Shape::tiers(3, 2).start().await;
    let body = vec![7_u8; 200_000];
    let script = stack.origin.script("/film").ok().header("cache-control", "max-age=60");
    let hold = script.body(body.clone()).send(50_000).hold().set();

    let mut clients = Vec::new();
    for index in 0..200 {
        let to = stack.edges[index % 3].addr();
        clients.push(tokio::spawn(async move {
            let mut transfer = Request::get("/film").start(to).await;
            let early = transfer.read_at_least(1).await;
            (early, transfer)
        }));
    }
    hold.reached().await;
    let mut reading = Vec::new();
    for client in clients {
        reading.push(soon("a client's first bytes", client).await.unwrap());
    }
    assert_eq!(stack.origin.hits("/film"), 1, "the origin still holds the rest");
    hold.release();

    for (early, transfer) in reading {
        assert!(!early.is_empty());
        let rest = transfer.finish().await;
        assert!(!rest.cut);
        assert_eq!([early.as_slice(), &rest.body].concat(), body);
    }
    assert_eq!(stack.origin.hits("/film"), 1);
    let hit = stack.edge().get("/film").await;
    assert_eq!((hit.x_cache().as_str(), hit.body.len()), ("HIT", body.len()));
}

/// Those who wait are told so, counted, and cost nothing upstream.
#[tokio::test]
async fn waiters_before_the_head_share_one_request() {
    let stack = Shape::single().start().await;
    let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
    let hold = script.body("hello").hold().set();
    let leader = stack.edge().spawn_get("/a");
    hold.reached().await;
    let waiters: Vec<_> = (0..20).map(|_| stack.edge().spawn_get("/a")).collect();
    stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 20.0).await;
    hold.release();

    assert_eq!(leader.await.unwrap().cache_status(), "edge; fwd=uri-miss; stored");
    for waiter in waiters {
        let reply = waiter.await.unwrap();
        assert_eq!(reply.body, "hello");
        assert_eq!(reply.cache_status(), "edge; fwd=uri-miss; stored; collapsed");
        assert_eq!(reply.x_cache(), "MISS", "not a hit");
    }
    assert_eq!(stack.origin.hits("/a"), 1);
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.get("weir_collapsed_requests_total"), 20.0);
    assert_eq!(metrics.get("weir_fills_total"), 1.0);
}

/// A waiter whose variant the answer is not goes on for itself (RFC 9111 §4.1).
#[tokio::test]
async fn codings_that_differ_do_not_share_a_fill() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let variant = |coding: &'static str| {
            let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
            script.header("vary", "Accept-Encoding").header("content-encoding", coding).body(coding)
        };
        let hold = variant("gzip").hold().once().set();
        variant("br").once().set();
        let accepting = |coding| Request::get("/a").header("accept-encoding", coding);
        let gzip = stack.edge().spawn(accepting("gzip"));
        hold.reached().await;
        let br = stack.edge().spawn(accepting("br"));
        stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 1.0).await;
        hold.release();

        assert_eq!(gzip.await.unwrap().body, "gzip");
        assert_eq!(br.await.unwrap().body, "br", "nobody knew before that the answer varies");
        assert_eq!(stack.origin.hits("/a"), 2);
        for (accept, coding) in [("gzip", "gzip"), ("br", "br"), ("x-odd, GZIP;q=1.0", "gzip")] {
            let hit = stack.edge().send(&accepting(accept)).await;
            assert_eq!(
                (hit.x_cache().as_str(), hit.field("content-encoding")),
                ("HIT", coding.into())
            );
        }
        assert_eq!(stack.origin.hits("/a"), 2);
    }
}

/// What Vary nominates is known once a variant is stored: then nobody waits for the wrong one.
#[tokio::test]
async fn a_known_variant_does_not_wait_for_another() {
    let stack = Shape::single().start().await;
    let variant = |name: &'static str| {
        let script = stack.origin.script("/a").ok().header("cache-control", "max-age=60");
        script.header("vary", "X-Kind").body(name)
    };
    let kind = |kind| Request::get("/a").header("x-kind", kind);
    variant("one").once().set();
    stack.edge().send(&kind("one")).await;
    let hold = variant("two").hold().once().set();
    variant("three").once().set();
    let two = stack.edge().spawn(kind("two"));
    hold.reached().await;

    let three = stack.edge().send(&kind("three")).await;
    assert_eq!(three.body, "three", "answered while the other variant is still held");
    hold.release();
    assert_eq!(two.await.unwrap().body, "two");
    assert_eq!(stored_kinds(&stack).await, ["one", "two", "three"]);
    assert_eq!(stack.origin.hits("/a"), 3);
}

async fn stored_kinds(stack: &Stack) -> Vec<String> {
    let mut bodies = Vec::new();
    for kind in ["one", "two", "three"] {
        let hit = stack.edge().send(&Request::get("/a").header("x-kind", kind)).await;
        assert_eq!(hit.x_cache(), "HIT", "{kind}");
        bodies.push(String::from_utf8(hit.body.to_vec()).unwrap());
    }
    bodies
}
