//! How does a node tell its children that it is there, and that it is about to go?
//!
//! A check of a parent is a message over the data port, proven like all that pass between tiers: it says
//! that this path works, for this child. A node that drains says so before it closes, so that its
//! children have moved on by then.

use bytes::Bytes;
use http::{Response, StatusCode};
use weir_cache::CacheKey;

use super::health::Verdict;
use super::out::OutRequest;
use crate::body::Content;
use crate::node::Node;
use crate::purge::message;
use crate::refuse;

/// What a message is that asks no more than this.
const PING: &[u8] = b"ping";

/// The check of a parent.
pub(super) fn request() -> OutRequest {
    message(Bytes::from_static(PING), CacheKey::from_bytes([0; 32]))
}

/// Whether a child's message is a check.
pub(crate) fn is_ping(body: &[u8]) -> bool {
    body == PING
}

/// The answer to a check.
pub(crate) fn answer(node: &Node) -> Response<Content> {
    match node.is_draining() {
        false => refuse::plain(StatusCode::OK, "well\n"),
        true => refuse::plain(StatusCode::SERVICE_UNAVAILABLE, "leaving\n"),
    }
}

/// What an answer with this status says of the parent.
pub(super) fn verdict(status: StatusCode) -> Verdict {
    match status {
        StatusCode::OK => Verdict::Good,
        StatusCode::SERVICE_UNAVAILABLE => Verdict::Leaving,
        _ => Verdict::Bad,
    }
}
