//! How do the header of a log and its records look as bytes?
//!
//! No file is touched here. Numbers are little-endian; `check` is the beginning of a blake3 hash.
//!
//! ```text
//!   header  magic 8 | version 4 | epoch 8 | first_seq 8 | check 16
//!   record  payload_bytes 4 | kind 1 | seq 8 | check of this head 8 | payload | check of all 16
//! ```
//!
//! # Invariants
//!
//! 1. Every bit of the file is covered by a check.
//! 2. The checks of a record also cover the epoch and its position, which are not written. So a
//!    record of another log, or one that has been moved, is never taken for one of this log.
//! 3. Every version keeps the size of the header, and the places of magic, version and check, so
//!    that another version can be told from damage.
//! 4. The number of a member's record is that of the entry before it; an entry's is one more.

use super::{Damage, LOG_PAYLOAD_BYTES_MAX, LogAppendError};

/// Bytes of the header of the file.
pub(super) const HEADER_BYTES: usize = 44;
/// Bytes of a record before its payload.
pub(super) const HEAD_BYTES: usize = 21;
/// Bytes of a record after its payload.
pub(super) const CHECK_BYTES: usize = 16;

const MAGIC: &[u8; 8] = b"WEIRPLOG";
const VERSION: u32 = 1;
const HEADER_SEALED_BYTES: usize = HEADER_BYTES - CHECK_BYTES;
const HEAD_SEALED_BYTES: usize = 13;
/// So that counting on never overflows: nobody can append that many entries.
const FIRST_SEQ_MAX: u64 = u64::MAX / 2;

/// What the header of a log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) epoch: u64,
    pub(super) first_seq: u64,
}

/// Why a header cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderProblem {
    Damaged,
    OtherVersion(u32),
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        self.encode_as(VERSION)
    }

    pub(super) fn encode_as(self, version: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.first_seq.to_le_bytes());
        let check = header_check(&bytes[..HEADER_SEALED_BYTES]);
        bytes[HEADER_SEALED_BYTES..].copy_from_slice(&check);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderProblem> {
        let (sealed, check) = bytes.split_at(HEADER_SEALED_BYTES);
        if !sealed.starts_with(MAGIC) || check != header_check(sealed) {
            return Err(HeaderProblem::Damaged);
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(HeaderProblem::OtherVersion(version));
        }
        let header = Self { epoch: u64_at(bytes, 12), first_seq: u64_at(bytes, 20) };
        if (1..=FIRST_SEQ_MAX).contains(&header.first_seq) {
            Ok(header)
        } else {
            Err(HeaderProblem::Damaged)
        }
    }
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Enrol,
    /// An entry, the last or only one of its append.
    Entry,
    /// An entry that the next one of the same append follows. Without that it does not count.
    EntryPart,
    Strike,
}

impl Kind {
    pub(super) fn is_entry(self) -> bool {
        matches!(self, Self::Entry | Self::EntryPart)
    }

    fn encode(self) -> u8 {
        match self {
            Self::Entry => 1,
            Self::EntryPart => 2,
            Self::Enrol => 3,
            Self::Strike => 4,
        }
    }

    fn decode(byte: u8) -> Option<Self> {
        [Self::Entry, Self::EntryPart, Self::Enrol, Self::Strike]
            .into_iter()
            .find(|kind| kind.encode() == byte)
    }
}

/// Where a record lies. Part of what its checks cover.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) epoch: u64,
    /// The position of the record's first byte in the file.
    pub(super) at: u64,
}

/// A record up to its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) payload_bytes: usize,
    pub(super) kind: Kind,
    pub(super) seq: u64,
}

impl Head {
    pub(super) fn decode(bytes: &[u8; HEAD_BYTES], place: Place) -> Result<Self, Damage> {
        let (sealed, check) = bytes.split_at(HEAD_SEALED_BYTES);
        if check != head_check(place, sealed) {
            return Err(Damage::RecordHead { at: place.at });
        }
        let meaningless = Damage::Meaning { at: place.at };
        let kind = Kind::decode(bytes[4]).ok_or(meaningless)?;
        let payload_bytes = u32_at(bytes, 0) as usize;
        if payload_bytes > LOG_PAYLOAD_BYTES_MAX {
            return Err(meaningless);
        }
        Ok(Self { payload_bytes, kind, seq: u64_at(bytes, 5) })
    }

    /// Bytes of the whole record.
    pub(super) fn record_bytes(self) -> u64 {
        (HEAD_BYTES + self.payload_bytes + CHECK_BYTES) as u64
    }
}

/// The check at the end of a record.
pub(super) fn record_check(place: Place, head: &[u8], payload: &[u8]) -> [u8; CHECK_BYTES] {
    check(&[b"record", &place.epoch.to_le_bytes(), &place.at.to_le_bytes(), head, payload])
}

fn head_check(place: Place, head: &[u8]) -> [u8; HEAD_BYTES - HEAD_SEALED_BYTES] {
    check(&[b"head", &place.epoch.to_le_bytes(), &place.at.to_le_bytes(), head])
}

fn header_check(header: &[u8]) -> [u8; CHECK_BYTES] {
    check(&[b"header", header])
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

/// A payload that is short enough for a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payload<'a> {
    bytes: &'a [u8],
    len: u32,
}

impl<'a> Payload<'a> {
    pub(super) fn check(bytes: &'a [u8], bytes_max: usize) -> Result<Self, LogAppendError> {
        match u32::try_from(bytes.len()) {
            Ok(len) if bytes.len() <= bytes_max => Ok(Self { bytes, len }),
            _ => Err(LogAppendError::TooLarge { bytes: bytes.len(), bytes_max }),
        }
    }
}

/// Records that lie one after another.
#[derive(Debug)]
pub(super) struct Batch {
    epoch: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Batch {
    /// An empty batch for position `start` of the file.
    pub(super) fn new(epoch: u64, start: u64) -> Self {
        Self { epoch, start, bytes: Vec::new() }
    }

    pub(super) fn push(&mut self, kind: Kind, seq: u64, payload: Payload<'_>) {
        let begin = self.bytes.len();
        let place = Place { epoch: self.epoch, at: self.start + begin as u64 };
        self.bytes.extend_from_slice(&payload.len.to_le_bytes());
        self.bytes.push(kind.encode());
        self.bytes.extend_from_slice(&seq.to_le_bytes());
        let check = head_check(place, &self.bytes[begin..]);
        self.bytes.extend_from_slice(&check);
        let check = record_check(place, &self.bytes[begin..], payload.bytes);
        self.bytes.extend_from_slice(payload.bytes);
        self.bytes.extend_from_slice(&check);
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Where in the file the batch ends.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A head as nobody would write it, sealed all the same.
#[cfg(test)]
pub(super) fn sealed_head(len: [u8; 4], kind: u8, seq: u64, place: Place) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&len);
    head[4] = kind;
    head[5..HEAD_SEALED_BYTES].copy_from_slice(&seq.to_le_bytes());
    let check = head_check(place, &head[..HEAD_SEALED_BYTES]);
    head[HEAD_SEALED_BYTES..].copy_from_slice(&check);
    head
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
