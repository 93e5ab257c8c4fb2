//! How much room buys how much, and how far is that from the best?
//!
//! A study plays the log to the nodes that were asked for, to one cache of the same bytes under other policies, to one that
//! holds everything, and to the same nodes with other totals. Each play is one thread's work; several are done at once.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::bound::{Bound, offline_bound};
use super::counts::{Counted, Run};
use super::setup::{Policy, Setup, Space};
use super::workload::Workload;
use super::{Engine, Sim};

/// What a study is to look at beside the nodes themselves.
#[derive(Debug, Clone, Default)]
pub struct StudyOptions {
    /// Totals of bytes to play to as well.
    pub sweep: Vec<u64>,
    /// Weights of the tiers' nodes by which totals are shared out.
    pub sizing: [u64; 3],
    /// Whether to work out what a cache could reach that knows the future.
    pub bound: bool,
}

/// What one more setup came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What it was.
    pub name: &'static str,
    /// From the first request on.
    pub cold: Counted,
    /// After the warm-up.
    pub warm: Counted,
}

/// The same nodes with another total.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepPoint {
    /// Bytes of all nodes together.
    pub total_bytes: u64,
    /// From the first request on.
    pub cold: Counted,
    /// After the warm-up.
    pub warm: Counted,
}

/// A run of an engine other than the simulation.
#[derive(Debug)]
pub struct Played {
    /// The engine's name.
    pub engine: &'static str,
    /// What came of it.
    pub run: Run,
    /// What the engine has to say of it, the most important first.
    pub notes: Vec<String>,
}

/// A run and what it is to be compared with.
#[derive(Debug)]
pub struct Study {
    /// What the log was played to: `sim`, or the name of another engine.
    pub engine: &'static str,
    /// What that engine has to say.
    pub engine_notes: Vec<String>,
    /// What was asked for.
    pub setup: Setup,
    /// What came of it.
    pub run: Run,
    /// One cache of as many bytes as all nodes, under other policies, and one that holds everything.
    pub references: Vec<Compared>,
    /// What a cache could reach that knows the future.
    pub bound: Option<Bound>,
    /// Other totals, from the least on.
    pub sweep: Vec<SweepPoint>,
    /// What is wrong with the sizes.
    pub warnings: Vec<String>,
}

/// One play of the list.
enum Job {
    Main,
    Reference(&'static str),
    Sweep(u64),
    Bound,
}

enum Done {
    Main(Box<Run>),
    Reference(Compared),
    Sweep(SweepPoint),
    Bound(Bound),
}

/// Plays everything that `options` asks for, the nodes themselves simulated, on as many threads as there are CPUs. `watch` is told every now and then how
/// many requests are done, of how many; from any thread.
#[must_use]
pub fn study(
    workload: &Workload,
    setup: &Setup,
    options: &StudyOptions,
    watch: &(dyn Fn(usize, usize) + Sync),
) -> Option<Study> {
    study_with(workload, setup, options, None, watch)
}

/// The same for what another engine has played: its run is compared with the same nodes simulated as well.
#[must_use]
pub fn study_of(
    workload: &Workload,
    setup: &Setup,
    options: &StudyOptions,
    played: Played,
    watch: &(dyn Fn(usize, usize) + Sync),
) -> Option<Study> {
    study_with(workload, setup, options, Some(played), watch)
}

fn study_with(
    workload: &Workload,
    setup: &Setup,
    options: &StudyOptions,
    played: Option<Played>,
    watch: &(dyn Fn(usize, usize) + Sync),
) -> Option<Study> {
    let itself = if played.is_some() { Job::Reference("simulated") } else { Job::Main };
    let mut jobs = vec![
        (itself, setup.clone()),
        (Job::Reference("lru"), setup.flat(setup.total_bytes(), Policy::Lru)),
        (Job::Reference("s3-fifo"), setup.flat(setup.total_bytes(), Policy::S3Fifo)),
        (Job::Reference("infinite"), setup.flat(u64::MAX, Policy::Fifo)),
    ];
    for total in &options.sweep {
        jobs.push((Job::Sweep(*total), setup.with_total(*total, options.sizing)));
    }
    if options.bound {
        jobs.push((Job::Bound, setup.clone()));
    }
    let (mut main, mut references, mut sweep, mut bound) = (None, Vec::new(), Vec::new(), None);
    for done in play_all(workload, &jobs, watch) {
        match done {
            Done::Main(run) => main = Some(run),
            Done::Reference(compared) => references.push(compared),
            Done::Sweep(point) => sweep.push(point),
            Done::Bound(found) => bound = Some(found),
        }
    }
    sweep.sort_by_key(|point| point.total_bytes);
    let (engine, run, engine_notes) = match played {
        Some(played) => (played.engine, played.run, played.notes),
        None => ("sim", *main?, Vec::new()),
    };
    let warnings = warnings(workload, setup, &run);
    let setup = setup.clone();
    Some(Study { engine, engine_notes, setup, run, references, bound, sweep, warnings })
}

/// The results in the order of the jobs, so that nothing depends on which thread was first.
fn play_all(
    workload: &Workload,
    jobs: &[(Job, Setup)],
    watch: &(dyn Fn(usize, usize) + Sync),
) -> Vec<Done> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    let total = workload.len().saturating_mul(jobs.len());
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut results = Vec::new();
        loop {
            let at = next.fetch_add(1, Relaxed);
            let Some((job, setup)) = jobs.get(at) else { return results };
            let mut before = 0;
            let mut tick = |requests: usize| {
                let since = requests.saturating_sub(std::mem::replace(&mut before, requests));
                let all = done.fetch_add(since, Relaxed).saturating_add(since);
                watch(all, total);
            };
            results.push((at, play(workload, job, setup, &mut tick)));
        }
    };
    let mut results = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut results = work();
        for other in others {
            match other.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, done)| done).collect()
}

fn play(workload: &Workload, job: &Job, setup: &Setup, tick: &mut dyn FnMut(usize)) -> Done {
    if let Job::Bound = job {
        let bound = offline_bound(workload, setup.total_bytes(), setup.overhead);
        tick(workload.len());
        return Done::Bound(bound);
    }
    let Ok(run) = Sim.run(workload, setup, tick);
    match job {
        Job::Main | Job::Bound => Done::Main(Box::new(run)),
        Job::Reference(name) => Done::Reference(Compared { name, cold: run.cold, warm: run.warm }),
        Job::Sweep(total) => {
            Done::Sweep(SweepPoint { total_bytes: *total, cold: run.cold, warm: run.warm })
        }
    }
}

/// What is wrong with the sizes of `setup`.
fn warnings(workload: &Workload, setup: &Setup, run: &Run) -> Vec<String> {
    let mut warnings = Vec::new();
    let [edges, regionals, shields] = setup.nodes;
    let of = |nodes: u32, space: Space| u64::from(nodes).saturating_mul(space.bytes());
    let [edge, regional, shield] = setup.space;
    let (in_regionals, in_shields) = (of(regionals, regional), of(shields, shield));
    if regionals > 0 && shields > 0 && in_shields < in_regionals.saturating_mul(2) {
        warnings.push(
            "the shield is smaller than twice the regionals together: keys are spread over the regionals, so that it \
             would hold what they hold already; a shield that helps has 2 times their bytes or more (--sizing 1:2:8 \
             for 4 edges and 2 regionals)"
                .to_owned(),
        );
    }
    let minute = workload.working_set_of_a_minute();
    let share = minute / u64::from(edges.max(1));
    if edge.bytes() < share {
        warnings.push(format!(
            "an edge is smaller than its part of what is asked for in the busiest minute ({}): it forgets within a \
             minute what it has just fetched",
            crate::report::bytes(share)
        ));
    }
    let footprint = workload.footprint();
    for (name, _, space) in setup.tiers() {
        if space.bytes()
            >= footprint.saturating_add(setup.overhead.saturating_mul(workload.objects() as u64))
        {
            warnings.push(format!(
                "a node of the tier {} has room for everything in the log: more does not help",
                name.as_str()
            ));
        }
    }
    for tier in &run.tiers {
        if tier.peak_permille.iter().any(|permille| *permille > 1_000) {
            warnings
                .push(format!("a node of the tier {} held more than its room", tier.name.as_str()));
        }
    }
    warnings
}
