//! Where do requests wait until a test lets them go on?
//!
//! A gate is level-triggered on both sides: opening it before a request arrives is not lost, and
//! waiting for an arrival that has already happened returns at once. Nothing here knows what a
//! request is.
//!
//! # Invariants
//!
//! 1. An open gate stays open until it is closed.
//! 2. `reached` only grows, also while the gate is open.
//! 3. At most [`NAMED_MAX`] gates can be made over the network; nobody waits longer than
//!    [`HOLD_MAX`].

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::watch, time::timeout};

/// Longest time a request waits at a gate before its connection is given up.
const HOLD_MAX: Duration = Duration::from_secs(600);
/// Gates that requests and the control paths can make by naming them.
const NAMED_MAX: usize = 10_000;
/// How long the library waits for something to happen before it fails the test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// A point at which requests wait until [`Hold::release`].
///
/// Clones are handles to the same gate.
#[derive(Debug, Clone)]
pub struct Hold {
    state: Arc<watch::Sender<GateState>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct GateState {
    open: bool,
    reached: u64,
}

impl Hold {
    pub(crate) fn new() -> Self {
        Self { state: Arc::new(watch::Sender::new(GateState::default())) }
    }

    /// Waits until at least one request has come to this point.
    ///
    /// # Panics
    ///
    /// If none has within 10 s.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until at least `n` requests have come to this point, let through or not.
    ///
    /// # Panics
    ///
    /// If fewer have within 10 s.
    pub async fn reached_by(&self, n: u64) {
        let enough = self.wait_for(|state| state.reached >= n);
        assert!(
            timeout(DEADLINE, enough).await.is_ok(),
            "{} of {n} requests reached the hold within {DEADLINE:?}",
            self.state.borrow().reached
        );
    }

    /// Lets every waiting and every later request through.
    pub fn release(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// Makes later requests wait again.
    pub fn close(&self) {
        self.state.send_modify(|state| state.open = false);
    }

    /// Waits as a request; `false` if the gate stayed closed for [`HOLD_MAX`].
    pub(crate) async fn pass(&self) -> bool {
        self.state.send_modify(|state| state.reached += 1);
        timeout(HOLD_MAX, self.wait_for(|state| state.open)).await.is_ok()
    }

    async fn wait_for(&self, holds: impl FnMut(&GateState) -> bool) {
        let mut watching = self.state.subscribe();
        let seen = watching.wait_for(holds).await;
        debug_assert!(seen.is_ok(), "self keeps the sender alive");
    }
}

/// The gates that have a name.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    named: Mutex<HashMap<String, Hold>>,
}

impl Gates {
    /// The gate `name`, made closed if it is not there.
    pub(crate) fn named(&self, name: &str) -> Hold {
        self.named.lock().entry(name.to_owned()).or_insert_with(Hold::new).clone()
    }

    /// The same for a name that came over the network; `None` if there are too many.
    pub(crate) fn offered(&self, name: &str) -> Option<Hold> {
        let full = self.named.lock().len() >= NAMED_MAX;
        if full { self.named.lock().get(name).cloned() } else { Some(self.named(name)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_release_before_the_arrival_is_not_lost() {
        let hold = Hold::new();
        hold.release();
        assert!(hold.pass().await);
        hold.reached().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_gives_up_after_its_bound() {
        let hold = Hold::new();
        assert!(!hold.pass().await);
    }

    #[test]
    fn names_from_the_network_are_bounded_and_known_ones_stay_reachable() {
        let gates = Gates::default();
        for name in 0..NAMED_MAX {
            assert!(gates.offered(&name.to_string()).is_some());
        }
        assert!(gates.offered("one more").is_none());
        assert!(gates.offered("7").is_some());
    }
}
