//! What the store holds is bounded, whatever comes.

use weir_node::config::{ByteSize, NodeConfig};
use weir_tests::{Request, Shape};

const MEMORY: u64 = 1 << 20;

fn small(config: &mut NodeConfig) {
    config.store.memory = ByteSize::from_bytes(MEMORY);
    config.store.object_max = ByteSize::from_kib(64);
}

/// Twenty times what fits, and the bound holds at every moment that is looked at.
#[tokio::test]
async fn the_store_never_exceeds_its_memory() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.node(small).start().await;
        for index in 0..400_u32 {
            let path = format!("/a{index}?size=50000");
            assert_eq!(stack.edge().get(&path).await.body.len(), 50_000);
            if index % 20 == 0 {
                for node in stack.nodes() {
                    let bytes = node.metrics().await.get("weir_store_bytes");
                    assert!(bytes <= MEMORY as f64, "{bytes}");
                }
            }
        }
        for node in stack.nodes() {
            let metrics = node.metrics().await;
            let (bytes, keys) = (metrics.get("weir_store_bytes"), metrics.get("weir_store_keys"));
            assert!(bytes <= MEMORY as f64, "{bytes}");
            assert!(bytes > MEMORY as f64 / 2.0, "and what fits is used: {bytes}");
            assert!(keys >= 10.0, "{keys}");
            let evicted = metrics.get("weir_evictions_total");
            assert!(evicted >= 300.0 && evicted + keys <= 400.0, "{evicted} evicted, {keys} kept");
        }
        assert_eq!(stack.origin.total(), 400);
    }
}

/// What is stored under pressure is right all the same.
#[tokio::test]
async fn what_is_left_after_evictions_is_right() {
    let stack = Shape::single().node(small).start().await;
    for round in 0..3 {
        for index in 0..60 {
            let path = format!("/a{index}");
            let reply = stack.edge().get(&format!("{path}?size=40000")).await;
            let expected = weir_origin_mock::pattern_bytes(&path, 1, 0..40_000);
            assert!(reply.body == expected, "{path} in round {round}, {}", reply.x_cache());
        }
    }
    let metrics = stack.edge().metrics().await;
    assert!(metrics.get("weir_store_bytes") <= MEMORY as f64);
    assert!(metrics.get("weir_evictions_total") > 0.0);
}

/// Larger than what is stored: streamed, said to be too large, and fetched each time.
#[tokio::test]
async fn what_is_too_large_is_streamed_and_not_stored() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.node(small).start().await;
        for (size, stored) in [(64 << 10, true), ((64 << 10) + 1, false)] {
            let path = format!("/a?size={size}");
            let first = stack.edge().get(&path).await;
            let again = stack.edge().get(&path).await;
            assert_eq!((first.body.len(), again.body.len()), (size, size));
            if stored {
                assert_eq!(first.cache_status(), "edge; fwd=uri-miss; stored");
                assert_eq!(again.x_cache(), "HIT");
            } else {
                let expected = "edge; fwd=uri-miss; detail=too-large";
                assert_eq!(first.cache_status(), expected);
                assert_eq!(again.cache_status(), expected);
            }
        }
        assert_eq!(stack.origin.hits("/a"), 3);
        for node in stack.nodes() {
            let metrics = node.metrics().await;
            assert_eq!(metrics.get("weir_store_keys"), 1.0);
            assert_eq!(metrics.get("weir_fill_memory_bytes"), 0.0);
        }
    }
}

/// A flood of variants under one key keeps to its bound, newest first (RFC 9111 §4.1).
#[tokio::test]
async fn variants_of_one_key_are_bounded() {
    let stack = Shape::single().node(|config| config.store.variants_max = 4).start().await;
    let kind = |kind: u32| Request::get("/a").header("x-kind", &kind.to_string());
    for index in 0..10 {
        stack.advance(std::time::Duration::from_secs(1));
        let script = stack.answer("/a", 200).header("cache-control", "max-age=600");
        script.header("vary", "X-Kind").body(format!("kind {index}")).set();
        assert_eq!(stack.edge().send(&kind(index)).await.body, format!("kind {index}"));
    }
    assert_eq!(stack.origin.hits("/a"), 10);
    for index in 6..10 {
        let hit = stack.edge().send(&kind(index)).await;
        assert_eq!((hit.x_cache().as_str(), hit.body), ("HIT", format!("kind {index}").into()));
    }
    let gone = stack.edge().send(&kind(5)).await;
    assert_eq!(gone.cache_status(), "edge; fwd=vary-miss; stored");
    assert_eq!(stack.edge().metrics().await.get("weir_store_keys"), 1.0);
}

/// Many bodies at once may not take more memory on their way into the store than is set aside for
/// that: the others go through windows, right and unstored.
#[tokio::test]
async fn bodies_in_flight_share_one_budget() {
    let stack = Shape::single().node(small).start().await;
    let gate = stack.origin.gate("all");
    let mut clients = Vec::new();
    for index in 0..20 {
        let script = stack.answer(&format!("/a{index}"), 200).header("cache-control", "max-age=60");
        script.body(vec![index; 60_000]).send(59_999).hold_at(&gate).set();
        clients.push(stack.edge().spawn_get(&format!("/a{index}")));
    }
    gate.reached_by(20).await;
    // Fills whose bytes are in: those that keep them and those that have set them aside.
    stack
        .edge()
        .metrics_reach(|metrics| {
            let [kept, aside] = ["weir_fill_memory_bytes", "weir_fill_spill_bytes"];
            let (kept, aside) = (metrics.get(kept), metrics.get(aside));
            assert!(kept <= MEMORY as f64 / 4.0, "{kept}");
            // What is kept is charged with a little for each piece.
            kept + aside >= 20.0 * 59_999.0
        })
        .await;
    gate.release();
    for (index, client) in (0_u8..).zip(clients) {
        let reply = client.await.unwrap();
        assert!(!reply.cut && reply.body == vec![index; 60_000]);
    }
    stack
        .edge()
        .metrics_reach(|metrics| {
            metrics.get("weir_fill_memory_bytes") + metrics.get("weir_fill_spill_bytes") == 0.0
        })
        .await;
    assert!(stack.edge().metrics().await.get("weir_store_keys") >= 3.0);
}
