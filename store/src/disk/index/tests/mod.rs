//! What an index promises, asked of all of them.

mod deadline;
mod faults;
mod folder;
mod guard;
mod kill;
mod properties;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Batch, Index, IndexKind, IndexLimits, Opened, OpenedState, open};

/// A folder of a test's own, removed when it is done.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("weir-index-{}-{number}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// All files of the index in it with the ending `ending`, and their length.
    fn files(&self, ending: &str) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let (path, metadata) = entry.map(|e| (e.path(), e.metadata().unwrap())).unwrap();
                if metadata.is_dir() {
                    folders.push(path);
                } else if path.to_str().unwrap().ends_with(ending) {
                    found.push((path, metadata.len()));
                }
            }
        }
        found
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn limits() -> IndexLimits {
    IndexLimits {
        memory_bytes: 8 << 20,
        open_within: Duration::from_secs(60),
        reopen_every: Duration::ZERO,
    }
}

/// Opens what must open.
fn opened(kind: IndexKind, folder: &Path) -> (Box<dyn Index>, OpenedState) {
    let Opened { index, state } = open(kind, folder, limits()).unwrap();
    (index, state)
}

fn put(index: &dyn Index, key: &str, value: &str) {
    index.apply(&puts(&[(key, value)])).unwrap();
}

fn puts(changes: &[(&str, &str)]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in changes {
        batch.put(*key, *value);
    }
    batch
}

fn get(index: &dyn Index, key: &str) -> Option<String> {
    index.get(key.as_bytes()).unwrap().map(|value| String::from_utf8(value).unwrap())
}
