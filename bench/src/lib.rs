//! What does a cache do under load, and what would it do with the requests of a log?
//!
//! `trace` reads logs, `synth` makes them up, `replay` plays them to simulated or real nodes, `load` asks real nodes as
//! fast or as often as wanted, `report` shows what came of it. The commands are in the `weir` binary, under `weir bench`.

pub mod load;
pub mod replay;
pub mod report;
pub mod synth;
pub mod trace;
