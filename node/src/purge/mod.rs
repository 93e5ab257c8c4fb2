//! Purges that cannot be outrun: how a node keeps in step with the purge log, and what it answers
//! about it.
//!
//! ```text
//! admin API ──► order.rs ──► log ──► Authority (this node keeps it) ──► entries ─┐
//! child nodes ─► control.rs ──┘ ├──► Above (a parent leads to it)                 │
//!                               └──► Nats (a NATS stream is it; see nats/) ───────┤
//!                                                                                ▼
//! request path ◄── view.rs ◄── known/: written down first ◄──── follow.rs: apply, report, renew
//! ```
//!
//! What an entry means for a stored response is decided in [`weir_cache::purge`]; [`View`] is the part
//! of it that the request path asks. One [`Log`] numbers the entries; the node applies them in order,
//! reports how far it is, and by that renews its lease.

mod above;
mod authority;
mod book;
mod boot_clock;
mod control;
mod follow;
mod hops;
mod implied;
mod keeper;
mod known;
mod nats;
mod notes;
mod order;
mod record;
mod reporter;
mod settled;
mod start;
mod sweep;
mod view;

#[cfg(feature = "fuzzing")]
pub(crate) use above::Ask;
pub(crate) use above::{Above, message};
pub(crate) use authority::{Authority, Making};
pub(crate) use book::rfc3339;
pub(crate) use boot_clock::BootClock;
pub(crate) use control::answer as answer_control;
pub(crate) use implied::Implied;
pub use keeper::KeeperError;
pub(crate) use keeper::Place;
#[cfg(feature = "fuzzing")]
pub(crate) use keeper::numbered;
pub(crate) use known::{Found, Known, Line, Turn, disown};
pub(crate) use nats::Nats;
pub(crate) use order::{Order, Wish, target_of};
pub(crate) use record::{Log, LogError, PurgeReceipt, Record};
pub(crate) use reporter::Reporter;
pub(crate) use start::{KeepingStep, start};
pub(crate) use view::View;
