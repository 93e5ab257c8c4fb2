//! How often may a message about the purge log be passed on?
//!
//! Nodes whose parents point at each other would pass a message round for ever, and each round is another
//! request. A message therefore carries how many nodes have passed it on; the number goes along with the
//! task that answers it.

use std::future::Future;

/// Nodes that may pass a message on; more than a chain has tiers.
pub(super) const HOPS_MAX: u8 = 8;

tokio::task_local! {
    static HOPS: u8;
}

/// How many nodes have passed on the message that is being answered; zero where none is.
pub(super) fn passed() -> u8 {
    HOPS.try_with(|hops| *hops).unwrap_or(0)
}

/// Answers a message that `hops` nodes have passed on.
pub(super) async fn answering<T>(hops: u8, answer: impl Future<Output = T>) -> T {
    HOPS.scope(hops.saturating_add(1), answer).await
}
