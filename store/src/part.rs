//! Parts of a response at rest: a head, bytes with gaps, and the text of the key.

use weir_cache::purge::{Subject, Tagged};
use weir_cache::{HeldParts, KeyText};

use crate::response::{ENTRY_OVERHEAD_BYTES, head_bytes, length};

/// Bytes that one piece costs beyond its content.
const PIECE_OVERHEAD_BYTES: u64 = 64;

/// Parts of a response that never answer in place of the whole (RFC 9111 §3.3).
#[derive(Debug)]
pub struct StoredParts {
    /// The head of the whole, and the bytes held.
    pub held: HeldParts,
    /// The canonical text of the key they are stored under.
    pub text: KeyText,
}

impl StoredParts {
    /// The parts as purges see them.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        let tags = Tagged::Known(&self.held.head.tags);
        Subject { resource: self.text.purged_as(), tags }
    }

    /// The bytes they are charged for: head, pieces, key text and overhead.
    ///
    /// Costs one walk over the head's fields.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let (pieces, bytes) = self.held.pieces.held();
        let asked = self.held.asked.as_ref().map_or(0, |(asked, _)| length(asked.len()));
        ENTRY_OVERHEAD_BYTES
            + head_bytes(&self.held.head)
            + length(self.text.as_str().len())
            + bytes
            + length(pieces) * PIECE_OVERHEAD_BYTES
            + asked
    }
}
