//! How entity tags are compared (RFC 9110 §8.8.3.2).
//!
//! Tags are compared as bytes, so that a tag an origin forgot to quote still equals itself.

/// Says whether two tags are equal, weak or not.
pub(crate) fn weakly_equal(a: &[u8], b: &[u8]) -> bool {
    opaque(a) == opaque(b)
}

/// Says whether two tags are equal and neither is weak.
pub(crate) fn strongly_equal(a: &[u8], b: &[u8]) -> bool {
    !is_weak(a) && a == b
}

/// Says whether a tag proves byte-for-byte equality (RFC 9110 §8.8.1): quoted, and not marked as weak.
pub(crate) fn is_strong(tag: &[u8]) -> bool {
    matches!(tag, [b'"', .., b'"'])
}

/// Says whether a tag marks itself as weak.
pub(crate) fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_standard_holds() {
        // (a, b, strongly equal, weakly equal); RFC 9110 §8.8.3.2.
        const CASES: &[(&[u8], &[u8], bool, bool)] = &[
            (b"W/\"1\"", b"W/\"1\"", false, true),
            (b"W/\"1\"", b"W/\"2\"", false, false),
            (b"W/\"1\"", b"\"1\"", false, true),
            (b"\"1\"", b"\"1\"", true, true),
            (b"1", b"\"1\"", false, false),
        ];
        for &(a, b, strong, weak) in CASES {
            assert_eq!((strongly_equal(a, b), weakly_equal(a, b)), (strong, weak), "{a:?} {b:?}");
        }
    }
}
