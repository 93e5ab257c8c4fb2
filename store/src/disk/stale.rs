//! Is what lies in the folder still what was last stored, or did changes of it get lost?
//!
//! Where changes could not be written, an old response would come back after a restart in place of the one
//! that took its place, or of none. A file says that none are lost; without it the content goes at the next
//! start. It is a file that is there and not one that is missing, because a full or failing disk still lets
//! a file be removed when none can be made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn mark_of(folder: &Path) -> PathBuf {
    folder.join("current")
}

/// Notes that changes may get lost.
pub(super) fn distrust(folder: &Path) {
    // Should even that fail, the disk takes nothing and gives nothing.
    drop(fs::remove_file(mark_of(folder)));
}

/// Notes that no change is lost.
///
/// # Errors
///
/// What the system says; the folder counts as one whose content is out of date.
pub(super) fn trust(folder: &Path) -> io::Result<()> {
    fs::File::create(mark_of(folder)).map(drop)
}

/// Removes bodies and index where changes of them may be lost, and begins anew; returns whether it did.
///
/// # Errors
///
/// Something could not be removed, or the note that all is well not be made.
pub(super) fn clear_unless_current(folder: &Path) -> io::Result<bool> {
    if mark_of(folder).try_exists()? {
        return Ok(false);
    }
    for name in ["index.trusted", "index.redb"] {
        ignore_missing(fs::remove_file(folder.join(name)))?;
    }
    for name in ["index.sled", "bodies"] {
        ignore_missing(fs::remove_dir_all(folder.join(name)))?;
    }
    trust(folder)?;
    Ok(true)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_without_the_note_is_cleared() {
        let folder = crate::disk::bodies::tests::Scratch::new();
        fs::create_dir_all(folder.path().join("bodies/ab")).unwrap();
        fs::write(folder.path().join("index.redb"), "x").unwrap();
        trust(folder.path()).unwrap();
        assert!(!clear_unless_current(folder.path()).unwrap());
        distrust(folder.path());
        assert!(clear_unless_current(folder.path()).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the note alone");
        assert!(!clear_unless_current(folder.path()).unwrap());
    }
}
