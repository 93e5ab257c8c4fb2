//! The purge log on NATS JetStream, for several shields and regions: no node of the CDN keeps it, and
//! each node connects to it itself.
//!
//! ```text
//!   write ──► stream  weir.<cdn>.log.{purge,report}   numbers and keeps; its sequence is the log's
//!               │ republished by the server as it is stored
//!               ▼
//!   take  ◄── weir.<cdn>.news.>                        pushed; what is missing is read by number
//!   acks  ◄─► weir.<cdn>.acks                          "applied up to here", never stored
//! ```
//!
//! # Why a purge cannot be outrun
//!
//! A node renews its lease by *writing* its report into the log, and only after it has applied
//! everything up to that report. So whoever has applied purge N has also met the report behind every
//! lease that was granted without N, and knows from when it counts: the receipt waits for exactly these.
//! Writing is also what a server that has lost its cluster cannot confirm; reading from such a one would
//! go on renewing leases for as long as it takes it to notice.
//!
//! # Invariants
//!
//! 1. A lease counts from the moment before the report was sent.
//! 2. A node that has not met the reports of some stretch of the log waits, with every purge, for all
//!    leases that may have been granted by them.
//! 3. Before each renewal the newest message applied before it is read again. A stream that was made
//!    anew, or that has lost what it had confirmed, differs there and becomes another epoch.

mod follow;
mod log;
mod trail;
mod wire;

pub(crate) use log::Nats;
