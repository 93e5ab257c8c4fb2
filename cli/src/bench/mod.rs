//! `weir bench`: what caches do, measured.

mod replay;
mod synth;

use std::process::ExitCode;

use crate::failure::Failure;

/// What is measured.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Tell from a log how much memory and disk buy how much offload.
    Replay(Box<replay::Arguments>),
    /// Make up a log: a crowd with the habits of a web site, a mirror or a video service.
    Synth(synth::Arguments),
}

/// Does it.
pub(crate) fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Replay(arguments) => replay::run(&arguments),
        Verb::Synth(arguments) => synth::run(&arguments),
    }
}
