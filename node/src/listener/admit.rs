//! Is a connection let in, and what becomes of it? Counts it, serves it, and takes note of how it ended.

use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::{http1, http2};
use crate::node::Node;
use crate::telemetry;

/// Starts serving a connection unless there are too many.
pub(super) fn admit(
    node: &Arc<Node>,
    stream: TcpStream,
    address: SocketAddr,
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
    let connection = serve(Arc::clone(node), stream, address, stopped.clone());
    Some(async move {
        // A bug in one request ends its connection, is counted, and leaves the node alone.
        match AssertUnwindSafe(connection).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%address, "connection ended: {}", telemetry::chain(&error));
            }
            Err(_) => {
                counted.node.metrics.panics.inc();
                tracing::error!(%address, "a request ended in a panic; please report this");
            }
        }
        drop(counted);
    })
}

/// Serves the protocol that is spoken on `stream`.
async fn serve(
    node: Arc<Node>,
    stream: TcpStream,
    address: SocketAddr,
    stopped: watch::Receiver<bool>,
) -> hyper::Result<()> {
    if node.config.h2c {
        match http2::is_spoken(&stream, node.config.limits.head_timeout).await {
            Ok(true) => return http2::serve(node, stream, address, stopped).await,
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(%address, %error, "a connection ended before it was served");
                return Ok(());
            }
        }
    }
    http1::serve(node, stream, address, stopped).await
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
