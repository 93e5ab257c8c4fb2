//! Does the driver ask what it was told to, as often, and tell the truth about what came back? Over real sockets.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod hostile;
mod paces;
mod server;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use weir_bench::load::{Asked, Asking, Figures, LoadError, Pace, Plan, Until, Watch, run};

/// No test waits longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A closed loop of one connection with `requests` requests for `url`.
fn plan(url: &str, requests: u64) -> Plan {
    Plan {
        asking: asking(Asked { urls: vec![url.to_owned()], ..Asked::default() }),
        connect: None,
        pace: Pace::Closed { expected_interval: None },
        until: Until::Requests(requests),
        warmup: Duration::ZERO,
        connections: 1,
        threads: 1,
        timeout: Duration::from_secs(20),
        seed: 1,
        pids: Vec::new(),
    }
}

fn asking(asked: Asked) -> Asking {
    Asking::new(&asked).unwrap()
}

async fn try_run(plan: Plan) -> Result<Figures, LoadError> {
    let watch = Arc::new(Watch::new(plan.threads));
    tokio::time::timeout(DEADLINE, run(plan, watch)).await.expect("the run ends in time")
}

async fn figures(plan: Plan) -> Figures {
    try_run(plan).await.unwrap()
}
