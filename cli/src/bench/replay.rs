//! `weir bench replay`: a log played to simulated or real nodes, and what it says about their size.

mod http;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::Context;
use weir_bench::replay::{
    Engine as _, Fill, Policy, Setup, Site, Sites, Space, Study, StudyOptions, Ttl, Workload,
    study, study_of,
};
use weir_bench::report::{Asked, Links, replay_json, replay_report};
use weir_bench::trace::{Format, TraceReader};
use weir_node::config::{self, ByteSize, parse_duration};

use self::http::Http;
use crate::failure::{Failure, usage};
use crate::output;
use crate::progress::{Progress, bar};

/// Plays a log to simulated or real nodes and tells how much memory and disk buy how much offload.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir bench replay --trace access.log
  weir bench replay --trace access.log.gz --sites sites.toml --sweep 0.1%,1%,5%,10%,50% --html report.html
  weir bench replay --trace edge.json --memory 1GiB --disk 20GiB --goal objects
  weir bench replay --trace log.tsv --edges 1 --regionals 0 --shield 0 --capacity 10GiB --bound
  weir bench replay --trace log.tsv --rtt 20:5:30:80 --json
  weir bench replay --trace log.tsv --engine http --size-scale 10

The policies are those of nodes, and so are keys, lifetimes and rules of --sites. With --engine sim
nothing is asked or fetched. With --engine http nodes are started in this process and asked over loopback,
with bodies made up by size; they are compared with the same nodes simulated. The clock is that of the log
for both. How it counts stands below each report. See docs/replay.md.")]
pub(crate) struct Arguments {
    /// The log, plain or gzipped.
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// Its form: tsv, weir, combined or cloudfront; told by its first line when left out.
    #[arg(long, value_name = "FORM")]
    format: Option<Format>,
    /// Host of requests of which the log does not say it.
    #[arg(long, value_name = "HOST", default_value = "log.invalid")]
    host: String,
    /// What the log is played to.
    #[arg(long, value_name = "ENGINE", default_value = "sim")]
    engine: Engine,
    /// A file with `[[site]]` tables, whose keys, lifetimes and rules count.
    #[arg(long, value_name = "FILE")]
    sites: Option<PathBuf>,
    #[command(flatten)]
    nodes: Nodes,
    #[command(flatten)]
    playing: Playing,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// Nodes that are data in this process.
    Sim,
    /// Real nodes, started in this process and asked over loopback.
    Http,
}

/// Which nodes there are and what they hold.
#[derive(Debug, clap::Args)]
struct Nodes {
    /// Edges.
    #[arg(long, value_name = "N", default_value_t = 4)]
    edges: u32,
    /// Regionals; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 2)]
    regionals: u32,
    /// Shields; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 1)]
    shield: u32,
    /// Bytes of all nodes together, such as 20GiB, or in percent of what holds everything once.
    #[arg(long, value_name = "SIZE", default_value = "5%", conflicts_with = "memory")]
    capacity: Capacity,
    /// Weights by which nodes share the capacity, edge:regional:shield; by default 1 : edges / regionals :
    /// 2 x edges.
    #[arg(long, value_name = "E:R:S", conflicts_with = "memory")]
    sizing: Option<Triple<u64>>,
    /// Memory of each node; one size, or edge:regional:shield. Bodies are then bounded as in a node: an
    /// eighth of its memory and 32 MiB at most, or a quarter of its disk.
    #[arg(long, value_name = "SIZE[:R:S]")]
    memory: Option<Triple<ByteSize>>,
    /// Bound bodies as nodes do where --capacity is given too, as --memory and --engine http do anyway.
    #[arg(long)]
    bound_bodies: bool,
    /// Disk of each node under its memory, likewise.
    #[arg(long, value_name = "SIZE[:R:S]", requires = "memory")]
    disk: Option<Triple<ByteSize>>,
    /// What nodes aim at: balanced, objects or bytes; for comparison lru, fifo or s3-fifo.
    #[arg(long, value_name = "GOAL", default_value = "balanced")]
    goal: Policy,
    /// Which tiers store a response: everywhere (what nodes do), copy-down or second-miss (which
    /// are tried here only).
    #[arg(long, value_name = "FILL", default_value = "everywhere")]
    fill: Fill,
}

/// How the log is played.
#[derive(Debug, clap::Args)]
struct Playing {
    /// Lifetimes: trace (Cache-Control of the log, rules of the sites), fixed:TIME or none (nothing
    /// expires, everything may be stored).
    #[arg(long, value_name = "TTL", default_value = "trace", value_parser = parse_ttl)]
    ttl: Ttl,
    /// How long a fetch takes, during which others join it; 0 for no time.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    fetch_ms: u64,
    /// Bytes that each stored response takes beside its body.
    #[arg(long, value_name = "SIZE", default_value = "0B")]
    overhead: ByteSize,
    /// Share of the requests that only warm the caches, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    warmup: f64,
    /// Divides all sizes.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    size_scale: u64,
    /// What decides which edge a client asks and which regional keeps a key.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Requests in flight, with --engine http; more than one is faster and out of order.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// Other totals to play to, which is always simulated, such as 0.1%,1%,10GiB.
    #[arg(long, value_name = "SIZE,...", value_delimiter = ',')]
    sweep: Vec<Capacity>,
    /// Also tell what a cache could do that knows the future.
    #[arg(long)]
    bound: bool,
    /// Round trips in ms from the client over each tier to the origin, such as 20:5:30:80, to model
    /// what clients wait.
    #[arg(long, value_name = "MS:MS...")]
    rtt: Option<Links>,
}

/// Where the answer goes.
#[derive(Debug, clap::Args)]
struct Shown {
    /// Print everything as one line of JSON.
    #[arg(long)]
    json: bool,
    /// A folder for report.html, report.json, report.txt, plots.svg and plots.png; made if need be.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One page with tables and plots.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The plots.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The plots.
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

/// Bytes, or a part of what holds everything.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Capacity {
    Bytes(u64),
    Percent(f64),
}

impl FromStr for Capacity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(percent) = text.strip_suffix('%') else {
            let size: ByteSize = text.parse().map_err(|error| {
                format!("{error}; a part of what holds everything is written 5%")
            })?;
            return Ok(Self::Bytes(size.as_u64()));
        };
        match percent.trim().parse() {
            Ok(percent) if percent > 0.0 && percent <= 1_000.0 => Ok(Self::Percent(percent)),
            _ => Err("a percentage is above 0 and at most 1000, such as 0.5%".to_owned()),
        }
    }
}

impl Capacity {
    fn of(self, footprint: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => {
                let bytes = footprint as f64 * percent / 100.0;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "casts of floats saturate"
                )]
                let bytes = bytes as u64;
                bytes
            }
        }
    }
}

/// One value for each tier; one alone stands for all.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Triple<T>([T; 3]);

impl<T: FromStr<Err: std::fmt::Display> + Copy> FromStr for Triple<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<T> = text
            .split(':')
            .map(|part| part.trim().parse().map_err(|error| format!("{part:?}: {error}")))
            .collect::<Result<_, _>>()?;
        match parts.as_slice() {
            [all] => Ok(Self([*all; 3])),
            [edge, regional, shield] => Ok(Self([*edge, *regional, *shield])),
            _ => Err("expected one value, or three as edge:regional:shield".to_owned()),
        }
    }
}

fn parse_ttl(text: &str) -> Result<Ttl, String> {
    match text {
        "trace" => Ok(Ttl::Trace),
        "none" => Ok(Ttl::Never),
        other => {
            let time = other.strip_prefix("fixed:").map(parse_duration);
            let time = time.ok_or("expected trace, none or fixed:TIME such as fixed:60s")?;
            time.map(Ttl::Fixed).map_err(|error| error.to_string())
        }
    }
}

fn shown_ttl(ttl: Ttl) -> String {
    match ttl {
        Ttl::Trace => "of the log and the rules".to_owned(),
        Ttl::Never => "without end".to_owned(),
        Ttl::Fixed(time) => format!("of {}", config::render_duration(time)),
    }
}

/// Does it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    check(arguments)?;
    let sites = sites(arguments.sites.as_deref())?;
    let progress = Progress::on_terminal();
    let workload = read(arguments, &sites, progress);
    progress.clear();
    let workload = workload?;
    let footprint = workload.footprint();
    let (setup, sizing) = setup(arguments, footprint);
    setup.check().map_err(usage)?;
    if let (Engine::Http, Some(problem)) = (arguments.engine, http::problem(&setup)) {
        return Err(usage(problem));
    }
    let options = StudyOptions {
        sweep: arguments.playing.sweep.iter().map(|total| total.of(footprint)).collect(),
        sizing,
        bound: arguments.playing.bound,
    };
    for total in &options.sweep {
        setup.with_total(*total, sizing).check().map_err(usage)?;
    }
    let shown = AtomicUsize::new(usize::MAX);
    let watch = |done: usize, total: usize| {
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        if progress.is_watched() && shown.swap(percent, Relaxed) != percent {
            progress.show(&format!("playing {} %", bar(percent, 100)));
        }
    };
    let study = match arguments.engine {
        Engine::Sim => study(&workload, &setup, &options, &watch),
        Engine::Http => {
            let mut nodes = Http::new(usize::from(arguments.playing.concurrency));
            let run = nodes.run(&workload, &setup, &mut |done| watch(done, workload.len()));
            progress.clear();
            let (played, setup) = nodes.played(run?, &setup);
            study_of(&workload, &setup, &options, played, &watch)
        }
    };
    progress.clear();
    let study = study.ok_or_else(|| anyhow::anyhow!("nothing was played"))?;
    show(arguments, &study, &workload)?;
    Ok(ExitCode::SUCCESS)
}

/// What can be told to be wrong before the log is read.
fn check(arguments: &Arguments) -> Result<(), Failure> {
    let Nodes { edges, regionals, shield, .. } = arguments.nodes;
    if !(0.0..1.0).contains(&arguments.playing.warmup) {
        return Err(usage("--warmup is a share from 0 to below 1, such as 0.2"));
    }
    if edges == 0 {
        return Err(usage("--edges: there must be at least one edge"));
    }
    let tiers = 1 + usize::from(regionals > 0) + usize::from(shield > 0);
    if let Some(links) = &arguments.playing.rtt {
        links.check(tiers).map_err(|error| usage(format!("--rtt: {error}")))?;
    }
    Ok(())
}

/// The sites of the file, or one for any host.
fn sites(file: Option<&Path>) -> Result<Sites, Failure> {
    let Some(file) = file else { return Sites::any().map_err(usage) };
    let configs = config::load_sites(file).map_err(usage)?;
    let sites = configs.into_iter().map(|site| Site {
        name: site.name,
        hosts: site.hosts,
        key: site.key,
        policy: site.policy,
        rules: site.rules,
    });
    Sites::new(sites.collect()).map_err(usage)
}

fn read(arguments: &Arguments, sites: &Sites, progress: Progress) -> anyhow::Result<Workload> {
    let mut trace = TraceReader::open(&arguments.trace, arguments.format, &arguments.host)?;
    let mut watch = |lines: u64| progress.show(&format!("reading, {lines} requests"));
    let how = (arguments.playing.ttl, arguments.playing.size_scale);
    let read = Workload::read(&mut trace, sites, how, &mut watch);
    read.with_context(|| arguments.trace.display().to_string())
}

/// The nodes, and the weights by which they share a total.
fn setup(arguments: &Arguments, footprint: u64) -> (Setup, [u64; 3]) {
    let Nodes { edges, regionals, shield, .. } = arguments.nodes;
    let (given, playing) = (&arguments.nodes, &arguments.playing);
    let nodes = [edges, regionals, shield];
    let default = Space::sizing(nodes);
    let setup = |space| Setup {
        nodes,
        space,
        policy: given.goal,
        fill: given.fill,
        fetch_ms: playing.fetch_ms,
        overhead: playing.overhead.as_u64(),
        bounds_bodies: given.bound_bodies
            || given.memory.is_some()
            || arguments.engine == Engine::Http,
        warmup: playing.warmup,
        seed: playing.seed,
    };
    let Some(Triple(memory)) = given.memory else {
        let sizing = given.sizing.map_or(default, |Triple(sizing)| sizing);
        let room = setup([Space::One { bytes: 1 }; 3]);
        return (room.with_total(given.capacity.of(footprint), sizing), sizing);
    };
    let disks = given.disk.map(|Triple(disks)| disks.map(ByteSize::as_u64));
    let mut space = memory.map(|memory| Space::of(memory.as_u64(), None));
    if let Some(disks) = disks {
        for ((space, memory), disk) in space.iter_mut().zip(memory).zip(disks) {
            *space = Space::of(memory.as_u64(), Some(disk));
        }
    }
    // Totals of a sweep are shared out as the sizes given are.
    (setup(space), space.map(Space::bytes))
}

fn show(arguments: &Arguments, study: &Study, workload: &Workload) -> anyhow::Result<()> {
    let (name, ttl) = (arguments.trace.display().to_string(), shown_ttl(arguments.playing.ttl));
    let sites = arguments.sites.as_ref().map(|file| file.display().to_string());
    let asked = Asked {
        trace: &name,
        ttl: &ttl,
        sites: sites.as_deref(),
        links: arguments.playing.rtt.as_ref(),
    };
    let report = replay_report(study, workload, &asked);
    let json = || format!("{}\n", replay_json(study, workload, &asked));
    let shown = &arguments.shown;
    if let Some(folder) = &shown.out {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        write(&folder.join("report.html"), report.to_html().as_bytes())?;
        write(&folder.join("report.json"), json().as_bytes())?;
        write(&folder.join("report.txt"), report.to_text().as_bytes())?;
        write(&folder.join("plots.svg"), report.to_svg().as_bytes())?;
        write(&folder.join("plots.png"), &report.to_png()?)?;
    }
    if let Some(file) = &shown.html {
        write(file, report.to_html().as_bytes())?;
    }
    if let Some(file) = &shown.svg {
        write(file, report.to_svg().as_bytes())?;
    }
    if let Some(file) = &shown.png {
        write(file, &report.to_png()?)?;
    }
    output::out(&if shown.json { json() } else { report.to_text() })
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_are_bytes_or_percent() {
        assert_eq!("5%".parse(), Ok(Capacity::Percent(5.0)));
        assert_eq!("0.1 %".parse(), Ok(Capacity::Percent(0.1)));
        assert_eq!("2GiB".parse(), Ok(Capacity::Bytes(2 << 30)));
        for bad in ["%", "0%", "-1%", "x%", "NaN%", "inf%", "5", "5 elephants"] {
            assert!(bad.parse::<Capacity>().is_err(), "{bad}");
        }
        assert_eq!(Capacity::Percent(5.0).of(1_000), 50);
        assert_eq!(Capacity::Bytes(7).of(1_000), 7);
    }

    #[test]
    fn one_value_stands_for_all_tiers() {
        assert_eq!("3".parse(), Ok(Triple([3_u64; 3])));
        assert_eq!("1:2:8".parse(), Ok(Triple([1_u64, 2, 8])));
        for bad in ["", "1:2", "1:2:3:4", "a:b:c", "-1"] {
            assert!(bad.parse::<Triple<u64>>().is_err(), "{bad}");
        }
    }

    #[test]
    fn lifetimes_are_read() {
        assert_eq!(parse_ttl("trace"), Ok(Ttl::Trace));
        assert_eq!(parse_ttl("fixed:60s"), Ok(Ttl::Fixed(std::time::Duration::from_secs(60))));
        for bad in ["", "60s", "fixed:", "fixed:soon"] {
            assert!(parse_ttl(bad).is_err(), "{bad}");
        }
    }
}
