//! What came of a run, in numbers that people compare.
//!
//! Serialized it is the one line of `--json`; names of fields carry units and are a promise to scripts.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::LoadError;
use super::connection::FaultKind;
use super::cpu::CpuTime;
use super::outcome::CacheOutcome;
use super::percentiles::{PercentileForm, micros, render};
use super::plan::{Pace, Plan};
use super::tally::Tally;

/// A driver that uses this part of the CPU it may use waits for itself.
const BUSY_LIMIT: f64 = 0.9;
/// The share of requests that a driver may send late before its figures are doubted.
const LATE_LIMIT: f64 = 0.01;

/// The figures of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// `closed` or `open`.
    #[serde(rename = "loop")]
    pub pace: &'static str,
    /// From when latencies count: `sent` (closed), `sent, corrected` or `due` (open).
    pub latency_from: &'static str,
    /// From the end of the warm-up to the last answer.
    pub seconds: f64,
    /// Whether the run was ended before its time.
    pub stopped: bool,
    /// Whole answers, of any status.
    pub requests: u64,
    /// Whole answers a second.
    pub requests_per_second: f64,
    /// Bytes read: heads, framing, bodies.
    pub bytes: u64,
    /// Bytes read a second.
    pub bytes_per_second: f64,
    /// Content of whole answers.
    pub body_bytes: u64,
    /// Whole answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a whole answer.
    pub errors: u64,
    /// The same by kind; kinds that did not occur are left out.
    pub errors_by_kind: BTreeMap<&'static str, u64>,
    /// The first error of each kind, in words.
    pub error_examples: BTreeMap<&'static str, String>,
    /// Requests sent again because the server had closed an idle connection.
    pub reopened: u64,
    /// Requests that no cache can have known, on purpose.
    pub misses_asked: u64,
    /// Latencies of whole answers, and of requests given up after the timeout.
    pub latency_us: Latency,
    /// Whole answers by what the cache said of them; those that did not occur are left out.
    pub outcomes: BTreeMap<&'static str, OutcomeFigures>,
    /// How the open loop kept its schedule; `None` in the closed loop.
    pub late: Option<LateFigures>,
    /// What the driver cost.
    pub driver: DriverFigures,
    /// What the server cost; `None` where no process was named.
    pub server: Option<ServerFigures>,
    /// All latencies, for [`Figures::percentiles`].
    #[serde(skip)]
    latencies: Histogram<u64>,
}

/// Latencies in microseconds, exact to 0.1 %. All are 0 where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the definitions")]
pub struct Latency {
    pub count: u64,
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// The answers of one outcome.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct OutcomeFigures {
    /// How many.
    pub requests: u64,
    /// Their content.
    pub body_bytes: u64,
    /// Their latencies.
    pub latency_us: Latency,
}

/// How the open loop kept its schedule.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LateFigures {
    /// How long after its time a request was sent.
    pub start_us: Latency,
    /// Sent more than 1 ms late although a connection was free.
    pub by_driver: u64,
    /// Sent more than 1 ms late because all connections waited for answers.
    pub by_connections: u64,
    /// Due before the end and never sent. Latencies would be worse with them.
    pub unsent: u64,
}

/// What the driver cost.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DriverFigures {
    /// User and system time of this process.
    pub cpu_seconds: f64,
    /// For each request that has ended.
    pub cpu_us_per_request: f64,
    /// The part of it in user mode, as the kernel samples it.
    pub user_us_per_request: f64,
    /// The part used of the CPU time that its threads could have had, 0 to 1.
    pub busy: f64,
    /// Whether the driver was probably the limit: figures then say little about the server.
    pub was_limit: bool,
}

/// What the server cost.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ServerFigures {
    /// User and system time of the processes that were named.
    pub cpu_seconds: f64,
    /// For each request that has ended.
    pub cpu_us_per_request: f64,
    /// The part of it in user mode, as the kernel samples it.
    pub user_us_per_request: f64,
    /// CPUs used on average.
    pub cpus: f64,
}

/// What is known of a run beside its tally.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) span: Duration,
    pub(crate) driver: CpuTime,
    pub(crate) server: CpuTime,
}

impl Figures {
    pub(crate) fn new(
        plan: &Plan,
        tally: &Tally,
        measured: Measured,
        stopped: bool,
    ) -> Result<Self, LoadError> {
        let seconds = measured.span.as_secs_f64();
        let requests = tally.answers();
        let ended = requests + tally.faulty();
        let (pace, latency_from) = match plan.pace {
            Pace::Closed { expected_interval: None } => ("closed", "sent"),
            Pace::Closed { expected_interval: Some(_) } => ("closed", "sent, corrected"),
            Pace::Open { .. } => ("open", "due"),
        };
        let late = matches!(plan.pace, Pace::Open { .. }).then(|| LateFigures {
            start_us: Latency::of(&tally.starts),
            by_driver: tally.late_free,
            by_connections: tally.late_busy,
            unsent: tally.untaken,
        });
        let latencies = tally.all_latencies()?;
        let outcomes: BTreeMap<_, _> = outcomes(tally).collect();
        Ok(Self {
            pace,
            latency_from,
            seconds,
            stopped,
            requests,
            requests_per_second: per(requests as f64, seconds),
            bytes: tally.bytes,
            bytes_per_second: per(tally.bytes as f64, seconds),
            body_bytes: outcomes.values().map(|outcome| outcome.body_bytes).sum(),
            statuses: tally.statuses.clone(),
            errors: tally.faulty(),
            errors_by_kind: errors(tally).collect(),
            error_examples: examples(tally).collect(),
            reopened: tally.reopened,
            misses_asked: tally.misses_asked,
            latency_us: Latency::of(&latencies),
            outcomes,
            driver: DriverFigures::new(plan, measured, late, ended),
            server: (!plan.pids.is_empty()).then(|| ServerFigures::new(measured, ended)),
            late,
            latencies,
        })
    }

    /// The distribution of all latencies, as text of a file.
    pub fn percentiles(&self, form: PercentileForm) -> String {
        render(&self.latencies, form)
    }
}

fn outcomes(tally: &Tally) -> impl Iterator<Item = (&'static str, OutcomeFigures)> {
    CacheOutcome::ALL.into_iter().filter_map(|outcome| {
        let sort = tally.sort(outcome)?;
        let latency_us = Latency::of(&sort.latencies);
        let figures =
            OutcomeFigures { requests: sort.requests, body_bytes: sort.body_bytes, latency_us };
        Some((outcome.name(), figures))
    })
}

fn errors(tally: &Tally) -> impl Iterator<Item = (&'static str, u64)> {
    let named = FaultKind::ALL.into_iter().zip(tally.faults);
    named.filter(|(_, count)| *count > 0).map(|(kind, count)| (kind.name(), count))
}

fn examples(tally: &Tally) -> impl Iterator<Item = (&'static str, String)> {
    let named = FaultKind::ALL.into_iter().zip(&tally.fault_texts);
    named.filter_map(|(kind, text)| Some((kind.name(), text.clone()?)))
}

impl Latency {
    fn of(latencies: &Histogram<u64>) -> Self {
        let at = |quantile| micros(latencies.value_at_quantile(quantile));
        Self {
            count: latencies.len(),
            min: if latencies.is_empty() { 0.0 } else { micros(latencies.min()) },
            mean: latencies.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(latencies.max()),
        }
    }
}

impl DriverFigures {
    fn new(plan: &Plan, measured: Measured, late: Option<LateFigures>, ended: u64) -> Self {
        let cpu = measured.driver.total().as_secs_f64();
        // Respects the CPUs that the process is pinned to.
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let busy = per(cpu, measured.span.as_secs_f64() * plan.threads.min(cpus) as f64);
        let late = late.map_or(0, |late| late.by_driver) as f64;
        Self {
            cpu_seconds: cpu,
            cpu_us_per_request: per(cpu * 1e6, ended as f64),
            user_us_per_request: per(measured.driver.user.as_secs_f64() * 1e6, ended as f64),
            busy,
            was_limit: busy > BUSY_LIMIT || late > ended as f64 * LATE_LIMIT,
        }
    }
}

impl ServerFigures {
    fn new(measured: Measured, ended: u64) -> Self {
        let cpu = measured.server.total().as_secs_f64();
        Self {
            cpu_seconds: cpu,
            cpu_us_per_request: per(cpu * 1e6, ended as f64),
            user_us_per_request: per(measured.server.user.as_secs_f64() * 1e6, ended as f64),
            cpus: per(cpu, measured.span.as_secs_f64()),
        }
    }
}

/// A quotient; 0 where there is nothing to divide by.
fn per(amount: f64, unit: f64) -> f64 {
    if unit > 0.0 { amount / unit } else { 0.0 }
}
