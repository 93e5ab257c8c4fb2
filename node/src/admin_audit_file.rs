//! Where do the lines of the audit log lie? In a file that only grows, one JSON object a line.
//!
//! The file is opened for each line, so that whoever moves it away for rotation need tell nobody.
//!
//! # Invariants
//!
//! 1. A line is whole, or the attempt says that it is not; the next one begins on a line of its own.
//! 2. A disk that hangs holds one thread, and each line waits [`WITHIN`] at most.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// Time for one line, the wait for others included.
const WITHIN: Duration = Duration::from_secs(5);
/// Nobody but the node's user may read who did what.
const MODE: u32 = 0o600;

/// Why a line is not in the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditFileError {
    /// The system refuses it.
    #[error("the audit file {} cannot be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It takes too long; the line may be written yet.
    #[error("the audit file {} was not written within {WITHIN:?}", path.display())]
    Late {
        /// The file.
        path: PathBuf,
    },
}

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct AuditFile {
    path: Arc<Path>,
    /// One line at a time.
    turn: Arc<Semaphore>,
}

impl AuditFile {
    /// The file at `path`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`AuditFileError::Io`] if no line could be added to it.
    pub(crate) fn open(path: &Path) -> Result<Self, AuditFileError> {
        let failed = |source| AuditFileError::Io { path: path.to_owned(), source };
        open(path).map_err(failed)?;
        Ok(Self { path: path.into(), turn: Arc::new(Semaphore::new(1)) })
    }

    /// Adds `line`, which has no line break in it.
    ///
    /// Dropping the future leaves a line that is being written to be written.
    ///
    /// # Errors
    ///
    /// [`AuditFileError`]; the line is not there, or not known to be.
    pub(crate) async fn add(&self, line: String) -> Result<(), AuditFileError> {
        let path = Arc::clone(&self.path);
        let writing = async {
            let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(io::Error::other)?;
            let writing = tokio::task::spawn_blocking(move || {
                let written = append(&path, &line);
                drop(turn);
                written
            });
            writing.await.map_err(io::Error::other)?
        };
        match tokio::time::timeout(WITHIN, writing).await {
            Ok(written) => written
                .map_err(|source| AuditFileError::Io { path: self.path.to_path_buf(), source }),
            Err(_late) => Err(AuditFileError::Late { path: self.path.to_path_buf() }),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = open(path)?;
    let before = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(line.len().saturating_add(2));
    if before > 0 && last_byte(&mut file)? != b'\n' {
        // A line broke off, with the process or for lack of room.
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(line.as_bytes());
    bytes.push(b'\n');
    file.write_all(&bytes).inspect_err(|_full| {
        // Half a line is of no use; where it cannot be taken back, the next line begins anew.
        drop(file.set_len(before));
    })
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("weir-audit-{}-{name}", std::process::id())))
        }

        fn text(&self) -> String {
            std::fs::read_to_string(&self.0).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(std::fs::remove_file(&self.0));
        }
    }

    #[tokio::test]
    async fn lines_are_added_for_the_node_alone_to_read() {
        let scratch = Scratch::new("lines");
        let file = AuditFile::open(&scratch.0).unwrap();
        let mode = std::fs::metadata(&scratch.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for line in ["a", "b"] {
            file.add(line.to_owned()).await.unwrap();
        }
        AuditFile::open(&scratch.0).unwrap().add("c".to_owned()).await.unwrap();
        assert_eq!(scratch.text(), "a\nb\nc\n");
    }

    #[tokio::test]
    async fn a_line_after_one_that_broke_off_stands_by_itself() {
        let scratch = Scratch::new("broken");
        std::fs::write(&scratch.0, "whole\nhal").unwrap();
        AuditFile::open(&scratch.0).unwrap().add("next".to_owned()).await.unwrap();
        assert_eq!(scratch.text(), "whole\nhal\nnext\n");
    }

    #[tokio::test]
    async fn a_file_that_was_moved_away_is_made_again() {
        let (scratch, moved) = (Scratch::new("rotated"), Scratch::new("rotated.1"));
        let file = AuditFile::open(&scratch.0).unwrap();
        file.add("a".to_owned()).await.unwrap();
        std::fs::rename(&scratch.0, &moved.0).unwrap();
        file.add("b".to_owned()).await.unwrap();
        assert_eq!((moved.text(), scratch.text()), ("a\n".to_owned(), "b\n".to_owned()));
    }

    #[tokio::test]
    async fn a_full_disk_and_a_folder_that_is_gone_are_told() {
        let full = AuditFile::open(Path::new("/dev/full")).unwrap();
        let error = full.add("a".to_owned()).await.unwrap_err();
        assert!(matches!(error, AuditFileError::Io { .. }), "{error}");
        assert!(AuditFile::open(Path::new("/nowhere/audit.jsonl")).is_err());
    }

    #[tokio::test]
    async fn lines_added_at_once_are_each_whole() {
        let scratch = Scratch::new("many");
        let file = AuditFile::open(&scratch.0).unwrap();
        let line = |n: usize| format!("{n}:{}", "x".repeat(5_000));
        let adding = (0..50).map(|n| file.add(line(n)));
        for added in futures_util::future::join_all(adding).await {
            added.unwrap();
        }
        let text = scratch.text();
        let mut found: Vec<&str> = text.lines().collect();
        let mut expected: Vec<String> = (0..50).map(line).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
