//! One response at rest: its head, its whole body and the text of its key.

use bytes::Bytes;
use weir_cache::{KeyText, StoredHead};

/// Bytes that one entry costs beyond its head and body: the map's node, the policy's bookkeeping
/// and two reference counts. Measured for the map at 322 to 354 bytes an entry.
pub(crate) const ENTRY_OVERHEAD_BYTES: u64 = 350;

/// Bytes that one field line costs beyond its name and value (hash slot and two handles).
const FIELD_OVERHEAD_BYTES: u64 = 40;

/// A stored response (RFC 9111 §2): head and whole body.
///
/// The body is always complete; a response cut short never becomes one of these (RFC 9111 §3.3).
/// Cloning the body shares it.
#[derive(Debug)]
pub struct StoredResponse {
    /// The head with the plan derived from it.
    pub head: StoredHead,
    /// The whole body.
    pub body: Bytes,
    /// The canonical text of the key it is stored under.
    pub text: KeyText,
}

impl StoredResponse {
    /// The bytes this response is charged for: head, body, key text and overhead.
    ///
    /// Costs one walk over the head's fields.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let text = length(self.text.as_str().len());
        ENTRY_OVERHEAD_BYTES + head_bytes(&self.head) + length(self.body.len()) + text
    }
}

/// The bytes that the fields of a head are charged for.
pub(crate) fn head_bytes(head: &StoredHead) -> u64 {
    head.headers
        .iter()
        .map(|(name, value)| length(name.as_str().len()) + length(value.len()))
        .map(|bytes| bytes + FIELD_OVERHEAD_BYTES)
        .sum()
}

/// A length in memory as `u64`; lengths never exceed it.
pub(crate) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
