//! Records in the purge log what requests that passed have invalidated (RFC 9111 §4.4).
//!
//! Every tier that such an answer passes invalidates at once what it stores itself. The node that asks
//! the origin writes it into the log, so that nodes beside the path learn of it too, and does so before the
//! answer goes down: what is fetched after it then reflects it. RFC 9111 §4.4 speaks of the caches on the
//! path only, so an answer does not wait for long, and what finds no room is counted and let go.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use weir_cache::purge::{Mode, Selector};

use super::Order;
use crate::node::Node;

/// Targets that may wait to be written, and that go into one entry.
const WAITING_MAX: usize = 4_096;
const TOGETHER_MAX: usize = 1_000;
/// Time between two entries.
const PAUSE: Duration = Duration::from_millis(50);
/// How long an answer waits for its invalidation to be written.
const WRITTEN_WITHIN: Duration = Duration::from_millis(250);

/// What was invalidated, and whoever waits until it is written.
type Waiting = (Selector, oneshot::Sender<()>);

/// Where targets wait.
pub(crate) struct Implied {
    sender: mpsc::Sender<Waiting>,
    receiver: parking_lot::Mutex<Option<mpsc::Receiver<Waiting>>>,
}

impl Implied {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        Self { sender, receiver: parking_lot::Mutex::new(Some(receiver)) }
    }

    /// Has what was invalidated written into the log; returns whether it was, in the time there is.
    pub(crate) async fn write(&self, selectors: Vec<Selector>) -> bool {
        let mut written = true;
        let mut waiting = Vec::new();
        for selector in selectors {
            let (done, wait) = oneshot::channel();
            written &= self.sender.try_send((selector, done)).is_ok();
            waiting.push(wait);
        }
        // Those without room end at once: their senders are gone.
        let all = futures_util::future::join_all(waiting);
        let done = tokio::time::timeout(WRITTEN_WITHIN, all).await;
        written && done.is_ok_and(|all| all.iter().all(Result::is_ok))
    }
}

/// Writes what waits into the log until the task is aborted.
pub(super) async fn record(node: Arc<Node>) {
    let Some(mut receiver) = node.implied.receiver.lock().take() else { return };
    let mut waiting = Vec::new();
    while receiver.recv_many(&mut waiting, TOGETHER_MAX).await > 0 {
        let (selectors, done): (HashSet<Selector>, Vec<_>) = waiting.drain(..).unzip();
        let order = Order {
            reason: "a request that passed changed it".to_owned(),
            implied: true,
            by: node.config.name.clone(),
            ..Order::new(Mode::Invalidate, selectors.into_iter().collect())
        };
        // What goes down after this was sent for after the entry: a new request reflects it. Several
        // requests that come while one entry is written share the next.
        if let Err(error) = node.log.append(order, Duration::ZERO).await {
            tracing::warn!(error = %crate::telemetry::chain(&error), "an invalidation was not written into the purge log");
            continue;
        }
        for waits in done {
            // Whoever waited may have gone on without it.
            let _gone = waits.send(());
        }
        // However many requests pass, receipts of purges that people asked for are not pushed out by these.
        tokio::time::sleep(PAUSE).await;
    }
}
