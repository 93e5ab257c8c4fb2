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
//! A link keeps the connections to one server and opens them by hyper, which leaves the request target
//! as it is:
//!
//! ```text
//! Link ─┬─ addresses: which? ◄── resolve      ┌─► http1: a pool, one request a connection
//!       └─ connector: dial ─► tls ─► HTTP ────┴─► http2: one connection for all
//! ```
//!
//! What the fields
//! of the request are is decided in [`request`]; what becomes of the answer, by the caller.

mod addresses;
mod answer;
mod backoff;
mod balance;
mod budget;
mod checks;
mod connect_error;
mod connector;
mod dial;
mod error;
mod exchange;
mod group;
mod health;
mod http1;
mod http2;
mod link;
mod member;
mod out;
mod ping;
pub(crate) mod request;
mod resolve;
mod roster;
mod send;
mod tls;
mod transport;

pub(crate) use answer::{Answer, UpstreamBody};
pub(crate) use checks::{Checks, of_origins, of_parents};
pub(crate) use error::{FillError, Resendable, Retry};
pub(crate) use group::{Group, Kind};
#[cfg(feature = "fuzzing")]
pub(crate) use http1::said_timeout;
pub(crate) use member::{Member, Sight};
pub(crate) use out::{OutBody, OutRequest, Position, only_passable};
pub(crate) use ping::{answer as answer_ping, is_ping};
pub(crate) use roster::Roster;
pub(crate) use send::Upstreams;
pub use tls::TlsError;
pub(crate) use transport::{Links, Transport};
