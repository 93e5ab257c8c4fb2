//! The tasks that keep a node in step with the purge log, and how they end.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{follow, implied, sweep};
use crate::node::Node;
use crate::push;

/// How long leaving the roll may take.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// The tasks; they end when this is dropped.
pub(crate) struct KeepingStep {
    tasks: Vec<JoinHandle<()>>,
}

/// Starts them.
pub(crate) fn start(node: &Arc<Node>) -> KeepingStep {
    let mut tasks = vec![
        tokio::spawn(sweep::sweep(Arc::clone(node))),
        tokio::spawn(implied::record(Arc::clone(node))),
        tokio::spawn(push::work(Arc::clone(node))),
    ];
    if let Some(nats) = &node.nats {
        tasks.push(tokio::spawn(nats.clone().follow()));
    } else if node.keeps_log {
        tasks.push(tokio::spawn(push::keep_own(Arc::clone(node))));
    } else {
        tasks.push(tokio::spawn(follow::follow(Arc::clone(node))));
    }
    KeepingStep { tasks }
}

impl KeepingStep {
    /// Ends them in peace: purges do not wait for a node that has left.
    pub(crate) async fn end(&self, node: &Node) {
        for task in &self.tasks {
            task.abort();
        }
        if !node.keeps_log {
            let leaving = async {
                match &node.nats {
                    Some(nats) => nats.leave().await,
                    None => follow::leave(node).await,
                }
            };
            if tokio::time::timeout(LEAVE_WITHIN, leaving).await.is_err() {
                tracing::debug!("the purge log was not told that this node leaves");
            }
        }
        node.known.close().await;
    }
}

impl Drop for KeepingStep {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
