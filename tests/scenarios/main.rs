//! One file a behaviour: what a user of the stack sees.

#![expect(clippy::unwrap_used, reason = "a scenario that fails fails here")]

mod collapse;
