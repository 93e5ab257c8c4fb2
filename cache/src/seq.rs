//! Which purges a stored response already reflects: positions in the purge log.
//!
//! Each node counts in numbers of its own that only ever grow; what the log calls them, also across
//! the log's lives, is worked out in [`purge`](crate::purge).

use std::fmt;

/// A position in the purge log, in a node's own count; zero is older than every purge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(u64);

impl Seq {
    /// Makes the sequence number `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_order_and_print_as_numbers() {
        assert!(Seq::default() < Seq::new(1), "the empty log comes first");
        assert!(Seq::new(9) < Seq::new(10), "numeric order, not textual");
        assert_eq!(Seq::new(42).to_string(), "42");
        assert_eq!(Seq::new(42).get(), 42);
    }
}
