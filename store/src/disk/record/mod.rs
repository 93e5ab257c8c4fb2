//! How does the head of a stored response look as bytes, and what is it worth to a later run?
//!
//! ```text
//!   version 1 | fields (postcard, see `form`) | check 8
//! ```
//!
//! The check is the beginning of the BLAKE3 hash of all before it. Where the bytes are kept, and whether
//! the body that they name is there, is not decided here.
//!
//! # Invariants
//!
//! 1. What is decoded is what was encoded, or nothing: every bit is covered by the check.
//! 2. The age goes on across runs (see [`weir_cache::Stamp`]), and so does the reach of purges: the
//!    position that a response reflects is told as the log calls it. In another life of the log the
//!    response reflects nothing, and whoever reuses it has to validate it.
//! 3. Every version keeps the places of version and check, so that another version can be told from
//!    damage.

mod form;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use weir_cache::purge::AsOf;
use weir_cache::{CacheKey, KeyText, Present, Seq, StoredHead};

use self::form::Form;

/// The version of the form, which is the first byte.
pub(super) const VERSION: u8 = 1;
/// Bytes of the check.
const CHECK_BYTES: usize = 8;

/// What is written down of a stored response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recorded {
    /// The key it is stored under.
    pub(crate) key: CacheKey,
    /// The canonical text of that key.
    pub(crate) text: KeyText,
    /// Its head. Of [`StoredHead::as_of`] nothing is written: that number is of one run only.
    pub(crate) head: StoredHead,
    /// The purges that it reflects, as the log calls them; `None` if it reflects none.
    pub(crate) as_of: Option<AsOf>,
    /// Where its body lies.
    pub(crate) body: BodyAt,
}

/// Where the body of a stored response lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BodyAt {
    /// In slices of their own, found by the number of each.
    Slices {
        /// Bytes of the whole body.
        length: u64,
        /// Bytes of every slice but the last, which may be shorter; never 0.
        slice_bytes: u32,
        /// What the slices of this response have in common, and no other response has.
        id: [u8; 16],
    },
    /// In one file.
    Whole {
        /// The BLAKE3 digest of the body.
        digest: [u8; 32],
        /// Bytes of the body.
        length: u64,
    },
}

#[cfg(test)]
impl BodyAt {
    /// Bytes of the whole body.
    #[must_use]
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Slices { length, .. } | Self::Whole { length, .. } => *length,
        }
    }
}

/// Why bytes are no stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RecordError {
    /// They are not what was written: forget them.
    #[error("the record of a stored response is damaged")]
    Damaged,
    /// They are right, but the response came later than it is now, so that its age is unknown: fetch it
    /// anew.
    #[error("the stored response is from the future")]
    FromTheFuture,
    /// Another version of this program wrote them: forget them, or leave them to it.
    #[error("this version does not read records of version {version}")]
    Version {
        /// The version that they name.
        version: u8,
    },
}

/// Writes down `recorded` at the moment `present`, which gives its age a meaning for other runs.
///
/// Costs one pass over the head. Names and values are written as they are, so the bytes are as
/// confidential as the response.
#[must_use]
pub(crate) fn encode(recorded: &Recorded, present: &Present) -> Vec<u8> {
    seal(&form::write(recorded, present))
}

/// Reads what [`encode`] wrote, in this run or another, at the moment `present`.
///
/// `heard` gives this node's number for a position in the purge log (see
/// [`Ledger::heard`](weir_cache::purge::Ledger::heard)).
///
/// # Errors
///
/// [`RecordError`]. None of them is worth another try.
pub(crate) fn decode(
    bytes: &[u8],
    present: &Present,
    heard: impl Fn(AsOf) -> Seq,
) -> Result<Recorded, RecordError> {
    let (version, fields) = unseal(bytes).ok_or(RecordError::Damaged)?;
    if version != VERSION {
        return Err(RecordError::Version { version });
    }
    Form::read(fields).ok_or(RecordError::Damaged)?.recorded(present, heard)
}

/// Puts version and check around the fields.
pub(super) fn seal(fields: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + fields.len() + CHECK_BYTES);
    bytes.push(VERSION);
    bytes.extend_from_slice(fields);
    let check = check(&bytes);
    bytes.extend_from_slice(&check);
    bytes
}

/// Returns version and fields, or `None` if the check is wrong.
pub(super) fn unseal(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (sealed, found) = bytes.split_last_chunk::<CHECK_BYTES>()?;
    let (version, fields) = sealed.split_first()?;
    (check(sealed) == *found).then_some((*version, fields))
}

fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut check);
    check
}
