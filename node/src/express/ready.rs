//! The fields of an answer to a request that hyper has read, ready to be copied.
//!
//! What `lines` is to HTTP/1.1, this is where a message has a map of fields. A map takes more, and its values are slices
//! of what is stored, which they keep in memory when the response has gone; so each thread keeps 512 at most, and only
//! those with up to 24 lines and 2 KiB of values: 2.5 MiB a thread. Whose it is is told by addresses.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::header::AGE;
use http::{HeaderMap, HeaderName, HeaderValue};
use weir_cache::CacheStatus;
use weir_store::StoredResponse;

use super::find::Found;
use super::memo::Known;
use crate::node::Node;

pub(super) static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Answers that one thread keeps.
const PLACES: usize = 512;
/// Lines of a map that is kept.
const LINES_MAX: usize = 24;
/// Bytes of the values of a response whose map is kept.
const BYTES_MAX: usize = 2_048;

/// The fields of an answer, and the second that they are of.
#[derive(Debug)]
pub(super) struct Answer {
    headers: HeaderMap,
    /// Whether it says its age.
    has_age: bool,
    /// What Cache-Status says before the remaining lifetime; `None` where it is not sent.
    status: Option<Box<[u8]>>,
    /// Age and remaining lifetime that `headers` state.
    said: Option<(u64, i64)>,
}

impl Answer {
    /// An answer with `headers`, to which what changes with time is added.
    pub(super) fn new(node: &Node, found: &Found, headers: HeaderMap) -> Self {
        let fields = &found.known.site.fields;
        let status = fields.cache_status.then(|| status(node, found));
        Self { headers, has_age: fields.age, status, said: None }
    }

    /// The fields as they are when `found` is sent.
    pub(super) fn at(mut self, found: &Found) -> HeaderMap {
        self.say(found);
        self.headers
    }

    /// States age and remaining lifetime, unless they are what is stated.
    fn say(&mut self, found: &Found) {
        let said = Some((found.age_secs(), found.ttl_secs()));
        if self.said == said {
            return;
        }
        self.said = said;
        if self.has_age {
            self.headers.insert(AGE, HeaderValue::from(found.age_secs()));
        }
        if let Some(status) = &self.status {
            let mut line = status.to_vec();
            line.extend_from_slice(itoa::Buffer::new().format(found.ttl_secs()).as_bytes());
            if let Ok(line) = HeaderValue::from_maybe_shared(Bytes::from(line)) {
                self.headers.insert(CACHE_STATUS.clone(), line);
            }
        }
    }

    fn is_small(&self, stored: &StoredResponse) -> bool {
        self.headers.len() <= LINES_MAX && stored.head.headers.heap_bytes() <= BYTES_MAX
    }
}

/// What Cache-Status says of a hit, of caches above first, up to the number that follows.
fn status(node: &Node, found: &Found) -> Box<[u8]> {
    let mut headers = HeaderMap::new();
    let inner =
        found.stored.head.headers.get_all(&CACHE_STATUS).map(|line| HeaderValue::from_bytes(&line));
    headers.extend(inner.flatten().map(|line| (CACHE_STATUS.clone(), line)));
    CacheStatus::hit(node.config.tier.as_str()).append_to(&mut headers);
    let line = headers.get(&CACHE_STATUS).map_or(&[][..], HeaderValue::as_bytes);
    [line, b"; ttl="].concat().into()
}

/// An answer with a whole response, and what it is the answer to.
///
/// Nothing else can have the addresses of either as long as it is remembered.
struct Kept {
    known: Weak<Known>,
    stored: Weak<StoredResponse>,
    answer: Answer,
}

impl Kept {
    fn is_of(&self, found: &Found) -> bool {
        std::ptr::eq(self.stored.as_ptr(), Arc::as_ptr(&found.stored))
            && std::ptr::eq(self.known.as_ptr(), Arc::as_ptr(&found.known))
    }
}

thread_local! {
    static READY: RefCell<Vec<Option<Kept>>> = const { RefCell::new(Vec::new()) };
}

/// The fields of the answer with all of `found`: those kept, or what `make` makes, which is kept then.
pub(super) fn headers(found: &Found, make: impl FnOnce() -> Answer) -> HeaderMap {
    let place = Arc::as_ptr(&found.stored).addr() / size_of::<StoredResponse>() % PLACES;
    let kept = READY.with_borrow_mut(|places| {
        let kept = places.get_mut(place)?.as_mut().filter(|kept| kept.is_of(found))?;
        kept.answer.say(found);
        Some(kept.answer.headers.clone())
    });
    kept.unwrap_or_else(|| keep(place, found, make()))
}

fn keep(place: usize, found: &Found, mut answer: Answer) -> HeaderMap {
    if !answer.is_small(&found.stored) {
        return answer.at(found);
    }
    answer.say(found);
    let headers = answer.headers.clone();
    let (known, stored) = (Arc::downgrade(&found.known), Arc::downgrade(&found.stored));
    READY.with_borrow_mut(|places| {
        if places.is_empty() {
            places.resize_with(PLACES, || None);
        }
        if let Some(place) = places.get_mut(place) {
            *place = Some(Kept { known, stored, answer });
        }
    });
    headers
}
