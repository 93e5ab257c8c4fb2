//! How fast does a server answer, and how late?
//!
//! A driver for plain HTTP/1.1 that asks as fast as answers come (closed loop) or as often as it is told (open loop).
//!
//! ```text
//! plan.rs ─► run() ─► thread.rs, once a thread ─► schedule.rs  when: turns, due and counting or not
//!                       a slot a connection       timer.rs     waits until due
//!                                                 asking.rs    what: target.rs, random.rs
//!                                                 connection.rs ─► answer.rs ─► outcome.rs
//!                                                 tally.rs     counts, latencies
//!           cpu.rs, before and after ─────────────────► figures.rs ─► table, JSON; percentiles.rs ─► file
//! ```
//!
//! 1. A request of the open loop is late by what it waited for a connection too: its latency counts from when it was
//!    due. A request of the closed loop counts from when its connection was free.
//! 2. No server makes a run longer than its plan and one timeout: each answer has a deadline.
//! 3. Memory does not grow with the length of a run or of a body.
//!
//! TLS and HTTP/2 are left to other tools.

mod answer;
mod asking;
mod connection;
mod cpu;
mod figures;
mod outcome;
mod percentiles;
mod plan;
mod random;
mod schedule;
mod tally;
mod target;
mod thread;
mod timer;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::CreationError;
use tokio::sync::oneshot;

pub use self::asking::{Asked, Asking, AskingError};
pub use self::connection::FaultKind;
pub use self::figures::{
    DriverFigures, Figures, LateFigures, Latency, OutcomeFigures, ServerFigures,
};
pub use self::outcome::CacheOutcome;
pub use self::percentiles::PercentileForm;
pub use self::plan::{Arrivals, Pace, Plan, PlanError, Until};
pub use self::target::TargetError;
pub use self::watch::Watch;

use self::cpu::CpuTime;
use self::figures::Measured;
use self::tally::Tally;
use self::thread::{Done, Job};

/// Between the moment that all connections are open and the first request: threads need to hear of it.
const BEFORE_BEGIN: Duration = Duration::from_millis(5);

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The plan makes no sense.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A host has no address.
    #[error("{place} has no address")]
    Resolve {
        /// The host and port.
        place: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A process cannot be looked at.
    #[error("the CPU time of the server cannot be read from /proc")]
    Processes(#[source] io::Error),
    /// The system gives the driver no thread or timer.
    #[error("a thread of the driver does not run")]
    Thread(#[source] io::Error),
    /// Latencies cannot be kept.
    #[error("a histogram cannot be made")]
    Histogram(#[from] CreationError),
    /// The run was given up.
    #[error("the run was given up")]
    Stopped,
}

/// Runs `plan` and returns what came of it; `watch` (of as many threads) shows how far it is.
///
/// Ends when the plan is over and the last answer is in, or an answer's timeout after [`Watch::stop`]. Requests without
/// answers are figures, not errors. If this future is dropped, the threads go on until the plan is over.
///
/// # Errors
///
/// [`LoadError`], in nearly all cases before anything was sent.
pub async fn run(plan: Plan, watch: Arc<Watch>) -> Result<Figures, LoadError> {
    plan.check()?;
    let places = resolve(&plan).await?;
    // Fails early on a process that is not there.
    read_cpu(&plan)?;
    let plan = Arc::new(plan);
    let (mut done, mut starts) = (Vec::new(), Vec::new());
    for index in 0..plan.threads {
        let (ready, is_ready) = oneshot::channel();
        let (start, go) = oneshot::channel();
        let job = Job {
            plan: Arc::clone(&plan),
            places: Arc::clone(&places),
            watch: Arc::clone(&watch),
            index,
            name: run_name(),
            ready,
            go,
        };
        done.push(spawn(job)?);
        starts.push((is_ready, start));
    }
    let mut waiting = Vec::with_capacity(starts.len());
    for (is_ready, start) in starts {
        // A thread that does not run says why when it is asked for its result.
        if is_ready.await.is_ok() {
            waiting.push(start);
        }
    }
    let begin = Instant::now() + BEFORE_BEGIN;
    for start in waiting {
        // One that has gone is found by its result.
        start.send(begin).unwrap_or(());
    }
    let warm_at = begin + plan.warmup;
    tokio::time::sleep_until(warm_at.into()).await;
    let before = read_cpu(&plan)?;
    let (tally, ended) = collect(done, warm_at).await?;
    let after = read_cpu(&plan)?;
    let span = ended.saturating_duration_since(warm_at);
    let measured = Measured { span, driver: after.0 - before.0, server: after.1 - before.1 };
    Figures::new(&plan, &tally, measured, watch.is_stopped())
}

/// What was counted by all threads, and when the last one was done.
async fn collect(
    done: Vec<oneshot::Receiver<Result<Done, LoadError>>>,
    begin: Instant,
) -> Result<(Tally, Instant), LoadError> {
    let mut tally = Tally::new(Duration::ZERO)?;
    let mut ended = begin;
    for thread in done {
        let done = thread.await.map_err(|_gone| LoadError::Stopped)??;
        tally.add(done.tally);
        ended = ended.max(done.ended);
    }
    Ok((tally, ended))
}

fn spawn(job: Job) -> Result<oneshot::Receiver<Result<Done, LoadError>>, LoadError> {
    let (tell, done) = oneshot::channel();
    let name = format!("load-{}", job.index);
    std::thread::Builder::new()
        .name(name)
        .spawn(move || drop(tell.send(thread::work(job))))
        .map_err(LoadError::Thread)?;
    Ok(done)
}

/// The driver's CPU time, and that of the server.
fn read_cpu(plan: &Plan) -> Result<(CpuTime, CpuTime), LoadError> {
    let server = CpuTime::of(&plan.pids).map_err(LoadError::Processes)?;
    Ok((CpuTime::of_this_process(), server))
}

/// The addresses of each place that the plan asks.
async fn resolve(plan: &Plan) -> Result<Arc<[Vec<SocketAddr>]>, LoadError> {
    let mut places = Vec::new();
    for place in plan.asking.places() {
        let place = plan.connect.as_ref().unwrap_or(place);
        let failed = |source| LoadError::Resolve { place: place.clone(), source };
        let addresses: Vec<_> = tokio::net::lookup_host(place).await.map_err(failed)?.collect();
        if addresses.is_empty() {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        places.push(addresses);
    }
    Ok(places.into())
}

/// What no other run is called: misses of two runs must not meet in a cache.
fn run_name() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", since.as_nanos(), std::process::id())
}
