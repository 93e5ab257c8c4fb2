//! The command line that the binaries of all tiers share.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

use crate::clock::SystemClock;
use crate::config::{self, NodeConfig, TierDefaults};
use crate::descriptors;
use crate::node::LogHome;
use crate::reload::Reload;
use crate::run::{Components, RunningNode, start_with};
use crate::secrets::{self, SecretsError};
use crate::signals::{Signal, Signals};
use crate::telemetry;

/// Exit code for what went wrong while running.
const FAILED: u8 = 1;
/// Exit code for wrong use: the command line or the configuration.
const USAGE: u8 = 2;
/// How long a node waits for the purge log before it says that it answers, all the same.
const IN_STEP_WITHIN: Duration = Duration::from_secs(5);
/// How long a health check waits for its answer.
const HEALTHCHECK_WAIT: Duration = Duration::from_secs(3);

/// Runs one node of a Weir CDN from a configuration file.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Environment:
  WEIR_TIER_SECRET     the text, at least 16 characters, that all nodes share; needed with parents
  WEIR_ADMIN_TOKEN     who may do everything by the admin API; made up and printed when unset
  WEIR__SECTION__KEY   replaces a key of the file: WEIR__NODE__WORKERS=2, WEIR__STORE__MEMORY=1GiB
  WEIR_LOG             replaces the log level by a filter: weir_node=debug

Signals:
  SIGTERM, SIGINT      stop accepting, let requests in flight finish, exit
  SIGHUP               read sites and admin tokens of the file again; a bad file changes nothing

Write a set of files for a whole stack with `weir init`; check one with `weir config check FILE`."
)]
struct Arguments {
    /// The TOML file of this node.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print the ready line as one line of JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Print the configuration in force as TOML and exit.
    #[arg(long)]
    print_config: bool,
    /// Ask the running node whether it is ready; exit 0 if it is, 1 if not. For container checks.
    #[arg(long)]
    healthcheck: bool,
}

/// Runs the binary of a tier with `defaults` for what the file leaves open.
pub fn main(defaults: TierDefaults) -> ExitCode {
    let arguments = Arguments::parse();
    let config = match config::load(&arguments.config, &defaults, config::environment()) {
        Ok(config) => config,
        Err(problems) => return fail(USAGE, &problems),
    };
    if arguments.print_config {
        return print(&config::to_toml(&config));
    }
    let runtime = match runtime(&config) {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &error),
    };
    if arguments.healthcheck {
        return runtime.block_on(healthcheck(&config));
    }
    let _logging = telemetry::start(&config.log);
    descriptors::ask_for_all();
    let reload = Reload::new(arguments.config, defaults);
    runtime.block_on(run(config, reload, arguments.json))
}

/// A runtime with the configured number of workers.
fn runtime(config: &NodeConfig) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = config.workers {
        builder.worker_threads(workers.get());
    }
    builder.enable_all().build()
}

async fn run(config: NodeConfig, reload: Reload, json: bool) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(FAILED, &error),
    };
    let components = match components() {
        Ok(components) => components,
        Err(error) => return fail(USAGE, &error),
    };
    let running = match start_with(config, components, Some(reload.clone())).await {
        Ok(running) => running,
        Err(error) => return fail(FAILED, &error),
    };
    let ends_early = tokio::select! {
        in_step = running.in_step(IN_STEP_WITHIN) => { warn_unless(in_step); false }
        () = signals.end() => true,
    };
    if !ends_early {
        if print(&ready_line(&running, json)) != ExitCode::SUCCESS {
            return ExitCode::from(FAILED);
        }
        until_end(&running, &mut signals, &reload).await;
    }
    tokio::select! {
        () = running.shutdown() => ExitCode::SUCCESS,
        // Whoever asks twice does not want to wait for the grace time.
        () = signals.end() => FAILED.into(),
    }
}

/// A node that is not in step with the purge log serves all the same.
fn warn_unless(in_step: bool) {
    if !in_step {
        tracing::warn!(
            "not in step with the purge log yet: nothing stored is reused until a parent leads to it"
        );
    }
}

/// Reads the sites again when told to, until a signal ends the node.
async fn until_end(running: &RunningNode, signals: &mut Signals, reload: &Reload) {
    while let Signal::Reload = signals.next().await {
        if let Err(problems) = running.reload(reload).await {
            tracing::error!("the sites were not read again:\n{problems}");
        }
    }
}

fn components() -> Result<Components, SecretsError> {
    Ok(Components {
        clock: Arc::new(SystemClock::new()),
        secret: secrets::tier_secret_from_env()?,
        token: secrets::admin_token_from_env()?,
        log_home: LogHome::DataFolder,
    })
}

/// What is printed when the node answers.
fn ready_line(running: &RunningNode, json: bool) -> String {
    let (name, data, admin) = (running.name(), running.data_url(), running.admin_url());
    if json {
        return format!("{}\n", json!({"name": name, "data": data, "admin": admin}));
    }
    format!("{name} is ready: data {data}, admin {admin}\n")
}

/// Asks the node of this configuration whether it is ready.
async fn healthcheck(config: &NodeConfig) -> ExitCode {
    let mut admin = config.admin;
    if admin.ip().is_unspecified() {
        admin.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let Ok(uri) = format!("http://{admin}/readyz").parse() else { return FAILED.into() };
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    match tokio::time::timeout(HEALTHCHECK_WAIT, client.get(uri)).await {
        Ok(Ok(response)) if response.status() == http::StatusCode::OK => ExitCode::SUCCESS,
        _ => FAILED.into(),
    }
}

/// Writes to standard output; a closed pipe is a failure, not a panic.
fn print(text: &str) -> ExitCode {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => FAILED.into(),
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a process that ends")]
fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {}", telemetry::chain(error));
    code.into()
}
