//! How are entries of the purge log written down, and what do nodes say to each other about them?
//!
//! These are the forms on disk and on the wire, version 1, apart from the types that the rules work
//! with. A form that a newer node wrote and this one cannot read is taken for the widest it can mean:
//! an entry that is not understood purges everything.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use weir_cache::purge::{Entry, Mode, Selector};

use super::Order;
use crate::push;

/// Version of the forms here.
const VERSION: u8 = 1;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Version of the form.
    pub(crate) v: u8,
    /// The name of the purge, the same on every node.
    pub(crate) id: String,
    /// When it was asked for, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// `purge` or `invalidate`.
    pub(crate) mode: String,
    /// What it matches, each as [`Selector`] writes itself.
    pub(crate) selectors: Vec<String>,
    /// Why, in the words of whoever asked.
    #[serde(default)]
    pub(crate) reason: String,
    /// The node that was asked.
    #[serde(default)]
    pub(crate) by: String,
    /// How many of the hottest responses that it matches each edge fetches again at once.
    #[serde(default)]
    pub(crate) preload_hot: u32,
    /// Whether nobody asked for it by name: what a POST or DELETE that passed has invalidated.
    #[serde(default)]
    pub(crate) implied: bool,
}

impl Record {
    /// The record of `order`, asked for at `at_ms`.
    pub(crate) fn new(order: Order, id: String, at_ms: i64) -> Self {
        Self {
            v: VERSION,
            id,
            at_ms,
            mode: order.mode.as_str().to_owned(),
            selectors: order.selectors.iter().map(ToString::to_string).collect(),
            reason: order.reason,
            by: order.by,
            preload_hot: order.preload_hot,
            implied: order.implied,
        }
    }

    /// What stands for a record that cannot be read.
    pub(crate) fn unreadable(seq: u64) -> Self {
        let order = Order::new(Mode::Purge, vec![Selector::Everything]);
        Self::new(order, format!("unreadable-{seq}"), 0)
    }

    /// What the rules apply.
    pub(crate) fn entry(&self) -> Entry {
        let selectors: Result<Vec<Selector>, _> =
            self.selectors.iter().map(|text| text.parse()).collect();
        match (self.v, self.mode.parse::<Mode>(), selectors) {
            (VERSION, Ok(mode), Ok(selectors)) => Entry { mode, selectors },
            _ => {
                tracing::warn!(
                    id = self.id,
                    "an entry of the purge log is not understood; it is taken to purge everything. Do all nodes have the same version?"
                );
                Entry { mode: Mode::Purge, selectors: vec![Selector::Everything] }
            }
        }
    }
}

/// A record with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Numbered {
    /// Its number in the log.
    pub(crate) seq: u64,
    /// The record.
    pub(crate) record: Record,
}

/// What a member says of itself, and by which it renews its lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reported {
    /// Its name.
    pub(crate) name: String,
    /// Its tier.
    #[serde(default)]
    pub(crate) tier: String,
    /// The number of its run.
    pub(crate) boot: u64,
    /// The epoch of the log that it follows; `None` before it has joined one.
    pub(crate) epoch: Option<String>,
    /// The newest entry that it has applied.
    pub(crate) applied: u64,
    /// How many stored responses each of the newest purges matched there.
    #[serde(default)]
    pub(crate) matched: Vec<(u64, u64)>,
    /// The purges up to here have been counted to the end.
    #[serde(default)]
    pub(crate) counted_to: u64,
    /// How long it would wait for news.
    #[serde(default)]
    pub(crate) hold_ms: u64,
    /// Whether it reuses nothing any more and leaves.
    #[serde(default)]
    pub(crate) leaving: bool,
    /// How far it is with preloads, and what is hot there.
    #[serde(default)]
    pub(crate) push: Option<push::Report>,
}

/// What a report is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// The epoch of the log.
    pub(crate) epoch: String,
    /// The newest entry of the log.
    pub(crate) head: u64,
    /// The length of leases, in milliseconds.
    pub(crate) lease_ms: u64,
    /// Whether the member is to take up the log at `head`, because what it missed is not kept or was in
    /// another life of the log.
    #[serde(default)]
    pub(crate) join: bool,
    /// What the member has not applied, in order.
    #[serde(default)]
    pub(crate) entries: Vec<Numbered>,
    /// The preloads under way, where the member has not seen this list.
    #[serde(default)]
    pub(crate) push: Option<push::News>,
}

/// One node on a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeReceipt {
    /// `pending`, `applied` or `fenced`.
    pub(crate) state: String,
    /// When it was known to be so; absent while pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    /// The same in milliseconds after the purge was safe in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after_ms: Option<u64>,
    /// Stored responses that it matched there, as far as they have been looked at.
    pub(crate) matched: u64,
    /// Whether all of them have been.
    pub(crate) counted: bool,
}

/// What is known of one purge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PurgeReceipt {
    /// Its name.
    pub(crate) id: String,
    /// Its number in the log.
    pub(crate) seq: u64,
    /// `applying`, `applied` or `applied_with_fenced`.
    pub(crate) state: String,
    /// `purge` or `invalidate`.
    pub(crate) mode: String,
    /// The first of what it matches.
    pub(crate) selectors: Vec<String>,
    /// How many there are.
    pub(crate) selectors_total: usize,
    /// Why, in the words of whoever asked.
    pub(crate) reason: String,
    /// The node that was asked.
    pub(crate) by: String,
    /// When it was asked for.
    pub(crate) at: String,
    /// How far each node is.
    pub(crate) nodes: BTreeMap<String, NodeReceipt>,
}

impl PurgeReceipt {
    /// Whether the purge holds everywhere.
    pub(crate) fn is_complete(&self) -> bool {
        self.state != weir_cache::purge::State::Applying.as_str()
    }
}

/// Why the log did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// Nobody who keeps the log can be reached. Nothing is known to have been done; ask again.
    #[error("the purge log cannot be reached: {why}")]
    Unreachable {
        /// What stood in the way.
        why: String,
    },
    /// The log could not be written; the purge was not taken.
    #[error("the purge log cannot be written: {why}")]
    NotWritten {
        /// What stood in the way.
        why: String,
    },
    /// Too many purges wait to be written.
    #[error("too many purges wait to be written")]
    Busy,
}

/// Where purges are numbered and kept, and who has applied them.
///
/// Futures may be dropped at any time: what has been handed over is finished all the same.
pub(crate) trait Log: Send + Sync {
    /// Makes `order` durable and numbers it, then waits until it holds everywhere, for `wait` at most.
    ///
    /// Answers in any case once the order is durable; the receipt says how far it is.
    fn append(&self, order: Order, wait: Duration)
    -> BoxFuture<'_, Result<PurgeReceipt, LogError>>;

    /// The receipt of the purge called `id`, after waiting as for [`Log::append`]; `None` if there is
    /// none or it is too old to be kept.
    fn receipt(
        &self,
        id: String,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Option<PurgeReceipt>, LogError>>;

    /// The receipts kept of purges that somebody asked for, the newest first.
    fn receipts(&self) -> BoxFuture<'_, Result<Vec<PurgeReceipt>, LogError>>;

    /// Takes a member's report and answers with what it has not applied, after waiting for news for as
    /// long as the member wishes.
    fn report(&self, reported: Reported) -> BoxFuture<'_, Result<Batch, LogError>>;

    /// Asks the node that keeps the log about preloads, which it keeps as well.
    ///
    /// A log that nobody keeps has nobody to ask.
    fn push(&self, ask: push::Ask) -> BoxFuture<'_, Result<push::Answer, LogError>> {
        drop(ask);
        let why = "this purge log carries no preloads".to_owned();
        Box::pin(std::future::ready(Err(LogError::Unreachable { why })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_is_not_understood_purges_everything() {
        let order = Order::new(Mode::Invalidate, vec!["host:a.b".parse().unwrap()]);
        let good = Record::new(order, "p1".to_owned(), 0);
        assert_eq!(good.entry().mode, Mode::Invalidate);
        let everything = Entry { mode: Mode::Purge, selectors: vec![Selector::Everything] };
        for odd in [
            Record { v: 2, ..good.clone() },
            Record { mode: "melt".to_owned(), ..good.clone() },
            Record { selectors: vec!["moon:full".to_owned()], ..good },
        ] {
            assert_eq!(odd.entry(), everything);
        }
    }

    #[test]
    fn forms_of_older_nodes_are_read() {
        let text = r#"{"v":1,"id":"x","at_ms":5,"mode":"purge","selectors":["everything"]}"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!((record.preload_hot, record.implied), (0, false));
    }
}
