//! What is kept when there is no room for all is what `store.goal` says.

use weir_cache::eviction::Goal;
use weir_node::config::ByteSize;
use weir_tests::{Folder, Shape, Stack};

const SMALL: usize = 100;
const LARGE: usize = 60;

async fn edge(folder: &Folder, goal: Goal) -> Stack {
    let data_dir = folder.path().to_owned();
    let shape = Shape::single().node(move |node| {
        node.data_dir = Some(data_dir.clone());
        node.store.put_on_disk(ByteSize::from_mib(16));
        node.store.memory_object_max = ByteSize::from_kib(1);
        node.store.goal = goal;
    });
    shape.start().await
}

/// Small objects are asked for once, then four times of what fits in large ones twice each.
#[tokio::test]
async fn objects_keeps_many_small_ones_and_bytes_the_large_ones_that_are_asked_for() {
    let mut kept = Vec::new();
    for goal in [Goal::Objects, Goal::Bytes] {
        let folder = Folder::new();
        let stack = edge(&folder, goal).await;
        for number in 0..SMALL {
            stack.edge().get(&format!("/small-{number}?size=20000")).await;
        }
        stack.edge().written().await;
        for number in 0..LARGE {
            for _ in 0..2 {
                stack.edge().get(&format!("/large-{number}?size=1000000")).await;
                stack.edge().written().await;
            }
        }
        let mut hits = 0;
        for number in 0..SMALL {
            let reply = stack.edge().get(&format!("/small-{number}?size=20000")).await;
            hits += usize::from(reply.x_cache() == "HIT");
        }
        kept.push(hits);
        assert!(stack.edge().metrics().await.get("weir_disk_evictions_total") >= 40.0);
    }
    assert_eq!(kept[0], SMALL);
    assert!(kept[1] < SMALL / 4, "{kept:?}");
}
