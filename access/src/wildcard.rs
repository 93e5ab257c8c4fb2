//! Does a text fit a pattern with `*` (any characters, none included) and `?` (one character)?
//!
//! Unlike [`weir_cache::Glob`], `*` does not stop at a slash: the formats of other CDNs and lists of
//! user agents mean it so. Only the last star is ever widened, so that the time is at most the product of
//! both lengths.

/// Says whether `pattern` stands for all of `text`, with bytes compared by `same`.
pub(crate) fn fits(pattern: &[u8], text: &[u8], same: impl Fn(u8, u8) -> bool) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // What follows the last star, and what it may still swallow.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', after)), _) => {
                star = Some((after, text));
                pattern = after;
                continue;
            }
            (Some((wanted, after)), Some((byte, rest)))
                if *wanted == b'?' || same(*wanted, *byte) =>
            {
                (pattern, text) = (after, rest);
                continue;
            }
            (None, None) => return true,
            (Some(_), None) => return false,
            (_, Some(_)) => {}
        }
        let Some((after, [_, rest @ ..])) = star else { return false };
        star = Some((after, rest));
        (pattern, text) = (after, rest);
    }
}

/// Says whether `pattern` stands for `text`, byte for byte.
pub(crate) fn fits_exactly(pattern: &str, text: &str) -> bool {
    fits(pattern.as_bytes(), text.as_bytes(), |wanted, byte| wanted == byte)
}

/// Says whether `pattern`, in lower case, stands for `text` in any case.
pub(crate) fn fits_any_case(pattern: &[u8], text: &[u8]) -> bool {
    fits(pattern, text, |wanted, byte| wanted == byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_have_their_meaning() {
        const CASES: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("a*c", "a/b/c", true),
            ("a*c", "a/b/d", false),
            ("a?c", "a/c", true),
            ("a?c", "ac", false),
            ("*b*b", "abab", true),
            ("*b*b", "ab", false),
            ("**", "x", true),
            ("a", "A", false),
        ];
        for &(pattern, text, expected) in CASES {
            assert_eq!(fits_exactly(pattern, text), expected, "{pattern} {text}");
        }
        assert!(fits_any_case(b"*curl*", b"X cURL/8"));
        assert!(!fits_exactly(&format!("{}b", "a*".repeat(500)), &"a".repeat(16_000)));
    }
}
