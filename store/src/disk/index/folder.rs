//! Which files in the folder of the tier belong to its index, and which of them are believed?
//!
//! ```text
//! index.redb        the index of one kind
//! index.sled/g<n>/  that of the other. <n> grows whenever one is made, so that a thread that is
//!                   stuck in an older one cannot write into its successor by name
//! index.making      there until an index is made: one beside it holds nothing, and is removed
//! index.trusted     there while nothing has gone wrong: an index without it is set aside
//! index.gone        the index of a kind that is not wanted any more, on its way out
//! bad/index-<n>     the index that was set aside last
//! ```
//!
//! Trust is a file that is there and not one that is missing, because a full or failing disk still
//! lets a file be removed when none can be made.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::error::IndexOpenError;
use super::{IndexKind, engine};

/// What every `snap.*` file that sled has not finished ends with.
const UNFINISHED: &str = ".generating";

/// The files of an index of one kind.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    folder: PathBuf,
    kind: IndexKind,
}

impl Folder {
    pub(super) fn new(folder: &Path, kind: IndexKind) -> Self {
        Self { folder: folder.to_owned(), kind }
    }

    pub(super) fn kind(&self) -> IndexKind {
        self.kind
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// The file or folder of the index.
    pub(super) fn index(&self) -> PathBuf {
        self.folder.join(name(self.kind))
    }

    fn trusted(&self) -> PathBuf {
        self.folder.join("index.trusted")
    }

    fn making(&self) -> PathBuf {
        self.folder.join("index.making")
    }

    fn gone(&self) -> PathBuf {
        self.folder.join("index.gone")
    }

    /// Makes the folder, and removes what a start was cut short with, and the index of any other
    /// kind. That is renamed first: half of it must not be found when the kind is changed back.
    pub(super) fn prepare(&self) -> Result<(), IndexOpenError> {
        fs::create_dir_all(&self.folder)
            .map_err(|source| self.error("make the folder", &self.folder, source))?;
        self.remove(&self.gone())?;
        if exists(&self.making()) {
            self.unmake().map_err(|source| self.error("remove", &self.index(), source))?;
        }
        for other in IndexKind::ALL.into_iter().filter(|other| *other != self.kind) {
            let path = self.folder.join(name(other));
            if exists(&path) {
                fs::rename(&path, self.gone())
                    .map_err(|source| self.error("move away", &path, source))?;
                self.remove(&self.gone())?;
            }
        }
        Ok(())
    }

    pub(super) fn has_index(&self) -> bool {
        exists(&self.index())
    }

    pub(super) fn is_trusted(&self) -> bool {
        exists(&self.trusted())
    }

    /// Notes that nothing is wrong with the index.
    pub(super) fn trust(&self) -> io::Result<()> {
        if !self.is_trusted() {
            drop(engine::open_file(&self.trusted(), true)?);
            self.sync()?;
        }
        Ok(())
    }

    /// Notes that the index must not be used by the next start.
    ///
    /// Should even that fail, the next start meets what this one has met.
    pub(super) fn distrust(&self) {
        if fs::remove_file(self.trusted()).is_ok() {
            drop(self.sync());
        }
    }

    /// Makes room for an index: what is there is kept as the only one in `bad`.
    pub(super) fn set_aside(&self) -> Result<(), IndexOpenError> {
        let bad = self.folder.join("bad");
        let older = set_aside_before(&bad);
        let number = older.iter().map(|(number, _)| number + 1).max().unwrap_or(1);
        let moved = fs::create_dir_all(&bad)
            .and_then(|()| fs::rename(self.index(), bad.join(format!("index-{number}"))));
        for (_, path) in older {
            // What stays is removed the next time.
            drop(remove_all(&path));
        }
        if moved.is_ok() { Ok(()) } else { self.remove(&self.index()) }
    }

    /// Notes that an index is being made, and that nothing is wrong with it.
    pub(super) fn make(&self) -> io::Result<()> {
        drop(engine::open_file(&self.making(), true)?);
        self.trust()
    }

    /// Notes that the index is made. From here on it holds what must not be removed, also after a
    /// power cut.
    pub(super) fn made(&self) -> io::Result<()> {
        fs::remove_file(self.making())?;
        self.sync()
    }

    /// Removes an index that is not made.
    pub(super) fn unmake(&self) -> io::Result<()> {
        remove_all(&self.index())?;
        remove_all(&self.making())
    }

    /// The number of the newest generation of a sled, 0 if there is none.
    pub(super) fn generation(&self) -> u64 {
        numbered(&self.index(), "g").into_iter().map(|(number, _)| number).max().unwrap_or(0)
    }

    /// The number of a generation that was never there, not even in a thread that is still stuck.
    pub(super) fn next_generation(&self) -> u64 {
        static NEWEST: AtomicU64 = AtomicU64::new(0);
        NEWEST.fetch_max(self.generation(), Ordering::Relaxed);
        NEWEST.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn generation_path(&self, generation: u64) -> PathBuf {
        self.index().join(format!("g{generation}"))
    }

    /// Removes what keeps a sled from opening: other generations, and snapshots that a kill has cut
    /// short. Those it would take for the newest and, finding them damaged, give up.
    pub(super) fn clean_generation(&self, generation: u64) -> io::Result<()> {
        for (number, path) in numbered(&self.index(), "g") {
            if number != generation {
                remove_all(&path)?;
            }
        }
        for path in entries(&self.generation_path(generation)) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("snap.") && name.ends_with(UNFINISHED) {
                remove_all(&path)?;
            }
        }
        Ok(())
    }

    /// Makes the names in the folder durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// The room that the index takes on disk, in bytes. What cannot be read counts nothing.
    pub(super) fn bytes_on_disk(&self) -> u64 {
        bytes_on_disk(&self.index())
    }

    pub(super) fn error(
        &self,
        what: &'static str,
        path: &Path,
        source: io::Error,
    ) -> IndexOpenError {
        IndexOpenError::io(what, path.to_owned(), source)
    }

    fn remove(&self, path: &Path) -> Result<(), IndexOpenError> {
        remove_all(path).map_err(|source| self.error("remove", path, source))
    }
}

fn name(kind: IndexKind) -> &'static str {
    match kind {
        IndexKind::Redb => "index.redb",
        IndexKind::Sled => "index.sled",
    }
}

/// Whether anything has that name, be it a link that leads nowhere.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn set_aside_before(bad: &Path) -> Vec<(u64, PathBuf)> {
    numbered(bad, "index-")
}

/// What is in `folder` under `prefix` and a number.
fn numbered(folder: &Path, prefix: &str) -> Vec<(u64, PathBuf)> {
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok();
    entries(folder).into_iter().filter_map(|path| Some((number(&path)?, path))).collect()
}

/// What is in `folder`: nothing, if it is not there or cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// How often a folder is emptied again into which something was written meanwhile, and the pause before that.
const REMOVE_AGAIN: (u32, Duration) = (100, Duration::from_millis(10));

/// Removes a file, or a folder with all that is in it. That it is not there is no error.
fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => remove_folder(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a folder. An engine whose opening was given up may be writing its first files still.
#[expect(clippy::disallowed_methods, reason = "nobody says when the other thread is done")]
fn remove_folder(path: &Path) -> io::Result<()> {
    let (times, pause) = REMOVE_AGAIN;
    for _ in 0..times {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => thread::sleep(pause),
            removed => return removed,
        }
    }
    fs::remove_dir_all(path)
}

fn bytes_on_disk(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else {
        return 0;
    };
    // The unit of `st_blocks`, whatever the block size of the file system.
    let own = metadata.blocks().saturating_mul(512);
    if metadata.is_dir() {
        entries(path).iter().map(|entry| bytes_on_disk(entry)).fold(own, u64::saturating_add)
    } else {
        own
    }
}
