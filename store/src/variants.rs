//! Which of the responses stored under one key answers a request (RFC 9111 §4.1)?

use std::sync::Arc;

use http::HeaderMap;
use weir_cache::Policy;

use crate::StoredResponse;

/// What one key may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyBounds {
    /// Variants, at least 1.
    pub(crate) variants_max: usize,
    /// Bytes of all of them; one is kept even if it is larger.
    pub(crate) bytes_max: u64,
}

impl KeyBounds {
    /// Drops the oldest variants beyond the bounds.
    fn cut(self, newest_first: &mut Vec<Arc<StoredResponse>>) {
        newest_first.truncate(self.variants_max);
        let mut bytes = 0;
        let fitting = newest_first
            .iter()
            .take_while(|stored| {
                bytes += stored.weight();
                bytes <= self.bytes_max
            })
            .count();
        newest_first.truncate(fitting.max(1));
    }
}

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

    /// Whether what answers the same request as `response` reflects purges that `response` does not: it
    /// was asked for later, whichever comes in first.
    pub(crate) fn has_later(
        &self,
        response: &StoredResponse,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> bool {
        self.select(request_headers, policy)
            .is_some_and(|stored| stored.head.as_of > response.head.as_of)
    }

    /// A list without `response`; `None` if it is not in this one.
    pub(crate) fn without(&self, response: &Arc<StoredResponse>) -> Option<Self> {
        let others = self.newest_first.iter().filter(|stored| !Arc::ptr_eq(stored, response));
        let newest_first: Vec<_> = others.map(Arc::clone).collect();
        (newest_first.len() < self.newest_first.len()).then_some(Self { newest_first })
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.newest_first.is_empty()
    }

    /// A list with `response` in place of every variant that answered the same request.
    ///
    /// As many are kept as `bounds` allow, the newest by `Date`; ties go to the later arrival.
    pub(crate) fn with(
        &self,
        response: Arc<StoredResponse>,
        request_headers: &HeaderMap,
        policy: &Policy,
        bounds: KeyBounds,
    ) -> Self {
        let mut newest_first = vec![response];
        newest_first.extend(
            self.newest_first
                .iter()
                .filter(|old| !old.head.vary.matches(request_headers, policy))
                .map(Arc::clone),
        );
        newest_first.sort_by_key(|stored| std::cmp::Reverse(stored.head.plan.date));
        bounds.cut(&mut newest_first);
        Self { newest_first }
    }

    /// The list with `response` in place of `old`; `None` if `old` is not in it.
    pub(crate) fn with_replaced(
        &self,
        old: &Arc<StoredResponse>,
        response: Arc<StoredResponse>,
    ) -> Option<Self> {
        let place = self.newest_first.iter().position(|stored| Arc::ptr_eq(stored, old))?;
        let mut newest_first = self.newest_first.clone();
        newest_first.remove(place);
        // Confirmed last, hence the newest.
        newest_first.insert(0, response);
        Some(Self { newest_first })
    }

    /// The bytes all variants are charged for.
    pub(crate) fn weight(&self) -> u64 {
        self.newest_first.iter().map(|stored| stored.weight()).sum()
    }
}
