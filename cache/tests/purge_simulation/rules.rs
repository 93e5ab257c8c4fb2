//! The rules that can be taken out, to see that the checker misses them.

use super::weather::Kind;

/// One rule of the purge, or of a node that keeps to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A node takes the answer to its newest question only, and once, as over HTTP it cannot but do.
    AnswersInTurn,
    /// What was applied is kept before it is reported, or it is known that something is not.
    DurableApply,
    /// A position of the log that was joined is kept before anything is stored under it.
    DurableJoin,
    /// A member is kept before its first lease goes out.
    DurableRoll,
    /// An entry counts in its own life of the log only.
    EntryEpoch,
    /// A log that was lost begins another epoch.
    Epoch,
    /// A request joins a fill only where no applied purge lies between them.
    Join,
    /// A node without a lease joins no request to a fill.
    JoinFenced,
    /// A node without a lease reuses nothing unasked.
    Lease,
    /// A lease counts from the sending of the question.
    LeaseFromSending,
    /// What a purge overtook is not reused.
    Reuse,
    /// What a purge overtook on its way is not stored.
    Store,
    /// A request to a parent says how far its sender has applied.
    Upward,
    /// What was purged while it was being validated is not stored again.
    Validation,
    /// A log that was begun less than a lease ago is still that young when its keeper starts again.
    YoungLog,
}

impl Rule {
    /// All of them.
    pub(crate) const ALL: [Self; 15] = [
        Self::AnswersInTurn,
        Self::DurableApply,
        Self::DurableJoin,
        Self::DurableRoll,
        Self::EntryEpoch,
        Self::Epoch,
        Self::Join,
        Self::JoinFenced,
        Self::Lease,
        Self::LeaseFromSending,
        Self::Reuse,
        Self::Store,
        Self::Upward,
        Self::Validation,
        Self::YoungLog,
    ];

    /// The kind of run in which it is missed soonest.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::AnswersInTurn | Self::EntryEpoch => Kind::Echoes,
            Self::DurableApply
            | Self::DurableJoin
            | Self::DurableRoll
            | Self::Epoch
            | Self::YoungLog => Kind::Restarts,
            Self::Upward => Kind::Slow,
            _ => Kind::Faults,
        }
    }
}

/// The rules that hold in a run: all, or all but one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    without: Option<Rule>,
}

impl Rules {
    /// All but `rule`.
    pub(crate) fn without(rule: Rule) -> Self {
        Self { without: Some(rule) }
    }

    /// Whether nodes keep to `rule`.
    pub(crate) fn hold(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}
