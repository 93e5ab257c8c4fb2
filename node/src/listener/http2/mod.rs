//! Serves one connection that speaks HTTP/2 (RFC 9113): over TLS where client and node agree on it, or by prior
//! knowledge where the node is told to (`node.h2c`).
//!
//! What is ready together leaves together: `cork`. What a stream may cost is bounded by h2 (streams, header lists,
//! resets before they are looked at), what frames without use may cost by `frames`, a reader that takes nothing by `pace`.

mod cork;
mod frames;
mod pace;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::CONNECTION;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::cut::note_cut;
use super::guard::{Guarded, Protocol};
use super::phase::Phase;
use crate::config::LimitsConfig;
use crate::express;
use crate::handle::{Caller, Remote, handle};
use crate::limits::Watch;
use crate::metrics::Reason;
use crate::node::Node;
use cork::{Cork, Corked};
use frames::{CALM_DOWN, Frames, PREFACE};
use pace::{Pace, Paced, Streams, in_own_task};

/// Requests that the client reset before the node looked at them; more end the connection.
const RESETS_PENDING_MAX: usize = 20;
/// Streams that the node reset because of what came on them; more end the connection.
const OWN_RESETS_MAX: usize = 64;
/// Bytes of a request's body that the client may send before they are taken.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same of all requests of a connection: enough that some which upstream does not take hold up no others.
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Bytes of an answer that wait in memory for the client's window.
const SEND_BUFFER_MAX: usize = 64 << 10;

/// Whether `stream` begins as HTTP/2 does. Waits for as many bytes as it takes to tell, for `patience` at most.
pub(super) async fn is_spoken(stream: &TcpStream, patience: Duration) -> io::Result<bool> {
    let mut begun = [0; 24];
    let look = async {
        loop {
            let length = stream.peek(&mut begun).await?;
            let seen = begun.get(..length).unwrap_or_default();
            if length == 0 || !PREFACE.starts_with(seen) || length == PREFACE.len() {
                return Ok(seen == PREFACE);
            }
            // What has come is the beginning of the preface; a short pause, since peeking does not wait for more.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(patience, look).await.unwrap_or(Ok(false))
}

/// Serves `stream` until either side ends it; once `stopped` says so, until the requests being answered are
/// answered to their end.
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
    let spoken = Http2 { frames: Frames::new(Instant::now()), node: Arc::clone(&node) };
    let watch = Watch::new(limits.write_timeout, limits.write_rate_min);
    let io = Guarded::new(stream, spoken, Arc::clone(&phase), limits.head_timeout, watch);
    let stay = node.room.enter(&phase);
    let (idle_timeout, write_timeout) = (limits.idle_timeout, limits.write_timeout);
    let builder = builder(&node);
    let service = service_fn(|request| {
        let (node, answering) = (Arc::clone(&node), phase.begin());
        let (remote, phase) = (remote.clone(), Arc::clone(&phase));
        async move {
            let response = match express::answer(&node, &remote, request) {
                Ok(response) => response,
                Err(request) => {
                    in_own_task().await;
                    let caller = Caller { remote, phase, fault: None };
                    // It is large, and would lie in the task of each stream.
                    let mut response = Box::pin(handle(&node, &caller, request)).await;
                    // Of no meaning here (RFC 9113 §8.2.2): a refused request ends its stream.
                    response.headers_mut().remove(CONNECTION);
                    response
                }
            };
            let pace = Pace::present();
            Ok::<_, Infallible>(response.map(|body| Paced::new(body.answering(answering), pace)))
        }
    });
    let cork = Cork::new(io);
    let connection = builder.serve_connection(TokioIo::new(cork.clone()), service);
    let mut connection = Corked { connection: std::pin::pin!(connection), cork };
    let is_stopping = tokio::select! {
        biased;
        ended = &mut connection => return ended,
        _ = stopped.wait_for(|stopped| *stopped) => true,
        () = idle(&phase, idle_timeout) => false,
        () = stay.asked_to_leave() => {
            note_cut(&node, "idle");
            false
        }
    };
    connection.connection.as_mut().graceful_shutdown();
    if is_stopping {
        return connection.await;
    }
    // A request may have crossed the goodbye and is answered. Whatever a stream that was left open still holds is not
    // waited for.
    loop {
        match tokio::time::timeout(write_timeout, &mut connection).await {
            Ok(ended) => return ended,
            Err(_) if phase.is_answering() => {}
            Err(_) => return Ok(()),
        }
    }
}

/// Returns when there has been no request for `patience`, or up to half as long again.
async fn idle(phase: &Phase, patience: Duration) {
    let mut quiet = 0;
    let mut begun = phase.begun();
    while quiet < 2 {
        tokio::time::sleep(patience / 2).await;
        let is_quiet = !phase.is_answering() && phase.begun() == begun;
        (quiet, begun) = (if is_quiet { quiet + 1 } else { 0 }, phase.begun());
    }
}

/// HTTP/2 with our limits.
fn builder(node: &Arc<Node>) -> http2::Builder<Streams> {
    let LimitsConfig { head_max, streams_max, .. } = &node.config.limits;
    let mut builder = http2::Builder::new(Streams { node: Arc::clone(node) });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(*streams_max)
        .max_header_list_size(u32::try_from(head_max.as_u64()).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(OWN_RESETS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER_MAX);
    builder
}

/// Watches the frames of one connection.
struct Http2 {
    frames: Frames,
    node: Arc<Node>,
}

impl Protocol for Http2 {
    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.frames.read(bytes, Instant::now()).map_err(|flood| {
            self.node.metrics.refused.get_or_create(&Reason { reason: "http2-flood" }).inc();
            io::Error::new(io::ErrorKind::ConnectionAborted, flood)
        })
    }

    fn wrote(&mut self, bytes: &[u8]) {
        self.frames.wrote(bytes);
    }

    fn is_in_head(&self) -> bool {
        self.frames.is_in_head()
    }

    fn goodbye(&self, _is_late: bool) -> Option<&'static [u8]> {
        self.frames.can_say_goodbye().then_some(CALM_DOWN)
    }
}
