//! Who may fetch this: signed URLs and access rules, without I/O, clock or runtime.
//!
//! See the end of this page for the way of a request.

#![warn(clippy::iter_over_hash_type, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod cookie;
mod cover;
mod grant;
mod instant;
mod net;
mod query;
mod refusal;
mod request;
mod secret;
mod signed;
mod wildcard;

pub use grant::{Grant, Strip};
pub use instant::TimeForm;
pub use refusal::{Reason, Refusal};
pub use request::{Moment, Request};
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
