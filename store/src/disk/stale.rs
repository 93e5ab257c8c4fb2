//! Is what lies in the folder still what was last stored, or did changes of it get lost?
//!
//! Where changes could not be written, an old response would come back after a restart in place of the one
//! that took its place, or of none. A file marks such a folder; at the next start its content goes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn mark_of(folder: &Path) -> PathBuf {
    folder.join("stale")
}

/// Marks the folder. Where even that is refused, nothing is left to be done: a disk that takes no file
/// takes no index either.
pub(super) fn mark(folder: &Path) {
    drop(fs::File::create(mark_of(folder)));
}

/// Removes bodies and index of a marked folder, and the mark last.
///
/// # Errors
///
/// Something could not be removed; the mark stays.
pub(super) fn clear_if_marked(folder: &Path) -> io::Result<bool> {
    if !mark_of(folder).try_exists()? {
        return Ok(false);
    }
    for name in ["index.trusted", "index.redb"] {
        ignore_missing(fs::remove_file(folder.join(name)))?;
    }
    for name in ["index.sled", "bodies"] {
        ignore_missing(fs::remove_dir_all(folder.join(name)))?;
    }
    ignore_missing(fs::remove_file(mark_of(folder)))?;
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
    fn only_a_marked_folder_is_cleared() {
        let folder = crate::disk::bodies::tests::Scratch::new();
        fs::create_dir_all(folder.path().join("bodies/ab")).unwrap();
        fs::write(folder.path().join("index.redb"), "x").unwrap();
        assert!(!clear_if_marked(folder.path()).unwrap());
        mark(folder.path());
        assert!(clear_if_marked(folder.path()).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(!clear_if_marked(folder.path()).unwrap());
    }
}
