//! Which stored responses has a purge overtaken, and when may a purge be called complete?
//!
//! A purge is an [`Entry`] of an ordered log. Every node applies the entries in their order to a
//! [`Ledger`]; every stored response says how far in the log it reflects the origin. What the log is
//! kept in, how entries travel and who runs the clock belong to the node.
//!
//! # The rules
//!
//! 1. *Reuse*: a stored response may be reused only if no applied entry past what it reflects
//!    matches it. [`Ledger::judge`]; when nothing has been applied since the last look, that is one
//!    comparison of integers.
//! 2. *Store*: the same test when a fill ends.
//! 3. *Join*: the same test when a request wants to share a fill, with the tags unknown until the
//!    head is there.
//! 4. *Upward*: a request to a parent says how far its sender has applied; see [`Ledger::reaches`].
//! 5. *Lease*: a node that has not heard from the log for a [`Lease`] reuses nothing unasked, so a
//!    purge is complete when every member has applied it or its lease has run out: [`Roll`].

mod lease;
mod ledger;
mod marks;
mod named;
mod roll;
mod selector;
mod tags;
mod url_glob;

pub use lease::Lease;
pub use ledger::{AsOf, BadAsOf, Entry, Epoch, Gap, Ledger, Standing, Subject, Tagged};
pub use marks::Mode;
pub use roll::{Enrolled, Granted as LeaseGranted, NodeState, Receipt, Report, Roll, State};
pub use selector::{BadSelector, Selector};
pub use tags::{TAG_FIELDS, Tags};
pub use url_glob::UrlGlob;
