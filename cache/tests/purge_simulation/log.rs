//! The keeper of the log: numbers entries, keeps them safe, answers reports, and knows when a purge is
//! complete.

use std::rc::Rc;

use weir_cache::Timestamp;
use weir_cache::purge::{AsOf, Entry, Epoch, LeaseGranted, Report, Roll};

use super::network::{Answer, NodeId, Question, name};
use super::rules::{Rule, Rules};
use super::weather::LEASE;

/// An entry and the promise that was made about it.
#[derive(Debug)]
struct Written {
    entry: Rc<Entry>,
    promise: usize,
}

#[derive(Debug)]
pub(crate) struct Authority {
    rules: Rules,
    epoch: Epoch,
    /// Entry 1 is the first. Those past `durable` die with the process.
    entries: Vec<Written>,
    durable: usize,
    /// How many entries are kept for members that are behind.
    kept: usize,
    roll: Roll,
    /// Until when members of an earlier log may hold leases that nobody remembers. That the log is as
    /// young as that lies on disk.
    strangers_until: Option<Timestamp>,
    /// The roll as it lies on disk.
    enrolled: Vec<(NodeId, u64)>,
    /// Purges that are not complete.
    open: Vec<(u64, usize)>,
    /// Reports that wait for news.
    held: Vec<Question>,
}

impl Authority {
    pub(crate) fn new(rules: Rules, kept: usize) -> Self {
        Self {
            rules,
            epoch: Epoch::new(1),
            entries: Vec::new(),
            durable: 0,
            kept,
            roll: Roll::new(LEASE, Timestamp::ZERO),
            strangers_until: None,
            enrolled: Vec::new(),
            open: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Begins another run at `now` with what is on disk: all that is durable, and `luck` of what was
    /// being written.
    pub(crate) fn restart(&mut self, luck: usize, now: Timestamp) {
        self.entries.truncate(self.durable.saturating_add(luck));
        self.durable = self.entries.len();
        self.strangers_until.take_if(|_| !self.rules.hold(Rule::YoungLog));
        // Clocks of two runs cannot be compared, so a log that was young is young again.
        self.strangers_until = self.strangers_until.map(|_| now.saturating_add(self.roll.lease()));
        self.roll = Roll::new(LEASE, self.strangers_until.unwrap_or_default());
        for (node, boot) in &self.enrolled {
            self.roll.restore(name(*node), *boot, now);
        }
        self.held.clear();
        self.open.clear();
        for seq in 1..=self.durable {
            self.open_receipt(seq, now);
        }
    }

    /// Begins at `now` with an empty disk.
    pub(crate) fn restart_without_log(&mut self, now: Timestamp) {
        if self.rules.hold(Rule::Epoch) {
            self.epoch = Epoch::new(self.epoch.get() + 1);
        }
        let until = now.saturating_add(self.roll.lease());
        self.strangers_until = Some(until);
        self.roll = Roll::new(LEASE, until);
        self.entries.clear();
        self.enrolled.clear();
        self.open.clear();
        self.held.clear();
        self.durable = 0;
    }

    /// Begins to write an entry; returns its number.
    pub(crate) fn append(&mut self, entry: Rc<Entry>, promise: usize) -> u64 {
        self.entries.push(Written { entry, promise });
        number(self.entries.len())
    }

    /// The promise of the entry `seq`.
    pub(crate) fn promise(&self, seq: u64) -> usize {
        let index = usize::try_from(seq - 1).expect("it is a length");
        self.entries[index].promise
    }

    /// Entries up to `seq` are safe at `now`: their receipts are opened.
    pub(crate) fn on_durable(&mut self, seq: u64, now: Timestamp) {
        let seq = usize::try_from(seq).expect("it is a length");
        while self.durable < seq {
            self.durable += 1;
            self.open_receipt(self.durable, now);
        }
    }

    fn open_receipt(&mut self, seq: usize, now: Timestamp) {
        self.roll.open(number(seq), now);
        self.open.push((number(seq), self.entries[seq - 1].promise));
    }

    /// Takes a report into the roll; says whether there is anything that it does not know.
    pub(crate) fn on_report(&mut self, question: &Question, now: Timestamp) -> bool {
        let position = question.position.filter(|at| at.epoch == self.epoch);
        let applied = position.map_or(0, |at| at.seq);
        let report = Report { name: name(question.node), boot: question.boot, applied };
        match self.roll.on_report(report, now) {
            LeaseGranted::New if self.rules.hold(Rule::DurableRoll) => {
                self.enrolled.push((question.node, question.boot));
            }
            LeaseGranted::Full => unreachable!("there are a few members only"),
            LeaseGranted::Known | LeaseGranted::New => {}
        }
        position.is_none_or(|at| at.seq < number(self.durable))
    }

    /// The answer to a report that is on the roll.
    pub(crate) fn answer(&self, question: Question) -> Answer {
        let entries = question.position.and_then(|position| self.after(position));
        Answer { question, head: self.head(), entries }
    }

    /// What follows `position`; `None` where that is not kept.
    pub(crate) fn after(&self, position: AsOf) -> Option<Vec<(u64, Rc<Entry>)>> {
        let applied = usize::try_from(position.seq).expect("positions are short");
        let is_kept = applied >= self.durable.saturating_sub(self.kept);
        if position.epoch != self.epoch || !is_kept {
            return None;
        }
        Some(self.after_untrimmed(position))
    }

    /// The same, kept for members or not.
    pub(crate) fn after_untrimmed(&self, position: AsOf) -> Vec<(u64, Rc<Entry>)> {
        let applied = usize::try_from(position.seq).expect("positions are short");
        let written = self.entries.get(applied..self.durable).unwrap_or_default();
        let numbers = number(applied) + 1..;
        numbers.zip(written.iter().map(|written| Rc::clone(&written.entry))).collect()
    }

    /// The newest entry that is safe.
    pub(crate) fn head(&self) -> AsOf {
        AsOf { epoch: self.epoch, seq: number(self.durable) }
    }

    /// How many entries are being written.
    pub(crate) fn unsafe_entries(&self) -> usize {
        self.entries.len() - self.durable
    }

    pub(crate) fn hold(&mut self, question: Question) {
        self.held.push(question);
    }

    /// The report `number` that waits for news, to be answered without; all of them if `None`.
    pub(crate) fn release(&mut self, number: Option<u64>) -> Vec<Question> {
        let is_due = |question: &mut Question| number.is_none_or(|due| question.number == due);
        self.held.extract_if(.., is_due).collect()
    }

    pub(crate) fn leave(&mut self, node: NodeId, boot: u64) {
        self.roll.leave(name(node), boot);
    }

    /// The promises about purges that are complete at `now`.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Vec<usize> {
        self.strangers_until.take_if(|until| *until <= now);
        let roll = &self.roll;
        let is_complete = |seq| roll.receipt(seq).is_some_and(|it| it.state(now).is_complete());
        self.open.extract_if(.., |(seq, _)| is_complete(*seq)).map(|(_, promise)| promise).collect()
    }

    /// When time alone may complete another purge.
    pub(crate) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let receipts = self.open.iter().filter_map(|(seq, _)| self.roll.receipt(*seq));
        receipts.filter_map(|receipt| receipt.next_change(now)).min()
    }

    /// A purge that is not complete although a lease has passed since it was safe.
    pub(crate) fn overdue(&self, now: Timestamp) -> Option<u64> {
        let is_late = |seq: &u64| {
            let opened = self.roll.receipt(*seq).map(weir_cache::purge::Receipt::opened);
            opened.is_some_and(|opened| opened.saturating_add(self.roll.lease()) <= now)
        };
        self.open.iter().map(|(seq, _)| *seq).find(is_late)
    }
}

fn number(length: usize) -> u64 {
    u64::try_from(length).expect("lengths fit into 64 bits")
}
