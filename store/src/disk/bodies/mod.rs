//! Which bodies lie on the disk, and are they what was written?
//!
//! A body is a file named by the digest of its content. It is written aside and renamed, so that under a
//! digest's name there is a whole file or none, and it says itself which stored responses it belongs to,
//! so that an index can be made again from the files alone. What is stored under which key, what is
//! evicted, and how fast anybody may write or verify is decided elsewhere. All calls block on the disk.
//!
//! ```text
//!   bodies/ab/abcdef...  a body (see `format`), in the folder of its first byte
//!   bodies/tmp/7         a body that is being written; what an earlier process left is removed
//!   bad/abcdef...        a damaged body, kept for whoever wants to look
//! ```
//!
//! # Invariants
//!
//! 1. Whatever fails, and whenever the process ends, a file under a digest's name has a whole header and
//!    its whole content. Only a power cut, without [`SyncMode::Data`], and the disk itself can spoil that.
//! 2. Spoilt bytes are found by [`OpenBody::verify`], and by opening if they are those of the header.
//! 3. Content never changes. A file is replaced only if it is damaged, and grows only by records.
//!
//! One process works in a folder (see [`lock`](super::lock)); any number of its threads may call.

mod digest;
mod error;
mod format;
pub(super) mod fuzzing;
mod read;
mod scrub;
#[cfg(test)]
pub(super) mod tests;
mod walk;
mod write;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

pub(crate) use self::digest::Digest;
pub use self::error::{BodiesOpenError, BodyDamage, BodyError};
pub use self::read::OpenBody;
pub(crate) use self::scrub::{Scrubbed, Scrubber};
pub(crate) use self::walk::FoundBody;
pub(crate) use self::write::BodyWriter;
#[cfg(test)]
pub(crate) use self::write::Written;
use super::files::{Files, Space, space};
use crate::faults::Faults;

/// Damaged bodies that are kept.
const BAD_MAX: usize = 16;

/// What is made durable before a body counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// The content, its records and its name: a power cut loses nothing that was written before.
    Data,
    /// Nothing: a power cut may lose bodies of the last half minute or so, and leave some of them
    /// spoilt, which has to be looked for.
    #[default]
    None,
}

/// The bodies in a folder. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Bodies {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: Files,
    bodies: PathBuf,
    aside: PathBuf,
    bad: PathBuf,
    sync: SyncMode,
    /// The name of the next file written aside.
    next_aside: AtomicU64,
    /// Held while a file gets or loses a digest's name, or grows.
    names: Mutex<()>,
}

impl Bodies {
    /// Makes the folders ready below `folder`, which this process has locked, and removes what was being
    /// written there.
    ///
    /// Nothing is read; costs the same whatever the number of bodies. Works on a file system that has
    /// become read-only, if the folders are there.
    ///
    /// # Errors
    ///
    /// [`BodiesOpenError`].
    pub(crate) fn open(
        folder: &Path,
        sync: SyncMode,
        faults: Option<Faults>,
    ) -> Result<Self, BodiesOpenError> {
        let files = Files::new(faults);
        let bodies = folder.join("bodies");
        let (aside, bad) = (bodies.join("tmp"), folder.join("bad"));
        for path in [&aside, &bad] {
            files.make_folder(path).map_err(failed("make the folder", path))?;
        }
        for name in files.names(&aside).map_err(failed("read the folder", &aside))? {
            // One that cannot be removed costs room, and its name is passed over.
            drop(files.unlink(&aside.join(name)));
        }
        let (next_aside, names) = (AtomicU64::new(0), Mutex::new(()));
        let shared = Shared { files, bodies, aside, bad, sync, next_aside, names };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Takes a body away, and says whether it was there. Whoever has it open can go on reading.
    ///
    /// # Errors
    ///
    /// What the system says. The body is there as before.
    pub(crate) fn remove(&self, digest: &Digest) -> io::Result<bool> {
        let _names = self.shared.names.lock();
        self.unlink(&self.path(digest))
    }

    /// Takes a damaged body away, so that it is written anew, and keeps it apart for whoever wants to
    /// look; from the seventeenth on, it is removed. One that is not there costs nothing.
    ///
    /// # Errors
    ///
    /// What the system says. The body may be there as before: it must not be used, and cannot be
    /// written anew.
    pub(crate) fn set_aside(&self, digest: &Digest) -> io::Result<()> {
        let Shared { files, bad, names, .. } = &*self.shared;
        let _names = names.lock();
        let path = self.path(digest);
        let has_room = files.names(bad).is_ok_and(|kept| kept.len() < BAD_MAX);
        // To be rid of it matters more than to keep it.
        if has_room && files.rename(&path, &bad.join(digest.to_string())).is_ok() {
            return Ok(());
        }
        self.unlink(&path).map(drop)
    }

    /// Whether there is a file under the name of a body. Costs one system call.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        // Where the system does not say, the one who reads it is told.
        self.path(digest).try_exists().unwrap_or(true)
    }

    /// How much room there is on the file system of the bodies.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn space(&self) -> io::Result<Space> {
        space(&self.shared.bodies)
    }

    fn unlink(&self, path: &Path) -> io::Result<bool> {
        match self.shared.files.unlink(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The file of a body.
    fn path(&self, digest: &Digest) -> PathBuf {
        self.shelf(digest.shelf()).join(digest.to_string())
    }

    /// The folder of the bodies whose digests begin with this byte.
    fn shelf(&self, first: u8) -> PathBuf {
        self.shared.bodies.join(format!("{first:02x}"))
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BodiesOpenError {
    move |source| BodiesOpenError { what, path: path.to_owned(), source }
}
