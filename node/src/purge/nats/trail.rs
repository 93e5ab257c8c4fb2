//! Which message of the stream comes next, and is it still the stream that was followed?

use std::time::Duration;

use weir_cache::Timestamp;
use weir_cache::purge::{AsOf, Epoch};

use super::wire::Stream;

/// Messages that are read one by one; with more, the log is taken up at its head.
pub(super) const READ_MAX: u64 = 10_000;

/// What a message was, so that it can be told from another with the same number.
pub(super) type Mark = blake3::Hash;

/// How a message stands with what has been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It has been applied.
    Known,
    /// It is not the next one, or nobody can say.
    Missing,
    /// It is the next one.
    Next,
}

/// How far one life of the stream has been followed.
#[derive(Clone, Debug)]
pub(super) struct Trail {
    created: String,
    epoch: Epoch,
    /// The lease that holds for all who follow this stream.
    lease: Duration,
    applied: u64,
    /// What the newest message applied was; `None` where none has been seen.
    mark: Option<Mark>,
    /// The newest message known to exist.
    known: u64,
    sure_until: Timestamp,
    is_forgotten: bool,
}

impl Trail {
    /// The trail of the stream that was `created` then, from its message `applied` on.
    pub(super) fn new(
        stream: &str,
        created: &str,
        lease: Duration,
        (applied, mark): (u64, Option<Mark>),
    ) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("weir 2026 epoch of a stream");
        hasher.update(stream.as_bytes()).update(b"\n").update(created.as_bytes());
        let mut number = [0; 8];
        hasher.finalize_xof().fill(&mut number);
        Self {
            created: created.to_owned(),
            epoch: Epoch::new(u64::from_le_bytes(number)),
            lease,
            applied,
            mark,
            known: applied,
            sure_until: Timestamp::ZERO,
            is_forgotten: false,
        }
    }

    /// How far it has been followed.
    pub(super) fn as_of(&self) -> AsOf {
        AsOf { epoch: self.epoch, seq: self.applied }
    }

    /// When the stream was made.
    pub(super) fn created(&self) -> &str {
        &self.created
    }

    /// The lease of all who follow it.
    pub(super) fn lease(&self) -> Duration {
        self.lease
    }

    /// The newest message known to exist.
    pub(super) fn known(&self) -> u64 {
        self.known
    }

    /// The newest message applied and what it was.
    pub(super) fn end(&self) -> (u64, Option<Mark>) {
        (self.applied, self.mark)
    }

    /// Notes that a message `seq` exists.
    pub(super) fn learn_of(&mut self, seq: u64) {
        self.known = self.known.max(seq);
    }

    /// How the message `seq` stands.
    pub(super) fn step(&self, seq: u64) -> Step {
        if seq <= self.applied {
            Step::Known
        } else if seq == self.applied.saturating_add(1) {
            Step::Next
        } else {
            Step::Missing
        }
    }

    /// The same for a message that was pushed rather than read.
    ///
    /// A stream that loses messages, by a power failure or an election, takes seconds to come back. Soon
    /// after it was seen to be whole, what it pushes is what follows; later, only reading can tell.
    pub(super) fn step_pushed(&self, seq: u64, now: Timestamp) -> Step {
        match self.step(seq) {
            Step::Next if !self.is_sure(now) => Step::Missing,
            step => step,
        }
    }

    /// Whether the stream was seen to be whole so shortly before that nothing can have happened to it.
    pub(super) fn is_sure(&self, now: Timestamp) -> bool {
        now < self.sure_until && !self.is_forgotten
    }

    /// Notes that something may have happened to the stream.
    pub(super) fn doubt(&mut self) {
        self.sure_until = Timestamp::ZERO;
    }

    /// Gives up following it one by one.
    pub(super) fn forget(&mut self) {
        self.is_forgotten = true;
    }

    /// Whether `stream` goes on where this ends, one by one. Else the log is to be taken up at its head.
    pub(super) fn leads_into(&self, stream: &Stream) -> bool {
        !self.is_forgotten
            && self.created == stream.created
            && stream.first <= self.applied.saturating_add(1)
            && stream.last.saturating_sub(self.applied) <= READ_MAX
    }

    /// Goes on to the next message.
    pub(super) fn advance(&mut self, mark: Mark) {
        self.applied = self.applied.saturating_add(1);
        self.mark = Some(mark);
        self.learn_of(self.applied);
    }

    /// Notes that the stream was seen to be whole at `at`.
    pub(super) fn is_whole(&mut self, at: Timestamp) {
        let sure_for = self.lease.min(Duration::from_secs(2));
        self.sure_until = self.sure_until.max(at.saturating_add(sure_for));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(created: &str) -> Trail {
        Trail::new("s", created, Duration::from_secs(5), (7, None))
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::ZERO.saturating_add(Duration::from_secs(secs))
    }

    #[test]
    fn messages_follow_one_another() {
        let mut trail = trail("then");
        assert_eq!([7, 8, 9].map(|seq| trail.step(seq)), [Step::Known, Step::Next, Step::Missing]);
        trail.advance(blake3::hash(b"8"));
        assert_eq!(trail.step(9), Step::Next);
        assert_eq!(trail.end(), (8, Some(blake3::hash(b"8"))));
        trail.learn_of(12);
        trail.learn_of(11);
        assert_eq!(trail.known(), 12);
    }

    #[test]
    fn what_is_pushed_counts_only_soon_after_the_stream_was_seen_to_be_whole() {
        let mut trail = trail("then");
        assert_eq!(trail.step_pushed(8, at(10)), Step::Missing);
        trail.is_whole(at(10));
        assert_eq!(trail.step_pushed(8, at(11)), Step::Next);
        assert_eq!(trail.step_pushed(7, at(11)), Step::Known);
        assert_eq!(trail.step_pushed(8, at(12)), Step::Missing);
        assert_eq!(trail.step(8), Step::Next, "what is read does");
        trail.is_whole(at(20));
        trail.doubt();
        assert_eq!(trail.step_pushed(8, at(20)), Step::Missing);
    }

    #[test]
    fn a_stream_that_was_made_anew_is_another_epoch() {
        let epoch = |created| trail(created).as_of().epoch;
        assert_eq!(epoch("then"), epoch("then"));
        assert_ne!(epoch("then"), epoch("now"));
    }
}
