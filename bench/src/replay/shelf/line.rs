//! FIFO and LRU: one line, from whose end objects go.
//!
//! The line is a list through two arrays with a place for each object of the log.

use std::sync::Arc;

use super::{Shelf, charge};

/// No object.
const NONE: u32 = u32::MAX;

/// The neighbors of an object in the line.
#[derive(Debug, Clone, Copy)]
struct Links {
    /// Toward the end from which objects go.
    older: u32,
    newer: u32,
    is_held: bool,
}

/// Objects in a line.
#[derive(Debug)]
pub(super) struct Line {
    links: Vec<Links>,
    oldest: u32,
    newest: u32,
    bytes: u64,
    bytes_max: u64,
    charges: Arc<[u64]>,
    /// Whether a hit brings an object to the front.
    moves: bool,
}

impl Line {
    pub(super) fn new(moves: bool, bytes_max: u64, charges: Arc<[u64]>) -> Self {
        let links = vec![Links { older: NONE, newer: NONE, is_held: false }; charges.len()];
        Self { links, oldest: NONE, newest: NONE, bytes: 0, bytes_max, charges, moves }
    }

    fn set(&mut self, object: u32, change: impl FnOnce(&mut Links)) {
        if let Some(links) = self.links.get_mut(object as usize) {
            change(links);
        }
    }

    fn unlink(&mut self, object: u32) {
        let Some(Links { older, newer, .. }) = self.links.get(object as usize).copied() else {
            return;
        };
        if older == NONE {
            self.oldest = newer;
        } else {
            self.set(older, |links| links.newer = newer);
        }
        if newer == NONE {
            self.newest = older;
        } else {
            self.set(newer, |links| links.older = older);
        }
    }

    fn link(&mut self, object: u32) {
        let before = self.newest;
        self.set(object, |links| *links = Links { older: before, newer: NONE, is_held: true });
        if before == NONE {
            self.oldest = object;
        } else {
            self.set(before, |links| links.newer = object);
        }
        self.newest = object;
    }
}

impl Shelf for Line {
    fn hit(&mut self, object: u32) -> bool {
        let is_held = self.holds(object);
        if is_held && self.moves && self.newest != object {
            self.unlink(object);
            self.link(object);
        }
        is_held
    }

    fn holds(&self, object: u32) -> bool {
        self.links.get(object as usize).is_some_and(|links| links.is_held)
    }

    fn put(&mut self, object: u32, gone: &mut Vec<u32>) -> bool {
        if self.holds(object) {
            return true;
        }
        let charged = charge(&self.charges, object);
        if charged > self.bytes_max {
            return false;
        }
        while self.bytes > self.bytes_max - charged {
            let oldest = self.oldest;
            if oldest == NONE {
                break;
            }
            self.remove(oldest);
            gone.push(oldest);
        }
        self.bytes = self.bytes.saturating_add(charged);
        self.link(object);
        true
    }

    fn remove(&mut self, object: u32) {
        if self.holds(object) {
            self.unlink(object);
            self.set(object, |links| links.is_held = false);
            self.bytes = self.bytes.saturating_sub(charge(&self.charges, object));
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
