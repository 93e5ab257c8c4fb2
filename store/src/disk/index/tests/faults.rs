//! What becomes of an index on a disk that is full or may not be written?
//!
//! The disks are file systems in memory, made for the test. Where they cannot be mounted, nothing
//! is tried.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use super::super::{IndexError, IndexOpenError};
use super::*;

/// A small file system in memory.
struct Mounted {
    scratch: Scratch,
}

impl Mounted {
    /// `None` where mounting is refused.
    fn new(bytes: u64) -> Option<Self> {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.path()).unwrap();
        let mounted = Self { scratch };
        let size = format!("size={bytes}");
        mounted.mount(&["-t", "tmpfs", "-o", &size, "none"]).then_some(mounted)
    }

    fn path(&self) -> &Path {
        self.scratch.path()
    }

    fn mount(&self, arguments: &[&str]) -> bool {
        run(Command::new("mount").args(arguments).arg(self.path()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}

fn run(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Asks until there is an answer. Threads of a sled that was closed may hold a file for a moment.
fn eventually<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

fn batch(number: u32) -> Batch {
    let mut batch = Batch::default();
    for row in 0..50_u32 {
        let mut key = blake3::hash(&row.to_be_bytes()).as_bytes()[..8].to_vec();
        key.extend(number.to_be_bytes());
        batch.put(key, vec![u8::try_from(number % 251).unwrap(); 400]);
    }
    batch.put("newest", number.to_be_bytes());
    batch
}

/// Writes until something is refused. Returns what was, and how many batches were flushed by then.
fn write_until_refused(index: &dyn Index) -> (IndexError, usize) {
    let mut flushed = 0;
    for number in 0..5_000_u32 {
        let mut applied = index.apply(&batch(number));
        if number % 5 == 4 && applied.is_ok() {
            applied = index.flush();
            flushed = usize::try_from(number + 1).unwrap();
        }
        if let Err(error) = applied {
            // A flush that is refused may have flushed nothing.
            return (error, flushed.saturating_sub(if number % 5 == 4 { 5 } else { 0 }));
        }
    }
    panic!("the disk is never full");
}

/// How many rows of each batch are there, counted by number.
fn rows(index: &dyn Index) -> Vec<u32> {
    let mut counts = Vec::new();
    for (key, _) in index.scan(&[], &[255; 20], usize::MAX).unwrap() {
        let Some(number) = key.get(8..12).filter(|_| key.len() == 12) else { continue };
        let number = usize::try_from(u32::from_be_bytes(number.try_into().unwrap())).unwrap();
        counts.resize(counts.len().max(number + 1), 0);
        counts[number] += 1;
    }
    counts
}

#[test]
fn a_full_disk_is_told_and_used_again_when_there_is_room() {
    for kind in IndexKind::ALL {
        let Some(disk) = Mounted::new(24 << 20) else { return };
        let ballast = disk.path().join("ballast");
        fs::write(&ballast, vec![1; 6 << 20]).unwrap();
        let (index, _) = opened(kind, disk.path());
        let (full, flushed) = write_until_refused(&*index);
        assert!(matches!(full, IndexError::Full { .. }), "{kind:?}: {full:?}");
        fs::remove_file(ballast).unwrap();
        let found = rows(&*index);
        assert!(found.iter().all(|rows| *rows == 50), "{kind:?}: {found:?}, flushed {flushed}");
        assert!(found.len() >= flushed, "{kind:?}: {flushed} were flushed, not {}", found.len());
        put(&*index, "again", "1");
        index.flush().unwrap();
        drop(index);
        let (index, state) = opened(kind, disk.path());
        assert_eq!((state, get(&*index, "again").as_deref()), (OpenedState::Kept, Some("1")));
        assert_eq!(rows(&*index), found, "{kind:?}");
    }
}

#[test]
fn a_disk_without_any_room_is_an_error_and_nothing_is_set_aside() {
    for kind in IndexKind::ALL {
        let Some(disk) = Mounted::new(8 << 20) else { return };
        drop(fs::write(disk.path().join("ballast"), vec![1; 16 << 20]));
        let error = open(kind, disk.path(), limits()).err().unwrap();
        assert!(matches!(error, IndexOpenError::Full { .. }), "{kind:?}: {error:?}");
        fs::remove_file(disk.path().join("ballast")).unwrap();
        let index = eventually("there is room again", || {
            open(kind, disk.path(), limits()).ok().map(|opened| opened.index)
        });
        put(&*index, "a", "1");
        assert!(!disk.path().join("bad").exists());
    }
}

#[test]
fn a_folder_that_may_not_be_written_is_an_error_and_nothing_is_lost() {
    for kind in IndexKind::ALL {
        let Some(disk) = Mounted::new(64 << 20) else { return };
        let (index, _) = opened(kind, disk.path());
        put(&*index, "a", "1");
        drop(index);
        eventually("nothing is being written", || disk.mount(&["-o", "remount,ro"]).then_some(()));
        let error = open(kind, disk.path(), limits()).err().unwrap();
        let text = error.to_string();
        assert!(text.starts_with("cannot open "), "{kind:?}: {error:?}");
        assert!(text.contains(disk.path().to_str().unwrap()), "{text}");
        assert!(disk.mount(&["-o", "remount,rw"]));
        let (index, state) = opened(kind, disk.path());
        assert_eq!((state, get(&*index, "a").as_deref()), (OpenedState::Kept, Some("1")));
    }
}
