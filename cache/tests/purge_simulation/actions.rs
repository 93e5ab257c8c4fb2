//! What the seed does to the world: reads, writes, purges, and everything that goes wrong.

use std::rc::Rc;

use weir_cache::Seq;
use weir_cache::purge::{AsOf, Entry, Mode};

use super::catalogue::{Named, RESOURCES};
use super::checker::Read;
use super::network::{Asker, EDGES, Event, Get, Message, NodeId, SHIELD, TWIN, name};
use super::weather::{Kind, MS};
use super::world::World;

impl World {
    /// Does the schedule's next action.
    pub(crate) fn act(&mut self) {
        if self.actions_left == 0 {
            return self.wind_up();
        }
        self.actions_left -= 1;
        let pause = self.rng.between(MS, self.weather.pause_max);
        self.queue.push(self.now + pause, Event::Act);
        if self.rng.happens(self.weather.faults) {
            return self.fail();
        }
        match self.rng.below(100) {
            0..12 => self.purge(),
            12..15 => self.ask_unsafely(),
            15..25 => {
                let resource = self.resource();
                self.change(resource);
            }
            _ => self.get(),
        }
    }

    /// The hot one half of the time.
    fn resource(&mut self) -> usize {
        if self.rng.happens(50) { 0 } else { self.rng.index(RESOURCES.len()) }
    }

    /// The origin has a new version.
    fn change(&mut self, resource: usize) {
        self.versions[resource] += 1;
        self.note(|it| format!("origin has {} of {}", it.versions[resource], RESOURCES[resource]));
    }

    /// One or two clients ask for the same.
    fn get(&mut self) {
        let resource = self.resource();
        for _ in 0..self.rng.between(1, 2) {
            let edge = self.rng.pick(if self.is_handover() { &EDGES } else { &EDGES[..3] });
            let read = self.checker.on_start(Read { resource, edge, started: self.now });
            let asker = Asker::Client { read };
            let get = Get { asker, resource, etag: None, min: None, has_waited: false };
            let at = self.now + self.rng.between(1, 5_000);
            self.queue.push(at, Event::Deliver { to: edge, message: Message::Get(get) });
            self.note(|it| format!("read {read} of {} begins", it.checker.read(read)));
        }
    }

    /// Somebody asks the log to purge something that mostly has just changed.
    fn purge(&mut self) {
        let first = self.named();
        let mut named = vec![first];
        if self.rng.happens(15) {
            named.push(self.named());
        }
        if let Named::Url(resource) = first
            && self.rng.happens(75)
        {
            self.change(resource);
        } else if self.rng.happens(75) {
            (0..RESOURCES.len()).for_each(|resource| self.change(resource));
        }
        let mode = self.rng.pick(&[Mode::Invalidate, Mode::Purge]);
        self.append(named, mode);
    }

    fn named(&mut self) -> Named {
        if self.rng.happens(60) { Named::Url(self.resource()) } else { self.rng.pick(&Named::WIDE) }
    }

    /// A client changes a resource through us, which invalidates it (RFC 9111 §4.4).
    fn ask_unsafely(&mut self) {
        let resource = self.resource();
        self.change(resource);
        self.append(vec![Named::Url(resource)], Mode::Invalidate);
    }

    fn append(&mut self, named: Vec<Named>, mode: Mode) {
        let selectors = named.iter().map(|named| named.selector()).collect();
        let entry = Rc::new(Entry { mode, selectors });
        let promise = self.checker.on_asked(named, self.versions);
        self.note(|_| format!("purge {promise} is asked for"));
        let at = self.now + self.rng.between(1, 3_000);
        let message = Message::Append { promise, entry };
        self.queue.push(at, Event::Deliver { to: SHIELD, message });
    }

    /// Something goes wrong.
    fn fail(&mut self) {
        let node = match self.weather.kind {
            Kind::Handover if self.rng.happens(50) => self.rng.pick(&[EDGES[0], TWIN]),
            Kind::Echoes if self.rng.happens(80) => return self.fail_by_echoes(),
            Kind::Restarts if self.rng.happens(50) => return self.fail_by_restarts(),
            _ => self.rng.index(TWIN),
        };
        match self.rng.below(100) {
            0..22 => self.crash(node),
            22..28 => self.leave(node),
            28..44 => self.freeze(node),
            44..66 => self.cut_from_log(node),
            66..76 => self.cut_from_parents(node),
            76..80 if self.weather.writes_first => {
                self.nodes[node].lose_checkpoint();
                self.crash(node);
            }
            76..84 if !self.weather.writes_first => self.nodes[node].checkpoint(),
            84..88 => self.forget(node),
            _ => self.resend(node),
        }
    }

    /// Members that join anew, now and then a log that is lost, and old entries.
    fn fail_by_echoes(&mut self) {
        let member = self.rng.index(TWIN);
        match self.rng.below(100) {
            0..8 => self.crash(SHIELD),
            8..35 => self.crash(member),
            _ => self.resend(member),
        }
    }

    /// Mostly the log goes down, comes back, and goes down again, and somebody cannot hear of it.
    fn fail_by_restarts(&mut self) {
        let member = self.rng.index(TWIN);
        match self.rng.below(100) {
            0..25 => self.crash(SHIELD),
            25..45 => {
                self.cut_from_log(member);
                self.crash(SHIELD);
            }
            45..55 => self.crash(member),
            _ => self.resend(member),
        }
    }

    /// Ends a run at once; the next begins some time later. A second run of a name begins here too.
    fn crash(&mut self, node: NodeId) {
        let pause = self.rng.pick(&[20, 300, 4_000]) * MS;
        self.queue.push(self.now + self.rng.between(MS, pause), Event::Start(node));
        self.note(|_| format!("{} #{node} crashes", name(node)));
        self.stop(node);
    }

    fn stop(&mut self, node: NodeId) {
        self.nodes[node].stop();
        self.health[node].is_frozen = false;
        self.health[node].waiting.clear();
    }

    /// Ends a run that says so.
    fn leave(&mut self, node: NodeId) {
        let boot = self.nodes[node].boot;
        if boot == 0 || node == SHIELD || self.health[node].is_frozen {
            return;
        }
        self.note(|_| format!("{} #{node} leaves", name(node)));
        self.send(node, SHIELD, Message::Leave { node, boot });
        self.stop(node);
        self.queue.push(self.now + self.rng.between(20, 4_000) * MS, Event::Start(node));
    }

    /// Stops a node as `SIGSTOP` does.
    fn freeze(&mut self, node: NodeId) {
        if self.nodes[node].boot == 0 || self.health[node].is_frozen {
            return;
        }
        self.health[node].is_frozen = true;
        let until = self.now + self.rng.between(100, 8_000) * MS;
        self.queue.push(until, Event::Thaw(node));
        self.note(|_| format!("{} #{node} is frozen", name(node)));
    }

    fn cut_from_log(&mut self, node: NodeId) {
        let until = self.now + self.rng.between(100, 12_000) * MS;
        self.cuts.cut_log(node, until);
        self.note(|_| format!("{} #{node} is cut off from the log", name(node)));
    }

    fn cut_from_parents(&mut self, node: NodeId) {
        let until = self.now + self.rng.between(100, 6_000) * MS;
        self.cuts.cut_parents(node, until);
        self.note(|_| format!("{} #{node} is cut off from its parents", name(node)));
        if self.rng.happens(30) {
            self.cut_from_log(node);
        }
    }

    /// A node forgets old entries one by one.
    fn forget(&mut self, node: NodeId) {
        let ledger = &mut self.nodes[node].ledger;
        let position = self.rng.between(ledger.since().get(), ledger.applied().get());
        ledger.forget(Seq::new(position));
    }

    /// An entry of any time, of this life of the log or an earlier one, comes once more. Half of them
    /// look as if they were the next.
    fn resend(&mut self, node: NodeId) {
        let next = self.nodes[node].ledger.as_of().map(|at| at.seq + 1);
        let only_next = self.rng.happens(50);
        let fits = |(at, _): &&(AsOf, Rc<Entry>)| !only_next || Some(at.seq) == next;
        let fitting: Vec<_> = self.past.iter().filter(fits).cloned().collect();
        if !fitting.is_empty() {
            let (at, entry) = fitting[self.rng.index(fitting.len())].clone();
            self.send(SHIELD, node, Message::Resent { at, entry });
        }
    }
}
