//! Is a connection let in, and what becomes of it? Counts it, serves it, and takes note of how it ended.

use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::{http1, tls};
use crate::handle::Remote;
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
    let connected = node.metrics.connections.get();
    if usize::try_from(connected).unwrap_or(0) >= node.config.limits.connections_max {
        node.metrics.connections_refused.inc();
        return None;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it was served");
        return None;
    }
    let counted = Connected::new(Arc::clone(node));
    let connection = serve(Arc::clone(node), (stream, address), door, stopped.clone());
    Some(async move {
        // A bug in one request ends its connection, is counted, and leaves the node alone.
        match AssertUnwindSafe(connection).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%address, %error, "connection ended"),
            Err(_) => {
                counted.node.metrics.panics.inc();
                tracing::error!(%address, "a request ended in a panic; please report this");
            }
        }
        drop(counted);
    })
}

async fn serve(
    node: Arc<Node>,
    (stream, address): (TcpStream, SocketAddr),
    door: Door,
    stopped: watch::Receiver<bool>,
) -> hyper::Result<()> {
    match door {
        Door::Plain => http1::serve(node, stream, Remote::plain(address), stopped).await,
        // It is large, and lies in every future of a connection.
        Door::Tls => Box::pin(tls::serve(node, stream, address, stopped)).await,
    }
}

/// Counts a connection for as long as it lasts.
pub(crate) struct Connected {
    node: Arc<Node>,
}

impl Connected {
    /// Counts one.
    pub(crate) fn new(node: Arc<Node>) -> Self {
        node.metrics.connections.inc();
        Self { node }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.node.metrics.connections.dec();
    }
}
