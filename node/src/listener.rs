//! Accepts connections from clients and child nodes, and bounds what each may cost.
//!
//! Own loop on hyper, since every limit is only there: connections at once, time for a head, idle
//! time, time without taking a byte, size and number of fields.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::LimitsConfig;
use crate::guard::{Guarded, Phase};
use crate::handle::{Caller, handle};
use crate::node::Node;

/// How long accepting pauses when the system has no descriptors left, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `listener` until `stop` says so, then lets requests in flight finish.
///
/// Returns when the last connection has ended; at the end of `drain_grace` those left are cut off.
/// Dropping the future cuts all connections off at once.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let stopped = stop.clone();
    let stopping = async move { stop.wait_for(|stop| *stop).await.is_ok() };
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            _ = &mut stopping => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    if let Some(serving) = admit(&node, stream, address, &stopped) {
                        connections.spawn(serving);
                    }
                }
                Err(error) => on_accept_error(&error).await,
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

/// Starts serving a connection unless there are too many.
fn admit(
    node: &Arc<Node>,
    stream: TcpStream,
    address: SocketAddr,
    stopped: &watch::Receiver<bool>,
) -> Option<impl Future<Output = ()> + use<>> {
    let limits = &node.config.limits;
    let connected = node.metrics.connections.get();
    if usize::try_from(connected).unwrap_or(0) >= limits.connections_max {
        node.metrics.connections_refused.inc();
        return None;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it was served");
        return None;
    }
    let phase = Phase::new();
    let io = Guarded::new(stream, Arc::clone(&phase), limits.head_timeout, limits.write_timeout);
    let serving = Arc::clone(node);
    let service = service_fn(move |request| {
        let (node, answering) = (Arc::clone(&serving), phase.begin());
        let caller = Caller { address, phase: Arc::clone(&phase) };
        async move {
            let response = handle(&node, &caller, request).await;
            caller.phase.end_interims();
            Ok::<_, Infallible>(response.map(|body| body.answering(answering)))
        }
    });
    let connection = builder(limits).serve_connection(TokioIo::new(io), service).with_upgrades();
    let mut stopped = stopped.clone();
    let connection = async move {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
        }
        // The request being answered is answered to its end.
        connection.await
    };
    let counted = Connected::new(Arc::clone(node));
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

/// HTTP/1.1 with our limits. hyper answers 400 to what it cannot parse, 431 to heads above the
/// limits, and closes.
fn builder(limits: &LimitsConfig) -> http1::Builder {
    let head_max = usize::try_from(limits.head_max.as_u64()).unwrap_or(usize::MAX);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_headers(limits.fields_max)
        .max_buf_size(head_max.max(16 * 1024))
        .half_close(false);
    builder
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

/// A failed accept is either one connection's trouble or a lack of descriptors.
async fn on_accept_error(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted) {
        return;
    }
    tracing::warn!(%error, "accepting connections pauses");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
