//! Records in the purge log what requests that passed have invalidated (RFC 9111 §4.4).
//!
//! Every tier that such an answer passes invalidates at once what it stores itself. The node that asks
//! the origin writes it into the log, so that nodes beside the path learn of it too. They are allowed
//! not to (RFC 9111 §4.4 speaks of the caches on the path), so what finds no room is counted and let go.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use weir_cache::purge::{Mode, Selector};

use super::Order;
use crate::node::Node;

/// Targets that may wait to be written, and that go into one entry.
const WAITING_MAX: usize = 4_096;
const TOGETHER_MAX: usize = 1_000;
/// After an entry, so long passes before the next: what a burst of requests invalidates shares entries.
const GATHER_FOR: Duration = Duration::from_millis(50);

/// Where targets wait.
pub(crate) struct Implied {
    sender: mpsc::Sender<Selector>,
    receiver: parking_lot::Mutex<Option<mpsc::Receiver<Selector>>>,
}

impl Implied {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        Self { sender, receiver: parking_lot::Mutex::new(Some(receiver)) }
    }

    /// Puts what was invalidated into the queue; returns whether there was room.
    pub(crate) fn note(&self, selector: Selector) -> bool {
        self.sender.try_send(selector).is_ok()
    }
}

/// Writes what waits into the log until the task is aborted.
pub(super) async fn record(node: Arc<Node>) {
    let Some(mut receiver) = node.implied.receiver.lock().take() else { return };
    let mut waiting = Vec::new();
    while receiver.recv_many(&mut waiting, TOGETHER_MAX).await > 0 {
        let distinct: HashSet<Selector> = waiting.drain(..).collect();
        let order = Order {
            reason: "a request that passed changed it".to_owned(),
            implied: true,
            by: node.config.name.clone(),
            ..Order::new(Mode::Invalidate, distinct.into_iter().collect())
        };
        if let Err(error) = node.log.append(order, Duration::ZERO).await {
            node.metrics.purge.unrecorded.inc();
            tracing::warn!(error = %crate::telemetry::chain(&error), "an invalidation was not written into the purge log");
        }
        tokio::time::sleep(GATHER_FOR).await;
    }
}
