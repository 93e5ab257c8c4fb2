//! One response at rest: its head, its whole body and the text of its key.
//!
//! Small responses are many, so what is not needed of most of them is only a pointer here, and the text lies
//! in one piece of memory with the values of the fields.
//!
//! # Invariant
//!
//! The head is never changed in place: the text of the key lies behind its values, and without it no purge by
//! URL finds the response.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use once_cell::race::OnceBox;
use weir_cache::purge::{Subject, Tagged};
use weir_cache::{KeyText, PackedText, Seq, StoredHead};

use crate::Body;
use crate::weight::{COUNTS_BYTES, allocated};

/// A stored response (RFC 9111 §2): head and whole body.
///
/// The body is always complete; a response cut short never becomes one of these (RFC 9111 §3.3).
/// Cloning the body shares it.
#[derive(Debug)]
pub struct StoredResponse {
    /// The head with the plan derived from it.
    pub head: StoredHead,
    /// The whole body.
    pub body: Body,
    /// Up to where in the purge log nothing matches it; begins with what its head reflects.
    reflects: AtomicU64,
    learned: OnceBox<Learned>,
}

/// What is learned of some stored responses.
#[derive(Debug, Default)]
struct Learned {
    /// The BLAKE3 digest of the body.
    digest: OnceLock<[u8; 32]>,
    /// The newest purge that it was counted for.
    counted_for: AtomicU64,
}

impl StoredResponse {
    /// A response whose `body` is whole, stored under the key with this `text`.
    #[must_use]
    pub fn new(mut head: StoredHead, body: impl Into<Body>, text: &KeyText) -> Self {
        let reflects = AtomicU64::new(head.as_of.get());
        head.headers = head.headers.with_tail(&text.pack());
        Self { head, body: body.into(), reflects, learned: OnceBox::new() }
    }

    /// The same response with its body in another place.
    #[must_use]
    pub fn with_body(&self, body: Body) -> Self {
        let again = |counter: &AtomicU64| AtomicU64::new(counter.load(Relaxed));
        let learned = OnceBox::new();
        if let Some(Learned { digest, counted_for }) = self.learned.get() {
            let (digest, counted_for) = (digest.clone(), again(counted_for));
            learned.get_or_init(|| Box::new(Learned { digest, counted_for }));
        }
        let (head, reflects) = (self.head.clone(), again(&self.reflects));
        Self { head, body, reflects, learned }
    }

    /// The canonical text of the key it is stored under. Costs a copy.
    #[must_use]
    pub fn text(&self) -> KeyText {
        self.packed_text().unpack()
    }

    fn packed_text(&self) -> PackedText<'_> {
        let text = PackedText::read(self.head.headers.tail());
        debug_assert!(text.is_some(), "the text went with a head that was changed in place");
        text.unwrap_or_default()
    }

    fn learned(&self) -> &Learned {
        self.learned.get_or_init(Box::default)
    }

    /// Whether `other` is this response, be it read from disk once more: it answers with the same head, is as old,
    /// reflects the same purges, and its body is as long and, where both digests are known, the same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let key = |stored: &Self| {
            let head = &stored.head;
            (head.status, head.plan.date(), head.as_of, stored.body.len())
        };
        std::ptr::eq(self, other)
            || (key(self) == key(other)
                && self.head.headers == other.head.headers
                && self.head.vary == other.head.vary
                && self.digest().zip(other.digest()).is_none_or(|(one, two)| one == two))
    }

    /// The BLAKE3 digest of the body; `None` where it has not been worked out.
    #[must_use]
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.learned.get()?.digest.get()
    }

    /// Notes the digest of the body, which the caller has worked out; the first one stands.
    pub fn note_digest(&self, digest: [u8; 32]) {
        self.learned().digest.get_or_init(|| digest);
    }

    /// The position in the purge log up to which no purge matches this response.
    #[must_use]
    pub fn reflects(&self) -> Seq {
        Seq::new(self.reflects.load(Relaxed))
    }

    /// Notes that no purge up to `position` matches this response beyond those that it reflects, so
    /// that the next look costs one comparison.
    pub fn passed(&self, position: Seq) {
        self.reflects.fetch_max(position.get(), Relaxed);
    }

    /// Whether `purge` is the first to count this response, of it and all before it.
    pub fn counts_for(&self, purge: Seq) -> bool {
        self.learned().counted_for.fetch_max(purge.get(), Relaxed) < purge.get()
    }

    /// The response as purges see it.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        let resource = self.packed_text().purged_as();
        Subject { resource, tags: Tagged::Known(&self.head.tags) }
    }

    /// The bytes of memory that this response takes: itself, its head, its body, the text of its key and what
    /// may be learned of it, without what it shares with others. Never changes: a digest counts before it is noted.
    #[must_use]
    pub fn weight(&self) -> u64 {
        allocated(size_of::<Self>() + COUNTS_BYTES)
            + head_bytes(&self.head)
            + self.body.memory_bytes()
            + allocated(size_of::<Learned>())
    }
}

/// The bytes that a head takes beyond the struct itself.
pub(crate) fn head_bytes(head: &StoredHead) -> u64 {
    let held = [head.headers.heap_bytes(), head.vary.heap_bytes(), head.tags.heap_bytes()];
    held.into_iter().map(allocated).sum()
}

/// The bytes that the text of a key takes beyond the struct itself.
pub(crate) fn text_bytes(text: &KeyText) -> u64 {
    allocated(text.as_str().len() + COUNTS_BYTES)
}

/// A length in memory as `u64`; lengths never exceed it.
pub(crate) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each 16 bytes more are 16 MB for a million responses: think before this figure is raised.
    #[test]
    fn a_stored_response_is_small() {
        assert!(size_of::<StoredResponse>() <= 144, "{}", size_of::<StoredResponse>());
    }
}
