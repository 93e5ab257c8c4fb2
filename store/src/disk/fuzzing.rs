//! What must hold of any bytes that are read from the disk?
//!
//! For the targets of fuzzing (see `docs/fuzzing.md`), which are outside this crate and cannot reach what
//! is private to it. Nobody else calls this; each function panics if it does not hold.

use weir_cache::{Present, Seq, Stamp, Timestamp};

use super::bodies::fuzzing as bodies;
use super::record;

/// Takes `bytes` for a record, and for the fields of one under a right check. What is taken for a stored
/// response is found again when it is written down.
pub fn record(bytes: &[u8]) {
    let stamp = Stamp { boot: 1, boot_micros: 9_000_000_000, wall_micros: 1_781_524_800_000_000 };
    let present = Present { stamp, monotonic: Timestamp::from_micros(5_000_000_000) };
    let decode = |bytes: &[u8]| record::decode(bytes, &present, |as_of| Seq::new(as_of.seq));
    drop(decode(bytes));
    if let Ok(recorded) = decode(&record::seal(bytes)) {
        let again = decode(&record::encode(&recorded, &present));
        assert!(again.as_ref() == Ok(&recorded), "{recorded:?} became {again:?}");
    }
}

/// Takes `bytes` for what follows the content of a body; then writes `records` there, changes the bytes
/// at some places, and reads the records from before the first change, and no other.
pub fn records(bytes: &[u8], records: &[&[u8]], changes: &[(usize, u8)]) {
    bodies::records(bytes, records, changes);
}
