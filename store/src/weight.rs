//! What does a thing in memory really take?
//!
//! Weights are what the memory limit of the node is measured against, so they are to be what the allocator
//! takes and not what was asked of it.

use crate::response::length;

/// Bytes of the two reference counts of an `Arc`.
pub(crate) const COUNTS_BYTES: usize = 2 * size_of::<usize>();

/// The bytes that one piece of `bytes` takes of the heap; nothing if it is empty.
///
/// As glibc's malloc has it, which is the most frugal of the common ones only for small pieces: eight bytes
/// beside each, in steps of 16. Large pieces are pages of their own there.
pub(crate) fn allocated(bytes: usize) -> u64 {
    const LARGE: u64 = 128 * 1024;
    const PAGE: u64 = 4096;
    let bytes = length(bytes);
    if bytes == 0 {
        0
    } else if bytes < LARGE {
        bytes.saturating_add(8).next_multiple_of(16).max(32)
    } else {
        bytes.saturating_add(16).next_multiple_of(PAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_charged_for_as_they_are_cut() {
        // (asked, taken)
        for (asked, taken) in
            [(0, 0), (1, 32), (24, 32), (25, 48), (1024, 1040), (131_072, 135_168)]
        {
            assert_eq!(allocated(asked), taken, "{asked}");
        }
    }
}
