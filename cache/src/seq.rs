//! Which purges a stored response already reflects: positions in the purge log.
//!
//! The log itself and who applied what belong to the node; the rules only carry the number along.

use std::fmt;

/// The number of an entry in the purge log; zero stands for the empty log.
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
