//! The fields of an answer to a request that hyper has read, ready to be copied.
//!
//! What `lines` is to HTTP/1.1, this is where a message has a map of fields: kept beside the target that a thread
//! remembers, and told to be of a response by an address that nothing else can have meanwhile. Values are slices of
//! what is stored, which they keep in memory when the response has gone, so only what is small is kept: at most
//! 24 lines and 2 KiB of values, 5 KiB a target in all.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::header::AGE;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use weir_cache::CacheStatus;
use weir_store::StoredResponse;

use super::find::Found;
use crate::node::Node;

pub(super) static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

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
    let inner = found.stored.head.headers.get_all(&CACHE_STATUS).map(HeaderValue::from_bytes);
    headers.extend(inner.flatten().map(|line| (CACHE_STATUS.clone(), line)));
    CacheStatus::hit(node.config.tier.as_str()).append_to(&mut headers);
    let line = headers.get(&CACHE_STATUS).map_or(&[][..], HeaderValue::as_bytes);
    [line, b"; ttl="].concat().into()
}

/// The answer with a whole response, once there was one.
#[derive(Debug, Default)]
pub(super) struct Ready(Mutex<Option<(Weak<StoredResponse>, Answer)>>);

impl Ready {
    /// The fields of the answer with all of `found`: those kept, or what `make` makes, which is kept then.
    pub(super) fn headers(&self, found: &Found, make: impl FnOnce() -> Answer) -> HeaderMap {
        let mut kept = self.0.lock();
        if let Some((of, answer)) = &mut *kept
            && std::ptr::eq(of.as_ptr(), Arc::as_ptr(&found.stored))
        {
            answer.say(found);
            return answer.headers.clone();
        }
        let mut answer = make();
        if !answer.is_small(&found.stored) {
            *kept = None;
            return answer.at(found);
        }
        answer.say(found);
        let headers = answer.headers.clone();
        *kept = Some((Arc::downgrade(&found.stored), answer));
        headers
    }
}
