//! How a field that may stand on several lines is read as one list.
//!
//! Members are handed out as bytes; what a member means is left to the caller.
//!
//! # Invariants
//!
//! 1. All lines count, in order (RFC 9110 §5.3). Reading only the first one has sent one user's
//!    page to another in other caches.
//! 2. A quoted string ends with its line at the latest, so that one broken line cannot swallow the
//!    next.

use http::{HeaderMap, HeaderName};

use crate::grammar::trim_ows;

/// Returns the members of the list field `name`, over all its lines and in order.
///
/// Lines are split at commas outside quoted strings, members are trimmed, empty ones are left out
/// (RFC 9110 §5.6.1). A quoted string that is not closed reaches to the end of its line.
pub fn list_members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers.get_all(name).into_iter().flat_map(|line| members(line.as_bytes()))
}

/// Returns the members of one line.
pub(crate) fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    Members { rest: Some(line), escapes: true }
}

/// Returns the members of one line of entity tags, in which a backslash escapes nothing
/// (RFC 9110 §8.8.3).
pub(crate) fn tag_members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    Members { rest: Some(line), escapes: false }
}

/// Says whether `member` opens a quoted string without closing it.
pub(crate) fn is_unterminated(member: &[u8]) -> bool {
    let mut quotes = Quotes::new(true);
    for &byte in member {
        quotes.on_byte(byte);
    }
    quotes.open
}

/// Follows where quoted strings begin and end.
struct Quotes {
    escapes: bool,
    open: bool,
    escaped: bool,
}

impl Quotes {
    fn new(escapes: bool) -> Self {
        Self { escapes, open: false, escaped: false }
    }

    fn on_byte(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.open && self.escapes => self.escaped = true,
            b'"' => self.open = !self.open,
            _ => {}
        }
    }
}

struct Members<'a> {
    rest: Option<&'a [u8]>,
    escapes: bool,
}

impl<'a> Members<'a> {
    /// Cuts off what stands before the next separating comma.
    fn cut(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut quotes = Quotes::new(self.escapes);
        let comma = rest.iter().position(|&byte| {
            quotes.on_byte(byte);
            byte == b',' && !quotes.open
        });
        let Some((member, tail)) = comma.and_then(|at| rest.split_at_checked(at)) else {
            return self.rest.take();
        };
        self.rest = tail.strip_prefix(b",");
        Some(member)
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let member = trim_ows(self.cut()?);
            if !member.is_empty() {
                return Some(member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::VARY;

    use super::*;

    #[test]
    fn all_lines_are_one_list() {
        // (lines, expected members, why); RFC 9110 §5.3 and §5.6.1.
        const CASES: &[(&[&str], &[&str], &str)] = &[
            (&["a, b"], &["a", "b"], "comma and space"),
            (&["a", "b,c"], &["a", "b", "c"], "lines join in order"),
            (&[" ,, a ,\t"], &["a"], "empty members are dropped, white space trimmed"),
            (&["", "*"], &["*"], "an empty line hides nothing"),
            (&["x=\"a, b\", c"], &["x=\"a, b\"", "c"], "a quoted comma does not split"),
            (&["x=\"a\\\", b\", c"], &["x=\"a\\\", b\"", "c"], "nor after an escaped quote"),
            (&["x=\\\"a, b"], &["x=\\\"a, b"], "outside quotes a backslash escapes nothing"),
            (&["x=\"a, b", "c"], &["x=\"a, b", "c"], "an open quote ends with its line"),
            (&[], &[], "an absent field has no members"),
        ];
        for &(lines, expected, why) in CASES {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(VARY, HeaderValue::from_static(line));
            }
            let found: Vec<&[u8]> = list_members(&headers, &VARY).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|member| member.as_bytes()).collect();
            assert_eq!(found, expected, "{why}");
        }
    }

    #[test]
    fn a_backslash_in_an_entity_tag_is_an_ordinary_character() {
        let found: Vec<&[u8]> = tag_members(br#""a\", "b""#).collect();
        assert_eq!(found, [br#""a\""#.as_slice(), br#""b""#]);
    }

    #[test]
    fn open_quotes_are_noticed() {
        assert!(is_unterminated(b"x=\"a") && is_unterminated(b"x=\"a\\\""));
        assert!(!is_unterminated(b"x=\"a\"") && !is_unterminated(b"x"));
    }
}
