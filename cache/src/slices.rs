//! Bodies that are fetched and kept in slices of one length: which bytes are asked for in place of a range
//! that a client wants, what of the answer the client gets, and under which head do slices lie together?
//!
//! RFC 9110 §14 and RFC 9111 §3.4. What goes on with a body, and what is another one, is judged by
//! [`Resumption`].
//!
//! # Invariants
//!
//! 1. What is asked for begins at a border of slices and ends at one, so that all who want a byte of one slice
//!    ask for the same.
//! 2. Slices lie under one head only if one strong ETag and one length say that they are of the same body.
//! 3. The head of the whole reflects no purge that one of its slices does not.

use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue};

use crate::conditional::if_range_holds;
use crate::fields::Fields;
use crate::not_storable::NotStorable;
use crate::partial::fields_of_whole;
use crate::policy::Policy;
use crate::range::{ByteRange, RangeSpec, resolve_range, sole_range};
use crate::resumption::Resumption;
use crate::seq::Seq;
use crate::storable::{RequestHead, ResponseHead, Timing};
use crate::stored::StoredHead;
use crate::validation::freshen;

/// The most slices that are asked for at once.
pub const RUN_SLICES_MAX: u32 = 16;

/// The bytes to be asked for in place of those that the value `range` of Range asks for, of a body of unknown
/// length, in slices of `slice_bytes`: from a border of slices to another, at most [`RUN_SLICES_MAX`] apart.
///
/// A suffix asks for the first slice, whose answer tells the length. `None` for what is not a single range.
pub fn aligned_range(range: &[u8], slice_bytes: u64) -> Option<ByteRange> {
    if range.contains(&b',') {
        return None;
    }
    let RangeSpec::One(wanted) = resolve_range(range, u64::MAX) else { return None };
    let slice_bytes = slice_bytes.max(1);
    if is_suffix(range) {
        return Some(ByteRange { first: 0, last: slice_bytes.saturating_sub(1) });
    }
    let first_slice = wanted.first.checked_div(slice_bytes)?;
    let last_slice = wanted
        .last
        .checked_div(slice_bytes)?
        .min(first_slice.saturating_add(u64::from(RUN_SLICES_MAX).saturating_sub(1)));
    let first = first_slice.saturating_mul(slice_bytes);
    let last = last_slice.saturating_add(1).saturating_mul(slice_bytes).saturating_sub(1);
    Some(ByteRange { first, last })
}

/// Whether a single range counts from the end.
fn is_suffix(range: &[u8]) -> bool {
    let list = range.splitn(2, |&byte| byte == b'=').nth(1).unwrap_or_default();
    list.trim_ascii_start().starts_with(b"-")
}

/// Makes `headers` ask for `range` alone, without the client's own If-Range.
pub fn ask_for_range(range: ByteRange, headers: &mut HeaderMap) {
    headers.remove(IF_RANGE);
    let value = HeaderValue::try_from(format!("bytes={}-{}", range.first, range.last));
    headers.insert(RANGE, value.expect("digits and punctuation make a field value"));
}

/// The bytes that a client gets who sent `request_headers`, out of a 206 with `answer`, which may be more than
/// it asked for; `None` where it gets something else: it wants more, or its If-Range names another body.
pub fn cut_of(request_headers: &HeaderMap, answer: &HeaderMap) -> Option<ByteRange> {
    let said = sole_range(answer)?;
    if !if_range_holds(request_headers, &Fields::from(answer)) {
        return None;
    }
    let range = request_headers.get(RANGE)?.as_bytes();
    match resolve_range(range, said.length?) {
        RangeSpec::One(cut) if said.first <= cut.first && cut.last <= said.last => Some(cut),
        _ => None,
    }
}

impl Resumption {
    /// What asking for `range` of the body of `stored` needs, of which there are `length` bytes; `None` without
    /// a strong ETag. Ask and judge with nothing received.
    pub fn of_range(stored: &StoredHead, range: ByteRange, length: u64) -> Option<Self> {
        let etag = stored.strong_etag()?;
        Some(Self::of_part(etag, range, length))
    }
}

/// The head under which slices lie after `part`, a 206 of the same body, has come (RFC 9111 §3.4).
///
/// # Errors
///
/// Why they must not be kept any more.
pub fn confirmed_by_part(
    stored: &StoredHead,
    policy: &Policy,
    request: &RequestHead<'_>,
    (part, length): (&ResponseHead, u64),
    (timing, as_of): (Timing, Seq),
) -> Result<StoredHead, NotStorable> {
    let fields = fields_of_whole(&part.headers, length);
    freshen(stored, policy, request, &fields, timing, stored.as_of.min(as_of))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::fixture::{at_once, headers, response};
    use crate::resumption::Continued;

    #[test]
    fn what_is_asked_for_lies_between_borders_of_slices() {
        // (Range, expected, why); slices of 10 bytes.
        type Case = (&'static str, Option<(u64, u64)>, &'static str);
        const CASES: &[Case] = &[
            ("bytes=0-0", Some((0, 9)), "the first byte"),
            ("bytes=9-9", Some((0, 9)), "the last byte of a slice"),
            ("bytes=10-10", Some((10, 19)), "the first byte of the next"),
            ("bytes=15-24", Some((10, 29)), "over a border"),
            ("bytes=10-19", Some((10, 19)), "a slice stays what it is"),
            ("bytes=0-1000000", Some((0, 159)), "many slices at a time"),
            ("bytes=25-", Some((20, 179)), "an open end"),
            ("bytes=-5", Some((0, 9)), "a suffix: the length is to be learned"),
            ("bytes=-18446744073709551615", Some((0, 9)), "the longest suffix"),
            ("bytes=0-0,20-20", None, "two"),
            ("bytes=5-2", None, "backwards"),
            ("items=0-1", None, "another unit"),
        ];
        for &(range, expected, why) in CASES {
            let expected = expected.map(|(first, last)| ByteRange { first, last });
            assert_eq!(aligned_range(range.as_bytes(), 10), expected, "{why}");
        }
        let far = aligned_range(b"bytes=18446744073709551600-18446744073709551610", 10);
        assert!(far.is_some_and(|far| far.first % 10 == 0 && far.first <= far.last));
    }

    #[test]
    fn a_client_gets_its_own_bytes_of_a_wider_answer() {
        // (request, Content-Range, expected, why)
        type Case = (&'static str, &'static str, Option<(u64, u64)>, &'static str);
        const CASES: &[Case] = &[
            ("Range: bytes=2-3", "bytes 0-9/50", Some((2, 3)), "inside"),
            ("Range: bytes=0-9", "bytes 0-9/50", Some((0, 9)), "all of it"),
            ("Range: bytes=5-12", "bytes 0-9/50", None, "more than came"),
            ("Range: bytes=5-", "bytes 0-9/50", None, "up to the end, which did not come"),
            ("Range: bytes=5-", "bytes 0-9/10", Some((5, 9)), "up to the end, which did"),
            ("Range: bytes=-3", "bytes 0-9/10", Some((7, 9)), "a suffix"),
            ("Range: bytes=-3", "bytes 0-9/50", None, "a suffix that did not come"),
            ("Range: bytes=12-13", "bytes 0-9/10", None, "behind the end"),
            ("Range: bytes=2-3", "bytes 0-9/*", None, "of unknown length"),
            ("Range: bytes=2-3\nIf-Range: \"a\"", "bytes 0-9/50", Some((2, 3)), "of this body"),
            ("Range: bytes=2-3\nIf-Range: \"b\"", "bytes 0-9/50", None, "of another body"),
        ];
        for &(asked, content_range, expected, why) in CASES {
            let answer = headers(&format!("ETag: \"a\"\nContent-Range: {content_range}"));
            let expected = expected.map(|(first, last)| ByteRange { first, last });
            assert_eq!(cut_of(&headers(asked), &answer), expected, "{why}");
        }
    }

    fn stored(fields: &str) -> StoredHead {
        let none = HeaderMap::new();
        let request = RequestHead { method: &Method::GET, headers: &none, target_uri: None };
        let whole = response(200, fields);
        StoredHead::derive(&Policy::default(), &request, &whole, at_once(), Seq::new(7)).unwrap()
    }

    #[test]
    fn only_the_slices_asked_for_of_the_same_body_come() {
        use Continued::{Changed, NotNow, Rest};
        // (status, fields, expected, why); bytes 10 to 19 of 50 under "a" are asked for.
        const CASES: &[(u16, &str, Continued, &str)] = &[
            (206, "ETag: \"a\"\nContent-Range: bytes 10-19/50", Rest(10), "what was asked for"),
            (206, "ETag: \"b\"\nContent-Range: bytes 10-19/50", Changed, "of another body"),
            (206, "ETag: \"a\"\nContent-Range: bytes 10-19/51", Changed, "of another length"),
            (206, "ETag: \"a\"\nContent-Range: bytes 10-18/50", Changed, "less"),
            (206, "Content-Range: bytes 10-19/50", Changed, "of who knows what"),
            (200, "ETag: \"b\"", Changed, "the new whole"),
            (200, "ETag: \"a\"\nContent-Length: 50", Changed, "no ranges any more"),
            (416, "Content-Range: bytes */5", Changed, "it is shorter now"),
            (412, "", Changed, "it is another one"),
            (503, "", NotNow, "out of order"),
        ];
        let head = stored("Cache-Control: max-age=9\nETag: \"a\"");
        let range = ByteRange { first: 10, last: 19 };
        let asking = Resumption::of_range(&head, range, 50).unwrap();
        let mut asked = headers("Accept: a\nRange: bytes=12-12\nIf-Range: \"z\"");
        asking.ask(0, &mut asked);
        assert_eq!(asked, headers("Accept: a\nRange: bytes=10-19\nIf-Range: \"a\""));
        for &(status, fields, expected, why) in CASES {
            assert_eq!(asking.judge(0, &response(status, fields)), expected, "{why}");
        }
        let weak = stored("Cache-Control: max-age=9\nETag: W/\"a\"");
        assert_eq!(Resumption::of_range(&weak, range, 50), None);
    }

    #[test]
    fn a_slice_that_comes_freshens_the_head_of_all() {
        let head = stored("Cache-Control: max-age=9\nETag: \"a\"\nContent-Type: video/mp4");
        let none = HeaderMap::new();
        let request = RequestHead { method: &Method::GET, headers: &none, target_uri: None };
        let part = "Cache-Control: max-age=99\nETag: \"a\"\nContent-Range: bytes 0-9/50";
        for (as_of, expected) in [(3, 3), (9, 7)] {
            let at = (at_once(), Seq::new(as_of));
            let part = (&response(206, part), 50);
            let new = confirmed_by_part(&head, &Policy::default(), &request, part, at).unwrap();
            assert_eq!((new.as_of, new.plan.lifetime().as_secs()), (Seq::new(expected), 99));
            assert_eq!(new.headers.get(&http::header::CONTENT_TYPE).unwrap(), b"video/mp4");
            assert!(!new.headers.contains(&http::header::CONTENT_RANGE));
        }
    }
}
