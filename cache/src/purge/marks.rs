//! When was a thing last purged, and last invalidated?

use crate::seq::Seq;

use super::ledger::Standing;

/// What a purge does to the responses that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Stale at once: each must be validated before it is used again, and may not stand in for an
    /// error meanwhile.
    Invalidate,
    /// Gone: the next request fetches without conditions.
    Purge,
}

impl Mode {
    /// The name in the admin API and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalidate => "invalidate",
            Self::Purge => "purge",
        }
    }
}

impl std::str::FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "invalidate" => Ok(Self::Invalidate),
            "purge" => Ok(Self::Purge),
            _ => Err(()),
        }
    }
}

/// The newest entry of each mode that named one thing; zero for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    purge: Seq,
    invalidate: Seq,
}

impl Marks {
    /// Notes an entry. Entries come in their order, so a later one is the newer.
    pub(super) fn mark(&mut self, mode: Mode, seq: Seq) {
        match mode {
            Mode::Invalidate => self.invalidate = seq,
            Mode::Purge => self.purge = seq,
        }
    }

    /// How a response that reflects the log up to `reflects` stands with these.
    pub(super) fn standing(self, reflects: Seq) -> Standing {
        if self.purge > reflects {
            Standing::Purged { by: self.purge }
        } else if self.invalidate > reflects {
            Standing::Invalidated { by: self.invalidate }
        } else {
            Standing::Clear
        }
    }

    /// The newer of both entries.
    pub(super) fn newest(self) -> Seq {
        self.purge.max(self.invalidate)
    }
}
