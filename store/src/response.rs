//! One response at rest: its head, its whole body and the text of its key.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_cache::purge::{Subject, Tagged};
use weir_cache::{KeyText, Seq, StoredHead};

use crate::Body;
use crate::weight::{COUNTS_BYTES, allocated};

const DIGEST_BYTES: usize = 32;

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
    /// The canonical text of the key it is stored under.
    pub text: KeyText,
    /// The BLAKE3 digest of the body; `None` where it has not been worked out.
    digest: OnceLock<Box<[u8; 32]>>,
    /// Up to where in the purge log nothing matches it; begins with what its head reflects.
    reflects: AtomicU64,
    /// The newest purge that it was counted for.
    counted_for: AtomicU64,
}

impl StoredResponse {
    /// A response whose `body` is whole, stored under the key with this `text`.
    #[must_use]
    pub fn new(head: StoredHead, body: impl Into<Body>, text: KeyText) -> Self {
        let reflects = AtomicU64::new(head.as_of.get());
        let (digest, counted_for) = (OnceLock::new(), AtomicU64::new(0));
        Self { head, body: body.into(), text, digest, reflects, counted_for }
    }

    /// The same response with its body in another place.
    #[must_use]
    pub fn with_body(&self, body: Body) -> Self {
        let (head, text) = (self.head.clone(), self.text.clone());
        let again = |counter: &AtomicU64| AtomicU64::new(counter.load(Relaxed));
        let (reflects, counted_for) = (again(&self.reflects), again(&self.counted_for));
        Self { head, body, text, digest: self.digest.clone(), reflects, counted_for }
    }

    /// Whether `other` is this response, be it read from disk once more: it answers with the same head, is as old,
    /// reflects the same purges, and its body is as long and, where both digests are known, the same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let key = |stored: &Self| {
            let head = &stored.head;
            (head.status, head.plan.date, head.as_of, stored.body.len())
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
        self.digest.get().map(AsRef::as_ref)
    }

    /// Notes the digest of the body, which the caller has worked out; the first one stands.
    pub fn note_digest(&self, digest: [u8; 32]) {
        self.digest.get_or_init(|| Box::new(digest));
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
        self.counted_for.fetch_max(purge.get(), Relaxed) < purge.get()
    }

    /// The response as purges see it.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject { resource: self.text.purged_as(), tags: Tagged::Known(&self.head.tags) }
    }

    /// The bytes of memory that this response takes: itself, its head, its body, its digest and the text of
    /// its key, without what it shares with others. Never changes: a digest counts before it is noted.
    #[must_use]
    pub fn weight(&self) -> u64 {
        allocated(size_of::<Self>() + COUNTS_BYTES)
            + head_bytes(&self.head)
            + text_bytes(&self.text)
            + self.body.memory_bytes()
            + allocated(DIGEST_BYTES)
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
