//! Who has applied which purge, in words that people can read?
//!
//! Joins the roll, which knows numbers, with the records, which know names and reasons, and with what
//! members count. Receipts are kept for as many purges as the roll keeps.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_cache::Timestamp;
use weir_cache::purge::{LeaseGranted, NodeState, Report, Roll};

use super::record::{NodeReceipt, PurgeReceipt, Record, Reported};

/// Records kept for receipts; as many as the roll keeps.
const RECORDS_MAX: usize = 1024;
/// What a purge matches is shown up to this many.
const SELECTORS_SHOWN: usize = 20;
/// A member that has been silent for this long is not listed any more. Its lease has long run out, and it
/// is put on the roll again when it comes back.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// The roll with names.
#[derive(Debug)]
pub(super) struct Book {
    roll: Roll,
    /// Each with how many things it names, of which the first are kept.
    records: BTreeMap<u64, (Record, usize)>,
    ids: HashMap<String, u64>,
    counts: HashMap<String, Counted>,
}

/// A member that stays on the roll.
#[derive(Debug)]
pub(super) struct Left {
    /// Its name.
    pub(super) name: String,
    /// The number of its newest run.
    pub(super) boot: u64,
    /// Whether an earlier run may still hold a lease.
    pub(super) has_earlier: bool,
}

/// What one member has counted.
#[derive(Debug, Default)]
struct Counted {
    by_seq: BTreeMap<u64, u64>,
    complete_to: u64,
}

impl Book {
    /// A book over `roll`.
    pub(super) fn new(roll: Roll) -> Self {
        Self { roll, records: BTreeMap::new(), ids: HashMap::new(), counts: HashMap::new() }
    }

    /// The roll.
    pub(super) fn roll(&self) -> &Roll {
        &self.roll
    }

    /// See [`Roll::expect_strangers`].
    pub(super) fn expect_strangers(&mut self, now: Timestamp) {
        self.roll.expect_strangers(now);
    }

    /// Puts a run of a member back on the roll that was on it before this process began.
    ///
    /// To be called for every run that was kept, the newest of a name last.
    pub(super) fn restore(&mut self, (name, boot): (&str, u64), now: Timestamp) {
        if !self.roll.restore(name, boot, now) {
            tracing::error!(name, "the roll of the purge log is full");
        }
    }

    /// Opens the receipt of `record`, which is safe in the log at `now`.
    pub(super) fn open(&mut self, seq: u64, record: Arc<Record>, now: Timestamp) {
        self.roll.open(seq, now);
        self.ids.insert(record.id.clone(), seq);
        let total = record.selectors.len();
        let selectors = record.selectors.iter().take(SELECTORS_SHOWN).cloned().collect();
        self.records.insert(seq, (Record { selectors, ..without_selectors(&record) }, total));
        while self.records.len() > RECORDS_MAX {
            if let Some((_, (old, _))) = self.records.pop_first() {
                self.ids.remove(&old.id);
            }
        }
    }

    /// Takes a member's report that was received at `now`; `applied` is what it has applied of this log.
    pub(super) fn on_report(
        &mut self,
        reported: &Reported,
        applied: u64,
        now: Timestamp,
    ) -> LeaseGranted {
        if reported.leaving {
            self.roll.leave(&reported.name, reported.boot);
            self.counts.remove(&reported.name);
            return LeaseGranted::Known;
        }
        let report = Report { name: &reported.name, boot: reported.boot, applied };
        let granted = self.roll.on_report(report, now);
        let oldest = self.records.keys().next().copied().unwrap_or(0);
        let counted = self.counts.entry(reported.name.clone()).or_default();
        counted.by_seq.extend(reported.matched.iter().copied());
        counted.by_seq = counted.by_seq.split_off(&oldest);
        counted.complete_to = reported.counted_to;
        granted
    }

    /// Strikes members off that nobody has heard of for an hour; returns those that are left.
    pub(super) fn strike(&mut self, now: Timestamp) -> Vec<Left> {
        self.roll.strike(FORGOTTEN_AFTER, now);
        let left = self.roll.members().map(|member| Left {
            name: member.name.to_owned(),
            boot: member.boot,
            has_earlier: now < member.earlier_until,
        });
        let left: Vec<Left> = left.collect();
        self.counts.retain(|name, _| left.iter().any(|member| member.name == *name));
        left
    }

    /// The number of the purge called `id`.
    pub(super) fn seq_of(&self, id: &str) -> Option<u64> {
        self.ids.get(id).copied()
    }

    /// The next moment at which time alone may change the state of the purge `seq`.
    pub(super) fn next_change(&self, seq: u64, now: Timestamp) -> Option<Timestamp> {
        self.roll.receipt(seq)?.next_change(now)
    }

    /// The receipt of the purge `seq` at `now`.
    pub(super) fn receipt(&self, seq: u64, now: Timestamp) -> Option<PurgeReceipt> {
        let (receipt, (record, total)) = (self.roll.receipt(seq)?, self.records.get(&seq)?);
        let opened = receipt.opened();
        let nodes = receipt
            .nodes(now)
            .map(|(name, state)| (name.to_owned(), self.line(seq, name, state, (record, opened))));
        Some(PurgeReceipt {
            id: record.id.clone(),
            seq,
            state: receipt.state(now).as_str().to_owned(),
            mode: record.mode.clone(),
            selectors: record.selectors.clone(),
            selectors_total: *total,
            reason: record.reason.clone(),
            by: record.by.clone(),
            at: rfc3339(record.at_ms),
            nodes: nodes.collect(),
        })
    }

    fn line(
        &self,
        seq: u64,
        name: &str,
        state: NodeState,
        (record, opened): (&Record, Timestamp),
    ) -> NodeReceipt {
        let (word, at) = match state {
            NodeState::Pending => ("pending", None),
            NodeState::Applied { at } => ("applied", Some(at)),
            NodeState::Fenced { at } => ("fenced", Some(at)),
        };
        let after = at.map(|at| millis(at.saturating_since(opened)));
        let counted = self.counts.get(name);
        let wall = |after: u64| record.at_ms.saturating_add(i64::try_from(after).unwrap_or(0));
        NodeReceipt {
            state: word.to_owned(),
            at: after.map(|after| rfc3339(wall(after))),
            after_ms: after,
            matched: counted.and_then(|by| by.by_seq.get(&seq).copied()).unwrap_or(0),
            counted: counted.is_some_and(|by| by.complete_to >= seq),
        }
    }

    /// The receipts of purges that somebody asked for, the newest first.
    pub(super) fn receipts(&self, now: Timestamp) -> Vec<PurgeReceipt> {
        let asked_for = self.records.iter().rev().filter(|(_, (record, _))| !record.implied);
        asked_for.filter_map(|(seq, _)| self.receipt(*seq, now)).collect()
    }
}

/// A record without what it names, which may be megabytes.
fn without_selectors(record: &Record) -> Record {
    Record {
        v: record.v,
        id: record.id.clone(),
        at_ms: record.at_ms,
        mode: record.mode.clone(),
        selectors: Vec::new(),
        reason: record.reason.clone(),
        by: record.by.clone(),
        preload_hot: record.preload_hot,
        implied: record.implied,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The wall clock in milliseconds since 1970.
pub(super) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A moment as RFC 3339 writes it.
pub(crate) fn rfc3339(ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    // Year 9999 is the last that the form has.
    let at = UNIX_EPOCH.checked_add(since.min(Duration::from_secs(253_402_300_799)));
    humantime::format_rfc3339_millis(at.unwrap_or(UNIX_EPOCH)).to_string()
}

#[cfg(test)]
mod tests {
    use weir_cache::purge::{Mode, Selector};

    use super::*;
    use crate::purge::Order;

    fn record(id: &str) -> Arc<Record> {
        let order = Order::new(Mode::Purge, vec![Selector::Everything]);
        Arc::new(Record::new(order, id.to_owned(), 1_000))
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::ZERO.saturating_add(Duration::from_secs(secs))
    }

    fn reported(name: &str, applied: u64) -> Reported {
        let matched = vec![(applied, 3)];
        let name = name.to_owned();
        Reported { name, boot: 1, applied, matched, counted_to: applied, ..Reported::default() }
    }

    #[test]
    fn a_receipt_says_what_each_node_did_when_and_how_much() {
        let mut book = Book::new(Roll::new(Duration::from_secs(5), Timestamp::ZERO));
        for name in ["edge-0", "edge-1"] {
            assert_eq!(book.on_report(&reported(name, 0), 0, at(10)), LeaseGranted::New);
        }
        book.open(1, record("p"), at(11));
        assert_eq!(book.on_report(&reported("edge-0", 1), 1, at(12)), LeaseGranted::Known);
        let receipt = book.receipt(book.seq_of("p").unwrap(), at(12)).unwrap();
        assert_eq!((receipt.state.as_str(), receipt.is_complete()), ("applying", false));
        let edge = &receipt.nodes["edge-0"];
        assert_eq!((edge.state.as_str(), edge.after_ms), ("applied", Some(1_000)));
        assert_eq!((edge.matched, edge.counted), (3, true));
        assert_eq!(edge.at.as_deref(), Some("1970-01-01T00:00:02.000Z"));
        assert_eq!(receipt.nodes["edge-1"].state, "pending");
        let later = book.receipt(1, at(20)).unwrap();
        assert_eq!(later.state, "applied_with_fenced");
        assert_eq!(later.nodes["edge-1"].state, "fenced");
    }

    #[test]
    fn purges_that_nobody_asked_for_are_not_listed() {
        let mut book = Book::new(Roll::new(Duration::from_secs(5), Timestamp::ZERO));
        book.open(1, record("a"), at(1));
        let implied = Record { implied: true, ..(*record("b")).clone() };
        book.open(2, Arc::new(implied), at(1));
        let listed: Vec<_> = book.receipts(at(1)).into_iter().map(|receipt| receipt.id).collect();
        assert_eq!(listed, ["a"]);
        assert!(book.receipt(2, at(1)).is_some(), "but it can be asked for");
    }
}
