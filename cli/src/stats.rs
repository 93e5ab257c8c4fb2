//! `weir stats`: how is one node doing?

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;

use crate::admin::{Client, Place};
use crate::failure::Failure;
use crate::output;

/// Shows what one node answered, what it stores and how far it is in the purge log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir stats                                  the node at WEIR_ADMIN
  weir stats --admin http://127.0.0.1:9280    the shield of a local stack
  weir stats --json                           {\"node\": ..., \"stats\": ...}: GET /v1/nodes and /v1/stats

Environment: WEIR_ADMIN (admin address of the node), WEIR_ADMIN_TOKEN (its token).")]
pub(crate) struct Arguments {
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Deserialize)]
struct Node {
    name: String,
    tier: String,
    draining: bool,
    upstreams: Vec<Upstream>,
    purge: Purge,
}

#[derive(Debug, Deserialize)]
struct Upstream {
    address: String,
    state: String,
    since_secs: u64,
    failures: u32,
    outstanding: u32,
    waiting: usize,
    backup: bool,
}

#[derive(Debug, Deserialize)]
struct Purge {
    keeps_log: bool,
    applied: Option<u64>,
    fenced: bool,
}

#[derive(Debug, Deserialize)]
struct Stats {
    outcomes: BTreeMap<String, Outcome>,
    fills: Fills,
    store: Store,
    #[serde(default)]
    disk: Option<Disk>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    requests: u64,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Fills {
    active: u64,
    waiters: u64,
}

#[derive(Debug, Deserialize)]
struct Store {
    bytes: u64,
    bytes_max: u64,
    keys: u64,
    evictions: u64,
}

#[derive(Debug, Deserialize)]
struct Disk {
    open: bool,
    writes_off: bool,
    bytes: u64,
    bytes_max: u64,
    keys: u64,
    files: u64,
    evictions: u64,
    faults: u64,
}

/// Asks the node and prints what it says.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    runtime.block_on(show(arguments))
}

async fn show(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let client = Client::new(&arguments.place)?;
    let node = client.get("/v1/nodes", Duration::ZERO).await?;
    let stats = client.get("/v1/stats", Duration::ZERO).await?;
    let read = (client.read::<Node>(&node)?, client.read::<Stats>(&stats)?);
    output::out(&if arguments.json {
        format!("{{\"node\":{},\"stats\":{}}}\n", node.trim_end(), stats.trim_end())
    } else {
        text(&read.0, &read.1)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn on_disk(disk: &Disk) -> String {
    let Disk { bytes: used, bytes_max, keys, files, evictions, faults, .. } = *disk;
    let state = match (disk.open, disk.writes_off) {
        (false, _) => "; not open",
        (true, true) => "; the disk refuses to be written",
        (true, false) => "",
    };
    format!(
        "{} of {}, {keys} keys in {files} files, {evictions} evictions, {faults} faults{state}",
        bytes(used),
        bytes(bytes_max)
    )
}

fn text(node: &Node, stats: &Stats) -> String {
    let draining = if node.draining { ", draining" } else { "" };
    let mut text = format!("{} ({}{draining})\n", node.name, node.tier);
    text += &outcomes(stats);
    let Store { bytes: used, bytes_max, keys, evictions } = stats.store;
    text += &format!(
        "  store      {} of {}, {keys} keys, {evictions} evictions\n",
        bytes(used),
        bytes(bytes_max)
    );
    if let Some(disk) = &stats.disk {
        text += &format!("  disk       {}\n", on_disk(disk));
    }
    text += &format!(
        "  fills      {} active, {} requests waiting\n",
        stats.fills.active, stats.fills.waiters
    );
    text += &format!("  purge log  {}\n", position(&node.purge));
    for upstream in &node.upstreams {
        text += &format!("  upstream   {}\n", server(upstream));
    }
    text
}

fn server(upstream: &Upstream) -> String {
    let Upstream { address, state, since_secs, failures, outstanding, waiting, backup } = upstream;
    let mut text = format!("{address} {state}");
    if state != "up" {
        text += &format!(" for {since_secs} s, {failures} failures in a row");
    }
    if *backup {
        text += ", backup";
    }
    text + &format!(", {outstanding} requests in flight, {waiting} waiting")
}

fn outcomes(stats: &Stats) -> String {
    let total: u64 = stats.outcomes.values().map(|outcome| outcome.requests).sum();
    let line = |(name, outcome): (&String, &Outcome)| {
        let share = per_mille(outcome.requests, total);
        let (requests, bytes) = (outcome.requests, bytes(outcome.bytes));
        format!("  {name:<9}  {requests} requests, {}.{} %, {bytes}\n", share / 10, share % 10)
    };
    stats.outcomes.iter().map(line).collect()
}

fn per_mille(part: u64, total: u64) -> u64 {
    part.saturating_mul(1_000).checked_div(total).unwrap_or(0)
}

fn position(purge: &Purge) -> String {
    let applied = match purge.applied {
        Some(seq) => format!("applied up to seq {seq}"),
        None => "not joined yet".to_owned(),
    };
    match (purge.keeps_log, purge.fenced) {
        (true, _) => format!("{applied}, kept here"),
        (false, true) => format!("{applied}, fenced: cut off from the log"),
        (false, false) => applied,
    }
}

/// Bytes in the largest unit that leaves a number of at least 1, with one digit after the point.
fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, size)| count >= *size) {
        Some((unit, size)) => {
            format!("{}.{} {unit}", count / size, (count % size).saturating_mul(10) / size)
        }
        None => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_in_a_unit_that_people_can_read() {
        let cases = [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_536, "1.5 KiB"),
            (256 << 20, "256.0 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ];
        for (count, expected) in cases {
            assert_eq!(bytes(count), expected);
        }
    }
}
