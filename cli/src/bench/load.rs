//! `weir bench load`: how fast does a server answer, and how late?
//!
//! Exit codes: 0 done, 1 failed (nothing was answered, or --expect-status or --max-errors is not met), 2 wrong use.

mod asked;
mod expected;
mod shown;

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use weir_bench::load::{
    Arrivals, Figures, LoadError, Pace, PercentileForm, Plan, Until, Watch, run as run_load,
};
use weir_node::config::parse_duration;

use self::asked::AskedArguments;
use self::expected::{ErrorsMax, Statuses, unexpected};
use crate::failure::{Failure, usage};
use crate::output;
use crate::progress::{Progress, bar};

/// How often the progress line is redrawn.
const REDRAWN_EVERY: Duration = Duration::from_millis(200);

/// Asks a server as fast as it answers, or as often as wanted, and shows what came of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir bench load http://127.0.0.1:8080/hello                       closed loop, 16 connections, 10 s
  weir bench load http://127.0.0.1:8080/hello --rate 5000           open loop: 5,000 a second, whatever comes back
  weir bench load http://127.0.0.1:8080/hello --rate 5000 --arrivals poisson --warmup 2s
  weir bench load 'http://127.0.0.1:8080/k{n}?size=1000' --keys 100000 --zipf 0.9 --miss 5%
  weir bench load http://www.example.com/ --connect 127.0.0.1:8080 --requests 100000 --expect-status 2xx
  weir bench load --urls urls.txt --json --histogram latencies.hgrm
  weir bench load http://127.0.0.1:8080/hello --pid $(pidof weir-edge)    what the server pays for a request

Closed loop (without --rate): each connection sends its next request when it has its answer. A server that stalls is
asked less meanwhile, so latencies hide most of a stall. Open loop (--rate): requests are due at their times, and
latencies count from then, waits for a free connection included. Believe latencies of the open loop.

{n} in a URL stands for a key, {miss} for text never asked before; a miss without such a place gets a query parameter.
Plain HTTP/1.1 only. For TLS and HTTP/2 there is h2load. More in docs/load.md.

Exit codes: 0 done, 1 failed (nothing was answered, --expect-status or --max-errors not met), 2 wrong use.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    asked: AskedArguments,
    /// Where to ask in place of the hosts of the URLs.
    #[arg(long, value_name = "ADDR:PORT")]
    connect: Option<String>,
    /// Connections; each has one request in flight at most.
    #[arg(short, long, value_name = "N", default_value_t = 16)]
    connections: usize,
    /// Threads of the driver.
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Requests a second (open loop); without it, as many as are answered (closed loop).
    #[arg(short, long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// How the arrivals of the open loop are spread.
    #[arg(long, value_enum, default_value_t = Spread::Constant, requires = "rate")]
    arrivals: Spread,
    /// How often a client of the closed loop would have asked: fills in the latencies of requests that were not sent.
    #[arg(long, value_name = "TIME", conflicts_with = "rate", value_parser = parse_duration)]
    expected_interval: Option<Duration>,
    /// How long to ask.
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// How many requests to send, in place of --duration.
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "duration")]
    requests: Option<u64>,
    /// How long to ask before anything counts.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    warmup: Duration,
    /// How long one answer may take.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// What keys, misses and arrivals are drawn from: they repeat with it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A process of the server, whose CPU time is shown per request; may be repeated.
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
    /// Fail unless every answer has one of these statuses, such as 200,206 or 2xx.
    #[arg(long, value_name = "STATUS")]
    expect_status: Option<Statuses>,
    /// Fail if more requests than this have no whole answer: a count, or a share such as 0.1%.
    #[arg(long, value_name = "N")]
    max_errors: Option<ErrorsMax>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
    /// Write the distribution of latencies there: CSV if the name ends in .csv, else the text of HdrHistogram.
    #[arg(long, value_name = "FILE")]
    histogram: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Spread {
    /// At equal distances.
    Constant,
    /// As those of clients who know nothing of each other.
    Poisson,
}

/// Asks, and prints what came of it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let plan = plan(arguments)?;
    weir_node::descriptors::ask_for_all();
    // Before the run, so that none is in vain.
    let file = arguments.histogram.as_ref().map(|path| {
        File::create(path).with_context(|| format!("{} cannot be written", path.display()))
    });
    let file = file.transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    let figures = runtime.block_on(watched(plan.clone()))?;
    if let Some(mut file) = file {
        let text = figures.percentiles(form(arguments));
        file.write_all(text.as_bytes()).context("the distribution cannot be written")?;
    }
    let wrong = arguments.expect_status.as_ref().map(|expected| unexpected(&figures, expected));
    output::out(&if arguments.json {
        shown::json(&figures, wrong)?
    } else {
        shown::table(&plan, &figures)
    })?;
    judge(arguments, &figures, wrong.unwrap_or(0))
}

fn plan(arguments: &Arguments) -> Result<Plan, Failure> {
    let pace = match arguments.rate {
        None => Pace::Closed { expected_interval: arguments.expected_interval },
        Some(rate) => Pace::Open {
            rate,
            arrivals: match arguments.arrivals {
                Spread::Constant => Arrivals::Constant,
                Spread::Poisson => Arrivals::Poisson,
            },
        },
    };
    let plan = Plan {
        asking: arguments.asked.read()?,
        connect: arguments.connect.clone(),
        pace,
        until: arguments.requests.map_or(Until::Elapsed(arguments.duration), Until::Requests),
        warmup: arguments.warmup,
        connections: arguments.connections,
        threads: arguments.threads,
        timeout: arguments.timeout,
        seed: arguments.seed,
        pids: arguments.pids.clone(),
    };
    plan.check().map_err(usage)?;
    Ok(plan)
}

fn form(arguments: &Arguments) -> PercentileForm {
    let ending = arguments.histogram.as_ref().and_then(|path| path.extension());
    match ending.is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
        true => PercentileForm::Csv,
        false => PercentileForm::Text,
    }
}

/// Runs with a progress line; the first Ctrl-C ends the run and keeps its figures, the second gives it up.
async fn watched(plan: Plan) -> Result<Figures, Failure> {
    let progress = Progress::on_terminal();
    let watch = Arc::new(Watch::new(plan.threads));
    let (until, warmup) = (plan.until, plan.warmup);
    let began = Instant::now();
    let mut running = pin!(run_load(plan, Arc::clone(&watch)));
    let mut ticks = tokio::time::interval(REDRAWN_EVERY);
    loop {
        tokio::select! {
            figures = &mut running => {
                progress.clear();
                return figures.map_err(failure);
            }
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("signals cannot be waited for")?;
                if watch.is_stopped() {
                    return Err(anyhow!("given up").into());
                }
                watch.stop();
            }
            _ = ticks.tick(), if progress.is_watched() => {
                progress.show(&line(until, warmup, began.elapsed(), watch.done()));
            }
        }
    }
}

fn line(until: Until, warmup: Duration, elapsed: Duration, done: u64) -> String {
    let Some(counting) = elapsed.checked_sub(warmup) else {
        return format!("warming up, {done} requests");
    };
    let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    match until {
        Until::Requests(requests) => format!("{} requests", bar(whole(done), whole(requests))),
        Until::Elapsed(span) => {
            let (now, end) = (counting.min(span).as_secs(), span.as_secs());
            format!("{} s, {done} requests", bar(whole(now), whole(end)))
        }
    }
}

fn failure(error: LoadError) -> Failure {
    match error {
        LoadError::Plan(_) | LoadError::Resolve { .. } => Failure::Usage(error.into()),
        LoadError::Processes(_)
        | LoadError::Thread(_)
        | LoadError::Histogram(_)
        | LoadError::Stopped => Failure::Failed(error.into()),
    }
}

/// Whether the run met what was expected of it.
fn judge(arguments: &Arguments, figures: &Figures, wrong: u64) -> Result<ExitCode, Failure> {
    if figures.requests == 0 {
        let example = figures.error_examples.values().next().map(|text| format!(": {text}"));
        return Err(anyhow!("nothing was answered{}", example.unwrap_or_default()).into());
    }
    if wrong > 0 {
        return Err(anyhow!("{wrong} answers have a status that is not expected").into());
    }
    if let Some(max) = arguments.max_errors
        && !max.allows(figures)
    {
        return Err(anyhow!("{} requests have no whole answer", figures.errors).into());
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_what_there_is_to_wait_for() {
        let second = Duration::from_secs(1);
        let warm = line(Until::Requests(9), second, Duration::ZERO, 4);
        assert_eq!(warm, "warming up, 4 requests");
        let requests = line(Until::Requests(9), Duration::ZERO, second, 4);
        assert!(requests.ends_with("] 4/9 requests"), "{requests}");
        let elapsed = line(Until::Elapsed(second * 10), second, second * 4, 4);
        assert!(elapsed.ends_with("] 3/10 s, 4 requests"), "{elapsed}");
    }
}
