//! Several parts of one stored response in one answer: `multipart/byteranges` (RFC 9110 §14.6).
//!
//! Which parts is decided by [`resolve_range`](weir_cache::resolve_range), and whether parts are
//! wanted at all by [`crate::part`]. Here they are put in a row.
//!
//! # Invariants
//!
//! 1. The bytes of the parts are slices of the stored body; only what stands between them is made.
//! 2. The answer with all its heads is never longer than the whole, so that no choice of ranges makes
//!    a small request cost more than a plain one.
//! 3. The boundary is drawn after the body was stored, from 128 random bits: no body can be written
//!    to contain it.

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use weir_cache::{ByteRange, Fields, content_range};

use crate::part::slice;
use crate::row::Row;

/// An answer of several parts.
#[derive(Debug)]
pub(crate) struct Multipart {
    content_type: HeaderValue,
    row: Row,
}

impl Multipart {
    /// Puts `ranges` of `body` in a row, in their order.
    ///
    /// `None` where the whole is to be sent instead: the parts would be longer than it with their
    /// heads; the body is encoded, which multipart content has no field to say of its parts; or the
    /// system gives no randomness.
    pub(crate) fn new(of_whole: &Fields, body: &Bytes, ranges: &[ByteRange]) -> Option<Self> {
        if of_whole.contains(&CONTENT_ENCODING) {
            return None;
        }
        let content_type = of_whole.value(&CONTENT_TYPE);
        Self::with_boundary(&random_boundary()?, content_type.as_ref(), body, ranges)
    }

    fn with_boundary(
        boundary: &str,
        type_of_whole: Option<&HeaderValue>,
        body: &Bytes,
        ranges: &[ByteRange],
    ) -> Option<Self> {
        let length = body.len() as u64;
        let mut row = Row::default();
        for range in ranges {
            // RFC 2046 §5.1.1: the line break in front of a boundary belongs to it.
            let lead = if row.is_empty() { "--" } else { "\r\n--" };
            row.push(head(lead, boundary, type_of_whole, &content_range(*range, length)));
            row.push(slice(body, *range));
        }
        row.push(format!("\r\n--{boundary}--\r\n").into());
        let content_type = format!("multipart/byteranges; boundary={boundary}");
        let content_type = HeaderValue::try_from(content_type).ok()?;
        (row.left() <= length).then_some(Self { content_type, row })
    }

    /// Content-Type of the answer, with the boundary.
    pub(crate) fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// Its bytes.
    pub(crate) fn left(&self) -> u64 {
        self.row.left()
    }

    /// The bytes to send.
    pub(crate) fn into_row(self) -> Row {
        self.row
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
    use super::*;

    fn range(first: u64, last: u64) -> ByteRange {
        ByteRange { first, last }
    }

    fn text(multipart: Multipart) -> String {
        let mut row = multipart.into_row();
        let announced = row.left();
        let mut all = Vec::new();
        while let Some(piece) = row.take() {
            assert!(!piece.is_empty(), "no empty piece is sent");
            all.extend_from_slice(&piece);
        }
        assert_eq!((announced, row.left()), (all.len() as u64, 0), "the exact length");
        String::from_utf8(all).unwrap()
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
            let made = Multipart::with_boundary("B", *type_of_whole, &body, ranges).unwrap();
            assert_eq!(made.content_type(), "multipart/byteranges; boundary=B", "{why}");
            assert_eq!(text(made), *expected, "{why}");
        }
    }

    #[test]
    fn an_answer_is_never_longer_than_the_whole() {
        let ranges = [range(0, 9), range(11, 20)];
        let longest = (1..400).filter(|&length| {
            let body = Bytes::from(vec![b'x'; length]);
            match Multipart::with_boundary("B", None, &body, &ranges) {
                Some(made) => {
                    assert!(made.left() <= length as u64, "{length}");
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
        let made = Multipart::new(&Fields::from_lines([]), &body, &ranges).unwrap();
        let ours = body.as_ptr_range();
        let mut row = made.into_row();
        let pieces: Vec<Bytes> = std::iter::from_fn(|| row.take()).collect();
        let shared = pieces.iter().filter(|piece| ours.contains(&piece.as_ptr())).count();
        assert_eq!((shared, pieces.len()), (2, 5));
    }

    #[test]
    fn an_encoded_body_is_not_taken_apart() {
        let body = Bytes::from(vec![b'x'; 1_000]);
        let ranges = [range(0, 9), range(11, 20)];
        let headers = Fields::from_lines([]);
        assert!(Multipart::new(&headers, &body, &ranges).is_some());
        let headers = headers.with(&CONTENT_ENCODING, &HeaderValue::from_static("gzip"));
        assert!(Multipart::new(&headers, &body, &ranges).is_none());
    }

    #[test]
    fn every_answer_has_a_boundary_of_its_own() {
        let (one, other) = (random_boundary().unwrap(), random_boundary().unwrap());
        assert_ne!(one, other);
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
