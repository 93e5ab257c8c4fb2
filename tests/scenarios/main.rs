//! One file a behaviour: what a user of the stack sees.

#![expect(clippy::unwrap_used, reason = "a scenario that fails fails here")]

mod admin;
mod audit;
mod bad_input;
mod balance;
mod binaries;
mod bounds;
mod collapse;
mod conditional;
mod configuration;
mod health;
mod hops;
mod inner;
mod interim;
mod keys;
mod leaving;
mod limits;
mod loops;
mod multipart;
mod nats;
mod parts;
mod poisoning;
mod purge;
mod purge_api;
mod purge_command;
mod purge_isolation;
mod purge_known;
mod purge_races;
mod push;
mod ranges;
mod resume;
mod reuse;
mod rules;
mod sharing;
mod spill;
mod stale;
mod trailers;
mod transport;
mod truncation;
mod tunnels;
mod unsafe_methods;
mod unshared;
mod upstream;
mod validation;
