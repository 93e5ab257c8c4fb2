//! How much CPU time does the driver itself take? It and nothing else in a process, for comparing it with other drivers.
//!
//! `load URL CONNECTIONS THREADS SECONDS [RATE]` prints one line of JSON; users have `weir bench load`.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use weir_bench::load::{Arrivals, Asked, Asking, Pace, Plan, Until, Watch, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, connections, threads, seconds, rate @ ..] = arguments.as_slice() else {
        return Err("expected URL CONNECTIONS THREADS SECONDS [RATE]".into());
    };
    let pace = match rate.first() {
        Some(rate) => Pace::Open { rate: rate.parse()?, arrivals: Arrivals::Constant },
        None => Pace::Closed { expected_interval: None },
    };
    let threads = threads.parse()?;
    let plan = Plan {
        asking: Asking::new(&Asked { urls: vec![url.clone()], ..Asked::default() })?,
        connect: None,
        pace,
        until: Until::Elapsed(Duration::from_secs(seconds.parse()?)),
        warmup: Duration::ZERO,
        connections: connections.parse()?,
        threads,
        timeout: Duration::from_secs(10),
        seed: 1,
        pids: Vec::new(),
    };
    let figures = run(plan, Arc::new(Watch::new(threads))).await?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&figures)?)?;
    Ok(())
}
