//! Requests upstream: the one seam between this node and what it asks.
//!
//! ```text
//! Upstreams::send ── order ──► Member ── permit ──► client ── head within the timeout ──► answer
//!        ▲                        │ failed, and the request may be sent again
//!        └────────────────────────┘ (bounded by `tries_max`)
//! ```
//!
//! Data goes through hyper-util's client, which leaves the request target as it is. What the fields
//! of the request are is decided in [`request`]; what becomes of the answer, by the caller.

mod client;
mod connector;
mod error;
mod group;
mod member;
mod out;
pub(crate) mod request;

pub(crate) use client::{Answer, UpstreamBody, Upstreams};
pub(crate) use error::{FillError, Retry};
pub(crate) use group::{Group, Kind};
pub(crate) use out::{OutBody, OutRequest, Position, only_passable};
