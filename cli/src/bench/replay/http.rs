//! Plays a log to real nodes: started in this process, asked over loopback, with bodies made up by size.
//!
//! ```text
//! log ──► edge ──► regional ──► shield ──► origin (in this process; it knows sizes and lifetimes)
//!          │ Cache-Status: one member a tier ──► tally ──► book ──► run
//! ```
//!
//! Cache time is that of the log: all nodes share a clock that is moved before each request. What reaches the origin and
//! what clients get is counted where it happens; what a tier between did, its member of `Cache-Status` says.

mod nodes;
mod origin;
mod player;
mod tally;

use std::time::{Duration, Instant};

use weir_bench::replay::{Engine, Fill, Played, Policy, Run, Setup, Workload};
use weir_bench::report::{bytes, count};

use self::player::Player;

/// The engine that asks real nodes.
#[derive(Debug)]
pub(super) struct Http {
    /// Requests in flight at most.
    concurrency: usize,
    /// What the last run says of itself.
    measured: Measured,
}

/// What only real nodes can tell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measured {
    /// Bytes that a stored response took beside its body in memory, on average; `None` where it could not be told.
    pub(super) overhead: Option<u64>,
    /// Real time of the play, without the start of the nodes.
    pub(super) took: Duration,
    /// Purges that the nodes did not confirm within their time.
    pub(super) purges_late: u64,
    /// Requests that joined another one's way upstream, on any tier.
    pub(super) collapsed: u64,
}

/// What this engine cannot do; `None` if it can do all that is asked.
pub(super) fn problem(setup: &Setup) -> Option<&'static str> {
    if setup.fill != Fill::Everywhere {
        return Some("--fill: nodes store everywhere; other fills are tried by --engine sim only");
    }
    if !matches!(setup.policy, Policy::Goal(_)) {
        return Some(
            "--goal: nodes know balanced, objects and bytes; the others are for --engine sim only",
        );
    }
    if setup.fetch_ms > 0 {
        return Some(
            "--fetch-ms: fetches of nodes take the time that they take; it is for --engine sim only",
        );
    }
    if setup.overhead > 0 {
        return Some(
            "--overhead: nodes charge what they charge, which is measured; it is for --engine sim only",
        );
    }
    None
}

impl Http {
    /// An engine that has up to `concurrency` requests in flight.
    pub(super) fn new(concurrency: usize) -> Self {
        Self { concurrency, measured: Measured::default() }
    }

    /// What came of a run, and the setup that says what nodes charge beside bodies.
    pub(super) fn played(&self, run: Run, setup: &Setup) -> (Played, Setup) {
        let Measured { overhead, took, purges_late, collapsed } = self.measured;
        let nodes: u32 = run.tiers.iter().map(|tier| tier.nodes).sum();
        let requests = run.cold.client.requests;
        let mut notes = vec![format!(
            "Played to {nodes} real nodes over loopback in {:.1} s ({} requests a second), {} in flight.",
            took.as_secs_f64(),
            count(per_second(requests, took)),
            self.concurrency,
        )];
        notes.push(match overhead {
            Some(overhead) => format!(
                "Room is what a node charges in memory: bodies, heads and bookkeeping; {} a response beside its body on average, \
                 measured before anything had to go. The simulations beside it charge the same.",
                bytes(overhead)
            ),
            None => "Room is what a node charges in memory: bodies, heads and bookkeeping. What it charges beside bodies could \
                     not be measured, so the simulations beside it charge nothing for it."
                .to_owned(),
        });
        notes.push(
            "Evictions and the fullest node are read off the nodes a hundred times a run; which of the hits were in memory is not \
             told where there is a disk. Validations in the background count at the origin and not on the tiers between."
                .to_owned(),
        );
        if purges_late > 0 {
            notes.push(format!(
                "{} purges were not confirmed by all nodes in time.",
                count(purges_late)
            ));
        }
        if collapsed > 0 {
            notes.push(format!(
                "{} requests joined another one on its way upstream.",
                count(collapsed)
            ));
        }
        let setup = Setup { overhead: overhead.unwrap_or(0), ..setup.clone() };
        (Played { engine: "http", run, notes }, setup)
    }
}

fn per_second(requests: u64, took: Duration) -> u64 {
    let micros = took.as_micros().max(1);
    u64::try_from(u128::from(requests) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

impl Engine for Http {
    type Error = anyhow::Error;

    fn run(
        &mut self,
        workload: &Workload,
        setup: &Setup,
        watch: &mut dyn FnMut(usize),
    ) -> anyhow::Result<Run> {
        weir_node::descriptors::ask_for_all();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (run, measured) = runtime.block_on(async {
            let mut player = Player::start(workload, setup).await?;
            let began = Instant::now();
            let played = player.play(workload, setup, (self.concurrency, watch)).await;
            let took = began.elapsed();
            // Nodes end also after a failure, so that nothing of them is left.
            let measured = Measured { took, ..player.measured() };
            let (counted, tiers) = player.shutdown().await;
            anyhow::Ok((played?.close(counted, tiers), measured))
        })?;
        self.measured = measured;
        Ok(run)
    }
}
