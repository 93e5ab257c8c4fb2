//! The short way of a hit: a plain request for what lies in memory, fresh, is answered without hyper.
//!
//! ```text
//! bytes ─► plain.rs ─► memo.rs: site and key ─► find.rs: store, purges, freshness ─► head.rs ─► listener/lane.rs
//!          nothing odd   worked out once a target   as `lookup` and `entry` have it        one vectored write
//! ```
//!
//! Requests that hyper has read, over TLS and HTTP/2, take the same way up to the head: `response.rs` answers those,
//! with fields that `ready.rs` keeps.
//!
//! At every step "not plain" leads back to `handle`, which sees the same bytes and has the last word. So this way has
//! no answers of its own: what it gives is what [`crate::handle`] would have given, which
//! `tests/scenarios/express.rs` and `http2_answers.rs` compare field by field.
//!
//! # Cost
//!
//! No allocation, no lock that all cores share, and no copy of a body; a request that hyper has read costs a copy of the
//! map of fields. `docs/performance.md` has the figures.

mod fields;
mod find;
mod head;
mod lines;
mod memo;
mod plain;
mod ready;
mod response;
mod unsent;

pub(crate) use find::{Found, find};
pub(crate) use head::write_head;
pub(crate) use plain::{Plain, Room};
pub(crate) use response::answer;
pub(crate) use unsent::Unsent;
