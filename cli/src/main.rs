//! The `weir` command: run, set up, check and purge a Weir CDN.

mod admin;
mod bench;
mod check;
mod development;
mod failure;
mod init;
mod output;
mod progress;
mod purge;
mod push;
mod sign;
mod stats;
mod topology;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// See docs/performance.md for what it is worth.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs, sets up, checks and purges a Weir CDN: edge, regional and shield caches in front of an origin.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    after_help = "\
Exit codes: 0 done, 1 failed, 2 wrong use, 3 partly (some nodes are fenced), 4 timed out.
Start with `weir up` and `weir help up`."
)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a whole stack in one process.
    Up(up::Arguments),
    /// Write one configuration file for each node of a stack.
    Init(init::Arguments),
    /// Purge what is stored, on every node.
    Purge(Box<purge::Arguments>),
    /// Show how a node is doing.
    Stats(stats::Arguments),
    /// Fetch responses into nodes before anyone asks.
    Push(Box<push::Arguments>),
    /// Sign a URL, or learn why a signed one is refused.
    Sign(Box<sign::Arguments>),
    /// Measure caches: under load, on logs, on made-up crowds.
    Bench {
        #[command(subcommand)]
        verb: bench::Verb,
    },
    /// Work with configuration files.
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Report everything that is wrong with a node's file.
    Check(check::Arguments),
}

fn main() -> ExitCode {
    match dispatch(Command::parse().verb) {
        Ok(code) => code,
        Err(failure) => {
            output::err(&format!("error: {}\n", failure.text()));
            failure.code().into()
        }
    }
}

fn dispatch(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Up(arguments) => up::run(&arguments),
        Verb::Init(arguments) => init::run(&arguments),
        Verb::Purge(arguments) => purge::run(&arguments),
        Verb::Stats(arguments) => stats::run(&arguments),
        Verb::Push(arguments) => push::run(&arguments),
        Verb::Sign(arguments) => sign::run(&arguments),
        Verb::Bench { verb } => bench::run(&verb),
        Verb::Config { verb: ConfigVerb::Check(arguments) } => check::run(&arguments),
    }
}
