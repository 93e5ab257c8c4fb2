//! Which stored response answers a plain request at once? The same questions as [`crate::handle`] asks, in the same order, where
//! "no" to any of them leads back there.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use weir_cache::purge::Standing;
use weir_cache::{ByteRange, Now, RangeSpec, Reuse, Scheme, resolve_range};
use weir_store::{Body, DiskBody, Place, StoredResponse, Variants};

use super::fields::selecting;
use super::memo::{Known, known};
use super::plain::Plain;
use crate::handle::Remote;
use crate::limits;
use crate::node::Node;
use crate::site::Site;

/// Files that one answer may hold open.
const PLACES_MAX: usize = 16;
/// The largest number in a structured field (RFC 8941 §3.3.1).
const INTEGER_MAX: i64 = 999_999_999_999_999;

/// What a plain request is answered with.
pub(crate) struct Found {
    pub(crate) known: Arc<Known>,
    pub(crate) stored: Arc<StoredResponse>,
    /// The part of the body that is wanted; `None` for all of it.
    pub(crate) range: Option<ByteRange>,
    /// Whether only the head is.
    is_head: bool,
    /// Where they lie, if not in memory.
    files: Option<Vec<Place>>,
    pub(crate) now: Now,
    /// The request's place among those in flight at its site.
    place: limits::Place,
}

impl Found {
    /// The bytes of the body that are wanted and lie in memory.
    pub(crate) fn body(&self) -> &[u8] {
        let Some(whole) = self.stored.body.in_memory().filter(|_| !self.is_head) else {
            return &[];
        };
        let Some(range) = self.range else { return whole };
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
        whole.get(at(range.first)..at(range.last.saturating_add(1))).unwrap_or_default()
    }

    /// The same bytes as `part` of the body, held.
    pub(crate) fn share(&self, part: &[u8]) -> Bytes {
        match self.stored.body.in_memory() {
            Some(whole) if !part.is_empty() => whole.slice_ref(part),
            _ => Bytes::new(),
        }
    }

    /// Its age, in seconds.
    pub(crate) fn age_secs(&self) -> u64 {
        self.stored.head.plan.age_secs(self.now.monotonic)
    }

    /// What is left of its lifetime, in seconds, as Cache-Status can say it.
    pub(crate) fn ttl_secs(&self) -> i64 {
        let ttl = self.stored.head.plan.ttl_secs(self.now.monotonic);
        ttl.clamp(-INTEGER_MAX, INTEGER_MAX)
    }

    /// Its place among the requests in flight.
    pub(crate) fn into_place(self) -> limits::Place {
        self.place
    }

    /// Whether what is wanted lies in files.
    pub(crate) fn is_in_files(&self) -> bool {
        self.files.is_some()
    }

    /// The body in files, the offset of the first byte that is wanted, and the places of all of them.
    pub(crate) fn take_files(&mut self) -> Option<(Arc<DiskBody>, u64, Vec<Place>)> {
        let (places, body) = (self.files.take()?, self.stored.body.on_disk()?);
        Some((Arc::clone(body), self.range.map_or(0, |range| range.first), places))
    }
}

/// Where the bytes of `range` lie, or all: `Some(None)` in memory, `None` where they cannot be sent at once.
fn places(body: &Body, range: Option<ByteRange>) -> Option<Option<Vec<Place>>> {
    let Body::OnDisk(body) = body else { return Some(None) };
    let (first, end) = match range {
        Some(range) => (range.first, range.last.saturating_add(1)),
        None => (0, body.len()),
    };
    body.places_at_hand(first, end, PLACES_MAX).map(Some)
}

/// The fresh response at hand that answers `plain`, asked by `remote`.
///
/// Where there is one, the request is charged to its client and counted as a use of the response.
pub(crate) fn find(node: &Node, remote: &Remote, plain: &Plain<'_, '_>) -> Option<Found> {
    let secured = remote.secured.as_deref();
    let limits = &node.config.limits;
    let is_long = plain.target.len() as u64 > limits.url_max.as_u64();
    if is_long || plain.fields.len() > limits.fields_max || node.config.log.access {
        return None;
    }
    let scheme = if secured.is_some() { Scheme::Https } else { Scheme::Http };
    let known = known(&node.sites.load(), scheme, (plain.host, plain.target))?;
    let site = &known.site;
    // What is not for this connection is misdirected, which is not said here.
    let host = || known.keyed.target.host_without_port();
    if secured.is_some_and(|secured| secured.shown.child.is_some() || !secured.is_for(host()))
        || site.security.concerns(secured.is_some())
    {
        return None;
    }
    if plain.has_directives && site.policy.honor_request_directives {
        return None;
    }
    if node.purges.is_fenced_for(site.on_isolation) {
        return None;
    }
    let variants = node.store.peek(&known.keyed.key)?;
    let stored = select(&variants, site, plain)?;
    let now = node.clock.now();
    let answers = stored.head.status == StatusCode::OK
        && node.purges.standing(stored) == Standing::Clear
        && stored.head.judge(None, now.monotonic) == Reuse::Fresh;
    if !answers {
        return None;
    }
    let range = match plain.range.map(|range| resolve_range(range, stored.body.len())) {
        None | Some(RangeSpec::Whole) => None,
        Some(RangeSpec::One(range)) => Some(range),
        Some(RangeSpec::Many(_) | RangeSpec::Unsatisfiable) => return None,
    };
    let is_head = plain.is_head;
    let files = if is_head { None } else { places(&stored.body, range)? };
    // Last, since it costs the client.
    let address = remote.address.ip();
    node.limits.charge(address, now.monotonic).ok()?;
    site.limits.charge(&node.limits, address, now.monotonic).ok()?;
    let place = site.limits.enter(now.monotonic).ok()?;
    let stored = Arc::clone(stored);
    node.push.hot.note(&known.keyed, &stored);
    Some(Found { known, stored, range, is_head, files, now, place })
}

/// The response that the request selects among those of its key.
fn select<'a>(
    variants: &'a Variants,
    site: &Site,
    plain: &Plain<'_, '_>,
) -> Option<&'a Arc<StoredResponse>> {
    let mut all = variants.iter();
    if let (Some(only), None) = (all.next(), all.next())
        && only.head.vary.is_empty()
    {
        return Some(only);
    }
    variants.select(&selecting(variants, site, plain)?, &site.policy)
}
