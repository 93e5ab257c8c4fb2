//! How is a member written into a list field?
//!
//! Whatever name or text comes in, what is written is visible ASCII of the right grammar, so that
//! configuration and messages of errors cannot break a header. What the members mean is known to
//! the modules of their fields.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

/// Appends `member` to the list field `name` and makes one line of the whole field.
///
/// Members already there stay, in their order, as RFC 9110 §5.3 wants of joined lines.
pub(crate) fn append_member(headers: &mut HeaderMap, name: &HeaderName, member: &str) {
    let before = || {
        let lines = headers.get_all(name).iter().map(|line| line.as_bytes().trim_ascii());
        lines.filter(|line| !line.is_empty())
    };
    let length = before().map(|line| line.len().saturating_add(2)).sum::<usize>();
    let mut joined = Vec::with_capacity(length.saturating_add(member.len()));
    for line in before() {
        joined.extend_from_slice(line);
        joined.extend_from_slice(b", ");
    }
    joined.extend_from_slice(member.as_bytes());
    let line = HeaderValue::from_maybe_shared(Bytes::from(joined));
    headers.insert(name, line.expect("field values and visible ASCII join to a field value"));
}

/// Writes a name as a token of structured fields, or as a string if it is none
/// (RFC 9651 §3.3.4, §3.3.3).
pub(crate) fn push_item(line: &mut String, text: &str) {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*');
    if begins && text.bytes().all(|byte| is_token_byte(byte) || matches!(byte, b':' | b'/')) {
        line.push_str(text);
    } else {
        push_string(line, text);
    }
}

/// Writes a quoted string. A character that no such string may hold becomes `?`.
pub(crate) fn push_string(line: &mut String, text: &str) {
    line.push('"');
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        line.push_str(text);
    } else {
        push_escaped(line, text);
    }
    line.push('"');
}

fn push_escaped(line: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            ' '..='~' => line.push(character),
            _ => line.push('?'),
        }
    }
}

/// Makes a token (RFC 9110 §5.6.2): each character that none may hold becomes `_`.
pub(crate) fn token_of(text: &str) -> Cow<'_, str> {
    if !text.is_empty() && text.bytes().all(is_token_byte) {
        return Cow::Borrowed(text);
    }
    let token = |character| match u8::try_from(character) {
        Ok(byte) if is_token_byte(byte) => character,
        _ => '_',
    };
    Cow::Owned(if text.is_empty() { "_".to_owned() } else { text.chars().map(token).collect() })
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use http::header::VIA;

    use super::*;

    #[test]
    fn a_member_is_added_behind_the_others_on_one_line() {
        type Lines = &'static [&'static [u8]];
        const CASES: &[(Lines, &[u8], &str)] = &[
            (&[], b"x", "the first"),
            (&[b"a"], b"a, x", "one line"),
            (&[b"a, b", b"c"], b"a, b, c, x", "several lines, in order"),
            (&[b"", b" a\t", b""], b"a, x", "empty lines add nothing"),
            (&[b"\xe9"], b"\xe9, x", "bytes that are no text are kept"),
        ];
        for &(lines, expected, why) in CASES {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(VIA, HeaderValue::from_bytes(line).expect("well-formed value"));
            }
            append_member(&mut headers, &VIA, "x");
            let joined: Vec<_> = headers.get_all(VIA).iter().map(HeaderValue::as_bytes).collect();
            assert_eq!(joined, [expected], "{why}");
        }
    }

    #[test]
    fn names_and_texts_cannot_break_a_field() {
        const CASES: &[(&str, &str, &str, &str)] = &[
            ("edge-0", "edge-0", "edge-0", "a token is a token"),
            ("a:b/c", "a:b/c", "a_b_c", "structured fields allow more in a token"),
            ("0edge", "\"0edge\"", "0edge", "and less at its beginning"),
            ("", "\"\"", "_", "nothing"),
            ("a, b;c", "\"a, b;c\"", "a__b_c", "delimiters"),
            ("a\"\\", "\"a\\\"\\\\\"", "a__", "quotes"),
            ("a\r\né", "\"a???\"", "a___", "line ends and characters outside ASCII"),
        ];
        for &(text, expected_item, expected_token, why) in CASES {
            let mut item = String::new();
            push_item(&mut item, text);
            assert_eq!(item, expected_item, "{why}");
            assert_eq!(token_of(text), expected_token, "{why}");
        }
    }
}
