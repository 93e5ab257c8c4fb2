//! A stored response of whose body only some slices are here.
//!
//! Its head is that of the whole, so it is judged and validated like any other; its body has gaps, so it is
//! of another type than a stored response, and no lookup for one finds it.

use std::sync::Arc;

use weir_cache::StoredHead;

use crate::{Body, DiskBody, StoredResponse};

/// A stored response of whose body slices are missing (RFC 9111 §3.3). Cloning shares it.
///
/// All slices are of the body that its strong `ETag` names.
#[derive(Debug, Clone)]
pub struct StoredSlices {
    stored: Arc<StoredResponse>,
    body: Arc<DiskBody>,
}

impl StoredSlices {
    /// `stored` as one of which slices are missing, or may be; `None` where its body does not lie in slices
    /// on disk or no strong `ETag` says what a missing one belongs to.
    #[must_use]
    pub fn of(stored: &Arc<StoredResponse>) -> Option<Self> {
        let body = stored.body.on_disk().filter(|body| body.is_sliced())?;
        stored.head.strong_etag()?;
        Some(Self { stored: Arc::clone(stored), body: Arc::clone(body) })
    }

    /// The response under another head, with the same slices.
    #[must_use]
    pub fn with_head(&self, head: StoredHead) -> Option<Self> {
        let body = Body::OnDisk(Arc::clone(&self.body));
        Self::of(&Arc::new(StoredResponse::new(head, body, &self.stored.text())))
    }

    /// The head of the whole.
    #[must_use]
    pub fn head(&self) -> &StoredHead {
        &self.stored.head
    }

    /// The body, as far as it is here.
    #[must_use]
    pub fn body(&self) -> &Arc<DiskBody> {
        &self.body
    }

    /// The response as purges see it, and as it will be once nothing is missing.
    #[must_use]
    pub fn stored(&self) -> &Arc<StoredResponse> {
        &self.stored
    }

    /// Whether both are of one body, be it under another head.
    #[must_use]
    pub fn is_same_body(&self, other: &Self) -> bool {
        self.body.is_same(&other.body)
    }
}
