//! How many bytes may all fills together hold, in memory and on disk?
//!
//! A budget is a counter with a ceiling. Reservations are returned when the [`Reserved`] is dropped,
//! so that no path can forget to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A shared ceiling on bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicU64,
    bytes_max: u64,
}

impl Budget {
    /// A budget of `bytes_max`.
    pub(crate) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), bytes_max })
    }

    /// An empty reservation on this budget, to be grown.
    pub(crate) fn reserve(self: &Arc<Self>) -> Reserved {
        Reserved { budget: Arc::clone(self), bytes: 0 }
    }

    /// Bytes reserved at this moment.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }
}

/// Bytes held from a [`Budget`] until dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reserved {
    /// Takes `more` bytes; `false`, and nothing taken, if the ceiling would be passed.
    pub(crate) fn grow(&mut self, more: u64) -> bool {
        let taken = self.budget.used.fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(more).filter(|total| *total <= self.budget.bytes_max)
        });
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }

    /// Gives everything back early.
    pub(crate) fn release(&mut self) {
        self.budget.used.fetch_sub(std::mem::take(&mut self.bytes), Relaxed);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_refuses_past_its_ceiling_and_gets_bytes_back() {
        let budget = Budget::new(100);
        let mut first = budget.reserve();
        assert!(first.grow(60));
        let mut second = budget.reserve();
        assert!(!second.grow(50), "60 + 50 is above 100");
        assert_eq!(budget.used(), 60);
        drop(first);
        assert!(second.grow(50));
        second.release();
        assert_eq!(budget.used(), 0);
    }
}
