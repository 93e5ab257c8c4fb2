//! `weir bench synth`: a made-up log for `weir bench replay` and for whatever else reads columns.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use weir_bench::report;
use weir_bench::synth::{Crowd, Parameters, Preset, Summary, write_rows};
use weir_node::config::parse_duration;

use crate::failure::{Failure, usage};
use crate::output;
use crate::progress::{Progress, bar};

/// Makes up a log. Equal arguments make the same log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  weir bench synth --preset web --out web.tsv.gz
  weir bench synth --preset download --requests 5000000 --objects 200000 --seed 7 --out mirror.tsv.gz
  weir bench synth --preset web --flash 0.6 --scan 20000 --purge-storm --out bad-day.tsv.gz
  weir bench synth --preset video --requests 1000 | head

A made-up log shows what events do and that a setup works. It does not show which goal is best for your
site: replay a log of your own for that.")]
pub(crate) struct Arguments {
    /// The kind of crowd: web, download or video.
    #[arg(long, value_name = "KIND", default_value = "web")]
    preset: Preset,
    /// Requests.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    requests: u64,
    /// Objects that can be asked for at a time.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    objects: usize,
    /// What chance is drawn from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Time from the first request to the last one.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_duration)]
    span: Duration,
    /// A flash crowd begins so far into the log, 0 to 1: half of the requests are for one object.
    #[arg(long, value_name = "AT")]
    flash: Option<f64>,
    /// In the middle somebody asks for so many objects once each.
    #[arg(long, value_name = "N", default_value_t = 0)]
    scan: u64,
    /// A third into the log the most popular tenth is purged.
    #[arg(long)]
    purge_storm: bool,
    /// Where to write; packed if the name ends with .gz. Standard output when left out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print what was written as one line of JSON; needs --out.
    #[arg(long, requires = "out")]
    json: bool,
}

/// Does it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let preset =
        Parameters::of(arguments.preset, arguments.requests, arguments.objects, arguments.seed);
    let parameters = Parameters {
        span: arguments.span,
        flash: arguments.flash,
        scan: arguments.scan,
        purge_storm: arguments.purge_storm,
        ..preset
    };
    let crowd = Crowd::new(parameters).map_err(usage)?;
    let Some(path) = &arguments.out else {
        let to = BufWriter::new(io::stdout().lock());
        return match write(crowd, to) {
            // Whoever reads, such as `head`, has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Err(error) => Err(anyhow::Error::new(error).context("standard output").into()),
            Ok(_) => Ok(ExitCode::SUCCESS),
        };
    };
    let summary =
        write_file(crowd, path).with_context(|| format!("{} cannot be written", path.display()))?;
    let Summary { rows, bytes, span_ms } = summary;
    let text = if arguments.json {
        json!({"rows": rows, "bytes": bytes, "span_ms": span_ms}).to_string()
    } else {
        format!(
            "{}: {} rows in {}, bodies of {} all together",
            path.display(),
            report::count(rows),
            report::time(span_ms),
            report::bytes(bytes)
        )
    };
    output::out(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn write_file(crowd: Crowd, path: &Path) -> io::Result<Summary> {
    let file = BufWriter::new(File::create(path)?);
    if path.extension().is_none_or(|ending| ending != "gz") {
        return write(crowd, file);
    }
    let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    let summary = write(crowd, &mut packer)?;
    packer.finish()?.flush()?;
    Ok(summary)
}

fn write(crowd: Crowd, mut to: impl Write) -> io::Result<Summary> {
    let progress = Progress::on_terminal();
    let total = usize::try_from(crowd.requests()).unwrap_or(usize::MAX);
    let mut watch = |rows: u64| {
        progress.show(&bar(usize::try_from(rows).unwrap_or(total).min(total), total));
    };
    let summary = write_rows(crowd, &mut to, &mut watch);
    progress.clear();
    let summary = summary?;
    to.flush()?;
    Ok(summary)
}
