//! How is the rest of a body asked for that broke off midway, and is an answer that rest?
//!
//! RFC 9110 §14.2 and §13.1.5. When to ask again, and whom, is for others to say.
//!
//! # Invariants
//!
//! 1. Bytes of two answers are put together only where one strong ETag says that they are of the same
//!    bytes.
//! 2. What goes on goes on at the very next byte, to the same end.

use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::etag::{is_strong, strongly_equal};
use crate::range::{ByteRange, sole_range};
use crate::storable::ResponseHead;

/// What is known of a body under way, as far as going on with it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumption {
    etag: HeaderValue,
    /// Where in the whole the body begins: above 0 for a part.
    first: u64,
    /// The last byte of a part; `None` for a body that goes to the end of the whole.
    last: Option<u64>,
    /// Length of the whole, where it was said.
    length: Option<u64>,
}

/// What an answer to [`Resumption::ask`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continued {
    /// The rest: its first byte is the one that is missing next, and it has this many.
    Rest(u64),
    /// The same body from its start: this many bytes of it are here already.
    Again(u64),
    /// Nothing was missing but the end (416 with the length that is here).
    Nothing,
    /// Another body, or none: the one under way cannot be finished.
    Changed,
    /// Nothing is said about the body: asking again later may help.
    NotNow,
}

impl Resumption {
    /// What going on with the body of `response` needs; `None` where it cannot be gone on with: the
    /// status is not 200 or 206, or the ETag is missing or weak.
    pub fn of(response: &ResponseHead) -> Option<Self> {
        let etag = strong_etag(&response.headers)?.clone();
        match response.status {
            StatusCode::OK => {
                let length = length(&response.headers);
                Some(Self { etag, first: 0, last: None, length })
            }
            StatusCode::PARTIAL_CONTENT => {
                let range = sole_range(&response.headers)?;
                let (first, last) = (range.first, Some(range.last));
                Some(Self { etag, first, last, length: range.length })
            }
            _ => None,
        }
    }

    /// The same for the bytes `range` of a body of `length` bytes, of which none has come.
    pub(crate) fn of_part(etag: HeaderValue, range: ByteRange, length: u64) -> Self {
        Self { etag, first: range.first, last: Some(range.last), length: Some(length) }
    }

    /// Makes `headers`, those of the request that the body answers, ask for what follows the first
    /// `received` bytes of it.
    pub fn ask(&self, received: u64, headers: &mut HeaderMap) {
        for name in [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE] {
            headers.remove(name);
        }
        let next = self.first.saturating_add(received);
        let range = match self.last {
            Some(last) => format!("bytes={next}-{last}"),
            None => format!("bytes={next}-"),
        };
        // Digits and punctuation always make a value.
        headers.insert(RANGE, HeaderValue::try_from(range).unwrap_or(HeaderValue::from_static("")));
        headers.insert(IF_RANGE, self.etag.clone());
    }

    /// Judges an answer to [`Self::ask`] with the same `received`.
    pub fn judge(&self, received: u64, answer: &ResponseHead) -> Continued {
        let next = self.first.saturating_add(received);
        match answer.status {
            StatusCode::PARTIAL_CONTENT => {
                self.rest(next, &answer.headers).map_or(Continued::Changed, Continued::Rest)
            }
            StatusCode::OK if self.is_again(&answer.headers) => Continued::Again(received),
            StatusCode::RANGE_NOT_SATISFIABLE if self.is_nothing(next, &answer.headers) => {
                Continued::Nothing
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Continued::NotNow,
            status if status.is_server_error() => Continued::NotNow,
            _ => Continued::Changed,
        }
    }

    /// The bytes of a 206 with `headers` that begins at byte `next` and goes on to the end that is
    /// wanted; `None` if it does not.
    fn rest(&self, next: u64, headers: &HeaderMap) -> Option<u64> {
        let range = sole_range(headers).filter(|_| self.is_same(headers))?;
        let length = self.length.or(range.length);
        let agrees = range.length.is_none() || range.length == length;
        let last = self.last.or_else(|| length?.checked_sub(1))?;
        let rest = ByteRange { first: range.first, last: range.last };
        (agrees && rest == ByteRange { first: next, last }).then(|| rest.len())
    }

    /// Whether a 200 with `headers` is the whole that is under way. Where a part is, it is more than
    /// was asked for.
    fn is_again(&self, headers: &HeaderMap) -> bool {
        let length = length(headers);
        let agrees = length.is_none() || self.length.is_none() || length == self.length;
        self.last.is_none() && agrees && self.is_same(headers)
    }

    /// Whether a 416 with `headers` says that the whole ends before byte `next` (RFC 9110 §15.5.17).
    fn is_nothing(&self, next: u64, headers: &HeaderMap) -> bool {
        let ends = format!("bytes */{next}");
        let said =
            headers.get(CONTENT_RANGE).is_some_and(|value| value.as_bytes() == ends.as_bytes());
        let same = headers.get(ETAG).is_none() || self.is_same(headers);
        self.last.is_none() && self.length.is_none() && said && same
    }

    fn is_same(&self, headers: &HeaderMap) -> bool {
        strong_etag(headers)
            .is_some_and(|theirs| strongly_equal(self.etag.as_bytes(), theirs.as_bytes()))
    }
}

/// The ETag if it is the only one and proves byte-for-byte equality (RFC 9110 §8.8.1).
fn strong_etag(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(ETAG).iter();
    let etag = lines.next()?;
    (lines.next().is_none() && is_strong(etag.as_bytes())).then_some(etag)
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{headers, response};

    fn under_way(status: u16, fields: &str) -> Option<Resumption> {
        Resumption::of(&response(status, fields))
    }

    #[test]
    fn only_what_a_strong_etag_names_can_be_gone_on_with() {
        const CASES: &[(u16, &str, bool, &str)] = &[
            (200, "ETag: \"a\"\nContent-Length: 10", true, "a whole"),
            (200, "ETag: \"a\"", true, "of unknown length"),
            (200, "ETag: W/\"a\"", false, "weak"),
            (200, "ETag: a", false, "no tag"),
            (200, "ETag: \"a\"\nETag: \"b\"", false, "two tags"),
            (200, "Last-Modified: Mon, 02 Nov 2026 00:00:00 GMT", false, "a date is too coarse"),
            (206, "ETag: \"a\"\nContent-Range: bytes 2-5/10", true, "a part"),
            (206, "ETag: \"a\"", false, "a part of nobody knows what"),
            (
                206,
                "ETag: \"a\"\nContent-Range: bytes 2-5/10\nContent-Type: multipart/byteranges; x",
                false,
                "several",
            ),
            (203, "ETag: \"a\"", false, "changed on the way"),
            (404, "ETag: \"a\"", false, "an error"),
        ];
        for &(status, fields, can, why) in CASES {
            assert_eq!(under_way(status, fields).is_some(), can, "{why}");
        }
    }

    #[test]
    fn the_rest_is_asked_for_from_the_next_byte_on() {
        let client = headers("Range: bytes=0-\nIf-None-Match: \"z\"\nAccept: */*");
        for (status, fields, range) in [
            (200, "ETag: \"a\"\nContent-Length: 10", "bytes=3-"),
            (206, "ETag: \"a\"\nContent-Range: bytes 2-7/10", "bytes=5-7"),
        ] {
            let mut asked = client.clone();
            under_way(status, fields).unwrap().ask(3, &mut asked);
            assert_eq!(asked, headers(&format!("Accept: */*\nRange: {range}\nIf-Range: \"a\"")));
        }
    }

    #[test]
    fn an_answer_goes_on_only_at_the_next_byte_of_the_same_body() {
        use Continued::{Again, Changed, NotNow, Nothing, Rest};
        const WHOLE: &str = "ETag: \"a\"\nContent-Length: 10";
        const OPEN: &str = "ETag: \"a\"";
        const PART: &str = "ETag: \"a\"\nContent-Range: bytes 2-7/10";
        // Three bytes are here. (under way, status, fields, expected, why)
        const CASES: &[(&str, u16, &str, Continued, &str)] = &[
            (WHOLE, 206, "ETag: \"a\"\nContent-Range: bytes 3-9/10", Rest(7), "the rest"),
            (WHOLE, 206, "ETag: \"b\"\nContent-Range: bytes 3-9/10", Changed, "of another body"),
            (WHOLE, 206, "ETag: W/\"a\"\nContent-Range: bytes 3-9/10", Changed, "of a like body"),
            (WHOLE, 206, "Content-Range: bytes 3-9/10", Changed, "of nobody knows which"),
            (WHOLE, 206, "ETag: \"a\"\nContent-Range: bytes 2-9/10", Changed, "a byte too early"),
            (WHOLE, 206, "ETag: \"a\"\nContent-Range: bytes 4-9/10", Changed, "a byte too late"),
            (WHOLE, 206, "ETag: \"a\"\nContent-Range: bytes 3-8/10", Changed, "ends early"),
            (WHOLE, 206, "ETag: \"a\"\nContent-Range: bytes 3-9/11", Changed, "another length"),
            (WHOLE, 206, "ETag: \"a\"\nContent-Range: bytes 3-9/*", Rest(7), "length left out"),
            (OPEN, 206, "ETag: \"a\"\nContent-Range: bytes 3-8/9", Rest(6), "its length is news"),
            (OPEN, 206, "ETag: \"a\"\nContent-Range: bytes 3-8/*", Changed, "no known end"),
            (WHOLE, 200, WHOLE, Again(3), "all of it again"),
            (WHOLE, 200, OPEN, Again(3), "all of it again, in chunks"),
            (WHOLE, 200, "ETag: \"b\"\nContent-Length: 10", Changed, "all of another one"),
            (WHOLE, 200, "ETag: \"a\"\nContent-Length: 11", Changed, "the tag lies"),
            (WHOLE, 200, "Content-Length: 10", Changed, "nobody knows what"),
            (OPEN, 416, "Content-Range: bytes */3", Nothing, "only the end was missing"),
            (OPEN, 416, "Content-Range: bytes */2", Changed, "it is shorter now"),
            (OPEN, 416, "Content-Range: bytes */3\nETag: \"b\"", Changed, "of another body"),
            (WHOLE, 416, "Content-Range: bytes */3", Changed, "it was to be longer"),
            (WHOLE, 404, "", Changed, "gone"),
            (WHOLE, 302, "Location: /x", Changed, "elsewhere"),
            (WHOLE, 503, "", NotNow, "out of order"),
            (WHOLE, 502, "", NotNow, "out of order behind it"),
            (WHOLE, 429, "", NotNow, "too busy"),
            (
                PART,
                206,
                "ETag: \"a\"\nContent-Range: bytes 5-7/10",
                Rest(3),
                "the rest of the part",
            ),
            (PART, 206, "ETag: \"a\"\nContent-Range: bytes 5-9/10", Changed, "more than the part"),
            (PART, 200, WHOLE, Changed, "all, where a part was asked for"),
        ];
        for &(fields, status, answer, expected, why) in CASES {
            let began = if fields == PART { 206 } else { 200 };
            let resumption = under_way(began, fields).unwrap();
            assert_eq!(resumption.judge(3, &response(status, answer)), expected, "{why}");
        }
    }
}
