//! Which nodes are there, and how much may each of them hold?

use std::fmt;
use std::str::FromStr;

use weir_cache::eviction::Goal;

/// Nodes of one tier at most.
const NODES_MAX: u32 = 1_000;

/// A tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TierName {
    /// Asked by clients.
    Edge,
    /// Asked by edges.
    Regional,
    /// Asks the origin.
    Shield,
}

impl TierName {
    /// All of them, from the client on.
    pub const ALL: [Self; 3] = [Self::Edge, Self::Regional, Self::Shield];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Regional => "regional",
            Self::Shield => "shield",
        }
    }
}

/// Which responses a tier stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fill {
    /// Every tier stores what passes through it. What nodes do.
    #[default]
    Everywhere,
    /// Only the tier next to where the response was found.
    CopyDown,
    /// The tier next to the origin from the second miss on, the others always.
    SecondMiss,
}

impl Fill {
    /// The name used on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::CopyDown => "copy-down",
            Self::SecondMiss => "second-miss",
        }
    }
}

/// A text that names no [`Fill`] or no [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// No fill.
    #[error("a fill is everywhere, copy-down or second-miss")]
    UnknownFill,
    /// No policy.
    #[error("a goal is balanced, objects or bytes, or for comparison lru, fifo or s3-fifo")]
    UnknownPolicy,
    /// Nobody would be asked by clients.
    #[error("there must be at least one edge")]
    NoEdge,
    /// More nodes than a simulation is for.
    #[error("more than {NODES_MAX} nodes of one tier")]
    TooManyNodes,
    /// Nodes that could hold nothing.
    #[error("a node would have no room: {0}")]
    NoRoom(&'static str),
}

impl FromStr for Fill {
    type Err = SetupError;

    fn from_str(text: &str) -> Result<Self, SetupError> {
        let all = [Self::Everywhere, Self::CopyDown, Self::SecondMiss];
        all.into_iter().find(|fill| fill.as_str() == text).ok_or(SetupError::UnknownFill)
    }
}

/// What goes when a node is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// As nodes do for a goal.
    Goal(Goal),
    /// What came first; for comparison.
    Fifo,
    /// What was used last; for comparison.
    Lru,
    /// S3-FIFO; for comparison.
    S3Fifo,
}

impl Default for Policy {
    fn default() -> Self {
        Self::Goal(Goal::default())
    }
}

impl Policy {
    /// The name used on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Goal(goal) => goal.as_str(),
            Self::Fifo => "fifo",
            Self::Lru => "lru",
            Self::S3Fifo => "s3-fifo",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = SetupError;

    fn from_str(text: &str) -> Result<Self, SetupError> {
        let goals = Goal::ALL.into_iter().map(Self::Goal);
        let mut all = goals.chain([Self::Lru, Self::Fifo, Self::S3Fifo]);
        all.find(|policy| policy.as_str() == text).ok_or(SetupError::UnknownPolicy)
    }
}

/// How much a node may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// In one place, be it memory or disk.
    One {
        /// Bytes of it.
        bytes: u64,
    },
    /// In memory over a disk.
    Two {
        /// Bytes of memory.
        memory: u64,
        /// Largest body in memory.
        memory_object_max: u64,
        /// Bytes of disk.
        disk: u64,
    },
}

impl Space {
    /// All its bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::One { bytes } => bytes,
            // What is in memory is on disk as well.
            Self::Two { disk, .. } => disk,
        }
    }

    /// The same kind of room with `bytes`: memory keeps its part of the disk.
    #[must_use]
    fn resized(self, bytes: u64) -> Self {
        match self {
            Self::One { .. } => Self::One { bytes },
            Self::Two { memory, memory_object_max, disk } => {
                let part = u128::from(memory) * u128::from(bytes) / u128::from(disk.max(1));
                let memory = u64::try_from(part).unwrap_or(u64::MAX);
                Self::Two { memory, memory_object_max: memory_object_max.min(memory), disk: bytes }
            }
        }
    }

    /// Room in memory, over a disk where `disk` is given. As in a node, bodies up to 1 MiB or an eighth of the memory are
    /// kept there, whichever is less.
    #[must_use]
    pub fn of(memory: u64, disk: Option<u64>) -> Self {
        let memory_object_max = (memory / 8).min(1 << 20);
        match disk {
            None => Self::One { bytes: memory },
            Some(disk) => Self::Two { memory, memory_object_max, disk },
        }
    }

    /// The largest body that a node with this room stores by default: an eighth of memory and 32 MiB at most, or a quarter
    /// of the disk.
    #[must_use]
    pub const fn object_max(self) -> u64 {
        match self {
            Self::One { bytes } if bytes / 8 < 32 << 20 => bytes / 8,
            Self::One { .. } => 32 << 20,
            Self::Two { disk, .. } => disk / 4,
        }
    }

    /// The weights of nodes that make tiers help each other: an edge 1, a regional as much as the edges that it has, a
    /// shield twice all edges.
    #[must_use]
    pub fn sizing([edges, regionals, _]: [u32; 3]) -> [u64; 3] {
        let (edges, regionals) = (u64::from(edges), u64::from(regionals));
        let by = regionals.max(1);
        [by, if regionals > 0 { edges } else { 0 }, 2 * edges * by]
    }
}

/// The nodes of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// Nodes of each tier, from the client on; 0 leaves a tier out, but for the edges.
    pub nodes: [u32; 3],
    /// Room of one node of each tier.
    pub space: [Space; 3],
    /// What goes when a node is full.
    pub policy: Policy,
    /// Which tiers store a response.
    pub fill: Fill,
    /// Time that a request upstream takes, in which others for the same join it; 0 for none.
    pub fetch_ms: u64,
    /// Bytes that each stored response takes beside its body.
    pub overhead: u64,
    /// Whether a node takes no body larger than the part of its room that nodes have as their default; without, everything
    /// that fits.
    pub bounds_bodies: bool,
    /// Share of the requests that only warm the caches, 0 to 1.
    pub warmup: f64,
    /// What chance is drawn from: which edge a client asks, which regional keeps a key.
    pub seed: u64,
}

impl Setup {
    /// One cache with `bytes`, to compare others with.
    #[must_use]
    pub fn flat(&self, bytes: u64, policy: Policy) -> Self {
        let space = [Space::One { bytes }; 3];
        let bounds_bodies = false;
        Self {
            nodes: [1, 0, 0],
            space,
            policy,
            fill: Fill::Everywhere,
            bounds_bodies,
            ..self.clone()
        }
    }

    /// The same nodes with `total` bytes, shared out by weights of the tiers' nodes. A tier of two kinds of room keeps
    /// their proportion.
    #[must_use]
    pub fn with_total(&self, total: u64, sizing: [u64; 3]) -> Self {
        let weights = self
            .nodes
            .iter()
            .zip(sizing)
            .map(|(nodes, weight)| u128::from(*nodes) * u128::from(weight));
        let sum = weights.sum::<u128>().max(1);
        let share = |weight: u64| {
            u64::try_from(u128::from(total) * u128::from(weight) / sum).unwrap_or(u64::MAX)
        };
        let mut space = self.space;
        for (space, weight) in space.iter_mut().zip(sizing) {
            *space = space.resized(share(weight));
        }
        Self { space, ..self.clone() }
    }

    /// Bytes of all nodes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let tiers = self.nodes.iter().zip(self.space);
        tiers.fold(0, |sum, (nodes, space)| {
            sum.saturating_add(space.bytes().saturating_mul(u64::from(*nodes)))
        })
    }

    /// The tiers that there are, with their nodes and the room of each node, from the client on.
    pub fn tiers(&self) -> impl Iterator<Item = (TierName, u32, Space)> + '_ {
        let tiers = TierName::ALL.into_iter().zip(self.nodes).zip(self.space);
        tiers.map(|((name, nodes), space)| (name, nodes, space)).filter(|(_, nodes, _)| *nodes > 0)
    }

    /// Checks what cannot be played.
    ///
    /// # Errors
    ///
    /// [`SetupError`].
    pub fn check(&self) -> Result<(), SetupError> {
        let [edges, ..] = self.nodes;
        if edges == 0 {
            return Err(SetupError::NoEdge);
        }
        if self.nodes.iter().any(|nodes| *nodes > NODES_MAX) {
            return Err(SetupError::TooManyNodes);
        }
        match self.tiers().find(|(_, _, space)| space.bytes() == 0) {
            Some((tier, ..)) => Err(SetupError::NoRoom(tier.as_str())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> Setup {
        Setup {
            nodes: [4, 2, 1],
            space: [Space::One { bytes: 1 }; 3],
            policy: Policy::default(),
            fill: Fill::default(),
            fetch_ms: 0,
            overhead: 0,
            bounds_bodies: false,
            warmup: 0.2,
            seed: 1,
        }
    }

    #[test]
    fn a_total_is_shared_out_by_weight() {
        // (nodes, weights, room of a node of each tier, why)
        let cases = [
            (
                [4, 2, 1],
                [1, 2, 8],
                [100, 200, 800],
                "the proportion for four edges and two regionals",
            ),
            ([4, 0, 1], [1, 2, 8], [133, 266, 1_066], "a tier that is left out takes nothing"),
            ([1, 0, 0], [1, 2, 8], [1_600, 3_200, 12_800], "all for one"),
            ([2, 2, 0], [1, 3, 0], [200, 600, 0], "weights of the user's"),
        ];
        for (nodes, weights, expected, why) in cases {
            let shared = Setup { nodes, ..setup() }.with_total(1_600, weights);
            assert_eq!(shared.space.map(Space::bytes), expected, "{why}");
            assert!(shared.total_bytes() <= 1_600, "{why}");
        }
    }

    #[test]
    fn rooms_are_sized_as_nodes_are() {
        assert_eq!(Space::sizing([4, 2, 1]), [2, 4, 16], "1 : 2 : 8");
        assert_eq!(Space::sizing([3, 0, 1]), [1, 0, 6]);
        let two = Space::of(1 << 30, Some(4 << 30));
        let expected = Space::Two { memory: 1 << 30, memory_object_max: 1 << 20, disk: 4 << 30 };
        assert_eq!(two, expected);
        let expected = Space::Two { memory: 256, memory_object_max: 256, disk: 1_024 };
        assert_eq!(two.resized(1_024), expected, "memory keeps its part");
        assert_eq!(Space::of(800, None), Space::One { bytes: 800 });
        let largest = [two, Space::of(800, None), Space::of(1 << 30, None)].map(Space::object_max);
        assert_eq!(largest, [1 << 30, 100, 32 << 20]);
    }

    #[test]
    fn what_cannot_be_played_is_refused() {
        assert_eq!(setup().check(), Ok(()));
        assert_eq!(Setup { nodes: [0, 1, 1], ..setup() }.check(), Err(SetupError::NoEdge));
        assert_eq!(
            Setup { nodes: [1, 1_001, 1], ..setup() }.check(),
            Err(SetupError::TooManyNodes)
        );
        let space = [Space::One { bytes: 1 }, Space::One { bytes: 0 }, Space::One { bytes: 1 }];
        assert_eq!(Setup { space, ..setup() }.check(), Err(SetupError::NoRoom("regional")));
        assert_eq!(Setup { space, nodes: [1, 0, 1], ..setup() }.check(), Ok(()), "no regional");
    }

    #[test]
    fn names_are_read_as_they_are_shown() {
        for policy in ["balanced", "objects", "bytes", "lru", "fifo", "s3-fifo"] {
            assert_eq!(policy.parse::<Policy>().unwrap().to_string(), policy);
        }
        for fill in ["everywhere", "copy-down", "second-miss"] {
            assert_eq!(fill.parse::<Fill>().unwrap().as_str(), fill);
        }
        assert_eq!("LRU".parse::<Policy>(), Err(SetupError::UnknownPolicy));
    }
}
