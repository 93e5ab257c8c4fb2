//! For how long may a node trust what it knows of the purge log?

use std::time::Duration;

use crate::time::Timestamp;

/// A node's right to reuse what it stores, renewed by hearing from the log.
///
/// It counts from the moment at which the node *sent* the question whose answer renewed it: the log
/// cannot have counted from an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    length: Duration,
    until: Timestamp,
}

impl Lease {
    /// A lease of this length that has never been granted.
    pub const fn new(length: Duration) -> Self {
        Self { length, until: Timestamp::ZERO }
    }

    /// Renews it by an answer to a question sent at `sent`, once every entry in the answer has been
    /// applied. An answer to an older question takes nothing away.
    pub fn renew(&mut self, sent: Timestamp) {
        self.until = self.until.max(sent.saturating_add(self.length));
    }

    /// The same lease, to be renewed for `length` from now on.
    #[must_use]
    pub const fn lasting(self, length: Duration) -> Self {
        Self { length, ..self }
    }

    /// When it runs out.
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// Whether the node may reuse at `now` what it stores.
    pub fn is_current(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::after;

    #[test]
    fn a_lease_counts_from_the_question_and_never_shrinks() {
        let mut lease = Lease::new(Duration::from_secs(5));
        assert!(!lease.is_current(after(0)), "never granted");
        lease.renew(after(10));
        assert!(lease.is_current(after(14)) && !lease.is_current(after(15)));
        lease.renew(after(8));
        assert_eq!(lease.until(), after(15), "a late answer to an old question");
    }
}
