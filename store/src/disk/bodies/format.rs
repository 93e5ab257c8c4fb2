//! How does the file of a body look as bytes?
//!
//! No file is touched here. Numbers are little-endian; each check is the beginning of a BLAKE3 hash.
//!
//! ```text
//!   header  magic 8 | version 4 | content_bytes 8 | digest 32 | check 12
//!   content
//!   record  bytes 4 | check of these 4 | record | check of all 8
//!   record  ...
//! ```
//!
//! The records say which stored responses the content belongs to; what they hold is for others to know.
//!
//! # Invariants
//!
//! 1. Every bit of the file is covered by a check: that of the header, the digest, or that of a record.
//! 2. The checks of a record also cover the digest of the content and its own position, so that a
//!    record of another file, or one that has been moved, is never taken for one of this file.
//! 3. A record that was being appended when the process ended, and is not as long as it says, is *torn*:
//!    it never counted, and the next one takes its place. Anything else that is no record is damage.

use super::digest::Digest;
use super::error::BodyDamage;

/// Bytes of the header; the content begins after them.
pub(super) const HEADER_BYTES: usize = 64;
/// Bytes of all records of one file, their checks included.
pub(super) const RECORDS_BYTES_MAX: usize = 64 * 1024;

const MAGIC: &[u8; 8] = b"WEIRBODY";
const VERSION: u32 = 1;
const HEADER_CHECK_BYTES: usize = 12;
const HEAD_CHECK_BYTES: usize = 4;
const RECORD_CHECK_BYTES: usize = 8;

/// What the header of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) digest: Digest,
    pub(super) content_bytes: u64,
}

impl Header {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.content_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.digest.bytes());
        let check: [u8; HEADER_CHECK_BYTES] = check(&[b"header", &bytes]);
        bytes.extend_from_slice(&check);
        bytes
    }

    /// Reads a header; `None` if it is not one, or of another version.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (sealed, found) = bytes.split_last_chunk::<HEADER_CHECK_BYTES>()?;
        if check(&[b"header", sealed]) != *found {
            return None;
        }
        let rest = sealed.strip_prefix(MAGIC)?.strip_prefix(&VERSION.to_le_bytes())?;
        let (content_bytes, rest) = rest.split_first_chunk::<8>()?;
        let digest = Digest::new(*rest.first_chunk::<32>()?);
        Some(Self { digest, content_bytes: u64::from_le_bytes(*content_bytes) })
    }

    /// Where in the file the content ends and the records begin.
    pub(super) fn content_end(self) -> u64 {
        self.content_bytes.saturating_add(HEADER_BYTES as u64)
    }
}

/// What follows the content of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tail<'a> {
    /// The records, in the order in which they were appended.
    pub(super) records: Vec<&'a [u8]>,
    /// Bytes up to the end of the last of them.
    pub(super) whole_bytes: usize,
    /// Whether something follows that is no record, and no torn one.
    pub(super) damage: Option<BodyDamage>,
}

impl<'a> Tail<'a> {
    /// Reads `bytes`, which follow the content called `digest`.
    pub(super) fn read(digest: Digest, bytes: &'a [u8]) -> Self {
        let mut tail = Self::default();
        loop {
            let rest = bytes.get(tail.whole_bytes..).unwrap_or_default();
            match next(digest, tail.whole_bytes, rest) {
                Next::Record { record, whole_bytes } => {
                    tail.records.push(record);
                    tail.whole_bytes += whole_bytes;
                }
                Next::End => return tail,
                Next::Damage => {
                    tail.damage = Some(BodyDamage::Records);
                    return tail;
                }
            }
        }
    }
}

enum Next<'a> {
    Record {
        record: &'a [u8],
        whole_bytes: usize,
    },
    /// Nothing follows, or something torn.
    End,
    Damage,
}

fn next(digest: Digest, at: usize, bytes: &[u8]) -> Next<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Next::End };
    let Some((found, rest)) = rest.split_first_chunk::<HEAD_CHECK_BYTES>() else {
        return Next::End;
    };
    if head_check(digest, at, *length) != *found {
        return Next::Damage;
    }
    let Ok(record_bytes) = usize::try_from(u32::from_le_bytes(*length)) else {
        return Next::Damage;
    };
    let Some((record, rest)) = rest.split_at_checked(record_bytes) else { return Next::End };
    let Some(found) = rest.first_chunk::<RECORD_CHECK_BYTES>() else { return Next::End };
    if record_check(digest, at, record) != *found {
        return Next::Damage;
    }
    Next::Record { record, whole_bytes: sealed_bytes(record) }
}

/// Seals `records` so that they can follow the first `at` bytes after the content called `digest`.
///
/// From the first on that does not fit into [`RECORDS_BYTES_MAX`] they are left out.
pub(super) fn seal(digest: Digest, at: usize, records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        let at = at + bytes.len();
        let Ok(length) = u32::try_from(record.len()) else { break };
        if at + sealed_bytes(record) > RECORDS_BYTES_MAX {
            break;
        }
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&head_check(digest, at, length.to_le_bytes()));
        bytes.extend_from_slice(record);
        bytes.extend_from_slice(&record_check(digest, at, record));
    }
    bytes
}

/// Bytes of `record` with its length and checks.
fn sealed_bytes(record: &[u8]) -> usize {
    4 + HEAD_CHECK_BYTES + record.len() + RECORD_CHECK_BYTES
}

fn head_check(digest: Digest, at: usize, length: [u8; 4]) -> [u8; HEAD_CHECK_BYTES] {
    check(&[b"head", &digest.bytes(), &place(at), &length])
}

fn record_check(digest: Digest, at: usize, record: &[u8]) -> [u8; RECORD_CHECK_BYTES] {
    check(&[b"record", &digest.bytes(), &place(at), record])
}

fn place(at: usize) -> [u8; 8] {
    crate::response::length(at).to_le_bytes()
}

/// The beginning of the hash of `parts`, of which only the last may vary in length.
fn check<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut check = [0; N];
    hasher.finalize_xof().fill(&mut check);
    check
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const DIGEST: Digest = Digest::new([3; 32]);

    fn header() -> Header {
        Header { digest: DIGEST, content_bytes: 77 }
    }

    #[test]
    fn a_header_with_any_flipped_bit_is_none() {
        let bytes: [u8; HEADER_BYTES] = header().encode().try_into().unwrap();
        assert_eq!(Header::decode(&bytes), Some(header()));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn a_record_that_is_cut_is_torn_and_one_that_is_changed_is_damage() {
        let bytes = seal(DIGEST, 0, &[b"one", b"", b"three"]);
        let ends = [19, 35, 56];
        assert_eq!(bytes.len(), ends[2]);
        for cut in 0..=bytes.len() {
            let tail = Tail::read(DIGEST, &bytes[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!((tail.records.len(), tail.damage), (whole, None), "cut at {cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let tail = Tail::read(DIGEST, &flipped);
            let whole = ends.iter().filter(|end| **end <= bit / 8).count();
            let expected = (whole, Some(BodyDamage::Records));
            assert_eq!((tail.records.len(), tail.damage), expected, "bit {bit}");
        }
    }

    #[test]
    fn a_record_counts_only_where_it_was_written() {
        let bytes = seal(DIGEST, 0, &[b"one", b"two"]);
        for (digest, bytes, why) in [
            (Digest::new([4; 32]), bytes.clone(), "another body"),
            (DIGEST, bytes[19..].to_vec(), "another place"),
            (DIGEST, vec![0; 64], "a tail that a power cut has left empty"),
        ] {
            let tail = Tail::read(digest, &bytes);
            assert_eq!((tail.records.len(), tail.damage), (0, Some(BodyDamage::Records)), "{why}");
        }
    }

    #[test]
    fn records_end_where_the_room_does() {
        let long = vec![1; RECORDS_BYTES_MAX / 2 - 16];
        assert_eq!(seal(DIGEST, 0, &[&long, &long, b""]).len(), RECORDS_BYTES_MAX);
        assert_eq!(seal(DIGEST, 1, &[&long, &long, b""]).len(), RECORDS_BYTES_MAX / 2);
        assert_eq!(seal(DIGEST, RECORDS_BYTES_MAX, &[b""]).len(), 0);
    }

    proptest! {
        #[test]
        fn records_read_back(one in vec(vec(any::<u8>(), 0..50), 0..6), two in vec(any::<u8>(), 0..9)) {
            let mut records: Vec<&[u8]> = one.iter().map(Vec::as_slice).collect();
            let mut bytes = seal(DIGEST, 0, &records);
            bytes.extend(seal(DIGEST, bytes.len(), &[&two]));
            records.push(&two);
            let whole_bytes = bytes.len();
            let tail = Tail::read(DIGEST, &bytes);
            prop_assert_eq!(tail, Tail { records, whole_bytes, damage: None });
        }

        #[test]
        fn bytes_of_others_are_no_records(bytes in vec(any::<u8>(), 8..99)) {
            prop_assert!(Tail::read(DIGEST, &bytes).records.is_empty());
        }
    }
}
