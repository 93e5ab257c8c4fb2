//! Which engines are there, and what may an index cost?

use std::str::FromStr;
use std::time::Duration;

/// The engine of an index that lies on disk.
///
/// Both keep the same promises; docs/decisions/0010 has what they cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IndexKind {
    /// redb: a B-tree in one file. Opens at once after a kill, in bounded memory.
    Redb,
    /// sled: a log with its pages in memory. Opening reads it.
    Sled,
}

impl IndexKind {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::Redb, Self::Sled];

    /// Its name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            Self::Sled => "sled",
        }
    }
}

/// The configuration names no engine of an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no index: `redb` and `sled` are")]
pub struct UnknownIndexKind {
    /// What it names.
    pub name: String,
}

impl FromStr for IndexKind {
    type Err = UnknownIndexKind;

    /// Reads a name as [`IndexKind::as_str`] writes it.
    fn from_str(name: &str) -> Result<Self, UnknownIndexKind> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        kind.ok_or_else(|| UnknownIndexKind { name: name.to_owned() })
    }
}

/// What an index may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexLimits {
    /// The memory of its cache, in bytes. What each engine takes beyond it is in
    /// docs/decisions/0010.
    pub memory_bytes: u64,
    /// How long opening may take before what is there is set aside, and closing before it goes on
    /// behind the caller's back.
    pub open_within: Duration,
    /// How long an engine that the disk has failed stays closed before it is tried again.
    pub reopen_every: Duration,
}

impl Default for IndexLimits {
    /// 64 MiB, 30 s and 1 s.
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            open_within: Duration::from_secs(30),
            reopen_every: Duration::from_secs(1),
        }
    }
}
