//! The part of an answer's head that stays the same for as long as the response is the same, as it goes out.
//!
//! Kept beside the target that a thread remembers, so that it costs what a thread remembers and not what is stored. It
//! holds no response: whose it is is told by an address that nothing else can have meanwhile.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use weir_store::StoredResponse;

/// Bytes that are kept.
const BYTES_MAX: usize = 2_048;

/// Lines of a head, once they were written.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<Option<Written>>);

#[derive(Debug)]
struct Written {
    of: Weak<StoredResponse>,
    bytes: Box<[u8]>,
}

impl Lines {
    /// Puts the lines of `stored` behind `out`: those kept, or what `write` writes, which is kept then.
    pub(super) fn push(
        &self,
        out: &mut Vec<u8>,
        stored: &Arc<StoredResponse>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut kept = self.0.lock();
        if let Some(written) = &*kept
            && std::ptr::eq(written.of.as_ptr(), Arc::as_ptr(stored))
        {
            out.extend_from_slice(&written.bytes);
            return;
        }
        let begin = out.len();
        write(out);
        let bytes = out.get(begin..).unwrap_or_default();
        if bytes.len() <= BYTES_MAX {
            *kept = Some(Written { of: Arc::downgrade(stored), bytes: bytes.into() });
        }
    }
}
