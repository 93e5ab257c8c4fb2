//! Requests upstream: the one seam between this node and what it asks.
//!
//! ```text
//! Upstreams::send ── order ──► Member ── exchange: permit ──► Link ── head within the timeout ──► answer
//!        ▲                        │ failed, and the request may be sent again
//!        └────────────────────────┘ (bounded by `tries_max`)
//! ```
//!
//! Data goes through hyper-util's client, which leaves the request target as it is. What the fields
//! of the request are is decided in [`request`]; what becomes of the answer, by the caller.

mod answer;
mod connector;
mod error;
mod exchange;
mod group;
mod link;
mod member;
mod out;
pub(crate) mod request;
mod send;

pub(crate) use answer::{Answer, UpstreamBody};
pub(crate) use error::{FillError, Retry};
pub(crate) use group::{Group, Kind};
pub(crate) use member::Member;
pub(crate) use out::{OutBody, OutRequest, Position, only_passable};
pub(crate) use send::Upstreams;
