//! What does a percent-encoded text say (RFC 3986 §2.1)?
//!
//! Used for file paths and parameter values. A plus sign stays a plus sign: `image/svg+xml` is
//! written as it is.

/// Decodes the escapes of `text`; `None` if one is cut short or has other than hex digits.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'%' { hex(bytes.next()?)? << 4 | hex(bytes.next()?)? } else { byte });
    }
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once_and_broken_ones_are_refused() {
        const CASES: &[(&str, Option<&[u8]>, &str)] = &[
            ("/a%20b", Some(b"/a b"), "plain escape"),
            ("a+b", Some(b"a+b"), "plus is not a space"),
            ("%252e", Some(b"%2e"), "decoded once only"),
            ("%fF", Some(b"\xff"), "both cases of digits"),
            ("%", None, "cut short"),
            ("%4", None, "cut short"),
            ("%+1", None, "not a hex digit"),
        ];
        for &(text, expected, why) in CASES {
            assert_eq!(decode(text).as_deref(), expected, "{why}: {text}");
        }
    }
}
