//! `weir init`: one configuration file for each node of a stack.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use serde_json::json;
use weir_cache::{HostPattern, Profile};
use weir_node::config::{ByteSize, NodeConfig, OriginServer, SiteConfig, to_toml};

use crate::failure::{Failure, usage};
use crate::output;
use crate::topology::{Shape, asked_at, disk_size};

/// Writes one TOML file for each node of a stack.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  weir init --dir ./cdn --origin http://127.0.0.1:3000
  export WEIR_TIER_SECRET=$(openssl rand -hex 32)
  weir-shield --config ./cdn/shield.toml &
  weir-regional --config ./cdn/regional-0.toml &
  weir-edge --config ./cdn/edge-0.toml &

Files that exist are never overwritten.")]
pub(crate) struct Arguments {
    /// The folder to write to; made if it is missing.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    shape: Shape,
    /// The origin of the site; without it the address of a local weir-origin-mock.
    #[arg(long, value_name = "URL")]
    origin: Option<OriginServer>,
    /// What each node keeps on disk of stored responses, for example 10GiB.
    #[arg(long, value_name = "SIZE", value_parser = disk_size)]
    disk: Option<ByteSize>,
    /// Print the files written as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Writes the files, all or none.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let files = files(arguments)?;
    std::fs::create_dir_all(&arguments.dir)
        .with_context(|| format!("the folder {} cannot be made", arguments.dir.display()))?;
    refuse_existing(&files)?;
    for (path, text) in &files {
        write_new(path, text)?;
    }
    output::out(&report(arguments, &files))?;
    Ok(ExitCode::SUCCESS)
}

/// Each file's path and text.
fn files(arguments: &Arguments) -> Result<Vec<(PathBuf, String)>, Failure> {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let origin = match &arguments.origin {
        Some(origin) => origin.clone(),
        None => asked_at(arguments.shape.origin(local).map_err(usage)?).into(),
    };
    let mut site = SiteConfig::new("default", Profile::Default);
    site.hosts = vec![HostPattern::Any];
    site.origins = vec![origin];
    let mut topology = arguments.shape.topology(local, &[site]).map_err(usage)?;
    // A folder each, so that the purge log outlives a restart wherever the nodes are started from.
    let folder = std::path::absolute(&arguments.dir).context("the folder has no absolute path")?;
    topology.keep_data_in(&folder.join("data"), arguments.disk);
    let file =
        |node: &NodeConfig| (arguments.dir.join(format!("{}.toml", node.name)), to_toml(node));
    Ok(topology.parents_first().map(file).collect())
}

fn refuse_existing(files: &[(PathBuf, String)]) -> Result<(), Failure> {
    let existing: Vec<_> = files
        .iter()
        .filter(|(path, _)| path.exists())
        .map(|(path, _)| path.display().to_string())
        .collect();
    if existing.is_empty() {
        return Ok(());
    }
    Err(anyhow!(
        "these files exist and are left as they are: {}; choose another --dir",
        existing.join(", ")
    )
    .into())
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("{} is not whole", path.display()))
}

/// What was written, and what to do next.
fn report(arguments: &Arguments, files: &[(PathBuf, String)]) -> String {
    let paths: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
    if arguments.json {
        return format!("{}\n", json!({"files": paths}));
    }
    let mut text = String::from("Wrote, to be started in this order:\n");
    for path in &paths {
        let stem = Path::new(path).file_stem().map(|name| name.to_string_lossy().into_owned());
        let tier =
            stem.as_deref().and_then(|name| name.split('-').next()).unwrap_or("edge").to_owned();
        text.push_str(&format!("  weir-{tier} --config {path}\n"));
    }
    text.push_str("\nFirst set the secret that all nodes share:\n");
    text.push_str("  export WEIR_TIER_SECRET=$(openssl rand -hex 32)\n");
    if arguments.origin.is_none() {
        let port = arguments.shape.port + 300;
        text.push_str(&format!(
            "and start an origin: weir-origin-mock --listen 127.0.0.1:{port}\n"
        ));
    }
    text
}
