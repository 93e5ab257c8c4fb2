//! Keeps this node in step with the purge log.
//!
//! One question is always under way: it says what has been applied, waits at the other end for news,
//! and its answer renews the lease. So an entry arrives at once, an idle node costs a message a second,
//! and a connection that was lost is noticed within the lease.

use std::sync::Arc;
use std::time::Duration;

use weir_cache::Timestamp;
use weir_cache::purge::{AsOf, Entry, Epoch};

use super::Line;
use super::record::{Batch, Reported};
use crate::node::Node;
use crate::push;

/// Part of the lease that one question may wait for news.
const HOLD_PART: u32 = 5;
/// First and longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Follows the log until the task is aborted.
pub(crate) async fn follow(node: Arc<Node>) {
    let mut pause = PAUSES.0;
    let mut told_of_failure = false;
    loop {
        node.known.settled().await;
        let sent = node.boot_clock.now();
        let usual = node.config.purge.lease / HOLD_PART;
        // While there are preloads, somebody may be watching how far they are.
        let hold = if node.push.is_busy() { usual.min(push::BUSY_HOLD) } else { usual };
        match node.log.report(report(&node, hold)).await {
            Ok(batch) => {
                if told_of_failure {
                    tracing::info!("the purge log is heard of again");
                }
                told_of_failure = false;
                pause = PAUSES.0;
                take(&node, batch, sent).await;
            }
            Err(error) => {
                node.metrics.purge.report_failures.inc();
                if !told_of_failure && node.purges.is_fenced() {
                    told_of_failure = true;
                    tracing::warn!(error = %crate::telemetry::chain(&error), "cut off from the purge log: what is stored is validated before it is used");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Tells the log at once what purges have matched here; the lease is renewed by the questions in turn only.
pub(crate) async fn tell_counts(node: &Node) {
    if node.keeps_log || node.nats.is_some() || !node.purges.has_joined() {
        return;
    }
    let reported = report(node, Duration::ZERO);
    if node.known.is_owed() {
        return;
    }
    if let Err(error) = node.log.report(reported).await {
        tracing::debug!(%error, "counts go with the next report");
    }
}

/// Tells the log that this node reuses nothing any more, so that purges do not wait for it.
pub(crate) async fn leave(node: &Node) {
    node.purges.fence();
    let reported = Reported { leaving: true, ..report(node, Duration::ZERO) };
    if let Err(error) = node.log.report(reported).await {
        tracing::debug!(%error, "left without a word to the purge log");
    }
}

/// What this node says, with how long it would wait for news.
fn report(node: &Node, hold: Duration) -> Reported {
    let hold_ms = u64::try_from(hold.as_millis()).unwrap_or(0);
    let push = Some(node.push.report());
    Reported { hold_ms, push, ..node.reporter.report(&node.purges) }
}

/// Applies what an answer carries, and only then renews the lease from the moment it was asked for.
async fn take(node: &Node, batch: Batch, sent: Timestamp) {
    if let Some(news) = batch.push {
        node.push.take(news);
    }
    let Ok(epoch) = batch.epoch.parse::<Epoch>() else {
        tracing::error!(epoch = batch.epoch, "the purge log's epoch cannot be read");
        return;
    };
    let head = AsOf { epoch, seq: batch.head };
    let join = batch.join.then_some(head);
    let entries: Vec<(AsOf, Entry)> = batch
        .entries
        .iter()
        .map(|numbered| (AsOf { epoch, seq: numbered.seq }, numbered.record.entry()))
        .collect();
    let lines = lines(join.or_else(|| node.purges.as_of()), join, &entries);
    let _turn = node.known.keep(lines).await;
    if let Some(head) = join {
        tracing::info!(%epoch, head = head.seq, "taking up the purge log");
        node.purges.join(head);
    }
    for ((entry_at, entry), numbered) in entries.iter().zip(&batch.entries) {
        if let Err(gap) = node.purges.apply(*entry_at, entry) {
            // The next report says what has been applied; the answer to it begins there.
            tracing::debug!(%gap, "an entry of the purge log is missing");
            return;
        }
        node.metrics.purge.applied.inc();
        node.push.after_purge(&numbered.record, entry);
    }
    // An answer with a part of the log only is no word about the rest of it.
    if node.purges.reaches(head) {
        node.purges.renew(sent, Duration::from_millis(batch.lease_ms));
    }
}

/// What a node that stands `at`, after a `join` if there is one, will have done with these entries.
fn lines(at: Option<AsOf>, join: Option<AsOf>, entries: &[(AsOf, Entry)]) -> Vec<Line> {
    let mut lines: Vec<Line> = join.map(Line::Joined).into_iter().collect();
    let Some(mut at) = at else { return lines };
    for (entry_at, entry) in entries {
        let next = AsOf { seq: at.seq.saturating_add(1), ..at };
        if *entry_at == next {
            lines.push(Line::Applied(next, entry.clone()));
            at = next;
        }
    }
    lines
}
