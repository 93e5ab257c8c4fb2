//! What does a percent-escape stand for (RFC 3986 §2.1)?
//!
//! One reading for the path (where a bad escape is an error) and for names in the query (where it
//! stands for itself). Which escapes are needless is decided in `path`.

/// Reads the two hexadecimal digits after a `%`; `None` if one of them is no digit.
pub(crate) fn unescape(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digit(high)?.checked_mul(16)?.checked_add(digit(low)?)
}

/// Yields the bytes of `text` with every escape replaced by what it stands for.
///
/// A `%` without two digits behind it is an ordinary byte.
pub(crate) fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        if let [b'%', high, low, tail @ ..] = rest
            && let Some(byte) = unescape(*high, *low)
        {
            rest = tail;
            return Some(byte);
        }
        let (first, tail) = rest.split_first()?;
        rest = tail;
        Some(*first)
    })
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn escapes_are_decoded_once_and_bad_ones_stand_for_themselves() {
        const CASES: &[(&str, &[u8], &str)] = &[
            ("", b"", "nothing in, nothing out"),
            ("a%2Fb", b"a/b", "upper-case digits"),
            ("a%2fb", b"a/b", "lower-case digits"),
            ("%2541", b"%41", "what an escape yields is not decoded again"),
            ("%ff%00", b"\xff\x00", "any byte"),
            ("%zz%4", b"%zz%4", "not an escape, or cut short"),
            ("%+1", b"%+1", "a sign is no digit"),
        ];
        for &(text, expected, why) in CASES {
            assert_eq!(decoded(text).collect::<Vec<_>>(), expected, "{why}: {text}");
        }
    }
}
