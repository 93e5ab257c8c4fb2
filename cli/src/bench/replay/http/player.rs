//! Sends the requests of a log to the edges, in order, and counts what comes back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::task::JoinSet;
use weir_bench::replay::{
    Book, Counted, Outcome, Setup, Space, Step, TierCounts, TierName, TierRun, Wanted, Workload,
};
use weir_node::ManualClock;

use super::Measured;
use super::nodes::{Nodes, Tier};
use super::origin::{Origin, byte_of};
use super::tally::{self, Told};

/// The host that all requests are for.
const HOST: &str = "replay.invalid";
/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How often in a run nodes are asked what they hold.
const LOOKS: usize = 100;
/// How long stale responses are waited for that are validated in the background.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// Plays a log.
pub(super) struct Player {
    nodes: Nodes,
    tiers: Vec<TierName>,
    edges: Vec<String>,
    origin: Arc<Origin>,
    clock: Arc<ManualClock>,
    http: reqwest::Client,
    counted: Counted,
    peaks: Vec<Peak>,
    measured: Measured,
}

/// What a tier held at most, and what it held before anything had to go.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    bytes: [u64; 2],
    permille: [u64; 2],
    /// Bodies that were stored so far.
    filled_bytes: u64,
    fills: u64,
    /// Responses, and bytes charged for them beside bodies.
    charged: Option<(u64, u64)>,
}

/// An answer, read to its end.
struct Answered {
    wanted: Wanted,
    told: Vec<Told>,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Stats {
    fills: Fills,
    store: Held,
    #[serde(default)]
    disk: Option<Held>,
}

#[derive(Debug, Deserialize)]
struct Fills {
    active: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Held {
    bytes: u64,
    bytes_max: u64,
    keys: u64,
    evictions: u64,
}

impl Player {
    /// Starts an origin and nodes for it.
    pub(super) async fn start(workload: &Workload, setup: &Setup) -> anyhow::Result<Self> {
        let clock = Arc::new(ManualClock::new());
        let origin = Arc::new(Origin::new(workload, Arc::clone(&clock)));
        let address = Arc::clone(&origin).serve().await?;
        let nodes = Nodes::start(setup, address, &clock).await?;
        let edges = nodes.tiers.first().map(|tier| tier.nodes.as_slice()).unwrap_or_default();
        let edges = edges.iter().map(weir_node::RunningNode::data_url).collect();
        let tiers: Vec<_> = nodes.tiers.iter().map(|tier| tier.name).collect();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_WITHIN)
            .build()?;
        let counted =
            Counted { tiers: vec![TierCounts::default(); tiers.len()], ..Counted::default() };
        let peaks = vec![Peak::default(); tiers.len()];
        let measured = Measured::default();
        Ok(Self { nodes, tiers, edges, origin, clock, http, counted, peaks, measured })
    }

    /// Plays all of `workload` with so many requests in flight.
    pub(super) async fn play(
        &mut self,
        workload: &Workload,
        setup: &Setup,
        (concurrency, watch): (usize, &mut dyn FnMut(usize)),
    ) -> anyhow::Result<Book> {
        let mut book = Book::new(workload, setup);
        let mut in_flight = JoinSet::new();
        let every = (workload.len() / LOOKS).max(1);
        let mut now_ms = 0;
        for (at, step) in workload.steps(setup).enumerate() {
            while in_flight.len() >= concurrency.max(1) {
                self.take_next(&mut in_flight, &mut book).await?;
            }
            watch(at);
            // At first often, to learn what is charged before anything has to go.
            if at.is_multiple_of(every) || at.is_power_of_two() {
                self.look().await?;
            }
            self.counted.origin = self.origin.counted();
            book.turn_to(at, step.at_ms, &self.counted);
            self.clock.advance(Duration::from_millis(step.at_ms.saturating_sub(now_ms)));
            now_ms = now_ms.max(step.at_ms);
            self.begin(&step, (&mut in_flight, &mut book)).await?;
        }
        while !in_flight.is_empty() {
            self.take_next(&mut in_flight, &mut book).await?;
        }
        self.look().await?;
        self.counted.origin = self.origin.counted();
        watch(workload.len());
        Ok(book)
    }

    async fn begin(
        &mut self,
        step: &Step,
        (in_flight, book): (&mut JoinSet<anyhow::Result<Answered>>, &mut Book),
    ) -> anyhow::Result<()> {
        let path = match step.wanted {
            Wanted::Purge { object } => {
                while !in_flight.is_empty() {
                    self.take_next(in_flight, book).await?;
                }
                return self.purge(object).await;
            }
            Wanted::Object { object, class, .. } => {
                self.origin.set_class(object, class);
                format!("/o/{object}")
            }
            Wanted::Pass { bytes } => format!("/p/{bytes}"),
        };
        let edge = self.edges.get(step.edge).context("the setup has no such edge")?;
        let request = self.http.get(format!("{edge}{path}")).header("host", HOST);
        let (tiers, wanted) = (self.tiers.clone(), step.wanted);
        in_flight.spawn(async move { answered(request, &tiers, wanted).await });
        Ok(())
    }

    async fn take_next(
        &mut self,
        in_flight: &mut JoinSet<anyhow::Result<Answered>>,
        book: &mut Book,
    ) -> anyhow::Result<()> {
        let Some(next) = in_flight.join_next().await else { return Ok(()) };
        let Answered { wanted, told, bytes } = next??;
        let passes = matches!(wanted, Wanted::Pass { .. });
        tally::count(&mut self.counted, &told, bytes, passes);
        for (tier, counts) in self.nodes.tiers.iter().zip(&mut self.counted.tiers) {
            if matches!(tier.space, Space::One { .. }) {
                counts.memory_hits = counts.hits();
            }
        }
        for (peak, told) in self.peaks.iter_mut().zip(&told) {
            if told.stored {
                peak.fills += 1;
                peak.filled_bytes += bytes;
            }
            self.measured.collapsed += u64::from(told.outcome == Outcome::Collapsed);
        }
        let Some(first) = told.first() else { return Ok(()) };
        book.note(first.outcome, tally::depth(&told));
        if told.iter().any(|told| told.outcome == Outcome::HitStale) {
            self.settle().await?;
        }
        Ok(())
    }

    /// Waits until no node fetches anything: what is validated in the background would else come after the next request.
    async fn settle(&self) -> anyhow::Result<()> {
        let settled = async {
            for node in self.nodes.tiers.iter().flat_map(|tier| &tier.nodes) {
                while self.stats(&node.admin_url()).await?.fills.active > 0 {
                    tokio::task::yield_now().await;
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(SETTLES_WITHIN, settled).await.context("a fetch does not end")?
    }

    /// Removes an object everywhere, by way of the purge log.
    async fn purge(&mut self, object: u32) -> anyhow::Result<()> {
        let url = format!("{}/v1/purges?wait=10s", self.nodes.log_url);
        let wish = serde_json::json!({"urls": [format!("http://{HOST}/o/{object}")]});
        let asked = self.http.post(url).bearer_auth(&self.nodes.token).json(&wish);
        let answer = asked.send().await.context("the purge log does not answer")?;
        if !answer.status().is_success() {
            bail!("a purge was answered {}: {}", answer.status(), answer.text().await?);
        }
        self.measured.purges_late += u64::from(answer.status() != reqwest::StatusCode::OK);
        Ok(())
    }

    async fn stats(&self, admin_url: &str) -> anyhow::Result<Stats> {
        let url = format!("{admin_url}/v1/stats");
        let answer = self.http.get(url).bearer_auth(&self.nodes.token).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Notes what nodes hold.
    async fn look(&mut self) -> anyhow::Result<()> {
        let mut peaks = Vec::with_capacity(self.peaks.len());
        for (tier, peak) in self.nodes.tiers.iter().zip(&self.peaks) {
            let mut held = Vec::new();
            for node in &tier.nodes {
                held.push(self.stats(&node.admin_url()).await?);
            }
            peaks.push((peak.raised(tier, &held), evictions(&held)));
        }
        for ((_, evicted), counts) in peaks.iter().zip(&mut self.counted.tiers) {
            counts.evicted = counts.evicted.max(*evicted);
        }
        self.peaks = peaks.into_iter().map(|(peak, _)| peak).collect();
        Ok(())
    }

    /// What only real nodes can tell.
    pub(super) fn measured(&self) -> Measured {
        let charged = || self.peaks.iter().filter_map(|peak| peak.charged);
        let keys: u64 = charged().map(|(keys, _)| keys).sum();
        let beside: u64 = charged().map(|(_, beside)| beside).sum();
        Measured { overhead: beside.checked_div(keys), ..self.measured }
    }

    /// Ends the nodes; what was counted, and what the tiers were and held at most.
    pub(super) async fn shutdown(self) -> (Counted, Vec<TierRun>) {
        let run = |(tier, peak): (&Tier, &Peak)| TierRun {
            name: tier.name,
            nodes: u32::try_from(tier.nodes.len()).unwrap_or(u32::MAX),
            space: tier.space,
            peak_bytes: peak.bytes,
            peak_permille: peak.permille,
        };
        let tiers = self.nodes.tiers.iter().zip(&self.peaks).map(run).collect();
        self.nodes.shutdown().await;
        (self.counted, tiers)
    }
}

fn evictions(held: &[Stats]) -> u64 {
    let of = |stats: &Stats| stats.disk.unwrap_or(stats.store).evictions;
    held.iter().map(of).sum()
}

impl Peak {
    /// This, after a look at the nodes of its tier.
    fn raised(mut self, tier: &Tier, held: &[Stats]) -> Self {
        let rooms = |stats: &Stats| [Some(stats.store), stats.disk];
        let mut sums = [0_u64; 2];
        for stats in held {
            for ((sum, most), room) in sums.iter_mut().zip(&mut self.permille).zip(rooms(stats)) {
                let Some(room) = room else { continue };
                *sum = sum.saturating_add(room.bytes);
                let permille = u128::from(room.bytes) * 1_000 / u128::from(room.bytes_max.max(1));
                *most = (*most).max(u64::try_from(permille).unwrap_or(u64::MAX));
            }
        }
        for (most, sum) in self.bytes.iter_mut().zip(sums) {
            *most = (*most).max(sum);
        }
        let keys: u64 = held.iter().map(|stats| stats.store.keys).sum();
        // With a disk, memory holds small bodies alone.
        let all_held = matches!(tier.space, Space::One { .. }) && keys == self.fills && keys > 0;
        if all_held && evictions(held) == 0 {
            let [in_memory, _] = sums;
            self.charged = Some((keys, in_memory.saturating_sub(self.filled_bytes)));
        }
        self
    }
}

/// Sends a request and reads its answer, which must be the body that the origin made.
async fn answered(
    request: reqwest::RequestBuilder,
    tiers: &[TierName],
    wanted: Wanted,
) -> anyhow::Result<Answered> {
    let answer = request.send().await.context("an edge does not answer")?;
    if answer.status() != reqwest::StatusCode::OK {
        bail!("an edge answered {} for {}", answer.status(), answer.url());
    }
    let (passes, number, expected) = match wanted {
        Wanted::Object { object, bytes, .. } => (false, Some(object), bytes),
        Wanted::Pass { bytes } => (true, None, bytes),
        Wanted::Purge { object } => (true, Some(object), 0),
    };
    let value = answer.headers().get("cache-status").and_then(|value| value.to_str().ok());
    let mut told = tally::told(value.unwrap_or_default(), tiers, passes);
    // Of the edge it is known even in the second in which it becomes stale.
    let is_stale = answer.headers().get("x-cache").is_some_and(|value| value == "STALE");
    if let Some(edge) = told.first_mut().filter(|_| is_stale) {
        edge.outcome = Outcome::HitStale;
        told.truncate(1);
    }
    if told.is_empty() {
        bail!("an edge does not say what it did: Cache-Status is {value:?}");
    }
    let body = answer.bytes().await.context("a body breaks off")?;
    let bytes = body.len() as u64;
    let starts_right = number.is_none_or(|number| {
        body.iter().take(5).enumerate().all(|(at, byte)| *byte == byte_of(number, at))
    });
    if bytes != expected || !starts_right {
        bail!("an edge sent {bytes} bytes that are not the {expected} of the origin");
    }
    Ok(Answered { wanted, told, bytes })
}
