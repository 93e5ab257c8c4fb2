//! `weir bench`: what does a CDN do under load, and what would it do with a log?

mod load;
mod replay;
mod synth;

use std::process::ExitCode;

use crate::failure::Failure;

/// What is tried.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Ask a server as fast as it answers, or as often as wanted.
    Load(Box<load::Arguments>),
    /// Tell from a log how much memory and disk buy how much offload.
    Replay(Box<replay::Arguments>),
    /// Make up a log: a crowd with the habits of a web site, a mirror or a video service.
    Synth(synth::Arguments),
}

/// Does what is wanted.
pub(crate) fn run(verb: &Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Load(arguments) => load::run(arguments),
        Verb::Replay(arguments) => replay::run(arguments),
        Verb::Synth(arguments) => synth::run(arguments),
    }
}
