//! The one HTTP/2 connection to a server that speaks it, which all requests share.
//!
//! Opened by the first request and waited for by the others. Where the server chooses HTTP/1.1 in the
//! TLS handshake (RFC 7301), the connection goes to the pool and the server is taken at its word for a
//! while. A connection that is given up carries its streams to their end.
//!
//! # Invariants
//!
//! 1. At most one connection is being opened, and it ends by the connector's timeouts.
//! 2. What a request looks like on the wire: `:authority` is what Host says over HTTP/1.1, whatever
//!    address is connected to, and no field belongs to a connection (RFC 9113 §8.2.2, §8.3.1).

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Request, Uri, Version};
use hyper::client::conn::http2::SendRequest;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::connect_error::ConnectError;
use super::connector::{Connector, Opened};
use super::http1::Pool;
use super::out::OutBody;
use crate::config::Scheme;

/// How long a server that chose HTTP/1.1 is not offered HTTP/2 again.
const HTTP1_FOR: Duration = Duration::from_secs(300);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// A connection for any number of requests.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    /// Where requests go in.
    pub(super) sender: SendRequest<OutBody>,
    /// The address it leads to.
    pub(super) address: IpAddr,
    /// Set once it has answered.
    pub(super) answered: Arc<AtomicBool>,
}

/// What an attempt to open a connection comes to; `None` where the server speaks HTTP/1.1.
type Outcome = Result<Option<Connection>, Arc<ConnectError>>;

/// The connection of a server.
#[derive(Debug)]
pub(super) struct Slot {
    state: Mutex<State>,
    keepalive: Duration,
}

#[derive(Debug, Default)]
struct State {
    live: Option<Connection>,
    opening: Option<Shared<BoxFuture<'static, Outcome>>>,
    last_used: Option<Instant>,
    /// The server chose HTTP/1.1 and is not asked again before then.
    http1_until: Option<Instant>,
    watched: bool,
}

impl Slot {
    /// No connection yet; one that no request uses is kept for `keepalive`.
    pub(super) fn new(keepalive: Duration) -> Self {
        Self { state: Mutex::default(), keepalive }
    }

    /// The connection, to one of `addresses`; `None` where the server speaks HTTP/1.1. The first
    /// request for which there is none has `connector` open it.
    ///
    /// # Errors
    ///
    /// Those of opening, the same for all that waited.
    pub(super) async fn lease(
        self: &Arc<Self>,
        addresses: &Arc<[IpAddr]>,
        connector: &Arc<Connector>,
        pool: &Arc<Pool>,
    ) -> Outcome {
        let opening = {
            let now = Instant::now();
            let mut state = self.state.lock();
            if state.http1_until.is_some_and(|until| now < until) {
                return Ok(None);
            }
            state.last_used = Some(now);
            if let Some(live) = state.usable(addresses) {
                return Ok(Some(live));
            }
            match &state.opening {
                Some(opening) => opening.clone(),
                None => {
                    let opening = self.open(addresses, connector, pool);
                    state.opening.insert(opening).clone()
                }
            }
        };
        opening.await
    }

    /// Opens in a task of its own: the requests that wait may go.
    fn open(
        self: &Arc<Self>,
        addresses: &Arc<[IpAddr]>,
        connector: &Arc<Connector>,
        pool: &Arc<Pool>,
    ) -> Shared<BoxFuture<'static, Outcome>> {
        let (slot, addresses) = (Arc::downgrade(self), Arc::clone(addresses));
        let (connector, pool) = (Arc::clone(connector), Arc::clone(pool));
        let task = tokio::spawn(async move {
            let outcome = match connector.open(&addresses, true).await {
                Ok(Opened::Http2(connection)) => Ok(Some(connection)),
                Ok(Opened::Http1(connection)) => {
                    pool.put(connection);
                    Ok(None)
                }
                Err(error) => Err(error),
            };
            if let Some(slot) = slot.upgrade() {
                slot.note(&outcome);
            }
            outcome
        });
        async move { task.await.unwrap_or_else(|_lost| Err(Arc::new(ConnectError::Interrupted))) }
            .boxed()
            .shared()
    }

    fn note(self: &Arc<Self>, outcome: &Outcome) {
        let mut state = self.state.lock();
        state.opening = None;
        match outcome {
            Ok(Some(connection)) => {
                state.live = Some(connection.clone());
                if !std::mem::replace(&mut state.watched, true) {
                    tokio::spawn(close_in_time(Arc::downgrade(self), self.keepalive));
                }
            }
            Ok(None) => state.http1_until = Some(Instant::now() + HTTP1_FOR),
            Err(_) => {}
        }
    }

    /// Gives up a connection that is closed or was unused for too long; returns when to look again.
    fn close_old(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        let until = state.last_used.map(|used| used + self.keepalive);
        let closed = state.live.as_ref().is_none_or(|live| live.sender.is_closed());
        if closed || until.is_none_or(|until| until <= Instant::now()) {
            state.live = None;
            state.watched = false;
            return None;
        }
        until
    }
}

impl State {
    /// The connection, unless it is closed or leads where the server is no more.
    fn usable(&mut self, addresses: &[IpAddr]) -> Option<Connection> {
        let live = self.live.as_ref()?;
        if live.sender.is_closed() || !addresses.contains(&live.address) {
            self.live = None;
            return None;
        }
        self.live.clone()
    }
}

/// Gives the connection of `slot` up when its time is over.
async fn close_in_time(slot: Weak<Slot>, keepalive: Duration) {
    let mut next = Some(Instant::now() + keepalive);
    while let Some(until) = next {
        tokio::time::sleep_until(until).await;
        next = slot.upgrade().and_then(|slot| slot.close_old());
    }
}

/// The URI over HTTP/2 of the request that `parts` are over HTTP/1.1; `None` where it has no authority.
pub(super) fn target_of(parts: &Parts, scheme: Scheme) -> Option<Uri> {
    let authority = parts.headers.get(HOST).and_then(|host| host.to_str().ok())?;
    let target = parts.uri.path_and_query().cloned();
    Uri::builder()
        .scheme(scheme.as_str())
        .authority(authority.parse::<Authority>().ok()?)
        .path_and_query(target.unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build()
        .ok()
}

/// The request that `parts` are over HTTP/1.1, as HTTP/2 has it.
pub(super) fn as_http2(parts: &Parts, uri: Uri, body: OutBody) -> Request<OutBody> {
    let mut headers = parts.headers.clone();
    let wants_trailers = headers.get(TE).is_some_and(|te| te == "trailers");
    for name in [&HOST, &CONNECTION, &TE, &TRANSFER_ENCODING, &UPGRADE] {
        headers.remove(name);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, HTTP2_SETTINGS] {
        headers.remove(name);
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    request
}

/// Whether the server says that it has not looked at the request, so that any may be sent again
/// (RFC 9113 §8.7).
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    // A GOAWAY from the peer fails only the streams behind the last one that it names.
    reason(error).is_some_and(|error| {
        error.is_remote()
            && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// Whether this node ended the stream or the connection because of what the server sent.
pub(super) fn is_violation(error: &hyper::Error) -> bool {
    reason(error)
        .is_some_and(|error| error.is_library() && (error.is_reset() || error.is_go_away()))
}

/// Whether this node ended the stream because the body of its request broke off.
pub(super) fn is_given_up(error: &hyper::Error) -> bool {
    reason(error).is_some_and(|error| error.is_reset() && !error.is_remote() && !error.is_library())
}

fn reason(error: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}

impl Connection {
    /// Whether the connection has answered a request.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_loses_what_belongs_to_a_connection_and_nothing_else() {
        let target = "/%2F?x=1&&y='z'";
        let request = Request::builder()
            .uri(Uri::from(PathAndQuery::from_static(target)))
            .header("host", "www.example:8080")
            .header("connection", "TE")
            .header("te", "trailers")
            .header("keep-alive", "timeout=5")
            .header("transfer-encoding", "chunked")
            .header("upgrade", "h2c")
            .header("http2-settings", "AAMA")
            .header("cookie", "a=b")
            .header("x-a", "1");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let uri = target_of(&parts, Scheme::Https).unwrap();
        let sent = as_http2(&parts, uri, OutBody::Empty);
        assert_eq!(sent.uri().to_string(), format!("https://www.example:8080{target}"));
        assert_eq!(sent.version(), Version::HTTP_2);
        let mut names: Vec<_> = sent.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cookie", "te", "x-a"]);
    }

    #[test]
    fn a_request_without_host_has_no_target() {
        let (parts, ()) = Request::builder().uri("/a").body(()).unwrap().into_parts();
        assert_eq!(target_of(&parts, Scheme::Http), None);
    }
}
