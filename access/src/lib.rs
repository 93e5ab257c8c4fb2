//! Who may fetch this: signed URLs and cookies, and rules about who asks, without I/O, clock or runtime.
//!
//! A site has one [`Policy`], compiled from an [`AccessConfig`] when the configuration is read. It is asked for each
//! request, before anything is looked up, and for hits as well:
//!
//! ```text
//!   Request: method, target in normal form, fields, client address
//!      │
//!      ├─ Policy::check_client ─ methods ─► rules: path, address, agent, country ──► Denial::{Method, Rule}
//!      │     (a limit of rates belongs here)
//!      ├─ Policy::check_use ──── Referer ─► Origin ────────────────────────────────► Denial::Source
//!      │                          └─► Signature: one of the formats, its live keys ► Denial::Signature(Refusal)
//!      ▼
//!   Ok(None): nothing had to be signed; the target stays as it is
//!   Ok(Some(Grant)): Grant::target goes to the cache key and upstream,
//!                    Grant::strip takes the rest of the proof out of the fields
//! ```
//!
//! What a caller has to do:
//!
//! - with a [`Denial`]: count [`Denial::as_str`], log [`Denial::explain`], answer [`Denial::status`] with one fixed text;
//! - with a [`Grant`]: go on with [`Grant::into_target`], and give [`Strip::strip_headers`] the fields that go upstream;
//! - with a stored response: ask again at the next request. A grant is for one request, whatever the response's age.
//!
//! Signing is the other half of each format ([`Weir::sign`] and so on), for a command line or an application.
//!
//! # Invariants
//!
//! 1. No request panics; what can be read in two ways is refused (two equal parameters, escaped names, two fields).
//! 2. What is verified is the target that the cache key is made of, never what was written on the wire. A format that
//!    decodes paths further than that refuses those where decoding would make two of one.
//! 3. Secrets and digests are compared in constant time by the crypto library, and every key is tried.
//! 4. Nothing that is printed, counted or explained holds a secret, or a signature that would have been right.

#![warn(clippy::iter_over_hash_type, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod config;
mod cookie;
mod cover;
mod denial;
mod grant;
mod instant;
mod net;
mod policy;
mod query;
mod refusal;
mod request;
mod rules;
mod secret;
mod signed;
mod wildcard;

pub use config::{
    AccessConfig, AccessProblem, KeyConfig, NoSecretRef, ReadSecret, RuleConfig, SecretRef,
    SignatureConfig, SourceConfig,
};
pub use denial::Denial;
pub use grant::{Grant, Strip};
pub use instant::TimeForm;
pub use policy::{Policy, Verdict};
pub use refusal::{Reason, Refusal};
pub use request::{Moment, Request};
pub use rules::client::{BadCountry, Country, CountryOf, NoCountries};
pub use rules::source::{SourceDenial, SourceField};
pub use secret::{KEYS_MAX, Key, KeyProblem, KeyRing, Secret};
pub use signed::cloudfront::{
    BadPolicy, CloudFront, CustomPolicy, Hash, PrivateKey, PublicKey, PublicKeys, Signed,
};
pub use signed::edge_auth::{EdgeAuth, EdgeScope, EdgeTerms};
pub use signed::secure_link::{BadExpression, Expression, SecureLink};
pub use signed::type_a::TypeA;
pub use signed::type_b::TypeB;
pub use signed::type_c::TypeC;
pub use signed::type_d::TypeD;
pub use signed::weir::{COOKIE, Scope, Terms, Weir};
pub use signed::{Format, SignError, Signature};
