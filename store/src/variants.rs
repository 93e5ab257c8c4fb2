//! Which of the responses stored under one key answers a request (RFC 9111 §4.1)?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use weir_cache::{Policy, StoredHead};

use crate::response::length;
use crate::weight::{COUNTS_BYTES, allocated};
use crate::{StoredParts, StoredResponse, StoredSlices};

/// What one key may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyBounds<'a> {
    /// Variants, at least 1.
    pub(crate) variants_max: usize,
    /// Bytes of all of them; one is kept even if it is larger.
    pub(crate) bytes_max: u64,
    /// Counts variants that were dropped for these bounds.
    pub(crate) dropped: &'a AtomicU64,
}

impl KeyBounds<'_> {
    /// Drops the oldest variants beyond the bounds.
    fn cut(self, newest_first: &mut Vec<Arc<StoredResponse>>) {
        let before = newest_first.len();
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
        self.count(before, newest_first.len());
    }

    /// Drops the oldest of those with missing slices beyond the bounds. They lie on disk, so what they take of
    /// memory is little.
    fn cut_slices(self, slices: &mut Vec<StoredSlices>) {
        let before = slices.len();
        slices.truncate(self.variants_max);
        self.count(before, slices.len());
    }

    fn count(self, before: usize, after: usize) {
        let dropped = before.saturating_sub(after);
        if dropped > 0 {
            self.dropped.fetch_add(length(dropped), Ordering::Relaxed);
        }
    }

    /// Drops the oldest parts beyond what the whole responses leave.
    fn cut_parts(self, parts: &mut Vec<Arc<StoredParts>>, whole: &[Arc<StoredResponse>]) {
        parts.truncate(self.variants_max);
        let mut bytes: u64 = whole.iter().map(|stored| stored.weight()).sum();
        let fitting = parts.iter().take_while(|parts| {
            bytes += parts.weight();
            bytes <= self.bytes_max
        });
        let fitting = fitting.count();
        parts.truncate(fitting);
    }
}

/// What becomes of the parts that one request selects.
#[derive(Debug)]
pub enum PartsChange {
    /// They stay as they are.
    Keep,
    /// They go.
    Drop,
    /// These take their place.
    Parts(Arc<StoredParts>),
    /// They have become a whole response, which takes their place.
    Whole(Arc<StoredResponse>),
}

/// The responses stored under one key, newest first. Immutable: a change makes a new list.
///
/// Parts, and responses of which slices are missing, lie beside the whole responses, so that none can be
/// taken for one. There is never more than one of the three for one request. Cloning shares them; the list
/// of one response is that response.
///
/// The weight is worked out once: a map must find it the same when an entry goes as when it came.
#[derive(Debug, Clone, Default)]
pub struct Variants(List);

#[derive(Debug, Clone, Default)]
enum List {
    #[default]
    Empty,
    One(u32, Arc<StoredResponse>),
    Many(u32, Arc<Many>),
}

#[derive(Debug)]
struct Many {
    newest_first: Box<[Arc<StoredResponse>]>,
    slices: Box<[StoredSlices]>,
    parts: Box<[Arc<StoredParts>]>,
}

impl Variants {
    fn of(
        mut newest_first: Vec<Arc<StoredResponse>>,
        slices: Vec<StoredSlices>,
        parts: Vec<Arc<StoredParts>>,
    ) -> Self {
        match (newest_first.len(), slices.is_empty() && parts.is_empty()) {
            (0, true) => Self::default(),
            (1, true) => newest_first.pop().map(Self::one).unwrap_or_default(),
            _ => {
                let many = Many {
                    newest_first: newest_first.into(),
                    slices: slices.into(),
                    parts: parts.into(),
                };
                Self(List::Many(saturated(many.weight()), Arc::new(many)))
            }
        }
    }

    fn one(stored: Arc<StoredResponse>) -> Self {
        Self(List::One(saturated(stored.weight()), stored))
    }

    /// The whole responses, newest first.
    fn whole(&self) -> &[Arc<StoredResponse>] {
        match &self.0 {
            List::Empty => &[],
            List::One(_, stored) => std::slice::from_ref(stored),
            List::Many(_, many) => &many.newest_first,
        }
    }

    fn slices(&self) -> &[StoredSlices] {
        match &self.0 {
            List::Empty | List::One(..) => &[],
            List::Many(_, many) => &many.slices,
        }
    }

    fn parts(&self) -> &[Arc<StoredParts>] {
        match &self.0 {
            List::Empty | List::One(..) => &[],
            List::Many(_, many) => &many.parts,
        }
    }

    /// What the disk has under a key.
    pub(crate) fn restored(mut found: Vec<Arc<StoredResponse>>) -> Self {
        found.sort_by_key(|stored| std::cmp::Reverse(stored.head.plan.date()));
        let (whole, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(is_whole);
        let with_some = |slices: &StoredSlices| slices.body().slices_held() > 0;
        let slices = rest.iter().filter_map(StoredSlices::of).filter(with_some).collect();
        Self::of(whole, slices, Vec::new())
    }

    /// Bytes of the bodies that are in memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.persisted().map(|stored| stored.body.memory_bytes()).sum()
    }

    /// What the disk keeps: whole responses and those of which slices are missing.
    pub(crate) fn persisted(&self) -> impl Iterator<Item = &Arc<StoredResponse>> {
        self.whole().iter().chain(self.slices().iter().map(StoredSlices::stored))
    }

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
        self.whole().iter().find(|stored| stored.head.vary.matches(request_headers, policy))
    }

    /// The parts whose nominated request fields match `request_headers`, or `None` if there are
    /// none.
    #[must_use]
    pub fn select_parts(
        &self,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> Option<&Arc<StoredParts>> {
        self.parts().iter().find(|parts| parts.held.head.vary.matches(request_headers, policy))
    }

    /// The response of which slices are missing whose nominated request fields match `request_headers`, or
    /// `None` if there is none.
    #[must_use]
    pub fn select_slices(
        &self,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> Option<&StoredSlices> {
        self.slices().iter().find(|slices| slices.head().vary.matches(request_headers, policy))
    }

    /// The heads of all variants, those of parts and of slices included.
    pub fn heads(&self) -> impl Iterator<Item = &StoredHead> {
        let on_disk_or_whole = self.persisted().map(|stored| &stored.head);
        on_disk_or_whole.chain(self.parts().iter().map(|parts| &parts.held.head))
    }

    /// Whether nothing is stored.
    pub(crate) fn is_empty(&self) -> bool {
        self.whole().is_empty() && self.slices().is_empty() && self.parts().is_empty()
    }

    /// The stored variants that are whole, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<StoredResponse>> {
        self.whole().iter()
    }

    /// Whether what answers the same request as `response` reflects purges that `response` does not: it
    /// was asked for later, whichever comes in first.
    pub(crate) fn has_later(
        &self,
        response: &StoredResponse,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> bool {
        let whole = self.select(request_headers, policy).map(|stored| stored.head.as_of);
        let slices = self.select_slices(request_headers, policy).map(|held| held.head().as_of);
        whole.max(slices).is_some_and(|as_of| as_of > response.head.as_of)
    }

    /// A list without `response`; `None` if it is not in this one.
    pub(crate) fn without(&self, response: &Arc<StoredResponse>) -> Option<Self> {
        let others = self.whole().iter().filter(|stored| !stored.is_same(response));
        let newest_first: Vec<_> = others.map(Arc::clone).collect();
        (newest_first.len() < self.whole().len())
            .then(|| Self::of(newest_first, self.slices().to_vec(), self.parts().to_vec()))
    }

    /// A list with `response` in place of every variant that answered the same request.
    ///
    /// As many are kept as `bounds` allow, the newest by `Date`; ties go to the later arrival.
    pub(crate) fn with(
        &self,
        response: Arc<StoredResponse>,
        request_headers: &HeaderMap,
        policy: &Policy,
        bounds: KeyBounds<'_>,
    ) -> Self {
        let mut newest_first = vec![response];
        newest_first.extend(
            self.whole()
                .iter()
                .filter(|old| !old.head.vary.matches(request_headers, policy))
                .map(Arc::clone),
        );
        newest_first.sort_by_key(|stored| std::cmp::Reverse(stored.head.plan.date()));
        bounds.cut(&mut newest_first);
        let mut parts = self.parts_for_others(request_headers, policy);
        bounds.cut_parts(&mut parts, &newest_first);
        Self::of(newest_first, self.slices_for_others(request_headers, policy), parts)
    }

    /// Those with missing slices that `request_headers` does not select.
    fn slices_for_others(&self, request_headers: &HeaderMap, policy: &Policy) -> Vec<StoredSlices> {
        let others = self
            .slices()
            .iter()
            .filter(|slices| !slices.head().vary.matches(request_headers, policy));
        others.cloned().collect()
    }

    /// A list with `added` in place of everything that answered the same request.
    pub(crate) fn with_slices(
        &self,
        added: StoredSlices,
        request_headers: &HeaderMap,
        policy: &Policy,
        bounds: KeyBounds<'_>,
    ) -> Self {
        let mut slices = vec![added];
        slices.extend(self.slices_for_others(request_headers, policy));
        bounds.cut_slices(&mut slices);
        let others =
            |stored: &&Arc<StoredResponse>| !stored.head.vary.matches(request_headers, policy);
        let newest_first = self.whole().iter().filter(others).map(Arc::clone).collect();
        Self::of(newest_first, slices, self.parts_for_others(request_headers, policy))
    }

    /// The list with `held` where it belongs, in place of what it holds of the same body: among the whole
    /// responses if nothing of it is missing, else among those with missing slices. `None` if it holds
    /// nothing of that body.
    pub(crate) fn with_slices_placed(&self, held: &StoredSlices) -> Option<Self> {
        let is_other = |stored: &Arc<StoredResponse>| {
            StoredSlices::of(stored).is_none_or(|other| !other.is_same_body(held))
        };
        let mut newest_first: Vec<_> =
            self.whole().iter().filter(|stored| is_other(stored)).map(Arc::clone).collect();
        let mut slices: Vec<_> =
            self.slices().iter().filter(|other| !other.is_same_body(held)).cloned().collect();
        let before = self.whole().len().saturating_add(self.slices().len());
        if newest_first.len().saturating_add(slices.len()) == before {
            return None;
        }
        if held.body().is_whole() {
            newest_first.insert(0, Arc::clone(held.stored()));
        } else {
            slices.insert(0, held.clone());
        }
        Some(Self::of(newest_first, slices, self.parts().to_vec()))
    }

    /// A list without `held`, under whatever head; `None` if it is not in this one.
    pub(crate) fn without_slices(&self, held: &StoredSlices) -> Option<Self> {
        let others = self.slices().iter().filter(|other| !other.is_same_body(held));
        let slices: Vec<_> = others.cloned().collect();
        let whole = self.whole().iter().filter(|stored| {
            StoredSlices::of(stored).is_none_or(|other| !other.is_same_body(held))
        });
        let newest_first: Vec<_> = whole.map(Arc::clone).collect();
        let is_gone = slices.len() < self.slices().len() || newest_first.len() < self.whole().len();
        is_gone.then(|| Self::of(newest_first, slices, self.parts().to_vec()))
    }

    /// The parts that `request_headers` does not select.
    fn parts_for_others(
        &self,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> Vec<Arc<StoredParts>> {
        let others = self
            .parts()
            .iter()
            .filter(|parts| !parts.held.head.vary.matches(request_headers, policy));
        others.map(Arc::clone).collect()
    }

    /// The list with the parts that `request_headers` selects changed; `None` if it stays as it is.
    ///
    /// A whole response that answers the same request already is worth more than any part of it.
    pub(crate) fn with_parts(
        &self,
        change: PartsChange,
        request_headers: &HeaderMap,
        policy: &Policy,
        bounds: KeyBounds<'_>,
    ) -> Option<Self> {
        let added = match change {
            PartsChange::Keep => return None,
            PartsChange::Whole(response) => {
                return Some(self.with(response, request_headers, policy, bounds));
            }
            PartsChange::Parts(_) if self.select(request_headers, policy).is_some() => return None,
            PartsChange::Parts(_) if self.select_slices(request_headers, policy).is_some() => {
                return None;
            }
            PartsChange::Parts(parts) => Some(parts),
            PartsChange::Drop => None,
        };
        let mut parts: Vec<_> = added.into_iter().collect();
        parts.extend(self.parts_for_others(request_headers, policy));
        bounds.cut_parts(&mut parts, self.whole());
        Some(Self::of(self.whole().to_vec(), self.slices().to_vec(), parts))
    }

    /// The list with `parts` in place of `old`; `None` if `old` is not in it.
    pub(crate) fn with_parts_replaced(
        &self,
        old: &Arc<StoredParts>,
        parts: Arc<StoredParts>,
    ) -> Option<Self> {
        let place = self.parts().iter().position(|parts| Arc::ptr_eq(parts, old))?;
        let mut list = self.parts().to_vec();
        list.remove(place);
        list.insert(0, parts);
        Some(Self::of(self.whole().to_vec(), self.slices().to_vec(), list))
    }

    /// The list with `response` in place of `old`; `None` if `old` is not in it.
    pub(crate) fn with_replaced(
        &self,
        old: &Arc<StoredResponse>,
        response: Arc<StoredResponse>,
    ) -> Option<Self> {
        let place = self.whole().iter().position(|stored| stored.is_same(old))?;
        let mut newest_first = self.whole().to_vec();
        newest_first.remove(place);
        // Confirmed last, hence the newest.
        newest_first.insert(0, response);
        Some(Self::of(newest_first, self.slices().to_vec(), self.parts().to_vec()))
    }

    /// The bytes that all variants and the list itself are charged for, without the map's own; at most 4 GiB.
    pub(crate) fn weight(&self) -> u64 {
        match self.0 {
            List::Empty => 0,
            List::One(weight, _) | List::Many(weight, _) => u64::from(weight),
        }
    }
}

impl Many {
    fn weight(&self) -> u64 {
        let pointers = self.newest_first.len().saturating_add(self.parts.len());
        // One of slices is two pointers.
        let pointers = pointers.saturating_add(self.slices.len().saturating_mul(2));
        let list = allocated(size_of::<Self>() + COUNTS_BYTES)
            + allocated(pointers.saturating_mul(size_of::<usize>()));
        let on_disk = self.slices.iter().map(StoredSlices::stored);
        let whole: u64 =
            self.newest_first.iter().chain(on_disk).map(|stored| stored.weight()).sum();
        list + whole + self.parts.iter().map(|parts| parts.weight()).sum::<u64>()
    }
}

fn is_whole(stored: &Arc<StoredResponse>) -> bool {
    stored.body.on_disk().is_none_or(|body| body.is_whole())
}

fn saturated(weight: u64) -> u32 {
    u32::try_from(weight).unwrap_or(u32::MAX)
}
