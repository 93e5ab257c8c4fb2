//! What each policy reaches on logs with one cache, and how fast that is simulated.
//!
//! ```text
//! cargo run --release -p weir-bench --example figures -- LOG...
//! ```
//!
//! One row for each log and size, 1 % and 10 % of the footprint: object and byte hit ratios from a cold start, and what
//! nobody can exceed. Then tiers of 4, 2 and 1 nodes that share 5 % as 1:2:8, beside one S3-FIFO cache of as many bytes.

use std::io::{Write, stdout};
use std::path::Path;
use std::time::Instant;

use weir_bench::replay::{
    Counted, Engine, Fill, Policy, Run, Setup, Sim, Sites, Space, TierCounts, Ttl, Workload,
    offline_bound,
};
use weir_bench::trace::TraceReader;

const POLICIES: [&str; 6] = ["fifo", "lru", "s3-fifo", "balanced", "objects", "bytes"];

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut out = stdout().lock();
    for file in std::env::args().skip(1) {
        figures(Path::new(&file), &mut out)?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Workload, Failure> {
    let mut trace = TraceReader::open(file, None, "log.example")?;
    Ok(Workload::read(&mut trace, &Sites::any()?, (Ttl::Never, 1), &mut |_| {})?)
}

fn play(workload: &Workload, setup: &Setup) -> Run {
    let Ok(run) = Sim.run(workload, setup, &mut |_| {});
    run
}

fn pair(counted: &Counted) -> String {
    format!("{:.3}/{:.3}", counted.request_offload(), counted.byte_offload())
}

fn figures(file: &Path, out: &mut impl Write) -> Result<(), Failure> {
    let began = Instant::now();
    let workload = read(file)?;
    let reading = began.elapsed();
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (requests, objects) = (workload.len(), workload.objects());
    let footprint = workload.footprint();
    writeln!(
        out,
        "{name}: {requests} requests, {objects} objects, {footprint} bytes; read in {reading:.2?}"
    )?;
    let base = Setup {
        nodes: [1, 0, 0],
        space: [Space::One { bytes: 1 }; 3],
        policy: Policy::default(),
        fill: Fill::Everywhere,
        fetch_ms: 0,
        overhead: 0,
        bounds_bodies: false,
        warmup: 0.0,
        seed: 1,
    };
    for percent in [1, 10] {
        let bytes = footprint / 100 * percent + footprint % 100 * percent / 100;
        write!(out, "{percent:>3} %")?;
        for policy in POLICIES {
            let run = play(&workload, &base.flat(bytes, policy.parse()?));
            write!(out, "  {policy} {}", pair(&run.cold))?;
        }
        let bound = offline_bound(&workload, bytes, 0);
        writeln!(
            out,
            "  offline {:.3}/{:.3}  pfoo-u {:.3}/{:.3}",
            bound.reached_object_hit_ratio,
            bound.reached_byte_hit_ratio,
            bound.object_hit_ratio,
            bound.byte_hit_ratio
        )?;
    }
    tiers(&workload, &base, out)
}

fn tiers(workload: &Workload, base: &Setup, out: &mut impl Write) -> Result<(), Failure> {
    let total = workload.footprint() / 20;
    let flat = play(workload, &base.flat(total, Policy::S3Fifo));
    writeln!(out, "  5 %  one s3-fifo {}", pair(&flat.cold))?;
    for policy in POLICIES {
        let nodes = Setup { nodes: [4, 2, 1], policy: policy.parse()?, ..base.clone() };
        let setup = nodes.with_total(total, [1, 2, 8]);
        let began = Instant::now();
        let run = play(workload, &setup);
        let rate = workload.len() as f64 / began.elapsed().as_secs_f64() / 1e6;
        let shield = run.cold.tiers.last().map_or(0.0, TierCounts::object_hit_ratio);
        writeln!(
            out,
            "  5 %  4/2/1 {policy}: edge {:.3}, offload {}, shield {shield:.3}; of the flat one {:.3}/{:.3}; \
             {rate:.2} M requests/s",
            run.cold.edge_object_hit_ratio(),
            pair(&run.cold),
            run.cold.request_offload() / flat.cold.request_offload(),
            run.cold.byte_offload() / flat.cold.byte_offload(),
        )?;
    }
    Ok(())
}
