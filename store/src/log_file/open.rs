//! What lies in the folder of a log, and what has to be done before it can be appended to?
//!
//! ```text
//!   folder ─► lock ─► purge.log?  no      ─► make one                         Born::New
//!                                 whole   ─► cut the torn tail, make durable  Born::Resumed
//!                                 damaged ─► set aside, make one              Born::Replaced
//! ```
//!
//! # Invariants
//!
//! 1. A log gets its name only when its header is durable.
//! 2. A crash at any point leaves a folder that opens. One between setting aside and making leaves
//!    no log: the next one is then [`Born::New`] and has a new epoch all the same.
//! 3. At most [`DAMAGED_MAX`] logs that were set aside are kept, the newest.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::disk::{Disk, sync_folder};
use super::format::Header;
use super::scan::{Contents, Unreadable};
use super::{Born, Damage, LogOpenError};

/// Logs set aside that are kept.
const DAMAGED_MAX: usize = 3;
/// The number of the first entry of a log.
const FIRST_SEQ: u64 = 1;

/// A log that can be appended to.
pub(super) struct Opened {
    pub(super) lock: File,
    pub(super) file: File,
    pub(super) contents: Contents,
    pub(super) born: Born,
    pub(super) cut_bytes: u64,
}

/// Opens the log, or makes one with `new_epoch`.
pub(super) fn open(disk: &Disk, new_epoch: u64) -> Result<Opened, LogOpenError> {
    make_folder(disk.folder()).map_err(failed("make the folder", disk.folder()))?;
    let lock = lock(disk)?;
    // A crash may have left it behind; whoever makes the next one removes it if this cannot.
    drop(std::fs::remove_file(disk.aside()));
    let file = match disk.open(&disk.log()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return made(disk, lock, new_epoch, Born::New);
        }
        Err(error) => return Err(failed("open the purge log", disk.log())(error)),
    };
    match resume(disk, &file) {
        Ok((contents, cut_bytes)) => {
            Ok(Opened { lock, file, contents, born: Born::Resumed, cut_bytes })
        }
        Err(Unreadable::Damaged { epoch: Some(epoch), .. }) if epoch == new_epoch => {
            Err(LogOpenError::EpochTaken { epoch })
        }
        Err(Unreadable::Damaged { why, .. }) => replace(disk, lock, new_epoch, why),
        Err(Unreadable::Io(error)) => {
            Err(failed("read or repair the purge log", disk.log())(error))
        }
        Err(Unreadable::OtherVersion(version)) => {
            Err(LogOpenError::OtherFormat { path: disk.log(), version })
        }
    }
}

/// Reads a log, cuts its torn tail off, and makes the rest durable; returns how much was cut.
fn resume(disk: &Disk, file: &File) -> Result<(Contents, u64), Unreadable> {
    let bytes = file.metadata()?.len();
    let contents = Contents::read(disk.reader(file)?, bytes)?;
    let cut_bytes = bytes - contents.whole_bytes;
    if cut_bytes > 0 {
        disk.truncate(file, contents.whole_bytes)?;
    }
    settle(disk, file, &contents)?;
    Ok((contents, cut_bytes))
}

/// Makes durable what was read.
///
/// The last append may have been written by a process that ended before it was synced, or whose
/// sync failed. Its pages may then be in memory only, marked as written, where no sync touches
/// them. Writing them once more makes it sure, and changes nothing if they are on the disk. All
/// before was synced.
fn settle(disk: &Disk, file: &File, contents: &Contents) -> io::Result<()> {
    let length = contents.whole_bytes - contents.last_append_at;
    let length = usize::try_from(length).map_err(io::Error::other)?;
    if length > 0 {
        let last_append = disk.read(file, contents.last_append_at, length)?;
        disk.write(file, &last_append, contents.last_append_at)?;
    }
    disk.sync_all(file)?;
    // The process before may have ended between a rename and this.
    disk.sync_folder()
}

fn replace(disk: &Disk, lock: File, new_epoch: u64, why: Damage) -> Result<Opened, LogOpenError> {
    let failed = failed("set aside the damaged purge log", disk.folder());
    let set_aside = set_aside(disk).map_err(failed)?;
    made(disk, lock, new_epoch, Born::Replaced { why, set_aside })
}

/// Gives the log the name of a damaged one, durably, and removes the oldest of those.
pub(super) fn set_aside(disk: &Disk) -> io::Result<PathBuf> {
    let mut kept = damaged(disk.folder())?;
    let number = kept.last().map_or(1, |newest| newest.saturating_add(1));
    let set_aside = damaged_path(disk, number);
    disk.rename(&disk.log(), &set_aside)?;
    disk.sync_folder()?;
    kept.push(number);
    for old in &kept[..kept.len().saturating_sub(DAMAGED_MAX)] {
        // One that cannot be removed costs room; it is no reason for a node not to start.
        drop(std::fs::remove_file(damaged_path(disk, *old)));
    }
    Ok(set_aside)
}

fn damaged_path(disk: &Disk, number: u64) -> PathBuf {
    disk.folder().join(format!("{}{number}", Disk::damaged_prefix()))
}

/// The numbers of the logs that were set aside, the oldest first.
fn damaged(folder: &Path) -> io::Result<Vec<u64>> {
    let prefix = Disk::damaged_prefix();
    let mut numbers = Vec::new();
    for item in std::fs::read_dir(folder)? {
        let name = item?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes a log without entries.
fn made(disk: &Disk, lock: File, epoch: u64, born: Born) -> Result<Opened, LogOpenError> {
    let header = Header { epoch, first_seq: FIRST_SEQ };
    let file = make(disk, header).map_err(failed("make the purge log", disk.log()))?;
    Ok(Opened { lock, file, contents: Contents::empty(header), born, cut_bytes: 0 })
}

fn make(disk: &Disk, header: Header) -> io::Result<File> {
    let file = create_aside(disk)?;
    disk.write(&file, &header.encode(), 0)?;
    disk.sync_all(&file)?;
    disk.rename(&disk.aside(), &disk.log())?;
    disk.sync_folder()?;
    Ok(file)
}

/// Makes the file that is to become the log, in place of one that a crash left behind.
pub(super) fn create_aside(disk: &Disk) -> io::Result<File> {
    match std::fs::remove_file(disk.aside()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => disk.create(&disk.aside()),
    }
}

/// Takes the lock, which ends when the file is closed, also by the end of the process.
///
/// Not that of the log itself: compaction puts another file under its name.
fn lock(disk: &Disk) -> Result<File, LogOpenError> {
    let failed = failed("lock", disk.lock());
    let file = disk.open_or_create(&disk.lock()).map_err(&failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(LogOpenError::InUse { folder: disk.folder().to_owned() })
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Makes `folder` and those above it as far as they are missing, durably and for this user alone.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = match folder.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    make_folder(above)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        // Made by someone else at the same time.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(above),
    }
}

fn failed(what: &'static str, path: impl Into<PathBuf>) -> impl Fn(io::Error) -> LogOpenError {
    let path = path.into();
    move |source| LogOpenError::Io { what, path: path.clone(), source }
}
