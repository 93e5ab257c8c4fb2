//! Who may use which route of the admin API?
//!
//! Each request passes here before its route sees it: the address is not locked out, the token is
//! known, its scopes are enough, and what it changes is in the audit log.
//!
//! ```text
//! address -> token -> scope -> audit -> route
//!   429       401      403      503
//! ```
//!
//! # Invariant
//!
//! A route that is not named here needs `admin`, so that none is open because it was forgotten.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::admin::Admin;
use crate::admin_attempts::Attempt;
use crate::admin_audit::Entry;
use crate::admin_purges;
use crate::admin_tokens::{Holder, Scope};
use crate::metrics::Reason;
use crate::problem::Problem;
use crate::telemetry::chain;

/// Time for the body of a request.
const BODY_WITHIN: Duration = Duration::from_secs(120);

/// The address at the other end of a connection, on each of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) SocketAddr);

/// The scopes any one of which is enough for `method` at `path`, which leads to a route.
fn scopes_for(method: &Method, path: &str) -> &'static [Scope] {
    let reads = method == Method::GET || method == Method::HEAD;
    let kind = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next());
    match (reads, kind) {
        (true, Some("purges")) => &[Scope::Read, Scope::Purge],
        (true, Some("preloads")) => &[Scope::Read, Scope::Push],
        (true, _) => &[Scope::Read],
        (false, Some("purges")) => &[Scope::Purge],
        (false, Some("preloads" | "objects")) => &[Scope::Push],
        (false, _) => &[Scope::Admin],
    }
}

/// Lets a request on to its route.
pub(crate) async fn guard(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let scopes = scopes_for(request.method(), request.uri().path());
    pass(&admin, scopes, request, |request| next.run(request)).await
}

/// Takes `PURGE`, which names a URL of a site, whatever route the path would be here.
pub(crate) async fn take_purge(
    State(admin): State<Admin>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().as_str() != "PURGE" {
        return next.run(request).await;
    }
    let purge = |request| async {
        admin_purges::purge_method(State(admin.clone()), request).await.into_response()
    };
    pass(&admin, &[Scope::Purge], request, purge).await
}

/// Answers `request` with `answer` if whoever asks has one of `scopes`.
///
/// Dropping the future gives up the answer; what has been asked for by then may be done all the same.
async fn pass<A: Future<Output = Response>>(
    admin: &Admin,
    scopes: &'static [Scope],
    request: Request,
    answer: impl FnOnce(Request) -> A,
) -> Response {
    let node = &admin.node;
    let client = client_of(&request);
    let now = node.clock.now().monotonic;
    let check = || node.tokens.load().holder(request.headers());
    let (entry, holder) = match admin.attempts.judge(client, now, check) {
        Attempt::Right(holder) => (Entry::of(node, client, &request).by(&holder.name), holder),
        Attempt::Wrong { locks_out } => {
            let entry = Entry::of(node, client, &request);
            return wrong_token(admin, &entry, locks_out).await;
        }
        Attempt::LockedOut { left } => {
            count(admin, "locked-out");
            return locked_out(left);
        }
    };
    if !holder.may(scopes) {
        count(admin, "scope");
        admin.audit.refused(node, &entry, (StatusCode::FORBIDDEN, "scope")).await;
        return too_little(&holder, scopes);
    }
    let mut request = request.map(|body| in_time(body, BODY_WITHIN));
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return answer(request).await;
    }
    let open = match admin.audit.begin(node, entry).await {
        Ok(open) => open,
        Err(error) => {
            let detail = format!("{}; nothing was done", chain(&error));
            let title = "The audit log cannot be written";
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, title, detail).into_response();
        }
    };
    request.extensions_mut().insert(open.about());
    let response = answer(request).await;
    open.answered(response.status()).await;
    response
}

/// The address that `request` comes from. Whatever came by no connection counts as of this machine.
fn client_of(request: &Request) -> IpAddr {
    let client = request.extensions().get::<Client>();
    client.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |client| client.0.ip().to_canonical())
}

fn count(admin: &Admin, reason: &'static str) {
    admin.node.metrics.admin_refused.get_or_create(&Reason { reason }).inc();
}

async fn wrong_token(admin: &Admin, entry: &Entry, locks_out: bool) -> Response {
    count(admin, "token");
    let why = if locks_out { "token; locked out from here on" } else { "token" };
    admin.audit.refused(&admin.node, entry, (StatusCode::UNAUTHORIZED, why)).await;
    let detail = "send one `Authorization: Bearer TOKEN` with the text of WEIR_ADMIN_TOKEN, or of an [[admin.token]] of the node's file";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "A token is needed", detail);
    with(problem, header::WWW_AUTHENTICATE, "Bearer")
}

fn too_little(holder: &Holder, scopes: &[Scope]) -> Response {
    let words = |scopes: &[Scope], between: &str| {
        scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(between)
    };
    let (needed, held) = (words(scopes, " or "), words(&holder.scopes, ", "));
    let detail = format!("this needs the scope {needed}; the token {} has {held}", holder.name);
    let problem = Problem::new(StatusCode::FORBIDDEN, "The token may not do this", detail);
    // RFC 6750 §3.1.
    let challenge =
        format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", words(scopes, " "));
    with(problem, header::WWW_AUTHENTICATE, &challenge)
}

fn locked_out(left: Duration) -> Response {
    // A part of a second is one, or whoever waits would come too early.
    let secs = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let detail = format!(
        "too many wrong tokens came from this address; no token is looked at for another {secs}s, right ones included"
    );
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "Locked out", detail);
    with(problem, header::RETRY_AFTER, &secs.to_string())
}

fn with(problem: Problem, name: HeaderName, value: &str) -> Response {
    let mut response = problem.into_response();
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// A body that fails once it has been coming in for too long.
struct InTime {
    body: Body,
    deadline: Pin<Box<Sleep>>,
}

fn in_time(body: Body, within: Duration) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::new(InTime { body, deadline: Box::pin(sleep_until(Instant::now() + within)) })
}

impl hyper::body::Body for InTime {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            let late = format!("the body did not arrive within {BODY_WITHIN:?}");
            return Poll::Ready(Some(Err(axum::Error::new(late))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn what_is_not_named_needs_admin_or_reads() {
        use Scope::{Admin, Purge, Push, Read};
        // (method, route, scopes)
        let cases: &[(&str, &str, &[Scope])] = &[
            ("GET", "/v1/nodes", &[Read]),
            ("HEAD", "/v1/stats", &[Read]),
            ("GET", "/v1/purges/12ab", &[Read, Purge]),
            ("HEAD", "/v1/preloads", &[Read, Push]),
            ("POST", "/v1/purges", &[Purge]),
            ("DELETE", "/v1/preloads/12ab", &[Push]),
            ("PUT", "/v1/objects", &[Push]),
            ("GET", "/v1/objects", &[Read]),
            ("POST", "/v1/drain", &[Admin]),
            ("POST", "/v1/config/reload", &[Admin]),
            ("POST", "/v1/what-is-to-come", &[Admin]),
            ("OPTIONS", "/v1/nodes", &[Admin]),
            ("POST", "/v1/purgesx", &[Admin]),
            ("POST", "/v2/purges", &[Admin]),
            ("POST", "/v1/%70urges", &[Admin]),
        ];
        for (method, path, expected) in cases {
            assert_eq!(scopes_for(&method.parse().unwrap(), path), *expected, "{method} {path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_fails_and_one_that_does_is_whole() {
        let (_sender, receiver) = tokio::io::duplex(8);
        let stream = futures_util::stream::unfold(receiver, |receiver| async {
            std::future::pending::<()>().await;
            Some((Ok::<_, std::io::Error>(Bytes::new()), receiver))
        });
        let slow = in_time(Body::from_stream(stream), BODY_WITHIN);
        assert!(slow.collect().await.is_err());
        let whole = in_time(Body::from("hello"), BODY_WITHIN).collect().await.unwrap();
        assert_eq!(whole.to_bytes(), "hello");
    }
}
