//! One request to one server: composed, sent, and answered with a head in time.

use std::pin::pin;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use weir_cache::list_members;

use super::FillError;
use super::answer::{Answer, UpstreamBody, with_true_length};
use super::group::Kind;
use super::http2::{is_given_up, is_violation};
use super::link::LinkError;
use super::member::{Member, Slot};
use super::out::{OutBody, OutRequest, Sent};
use super::send::Upstreams;
use crate::inner;
use crate::limits::Fault;

impl Upstreams {
    /// Asks one server once, over the connection that `slot` is the right to.
    pub(super) async fn exchange(
        &self,
        kind: Kind,
        slot: Slot,
        request: &OutRequest,
        body: OutBody,
    ) -> Result<Answer, FillError> {
        let member = &Arc::clone(&slot.member);
        let sent = body.sent();
        let outgoing = self.compose(kind, member, request, body)?;
        let mut response = self.head_of((kind, &slot), outgoing, &sent).await?;
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS
            && was_asked_for(response.headers(), &request.headers);
        let upgrade = switches.then(|| hyper::upgrade::on(&mut response));
        let (parts, body) = response.into_parts();
        if parts.status.is_informational() && upgrade.is_none() {
            let upstream = member.authority().to_owned();
            return Err(FillError::Unsolicited { upstream, status: parts.status });
        }
        let (as_of, digest) = match kind {
            // The origin knew nothing older than this node when it was asked.
            Kind::Origins => (request.position.own, None),
            Kind::Parents => {
                let as_of = inner::position(&parts.headers, &inner::AS_OF);
                (as_of, inner::digest(&parts.headers))
            }
        };
        let answer = Answer {
            as_of,
            digest,
            status: parts.status,
            headers: with_true_length(&request.method, parts.status, parts.headers, &body),
            version: parts.version,
            body: UpstreamBody::new(body, slot),
            upstream: Arc::clone(member),
            upgrade,
            kind,
        };
        answer.or_failure_of_parent()
    }

    /// Waits for the response head: `first_byte_timeout` from the last moment at which the request's
    /// body moved, so that a long upload is no timeout.
    async fn head_of(
        &self,
        (kind, slot): (Kind, &Slot),
        outgoing: Request<OutBody>,
        sent: &Sent,
    ) -> Result<Response<Incoming>, FillError> {
        let waited = match kind {
            Kind::Origins => self.config.first_byte_timeout,
            Kind::Parents => self.config.first_byte_timeout + self.patience,
        };
        let member = &slot.member;
        let mut response = pin!(member.link().request(outgoing, slot.fresh));
        loop {
            let before = sent.frames();
            match tokio::time::timeout(waited, &mut response).await {
                Ok(result) => {
                    return result.map_err(|error| of_client(sent, || classify(member, error)));
                }
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
    pub(super) fn compose(
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
        if let (Kind::Parents, Some(min)) = (kind, request.position.min)
            && let Ok(value) = HeaderValue::from_str(&min.to_string())
        {
            outgoing.headers_mut().insert(inner::MIN_SEQ, value);
        }
        // Without a secret the connection is the proof.
        if let (Kind::Parents, Some(secret)) = (kind, &self.secret) {
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

/// Whether a 101 with `headers` changes to a protocol that the request named (RFC 9110 §7.8).
fn was_asked_for(headers: &HeaderMap, request: &HeaderMap) -> bool {
    let mut chosen = list_members(headers, &UPGRADE).peekable();
    let asked = |protocol: &[u8]| {
        list_members(request, &UPGRADE).any(|asked| asked.eq_ignore_ascii_case(protocol))
    };
    chosen.peek().is_some() && chosen.all(asked)
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

/// What the client did wrong with its body, if that is why the request was given up; otherwise `else_is`.
fn of_client(sent: &Sent, else_is: impl FnOnce() -> FillError) -> FillError {
    match sent.fault() {
        Some(Fault::TooLarge) => FillError::ClientTooLarge,
        Some(Fault::TooSlow(why)) => FillError::ClientSlow { why },
        None => else_is(),
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
