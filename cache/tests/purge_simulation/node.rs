//! A node as purges know it: what it stores, what it fetches, and how it follows the log.
//!
//! It reads no clock and sends nothing itself: everything it does comes out as [`Effect`]s.

use std::collections::BTreeMap;
use std::rc::Rc;

use weir_cache::purge::{AsOf, Entry, Lease, Ledger, Standing};
use weir_cache::{Seq, Timestamp};

use super::catalogue::subject;
use super::fill::Fill;
use super::network::{Answer, Asker, EDGES, Get, Message, NodeId, Question, Reply, SHIELD, Timer};
use super::rules::{Rule, Rules};
use super::weather::{LEASE, Weather};

/// How long a report may be without an answer before another is sent, in microseconds.
const PATIENCE: u64 = 1_500_000;

/// What comes of an event.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The node does something later.
    After(Timer),
    /// A client has its answer; without a version it is an error.
    Read {
        read: usize,
        version: Option<u32>,
        is_hit: bool,
    },
    /// A client has its answer from the store of a node that is cut off and goes on.
    ReadCutOff {
        read: usize,
        version: u32,
    },
    Send {
        to: NodeId,
        message: Message,
    },
}

/// The moment of an event, and where its effects go.
pub(crate) struct Turn<'a> {
    /// By the node's clock.
    pub(crate) now: Timestamp,
    pub(crate) rules: Rules,
    pub(crate) weather: &'a Weather,
    pub(crate) effects: Vec<Effect>,
}

impl Turn<'_> {
    pub(crate) fn after(&mut self, timer: Timer) {
        self.effects.push(Effect::After(timer));
    }

    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        self.effects.push(Effect::Send { to, message });
    }
}

/// A stored response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) version: u32,
    pub(crate) reflects: Seq,
    /// The same as it lies on disk.
    pub(crate) as_of: Option<AsOf>,
    pub(crate) fresh_until: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// The number of its run; zero while it is down.
    pub(crate) boot: u64,
    pub(crate) ledger: Ledger,
    pub(crate) store: BTreeMap<usize, Stored>,
    pub(crate) fills: Vec<Fill>,
    lease: Lease,
    /// The question without an answer.
    asked: Option<(u64, Timestamp)>,
    /// The ledger as it lies on disk.
    kept: Option<Ledger>,
    /// Numbers given out; they differ from those of all other nodes.
    numbers: u64,
}

impl Node {
    pub(crate) fn new(id: NodeId) -> Self {
        Self {
            id,
            boot: 0,
            ledger: Ledger::new(),
            store: BTreeMap::new(),
            fills: Vec::new(),
            lease: Lease::new(LEASE),
            asked: None,
            kept: None,
            numbers: 0,
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        (u64::try_from(self.id).expect("nodes are few") << 40) + self.numbers
    }

    /// Begins the run `boot` with what is on disk.
    pub(crate) fn start(&mut self, boot: u64, weather: &Weather) {
        self.boot = boot;
        self.lease = Lease::new(LEASE);
        let kept = if weather.has_disks { self.kept.clone() } else { None };
        if !weather.has_disks {
            self.store.clear();
        }
        self.ledger = kept.unwrap_or_else(|| Ledger::with_bound(weather.named_max));
        if weather.writes_first {
            for stored in self.store.values_mut() {
                let heard = stored.as_of.map(|as_of| self.ledger.heard(as_of));
                stored.reflects = heard.unwrap_or_default();
            }
        }
    }

    /// Ends the run. What is on disk stays, with a ledger that may be older than the store.
    pub(crate) fn stop(&mut self) {
        self.boot = 0;
        self.asked = None;
        self.fills.clear();
    }

    /// Writes the ledger to disk.
    pub(crate) fn checkpoint(&mut self) {
        self.kept = Some(self.ledger.clone());
    }

    /// What it has written of the log cannot be believed any more.
    pub(crate) fn lose_checkpoint(&mut self) {
        self.kept = None;
    }

    /// Whether it goes on with what it stores though it is cut off.
    fn goes_on(&self, turn: &Turn<'_>) -> bool {
        turn.weather.serves_stale && (EDGES[0]..=EDGES[2]).contains(&self.id)
    }

    /// Whether it may reuse nothing unasked. Who keeps the log has always heard of it.
    pub(crate) fn is_fenced(&self, turn: &Turn<'_>) -> bool {
        self.id != SHIELD && turn.rules.hold(Rule::Lease) && !self.lease.is_current(turn.now)
    }

    /// Whether all that whoever asks has applied is applied here.
    pub(crate) fn reaches(&self, min: Option<AsOf>) -> bool {
        min.is_none_or(|min| self.ledger.reaches(min))
    }

    pub(crate) fn on_get(&mut self, get: Get, turn: &mut Turn<'_>) {
        let is_behind = !self.reaches(get.min);
        if is_behind && !get.has_waited && self.id != SHIELD {
            self.ask(turn);
            return turn.after(Timer::Again(Get { has_waited: true, ..get }));
        }
        let is_fenced = self.is_fenced(turn);
        let may_reuse = !is_fenced || self.goes_on(turn);
        if !is_behind && may_reuse && self.reuse(get, turn) {
            return;
        }
        let may_join = !is_fenced || !turn.rules.hold(Rule::JoinFenced);
        if !is_behind && may_join && self.join_fill(get, turn) {
            return;
        }
        self.fetch(get, turn);
    }

    /// Answers from the store if no purge stands against it.
    fn reuse(&mut self, get: Get, turn: &mut Turn<'_>) -> bool {
        let standing = self.standing(get.resource, turn.rules);
        if let Some(Standing::Purged { .. }) = standing {
            self.store.remove(&get.resource);
        }
        if standing != Some(Standing::Clear) {
            return false;
        }
        let applied = self.ledger.applied();
        let Some(stored) = self.store.get_mut(&get.resource) else { return false };
        if stored.fresh_until <= turn.now {
            return false;
        }
        if stored.reflects < applied {
            (stored.reflects, stored.as_of) = (applied, self.ledger.as_of());
        }
        let stored = *stored;
        if let Asker::Client { read } = get.asker
            && self.is_fenced(turn)
        {
            turn.effects.push(Effect::ReadCutOff { read, version: stored.version });
            return true;
        }
        self.answer(get, (stored.version, stored.reflects), true, turn);
        true
    }

    /// How what is stored stands with the purges applied.
    pub(crate) fn standing(&self, resource: usize, rules: Rules) -> Option<Standing> {
        let stored = self.store.get(&resource)?;
        if !rules.hold(Rule::Reuse) {
            return Some(Standing::Clear);
        }
        Some(self.ledger.judge(subject(resource, Some(stored.version)), stored.reflects))
    }

    /// Answers whoever asked with a version and what it reflects.
    pub(crate) fn answer(
        &self,
        get: Get,
        (version, reflects): (u32, Seq),
        is_hit: bool,
        turn: &mut Turn<'_>,
    ) {
        let as_of = self.ledger.told(reflects);
        let reply = if get.etag == Some(version) {
            Reply::NotModified { as_of }
        } else {
            Reply::Whole { version, as_of }
        };
        match get.asker {
            Asker::Child { node, request } => turn.send(node, Message::Reply { request, reply }),
            Asker::Client { read } => {
                turn.effects.push(Effect::Read { read, version: Some(version), is_hit });
            }
        }
    }

    /// Tells whoever asked that there is no answer.
    pub(crate) fn fail(get: Get, turn: &mut Turn<'_>) {
        let reply = Reply::Failed;
        match get.asker {
            Asker::Child { node, request } => turn.send(node, Message::Reply { request, reply }),
            Asker::Client { read } => {
                turn.effects.push(Effect::Read { read, version: None, is_hit: false });
            }
        }
    }

    pub(crate) fn on_report_timer(&mut self, turn: &mut Turn<'_>) {
        self.ask(turn);
        turn.after(Timer::Report);
    }

    /// Reports to the log, unless it was asked a moment ago.
    fn ask(&mut self, turn: &mut Turn<'_>) {
        let waits =
            |sent: Timestamp| turn.now.saturating_since(sent).as_micros() < u128::from(PATIENCE);
        if self.asked.is_some_and(|(_, sent)| waits(sent)) {
            return;
        }
        let (number, sent) = (self.number(), turn.now);
        self.asked = Some((number, sent));
        let position = self.ledger.as_of();
        let question = Question { node: self.id, boot: self.boot, number, sent, position };
        turn.send(SHIELD, Message::Report(question));
    }

    pub(crate) fn on_answer(&mut self, answer: &Answer, turn: &mut Turn<'_>) {
        let Question { boot, number, sent, .. } = answer.question;
        let is_newest = self.asked.take_if(|(asked, _)| *asked == number).is_some();
        if boot != self.boot || (!is_newest && turn.rules.hold(Rule::AnswersInTurn)) {
            return;
        }
        let before = self.ledger.applied();
        if !self.follow(answer, turn.rules, turn.weather) {
            return;
        }
        self.lease.renew(if turn.rules.hold(Rule::LeaseFromSending) { sent } else { turn.now });
        if self.ledger.applied() != before {
            self.ask(turn);
        }
    }

    /// Applies all that an answer carries; says whether that is all there is.
    pub(crate) fn follow(&mut self, answer: &Answer, rules: Rules, weather: &Weather) -> bool {
        if let Some(entries) = &answer.entries {
            for (seq, entry) in entries {
                self.apply(AsOf { seq: *seq, ..answer.head }, entry, rules);
            }
            if weather.writes_first && rules.hold(Rule::DurableApply) {
                self.checkpoint();
            }
        } else {
            self.ledger.join(answer.head);
            if rules.hold(Rule::DurableJoin) {
                self.checkpoint();
            }
        }
        self.ledger.reaches(answer.head)
    }

    /// Applies an entry if it is the next. Whatever is missing comes with the answer to a report.
    pub(crate) fn apply(&mut self, at: AsOf, entry: &Rc<Entry>, rules: Rules) {
        let is_of_this_log = self.ledger.as_of().is_some_and(|here| here.epoch == at.epoch);
        if is_of_this_log || !rules.hold(Rule::EntryEpoch) {
            let (Ok(_) | Err(_)) = self.ledger.apply(at.seq, entry);
        }
    }
}
