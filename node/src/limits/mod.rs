//! What may one client cost?
//!
//! ```text
//! connection ─► connections (how many of one client)
//! request ────► door (rate over all sites) ─► rules of the site ─► its rate ─► Referer, signature ─► site (quotas)
//! its body ───► upload (size, pace)            answer ─► shape (bandwidth)
//! ```
//!
//! `bucket`, `table` and `floor` are arithmetic: time is an argument, nothing waits. What is counted and what
//! clients see: `docs/limits.md`. Nodes below that have proven themselves, and operators, are exempt from
//! all of this: the edge that a client came to has charged it.

mod bucket;
mod client;
mod connections;
mod door;
mod floor;
mod over;
mod shape;
mod site;
mod table;
mod upload;
mod watch;

pub(crate) use connections::Held;
pub(crate) use door::Limits;
pub(crate) use floor::TooSlow;
pub(crate) use over::Over;
pub(crate) use shape::{Shaper, SharedPace};
pub(crate) use site::{Place, SiteLimiter};
pub(crate) use upload::{Fault, Upload, UploadError};
pub(crate) use watch::Watch;
