//! One request to one server: composed, sent, and answered with a head in time.

use std::pin::pin;
use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;

use super::FillError;
use super::answer::{Answer, UpstreamBody, with_true_length};
use super::group::Kind;
use super::http2::{is_given_up, is_violation};
use super::link::LinkError;
use super::member::Member;
use super::out::{OutBody, OutRequest, Sent};
use super::send::Upstreams;
use crate::inner;

impl Upstreams {
    /// Asks one server once.
    pub(super) async fn exchange(
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
            body: UpstreamBody::new(body, permit),
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
        let mut response = pin!(member.link().request(outgoing));
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
        let uri = member.link().uri(&request.path_and_query).ok_or(FillError::NoUpstream)?;
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

/// What the failure of a link means to a caller.
fn classify(member: &Member, error: LinkError) -> FillError {
    let upstream = member.authority().to_owned();
    let (reused, source) = match error {
        LinkError::Connect(source) => return FillError::Connect { upstream, source },
        LinkError::Exchange { reused, source } => (reused, source),
    };
    // What hyper calls the user is this node, whose only say in an exchange is the client's body.
    if source.is_user() || is_given_up(&source) {
        return FillError::ClientBroke { source };
    }
    if source.is_parse() || is_violation(&source) {
        return FillError::BadResponse { upstream, source };
    }
    FillError::Reset { upstream, reused, source }
}
