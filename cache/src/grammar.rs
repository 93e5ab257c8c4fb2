//! How the small pieces of field values are read: tokens, quoted strings, numbers of seconds.
//!
//! What a field means is left to the module of that field. Numbers saturate instead of failing, so
//! that a value too large to hold is large, not absent.

use std::time::Duration;

/// The largest number of seconds that is told apart (RFC 9111 §1.2.2).
const DELTA_MAX: u64 = 1 << 31;

/// Removes spaces and tabs at both ends (RFC 9110 §5.6.3, `OWS`).
pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Says whether `bytes` is a token (RFC 9110 §5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Returns the text of a quoted string (RFC 9110 §5.6.4) that is all of `bytes`.
pub(crate) fn unquote(bytes: &[u8]) -> Option<Vec<u8>> {
    let [b'"', inner @ .., b'"'] = bytes else { return None };
    let mut text = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\\' => text.push(*rest.next()?),
            b'"' => return None,
            _ => text.push(byte),
        }
    }
    Some(text)
}

/// Reads one or more decimal digits and nothing else; saturates.
pub(crate) fn parse_digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        Some(number.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

/// Reads delta-seconds; whatever is larger than 2^31 becomes 2^31 (RFC 9111 §1.2.2).
pub(crate) fn parse_delta(bytes: &[u8]) -> Option<Duration> {
    parse_digits(bytes).map(clamp_delta)
}

/// Makes a duration of at most 2^31 seconds (RFC 9111 §1.2.2).
pub(crate) fn clamp_delta(secs: u64) -> Duration {
    Duration::from_secs(secs.min(DELTA_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_are_digits_and_saturate() {
        // (text, expected seconds, why); RFC 9111 §1.2.2.
        const CASES: &[(&[u8], Option<u64>, &str)] = &[
            (b"0", Some(0), "zero is a number"),
            (b"003600", Some(3600), "leading zeros change nothing"),
            (b"2147483648", Some(DELTA_MAX), "the bound itself"),
            (b"2147483649", Some(DELTA_MAX), "one more is clamped"),
            (b"99999999999999999999999", Some(DELTA_MAX), "more than 64 bits is clamped"),
            (b"", None, "no digits"),
            (b"-1", None, "negative"),
            (b"+1", None, "a sign is not a digit"),
            (b"1.0", None, "decimal"),
            (b"1s", None, "trailing letter"),
            (b" 1", None, "leading space"),
            (b"\xb2", None, "a digit outside ASCII"),
        ];
        for &(text, expected, why) in CASES {
            assert_eq!(parse_delta(text), expected.map(Duration::from_secs), "{why}");
        }
    }

    #[test]
    fn quoted_strings_must_be_whole() {
        type Case = (&'static [u8], Option<&'static [u8]>, &'static str);
        const CASES: &[Case] = &[
            (b"\"a, b\"", Some(b"a, b"), "commas are text"),
            (b"\"a\\\"b\"", Some(b"a\"b"), "an escaped quote is text"),
            (b"\"\"", Some(b""), "empty is a string"),
            (b"\"", None, "one quote opens and does not close"),
            (b"\"a\\\"", None, "the closing quote is escaped"),
            (b"\"a\"b\"", None, "two strings are not one"),
            (b"a", None, "a token"),
        ];
        for &(text, expected, why) in CASES {
            assert_eq!(unquote(text).as_deref(), expected, "{why}");
        }
    }

    #[test]
    fn tokens_have_no_separators() {
        assert!(is_token(b"max-age") && is_token(b"x_1~"));
        assert!(!is_token(b"") && !is_token(b"a b") && !is_token(b"a=") && !is_token(b"\xe9"));
        assert_eq!(trim_ows(b" \t a b \t"), b"a b");
        assert_eq!(trim_ows(b" \t "), b"");
    }
}
