//! What goes when a cache is full?
//!
//! One trait, [`Eviction`], says it for the memory tier, for the disk tier and for simulations. Whoever holds the
//! entries keeps them in order: by queue, within it by priority, within that by turn. The policy never sees the
//! entries; it is asked where one enters, from which queue to take the lowest next, and what becomes of that.
//!
//! ```text
//! enter ──► place in a queue ──► is the lowest, and room is needed: look ──► evict
//!                ▲                                                    │ was used meanwhile
//!                └──────────────────── move ──────────────────────────┘
//! ```
//!
//! A hit writes no order: it is counted beside the entry, and the count is read when the entry is looked at.
//! That is what lets the order lie in an index on disk, and a hit cost one counter in memory.
//!
//! # Invariants
//!
//! 1. A look evicts, or takes the hits since the last one: an entry without hits is evicted after a bounded
//!    number of looks.
//! 2. Equal calls give equal answers: there is no clock and no chance here.
//!
//! What was measured of the policies is in docs/eviction.md, why these in docs/decisions/0023.

mod ghosts;
mod goal;
mod hash;
mod policy;
mod shelf;
mod slab;
mod two_queues;
mod worth;

pub use goal::{Goal, UnknownGoal};
pub use hash::{Folding, Seeded};
pub use policy::{Eviction, Held, Looked, Newcomer, Place, Queue, Verdict, for_goal, is_spared};
pub use shelf::{Charged, Inserted, Shelf, ShelfCounts};
pub use two_queues::TwoQueues;
