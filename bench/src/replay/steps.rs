//! What is asked of real nodes, request by request, and in what words?
//!
//! For engines outside this crate: who sends requests needs to know neither how a log was read nor how its rules were
//! applied. Which edge a client asks is decided here for all engines, so that they play the same.

use super::mix;
use super::setup::Setup;
use super::sites::{FOR_EVER_MS, Lifetime};
use super::workload::{Ask, Workload};

/// Longest lifetime that is written, in seconds (RFC 9111 §1.2.2).
const SECS_MAX: u64 = 2_147_483_648;

/// One request of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Milliseconds since the first one.
    pub at_ms: u64,
    /// The edge that is asked, from 0.
    pub edge: usize,
    /// What for.
    pub wanted: Wanted,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Something that may be stored.
    Object {
        /// Its place in [`Workload::sizes`].
        object: u32,
        /// Its body, in bytes.
        bytes: u64,
        /// The place of its lifetime in [`Workload::cache_controls`].
        class: u32,
    },
    /// Something that passes.
    Pass {
        /// Its body, in bytes.
        bytes: u64,
    },
    /// That nobody have the object any more.
    Purge {
        /// Its place in [`Workload::sizes`].
        object: u32,
    },
}

impl Workload {
    /// The requests in order, with the edges that are asked in `setup`.
    pub fn steps(&self, setup: &Setup) -> impl Iterator<Item = Step> {
        let [edges, ..] = setup.nodes;
        let seed = setup.seed;
        self.requests.iter().filter_map(move |request| {
            let wanted = match request.ask {
                Ask::Object { object, class } => {
                    let bytes = self.objects.get(object as usize)?.bytes;
                    Wanted::Object { object, bytes, class }
                }
                Ask::Pass { bytes } => Wanted::Pass { bytes },
                Ask::Purge { object } => Wanted::Purge { object },
            };
            let edge = edge_of(request.client, seed, edges as usize);
            Some(Step { at_ms: request.at_ms, edge, wanted })
        })
    }

    /// Bytes of each object's body.
    pub fn sizes(&self) -> impl Iterator<Item = u64> {
        self.objects.iter().map(|object| object.bytes)
    }

    /// What an origin says of each lifetime, as a value of `Cache-Control`. It knows whole seconds only: parts of one
    /// count as one.
    #[must_use]
    pub fn cache_controls(&self) -> Vec<String> {
        self.classes.iter().map(cache_control).collect()
    }
}

/// The edge that a client asks.
pub(super) fn edge_of(client: u32, seed: u64, edges: usize) -> usize {
    let client = mix(u64::from(client) ^ mix(seed));
    usize::try_from(client % edges.max(1) as u64).unwrap_or(0)
}

fn cache_control(lifetime: &Lifetime) -> String {
    if lifetime.validates {
        return "no-cache".to_owned();
    }
    let secs = |ms: u64| ms.div_ceil(1_000).min(SECS_MAX);
    let fresh = if lifetime.fresh_ms == FOR_EVER_MS { SECS_MAX } else { secs(lifetime.fresh_ms) };
    match lifetime.stale_ms {
        0 => format!("max-age={fresh}"),
        stale => format!("max-age={fresh}, stale-while-revalidate={}", secs(stale)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_said_in_words_of_http() {
        let lifetime = |fresh_ms, stale_ms, validates| Lifetime { fresh_ms, stale_ms, validates };
        // (lifetime, words)
        let cases = [
            (lifetime(60_000, 0, false), "max-age=60"),
            (lifetime(1, 0, false), "max-age=1"),
            (lifetime(0, 0, false), "max-age=0"),
            (lifetime(5_000, 7_000, false), "max-age=5, stale-while-revalidate=7"),
            (lifetime(FOR_EVER_MS, 0, false), "max-age=2147483648"),
            (lifetime(5_000, 0, true), "no-cache"),
        ];
        for (lifetime, words) in cases {
            assert_eq!(cache_control(&lifetime), words);
        }
    }
}
