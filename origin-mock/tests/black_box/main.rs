//! What a client sees of the origin, over real sockets.
//!
//! One binary with a module for each group of behaviours, so that the client is compiled once.

mod binary;
mod client;
mod control;
mod files;
mod lifecycle;
mod pages;
mod protocol;
mod query;
mod scripts;
