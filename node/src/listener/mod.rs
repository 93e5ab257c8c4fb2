//! Accepts connections from clients and child nodes, and bounds what each may cost.
//!
//! Own loop on hyper, since every limit is only there: connections at once, time for a head, idle
//! time, time without taking a byte, size and number of fields. `admit` lets connections in, `tls` shakes hands,
//! `http1` and `http2` serve one, `guard` holds its deadlines, `framing` says where its requests begin and end, `phase`
//! tells how far it is with its requests, `cut` ends those that are too slow, `room` those that are idle while there are
//! too many.

mod admit;
mod cut;
mod framing;
mod guard;
mod http1;
mod http2;
mod lane;
mod outlet;
mod phase;
mod rest;
mod room;
mod tls;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::node::Node;

pub(crate) use admit::{Connected, Door};
pub(crate) use framing::Fault;
pub(crate) use guard::Guarded;
pub(crate) use http1::Http1;
pub(crate) use phase::{Answering, Phase};
pub(crate) use room::Room;
pub(crate) use tls::PROTOCOLS;

/// How long accepting pauses when the system has no descriptors left, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `listener` until `stop` says so, then lets requests in flight finish.
///
/// Returns when the last connection has ended; at the end of `drain_grace` those left are cut off.
/// Dropping the future cuts all connections off at once.
pub(crate) async fn serve(
    node: Arc<Node>,
    (listener, door): (TcpListener, Door),
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let stopped = stop.clone();
    let stopping = async move { stop.wait_for(|stop| *stop).await.is_ok() };
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            _ = &mut stopping => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    if let Some(serving) = admit::admit(&node, (stream, address), door, &stopped) {
                        connections.spawn(serving);
                    }
                }
                Err(error) => on_accept_error(&node, &error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let grace = node.config.drain_grace;
    let drained = async {
        while connections.join_next().await.is_some() {}
        node.tunnels.ended().await;
    };
    if tokio::time::timeout(grace, drained).await.is_err() {
        tracing::warn!(?grace, "connections are cut off at the end of the grace time");
        node.tunnels.cut();
    }
}

/// A failed accept is either one connection's trouble or a lack of descriptors, which idle connections give
/// back.
async fn on_accept_error(node: &Node, error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted) {
        return;
    }
    let asked_to_leave = node.room.make();
    node.metrics.accept_pauses.inc();
    tracing::warn!(%error, asked_to_leave, "accepting connections pauses");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
