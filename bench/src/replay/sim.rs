//! Plays a log to nodes that are data: no sockets, no clock but that of the log, no bodies.
//!
//! A request walks from its edge toward the origin until somebody can answer it; ages count from the origin, so that a
//! response that an edge got from a shield's store is as old there as it is at the shield. What is stale is validated, and
//! has never changed: a log does not say what the origin would have answered.
//!
//! A parent is chosen as nodes choose it, by rendezvous hashing of the key over names; the names are `regional-0` and so
//! on, so that which node keeps a key differs from a stack of other names, but not how keys are spread.

use std::convert::Infallible;
use std::sync::Arc;

use super::book::Book;
use super::counts::{Counted, OUTCOMES, Outcome, Run, TierCounts, TierRun};
use super::node::{Fetch, Keeps, Node, Stamp};
use super::setup::{Fill, Setup, Space, TierName};
use super::sites::FOR_EVER_MS;
use super::steps::edge_of;
use super::workload::{Ask, Request, Workload};
use super::{Engine, first_u64, mix};

/// How many requests pass between two looks at the watch.
const WATCHED_EVERY: usize = 65_536;

/// The engine that needs no nodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sim;

impl Engine for Sim {
    type Error = Infallible;

    fn run(
        &mut self,
        workload: &Workload,
        setup: &Setup,
        watch: &mut dyn FnMut(usize),
    ) -> Result<Run, Infallible> {
        let mut stack = Stack::new(workload, setup);
        let mut book = Book::new(workload, setup);
        for (at, request) in workload.requests.iter().enumerate() {
            if at % WATCHED_EVERY == 0 {
                watch(at);
            }
            book.turn_to(at, request.at_ms, &stack.counted);
            if let Some((outcome, depth)) = stack.play(request) {
                book.note(outcome, depth);
            }
        }
        watch(workload.len());
        let tiers = stack.tiers.iter().map(Tier::summary).collect();
        Ok(book.close(stack.counted, tiers))
    }
}

/// The nodes of one tier.
struct Tier {
    name: TierName,
    space: Space,
    nodes: Vec<Node>,
    /// What each of them makes of a key.
    seeds: Vec<u64>,
}

impl Tier {
    fn summary(&self) -> TierRun {
        let mut run = TierRun {
            name: self.name,
            nodes: u32::try_from(self.nodes.len()).unwrap_or(u32::MAX),
            space: self.space,
            peak_bytes: [0; 2],
            peak_permille: [0; 2],
        };
        for node in &self.nodes {
            for (sum, bytes) in run.peak_bytes.iter_mut().zip(node.peak_bytes()) {
                *sum = sum.saturating_add(bytes);
            }
            for (most, permille) in run.peak_permille.iter_mut().zip(node.peak_permille()) {
                *most = (*most).max(permille);
            }
        }
        run
    }

    /// The node that keeps a key: the one with the highest score for it.
    fn keeper(&self, hash: u64) -> usize {
        let scores = self.seeds.iter().map(|seed| mix(hash ^ seed)).enumerate();
        // Of equals the first, as nodes have it.
        scores.rev().max_by_key(|(_, score)| *score).map_or(0, |(at, _)| at)
    }
}

/// A request for an object on its way up.
#[derive(Clone, Copy)]
struct Asked {
    at_ms: u64,
    object: u32,
    class: u32,
    bytes: u64,
    hash: u64,
    /// The edge.
    edge: usize,
}

/// What came back.
#[derive(Clone, Copy)]
struct Answer {
    outcome: Outcome,
    /// When the origin made what came.
    made_ms: u64,
    /// How many were asked from the edge on, itself included.
    depth: usize,
}

struct Stack<'a> {
    workload: &'a Workload,
    tiers: Vec<Tier>,
    fill: Fill,
    fetch_ms: u64,
    seed: u64,
    /// Objects that the last tier missed once; kept for [`Fill::SecondMiss`] alone.
    missed: Vec<bool>,
    counted: Counted,
}

impl<'a> Stack<'a> {
    fn new(workload: &'a Workload, setup: &Setup) -> Self {
        let charge = |bytes: u64| bytes.saturating_add(setup.overhead);
        let charges: Arc<[u64]> =
            workload.objects.iter().map(|object| charge(object.bytes)).collect();
        let expires =
            |class: &super::sites::Lifetime| class.validates || class.fresh_ms != FOR_EVER_MS;
        let keeps = Keeps {
            bounds_bodies: setup.bounds_bodies,
            stamps: workload.classes.iter().any(expires),
            fetches: setup.fetch_ms > 0,
            overhead: setup.overhead,
        };
        let tiers: Vec<Tier> = setup
            .tiers()
            .map(|(name, nodes, space)| Tier {
                name,
                space,
                nodes: (0..nodes)
                    .map(|_| Node::new(space, setup.policy, &charges, keeps))
                    .collect(),
                seeds: (0..nodes).map(|at| seed_of(name, at, setup.seed)).collect(),
            })
            .collect();
        let counted =
            Counted { tiers: vec![TierCounts::default(); tiers.len()], ..Counted::default() };
        let missed = match setup.fill {
            Fill::SecondMiss => vec![false; charges.len()],
            Fill::Everywhere | Fill::CopyDown => Vec::new(),
        };
        let (fill, fetch_ms, seed) = (setup.fill, setup.fetch_ms, setup.seed);
        Self { workload, tiers, fill, fetch_ms, seed, missed, counted }
    }

    /// Plays one request: what came of it at the edge, and how many tiers it took; `None` for a purge.
    fn play(&mut self, request: &Request) -> Option<(Outcome, usize)> {
        match request.ask {
            Ask::Purge { object } => {
                let nodes = self.tiers.iter_mut().flat_map(|tier| tier.nodes.iter_mut());
                nodes.for_each(|node| node.purge(object));
                None
            }
            Ask::Pass { bytes } => Some(self.pass(bytes)),
            Ask::Object { object, class } => {
                let known = self.workload.objects.get(object as usize)?;
                let edges = self.tiers.first().map_or(1, |tier| tier.nodes.len());
                let edge = edge_of(request.client, self.seed, edges);
                let asked = Asked {
                    at_ms: request.at_ms,
                    object,
                    class,
                    bytes: known.bytes,
                    hash: known.hash,
                    edge,
                };
                let client = &mut self.counted.client;
                client.requests += 1;
                client.bytes += asked.bytes;
                client.cacheable += 1;
                client.cacheable_bytes += asked.bytes;
                let answer = self.ask(0, &asked, false);
                Some((answer.outcome, answer.depth))
            }
        }
    }

    fn pass(&mut self, bytes: u64) -> (Outcome, usize) {
        self.counted.client.requests += 1;
        self.counted.client.bytes += bytes;
        for tier in &mut self.counted.tiers {
            tier.count(Outcome::Pass);
            tier.bytes += bytes;
        }
        let origin = &mut self.counted.origin;
        origin.requests += 1;
        origin.bytes += bytes;
        origin.passed += 1;
        origin.passed_bytes += bytes;
        (Outcome::Pass, self.tiers.len() + 1)
    }

    /// Asks the tier at `level`, or the origin behind the last one. Who asks to validate gets no body.
    fn ask(&mut self, level: usize, asked: &Asked, validates: bool) -> Answer {
        let Some(tier) = self.tiers.get_mut(level) else {
            return self.ask_origin(asked, validates);
        };
        let at = if level == 0 { asked.edge } else { tier.keeper(asked.hash) };
        let node = &mut tier.nodes[at];
        let joined = node.fetch(asked.object, asked.at_ms);
        let found = if joined.is_some() { None } else { node.find(asked.object) };
        let answer = match (joined, found) {
            (Some(Fetch { made_ms, depth, .. }), _) => {
                Answer { outcome: Outcome::Collapsed, made_ms, depth }
            }
            (None, None) => self.miss(level, at, asked),
            (None, Some((stamp, in_memory))) => {
                let answer = self.reuse(level, at, asked, stamp);
                let is_hit = matches!(answer.outcome, Outcome::HitFresh | Outcome::HitStale);
                self.counted.tiers[level].memory_hits += u64::from(in_memory && is_hit);
                answer
            }
        };
        let counts = &mut self.counted.tiers[level];
        counts.count(answer.outcome);
        if !validates {
            counts.bytes += asked.bytes;
            if matches!(
                answer.outcome,
                Outcome::HitFresh | Outcome::HitStale | Outcome::Revalidated
            ) {
                counts.stored_bytes += asked.bytes;
            }
        }
        answer
    }

    fn ask_origin(&mut self, asked: &Asked, validates: bool) -> Answer {
        let origin = &mut self.counted.origin;
        origin.requests += 1;
        if validates {
            origin.validations += 1;
        } else {
            origin.bytes += asked.bytes;
        }
        Answer { outcome: Outcome::Miss, made_ms: asked.at_ms, depth: self.tiers.len() + 1 }
    }

    fn miss(&mut self, level: usize, at: usize, asked: &Asked) -> Answer {
        let above = self.ask(level + 1, asked, false);
        let node = &mut self.tiers[level].nodes[at];
        let (object, made_ms) = (asked.object, above.made_ms);
        let fetch = Fetch { until_ms: asked.at_ms + self.fetch_ms, made_ms, depth: above.depth };
        node.begin(object, fetch);
        if self.stores(level, object, above.depth) {
            let node = &mut self.tiers[level].nodes[at];
            let stored = node.store(object, Stamp { made_ms, class: asked.class });
            let counts = &mut self.counted.tiers[level];
            counts.fills += 1;
            counts.rejected += u64::from(!stored.is_held);
            counts.evicted += stored.evicted;
            counts.evicted_bytes += stored.evicted_bytes;
        }
        Answer { outcome: Outcome::Miss, ..above }
    }

    /// Whether the tier at `level` stores what was found so deep.
    fn stores(&mut self, level: usize, object: u32, depth: usize) -> bool {
        match self.fill {
            Fill::Everywhere => true,
            Fill::CopyDown => depth == level + 2,
            Fill::SecondMiss if level + 1 < self.tiers.len() => true,
            Fill::SecondMiss => {
                let missed = self.missed.get_mut(object as usize);
                missed.is_none_or(|missed| std::mem::replace(missed, true))
            }
        }
    }

    /// Answers from what is stored, which may have to be validated.
    fn reuse(&mut self, level: usize, at: usize, asked: &Asked, stamp: Stamp) -> Answer {
        let here = Answer { outcome: Outcome::HitFresh, made_ms: stamp.made_ms, depth: level + 1 };
        let Some(lifetime) = self.workload.classes.get(stamp.class as usize) else { return here };
        let age_ms = asked.at_ms.saturating_sub(stamp.made_ms);
        if !lifetime.validates && (age_ms < lifetime.fresh_ms || lifetime.fresh_ms == FOR_EVER_MS) {
            return here;
        }
        let is_usable = !lifetime.validates && age_ms - lifetime.fresh_ms < lifetime.stale_ms;
        let above = self.ask(level + 1, asked, true);
        let node = &mut self.tiers[level].nodes[at];
        node.confirm(asked.object, above.made_ms);
        if is_usable {
            return Answer { outcome: Outcome::HitStale, ..here };
        }
        let until_ms = asked.at_ms + self.fetch_ms;
        node.begin(asked.object, Fetch { until_ms, made_ms: above.made_ms, depth: above.depth });
        Answer { outcome: Outcome::Revalidated, ..above }
    }
}

/// What a node makes of keys; differs between nodes and between seeds.
fn seed_of(tier: TierName, at: u32, seed: u64) -> u64 {
    let name = format!("{}-{at}", tier.as_str());
    first_u64(blake3::hash(name.as_bytes()).as_bytes()) ^ mix(seed)
}

const _: () = assert!(OUTCOMES.len() == 6, "depths has a row for each outcome");
