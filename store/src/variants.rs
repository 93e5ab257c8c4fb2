//! Which of the responses stored under one key answers a request (RFC 9111 §4.1)?

use std::sync::Arc;

use http::HeaderMap;
use weir_cache::Policy;

use crate::StoredResponse;

/// The responses stored under one key, newest first. Immutable: a change makes a new list.
#[derive(Debug, Default)]
pub struct Variants {
    newest_first: Vec<Arc<StoredResponse>>,
}

impl Variants {
    /// The newest stored response whose nominated request fields match `request_headers`, or `None`
    /// if no variant does.
    ///
    /// RFC 9111 §4.1 leaves the choice among several matches to `Date`; the list keeps that order.
    #[must_use]
    pub fn select(
        &self,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> Option<&Arc<StoredResponse>> {
        self.newest_first.iter().find(|stored| stored.head.vary.matches(request_headers, policy))
    }

    /// The stored variants, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<StoredResponse>> {
        self.newest_first.iter()
    }

    /// A list with `response` in place of every variant that answered the same request.
    ///
    /// At most `variants_max` are kept, the newest by `Date`; ties go to the later arrival.
    pub(crate) fn with(
        &self,
        response: Arc<StoredResponse>,
        request_headers: &HeaderMap,
        policy: &Policy,
        variants_max: usize,
    ) -> Self {
        let mut newest_first = vec![response];
        newest_first.extend(
            self.newest_first
                .iter()
                .filter(|old| !old.head.vary.matches(request_headers, policy))
                .map(Arc::clone),
        );
        newest_first.sort_by_key(|stored| std::cmp::Reverse(stored.head.plan.date));
        newest_first.truncate(variants_max);
        Self { newest_first }
    }

    /// The bytes all variants are charged for.
    pub(crate) fn weight(&self) -> u64 {
        self.newest_first.iter().map(|stored| stored.weight()).sum()
    }
}
