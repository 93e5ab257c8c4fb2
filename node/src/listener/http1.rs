//! Serves one connection that speaks HTTP/1.1.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::guard::Guarded;
use super::phase::Phase;
use crate::config::LimitsConfig;
use crate::handle::{Caller, Remote, handle};
use crate::node::Node;

/// Serves `stream` until either side ends it; once `stopped` says so, until the request being answered is
/// answered to its end.
///
/// # Errors
///
/// Why the connection ended other than in peace.
pub(super) async fn serve<S>(
    node: Arc<Node>,
    stream: S,
    remote: Remote,
    mut stopped: watch::Receiver<bool>,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let phase = Phase::new();
    let limits = &node.config.limits;
    let io = Guarded::new(stream, Arc::clone(&phase), limits.head_timeout, limits.write_timeout);
    let builder = builder(limits);
    let service = service_fn(move |request| {
        let (node, answering) = (Arc::clone(&node), phase.begin());
        let caller = Caller { remote: remote.clone(), phase: Arc::clone(&phase) };
        async move {
            let response = handle(&node, &caller, request).await;
            caller.phase.end_interims();
            Ok::<_, Infallible>(response.map(|body| body.answering(answering)))
        }
    });
    let connection = builder.serve_connection(TokioIo::new(io), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    connection.await
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
