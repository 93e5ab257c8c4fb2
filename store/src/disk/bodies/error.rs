//! What can be wrong with a body, and what may its reader do about it?

use std::io;
use std::path::PathBuf;

/// Why the folders of bodies could not be made ready. Nothing in them was changed but leftovers.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", path.display())]
pub struct BodiesOpenError {
    /// What was tried, as a verb.
    pub(crate) what: &'static str,
    /// With which file or folder.
    pub(crate) path: PathBuf,
    /// What the system said.
    pub(crate) source: io::Error,
}

/// Why a body cannot be had. To a client it is a miss, whatever it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Its file is not what was written: set it aside, and fetch the response anew.
    #[error("the file of a body is damaged")]
    Damaged {
        /// How that shows.
        #[source]
        why: BodyDamage,
    },
    /// The disk refuses or is short of something: it may pass, and says nothing about the file.
    #[error("the file of a body cannot be read")]
    Io {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no such file: forget the response.
    #[error("there is no file of this body")]
    Missing,
}

/// What shows that the file of a body is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyDamage {
    /// The content has another digest.
    #[error("its content has another digest")]
    Content,
    /// The file ends before its content does.
    #[error("it ends before its content does")]
    Cut,
    /// The header is not one, or has a wrong check, or is that of another version.
    #[error("its header is not one")]
    Header,
    /// The content has another length than whoever asks for it knows.
    #[error("its content has {found} bytes, not {expected}")]
    Length {
        /// What was asked for.
        expected: u64,
        /// What the header says.
        found: u64,
    },
    /// The header is that of another body.
    #[error("it is the file of another body")]
    Name,
    /// What follows the content are not only records. One cut short at the end is no damage.
    #[error("the records after its content are damaged")]
    Records,
}

impl BodyError {
    /// What opening a file by its name has failed with.
    pub(super) fn from_open(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Io { source },
        }
    }
}

impl From<BodyDamage> for BodyError {
    fn from(why: BodyDamage) -> Self {
        Self::Damaged { why }
    }
}

impl From<io::Error> for BodyError {
    fn from(source: io::Error) -> Self {
        Self::Io { source }
    }
}
