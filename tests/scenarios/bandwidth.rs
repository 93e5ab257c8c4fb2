//! How fast bodies go out, and how slowly they may be taken.

use std::time::{Duration, Instant};

use weir_node::config::{Bandwidth, ByteSize, NodeConfig, SiteConfig};
use weir_tests::{Raw, Shape, Stack};

const MIB: usize = 1 << 20;

fn per_second(bytes: usize) -> Option<Bandwidth> {
    Some(Bandwidth::per_second(ByteSize::from_bytes(bytes as u64)))
}

async fn with(site: impl Fn(&mut SiteConfig) + Send + Sync + 'static, body: usize) -> Stack {
    let stack = Shape::single().site(site).start().await;
    stack.serve("/large", "max-age=600", vec![7; body]);
    stack
}

/// A miss and a hit alike; what is free goes at once and the rest at its pace.
#[tokio::test]
async fn a_connection_gets_its_bandwidth_and_no_more() {
    let stack = with(
        |site| {
            site.limits.bandwidth_per_connection = per_second(8 * MIB);
            site.limits.bandwidth_after = ByteSize::from_mib(1);
        },
        5 * MIB,
    )
    .await;
    for expected in ["MISS", "HIT"] {
        let began = Instant::now();
        let reply = stack.edge().get("/large").await;
        let took = began.elapsed();
        assert_eq!((reply.body.len(), reply.x_cache().as_str()), (5 * MIB, expected));
        assert!(took >= Duration::from_millis(400), "{expected}: 4 MiB at 8 MiB/s in {took:?}");
        assert!(!reply.cut);
    }
}

#[tokio::test]
async fn the_connections_of_a_site_share_its_bandwidth() {
    let stack = with(|site| site.limits.bandwidth_max = per_second(8 * MIB), MIB).await;
    stack.edge().get("/large").await;
    let began = Instant::now();
    let gets: Vec<_> = (0..4).map(|_| stack.edge().spawn_get("/large")).collect();
    for get in gets {
        assert_eq!(get.await.unwrap().body.len(), MIB);
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(350), "4 MiB at 8 MiB/s in {took:?}");
}

/// A range of a shaped body, and its length, are those of the body.
#[tokio::test]
async fn a_body_that_is_spread_over_time_is_the_same_body() {
    let stack = with(|site| site.limits.bandwidth_per_connection = per_second(64 * MIB), MIB).await;
    let mut raw = Raw::connect(stack.edge().addr()).await;
    for _ in 0..2 {
        let reply = raw.get("/large").await;
        assert_eq!(reply.field("content-length"), MIB.to_string());
        assert_eq!(reply.body, vec![7; MIB]);
    }
    raw.write("GET /large HTTP/1.1\r\nHost: www.test\r\nRange: bytes=1-99999\r\n\r\n").await;
    let part = raw.response().await;
    assert_eq!((part.status, part.body.len()), (206, 99_999));
}

/// A reader that takes a little now and then is cut; one that reads is served meanwhile.
#[tokio::test]
async fn a_reader_that_drips_is_cut() {
    let slow = |node: &mut NodeConfig| {
        node.limits.write_timeout = Duration::from_secs(2);
        // Nobody is as fast as that; only who keeps the node waiting is held to it.
        node.limits.write_rate_min = Bandwidth::per_second(ByteSize::from_gib(1));
    };
    let stack = Shape::single().node(slow).start().await;
    let large = 64 * MIB;
    stack.serve("/large", "max-age=600", vec![7; large]);
    stack.serve("/small", "max-age=600", "hello");
    let mut drip = Raw::connect_narrow(stack.edge().addr()).await;
    drip.write("GET /large HTTP/1.1\r\nHost: www.test\r\n\r\n").await;
    drip.head().await;
    let began = Instant::now();
    let mut came = 0;
    while stack.edge().metrics().await.get("weir_connections_cut_total") == 0.0 {
        came += drip.exactly(32 * 1024).await.len();
        assert_eq!(stack.edge().get("/small").await.body, "hello");
        assert!(began.elapsed() < Duration::from_secs(18));
    }
    came += drip.rest().await.len();
    assert!(came < large, "{came}");
    let cut = stack.edge().metrics().await;
    assert_eq!(cut.sum("weir_connections_cut_total", &["reason=\"write-rate\""]), 1.0);
}
