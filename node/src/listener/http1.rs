//! Serves one connection that speaks HTTP/1.1.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use super::cut::{HEAD_TOO_LATE, note_cut};
use super::framing::{Framing, Notice};
use super::guard::{Guarded, Protocol};
use super::lane::Lane;
use super::outlet::Outlet;
use super::phase::Phase;
use crate::body::ResponseBody;
use crate::config::LimitsConfig;
use crate::express;
use crate::handle::{Caller, Remote, handle};
use crate::limits::Watch;
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
    S: Outlet + Send + 'static,
{
    let phase = Phase::new();
    let limits = &node.config.limits;
    let watch = Watch::new(limits.write_timeout, limits.write_rate_min);
    let spoken = Http1::new(Arc::clone(&phase));
    let guarded = Guarded::new(stream, spoken, Arc::clone(&phase), limits.head_timeout, watch);
    let io = Lane::new(guarded, Arc::clone(&node), &remote, Arc::clone(&phase));
    let stay = node.room.enter(&phase);
    let builder = builder(limits);
    let service = service_fn(|request: Request<Incoming>| {
        let (node, answering) = (Arc::clone(&node), phase.begin());
        // After a request that is refused for its framing anything may come.
        phase.set_body(answering.is_last() || !request.body().is_end_stream());
        let caller =
            Caller { remote: remote.clone(), phase: Arc::clone(&phase), fault: answering.fault() };
        async move {
            let mut response = match read_here(&node, &caller, request) {
                Ok(response) => response,
                Err(request) => handle(&node, &caller, request).await,
            };
            caller.phase.end_interims();
            if answering.is_last() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| body.answering(answering)))
        }
    });
    let connection = builder.serve_connection(TokioIo::new(io), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
        () = stay.asked_to_leave() => {
            if stay.is_idle() {
                note_cut(&node, "idle");
                return Ok(());
            }
            connection.as_mut().graceful_shutdown();
        }
    }
    connection.await
}

/// The answer by the short way to a request over TLS, which the lane does not read.
#[expect(clippy::result_large_err, reason = "it is what came in, and goes on at once")]
fn read_here(
    node: &Node,
    caller: &Caller,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Request<Incoming>> {
    if caller.remote.secured.is_none() || caller.fault.is_some() {
        return Err(request);
    }
    express::answer(node, &caller.remote, request)
}

/// HTTP/1.1 with our limits. hyper answers 400 to what it cannot parse, 431 to heads above the
/// limits, and closes.
fn builder(limits: &LimitsConfig) -> http1::Builder {
    let head_max = usize::try_from(limits.head_max.as_u64()).unwrap_or(usize::MAX);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The lane ends what is idle: hyper does not see what is answered there.
        .header_read_timeout(None)
        .max_headers(limits.fields_max)
        .max_buf_size(head_max.max(16 * 1024))
        .half_close(false);
    builder
}

/// Watches where the requests of one connection begin and end.
pub(crate) struct Http1 {
    framing: Framing,
    phase: Arc<Phase>,
}

impl Http1 {
    /// A connection on which nothing has come, whose requests are noted in `phase`.
    pub(crate) fn new(phase: Arc<Phase>) -> Self {
        Self { framing: Framing::new(), phase }
    }

    /// Whether all that came was asked and answered, and more may be asked.
    pub(super) fn is_answered(&self) -> bool {
        self.framing.is_between() && self.phase.has_answered(self.framing.begun())
    }
}

impl Protocol for Http1 {
    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.framing.read(bytes) {
            None => {}
            Some(Notice::BadHead(number, fault)) => self.phase.refuse(number, fault),
            Some(Notice::Upgrade(number)) => self.phase.end_after(number),
            // It came with the head, which nobody has looked at.
            Some(Notice::BadBody(number, fault)) if number > self.phase.begun() => {
                self.phase.refuse(number, fault);
            }
            Some(Notice::BadBody(_, fault)) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
            }
        }
        Ok(())
    }

    fn wrote(&mut self, _bytes: &[u8]) {}

    fn is_in_head(&self) -> bool {
        self.framing.is_in_head()
    }

    fn goodbye(&self, is_late: bool) -> Option<&'static [u8]> {
        // Amid an answer it would be part of it; an invalid body is answered by the request path.
        (is_late && !self.phase.is_answering()).then_some(HEAD_TOO_LATE)
    }
}
