//! May a stale stored response stand in for an answer that failed, or that is late?
//!
//! Its own windows and those of the site are judged in `weir-cache`; this adds what the node knows of
//! purges (RFC 9111 §4.2.4, RFC 5861 §4).

use weir_cache::Failure;
use weir_cache::purge::Standing;
use weir_store::StoredResponse;

use crate::lookup::Trust;
use crate::node::Node;
use crate::site::Site;

/// Whether `stored` may stand in on `site` for what `failure` has kept away.
pub(crate) fn may_stand_in(
    node: &Node,
    site: &Site,
    trust: Trust,
    (stored, failure): (&StoredResponse, Failure),
) -> bool {
    let now = node.clock.now().monotonic;
    stored.head.may_stand_in(failure, &site.policy, now)
        && outlives_purges(node, site, trust, stored)
}

/// Whether it may as far as purges go: one that was invalidated, or may have been on a node that is cut
/// off from the purge log, stands in only where the site says so.
fn outlives_purges(node: &Node, site: &Site, trust: Trust, stored: &StoredResponse) -> bool {
    site.stale_after_purge
        || (trust == Trust::Full
            && !node.purges.is_fenced_for(site.on_isolation)
            && node.purges.standing(stored) == Standing::Clear)
}
