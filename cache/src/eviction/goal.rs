//! What is a cache to save: requests, bytes, or some of both?

use std::fmt;
use std::str::FromStr;

/// What eviction aims at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Goal {
    /// Many requests and many bytes, neither at the expense of the other.
    #[default]
    Balanced,
    /// As few bytes as possible from upstream.
    Bytes,
    /// As few requests as possible to upstream.
    Objects,
}

impl Goal {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Balanced, Self::Objects, Self::Bytes];

    /// The name by which it is configured.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Bytes => "bytes",
            Self::Objects => "objects",
        }
    }
}

/// A text that names no [`Goal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a goal is balanced, objects or bytes")]
pub struct UnknownGoal;

impl FromStr for Goal {
    type Err = UnknownGoal;

    fn from_str(text: &str) -> Result<Self, UnknownGoal> {
        Self::ALL.into_iter().find(|goal| goal.as_str() == text).ok_or(UnknownGoal)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_read_as_it_is_shown() {
        for goal in Goal::ALL {
            assert_eq!(goal.to_string().parse(), Ok(goal));
        }
        assert_eq!("Bytes".parse::<Goal>(), Err(UnknownGoal));
        assert_eq!(Goal::ALL[0], Goal::default());
    }
}
