//! Requests upstream: the one seam between this node and what it asks.
//!
//! ```text
//! Upstreams::send ── group: order ──► Member ── slot ── exchange ──► Link ── head within the timeout ──► answer
//!        ▲            │    │            │ failed, or answered so, and the request may be sent again
//!        │            │    │            │ (bounded by `tries_max`, budget, total_timeout; backoff between)
//!        └────────────┼────┼────────────┘
//!                     │    └─ open: one request a second
//!       balance: who is first     health: who is left out ◄── requests, bodies, checks
//! ```
//!
//! Data goes through hyper-util's client, which leaves the request target as it is. What the fields
//! of the request are is decided in [`request`]; what becomes of the answer, by the caller.

mod answer;
mod backoff;
mod balance;
mod budget;
mod checks;
mod connector;
mod error;
mod exchange;
mod group;
mod health;
mod link;
mod member;
mod out;
mod ping;
pub(crate) mod request;
mod roster;
mod send;

pub(crate) use answer::{Answer, UpstreamBody};
pub(crate) use checks::{Checks, of_origins, of_parents};
pub(crate) use error::{FillError, Resendable, Retry};
pub(crate) use group::{Group, Kind};
pub(crate) use member::{Member, Sight};
pub(crate) use out::{OutBody, OutRequest, Position, only_passable};
pub(crate) use ping::{answer as answer_ping, is_ping};
pub(crate) use roster::Roster;
pub(crate) use send::Upstreams;
