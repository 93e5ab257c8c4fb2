//! Requests upstream: the one seam between this node and what it asks.
//!
//! ```text
//! Upstreams::send ── order ──► Member ── exchange: permit ──► Link ── head within the timeout ──► answer
//!        ▲                        │ failed, and the request may be sent again
//!        └────────────────────────┘ (bounded by `tries_max`)
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
mod connect_error;
mod connector;
mod dial;
mod error;
mod exchange;
mod group;
mod http1;
mod http2;
mod link;
mod member;
mod out;
pub(crate) mod request;
mod resolve;
mod send;
mod tls;
mod transport;

pub(crate) use answer::{Answer, UpstreamBody};
pub(crate) use error::{FillError, Retry};
pub(crate) use group::{Group, Kind};
pub(crate) use out::{OutBody, OutRequest, Position, only_passable};
pub(crate) use send::Upstreams;
pub use tls::TlsError;
pub(crate) use transport::Transport;
