//! Do the limits on clients let a request in, and what is answered where they do not?
//!
//! Rates at a site are charged by [`crate::access`], between the rules that they belong between. Children
//! are let in: the node that a client came to has charged it.

use http::Response;
use hyper::body::{Body, Incoming};
use weir_cache::Now;

use crate::body::ResponseBody;
use crate::inbound::Inbound;
use crate::limits::{Over, Place, Upload, Watch};
use crate::node::Node;
use crate::refuse;
use crate::respond::{self, Asking};
use crate::site::Site;

/// Charges a client's request to what it may ask of all sites together.
pub(crate) fn at_the_door(node: &Node, inbound: &Inbound, now: Now) -> Result<(), Over> {
    if inbound.is_child() {
        return Ok(());
    }
    node.limits.charge(inbound.address, now.monotonic)
}

/// Lets a client's request in by the limits of its site, and its body as far as they go.
pub(crate) fn enter(
    node: &Node,
    site: &Site,
    inbound: &Inbound,
    body: Option<Incoming>,
    now: Now,
) -> Result<(Place, Option<Upload>), Over> {
    if inbound.is_child() {
        return Ok((Place::of_child(), body.map(Upload::unlimited)));
    }
    let limits = &node.config.limits;
    let max = site.limits.body_max(limits.body_max);
    // Nothing of a body that is announced as too large is read, not even to say 100 (RFC 9110 §10.1.1).
    if let (Some(max), Some(body)) = (max, &body)
        && body.size_hint().lower() > max
    {
        return Err(Over::Body);
    }
    let place = site.limits.enter(now.monotonic)?;
    let watch = || Watch::new(limits.body_timeout, limits.body_rate_min);
    Ok((place, body.map(|body| Upload::limited(body, max, watch()))))
}

/// The answer to a request that met a limit of its site.
pub(crate) fn over_a_limit(asking: Asking<'_>, over: Over) -> Response<ResponseBody> {
    let Asking { node, site, inbound, .. } = asking;
    note_limited(node, &site.name, inbound, over);
    respond::over_a_limit(asking, over)
}

/// The answer to a request of a client that asks too often, before its site is known.
pub(crate) fn too_often(node: &Node, inbound: &Inbound, over: Over) -> Response<ResponseBody> {
    note_limited(node, "", inbound, over);
    let mut response = refuse::over_a_limit(over);
    response.headers_mut().insert("x-request-id", inbound.request_id.clone());
    refuse::unaccounted(response)
}

fn note_limited(node: &Node, site: &str, inbound: &Inbound, over: Over) {
    let (reason, host, path) = (over.word(), inbound.target.host(), inbound.target.path());
    node.metrics.note_limited(site, reason);
    let (client, id) = (inbound.address, &inbound.request_id);
    tracing::debug!(site, reason, host, path, %client, request_id = ?id, "over a limit");
}
