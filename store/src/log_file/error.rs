//! What can go wrong with a log, and what may its caller do about it?

use std::io;
use std::path::PathBuf;

/// Why a log was not opened. What lies in the folder is untouched or whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogOpenError {
    /// The log in the folder is damaged and has the very epoch that a new one should get: ask again
    /// with another one.
    #[error("the damaged purge log has epoch {epoch:016x}, which its successor must not have")]
    EpochTaken {
        /// The epoch asked for.
        epoch: u64,
    },
    /// Another process has the log open: end it, or use another folder.
    #[error("the folder {} is in use: another node keeps its purge log there", folder.display())]
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
    /// Another version of this program wrote the log: use that, or move the file away.
    #[error("this version does not read format {version} of the purge log {}", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// The format that it names.
        version: u32,
    },
}

/// Why nothing was acknowledged by a log that is open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogAppendError {
    /// What was written earlier does not read back: open the log anew, which will replace it.
    #[error("the purge log is damaged and refuses everything until it is opened anew")]
    Damaged {
        /// Where and how.
        #[source]
        why: Damage,
    },
    /// The file would outgrow its limit: compact it, then try again.
    #[error("the purge log would outgrow its {bytes_max} bytes")]
    Full {
        /// The limit.
        bytes_max: u64,
    },
    /// The disk refused, and the log is as it was before: it may be tried again.
    #[error("the purge log could not be written and is as it was before")]
    NotWritten {
        /// What the system said.
        source: io::Error,
    },
    /// An earlier call was [`LogAppendError::Uncertain`] or [`LogAppendError::Damaged`], and
    /// nothing was tried: open the log anew.
    #[error(
        "the purge log refuses everything until it is opened anew, since an earlier write failed"
    )]
    Poisoned,
    /// What was asked for is too long, whenever it is tried.
    #[error("{bytes} bytes are more than the {bytes_max} that the purge log takes at once")]
    TooLarge {
        /// The bytes of the payload, the name or the append; of an append, those counted so far.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Whether it was written is not known: open the log anew and see.
    #[error("the purge log may or may not have been written, and must be opened anew")]
    Uncertain {
        /// What the system said.
        source: io::Error,
    },
}

/// What shows that a log cannot be trusted. Each position is that of the first byte of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The header of the file is not one, is cut short, or has a wrong check.
    #[error("the header of the file is damaged")]
    Header,
    /// A record follows one that it cannot follow.
    #[error("the record at byte {at} is out of order")]
    Order {
        /// Where.
        at: u64,
    },
    /// A record is whole and its check is right, but its meaning is not known.
    #[error("the record at byte {at} has no meaning")]
    Meaning {
        /// Where.
        at: u64,
    },
    /// The length, kind or number of a record has a wrong check.
    #[error("the head of the record at byte {at} is damaged")]
    RecordHead {
        /// Where.
        at: u64,
    },
    /// A record has its full length and a wrong check.
    #[error("the record at byte {at} is damaged")]
    Record {
        /// Where.
        at: u64,
    },
    /// Records that were acknowledged are missing at the end of an open log.
    #[error("records are missing from byte {at} on")]
    Short {
        /// Where.
        at: u64,
    },
}
