//! Who is this node to those who connect over TLS, and who are they to it?
//!
//! ```text
//! certificate, names, client_auth -> serving -> listener/tls (handshake) -> secured -> inbound
//!                                     ^   ^
//!          tier (nodes of this CDN) --+   +-- state (what is in force) <- reload, follow
//! ```
//!
//! Reading files and choosing certificates is done here; handshakes are the work of `listener/tls`, and TLS
//! to origins that of `upstream/tls`.
//!
//! # Invariants
//!
//! 1. What is read from files is replaced as a whole or not at all; a connection keeps what it began with.
//! 2. A certificate that a peer has shown counts only after it was verified against those who vouch at that
//!    moment, on a resumed connection too.
//! 3. No early data is taken (docs/decisions/0018).

mod certificate;
mod client_auth;
mod follow;
mod names;
mod pem;
mod secured;
mod serving;
mod site;
mod state;
mod tier;

pub use certificate::{CertificateError, TlsProblems};
pub use state::check;

pub(crate) use follow::follow;
pub(crate) use pem::{read_bounded, trust_in};
pub(crate) use secured::Secured;
pub(crate) use serving::{Choice, Serving};
pub(crate) use site::{SiteSecurity, is_challenge};
pub(crate) use state::NodeTls;
pub(crate) use tier::TierIdentity;
