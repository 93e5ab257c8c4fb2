//! What can go wrong with an index, and what may its caller do about it?

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use super::Batch;

/// Why a call of an open index did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// What lies on disk cannot be trusted: every call answers this. Drop the index and open it
    /// anew, which sets it aside and starts an empty one.
    #[error("the index is damaged: {why}")]
    Damaged {
        /// What showed it.
        why: String,
    },
    /// The disk has no room: make some, then try again.
    ///
    /// Everything applied since the last [`Index::flush`](super::Index::flush) may be undone, as by
    /// a kill; each batch still as a whole. The batch that was refused is there or not, as a whole.
    #[error("the disk has no room for the index")]
    Full {
        /// What the system said.
        source: io::Error,
    },
    /// The disk refused otherwise: it may be tried again. What was applied is as after
    /// [`IndexError::Full`].
    #[error("the index could not be read or written")]
    Io {
        /// What the system said.
        source: io::Error,
    },
    /// The batch has too many changes: split it.
    #[error("{changes} changes are more than the {} that the index takes at once", Batch::MAX)]
    TooMany {
        /// How many it has.
        changes: usize,
    },
}

/// Why no index was opened. What lies in the folder is left for the next try.
///
/// A damaged index is no reason: that is set aside.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexOpenError {
    /// An index that was made a moment ago did not open: a fault of the engine or of the disk.
    #[error("even an empty index does not open: {why}")]
    Engine {
        /// What the engine said.
        why: String,
    },
    /// The disk has no room: make some.
    #[error("the disk has no room for the index")]
    Full {
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else has the index open: end them.
    #[error("the index in {} is in use", folder.display())]
    InUse {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// The disk or its permissions: nothing to do for a program, but it may pass.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl IndexOpenError {
    pub(super) fn io(what: &'static str, path: PathBuf, source: io::Error) -> Self {
        if is_full(&source) { Self::Full { source } } else { Self::Io { what, path, source } }
    }
}

/// How an engine failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Its files say what cannot be, or it panicked over them.
    Damaged(String),
    /// Its files are locked.
    InUse,
    /// The system refused.
    Io(io::Error),
    /// It did not come back in time.
    Late(Duration),
}

impl Failure {
    /// Sorts out what the system says of files that hold what they should not.
    pub(super) fn from_io(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Self::Damaged(error.to_string()),
            _ => Self::Io(error),
        }
    }

    /// Whether an index that fails to open so would open once the machine is in order again.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Late(_) => false,
            Self::InUse => true,
            Self::Io(error) => {
                is_full(error)
                    || matches!(
                        error.kind(),
                        ErrorKind::OutOfMemory
                            | ErrorKind::PermissionDenied
                            | ErrorKind::ReadOnlyFilesystem
                    )
                    || error.raw_os_error().is_some_and(no_descriptors)
            }
        }
    }

    /// The failure in words, for a log.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Damaged(why) => why.clone(),
            Self::InUse => "it is in use".to_owned(),
            Self::Io(error) => error.to_string(),
            Self::Late(within) => format!("it did not open within {} s", within.as_secs_f64()),
        }
    }
}

impl From<Failure> for IndexError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Damaged(why) => Self::Damaged { why },
            Failure::InUse => Self::Io { source: ErrorKind::ResourceBusy.into() },
            Failure::Io(source) if is_full(&source) => Self::Full { source },
            Failure::Io(source) => Self::Io { source },
            Failure::Late(_) => Self::Io { source: ErrorKind::TimedOut.into() },
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// The process or the machine has too many files open.
fn no_descriptors(code: i32) -> bool {
    use rustix::io::Errno;
    code == Errno::MFILE.raw_os_error() || code == Errno::NFILE.raw_os_error()
}
