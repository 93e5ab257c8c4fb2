//! What hit ratio would nodes reach on a log?
//!
//! ```text
//! log ──► workload ──► engine ──► run ──► study ──► report
//!         sites' keys   one tier after another,    sweep, references,
//!         and lifetimes one request after another  bound, warnings
//! ```
//!
//! A [`Workload`] is what the log means under the rules of sites; an [`Engine`] plays it to nodes of a [`Setup`] and
//! counts a [`Run`]; a [`Study`] is a run with all that it is to be compared with. [`Sim`] is the engine that needs no
//! nodes: the policies are those that nodes use, the clock is that of the log. The engine that asks real nodes is in the
//! `weir` command, which can start them; it takes [`Step`]s and keeps a [`Book`].
//!
//! # Invariants
//!
//! 1. Equal workloads and setups give equal runs of [`Sim`], bit for bit, on every machine.
//! 2. Each request has one outcome on each tier that it reaches.

mod book;
mod bound;
mod counts;
mod node;
mod reading;
mod setup;
mod shelf;
mod sim;
mod sites;
mod steps;
mod study;
mod workload;

pub use book::Book;
pub use bound::{Bound, offline_bound};
pub use counts::{
    ClientCounts, Counted, Interval, OUTCOMES, OriginCounts, Outcome, Run, TierCounts, TierRun,
    ratio,
};
pub use setup::{Fill, Policy, Setup, SetupError, Space, TierName};
pub use sim::Sim;
pub use sites::{Site, Sites, Ttl};
pub use steps::{Step, Wanted};
pub use study::{Compared, Played, Study, StudyOptions, SweepPoint, study, study_of};
pub use workload::{Notes, Workload, WorkloadError};

/// Plays a workload to nodes, simulated or real.
pub trait Engine {
    /// Why it could not.
    type Error;

    /// Plays all of `workload` to the nodes of `setup`. `watch` is told every now and then how many requests are done.
    ///
    /// # Errors
    ///
    /// Whatever keeps the engine from playing to the end; a simulation has no such thing.
    fn run(
        &mut self,
        workload: &Workload,
        setup: &Setup,
        watch: &mut dyn FnMut(usize),
    ) -> Result<Run, Self::Error>;
}

/// Spreads the bits of a number: equal numbers give equal results, near ones do not give near ones.
///
/// The same function by which a node gives its parents their places for a key.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The first eight bytes of a digest, as nodes read them.
fn first_u64(digest: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests;
