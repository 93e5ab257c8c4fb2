//! Stored responses on disk: what a node still has after a restart, and what does not fit its memory.
//!
//! An index, which is an ordered map of bytes, says what is stored; bodies lie in files named by the digest of
//! their content. Everything here blocks: it is called from threads that may wait.
//!
//! ```text
//! lookup ─► tier ─► pending (not written yet) ─► present (surely not there?) ─► index (rows) ─► codec ─► body ─► reads ─► bodies (files)
//! change ─► tier ─► pending ─► worker ─► writer ─► bodies, then rows: staged ─► commit ─► index
//!                                        evict, room: what goes for it
//! large body ─► coming: slice after slice ─► bodies
//! sweep: rebuild of a lost index, files that nobody uses, damage that nobody met
//! ```
//!
//! # Invariants
//!
//! 1. A row never leads to a file that was not whole when the row was written. What it leads to is
//!    compared with its digest before a byte of it is handed out.
//! 2. Any part may be lost at any moment, by a crash or a fault; what is lost is fetched again.
//! 3. Bytes, files, open files, bodies that wait and changes that wait are bounded.

mod bearings;
mod bodies;
mod body;
mod codec;
mod coming;
mod commit;
mod evict;
mod files;
pub mod fuzzing;
mod heat;
pub mod index;
mod limits;
mod lock;
mod loose;
mod pending;
mod present;
mod read;
mod reads;
mod rebuild;
mod record;
mod room;
mod rows;
mod send;
mod staged;
mod stale;
mod stats;
mod sweep;
mod tier;
mod worker;
mod writer;

pub use bearings::{Bearings, DiskEvent};
pub use bodies::{BodiesOpenError, BodyDamage, BodyError, OpenBody, SyncMode};
pub use body::{DiskBody, Place};
pub use coming::SliceWriter;
pub use index::{IndexKind, UnknownIndexKind};
pub use limits::DiskLimits;
pub use lock::LockError;
pub use read::{LaterRead, Reading};
pub use send::Sent;
pub use stats::DiskStats;
pub use tier::{DiskOpenError, DiskTier, OnDisk};
