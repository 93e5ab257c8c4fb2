//! What came of a replay, for programs?
//!
//! The names of keys are promises to scripts; ratios are numbers from 0 to 1, sizes are bytes, times milliseconds.

use serde_json::{Value, json};

use super::latency::Latency;
use super::of_study::{Asked, RULES};
use crate::replay::{
    Counted, OUTCOMES, Outcome, Space, Study, TierCounts, TierRun, Workload, ratio,
};

/// Everything about a study.
#[must_use]
pub fn replay_json(study: &Study, workload: &Workload, asked: &Asked<'_>) -> Value {
    let setup = &study.setup;
    let [edges, regionals, shields] = setup.nodes;
    let references: Vec<Value> = study
        .references
        .iter()
        .map(|other| json!({"name": other.name, "cold": ratios(&other.cold), "warm": ratios(&other.warm)}))
        .collect();
    let sweep: Vec<Value> = study
        .sweep
        .iter()
        .map(|point| json!({"bytes": point.total_bytes, "cold": ratios(&point.cold), "warm": ratios(&point.warm)}))
        .collect();
    let intervals: Vec<Value> = study
        .run
        .intervals
        .iter()
        .map(|interval| json!({"from_ms": interval.from_ms, "requests": interval.counted.client.requests, "ratios": ratios(&interval.counted)}))
        .collect();
    let latencies = asked.links.map(|links| links.latencies(&study.run));
    json!({
        "engine": study.engine,
        "engine_notes": study.engine_notes,
        "trace": trace(workload, asked),
        "setup": {
            "nodes": {"edge": edges, "regional": regionals, "shield": shields},
            "total_bytes": setup.total_bytes(),
            "policy": setup.policy.as_str(),
            "fill": setup.fill.as_str(),
            "ttl": asked.ttl,
            "sites": asked.sites,
            "fetch_ms": setup.fetch_ms,
            "overhead_bytes": setup.overhead,
            "bounds_bodies": setup.bounds_bodies,
            "warmup": setup.warmup,
            "seed": setup.seed,
        },
        "tiers": study.run.tiers.iter().enumerate().map(|(at, tier)| {
            tier_json(tier, study.run.cold.tiers.get(at), study.run.warm.tiers.get(at))
        }).collect::<Vec<_>>(),
        "cold": all(&study.run.cold),
        "warm": all(&study.run.warm),
        "references": references,
        "bound": study.bound.map(|bound| json!({
            "object_hit_ratio": bound.object_hit_ratio,
            "byte_hit_ratio": bound.byte_hit_ratio,
            "reached_object_hit_ratio": bound.reached_object_hit_ratio,
            "reached_byte_hit_ratio": bound.reached_byte_hit_ratio,
        })),
        "sweep": sweep,
        "latency_ms": latencies.map(|list| list.iter().map(latency).collect::<Vec<_>>()),
        "intervals": intervals,
        "warnings": study.warnings,
        "rules": RULES,
    })
}

fn trace(workload: &Workload, asked: &Asked<'_>) -> Value {
    let notes = &workload.notes;
    let lines: Vec<Value> = notes
        .bad_lines
        .first
        .iter()
        .map(|(line, problem)| json!({"line": line, "problem": problem.to_string()}))
        .collect();
    let (observed, hits) = notes.observed;
    json!({
        "name": asked.trace,
        "format": notes.format.map(crate::trace::Format::as_str),
        "requests": workload.len(),
        "objects": workload.objects(),
        "footprint_bytes": workload.footprint(),
        "span_ms": workload.span_ms(),
        "working_set_of_a_minute_bytes": workload.working_set_of_a_minute(),
        "cacheable": notes.cacheable,
        "passed": notes.passed,
        "purges": notes.purges,
        "bad_lines": notes.bad_lines.count,
        "first_bad_lines": lines,
        "without_site": notes.without_site,
        "refused_targets": notes.refused_targets,
        "out_of_order": notes.out_of_order,
        "unknown_lifetime": notes.unknown_lifetime,
        "unknown_size": notes.unknown_size,
        "observed_hit_ratio": (observed > 0).then(|| ratio(hits, observed)),
        "size_scale": notes.size_scale,
    })
}

fn ratios(counted: &Counted) -> Value {
    json!({
        "edge_object_hit_ratio": counted.edge_object_hit_ratio(),
        "edge_byte_hit_ratio": counted.edge_byte_hit_ratio(),
        "request_offload": counted.request_offload(),
        "byte_offload": counted.byte_offload(),
    })
}

fn all(counted: &Counted) -> Value {
    let (client, origin) = (&counted.client, &counted.origin);
    json!({
        "ratios": ratios(counted),
        "hops": counted.hops(),
        "client": {
            "requests": client.requests,
            "bytes": client.bytes,
            "cacheable": client.cacheable,
            "cacheable_bytes": client.cacheable_bytes,
        },
        "origin": {
            "requests": origin.requests,
            "bytes": origin.bytes,
            "validations": origin.validations,
            "passed": origin.passed,
            "passed_bytes": origin.passed_bytes,
        },
    })
}

fn tier_json(tier: &TierRun, cold: Option<&TierCounts>, warm: Option<&TierCounts>) -> Value {
    let room = match tier.space {
        Space::One { bytes } => json!({"bytes": bytes}),
        Space::Two { memory, memory_object_max, disk } => {
            json!({"memory": memory, "memory_object_max": memory_object_max, "disk": disk})
        }
    };
    json!({
        "tier": tier.name.as_str(),
        "nodes": tier.nodes,
        "room": room,
        "peak_bytes": tier.peak_bytes,
        "peak_permille": tier.peak_permille,
        "cold": cold.map(counts),
        "warm": warm.map(counts),
    })
}

fn counts(tier: &TierCounts) -> Value {
    let outcomes: serde_json::Map<String, Value> = OUTCOMES
        .into_iter()
        .map(|outcome| (outcome.as_str().to_owned(), json!(tier.of(outcome))))
        .collect();
    json!({
        "requests": tier.requests,
        "bytes": tier.bytes,
        "outcomes": outcomes,
        "object_hit_ratio": tier.object_hit_ratio(),
        "byte_hit_ratio": ratio(tier.stored_bytes, tier.bytes),
        "stored_bytes": tier.stored_bytes,
        "memory_hits": tier.memory_hits,
        "fills": tier.fills,
        "rejected": tier.rejected,
        "evicted": tier.evicted,
        "evicted_bytes": tier.evicted_bytes,
    })
}

fn latency(latency: &Latency) -> Value {
    let [p50, p95, p99, p999] = latency.percentiles;
    json!({
        "outcome": latency.outcome.map_or("all", Outcome::as_str),
        "requests": latency.requests,
        "mean": latency.mean,
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "p99.9": p999,
    })
}
