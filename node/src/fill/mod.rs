//! Fills: one request upstream for many clients, streamed to each while it arrives.
//!
//! ```text
//! join ──► leader ── spawn ──► run ── head ──► Shared  ──► every reader streams, then the store
//!     └──► waiter ◄── waits ────┘         ├──► Private ──► the leader streams, waiters go alone
//!                                         ├──► Settled ──► a stored response answers all
//!                                         └──► Failed  ──► everyone gets the error
//! ```
//!
//! # Invariants
//!
//! 1. For one key and variant at most one fill is in flight, except where joining would be unlawful.
//! 2. Waiters wait on progress. The run itself is bounded by the upstream's timeouts, so every
//!    waiter is released; there is no poll and no age limit on a fill.
//! 3. A slow reader never slows another: see [`body`]. A reader that leaves ends nothing that others
//!    read or that is nearly done.
//! 4. A body that ends early is never stored as whole, and its readers see it end early: after its rest
//!    was looked for (see [`resume`]).

pub(crate) mod aside;
mod body;
pub(crate) mod budget;
mod copy;
mod part;
mod progress;
mod pump;
mod resume;
mod run;
mod slice;
mod spill;
mod table;
mod ticket;

pub(crate) use part::Standby;
pub(crate) use progress::{FillHead, Progress, Settled, SettledBy};
pub(crate) use run::{FillWork, get, is_reusable, spawn, spawn_answered};
pub(crate) use spill::SpillSpace;
pub(crate) use table::{FillTable, Join, Lead, Role};
pub(crate) use ticket::{FillReader, Ticket};
