//! How does the command end when it cannot do what it was asked?
//!
//! Exit codes are a contract: 0 done, 1 failed, 2 wrong use. Two more are no failures and come from the
//! command itself: 3 partly (a purge holds, but some nodes are fenced) and 4 timed out (still applying
//! when the wait was over).

use std::fmt::Display;

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was asked for something that makes no sense; nothing was done.
    Usage(anyhow::Error),
    /// It tried and failed.
    Failed(anyhow::Error),
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        }
    }

    /// The error, without its exit code.
    pub(crate) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Usage(error) | Self::Failed(error) => error,
        }
    }

    /// The error with all its causes.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Usage(error) | Self::Failed(error) => format!("{error:#}"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Makes wrong use of any error that says so.
pub(crate) fn usage(error: impl Display) -> Failure {
    Failure::Usage(anyhow::anyhow!("{error}"))
}
