//! The whole system in one thread: nodes, network, origin, log and checker, driven by one seed.

use std::collections::VecDeque;
use std::rc::Rc;

use weir_cache::purge::{AsOf, Entry};

use super::catalogue::RESOURCES;
use super::checker::{Broken, Checker};
use super::clock::Clock;
use super::log::Authority;
use super::network::{
    Asker, Cuts, Event, Get, Message, NODES, NodeId, ORIGIN, Question, Queue, Reply, SHIELD, TWIN,
    Timer, name,
};
use super::node::{Effect, Node, Turn};
use super::rng::Rng;
use super::rules::Rules;
use super::weather::{Kind, MS, Weather};

/// How long the world goes on after the last action, so that every purge can become complete.
const TAIL: u64 = 6_000 * MS;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) steps: u64,
    pub(crate) answers: u64,
    pub(crate) hits: u64,
    /// Answers from the stores of nodes that were cut off and went on.
    pub(crate) cut_off: u64,
    pub(crate) errors: u64,
    pub(crate) origin_fetches: u64,
    pub(crate) purges_complete: u64,
}

/// What makes a node reachable or not.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub(crate) is_frozen: bool,
    /// What came while it was frozen.
    pub(crate) waiting: Vec<Event>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) weather: Weather,
    pub(crate) rules: Rules,
    pub(crate) now: u64,
    pub(crate) queue: Queue,
    pub(crate) cuts: Cuts,
    pub(crate) nodes: Vec<Node>,
    pub(crate) health: Vec<Health>,
    pub(crate) clocks: Vec<Clock>,
    pub(crate) authority: Authority,
    /// The origin's newest version of every resource.
    pub(crate) versions: [u32; RESOURCES.len()],
    pub(crate) checker: Checker,
    /// Every entry that was ever safe.
    pub(crate) past: Vec<(AsOf, Rc<Entry>)>,
    pub(crate) actions_left: u64,
    pub(crate) stats: Stats,
    boots: u64,
    pub(crate) settles_at: u64,
    ends_at: u64,
    trace: Option<VecDeque<String>>,
    traced: usize,
}

impl World {
    pub(crate) fn new(seed: u64, kind: Kind, rules: Rules) -> Self {
        let mut rng = Rng::new(seed);
        let weather = Weather::draw(kind, &mut rng);
        let drift = weather.drift;
        let mut clock =
            || Clock::new(rng.below(1 << 40), 1_000_000 - drift + rng.below(2 * drift + 1));
        let mut world = Self {
            clocks: (0..NODES).map(|_| clock()).collect(),
            rng,
            rules,
            now: 0,
            queue: Queue::default(),
            cuts: Cuts::default(),
            nodes: (0..NODES).map(Node::new).collect(),
            health: (0..NODES).map(|_| Health::default()).collect(),
            authority: Authority::new(rules, weather.log_kept),
            versions: [1; RESOURCES.len()],
            checker: Checker::default(),
            past: Vec::new(),
            actions_left: weather.actions,
            stats: Stats::default(),
            boots: 0,
            settles_at: 0,
            ends_at: u64::MAX,
            trace: None,
            traced: 0,
            weather,
        };
        for node in 0..TWIN {
            world.start(node);
        }
        world.queue.push(MS, Event::Act);
        world
    }

    /// Keeps the last `events`, for the message of a failure. Costs more than the run itself.
    pub(crate) fn keep_trace(&mut self, events: usize) {
        self.traced = events;
        self.trace = Some(VecDeque::new());
    }

    pub(crate) fn trace(&self) -> String {
        let lines = self.trace.iter().flatten().map(String::as_str);
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Notes something for the trace.
    pub(crate) fn note(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.trace.is_none() {
            return;
        }
        let line = format!("{:>10.3} ms  {}", to_ms(self.now), text(self));
        if let Some(trace) = &mut self.trace {
            if trace.len() == self.traced {
                trace.pop_front();
            }
            trace.push_back(line);
        }
    }

    /// Runs to the end.
    ///
    /// # Errors
    ///
    /// The first [`Broken`] promise.
    pub(crate) fn run(&mut self) -> Result<Stats, Broken> {
        while let Some((at, event)) = self.queue.pop() {
            if at > self.ends_at {
                break;
            }
            self.now = at;
            self.stats.steps += 1;
            self.handle(event)?;
        }
        self.stats.purges_complete = self.checker.complete();
        Ok(self.stats)
    }

    fn handle(&mut self, event: Event) -> Result<(), Broken> {
        if let Some(node) = event.node() {
            if self.health[node].is_frozen {
                self.health[node].waiting.push(event);
                return Ok(());
            }
            if self.nodes[node].boot == 0 {
                self.refuse(node, &event);
                return Ok(());
            }
        }
        match event {
            Event::Act => self.act(),
            Event::Deliver { to: ORIGIN, message } => self.on_origin(&message),
            Event::Deliver { to, message } => return self.on_message(to, message),
            Event::Start(node) => self.start(node),
            Event::Thaw(node) => self.thaw(node),
            Event::Timer { node, boot, timer } if self.nodes[node].boot == boot => {
                return self.on_timer(node, timer);
            }
            Event::Timer { .. } => {}
        }
        Ok(())
    }

    /// A node that is down refuses connections.
    fn refuse(&mut self, node: NodeId, event: &Event) {
        let Event::Deliver { message: Message::Get(get), .. } = event else { return };
        match get.asker {
            Asker::Child { node: child, request } => {
                let reply = Message::Reply { request, reply: Reply::Failed };
                self.send(node, child, reply);
            }
            Asker::Client { .. } => self.stats.errors += 1,
        }
    }

    fn on_message(&mut self, to: NodeId, message: Message) -> Result<(), Broken> {
        self.note(|_| format!("{} #{to} <- {message:?}", name(to)));
        match message {
            Message::Append { promise, entry } => self.write(entry, promise),
            Message::Leave { node, boot } => self.authority.leave(node, boot),
            Message::Report(question) => return self.on_report(question),
            Message::Answer(answer) => {
                return self.turn(to, |node, turn| node.on_answer(&answer, turn));
            }
            Message::Get(get) => return self.turn(to, |node, turn| node.on_get(get, turn)),
            Message::Reply { request, reply } => {
                return self.turn(to, |node, turn| node.on_reply(request, reply, turn));
            }
            Message::Resent { at, entry } => {
                let rules = self.rules;
                self.turn(to, |node, _| node.apply(at, &entry, rules))?;
                self.checkpoint(to);
                return Ok(());
            }
        }
        self.settle()
    }

    fn on_timer(&mut self, node: NodeId, timer: Timer) -> Result<(), Broken> {
        match timer {
            Timer::Again(get) => self.turn(node, |node, turn| node.on_get(get, turn)),
            Timer::Body { fill } => self.turn(node, |node, turn| node.on_body(fill, turn)),
            Timer::Late { request } => self.turn(node, |node, turn| node.on_late(request, turn)),
            Timer::Report => self.turn(node, Node::on_report_timer),
            Timer::Durable { seq } => self.on_durable(seq),
            Timer::Release { number } => {
                self.answer_held(Some(number));
                Ok(())
            }
            Timer::Settle => self.settle(),
        }
    }

    /// Lets a node act, and does what comes of it.
    fn turn(
        &mut self,
        node: NodeId,
        act: impl FnOnce(&mut Node, &mut Turn<'_>),
    ) -> Result<(), Broken> {
        let now = self.clocks[node].show(self.now);
        let (rules, weather) = (self.rules, &self.weather);
        let mut turn = Turn { now, rules, weather, effects: Vec::new() };
        act(&mut self.nodes[node], &mut turn);
        for effect in turn.effects {
            match effect {
                Effect::After(timer) => self.set_timer(node, timer),
                Effect::Read { read, version, is_hit } => self.on_read(read, version, is_hit)?,
                Effect::ReadCutOff { read, version } => {
                    self.note(|_| format!("read {read} ends with {version} at a node cut off"));
                    self.stats.cut_off += 1;
                    self.checker.on_answer_cut_off(read, version)?;
                }
                Effect::Send { to, message } => {
                    if let Message::Report(Question { position: Some(at), .. }) = &message {
                        self.checker.on_reported(node, *at);
                    }
                    self.send(node, to, message);
                }
            }
        }
        Ok(())
    }

    fn on_read(&mut self, read: usize, version: Option<u32>, is_hit: bool) -> Result<(), Broken> {
        self.note(|it| {
            let hit = if is_hit { " from the store" } else { "" };
            format!("read {read} of {} ends with {version:?}{hit}", it.checker.read(read))
        });
        let Some(version) = version else {
            self.stats.errors += 1;
            return Ok(());
        };
        self.stats.answers += 1;
        self.stats.hits += u64::from(is_hit);
        let newest = self.versions[self.checker.read(read).resource];
        self.checker.on_answer(read, version, newest)
    }

    pub(crate) fn set_timer(&mut self, node: NodeId, timer: Timer) {
        let after = match timer {
            Timer::Again(_) => 150 * MS,
            Timer::Body { .. } if self.rng.happens(self.weather.body_slow) => {
                self.rng.between(100, 5_000) * MS
            }
            Timer::Body { .. } => self.rng.below(3) * MS,
            Timer::Durable { .. } => self.rng.between(0, 20) * MS,
            Timer::Late { .. } => 4_000 * MS,
            Timer::Release { .. } | Timer::Report | Timer::Settle => 1_000 * MS,
        };
        let boot = self.nodes[node].boot;
        self.queue.push(self.now + after, Event::Timer { node, boot, timer });
    }

    /// Puts a message on its way, on which it may be lost, doubled or late.
    pub(crate) fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        let is_cut = self.cuts.between([from, to], message.is_of_the_log(), self.now);
        if is_cut || self.rng.happens(self.weather.lost) {
            return self.note(|_| format!("{} #{from} -> #{to} lost {message:?}", name(from)));
        }
        if self.rng.happens(self.weather.doubled) {
            // The double of an echo is late; else both are alike.
            let echo = if self.weather.kind == Kind::Echoes { self.weather.slow_max } else { 0 };
            let at = self.now + self.way() + self.rng.between(0, echo);
            self.queue.push(at, Event::Deliver { to, message: message.clone() });
        }
        let at = self.now + self.way();
        self.queue.push(at, Event::Deliver { to, message });
    }

    fn way(&mut self) -> u64 {
        let is_slow = self.rng.happens(self.weather.slow);
        let longest = if is_slow { self.weather.slow_max } else { self.weather.way_max };
        self.rng.between(100, longest)
    }

    /// The origin samples the version first and answers later.
    fn on_origin(&mut self, message: &Message) {
        let Message::Get(Get { asker: Asker::Child { node, request }, resource, etag, .. }) =
            *message
        else {
            return;
        };
        self.stats.origin_fetches += 1;
        let version = self.versions[resource];
        self.note(|_| format!("origin samples {version} of {} for #{node}", RESOURCES[resource]));
        let reply = if etag == Some(version) {
            Reply::NotModified { as_of: None }
        } else {
            Reply::Whole { version, as_of: None }
        };
        let is_slow = self.rng.happens(self.weather.origin_slow);
        let work = if is_slow { self.rng.between(150, 3_800) } else { self.rng.below(150) } * MS;
        if self.cuts.between([node, ORIGIN], false, self.now) {
            return;
        }
        let message = Message::Reply { request, reply };
        self.queue
            .push(self.now + work + self.weather.way_max, Event::Deliver { to: node, message });
    }

    /// Begins another run of a node.
    fn start(&mut self, node: NodeId) {
        if self.nodes[node].boot != 0 {
            return;
        }
        self.boots += 1;
        self.nodes[node].start(self.boots, &self.weather);
        if node == SHIELD {
            self.start_log();
        } else {
            let boot = self.boots;
            self.queue.push(self.now, Event::Timer { node, boot, timer: Timer::Report });
        }
        self.note(|it| format!("{} #{node} starts as {}", name(node), it.nodes[node].boot));
    }

    fn thaw(&mut self, node: NodeId) {
        self.health[node].is_frozen = false;
        for event in std::mem::take(&mut self.health[node].waiting) {
            self.queue.push(self.now, event);
        }
    }

    /// The schedule is over.
    pub(crate) fn wind_up(&mut self) {
        self.ends_at = self.now + TAIL;
    }

    pub(crate) fn is_handover(&self) -> bool {
        self.weather.kind == Kind::Handover
    }
}

#[expect(clippy::cast_precision_loss, reason = "only shown")]
fn to_ms(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}
