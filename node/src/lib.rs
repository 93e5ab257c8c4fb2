//! The shell that all tiers share: listeners, the request path, fills, upstreams, the admin API.
//!
//! What may be stored and reused is decided in `weir-cache`; bytes lie in `weir-store`. This crate
//! moves messages between them, clients and upstreams. The request path is `handle::handle`.

mod access;
mod access_log;
mod admin;
mod admin_attempts;
mod admin_audit;
mod admin_audit_file;
mod admin_gate;
mod admin_listener;
mod admin_objects;
mod admin_preloads;
mod admin_purges;
mod admin_tokens;
#[cfg(feature = "policy-audit")]
mod audit;
pub mod binary;
mod body;
mod clock;
pub mod config;
mod consequences;
mod countries;
pub mod descriptors;
mod disk;
mod disk_reader;
mod entry;
mod express;
mod fill;
mod forward;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handle;
mod inbound;
mod inner;
mod interim;
mod limits;
mod listener;
mod lookup;
mod metrics;
#[cfg(test)]
#[path = "../../tests/src/mmdb.rs"]
#[allow(unreachable_pub, reason = "the file is a module of another crate too")]
mod mmdb;
mod multipart;
mod node;
mod outcome;
mod part;
mod parts;
mod problem;
mod purge;
mod push;
mod recent;
mod refuse;
mod reload;
mod respond;
mod row;
mod run;
mod secrets;

mod signals;
mod site;
mod slices;
mod stand_in;
pub mod telemetry;
mod tls;
mod tunnel;
mod upstream;

pub use admin_tokens::{AdminToken, Scope};
pub use clock::{Clock, ManualClock, SystemClock};
pub use countries::{Countries, CountriesError};
pub use inner::TierSecret;
pub use node::{LogHome, MakeError};
pub use purge::KeeperError;
pub use run::{Components, RunningNode, StartError, start};
pub use secrets::{
    ADMIN_TOKEN, SecretsError, TIER_SECRET, admin_token_from_env, random_text, read_secret,
    tier_secret_from_env,
};
pub use signals::{Signal, Signals};
pub use site::SitesError;
pub use tls::{CertificateError, TlsProblems, check as check_tls};
pub use upstream::TlsError;
