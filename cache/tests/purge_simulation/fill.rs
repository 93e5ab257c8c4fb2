//! Fetching from a parent: one request for many that ask.

use weir_cache::Seq;
use weir_cache::purge::{AsOf, Standing};

use super::catalogue::subject;
use super::network::{Asker, EDGES, Get, Message, NodeId, ORIGIN, REGIONALS, Reply, SHIELD, Timer};
use super::node::{Node, Stored, Turn};
use super::rules::Rule;
use super::weather::Weather;

/// A request upward and those who wait for its answer.
#[derive(Debug)]
pub(crate) struct Fill {
    number: u64,
    resource: usize,
    /// What was applied when it was begun, which every answer to it reflects.
    as_of: Seq,
    /// The same for parents, or what the child wants where that is more.
    min: Option<AsOf>,
    /// The stored response to be validated.
    carried: Option<Stored>,
    /// The number of the request to the parent that has its turn.
    request: u64,
    /// How many parents have had theirs.
    tried: usize,
    waiters: Vec<Get>,
    head: Option<Head>,
}

/// What is known once the head of the answer is there.
#[derive(Clone, Copy, Debug)]
struct Head {
    version: u32,
    reflects: Seq,
    was_validated: bool,
}

/// Whom `node` asks, in this order.
fn parents(node: NodeId, resource: usize, weather: &Weather) -> Vec<NodeId> {
    let mut parents = Vec::new();
    if EDGES.contains(&node) {
        parents.extend([REGIONALS[resource % 2], REGIONALS[(resource + 1) % 2]]);
    }
    if node != SHIELD {
        parents.push(SHIELD);
    }
    if node == SHIELD || weather.asks_origin {
        parents.push(ORIGIN);
    }
    parents
}

/// The stricter of two demands. Positions of two lives of the log cannot be compared: then the
/// child's stands, and a parent of another life than that reuses nothing.
fn stricter(own: Option<AsOf>, child: Option<AsOf>) -> Option<AsOf> {
    match (own, child) {
        (Some(own), Some(child)) if own.epoch == child.epoch && own.seq > child.seq => Some(own),
        (own, child) => child.or(own),
    }
}

impl Node {
    /// Joins a fill in flight that no purge separates from the request.
    pub(crate) fn join_fill(&mut self, get: Get, turn: &mut Turn<'_>) -> bool {
        let ledger = &self.ledger;
        let may_join = |fill: &Fill| {
            let (version, reflects) =
                fill.head.map_or((None, fill.as_of), |head| (Some(head.version), head.reflects));
            let standing = ledger.judge(subject(fill.resource, version), reflects);
            standing == Standing::Clear || !turn.rules.hold(Rule::Join)
        };
        let mut fills = self.fills.iter_mut().filter(|fill| fill.resource == get.resource);
        let Some(fill) = fills.find(|fill| may_join(fill)) else { return false };
        if let Some(head) = fill.head {
            self.answer(get, (head.version, head.reflects), false, turn);
        } else {
            fill.waiters.push(get);
        }
        true
    }

    /// Begins a fill.
    pub(crate) fn fetch(&mut self, get: Get, turn: &mut Turn<'_>) {
        let may_carry = !matches!(
            self.standing(get.resource, turn.rules),
            None | Some(Standing::Purged { .. })
        );
        let stored = self.store.get(&get.resource).copied();
        let min = stricter(self.ledger.as_of(), get.min);
        let fill = Fill {
            number: self.number(),
            resource: get.resource,
            as_of: self.ledger.applied(),
            min: min.filter(|_| turn.rules.hold(Rule::Upward)),
            carried: stored.filter(|_| may_carry),
            request: 0,
            tried: 0,
            waiters: vec![get],
            head: None,
        };
        self.fills.push(fill);
        self.try_next(self.fills.len() - 1, turn);
    }

    /// Sends a fill to its next parent, or gives it up.
    fn try_next(&mut self, index: usize, turn: &mut Turn<'_>) {
        let request = self.number();
        let asker = Asker::Child { node: self.id, request };
        let fill = &mut self.fills[index];
        let Fill { resource, min, .. } = *fill;
        let Some(parent) = parents(self.id, resource, turn.weather).get(fill.tried).copied() else {
            return self.give_up(index, turn);
        };
        fill.tried += 1;
        fill.request = request;
        let etag = fill.carried.map(|carried| carried.version);
        turn.send(parent, Message::Get(Get { asker, resource, etag, min, has_waited: false }));
        turn.after(Timer::Late { request });
    }

    /// Lets what is stored stand in for the answer that did not come, where it may.
    fn give_up(&mut self, index: usize, turn: &mut Turn<'_>) {
        let fill = self.fills.swap_remove(index);
        let is_clear = self.standing(fill.resource, turn.rules) == Some(Standing::Clear);
        let stored = self.store.get(&fill.resource).copied();
        let stored = stored.filter(|_| is_clear && !self.is_fenced(turn));
        for get in fill.waiters {
            match stored.filter(|_| self.reaches(get.min)) {
                Some(stored) => self.answer(get, (stored.version, stored.reflects), false, turn),
                None => Self::fail(get, turn),
            }
        }
    }

    /// A parent has had its time.
    pub(crate) fn on_late(&mut self, request: u64, turn: &mut Turn<'_>) {
        if let Some(index) = self.waiting_for(request) {
            self.try_next(index, turn);
        }
    }

    fn waiting_for(&self, request: u64) -> Option<usize> {
        self.fills.iter().position(|fill| fill.request == request && fill.head.is_none())
    }

    /// The head of an answer is there: those who wait get it.
    pub(crate) fn on_reply(&mut self, request: u64, reply: Reply, turn: &mut Turn<'_>) {
        let Some(index) = self.waiting_for(request) else { return };
        let fill = &self.fills[index];
        let carried = fill.carried.map(|carried| carried.version);
        let (version, as_of) = match reply {
            Reply::NotModified { as_of } => (carried, as_of),
            Reply::Whole { version, as_of } => (Some(version), as_of),
            Reply::Failed => (None, None),
        };
        let Some(version) = version else { return self.try_next(index, turn) };
        let parent = parents(self.id, fill.resource, turn.weather)[fill.tried - 1];
        let reflects = if parent == ORIGIN {
            fill.as_of
        } else {
            as_of.map_or_else(Seq::default, |as_of| self.ledger.heard(as_of))
        };
        let was_validated = matches!(reply, Reply::NotModified { .. });
        let fill = &mut self.fills[index];
        fill.head = Some(Head { version, reflects, was_validated });
        let fill_number = fill.number;
        for get in std::mem::take(&mut fill.waiters) {
            self.answer(get, (version, reflects), false, turn);
        }
        turn.after(Timer::Body { fill: fill_number });
    }

    /// The body is whole: it is stored unless a purge overtook it.
    pub(crate) fn on_body(&mut self, number: u64, turn: &Turn<'_>) {
        let Some(index) = self.fills.iter().position(|fill| fill.number == number) else { return };
        let fill = self.fills.swap_remove(index);
        let Some(Head { version, reflects, was_validated }) = fill.head else { return };
        let rule = if was_validated { Rule::Validation } else { Rule::Store };
        let (is_clear, reflects) = if turn.rules.hold(rule) {
            let standing = self.ledger.judge(subject(fill.resource, Some(version)), reflects);
            (standing == Standing::Clear, reflects)
        } else {
            (true, self.ledger.applied())
        };
        if is_clear {
            let fresh_until = turn.now.saturating_add(turn.weather.fresh);
            let as_of = self.ledger.told(reflects);
            self.store.insert(fill.resource, Stored { version, reflects, as_of, fresh_until });
        }
    }
}
