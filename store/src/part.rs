//! Parts of a response at rest: a head, bytes with gaps, and the text of the key.

use weir_cache::purge::{Subject, Tagged};
use weir_cache::{HeldParts, KeyText};

use crate::response::{head_bytes, length, text_bytes};
use crate::weight::{COUNTS_BYTES, allocated};

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

    /// The bytes of memory that they take: themselves, their head, their pieces and the text of the key,
    /// without what is shared with others.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let (pieces, bytes) = self.held.pieces.held();
        let asked = self.held.asked.as_ref().map_or(0, |(asked, _)| length(asked.len()));
        allocated(size_of::<Self>() + COUNTS_BYTES)
            + head_bytes(&self.held.head)
            + text_bytes(&self.text)
            + bytes
            + length(pieces) * PIECE_OVERHEAD_BYTES
            + asked
    }
}
