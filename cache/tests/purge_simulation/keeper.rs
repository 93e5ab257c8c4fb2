//! What happens at the shield as the keeper of the log: entries become safe, reports are answered, and
//! purges are called complete.

use std::rc::Rc;

use weir_cache::purge::{AsOf, Entry};

use super::checker::Broken;
use super::network::{Event, Message, Question, SHIELD, Timer};
use super::rules::Rule;
use super::world::World;

impl World {
    pub(crate) fn write(&mut self, entry: Rc<Entry>, promise: usize) {
        let seq = self.authority.append(entry, promise);
        self.set_timer(SHIELD, Timer::Durable { seq });
    }

    /// Entries up to `seq` are safe: the node that keeps the log applies them before anybody else.
    pub(crate) fn on_durable(&mut self, seq: u64) -> Result<(), Broken> {
        let before = self.authority.head();
        self.authority.on_durable(seq, self.clocks[SHIELD].show(self.now));
        for (seq, entry) in self.authority.after_untrimmed(before) {
            let at = AsOf { seq, ..before };
            self.nodes[SHIELD].apply(at, &entry, self.rules);
            self.checkpoint(SHIELD);
            self.note(|_| format!("entry {at} is safe: {entry:?}"));
            let promise = self.authority.promise(seq);
            self.checker.on_numbered(promise, at);
            self.past.push((at, entry));
        }
        self.answer_held(None);
        self.settle()
    }

    /// Writes down what a node has applied, where nodes do that at once.
    pub(crate) fn checkpoint(&mut self, node: usize) {
        if self.weather.writes_first && self.rules.hold(Rule::DurableApply) {
            self.nodes[node].checkpoint();
        }
    }

    pub(crate) fn on_report(&mut self, question: Question) -> Result<(), Broken> {
        let has_news = self.authority.on_report(&question, self.clocks[SHIELD].show(self.now));
        if has_news || !self.weather.holds_reports {
            self.answer_report(question);
        } else {
            self.authority.hold(question);
            self.set_timer(SHIELD, Timer::Release { number: question.number });
        }
        self.settle()
    }

    pub(crate) fn answer_held(&mut self, number: Option<u64>) {
        for question in self.authority.release(number) {
            self.answer_report(question);
        }
    }

    fn answer_report(&mut self, question: Question) {
        let answer = self.authority.answer(question);
        self.send(SHIELD, question.node, Message::Answer(answer));
    }

    /// Reports purges that are complete, and sees to it that those are looked at that time completes.
    pub(crate) fn settle(&mut self) -> Result<(), Broken> {
        let clock = self.clocks[SHIELD];
        let now = clock.show(self.now);
        for promise in self.authority.settle(now) {
            self.note(|_| format!("purge {promise} is complete"));
            self.checker.on_complete(promise, self.now);
        }
        if let Some(seq) = self.authority.overdue(now) {
            return Err(Broken::Incomplete { seq });
        }
        let next = self.authority.next_change(now).map(|at| clock.when(at));
        let is_set = self.settles_at > self.now;
        if let Some(at) = next.filter(|at| !is_set || *at < self.settles_at) {
            self.settles_at = at;
            let boot = self.nodes[SHIELD].boot;
            self.queue.push(at, Event::Timer { node: SHIELD, boot, timer: Timer::Settle });
        }
        Ok(())
    }

    pub(crate) fn start_log(&mut self) {
        let now = self.clocks[SHIELD].show(self.now);
        let is_first = self.now == 0;
        if !is_first && self.rng.happens(self.weather.log_lost) {
            self.authority.restart_without_log(now);
            self.note(|it| format!("the log is lost; epoch {}", it.authority.head().epoch));
        } else {
            let luck = self.rng.index(self.authority.unsafe_entries() + 1);
            self.authority.restart(luck, now);
        }
        self.settles_at = 0;
        let boot = self.nodes[SHIELD].boot;
        let position = self.nodes[SHIELD].ledger.as_of();
        let question = Question { node: SHIELD, boot, number: 0, sent: now, position };
        let answer = self.authority.answer(question);
        self.nodes[SHIELD].follow(&answer, self.rules, &self.weather);
        self.queue.push(self.now, Event::Timer { node: SHIELD, boot, timer: Timer::Settle });
    }
}
