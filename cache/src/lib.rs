//! What HTTP caching allows: pure rules without I/O, clock or runtime.
//!
//! This crate answers questions about messages: may this response be stored, how old is it, may it
//! be reused for that request, under which key. Every function takes what it needs as arguments,
//! the time included, and none waits, locks, logs or reads a clock. Keeping bodies, opening
//! connections and counting events belong to the crates above.
//!
//! # Invariants
//!
//! 1. No input from a client or an origin panics; arithmetic saturates.
//! 2. A field that cannot be understood never makes a response fresher than its absence would.
//! 3. Equal arguments give equal answers.

#![warn(clippy::iter_over_hash_type, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod access;
mod age;
#[cfg(any(test, feature = "policy-audit"))]
mod audit;
mod cache_status;
mod canonical;
mod common;
mod conditional;
mod cookie;
mod date;
mod directives;
mod encoding;
mod escape;
mod etag;
pub mod eviction;
mod fields;
#[cfg(test)]
mod fixture;
mod forwarded;
mod freshness;
mod glob;
mod grammar;
mod guise;
mod hop;
mod hops;
mod host;
mod invalidation;
mod key;
mod list;
mod member;
mod not_storable;
mod number;
mod partial;
mod path;
mod pieces;
mod plan;
mod policy;
mod proxy_status;
pub mod purge;
mod query;
mod range;
mod reference;
mod request_directives;
mod resumption;
mod reuse;
mod rules;
mod seq;
mod shapes;
mod site;
mod slices;
mod small;
mod stamp;
mod storable;
mod stored;
mod target;
mod targeted;
mod time;
mod trailers;
mod unkeyed;
mod upgrade;
mod validation;
mod values;
mod vary;

pub use access::{Denied, Gate, Granted, OpenGate, check};
pub use age::parse_age;
#[cfg(any(test, feature = "policy-audit"))]
pub use audit::{Disagreement, audit};
pub use cache_status::{CacheStatus, ForwardReason, XCache};
pub use canonical::{KeyText, PackedText};
pub use conditional::{Precondition, evaluate, if_range_holds, not_modified_headers};
pub use date::{format_http_date, parse_http_date};
pub use directives::{Lifetime, ResponseDirectives, Scope};
pub use encoding::reduce_accept_encoding;
pub use fields::{FieldLine, Fields};
pub use forwarded::append_forwarded;
pub use freshness::{FreshnessLifetime, corrected_initial_age, freshness_lifetime};
pub use glob::{BadGlob, Glob};
pub use guise::Guise;
pub use hop::{Direction, strip_hop_by_hop};
pub use hops::{HopIdentity, append_cdn_loop, append_via, has_visited, loop_count, via_contains};
pub use invalidation::{invalidates, same_origin_references};
pub use key::{CacheKey, KeyRules, Keyed};
pub use list::list_members;
pub use not_storable::NotStorable;
pub use partial::{HeldParts, Kept, ReceivedPart};
pub use pieces::Pieces;
pub use plan::{Plan, Terms};
pub use policy::{Heuristic, Policy, Profile, UnknownProfile};
pub use proxy_status::{ProxyError, proxy_status_value};
pub use query::{BadPattern, Pattern, QueryRule};
pub use range::{
    ByteRange, ContentRange, RangeSpec, content_range, is_whole_open, parse_content_range,
    resolve_range, unsatisfied_range,
};
pub use request_directives::{MaxStale, RequestDirectives};
pub use resumption::{Continued, Resumption};
pub use reuse::{Failure, Reuse};
pub use rules::{LifetimeRule, Rule, RuleEffect, RuleSet, takes_negative_ttl};
pub use seq::Seq;
pub use shapes::Shapes;
pub use site::{BadHostPattern, DuplicateHost, HostPattern, HostTable};
pub use slices::{RUN_SLICES_MAX, aligned_range, ask_for_range, confirmed_by_part, cut_of};
pub use stamp::{Present, Stamp};
pub use storable::{RequestHead, ResponseHead, Timing};
pub use stored::StoredHead;
pub use target::{Scheme, Target, TargetError};
pub use targeted::{Governing, governing};
pub use time::{Now, Timestamp, UnixTime};
pub use trailers::{accepts_trailers, announced_trailers, passable_trailers};
pub use unkeyed::strip_unkeyed;
pub use upgrade::upgrade_protocols;
pub use validation::{
    NotModified, condition_on, freshen, judge_not_modified, merge_not_modified, strip_conditionals,
};
pub use values::FieldValue;
pub use vary::{VaryPart, VaryRule, same_selection};
