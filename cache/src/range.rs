//! Which bytes of a complete response a Range asks for (RFC 9110 §14).
//!
//! If-Range is checked before, in `conditional`. Answering with the whole is always lawful, and is
//! what anything unreadable or wasteful gets: many small or overlapping ranges have been used to
//! multiply traffic.

use http::header::{CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::grammar::{parse_digits, trim_ows};
use crate::list::members;

/// The most parts of one body that a request gets one by one.
const RANGES_MAX: usize = 16;

/// What a Range comes to for a body of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// The whole body, 200.
    Whole,
    /// One part, 206 with Content-Range.
    One(ByteRange),
    /// At least two parts with a gap between any two, 206 with multipart/byteranges.
    Many(Vec<ByteRange>),
    /// Nothing that exists, 416.
    Unsatisfiable,
}

/// A part of a body; both ends are included and `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte.
    pub last: u64,
}

#[expect(clippy::len_without_is_empty, reason = "a range has at least one byte")]
impl ByteRange {
    /// Returns the number of bytes, at least one.
    pub fn len(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// Works out what the field value `value` asks for, of a body of `length` bytes.
///
/// Ranges that overlap or touch are joined and then sorted; others keep the order of the request.
/// Another unit or bad syntax asks for the whole (RFC 9110 §14.2), and so do ranges of which more
/// than 16 are left and ranges that together are longer than the body.
pub fn resolve_range(value: &[u8], length: u64) -> RangeSpec {
    let Some(list) = strip_unit(value) else { return RangeSpec::Whole };
    let specs: Option<Vec<Spec>> = members(list).map(Spec::parse).collect();
    let specs = match specs {
        Some(specs) if !specs.is_empty() => specs,
        _ => return RangeSpec::Whole,
    };
    let ranges: Vec<ByteRange> = specs.iter().filter_map(|spec| spec.within(length)).collect();
    let asked = ranges.iter().fold(0_u64, |sum, range| sum.saturating_add(range.len()));
    let ranges = join_touching(ranges);
    match ranges.as_slice() {
        [] => RangeSpec::Unsatisfiable,
        [one] => RangeSpec::One(*one),
        many if many.len() > RANGES_MAX || asked > length => RangeSpec::Whole,
        _ => RangeSpec::Many(ranges),
    }
}

/// Says whether `value` is exactly `bytes=0-`, which players send to learn whether ranges work.
pub fn is_whole_open(value: &[u8]) -> bool {
    strip_unit(value).is_some_and(|list| list == b"0-")
}

/// Writes Content-Range for a part of a body of `length` bytes (RFC 9110 §14.4).
pub fn content_range(range: ByteRange, length: u64) -> HeaderValue {
    let text = format!("bytes {}-{}/{length}", range.first, range.last);
    HeaderValue::try_from(text).expect("digits and punctuation make a field value")
}

/// Writes Content-Range for a 416 about a body of `length` bytes (RFC 9110 §14.4).
pub fn unsatisfied_range(length: u64) -> HeaderValue {
    let text = format!("bytes */{length}");
    HeaderValue::try_from(text).expect("digits and punctuation make a field value")
}

/// What Content-Range of a 206 says; `first <= last`, and `last < length` where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte.
    pub last: u64,
    /// Length of the whole; `None` where the sender does not know it.
    pub length: Option<u64>,
}

/// Reads `bytes first-last/length` (RFC 9110 §14.4); `None` for other units, for 416 and for
/// numbers that contradict one another.
pub fn parse_content_range(value: &[u8]) -> Option<ContentRange> {
    let (unit, rest) = value.split_at_checked(b"bytes ".len())?;
    if !unit.eq_ignore_ascii_case(b"bytes ") {
        return None;
    }
    let (range, length) = split_once(rest, b'/')?;
    let (first, last) = split_once(range, b'-')?;
    let (first, last) = (parse_digits(first)?, parse_digits(last)?);
    let length = if length == b"*" { None } else { Some(parse_digits(length)?) };
    let fits = first <= last && length.is_none_or(|length| last < length);
    fits.then_some(ContentRange { first, last, length })
}

/// The range that a 206 with `headers` is; `None` where it is several (RFC 9110 §14.6), or says none that
/// can be believed.
pub(crate) fn sole_range(headers: &HeaderMap) -> Option<ContentRange> {
    let mut lines = headers.get_all(CONTENT_RANGE).iter();
    let range = parse_content_range(lines.next()?.as_bytes())?;
    let multipart = headers.get(CONTENT_TYPE).is_some_and(|value| {
        let start = value.as_bytes().get(..b"multipart/byteranges".len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/byteranges"))
    });
    (lines.next().is_none() && !multipart).then_some(range)
}

/// One member of a Range, before the length of the body is known.
enum Spec {
    /// `first-` or `first-last`.
    From { first: u64, last: u64 },
    /// `-length`.
    Suffix { length: u64 },
}

impl Spec {
    fn parse(member: &[u8]) -> Option<Self> {
        let (first, last) = split_once(member, b'-')?;
        match (trim_ows(first), trim_ows(last)) {
            (b"", length) => Some(Self::Suffix { length: parse_digits(length)? }),
            (first, b"") => Some(Self::From { first: parse_digits(first)?, last: u64::MAX }),
            (first, last) => {
                let (first, last) = (parse_digits(first)?, parse_digits(last)?);
                (first <= last).then_some(Self::From { first, last })
            }
        }
    }

    /// Cuts the range to a body of `length` bytes; `None` when nothing of it is left.
    fn within(&self, length: u64) -> Option<ByteRange> {
        let end = length.checked_sub(1)?;
        match *self {
            Self::From { first, last } => {
                (first <= end).then_some(ByteRange { first, last: last.min(end) })
            }
            Self::Suffix { length: 0 } => None,
            Self::Suffix { length: suffix } => {
                Some(ByteRange { first: length.saturating_sub(suffix), last: end })
            }
        }
    }
}

fn strip_unit(value: &[u8]) -> Option<&[u8]> {
    let (unit, list) = split_once(value, b'=')?;
    unit.eq_ignore_ascii_case(b"bytes").then_some(list)
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    let (head, tail) = bytes.split_at_checked(at)?;
    Some((head, tail.get(1..)?))
}

/// Joins ranges if any two of them overlap or touch; the result is then sorted (RFC 9110 §15.3.7.2).
fn join_touching(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut sorted = ranges.clone();
    sorted.sort_unstable();
    let mut joined: Vec<ByteRange> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(before) if range.first <= before.last.saturating_add(1) => {
                before.last = before.last.max(range.last);
            }
            _ => joined.push(range),
        }
    }
    if joined.len() == ranges.len() { ranges } else { joined }
}

#[cfg(test)]
mod tests {
    use super::RangeSpec::{Many, One, Unsatisfiable, Whole};
    use super::*;

    fn range(first: u64, last: u64) -> ByteRange {
        ByteRange { first, last }
    }

    #[test]
    fn a_range_is_cut_to_the_body_or_ignored() {
        // (value, length, expected, why); RFC 9110 §14.1.2 and §14.2.
        let cases: &[(&str, u64, RangeSpec, &str)] = &[
            ("bytes=0-4", 10, One(range(0, 4)), "both ends"),
            ("bytes=4-", 10, One(range(4, 9)), "open end"),
            ("bytes=-3", 10, One(range(7, 9)), "suffix"),
            ("bytes=-30", 10, One(range(0, 9)), "a suffix longer than the body"),
            ("bytes=4-99", 10, One(range(4, 9)), "the end is clamped"),
            ("BYTES=0-0", 10, One(range(0, 0)), "units fold case"),
            ("bytes= 1-2 ,", 10, One(range(1, 2)), "white space and empty members"),
            ("bytes=10-", 10, Unsatisfiable, "begins past the end"),
            ("bytes=-0", 10, Unsatisfiable, "an empty suffix"),
            ("bytes=0-", 0, Unsatisfiable, "an empty body"),
            ("bytes=-5", 0, Unsatisfiable, "an empty body"),
            ("bytes=0-1,20-", 10, One(range(0, 1)), "what does not exist is left out"),
            ("bytes=0-1,3-4", 10, Many(vec![range(0, 1), range(3, 4)]), "two parts"),
            ("bytes=3-4,0-1", 10, Many(vec![range(3, 4), range(0, 1)]), "in the order asked"),
            ("bytes=0-3,2-5", 10, One(range(0, 5)), "overlapping parts are joined"),
            ("bytes=6-7,0-3,2-4", 10, Many(vec![range(0, 4), range(6, 7)]), "joined and sorted"),
            ("bytes=0-3,4-5", 10, One(range(0, 5)), "touching parts are joined"),
            ("bytes=6-9,4-5", 10, One(range(4, 9)), "in whatever order they come"),
            ("bytes=6-7,0-3,4-4", 10, Many(vec![range(0, 4), range(6, 7)]), "joined and sorted"),
            ("bytes=0-6,0-6,8-9", 10, Whole, "more bytes asked than there are"),
            ("bytes= 0-1 ,\t3-4 ", 10, Many(vec![range(0, 1), range(3, 4)]), "white space"),
            ("bytes=0-1 3-4", 10, Whole, "a list without a comma"),
            ("bytes=0-1,-0,30-40", 10, One(range(0, 1)), "only one exists"),
            ("bytes=20-,30-40", 10, Unsatisfiable, "none exists"),
            ("bytes=0-,0-,0-", 10, One(range(0, 9)), "repetition is joined, never multiplied"),
            ("bytes=", 10, Whole, "no range is no syntax"),
            ("bytes=5-4", 10, Whole, "backwards"),
            ("bytes=a-b", 10, Whole, "no numbers"),
            ("bytes=1", 10, Whole, "no dash"),
            ("bytes=-", 10, Whole, "no number"),
            ("bytes=--5", 10, Whole, "a negative suffix"),
            ("bytes=0-1,x", 10, Whole, "one bad member spoils the field"),
            ("items=0-1", 10, Whole, "another unit"),
            ("0-1", 10, Whole, "no unit"),
            ("bytes=18446744073709551616-", 10, Unsatisfiable, "2^64 saturates"),
            ("bytes=0-99999999999999999999", 10, One(range(0, 9)), "2^64 saturates"),
            ("bytes=-99999999999999999999", 10, One(range(0, 9)), "2^64 saturates"),
        ];
        for (value, length, expected, why) in cases {
            assert_eq!(resolve_range(value.as_bytes(), *length), *expected, "{why}\n{value}");
        }
    }

    #[test]
    fn the_bound_counts_what_is_left_when_ranges_are_joined() {
        let list = |count: u64, step: u64| {
            let ranges: String =
                (0..count).map(|n| format!("{0}-{0},", n.saturating_mul(step))).collect();
            resolve_range(format!("bytes={ranges}").as_bytes(), 3000)
        };
        assert!(matches!(list(16, 2), Many(ranges) if ranges.len() == 16));
        assert_eq!(list(17, 2), Whole);
        assert_eq!(list(1_300, 2), Whole);
        assert_eq!(list(1_300, 1), One(range(0, 1299)), "they touch");
        assert_eq!(list(1_300, 0), One(range(0, 0)), "all the same byte");
    }

    #[test]
    fn content_range_is_written_and_read() {
        assert_eq!(content_range(range(4, 9), 10), "bytes 4-9/10");
        assert_eq!(unsatisfied_range(10), "bytes */10");
        assert_eq!(range(4, 9).len(), 6);
        let part = |length| Some(ContentRange { first: 4, last: 9, length });
        // (value, expected, why); RFC 9110 §14.4.
        let cases: &[(&str, Option<ContentRange>, &str)] = &[
            ("bytes 4-9/10", part(Some(10)), "complete"),
            ("Bytes 4-9/*", part(None), "unknown length"),
            ("bytes */10", None, "a 416 has no part"),
            ("bytes 9-4/10", None, "backwards"),
            ("bytes 4-9/9", None, "past the end"),
            ("bytes 4-9", None, "no length"),
            ("bytes=4-9/10", None, "the syntax of Range"),
            ("items 4-9/10", None, "another unit"),
            ("bytes 4-9/10a", None, "junk behind"),
            ("", None, "empty"),
        ];
        for (value, expected, why) in cases {
            assert_eq!(parse_content_range(value.as_bytes()), *expected, "{why}");
        }
    }

    #[test]
    fn the_question_of_players_is_known() {
        assert!(is_whole_open(b"bytes=0-") && is_whole_open(b"Bytes=0-"));
        assert!(!is_whole_open(b"bytes=0-1") && !is_whole_open(b"bytes=1-") && !is_whole_open(b""));
    }
}
