//! Writes to the terminal or into a pipe. A reader that has gone is an error, not a panic.

use std::io::{Write, stderr, stdout};

use anyhow::Context;

/// Writes `text` to standard output.
pub(crate) fn out(text: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("standard output cannot be written to")
}

/// Writes `text` to standard error; if that is gone too, there is nobody left to tell.
pub(crate) fn err(text: &str) {
    let mut err = stderr().lock();
    drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
}
