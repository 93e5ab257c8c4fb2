//! From which position on does this node ask for purges again when it starts anew?
//!
//! What is stored on disk is judged by the purges since it was fetched. A node that starts knows none of
//! them; it asks the log for all since the position kept here, which is where it last took the log up. One
//! line in a file, made durable before anything is stored under it. Where it is missing or cannot be read,
//! the node takes the log up at its head, and what is on disk is validated before it is used.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use weir_cache::purge::AsOf;

/// The file of one node.
#[derive(Debug, Clone)]
pub(crate) struct Floor {
    folder: PathBuf,
}

impl Floor {
    /// That of the node with this data folder.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("purge-floor")
    }

    /// The position kept; `None` if there is none that can be read.
    pub(crate) fn read(&self) -> Option<AsOf> {
        fs::read_to_string(self.path()).ok()?.trim_end().parse().ok()
    }

    /// Keeps `position` from now on. Blocks for as long as the disk takes to make it durable.
    ///
    /// # Errors
    ///
    /// The position kept before stands, or none.
    pub(crate) fn write(&self, position: AsOf) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let aside = self.folder.join("purge-floor.new");
        let mut file = File::create(&aside)?;
        writeln!(file, "{position}")?;
        file.sync_all()?;
        fs::rename(&aside, self.path())?;
        File::open(&self.folder)?.sync_all()
    }

    /// Forgets the position: a full disk still lets go of a file.
    pub(crate) fn forget(&self) {
        if let Err(error) = fs::remove_file(self.path())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "an old position in the purge log cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_cache::purge::Epoch;

    use super::*;

    #[test]
    fn a_position_is_kept_until_another_one_is() {
        let name = format!("weir-floor-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let floor = Floor::new(&folder);
        assert_eq!(floor.read(), None);
        for seq in [7, 9] {
            let position = AsOf { epoch: Epoch::new(5), seq };
            floor.write(position).unwrap();
            assert_eq!(floor.read(), Some(position));
        }
        fs::write(floor.path(), "no position").unwrap();
        assert_eq!(floor.read(), None);
        floor.forget();
        floor.forget();
        assert!(!floor.path().exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
