//! What is counted while a log is played?
//!
//! Counters only rise, so that those of a part of the log are a difference. What is derived of them is derived here, once
//! for all reports and for all engines.

use super::setup::{Space, TierName};

/// What became of a request on one tier. Each has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered from the store, fresh.
    HitFresh,
    /// Answered from the store past its lifetime, and validated meanwhile.
    HitStale,
    /// Answered from the store after the next tier said that it has not changed.
    Revalidated,
    /// Joined a request upstream that was under way.
    Collapsed,
    /// Fetched from the next tier.
    Miss,
    /// Sent past the store.
    Pass,
}

/// All outcomes, in the order of their counters.
pub const OUTCOMES: [Outcome; 6] = [
    Outcome::HitFresh,
    Outcome::HitStale,
    Outcome::Revalidated,
    Outcome::Collapsed,
    Outcome::Miss,
    Outcome::Pass,
];

impl Outcome {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HitFresh => "hit-fresh",
            Self::HitStale => "hit-stale",
            Self::Revalidated => "revalidated-304",
            Self::Collapsed => "collapsed",
            Self::Miss => "miss",
            Self::Pass => "pass",
        }
    }

    /// Its place among the counters.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::HitFresh => 0,
            Self::HitStale => 1,
            Self::Revalidated => 2,
            Self::Collapsed => 3,
            Self::Miss => 4,
            Self::Pass => 5,
        }
    }
}

/// `part` of `whole`, between 0 and 1; 0 of nothing.
#[must_use]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// What one tier has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierCounts {
    /// Requests that it got.
    pub requests: u64,
    /// Bytes of bodies that it sent: what flows between it and those who ask it.
    pub bytes: u64,
    /// Requests by outcome, in the order of [`OUTCOMES`].
    pub outcomes: [u64; 6],
    /// Bytes of bodies that came from its own store, validated ones included.
    pub stored_bytes: u64,
    /// Hits of which the body was in memory; all of them where there is no disk.
    pub memory_hits: u64,
    /// Responses handed to the store.
    pub fills: u64,
    /// Those of them that it did not take in.
    pub rejected: u64,
    /// Objects that went for room.
    pub evicted: u64,
    /// Bytes of them.
    pub evicted_bytes: u64,
}

impl TierCounts {
    /// Requests with one outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome.index()).copied().unwrap_or(0)
    }

    /// Requests answered without asking anybody: fresh hits and stale ones.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.of(Outcome::HitFresh) + self.of(Outcome::HitStale)
    }

    /// Hits of all requests but those that pass.
    #[must_use]
    pub fn object_hit_ratio(&self) -> f64 {
        ratio(self.hits(), self.requests - self.of(Outcome::Pass).min(self.requests))
    }

    /// Counts a request.
    pub fn count(&mut self, outcome: Outcome) {
        self.requests += 1;
        if let Some(counter) = self.outcomes.get_mut(outcome.index()) {
            *counter += 1;
        }
    }

    /// What was counted since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let mut outcomes = self.outcomes;
        for (later, earlier) in outcomes.iter_mut().zip(earlier.outcomes) {
            *later -= earlier.min(*later);
        }
        Self {
            requests: self.requests - earlier.requests,
            bytes: self.bytes - earlier.bytes,
            outcomes,
            stored_bytes: self.stored_bytes - earlier.stored_bytes,
            memory_hits: self.memory_hits - earlier.memory_hits,
            fills: self.fills - earlier.fills,
            rejected: self.rejected - earlier.rejected,
            evicted: self.evicted - earlier.evicted,
            evicted_bytes: self.evicted_bytes - earlier.evicted_bytes,
        }
    }
}

/// What clients asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientCounts {
    /// Requests.
    pub requests: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Requests that may be answered from a store.
    pub cacheable: u64,
    /// Bytes of those.
    pub cacheable_bytes: u64,
}

/// What the origin was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OriginCounts {
    /// Requests.
    pub requests: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Those of the requests that were validations, answered without a body.
    pub validations: u64,
    /// Those that were sent past all stores.
    pub passed: u64,
    /// Bytes of those.
    pub passed_bytes: u64,
}

/// All counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// What clients asked for.
    pub client: ClientCounts,
    /// What each tier did, from the client on.
    pub tiers: Vec<TierCounts>,
    /// What the origin was asked for.
    pub origin: OriginCounts,
}

impl Counted {
    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let (client, origin) = (&self.client, &self.origin);
        let tiers = self.tiers.iter().enumerate();
        let none = TierCounts::default();
        Self {
            client: ClientCounts {
                requests: client.requests - earlier.client.requests,
                bytes: client.bytes - earlier.client.bytes,
                cacheable: client.cacheable - earlier.client.cacheable,
                cacheable_bytes: client.cacheable_bytes - earlier.client.cacheable_bytes,
            },
            tiers: tiers
                .map(|(at, tier)| tier.since(earlier.tiers.get(at).unwrap_or(&none)))
                .collect(),
            origin: OriginCounts {
                requests: origin.requests - earlier.origin.requests,
                bytes: origin.bytes - earlier.origin.bytes,
                validations: origin.validations - earlier.origin.validations,
                passed: origin.passed - earlier.origin.passed,
                passed_bytes: origin.passed_bytes - earlier.origin.passed_bytes,
            },
        }
    }

    /// Requests that the tiers kept from the origin, of all cacheable ones: 1 - origin / clients.
    #[must_use]
    pub fn request_offload(&self) -> f64 {
        1.0 - ratio(self.origin.requests - self.origin.passed, self.client.cacheable)
    }

    /// The same of bytes.
    #[must_use]
    pub fn byte_offload(&self) -> f64 {
        1.0 - ratio(self.origin.bytes - self.origin.passed_bytes, self.client.cacheable_bytes)
    }

    /// Nodes and origin that a request reached on average, background validations included.
    #[must_use]
    pub fn hops(&self) -> f64 {
        let asked: u64 = self.tiers.iter().map(|tier| tier.requests).sum();
        ratio(asked + self.origin.requests, self.client.requests)
    }

    /// Hits of the edges of all cacheable requests.
    #[must_use]
    pub fn edge_object_hit_ratio(&self) -> f64 {
        ratio(self.tiers.first().map_or(0, TierCounts::hits), self.client.cacheable)
    }

    /// Bytes from the stores of the edges of all cacheable ones.
    #[must_use]
    pub fn edge_byte_hit_ratio(&self) -> f64 {
        ratio(self.tiers.first().map_or(0, |tier| tier.stored_bytes), self.client.cacheable_bytes)
    }
}

/// What one tier was and how full it became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierRun {
    /// Which tier.
    pub name: TierName,
    /// Its nodes.
    pub nodes: u32,
    /// Room of each node.
    pub space: Space,
    /// Most bytes held by all nodes at once: in memory, and on disk where there is one. In that of one room the first.
    pub peak_bytes: [u64; 2],
    /// The most that any node held of its room, in thousandths, likewise.
    pub peak_permille: [u64; 2],
}

/// What happened in one part of the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// Its begin, in milliseconds since the first request.
    pub from_ms: u64,
    /// What was counted in it.
    pub counted: Counted,
}

/// What came of a log that was played.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// The tiers, from the client on.
    pub tiers: Vec<TierRun>,
    /// From the first request on: the caches were empty.
    pub cold: Counted,
    /// After the share of requests that only warmed the caches.
    pub warm: Counted,
    /// Parts of equal length of the time.
    pub intervals: Vec<Interval>,
    /// Requests of clients after the warm-up by outcome at the edge, in the order of [`OUTCOMES`], and by how many tiers it
    /// took to answer them: 1 is the edge, one more than there are tiers the origin.
    pub depths: [[u64; 5]; 6],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_follow_from_counters() {
        let mut edge = TierCounts { stored_bytes: 60, ..TierCounts::default() };
        for outcome in OUTCOMES {
            edge.count(outcome);
        }
        assert_eq!((edge.requests, edge.hits()), (6, 2));
        assert!((edge.object_hit_ratio() - 0.4).abs() < 1e-9, "what passes is not counted");
        let client = ClientCounts { requests: 6, bytes: 110, cacheable: 5, cacheable_bytes: 100 };
        let origin =
            OriginCounts { requests: 3, bytes: 30, validations: 1, passed: 1, passed_bytes: 10 };
        let counted = Counted { client, tiers: vec![edge], origin };
        assert!((counted.request_offload() - 0.6).abs() < 1e-9);
        assert!((counted.byte_offload() - 0.8).abs() < 1e-9);
        assert!((counted.edge_byte_hit_ratio() - 0.6).abs() < 1e-9);
        assert!((counted.hops() - 1.5).abs() < 1e-9);
        assert_eq!(counted.since(&counted).client, ClientCounts::default());
        assert_eq!(counted.since(&Counted::default()), counted);
        assert!(ratio(1, 0).abs() < 1e-9, "nothing of nothing");
    }
}
