//! `weir bench`: what does a CDN do under load, and what would it do?

mod load;

use std::process::ExitCode;

use crate::failure::Failure;

/// What is tried.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Ask a server as fast as it answers, or as often as wanted.
    Load(Box<load::Arguments>),
}

/// Does what is wanted.
pub(crate) fn run(verb: &Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Load(arguments) => load::run(arguments),
    }
}
