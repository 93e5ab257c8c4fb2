//! Which files are whole and not in the index yet, because their body is still coming in?
//!
//! The sweep for files that nobody uses leaves these alone. Those whose body was given up are handed to the
//! writer, which removes them unless somebody else uses them.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::bodies::Digest;

/// Files that will be used, with how many bodies wait for each.
#[derive(Debug, Default)]
pub(super) struct Loose {
    files: Mutex<HashMap<Digest, u32>>,
    given_up: Mutex<Vec<Digest>>,
}

impl Loose {
    /// Notes a file that a body in flight will use.
    pub(super) fn add(&self, digest: &Digest) {
        let mut files = self.files.lock();
        let count = files.entry(*digest).or_default();
        *count = count.saturating_add(1);
    }

    /// Notes that a body was given up before its file came into the index.
    pub(super) fn give_up(&self, digest: &Digest) {
        self.release(digest);
        self.given_up.lock().push(*digest);
    }

    /// The files of bodies that were given up, once each.
    pub(super) fn take_given_up(&self) -> Vec<Digest> {
        std::mem::take(&mut self.given_up.lock())
    }

    /// Notes that a body does not need its file held any more: it is in the index.
    pub(super) fn release(&self, digest: &Digest) {
        let mut files = self.files.lock();
        if let Some(count) = files.get_mut(digest) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                files.remove(digest);
            }
        }
    }

    /// Whether a body in flight needs the file.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.files.lock().contains_key(digest)
    }
}
