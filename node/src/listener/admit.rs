//! Is a connection let in, and what becomes of it? Counts it, serves it, and takes note of how it ended.

use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::cut::note_ended;
use super::{http1, http2, tls};
use crate::handle::Remote;
use crate::limits::Held;
use crate::metrics::Reason;
use crate::node::Node;

/// What connections of a listener begin with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Door {
    /// A request.
    Plain,
    /// A handshake.
    Tls,
}

/// Starts serving a connection unless there are too many.
pub(super) fn admit(
    node: &Arc<Node>,
    (stream, address): (TcpStream, SocketAddr),
    door: Door,
    stopped: &watch::Receiver<bool>,
) -> Option<impl Future<Output = ()> + use<>> {
    let Some(held) = node.limits.connect(address.ip()) else {
        note_refused(node, address, "connections-per-client");
        return None;
    };
    if !has_room(node) {
        note_refused(node, address, "connections-max");
        return None;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it was served");
        return None;
    }
    let counted = Connected::new(Arc::clone(node), held);
    let connection = serve(Arc::clone(node), (stream, address), door, stopped.clone());
    Some(async move {
        // A bug in one request ends its connection, is counted, and leaves the node alone.
        match AssertUnwindSafe(connection).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => note_ended(&counted.node, address, &error),
            Err(_) => {
                counted.node.metrics.panics.inc();
                tracing::error!(%address, "a request ended in a panic; please report this");
            }
        }
        drop(counted);
    })
}

/// Serves what a connection of this door begins with.
async fn serve(
    node: Arc<Node>,
    (stream, address): (TcpStream, SocketAddr),
    door: Door,
    stopped: watch::Receiver<bool>,
) -> hyper::Result<()> {
    match door {
        Door::Plain => serve_plain(node, stream, address, stopped).await,
        // It is large, and lies in every future of a connection.
        Door::Tls => Box::pin(tls::serve(node, stream, address, stopped)).await,
    }
}

/// Serves the protocol that is spoken on `stream`.
async fn serve_plain(
    node: Arc<Node>,
    stream: TcpStream,
    address: SocketAddr,
    stopped: watch::Receiver<bool>,
) -> hyper::Result<()> {
    let remote = Remote::plain(address);
    if node.config.h2c {
        match http2::is_spoken(&stream, node.config.limits.head_timeout).await {
            Ok(true) => return Box::pin(http2::serve(node, stream, remote, stopped)).await,
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(%address, %error, "a connection ended before it was served");
                return Ok(());
            }
        }
    }
    http1::serve(node, stream, remote, stopped).await
}

/// Whether there is room for one more connection, if need be in place of one that is idle.
fn has_room(node: &Node) -> bool {
    let connected = usize::try_from(node.metrics.connections.get()).unwrap_or(0);
    // Those that leave are as good as gone: a few more than the limit, for a moment.
    let staying = connected.saturating_sub(node.room.leaving());
    staying < node.config.limits.connections_max || node.room.make() > 0
}

/// Counts a connection that is closed at once.
fn note_refused(node: &Node, address: SocketAddr, reason: &'static str) {
    node.metrics.connections_refused.get_or_create(&Reason { reason }).inc();
    tracing::debug!(%address, reason, "a connection was refused");
}

/// Counts a connection for as long as it lasts.
pub(crate) struct Connected {
    node: Arc<Node>,
    _of_client: Held,
}

impl Connected {
    /// Counts one of the node and, as `of_client` says, of its client.
    pub(crate) fn new(node: Arc<Node>, of_client: Held) -> Self {
        node.metrics.connections.inc();
        Self { node, _of_client: of_client }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.node.metrics.connections.dec();
    }
}
