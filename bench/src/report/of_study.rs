//! What does a replay say to whoever wants to buy memory?

use super::latency::Links;
use super::units::{bytes, count, percent, time};
use super::{Axis, Chart, Report, Series, Table};
use crate::replay::{
    Compared, Counted, OUTCOMES, Outcome, Space, Study, TierCounts, TierRun, Workload, ratio,
};

/// What was asked for, beside what the study knows.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The log, as the user calls it.
    pub trace: &'a str,
    /// Where lifetimes come from, as the user says it.
    pub ttl: &'a str,
    /// Where rules come from; `None` for those of a node by default.
    pub sites: Option<&'a str>,
    /// Round trips.
    pub links: Option<&'a Links>,
}

/// How requests are counted. The same words stand in every report, because other tools count otherwise.
pub(super) const RULES: [&str; 8] = [
    "Cacheable is GET or HEAD with status 200, 206 or 304 under a key of the site's rules. All else passes, as does what rules send past the store and what must not be stored; what passes is left out of every ratio.",
    "An object weighs its largest body with status 200 (of any status where there is none), and so does each request for it: a HEAD or a 304 counts as if the whole body were asked for.",
    "A hit is an answer without asking anybody, fresh or stale while it is validated. A validation that finds nothing changed and a request that joins a fetch are no hits; the bytes of the former do come from the store.",
    "Offload is 1 - origin / clients, of requests and of bytes; validations count as requests to the origin, background ones included.",
    "Ages count from the origin on every tier. A log does not say when something changed: what is validated is taken to be unchanged.",
    "Cold is from the first request with empty caches; warm is after the warm-up alone.",
    "Not played: client's Cache-Control, Vary, errors that are stored, access rules, purges by anything but the method PURGE, and unsafe methods that invalidate.",
    "Room is that of bodies alone unless an overhead for each object is given; a node needs some more for heads and its index.",
];

/// The report of a study.
#[must_use]
pub fn replay_report(study: &Study, workload: &Workload, asked: &Asked<'_>) -> Report {
    let mut tables = vec![summary(study), tiers(study)];
    tables.push(outcomes(study));
    tables.push(flows(study));
    if !study.sweep.is_empty() {
        tables.push(sweep_table(study, workload));
    }
    if let Some(links) = asked.links {
        tables.push(latency_table(study, links));
    }
    let mut charts = vec![over_time(study)];
    charts.extend(over_size(study));
    Report {
        title: format!(
            "{}: {} requests in {}, {} objects, {} to hold each once",
            asked.trace,
            count(workload.len() as u64),
            time(workload.span_ms()),
            count(workload.objects() as u64),
            bytes(workload.footprint()),
        ),
        answer: answer(study, workload),
        warnings: study.warnings.clone(),
        tables,
        charts,
        notes: notes(study, workload, asked),
    }
}

fn answer(study: &Study, workload: &Workload) -> Vec<String> {
    let warm = &study.run.warm;
    let total = study.setup.total_bytes();
    let mut answer = vec![format!(
        "{} on all nodes ({} of the log) keep {} of requests and {} of bytes from the origin; {} of requests are answered \
         by the first node.",
        bytes(total),
        percent(ratio(total, workload.footprint())),
        percent(warm.request_offload()),
        percent(warm.byte_offload()),
        percent(warm.edge_object_hit_ratio()),
    )];
    if let Some(infinite) = study.references.iter().find(|other| other.name == "infinite") {
        answer.push(format!(
            "However much they hold, it is never more than {} of requests and {} of bytes: the rest is asked for the first \
             time, expired or must not be stored.",
            percent(infinite.warm.request_offload()),
            percent(infinite.warm.byte_offload()),
        ));
    }
    answer.extend(knee(study));
    answer.extend(study.engine_notes.first().cloned());
    answer
}

/// Where more room stops paying, by the sweep.
fn knee(study: &Study) -> Option<String> {
    let last = study.sweep.last()?;
    let best = last.warm.request_offload();
    let enough = study.sweep.iter().find(|point| point.warm.request_offload() >= best * 0.95)?;
    Some(format!(
        "{} keep 95 % of the requests from the origin that {} keep.",
        bytes(enough.total_bytes),
        bytes(last.total_bytes)
    ))
}

fn texts<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn pair(counted: &Counted) -> [String; 2] {
    [percent(counted.request_offload()), percent(counted.byte_offload())]
}

fn summary(study: &Study) -> Table {
    let (cold, warm) = (&study.run.cold, &study.run.warm);
    let edge = |counted: &Counted| {
        [percent(counted.edge_object_hit_ratio()), percent(counted.edge_byte_hit_ratio())]
    };
    let row = |name: &str, warm: [String; 2], cold: [String; 2]| {
        std::iter::once(name.to_owned()).chain(warm).chain(cold).collect::<Vec<_>>()
    };
    let mut rows = vec![
        row("kept from the origin", pair(warm), pair(cold)),
        row("answered by the edges", edge(warm), edge(cold)),
    ];
    for Compared { name, cold, warm } in &study.references {
        let name = match *name {
            "infinite" => "one cache that holds everything".to_owned(),
            "simulated" => "these nodes, simulated".to_owned(),
            other => format!("one {other} cache of the same bytes"),
        };
        rows.push(row(&name, pair(warm), pair(cold)));
    }
    if let Some(bound) = study.bound {
        let none = || texts(["", ""]);
        let cells = |objects, bytes| [percent(objects), percent(bytes)];
        for (name, cells) in [
            (
                "reached if the future were known and nothing expired",
                cells(bound.reached_object_hit_ratio, bound.reached_byte_hit_ratio),
            ),
            (
                "exceeded by no cache then (PFOO-U)",
                cells(bound.object_hit_ratio, bound.byte_hit_ratio),
            ),
        ] {
            rows.push([vec![name.to_owned()], none(), cells.to_vec()].concat());
        }
    }
    let head = texts(["offload", "requests", "bytes", "cold: requests", "bytes"]);
    Table { title: "How much does not reach the origin".to_owned(), head, rows }
}

fn room(space: Space) -> String {
    match space {
        Space::One { bytes: room } => bytes(room),
        Space::Two { memory, disk, .. } => format!("{} over {}", bytes(memory), bytes(disk)),
    }
}

fn tiers(study: &Study) -> Table {
    let row = |(tier, warm): (&TierRun, &TierCounts)| {
        vec![
            format!("{} x{}", tier.name.as_str(), tier.nodes),
            room(tier.space),
            count(warm.requests),
            percent(warm.object_hit_ratio()),
            percent(ratio(warm.stored_bytes, warm.bytes)),
            percent(ratio(warm.memory_hits, warm.hits())),
            count(warm.rejected),
            count(warm.evicted),
            bytes(warm.evicted_bytes),
            peak(tier),
        ]
    };
    let pairs = study.run.tiers.iter().zip(&study.run.warm.tiers);
    Table {
        title: "Tiers after the warm-up".to_owned(),
        head: texts([
            "tier",
            "room of a node",
            "requests",
            "hits",
            "bytes hit",
            "hits in memory",
            "rejected",
            "evicted",
            "evicted bytes",
            "fullest node",
        ]),
        rows: pairs.map(row).collect(),
    }
}

fn peak(tier: &TierRun) -> String {
    let of = |permille: u64| percent(permille as f64 / 1_000.0);
    let [upper, disk] = tier.peak_permille;
    match tier.space {
        Space::One { .. } => of(upper),
        Space::Two { .. } => format!("{}, {}", of(upper), of(disk)),
    }
}

fn outcomes(study: &Study) -> Table {
    let names = study.run.tiers.iter().map(|tier| tier.name.as_str().to_owned());
    let row = |outcome: Outcome| {
        let counts = study.run.warm.tiers.iter().map(|tier| count(tier.of(outcome)));
        std::iter::once(outcome.as_str().to_owned()).chain(counts).collect()
    };
    Table {
        title: "What became of requests, by tier, after the warm-up".to_owned(),
        head: std::iter::once("outcome".to_owned()).chain(names).collect(),
        rows: OUTCOMES.into_iter().map(row).collect(),
    }
}

fn flows(study: &Study) -> Table {
    let warm = &study.run.warm;
    let mut rows = Vec::new();
    let mut below = "clients";
    for (tier, counts) in study.run.tiers.iter().zip(&warm.tiers) {
        let name = format!("{} to {below}", tier.name.as_str());
        rows.push(vec![name, count(counts.requests), bytes(counts.bytes)]);
        below = tier.name.as_str();
    }
    let origin = &warm.origin;
    rows.push(vec![format!("origin to {below}"), count(origin.requests), bytes(origin.bytes)]);
    let validations =
        vec!["  of these validations".to_owned(), count(origin.validations), "0 B".to_owned()];
    rows.push(validations);
    rows.push(vec![
        "hops of a request, on average".to_owned(),
        format!("{:.2}", warm.hops()),
        String::new(),
    ]);
    Table {
        title: "What flows between the tiers after the warm-up".to_owned(),
        head: texts(["link", "requests", "bytes"]),
        rows,
    }
}

fn sweep_table(study: &Study, workload: &Workload) -> Table {
    let rows = study.sweep.iter().map(|point| {
        let mut row = vec![
            bytes(point.total_bytes),
            percent(ratio(point.total_bytes, workload.footprint())),
            percent(point.warm.edge_object_hit_ratio()),
            percent(point.warm.edge_byte_hit_ratio()),
        ];
        row.extend(pair(&point.warm));
        row.extend(pair(&point.cold));
        row
    });
    Table {
        title: "How much room buys how much, after the warm-up".to_owned(),
        head: texts([
            "all nodes",
            "of the log",
            "edge hits",
            "edge bytes",
            "offload requests",
            "offload bytes",
            "cold: requests",
            "bytes",
        ]),
        rows: rows.collect(),
    }
}

fn latency_table(study: &Study, links: &Links) -> Table {
    let rows = links.latencies(&study.run).into_iter().map(|latency| {
        let mut row = vec![
            latency.outcome.map_or("all", Outcome::as_str).to_owned(),
            count(latency.requests),
            format!("{:.1}", latency.mean),
        ];
        row.extend(latency.percentiles.map(|ms| format!("{ms:.1}")));
        row
    });
    Table {
        title: "Round trips by outcome at the edge, in ms, modelled from the links given"
            .to_owned(),
        head: texts(["outcome", "requests", "mean", "p50", "p95", "p99", "p99.9"]),
        rows: rows.collect(),
    }
}

fn over_time(study: &Study) -> Chart {
    let busy =
        || study.run.intervals.iter().filter(|interval| interval.counted.client.cacheable > 0);
    let series = |name: &str, of: fn(&Counted) -> f64| Series {
        name: name.to_owned(),
        points: busy()
            .map(|interval| (interval.from_ms as f64, of(&interval.counted).clamp(0.0, 1.0)))
            .collect(),
    };
    Chart {
        title: "Over time, from empty caches on".to_owned(),
        axis: Axis::Time,
        axis_title: "time since the first request".to_owned(),
        series: vec![
            series("edge hits, requests", Counted::edge_object_hit_ratio),
            series("edge hits, bytes", Counted::edge_byte_hit_ratio),
            series("offload, requests", Counted::request_offload),
            series("offload, bytes", Counted::byte_offload),
        ],
    }
}

fn over_size(study: &Study) -> Option<Chart> {
    if study.sweep.len() < 2 {
        return None;
    }
    let series = |name: &str, of: fn(&Counted) -> f64| Series {
        name: name.to_owned(),
        points: study
            .sweep
            .iter()
            .map(|point| (point.total_bytes as f64, of(&point.warm)))
            .collect(),
    };
    let mut lines = vec![
        series("edge hits, requests", Counted::edge_object_hit_ratio),
        series("edge hits, bytes", Counted::edge_byte_hit_ratio),
        series("offload, requests", Counted::request_offload),
        series("offload, bytes", Counted::byte_offload),
    ];
    if let Some(infinite) = study.references.iter().find(|other| other.name == "infinite") {
        let [request, byte] = [infinite.warm.request_offload(), infinite.warm.byte_offload()];
        for (name, ratio) in [("at most, requests", request), ("at most, bytes", byte)] {
            let points = study.sweep.iter().map(|point| (point.total_bytes as f64, ratio));
            lines.push(Series { name: name.to_owned(), points: points.collect() });
        }
    }
    Some(Chart {
        title: "Over the room of all nodes, after the warm-up".to_owned(),
        axis: Axis::Bytes,
        axis_title: "bytes of all nodes together".to_owned(),
        series: lines,
    })
}

fn notes(study: &Study, workload: &Workload, asked: &Asked<'_>) -> Vec<String> {
    let setup = &study.setup;
    let [edges, regionals, shields] = setup.nodes;
    let known = &workload.notes;
    let mut notes = vec![
        format!(
            "Played to {edges} / {regionals} / {shields} edges, regionals and shields; goal {}, fill {}, lifetimes {}, rules {}, \
             fetches of {} ms, overhead {} B, warm-up {}, seed {}.",
            setup.policy,
            setup.fill.as_str(),
            asked.ttl,
            asked.sites.unwrap_or("of a node by default"),
            setup.fetch_ms,
            setup.overhead,
            percent(setup.warmup),
            setup.seed,
        ),
        format!(
            "Of the log: {} cacheable requests, {} that pass, {} purges.",
            count(known.cacheable),
            count(known.passed),
            count(known.purges)
        ),
    ];
    let mut tell = |number: u64, what: &str| {
        if number > 0 {
            notes.push(format!("{} {what}", count(number)));
        }
    };
    tell(known.bad_lines.count, "lines could not be read.");
    tell(known.without_site, "requests were for hosts of no site and are left out.");
    tell(known.refused_targets, "requests had targets that a node refuses and are left out.");
    tell(known.out_of_order, "requests stood behind later ones and were put in order.");
    tell(known.unknown_size, "objects have no size in the log; they weigh the mean of the others.");
    tell(
        known.unknown_lifetime,
        "cacheable requests are without a lifetime in log and rules; they were taken to stay fresh. Give rules with ttl \
         (--sites) or --ttl fixed:60s to see what expiry costs.",
    );
    for (line, problem) in &known.bad_lines.first {
        notes.push(format!("Line {line}: {problem}."));
    }
    let (observed, hits) = known.observed;
    if observed > 0 {
        notes.push(format!(
            "The cache that wrote the log had {} of its requests.",
            percent(ratio(hits, observed))
        ));
    }
    notes.extend(study.engine_notes.iter().skip(1).cloned());
    notes.extend(RULES.map(str::to_owned));
    notes
}
