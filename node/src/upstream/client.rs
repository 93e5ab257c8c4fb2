//! Sends one request to a group of servers and brings back the first answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OwnedSemaphorePermit;
use weir_cache::purge::AsOf;

use super::connector::{Answered, Connector};
use super::group::{Group, Kind};
use super::member::Member;
use super::out::{OutBody, OutRequest, Sent};
use super::{FillError, Retry};
use crate::clock::Clock;
use crate::config::{NodeConfig, Tier, UpstreamConfig};
use crate::inner::{self, TierSecret};
use crate::metrics::UpstreamMetrics;

/// How much longer a child waits than its parent does.
const PATIENCE: Duration = Duration::from_secs(1);
/// Fields that an answer may have; `limits.fields_max` is for clients.
const FIELDS_MAX: usize = 256;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The fields as sent; a Content-Length beside Transfer-Encoding is gone.
    pub(crate) headers: HeaderMap,
    /// The HTTP version of the answer, for Via.
    pub(crate) version: http::Version,
    /// The body; holds the connection until it is read or dropped.
    pub(crate) body: UpstreamBody,
    /// Who answered, `host:port`.
    pub(crate) upstream: Arc<Member>,
    /// What the answering server is to this node.
    pub(crate) kind: Kind,
    /// The purge log position that the answer reflects; `None` where nothing is known.
    pub(crate) as_of: Option<AsOf>,
}

impl Answer {
    /// Whether the status answers conditions or a range that the request did not have.
    pub(crate) fn is_unsolicited(&self) -> bool {
        matches!(self.status, StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT)
    }

    /// Takes a parent's word that it could not reach what lies behind it for no answer at all
    /// (RFC 9111 §4.2.4), so that a stale response may stand in here.
    fn or_failure_of_parent(self) -> Result<Self, FillError> {
        if self.kind == Kind::Parents && self.headers.contains_key(inner::FAILURE) {
            let upstream = self.upstream.authority().to_owned();
            return Err(FillError::BehindParent { upstream, status: self.status });
        }
        Ok(self)
    }
}

/// The body of an answer, with the right to the connection it comes over.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    body: Incoming,
    _permit: OwnedSemaphorePermit,
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The node's way upstream.
pub(crate) struct Upstreams {
    client: Client<Connector, OutBody>,
    clock: Arc<dyn Clock>,
    config: UpstreamConfig,
    secret: Option<TierSecret>,
    node_name: String,
    /// How much longer a parent may take than an origin: it has an upstream of its own to wait for,
    /// and is to give up first, so that its answer says what failed.
    patience: Duration,
    metrics: UpstreamMetrics,
}

impl Upstreams {
    /// A client with its own pool. `secret` is needed where a group of parents is asked.
    pub(crate) fn new(
        node: &NodeConfig,
        clock: Arc<dyn Clock>,
        secret: Option<TierSecret>,
        metrics: UpstreamMetrics,
    ) -> Self {
        let config = node.upstream.clone();
        let patience = match node.tier {
            Tier::Edge => 2 * PATIENCE,
            Tier::Regional | Tier::Shield => PATIENCE,
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.keepalive)
            .http1_max_headers(FIELDS_MAX)
            .set_host(false)
            .build(Connector::new(config.connect_timeout));
        Self { client, clock, config, secret, node_name: node.name.clone(), patience, metrics }
    }

    /// The timeouts and bounds in force.
    pub(crate) fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// Sends `request` to the servers of `group` in turn until one answers.
    ///
    /// # Errors
    ///
    /// The last failure, when none may be tried any more. If the future is dropped, the connection
    /// in use is closed.
    pub(crate) async fn send(
        &self,
        group: &Group,
        mut request: OutRequest,
    ) -> Result<Answer, FillError> {
        let body = std::mem::take(&mut request.body);
        let replayable = request.method.is_idempotent() && body.is_end_stream();
        let order = group.order(&request.key, self.clock.now().monotonic, &self.config);
        let mut body = Some(body);
        let mut candidates = order.iter();
        let mut member = candidates.next().ok_or(FillError::NoUpstream)?;
        for _ in 1..self.config.tries_max {
            let attempt = body.take().unwrap_or_default();
            let error = match self.try_once(group.kind(), member, &request, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match error.retry(replayable, group.kind()) {
                Retry::Anywhere => {}
                Retry::Elsewhere => match candidates.next() {
                    Some(next) => member = next,
                    None => return Err(error),
                },
                Retry::Never => return Err(error),
            }
            self.metrics.retries.inc();
            tracing::debug!(error = %crate::telemetry::chain(&error), "asking again");
        }
        self.try_once(group.kind(), member, &request, body.take().unwrap_or_default()).await
    }

    /// Asks one server once and notes how it went.
    async fn try_once(
        &self,
        kind: Kind,
        member: &Arc<Member>,
        request: &OutRequest,
        body: OutBody,
    ) -> Result<Answer, FillError> {
        let result = self.exchange(kind, member, request, body).await;
        match &result {
            Ok(_) => {
                self.metrics.requests(kind).inc();
                member.on_success();
            }
            Err(error) if error.blames_upstream() => {
                self.metrics.failures(kind).inc();
                if member.on_failure(self.clock.now().monotonic, &self.config) {
                    self.metrics.ejections.inc();
                    let error = crate::telemetry::chain(error);
                    tracing::warn!(upstream = member.authority(), %error, "passed over for a while");
                }
            }
            Err(_) => {
                self.metrics.failures(kind).inc();
            }
        }
        result
    }

    async fn exchange(
        &self,
        kind: Kind,
        member: &Arc<Member>,
        request: &OutRequest,
        body: OutBody,
    ) -> Result<Answer, FillError> {
        let permit = member.permit(&self.config).await?;
        let sent = body.sent();
        let outgoing = self.compose(kind, member, request, body)?;
        let response = self.head_of((kind, member), outgoing, &sent).await?;
        if let Some(answered) = response.extensions().get::<Answered>() {
            answered.mark();
        }
        let (parts, body) = response.into_parts();
        if parts.status.is_informational() {
            let upstream = member.authority().to_owned();
            return Err(FillError::Unsolicited { upstream, status: parts.status });
        }
        let as_of = match kind {
            // The origin knew nothing older than this node when it was asked.
            Kind::Origins => request.position.own,
            Kind::Parents => inner::position(&parts.headers, &inner::AS_OF),
        };
        let answer = Answer {
            as_of,
            status: parts.status,
            headers: with_true_length(&request.method, parts.status, parts.headers, &body),
            version: parts.version,
            body: UpstreamBody { body, _permit: permit },
            upstream: Arc::clone(member),
            kind,
        };
        answer.or_failure_of_parent()
    }

    /// Waits for the response head: `first_byte_timeout` from the last moment at which the request's
    /// body moved, so that a long upload is no timeout.
    async fn head_of(
        &self,
        (kind, member): (Kind, &Member),
        outgoing: Request<OutBody>,
        sent: &Sent,
    ) -> Result<Response<Incoming>, FillError> {
        let waited = match kind {
            Kind::Origins => self.config.first_byte_timeout,
            Kind::Parents => self.config.first_byte_timeout + self.patience,
        };
        let mut response = self.client.request(outgoing);
        loop {
            let before = sent.frames();
            match tokio::time::timeout(waited, &mut response).await {
                Ok(result) => return result.map_err(|source| classify(member, source)),
                Err(_elapsed) if sent.frames() != before => {}
                Err(_elapsed) if !sent.is_whole() => {
                    return Err(FillError::ClientStalled { waited });
                }
                Err(_elapsed) => {
                    let upstream = member.authority().to_owned();
                    return Err(FillError::HeadTimeout { upstream, waited });
                }
            }
        }
    }

    /// The message for one server: its address, and our proof if it is a parent.
    fn compose(
        &self,
        kind: Kind,
        member: &Member,
        request: &OutRequest,
        body: OutBody,
    ) -> Result<Request<OutBody>, FillError> {
        let uri = Uri::builder()
            .scheme("http")
            .authority(member.authority())
            .path_and_query(request.path_and_query.as_str())
            .build()
            .map_err(|_invalid| FillError::NoUpstream)?;
        let without_body = matches!(body, OutBody::Empty);
        let mut outgoing = Request::new(body);
        *outgoing.method_mut() = request.method.clone();
        *outgoing.uri_mut() = uri;
        *outgoing.headers_mut() = request.headers.clone();
        frame(&request.method, without_body, outgoing.headers_mut());
        if let Some(sink) = request.interim.clone() {
            hyper::ext::on_informational(&mut outgoing, move |interim| {
                sink(interim.status(), interim.headers());
            });
        }
        if let (Kind::Parents, Some(secret)) = (kind, &self.secret) {
            if let Some(min) = request.position.min
                && let Ok(value) = HeaderValue::from_str(&min.to_string())
            {
                outgoing.headers_mut().insert(inner::MIN_SEQ, value);
            }
            let signed = inner::Signed {
                method: request.method.as_str(),
                target: &request.path_and_query,
                node: &self.node_name,
                secs: self.clock.now().wall.as_secs(),
            };
            inner::sign(secret, &signed, outgoing.headers_mut());
        }
        Ok(outgoing)
    }
}

/// Leaves the length of the request's body to hyper, which knows the body (RFC 9112 §6.2).
///
/// A length that came with a body that was dropped would make the next request on the connection look
/// like that body.
fn frame(method: &Method, without_body: bool, headers: &mut HeaderMap) {
    let announced = headers.remove(CONTENT_LENGTH).is_some();
    if announced && without_body && !matches!(*method, Method::GET | Method::HEAD) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// The answer's fields with the one length that its body has.
///
/// RFC 9112 §6.3: where a transfer coding frames the message, the length beside it is a lie; a list of
/// equal lengths is one length.
fn with_true_length(
    method: &Method,
    status: StatusCode,
    mut headers: HeaderMap,
    body: &Incoming,
) -> HeaderMap {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let has_body = *method != Method::HEAD
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_body
        && headers.contains_key(CONTENT_LENGTH)
        && let Some(length) = body.size_hint().exact()
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    headers
}

/// What the client's error means to a caller.
fn classify(member: &Member, source: ClientError) -> FillError {
    let upstream = member.authority().to_owned();
    if source.is_connect() {
        return FillError::Connect { upstream, source };
    }
    let cause = std::error::Error::source(&source).and_then(|e| e.downcast_ref::<hyper::Error>());
    // What hyper calls the user is this node, whose only say in an exchange is the client's body.
    if cause.is_some_and(hyper::Error::is_user) {
        return FillError::ClientBroke { source };
    }
    if cause.is_some_and(hyper::Error::is_parse) {
        return FillError::BadResponse { upstream, source };
    }
    let reused = was_reused(&source);
    FillError::Reset { upstream, reused, source }
}

/// Whether the connection that failed had answered before.
fn was_reused(error: &ClientError) -> bool {
    let mut extras = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    extras.get::<Answered>().is_some_and(Answered::is_marked)
}
