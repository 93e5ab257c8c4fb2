//! Several parts of one stored response in one answer: `multipart/byteranges` (RFC 9110 §14.6).
//!
//! Which parts is decided by [`resolve_range`](weir_cache::resolve_range), and whether parts are
//! wanted at all by [`crate::part`]. Here they are put in a row, with what stands between them.
//!
//! # Invariants
//!
//! 1. The bytes of the parts come from where the body lies; only what stands between them is made.
//! 2. The answer with all its heads is never longer than the whole, so that no choice of ranges makes
//!    a small request cost more than a plain one.
//! 3. The boundary is drawn after the body was stored, from 128 random bits: no body can be written
//!    to contain it.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use weir_cache::{ByteRange, Fields, content_range};

use crate::row::{Piece, Row};

/// An answer of several parts.
#[derive(Debug)]
pub(crate) struct Multipart {
    content_type: HeaderValue,
    /// The ranges in order, each behind what stands in front of it.
    parts: Vec<(Bytes, ByteRange)>,
    /// What stands behind the last.
    end: Bytes,
}

impl Multipart {
    /// An answer of `ranges`, in their order, of a body of `length` bytes.
    ///
    /// `None` where the whole is to be sent instead: the parts would be longer than it with their
    /// heads; the body is encoded, which multipart content has no field to say of its parts; or the
    /// system gives no randomness.
    pub(crate) fn new(of_whole: &Fields, length: u64, ranges: &[ByteRange]) -> Option<Self> {
        if of_whole.contains(&CONTENT_ENCODING) {
            return None;
        }
        let content_type = of_whole.value(&CONTENT_TYPE);
        Self::with_boundary(&random_boundary()?, content_type.as_ref(), length, ranges)
    }

    fn with_boundary(
        boundary: &str,
        type_of_whole: Option<&HeaderValue>,
        length: u64,
        ranges: &[ByteRange],
    ) -> Option<Self> {
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            // RFC 2046 §5.1.1: the line break in front of a boundary belongs to it.
            let lead = if parts.is_empty() { "--" } else { "\r\n--" };
            parts.push((
                head(lead, boundary, type_of_whole, &content_range(*range, length)),
                *range,
            ));
        }
        let end = format!("\r\n--{boundary}--\r\n").into();
        let content_type = format!("multipart/byteranges; boundary={boundary}");
        let content_type = HeaderValue::try_from(content_type).ok()?;
        let made = Self { content_type, parts, end };
        (made.len() <= length).then_some(made)
    }

    /// Content-Type of the answer, with the boundary.
    pub(crate) fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        let parts = self.parts.iter().map(|(head, range)| head.len() as u64 + range.len());
        parts.fold(self.end.len() as u64, u64::saturating_add)
    }

    /// What is to be sent, with the bytes of each range from `piece`.
    pub(crate) fn into_row(self, mut piece: impl FnMut(ByteRange) -> Piece) -> Row {
        let mut row = Row::default();
        for (head, range) in self.parts {
            row.push(head);
            row.push(piece(range));
        }
        row.push(self.end);
        row
    }
}

/// What stands in front of the bytes of one part (RFC 9110 §15.3.7.2).
fn head(
    lead: &str,
    boundary: &str,
    type_of_whole: Option<&HeaderValue>,
    content_range: &HeaderValue,
) -> Bytes {
    let mut head = BytesMut::with_capacity(192);
    head.put_slice(lead.as_bytes());
    head.put_slice(boundary.as_bytes());
    if let Some(value) = type_of_whole {
        head.put_slice(b"\r\nContent-Type: ");
        head.put_slice(value.as_bytes());
    }
    head.put_slice(b"\r\nContent-Range: ");
    head.put_slice(content_range.as_bytes());
    head.put_slice(b"\r\n\r\n");
    head.freeze()
}

/// 32 hexadecimal digits that nobody can foresee; `None` if the system gives no randomness.
fn random_boundary() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::part::slice;

    fn range(first: u64, last: u64) -> ByteRange {
        ByteRange { first, last }
    }

    fn pieces(multipart: Multipart, body: &Bytes) -> Vec<Bytes> {
        let announced = multipart.len();
        let mut row = multipart.into_row(|range| slice(body, range).into());
        assert_eq!(row.left(), announced);
        let mut cx = Context::from_waker(Waker::noop());
        let next = || match row.poll_next(&mut cx) {
            Poll::Ready(piece) => piece.map(Result::unwrap),
            Poll::Pending => panic!("memory is waited for"),
        };
        let pieces: Vec<Bytes> = std::iter::from_fn(next).collect();
        assert!(pieces.iter().all(|piece| !piece.is_empty()), "no empty piece is sent");
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        assert_eq!((announced, row.left()), (bytes as u64, 0), "the exact length");
        pieces
    }

    fn text(multipart: Multipart, body: &Bytes) -> String {
        String::from_utf8(pieces(multipart, body).concat()).unwrap()
    }

    #[test]
    fn parts_stand_in_the_order_asked_with_their_heads() {
        let body = Bytes::from("0123456789".repeat(100));
        let plain = HeaderValue::from_static("text/plain");
        // (Content-Type of the whole, ranges, expected, why); RFC 9110 §15.3.7.2, RFC 2046 §5.1.1.
        let cases: &[(Option<&HeaderValue>, &[ByteRange], &str, &str)] = &[
            (
                Some(&plain),
                &[range(12, 14), range(0, 0)],
                "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes \
                 12-14/1000\r\n\r\n234\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes \
                 0-0/1000\r\n\r\n0\r\n--B--\r\n",
                "two parts, the later one first",
            ),
            (
                None,
                &[range(0, 1), range(998, 999)],
                "--B\r\nContent-Range: bytes 0-1/1000\r\n\r\n01\r\n--B\r\nContent-Range: bytes \
                 998-999/1000\r\n\r\n89\r\n--B--\r\n",
                "a whole without a type has parts without one",
            ),
        ];
        for (type_of_whole, ranges, expected, why) in cases {
            let made = Multipart::with_boundary("B", *type_of_whole, 1_000, ranges).unwrap();
            assert_eq!(made.content_type(), "multipart/byteranges; boundary=B", "{why}");
            assert_eq!(text(made, &body), *expected, "{why}");
        }
    }

    #[test]
    fn an_answer_is_never_longer_than_the_whole() {
        let ranges = [range(0, 9), range(11, 20)];
        let longest = (1..400_u64).filter(|&length| {
            match Multipart::with_boundary("B", None, length, &ranges) {
                Some(made) => {
                    assert!(made.len() <= length, "{length}");
                    false
                }
                None => true,
            }
        });
        let longest = longest.max().unwrap();
        assert!((100..200).contains(&longest), "parts are for bodies above {longest} bytes");
    }

    #[test]
    fn parts_share_the_memory_of_the_body() {
        let body = Bytes::from(vec![b'x'; 1_000]);
        let ranges = [range(100, 199), range(300, 399)];
        let made = Multipart::new(&Fields::from_lines([]), 1_000, &ranges).unwrap();
        let ours = body.as_ptr_range();
        let pieces = pieces(made, &body);
        let shared = pieces.iter().filter(|piece| ours.contains(&piece.as_ptr())).count();
        assert_eq!((shared, pieces.len()), (2, 5));
    }

    #[test]
    fn an_encoded_body_is_not_taken_apart() {
        let ranges = [range(0, 9), range(11, 20)];
        let headers = Fields::from_lines([]);
        assert!(Multipart::new(&headers, 1_000, &ranges).is_some());
        let headers = headers.with(&CONTENT_ENCODING, &HeaderValue::from_static("gzip"));
        assert!(Multipart::new(&headers, 1_000, &ranges).is_none());
    }

    #[test]
    fn every_answer_has_a_boundary_of_its_own() {
        let (one, other) = (random_boundary().unwrap(), random_boundary().unwrap());
        assert_ne!(one, other);
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
