//! Bodies too large to store, read by many at paces of their own.

use std::sync::LazyLock;

use bytes::Bytes;
use weir_node::config::{ByteSize, NodeConfig};
use weir_origin_mock::{Hold, pattern_bytes};
use weir_tests::{Raw, Request, Shape, Stack};

/// Far above `object_max` below and above what the system's socket buffers can hide.
const FILM: u64 = 12 << 20;

fn small_store(config: &mut NodeConfig) {
    config.store.memory = ByteSize::from_mib(1);
    config.store.object_max = ByteSize::from_kib(64);
    config.fill.window = ByteSize::from_kib(128);
}

fn film() -> Bytes {
    static FILM_BYTES: LazyLock<Bytes> =
        LazyLock::new(|| pattern_bytes("/film", 1, 0..FILM).into());
    FILM_BYTES.clone()
}

/// The film, held after `sent` bytes.
fn held_film(stack: &Stack, sent: u64) -> Hold {
    let script = stack.origin.script("/film").ok().header("cache-control", "max-age=60");
    script.body(film()).send(sent).hold().set()
}

async fn slow_reader(stack: &Stack) -> Raw {
    let mut slow = Raw::connect_narrow(stack.edge().addr()).await;
    slow.write("GET /film HTTP/1.1\r\nHost: www.test\r\n\r\n").await;
    slow.head().await;
    slow
}

/// One client reads nothing while the others read everything; then it reads, and late ones come.
#[tokio::test]
async fn a_slow_reader_holds_up_nobody_and_loses_nothing() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.node(small_store).start().await;
        let hold = held_film(&stack, FILM - 1);
        let mut slow = slow_reader(&stack).await;
        let mut fast = Vec::new();
        for _ in 0..3 {
            fast.push(Request::get("/film").start(stack.edge().addr()).await);
        }
        let mut readers = Vec::new();
        for mut client in fast {
            readers.push(tokio::spawn(async move {
                let read = client.read_at_least(usize::try_from(FILM - 1).unwrap()).await;
                (read, client)
            }));
        }
        for reader in readers {
            let (read, _client) = reader.await.unwrap();
            assert!(read == film()[..read.len()], "all but the last byte, in order");
        }
        let spilled = stack.edge().metrics().await;
        assert_eq!(spilled.get("weir_fill_spill_bytes"), (FILM - 1) as f64);
        assert_eq!(spilled.get("weir_fill_memory_bytes"), 0.0, "a window is no store");

        let late = stack.edge().spawn_get("/film");
        stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") >= 1.0).await;
        hold.release();

        assert!(slow.exactly(usize::try_from(FILM).unwrap()).await == film());
        let late = late.await.unwrap();
        assert!(!late.cut && late.body == film(), "a late one gets every byte from the start");
        assert_eq!(late.cache_status(), "edge; fwd=uri-miss; collapsed; detail=too-large");
        assert_eq!(stack.origin.hits("/film"), 1);
        stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_spill_bytes") == 0.0).await;
        assert_eq!(stack.edge().metrics().await.get("weir_store_keys"), 0.0);
    }
}

/// Where nothing can be set aside, the slowest sets the pace, and nobody gets a wrong byte.
#[tokio::test]
async fn a_full_spill_folder_slows_down_and_corrupts_nothing() {
    let stack = Shape::single().node(|config| {
        small_store(config);
        config.fill.spill_max = ByteSize::from_kib(512);
    });
    let stack = stack.start().await;
    let hold = held_film(&stack, 0);
    let mut slow = slow_reader(&stack).await;
    let fast = stack.edge().spawn_get("/film");
    stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 1.0).await;
    hold.release();
    stack.edge().metrics_reach(|metrics| metrics.get("weir_spill_failures_total") >= 1.0).await;

    let slowly = slow.exactly(usize::try_from(FILM).unwrap()).await;

    assert!(slowly == film());
    let fast = fast.await.unwrap();
    assert!(!fast.cut && fast.body == film());
    assert_eq!(stack.origin.hits("/film"), 1);
    stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_spill_bytes") == 0.0).await;
    assert_eq!(stack.edge().metrics().await.get("weir_panics_total"), 0.0);
}

/// Bytes that are gone cannot be joined: who comes then has a request of its own.
#[tokio::test]
async fn a_body_whose_start_is_gone_is_fetched_again_for_who_comes_late() {
    let stack = Shape::single().node(|config| {
        small_store(config);
        config.fill.spill_max = ByteSize::from_kib(64);
    });
    let stack = stack.start().await;
    let hold = held_film(&stack, 4 << 20);
    let mut early = Request::get("/film").start(stack.edge().addr()).await;
    let first = early.read_at_least(4 << 20).await;
    let late = stack.edge().spawn_get("/film");
    stack.origin.hits_reach("/film", 2).await;
    hold.release();

    let rest = early.finish().await;
    assert!([first.as_slice(), &rest.body].concat() == film());
    let late = late.await.unwrap();
    assert!(!late.cut && late.body == film());
    assert_eq!(stack.origin.hits("/film"), 2);
}

/// A body in chunks shows its size only as it comes: the change from store to window happens midway.
#[tokio::test]
async fn a_body_that_outgrows_the_store_on_its_way_is_delivered_and_not_stored() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.node(small_store).start().await;
        let script = stack.origin.script("/film").ok().header("cache-control", "max-age=60");
        let hold = script.body(film()).chunked().send(1 << 20).hold().set();
        let mut first = Request::get("/film").start(stack.edge().addr()).await;
        let early = first.read_at_least(1 << 20).await;
        let second = stack.edge().spawn_get("/film");
        stack.edge().metrics_reach(|metrics| metrics.get("weir_fill_waiters") == 1.0).await;
        hold.release();

        let rest = first.finish().await;
        assert!(!rest.cut && [early.as_slice(), &rest.body].concat() == film());
        let second = second.await.unwrap();
        assert!(!second.cut && second.body == film());
        assert_eq!(stack.origin.hits("/film"), 1);
        for node in stack.nodes() {
            assert_eq!(node.metrics().await.get("weir_store_keys"), 0.0);
        }
    }
}
