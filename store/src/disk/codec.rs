//! How does a stored response become a record, and a record a stored response?

use std::sync::Arc;

use weir_cache::CacheKey;

use super::bearings::Bearings;
use super::bodies::Digest;
use super::body::DiskBody;
use super::reads::Reads;
use super::record::{self, BodyAt, Recorded};
use crate::{Body, StoredResponse};

/// The record of a stored response whose body lies at `body`.
pub(super) fn encode(
    key: &CacheKey,
    stored: &StoredResponse,
    body: BodyAt,
    bearings: &dyn Bearings,
) -> Vec<u8> {
    let recorded = Recorded {
        key: *key,
        text: stored.text(),
        head: stored.head.clone(),
        as_of: bearings.told(stored.reflects()),
        body,
    };
    record::encode(&recorded, &bearings.present())
}

/// The stored response that a record tells of, with a body of which nothing has been looked at; `None`
/// where the record is worth nothing.
pub(super) fn decode(
    bytes: &[u8],
    bearings: &dyn Bearings,
    reads: &Arc<Reads>,
) -> Option<(CacheKey, StoredResponse)> {
    let heard = |as_of| bearings.heard(as_of);
    let recorded = record::decode(bytes, &bearings.present(), heard).ok()?;
    let body = match recorded.body {
        BodyAt::Whole { digest, length } => {
            DiskBody::one(Digest::new(digest), length, Arc::clone(reads))
        }
        BodyAt::Slices { length, slice_bytes, id } => {
            DiskBody::sliced(id, length, slice_bytes, Arc::clone(reads))
        }
    };
    let stored = StoredResponse::new(recorded.head, Body::OnDisk(Arc::new(body)), &recorded.text);
    if let BodyAt::Whole { digest, .. } = recorded.body {
        stored.note_digest(digest);
    }
    Some((recorded.key, stored))
}

/// What is written into the file of a body, or of slice number `slice` of one, so that the index can be
/// built anew from the files.
pub(super) fn file_record(slice: u32, record: &[u8]) -> Vec<u8> {
    [slice.to_be_bytes().as_slice(), record].concat()
}

/// The number of the slice, and the record.
pub(super) fn split_file_record(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (slice, record) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*slice), record))
}
