//! A request that changes the protocol, such as a WebSocket, passes through as a tunnel (RFC 9110 §7.8).
//!
//! ```text
//! forward ── Upgrade goes up ──► 101 ──► open ── the client has its 101 ──► pipe, both ways
//!                                  │                                         ends: closed, idle, cut, failed
//!                                  └─ any other answer is passed on as ever
//! ```
//!
//! Nothing of it is looked up, shared or stored. A tunnel holds the upstream's connection, which counts
//! among `connections_max` there, and the client's, which counts among those here.
//!
//! # Invariants
//!
//! 1. A tunnel exists only where the client asked for a protocol and the upstream answered 101.
//! 2. Every tunnel ends: when both sides have ended, when no byte has moved for
//!    `limits.tunnel_idle_timeout`, or when the node stops and `drain_grace` is over.

mod count;
mod pipe;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use weir_cache::{Direction, append_via, strip_hop_by_hop};

pub(crate) use count::{Place, Tunnels};

use crate::inner;
use crate::listener::{Answering, Connected};
use crate::lookup::Asked;
use crate::node::Node;
use crate::upstream::{Answer, FillError, UpstreamBody};
use pipe::{End, Moved};

/// How long the client may take to get its 101, and the upstream to hand its connection over.
const SWITCH_WITHIN: Duration = Duration::from_secs(30);

/// What a tunnel keeps for as long as it lasts.
struct Held {
    node: Arc<Node>,
    _place: Place,
    /// The client's connection is taken, though it is HTTP no more.
    _connected: Connected,
    /// No deadline for a request head runs on it.
    _answering: Answering,
    /// The upstream's connection is taken.
    _upstream: UpstreamBody,
}

/// A place for a tunnel, before upstream is asked for one.
///
/// # Errors
///
/// [`FillError::NoTunnel`] where the node has as many as it may, or goes away.
pub(crate) fn place(node: &Node) -> Result<Place, FillError> {
    if node.is_draining() {
        return Err(FillError::NoTunnel { why: "the node is going away" });
    }
    let most = node.config.limits.tunnels_max;
    node.tunnels.enter(most).ok_or(FillError::NoTunnel { why: "there are too many tunnels" })
}

/// Joins both sides once the client has its 101; returns the fields that go with it.
pub(crate) fn open(node: &Arc<Node>, asked: Asked<'_>, answer: Answer, place: Place) -> HeaderMap {
    let Answer { headers, version, body, upgrade: from_upstream, .. } = answer;
    let held = Held {
        node: Arc::clone(node),
        _place: place,
        _connected: Connected::new(Arc::clone(node), node.limits.keep(asked.inbound.address)),
        _answering: asked.phase.begin(),
        _upstream: body,
    };
    let log = Log {
        site: asked.site.name.clone(),
        target: asked.inbound.target.uri(),
        request_id: asked.inbound.request_id.clone(),
        began: Instant::now(),
    };
    let from_client = asked.inbound.upgrade.as_ref().map(|upgrade| upgrade.connection.clone());
    if let Some((client, upstream)) = from_client.zip(from_upstream) {
        tokio::spawn(async move { run(&held, client, upstream, &log).await });
    }
    switching_fields(headers, version, node)
}

/// The fields of the 101: those of the upstream, with the protocol that it chose.
fn switching_fields(mut headers: HeaderMap, version: http::Version, node: &Node) -> HeaderMap {
    let protocol = headers.get(UPGRADE).cloned();
    inner::strip(&mut headers);
    strip_hop_by_hop(&mut headers, Direction::Response);
    append_via(&mut headers, version, &node.hop.via);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
    headers
}

/// What the access log says of a tunnel when it ends.
struct Log {
    site: String,
    target: String,
    request_id: HeaderValue,
    began: Instant,
}

async fn run(held: &Held, client: OnUpgrade, upstream: OnUpgrade, log: &Log) {
    let node = &held.node;
    let switching = async { tokio::try_join!(client, upstream) };
    let (end, moved) = match timeout(SWITCH_WITHIN, switching).await {
        Ok(Ok((client, upstream))) => join(node, client, upstream).await,
        // The client is gone before it had its 101, or the upstream after it had sent its own.
        Ok(Err(_)) | Err(_) => (End::Failed, Moved::default()),
    };
    node.metrics.tunnels.ended(end.as_str(), (moved.up, moved.down));
    if node.config.log.access {
        tracing::info!(
            target: "weir::access",
            site = log.site,
            target_uri = ?log.target,
            request_id = ?log.request_id,
            tunnel = end.as_str(),
            bytes_up = moved.up,
            bytes_down = moved.down,
            total_ms = u64::try_from(log.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        );
    }
}

async fn join(node: &Node, client: Upgraded, upstream: Upgraded) -> (End, Moved) {
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    let idle = node.config.limits.tunnel_idle_timeout;
    pipe::join((&mut client, &mut upstream), idle, node.tunnels.cut_off()).await
}
