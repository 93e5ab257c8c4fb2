//! How many tunnels are there, and how are they all ended?

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::watch;

/// The tunnels of one node.
#[derive(Debug)]
pub(crate) struct Tunnels {
    active: Arc<watch::Sender<usize>>,
    cut: watch::Sender<bool>,
    /// Places taken, those of tunnels that are still asked for included.
    taken: Arc<AtomicUsize>,
}

impl Tunnels {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            active: Arc::new(watch::Sender::new(0)),
            cut: watch::Sender::new(false),
            taken: Arc::default(),
        }
    }

    /// A place, if fewer than `most` are taken.
    pub(super) fn enter(&self, most: usize) -> Option<Place> {
        let one_more = |taken: usize| (taken < most).then_some(taken + 1);
        self.taken.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        self.active.send_modify(|active| *active += 1);
        Some(Place { active: Arc::clone(&self.active), taken: Arc::clone(&self.taken) })
    }

    /// Tunnels there are, and those that are asked for.
    pub(crate) fn active(&self) -> usize {
        *self.active.borrow()
    }

    /// Waits until there is none.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as this.
        self.active.subscribe().wait_for(|active| *active == 0).await.ok();
    }

    /// Ends all of them at once.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Resolves when tunnels are to end at once.
    pub(super) async fn cut_off(&self) {
        self.cut.subscribe().wait_for(|cut| *cut).await.ok();
    }
}

/// A tunnel's place among those of its node.
#[derive(Debug)]
pub(crate) struct Place {
    active: Arc<watch::Sender<usize>>,
    taken: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Relaxed);
        self.active.send_modify(|active| *active = active.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_bounded_and_given_back() {
        let tunnels = Tunnels::new();
        let (one, two) = (tunnels.enter(2), tunnels.enter(2));
        assert!(one.is_some() && two.is_some() && tunnels.enter(2).is_none());
        assert_eq!(tunnels.active(), 2);
        drop(one);
        assert!(tunnels.enter(2).is_some(), "given back at once");
        drop(two);
        tunnels.ended().await;
        tunnels.cut();
        tunnels.cut_off().await;
    }
}
