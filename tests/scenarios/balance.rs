//! Which of a site's servers is asked, and which next.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Method;
use weir_node::config::{Balance, OriginServer, SiteConfig};
use weir_origin_mock::OriginMock;
use weir_tests::{Request, Shape, free_addr, upstream};

fn server(address: SocketAddr, words: &str) -> OriginServer {
    format!("http://{address}{words}").parse().unwrap()
}

/// A stack of one edge whose site has its own origin, with `words` behind the address, and `others`.
fn shape(words: &'static str, others: Vec<OriginServer>) -> Shape {
    Shape::single().site(move |site: &mut SiteConfig| {
        let own = format!("{}{words}", site.origins[0]);
        site.origins = vec![own.parse().unwrap()];
        site.origins.extend(others.iter().cloned());
    })
}

#[tokio::test]
async fn servers_are_asked_by_their_weight() {
    let heavy = OriginMock::start().await;
    let stack = shape("", vec![server(heavy.addr(), " weight=3")]).start().await;
    for index in 0..400 {
        assert_eq!(stack.edge().get(&format!("/a{index}")).await.status, 200);
    }
    assert_eq!((stack.origin.total(), heavy.total()), (100, 300));
}

#[tokio::test]
async fn a_slow_server_gets_fewer_where_the_fewest_in_flight_counts() {
    let quick = OriginMock::start().await;
    let others = vec![server(quick.addr(), "")];
    let stack = shape("", others)
        .site({
            let quick = quick.addr();
            move |site| {
                site.origins.push(server(quick, ""));
                site.origin.balance = Balance::LeastOutstanding;
            }
        })
        .start()
        .await;
    let hold = stack.origin.script("/slow").ok().body("x").hold().set();
    quick.script("/slow").ok().body("x").hold_at(&hold).set();
    let slow = stack.edge().spawn_get("/slow");
    hold.reached().await;
    let before = (stack.origin.total(), quick.total());
    for index in 0..50 {
        assert_eq!(stack.edge().get(&format!("/a{index}")).await.status, 200);
    }
    let asked = (stack.origin.total() - before.0, quick.total() - before.1);
    let expected = if before.0 == 1 { (0, 50) } else { (50, 0) };
    assert_eq!(asked, expected, "the one with a request in flight is not asked");
    hold.release();
    assert_eq!(slow.await.unwrap().body, "x");
}

/// An origin with a cache of its own is asked for one URL, always the same.
#[tokio::test]
async fn the_key_chooses_the_server_where_it_is_to() {
    let other = OriginMock::start().await;
    let address = other.addr();
    let stack = Shape::single().site(move |site| {
        site.origins.push(server(address, ""));
        site.origin.balance = Balance::Rendezvous;
    });
    let stack = stack.start().await;
    for index in 0..40 {
        let path = format!("/a{index}");
        stack.origin.script(&path).ok().header("cache-control", "no-store").body("x").set();
        other.script(&path).ok().header("cache-control", "no-store").body("x").set();
        for _ in 0..3 {
            assert_eq!(stack.edge().get(&path).await.body, "x");
        }
        let hits = (stack.origin.hits(&path), other.hits(&path));
        assert!(hits == (3, 0) || hits == (0, 3), "{path}: {hits:?}");
    }
    assert!(stack.origin.total() >= 15 && other.total() >= 15, "both have their part");
}

/// A backup is asked while no other server can be, and not one request longer.
#[tokio::test]
async fn a_backup_stands_in_for_as_long_as_it_must() {
    let backup = OriginMock::start().await;
    let stack = shape("", vec![server(backup.addr(), " backup")]).start().await;
    stack.edge().get("/a").await;
    assert_eq!(backup.total(), 0);
    stack.origin.stop().await;
    for index in 0..10 {
        assert_eq!(stack.edge().get(&format!("/b{index}")).await.status, 200);
    }
    assert_eq!(backup.total(), 10);
    stack.origin.restart().await.unwrap();
    stack.advance(std::time::Duration::from_secs(60));
    for index in 0..10 {
        assert_eq!(stack.edge().get(&format!("/c{index}")).await.status, 200);
    }
    assert_eq!(backup.total(), 10);
}

/// An answer that says "not me, not now" is one that another server may better.
#[tokio::test]
async fn a_server_that_is_out_of_order_is_stood_in_for() {
    let other = OriginMock::start().await;
    let stack = shape("", vec![server(other.addr(), "")]).start().await;
    stack.origin.script("/a").status(503).body("maintenance").set();
    other.script("/a").ok().header("cache-control", "no-store").body("hello").set();
    for _ in 0..6 {
        let reply = stack.edge().get("/a").await;
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b"hello"[..]));
    }
    assert!(stack.origin.hits("/a") >= 1);
    let retried = stack.edge().metrics().await;
    assert!(retried.sum("weir_upstream_retries_total", &["reason=\"status\""]) >= 1.0);

    for origin in [&stack.origin, &other] {
        origin.script("/b").status(503).body("all out of order").set();
        origin.script("/c").status(500).body("a bug").set();
        origin.script("/d").status(503).body("not again").set();
    }
    let reply = stack.edge().get("/b").await;
    assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (503, &b"all out of order"[..]));
    assert_eq!(stack.edge().get("/c").await.status, 500);
    assert_eq!(stack.origin.hits("/c") + other.hits("/c"), 1, "a bug is one everywhere");
    let order = Request::new(Method::POST, "/d").body("order");
    assert_eq!(stack.edge().send(&order).await.status, 503);
    assert_eq!(stack.origin.hits("/d") + other.hits("/d"), 1, "it may have been carried out");
}

/// Half of the servers are out of order: what their requests would cost the other half has a bound.
#[tokio::test]
async fn retries_are_a_share_of_the_requests() {
    let other = OriginMock::start().await;
    let stack = shape("", vec![server(other.addr(), "")]).start().await;
    let mut answered = 0;
    for index in 0..200 {
        let path = format!("/a{index}");
        stack.origin.script(&path).status(503).body("out of order").set();
        answered += u32::from(stack.edge().get(&path).await.status == 200);
    }
    let metrics = stack.edge().metrics().await;
    let retries = metrics.sum("weir_upstream_retries_total", &["reason=\"status\""]);
    // A fifth of 200 and ten that are saved up; cache time stands still.
    assert!((40.0..=51.0).contains(&retries), "{retries}");
    assert!(metrics.get("weir_upstream_budget_exhausted_total") >= 40.0);
    assert_eq!(f64::from(answered), 100.0 + retries, "the rest got what the first one said");
}

/// Nobody waits for a connection to one server while another has one free.
#[tokio::test]
async fn a_server_with_a_free_connection_is_asked_before_one_without() {
    let other = OriginMock::start().await;
    let address = other.addr();
    let stack = shape("", vec![server(address, "")])
        .node(|node| node.upstream.connections_max = 1)
        .start()
        .await;
    let hold = stack.origin.script("/slow").ok().body("x").hold().set();
    other.script("/slow").ok().body("x").hold_at(&hold).set();
    let slow = stack.edge().spawn_get("/slow");
    hold.reached().await;
    for index in 0..10 {
        assert_eq!(stack.edge().get(&format!("/a{index}")).await.status, 200);
    }
    hold.release();
    assert_eq!(slow.await.unwrap().status, 200);
    assert_eq!(stack.edge().metrics().await.get("weir_upstream_busy_total"), 0.0);
}

/// A server that dies with a body under way: the other one of the site goes on with it.
#[tokio::test]
async fn a_second_server_goes_on_with_the_body_of_the_first() {
    let page = "/film?size=3000000";
    let dead = free_addr();
    let first = OriginMock::builder().listen(dead).start().await.unwrap();
    let stack = Shape::single().site(move |site| {
        site.origins[0].backup = true;
        site.origins.insert(0, upstream(dead).into());
    });
    let stack = stack.start().await;
    let whole = Request::get(page).send(stack.origin.addr()).await;
    let script = first.script("/film").ok().header("etag", whole.field("etag"));
    let hold = script.body(whole.body.clone()).send(1_000_000).hold().set();
    let mut client = Request::get(page).start(stack.edge().addr()).await;
    let read = client.read_at_least(1_000_000).await;
    hold.reached().await;
    first.stop().await;
    let rest = client.finish().await;
    assert!(!rest.cut);
    assert_eq!(Arc::<[u8]>::from([&read[..], &rest.body[..]].concat()), whole.body.to_vec().into());
}
