//! What a node knows of purges outlives it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use weir_node::config::{ByteSize, OnIsolation};
use weir_tests::{Request, Shape, Stack, TestNode};

/// The file of an edge.
fn file(stack: &Stack) -> PathBuf {
    stack.edge().config().data_dir.clone().unwrap().join("purges/purge.log")
}

async fn purge_state(node: &TestNode) -> Value {
    let reply = node.admin(Method::GET, "/v1/nodes").await;
    let mut nodes: Value = serde_json::from_slice(&reply.body).unwrap();
    nodes["purge"].take()
}

/// Ends the edge and starts it again, at another address.
async fn restart_edge(stack: &mut Stack) {
    let edge = stack.edges.pop().unwrap();
    let config = edge.config().clone();
    edge.shutdown().await;
    stack.edges.push(TestNode::start(config, Arc::clone(&stack.clock)).await);
}

async fn purge(stack: &Stack, paths: &[&str]) {
    for path in paths {
        stack.edge().purge(&json!({"urls": [format!("http://www.test{path}")]})).await;
    }
}

async fn purge_one(stack: &Stack, path: &str) -> Value {
    stack.edge().purge(&json!({"urls": [format!("http://www.test{path}")]})).await
}

/// Cut off from the log, it knows which purges it has said to have applied, and trusts nothing by that.
#[tokio::test]
async fn a_restarted_node_knows_what_it_had_applied_though_it_is_cut_off() {
    let mut stack = Shape::tiers(1, 0).start().await;
    purge(&stack, &["/a", "/b"]).await;
    let before = purge_state(stack.edge()).await;
    assert_eq!(before["applied"], 2);
    let shield = stack.shield.take().unwrap();
    shield.shutdown().await;
    restart_edge(&mut stack).await;

    let after = purge_state(stack.edge()).await;
    assert_eq!((&after["applied"], &after["epoch"]), (&before["applied"], &before["epoch"]));
    assert_eq!(after["fenced"], true, "what it knows is no lease");
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.get("weir_purge_named"), 2.0);
    assert_eq!(metrics.get("weir_purge_applied_seq"), 2.0);
    assert_eq!(metrics.get("weir_purge_known_unread_total"), 0.0);
    let ready = Request::get("/readyz").send(stack.edge().admin_addr()).await;
    assert_eq!(ready.status, 503, "it has not heard of the log");
}

/// The log tells a node that comes back what it has missed, one by one.
#[tokio::test]
async fn a_restarted_node_is_told_what_it_missed() {
    let mut stack = Shape::tiers(2, 0).start().await;
    purge(&stack, &["/a"]).await;
    let away = stack.edges.pop().unwrap();
    let config = away.config().clone();
    away.shutdown().await;
    purge(&stack, &["/b", "/c"]).await;

    let back = TestNode::start(config, Arc::clone(&stack.clock)).await;
    back.metrics_reach(|metrics| metrics.get("weir_purge_fenced") == 0.0).await;
    back.ready().await;
    let metrics = back.metrics().await;
    assert_eq!(metrics.get("weir_purge_applied_seq"), 3.0);
    assert_eq!(metrics.get("weir_purge_named"), 3.0, "nothing was skipped");
    assert_eq!(metrics.get("weir_purges_applied_total"), 2.0, "two were new");
    stack.edges.push(back);
    let receipt = purge_one(&stack, "/d").await;
    assert_eq!(receipt["nodes"]["edge-1"]["state"], "applied", "{receipt}");
}

/// The node that keeps the log has what it had applied there.
#[tokio::test]
async fn the_node_that_keeps_the_log_knows_its_entries_after_a_restart() {
    let mut stack = Shape::tiers(1, 0).start().await;
    purge(&stack, &["/a", "/b"]).await;
    stack.restart_shield().await;
    let metrics = stack.top().metrics().await;
    assert_eq!(metrics.get("weir_purge_named"), 2.0);
    assert_eq!(metrics.get("weir_purge_applied_seq"), 2.0);
    let folder = stack.top().config().data_dir.clone().unwrap();
    assert!(!folder.join("purges/purge.log").exists(), "it lies in the log");
}

/// Damage is no reason not to start, and is not believed.
#[tokio::test]
async fn a_damaged_file_is_set_aside_and_the_node_starts() {
    let mut stack = Shape::tiers(1, 0).start().await;
    purge(&stack, &["/a"]).await;
    let edge = stack.edges.pop().unwrap();
    let config = edge.config().clone();
    edge.shutdown().await;
    let file = config.data_dir.clone().unwrap().join("purges/purge.log");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 0xff;
    std::fs::write(&file, bytes).unwrap();

    stack.edges.push(TestNode::start(config, Arc::clone(&stack.clock)).await);
    stack.edge().ready().await;
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.get("weir_purge_known_unread_total"), 1.0);
    assert_eq!(metrics.get("weir_purge_named"), 0.0, "the log was taken up anew");
    let receipt = purge_one(&stack, "/b").await;
    assert_eq!(receipt["nodes"]["edge-0"]["state"], "applied", "{receipt}");
}

/// A log that was lost while the node was down is another one, and is written down as such.
#[tokio::test]
async fn a_log_that_was_lost_meanwhile_is_taken_up_anew() {
    let mut stack = Shape::tiers(1, 0)
        .node(|node| node.purge.lease = Duration::from_millis(1_500))
        .start()
        .await;
    purge(&stack, &["/a", "/b"]).await;
    let before = purge_state(stack.edge()).await;
    let edge = stack.edges.pop().unwrap();
    let edge_config = edge.config().clone();
    edge.shutdown().await;
    let shield = stack.shield.take().unwrap();
    let (mut config, address, admin) =
        (shield.config().clone(), shield.addr(), shield.admin_addr());
    shield.shutdown().await;
    std::fs::remove_dir_all(config.data_dir.clone().unwrap().join("purge-log")).unwrap();
    (config.listen, config.admin) = (address, admin);
    stack.shield = Some(TestNode::start(config, Arc::clone(&stack.clock)).await);
    stack.edges.push(TestNode::start(edge_config, Arc::clone(&stack.clock)).await);
    stack.edge().ready().await;
    let joined = purge_state(stack.edge()).await;
    assert_ne!(joined["epoch"], before["epoch"]);

    stack.shield.take().unwrap().shutdown().await;
    restart_edge(&mut stack).await;
    assert_eq!(purge_state(stack.edge()).await["epoch"], joined["epoch"]);
}

#[tokio::test]
async fn what_is_written_down_is_on_disk_before_a_purge_is_reported() {
    let stack = Shape::tiers(1, 0).start().await;
    let bytes = || std::fs::metadata(file(&stack)).map_or(0, |file| file.len());
    let before = bytes();
    let receipt = purge_one(&stack, "/a").await;
    assert_eq!(receipt["nodes"]["edge-0"]["state"], "applied", "{receipt}");
    assert!(bytes() > before);
}

/// An edge with a disk that goes on when it is cut off, and has been told that `/purged` is.
///
/// What it had in memory was gone by then: of the purge nothing has come to the disk but the note.
async fn purged_on_disk() -> Stack {
    let shape = Shape::tiers(1, 0).site(|site| site.on_isolation = OnIsolation::ServeStale);
    let shape = shape.node(|node| node.store.disk = Some(ByteSize::from_mib(64)));
    let mut stack = shape.start().await;
    for path in ["/kept", "/purged"] {
        stack.serve(path, "max-age=600", "old");
        stack.edge().get(path).await;
    }
    stack.edge().written().await;
    stack.restart_edge().await;
    stack.edge().ready().await;
    purge(&stack, &["/purged"]).await;
    stack.shield.take().unwrap().shutdown().await;
    stack
}

/// It judges what it has on disk by what it had been told, also where nobody tells it anything.
#[tokio::test]
async fn a_restarted_node_that_is_cut_off_goes_on_with_its_disk_without_what_was_purged() {
    let mut stack = purged_on_disk().await;
    for round in ["first", "again"] {
        stack.restart_edge().await;
        let kept = stack.edge().get("/kept").await;
        let seen = (kept.x_cache(), kept.body.as_ref() == b"old");
        assert_eq!(seen, ("HIT".to_owned(), true), "{round}");
        let purged = stack.edge().get("/purged").await;
        assert_eq!(purged.status, 502, "{round}: {purged:?}");
    }
}

/// Without the note, everything on disk may have been purged, whatever the site says.
#[tokio::test]
async fn a_node_whose_note_was_lost_uses_nothing_on_disk_unasked() {
    let mut stack = purged_on_disk().await;
    let folder = stack.edge().config().data_dir.clone().unwrap().join("purges");
    stack.edge_while_stopped(|| std::fs::remove_dir_all(folder).unwrap()).await;
    for path in ["/kept", "/purged"] {
        let reply = stack.edge().get(path).await;
        assert_eq!(reply.status, 502, "{path}: {reply:?}");
    }
}
