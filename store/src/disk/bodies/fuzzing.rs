//! What must hold of the records of a body, whatever has happened to their bytes?

use super::digest::Digest;
use super::format::{Tail, seal};

/// See [`records`](crate::fuzzing::records).
pub(in crate::disk) fn records(bytes: &[u8], records: &[&[u8]], changes: &[(usize, u8)]) {
    let digest = Digest::of(b"content");
    let tail = Tail::read(digest, bytes);
    assert!(tail.whole_bytes <= bytes.len(), "it reads no more than there is");
    let again = seal(digest, 0, &tail.records);
    assert!(bytes.starts_with(&again), "what is taken for records is written so");

    let sealed = seal(digest, 0, records);
    let mut changed = sealed.clone();
    for (at, by) in changes {
        if let Some(byte) = changed.get_mut(*at) {
            *byte ^= by;
        }
    }
    let found = Tail::read(digest, &changed);
    let whole = Tail::read(digest, &sealed);
    assert!(whole.damage.is_none() && records.starts_with(&whole.records), "written and read");
    let first_change = sealed.iter().zip(&changed).position(|(was, is)| was != is);
    let first_change = first_change.unwrap_or(sealed.len());
    assert!(whole.records.starts_with(&found.records), "no record is made up");
    assert!(found.whole_bytes <= first_change, "none is changed");
}
