//! Which stored response answers a plain request at once? The same questions as [`crate::handle`] asks, in the same order, where
//! "no" to any of them leads back there.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use weir_cache::purge::Standing;
use weir_cache::{ByteRange, Now, RangeSpec, Reuse, resolve_range};
use weir_store::{StoredResponse, Variants};

use super::fields::selecting;
use super::memo::{Known, known};
use super::plain::Plain;
use crate::limits;
use crate::node::Node;
use crate::site::Site;

/// What a plain request is answered with.
pub(crate) struct Found {
    pub(crate) known: Arc<Known>,
    pub(crate) stored: Arc<StoredResponse>,
    /// The part of the body that is wanted; `None` for all of it.
    pub(crate) range: Option<ByteRange>,
    pub(crate) now: Now,
    /// The request's place among those in flight at its site.
    _place: limits::Place,
}

impl Found {
    /// The bytes of the body that are wanted.
    pub(crate) fn body(&self) -> &[u8] {
        let Some(whole) = self.stored.body.in_memory() else { return &[] };
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
}

/// The fresh response in memory that answers `plain`, asked from `address`.
///
/// Where there is one, the request is charged to its client and counted as a use of the response.
pub(crate) fn find(node: &Node, address: IpAddr, plain: &Plain<'_, '_>) -> Option<Found> {
    let limits = &node.config.limits;
    let is_long = plain.target.len() as u64 > limits.url_max.as_u64();
    if is_long || plain.fields.len() > limits.fields_max || node.config.log.access {
        return None;
    }
    let known = known(&node.sites.load(), plain.host, plain.target)?;
    let site = &known.site;
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
        && stored.body.in_memory().is_some()
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
    // Last, since it costs the client.
    node.limits.charge(address, now.monotonic).ok()?;
    site.limits.charge(&node.limits, address, now.monotonic).ok()?;
    let place = site.limits.enter(now.monotonic).ok()?;
    let stored = Arc::clone(stored);
    node.push.hot.note(&known.keyed, &stored);
    Some(Found { known, stored, range, now, _place: place })
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
