//! Which requests would a made-up crowd send?
//!
//! ```text
//! clock ──► what is asked: catalog by rank, something asked a moment ago, something asked once, a live playlist
//!           who asks: a client of a region, whose ranks are those of its region
//!           events: a flash crowd, a scan, a purge storm
//! ```
//!
//! Parameters of the presets were measured on public logs and published models; see docs/replay.md. A made-up log is for
//! trying things out and for events that no log has. It is no proof that one policy is better than another.
//!
//! # Invariants
//!
//! 1. Equal parameters give the same rows in the same order.
//! 2. Times never go back.

mod catalog;
mod clock;
mod crowd;
mod draws;
mod preset;
mod written;

pub use crowd::{Crowd, Drawn, What};
pub use preset::{Parameters, ParametersError, Preset, UnknownPreset};
pub use written::{Summary, write_rows};

#[cfg(test)]
mod tests;
