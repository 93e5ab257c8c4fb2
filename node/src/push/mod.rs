//! Push mode: what gets responses into nodes before anyone asks for them there.
//!
//! ```text
//! admin API ──► wish.rs ──► log ──► board.rs (where the purge log is kept) ◄── what edges find hot
//! PUT object ─► put.rs ──► the node that asks origins: store, purge, then a preload      (watch.rs)
//!                                      │ with the answers to reports
//!                                      ▼
//!            hot.rs ──► refill ──► desk.rs ──► fetch.rs: the node's own request path, bounded
//! ```
//!
//! A preload is a list of URLs that nodes of some tiers fetch as a client would. Tasks are known to the
//! node that keeps the purge log, in memory; nodes learn of them by the answers to their reports, and
//! say how far they are with the next. Nothing here can make a node ask anybody but its parents and
//! the origins of its sites, and nothing is stored that the rules of caching would not store.

mod board;
mod bucket;
mod desk;
mod document;
mod fetch;
mod hot;
mod put;
mod record;
mod sitemap;
mod sketch;
mod state;
mod watch;
mod wish;

pub(crate) use board::{Board, Present};
pub(crate) use desk::{BUSY_HOLD, keep_own, work};
pub(crate) use put::{
    Put, PutError, PutHead, accept as accept_put, answer as answer_put, is_put, spread_of,
};
#[cfg(feature = "fuzzing")]
pub(crate) use put::{read as read_put, write as write_put};
pub(crate) use record::{Answer, Ask, News, Preload, Report, TaskOrder};
#[cfg(feature = "fuzzing")]
pub(crate) use sitemap::{Named, read_manifest, read_sitemap};
pub(crate) use state::Push;
pub(crate) use wish::{Wish, WishError, check as check_url, read_tiers};

/// Bytes of the largest object that can be put: it travels as one message.
pub(crate) const PUT_BYTES_MAX: u64 = 60 * 1024 * 1024;
