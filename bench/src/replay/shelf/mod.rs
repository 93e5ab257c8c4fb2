//! What is held within a bound, and what goes?
//!
//! The goals of nodes are asked of the code that nodes run (`weir_cache::eviction`). FIFO, LRU and S3-FIFO are here as
//! measures only.
//!
//! # Invariants
//!
//! 1. Between calls no more than the bound is held.
//! 2. What is larger than the bound is never held.

mod line;
mod s3_fifo;

use std::fmt::Debug;
use std::sync::Arc;

use weir_cache::eviction::{Goal, Shelf as GoalShelf};

use self::line::Line;
use self::s3_fifo::S3Fifo;
use super::setup::Policy;

/// Objects within a bound of bytes.
pub(super) trait Shelf: Debug + Send {
    /// Notes a hit; returns whether `object` is held.
    fn hit(&mut self, object: u32) -> bool;

    /// Whether `object` is held, without noting a hit.
    fn holds(&self, object: u32) -> bool;

    /// Has `object` held, if the policy wants to; returns whether it is. In `gone` comes what was held and went for it.
    fn put(&mut self, object: u32, gone: &mut Vec<u32>) -> bool;

    /// Removes `object`.
    fn remove(&mut self, object: u32);

    /// Bytes held.
    fn bytes(&self) -> u64;
}

/// A shelf for `bytes_max` by a policy. `charges` says what each object takes.
pub(super) fn shelf(policy: Policy, bytes_max: u64, charges: &Arc<[u64]>) -> Box<dyn Shelf> {
    let charges = Arc::clone(charges);
    match policy {
        Policy::Goal(goal) => Box::new(Production::new(goal, bytes_max, charges)),
        Policy::Fifo => Box::new(Line::new(false, bytes_max, charges)),
        Policy::Lru => Box::new(Line::new(true, bytes_max, charges)),
        Policy::S3Fifo => Box::new(S3Fifo::new(bytes_max, charges)),
    }
}

fn charge(charges: &[u64], object: u32) -> u64 {
    charges.get(object as usize).copied().unwrap_or(u64::MAX)
}

/// What nodes use.
#[derive(Debug)]
struct Production {
    shelf: GoalShelf<u32>,
    charges: Arc<[u64]>,
    /// Kept so that a put allocates nothing.
    gone: Vec<(u32, u64)>,
}

impl Production {
    fn new(goal: Goal, bytes_max: u64, charges: Arc<[u64]>) -> Self {
        Self { shelf: GoalShelf::new(goal, bytes_max), charges, gone: Vec::new() }
    }
}

impl Shelf for Production {
    fn hit(&mut self, object: u32) -> bool {
        self.shelf.get(&object)
    }

    fn holds(&self, object: u32) -> bool {
        self.shelf.contains(&object)
    }

    fn put(&mut self, object: u32, gone: &mut Vec<u32>) -> bool {
        self.gone.clear();
        let held = self.shelf.put(object, charge(&self.charges, object), &mut self.gone);
        gone.extend(self.gone.iter().map(|(other, _)| *other).filter(|other| *other != object));
        held
    }

    fn remove(&mut self, object: u32) {
        self.shelf.remove(&object);
    }

    fn bytes(&self) -> u64 {
        self.shelf.bytes()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
