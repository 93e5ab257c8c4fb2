//! Why did a request upstream give no usable response, and what may be done about it?

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use weir_cache::ProxyError;

use super::connect_error::ConnectError;
use super::group::Kind;
use crate::limits::{Over, TooSlow};

/// Why a fill or a forwarded request produced no usable response.
///
/// A variant exists only where some caller acts differently on it. `Display` describes this level
/// alone; the chain is walked by the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FillError {
    /// The site has no origin and the node has no parent. Nothing was sent.
    #[error("no upstream is configured for this site")]
    NoUpstream,
    /// The upstream's connections were all in use for as long as a request may queue. Nothing was
    /// sent.
    #[error("{upstream} had no free connection within {waited:?}")]
    Busy { upstream: String, waited: Duration },
    /// Every server of the group has failed so often that one request a second asks. Nothing was
    /// sent.
    #[error("none of {servers} servers has answered of late, and another request asks this second")]
    Open { servers: usize },
    /// The connection was never usable. Nothing was sent.
    #[error("connect to {upstream} failed")]
    Connect { upstream: String, source: Arc<ConnectError> },
    /// The connection ended after the request was sent and before a response head.
    #[error("{upstream} ended the connection without a response")]
    Reset {
        upstream: String,
        /// Whether the connection had served a request before, so that the end may have been an
        /// idle timeout that crossed the request; or the server says that it has not looked at it.
        reused: bool,
        source: hyper::Error,
    },
    /// No response head came in time.
    #[error("{upstream} sent no response head within {waited:?}")]
    HeadTimeout { upstream: String, waited: Duration },
    /// The time for all tries of the request is over.
    #[error("{upstream} sent no response head before the end of the request's {total:?}")]
    OutOfTime { upstream: String, total: Duration },
    /// The answer was not HTTP that can be used.
    #[error("{upstream} sent an unusable response")]
    BadResponse { upstream: String, source: hyper::Error },
    /// The head arrived and the body ended early. Bytes may already be with the client.
    #[error("{upstream} ended the body after {received} bytes")]
    Truncated { upstream: String, received: u64, source: hyper::Error },
    /// The head arrived and then no byte came for `waited`.
    #[error("{upstream} sent no byte for {waited:?} after {received}")]
    BodyTimeout { upstream: String, received: u64, waited: Duration },
    /// The body broke off, and what could be had to go on with it is of another one.
    #[error("{upstream} has another body now than the one whose first {received} bytes came")]
    Changed { upstream: String, received: u64 },
    /// The body is not the one that the parent has, by the digest that it sent along.
    #[error("{upstream} sent {received} bytes that do not have the digest of the body")]
    Corrupt { upstream: String, received: u64 },
    /// The body that went on with one that had broken off ended before it should.
    #[error("{upstream} ended the rest of a body after {received} bytes in all")]
    Short { upstream: String, received: u64 },
    /// A parent answered that it could not reach what lies behind it.
    #[error("{upstream} could not reach its own upstream")]
    BehindParent { upstream: String, status: StatusCode },
    /// The answer has a status that nothing in the request asked for.
    #[error("{upstream} answered {status} to a request without conditions or range")]
    Unsolicited { upstream: String, status: StatusCode },
    /// The client's own request body ended early or was malformed (RFC 9112 §7.1, §8). Upstream got
    /// a request that is visibly not whole.
    #[error("the client's body broke off")]
    ClientBroke { source: hyper::Error },
    /// The client's own request body did not move.
    #[error("the client sent no byte of its body for {waited:?}")]
    ClientStalled { waited: Duration },
    /// The client's own request body came too slowly for the limits that it is under.
    #[error("the client sent its body too slowly")]
    ClientSlow { why: TooSlow },
    /// The client's own request body is larger than it may be.
    #[error("the client's body is too large")]
    ClientTooLarge,
    /// The request that was waited for got a server error, which is not shared.
    #[error("the upstream server fails with {status}")]
    Failing { status: StatusCode },
    /// Nobody wanted the response any more, so the fill gave up.
    #[error("the fill was given up")]
    Abandoned,
    /// The request wants a tunnel, and the node has none for it. Nothing was sent.
    #[error("no tunnel: {why}")]
    NoTunnel { why: &'static str },
    /// Bytes set aside on disk could not be read back.
    #[error("reading back a spilled body failed")]
    Spill { source: io::Error },
}

/// Whether the same request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// To another server of the group.
    Elsewhere,
    /// To any, the same included.
    Anywhere,
    /// Not at all.
    Never,
}

/// What decides whether a request may be sent again, beside what went wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resendable {
    /// Whether it is idempotent and all of it is here still (RFC 9110 §9.2.2).
    pub(crate) replayable: bool,
    /// Whether all of it is here still, whatever its method.
    pub(crate) complete: bool,
    /// What the servers are.
    pub(crate) kind: Kind,
    /// Whether the group has another server that is well and was not asked yet.
    pub(crate) other_well: bool,
}

impl FillError {
    /// Says whether the request may be sent again.
    ///
    /// Matched without `_` on purpose: a new variant must stop the build until someone decides.
    pub(crate) fn retry(&self, request: Resendable) -> Retry {
        let Resendable { replayable, complete, kind, other_well } = request;
        match self {
            // Nothing of it was sent, so that it is sent for the first time still.
            Self::Connect { .. } | Self::Busy { .. } if complete => Retry::Elsewhere,
            Self::Reset { reused: true, .. } if replayable => Retry::Anywhere,
            Self::Reset { reused: false, .. } if replayable => Retry::Elsewhere,
            // A parent has a shorter patience than its children (see `Upstreams`), so one that says
            // nothing is stuck itself. An origin that says nothing may be at a hard piece of work, which
            // is given to another one only where that is known to be well.
            Self::HeadTimeout { .. } if replayable && (kind == Kind::Parents || other_well) => {
                Retry::Elsewhere
            }
            Self::Connect { .. }
            | Self::Busy { .. }
            | Self::Open { .. }
            | Self::Reset { .. }
            | Self::HeadTimeout { .. }
            | Self::OutOfTime { .. }
            | Self::NoUpstream
            | Self::BadResponse { .. }
            | Self::Truncated { .. }
            | Self::BodyTimeout { .. }
            | Self::Changed { .. }
            | Self::Corrupt { .. }
            | Self::Short { .. }
            | Self::BehindParent { .. }
            | Self::Unsolicited { .. }
            | Self::ClientBroke { .. }
            | Self::ClientStalled { .. }
            | Self::ClientSlow { .. }
            | Self::ClientTooLarge
            | Self::Failing { .. }
            | Self::Abandoned
            | Self::NoTunnel { .. }
            | Self::Spill { .. } => Retry::Never,
        }
    }

    /// Whether this error says that the upstream itself is unwell.
    pub(crate) fn blames_upstream(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::HeadTimeout { .. } => true,
            // A connection that was reused may have been closed for idleness.
            Self::Reset { reused, .. } => !reused,
            Self::NoUpstream
            | Self::Busy { .. }
            | Self::Open { .. }
            | Self::OutOfTime { .. }
            | Self::BadResponse { .. }
            // Bodies are counted by themselves: see `breaks_body`.
            | Self::Truncated { .. }
            | Self::BodyTimeout { .. }
            | Self::Changed { .. }
            | Self::Corrupt { .. }
            | Self::Short { .. }
            | Self::BehindParent { .. }
            | Self::Unsolicited { .. }
            | Self::ClientBroke { .. }
            | Self::ClientStalled { .. }
            | Self::ClientSlow{ .. }
            | Self::ClientTooLarge
            | Self::Failing { .. }
            | Self::Abandoned
            | Self::NoTunnel { .. }
            | Self::Spill { .. } => false,
        }
    }

    /// The limit of a client that was reached, in one word; `None` for every other error.
    pub(crate) fn limit(&self) -> Option<&'static str> {
        match self {
            Self::ClientStalled { .. } | Self::ClientSlow { why: TooSlow::Stalled } => {
                Some("body-timeout")
            }
            Self::ClientSlow { why: TooSlow::Slow } => Some("body-rate"),
            Self::ClientTooLarge => Some(Over::Body.word()),
            _ => None,
        }
    }

    /// Whether this error says that the upstream broke off a body or let it stall.
    pub(crate) fn breaks_body(&self) -> bool {
        matches!(self, Self::Truncated { .. } | Self::BodyTimeout { .. })
    }

    /// Why a request that met this error was sent again, in one word.
    pub(super) fn retry_reason(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Reset { .. } => "reset",
            Self::HeadTimeout { .. } => "timeout",
            _ => "other",
        }
    }

    /// The status this error turns into when no stale response can stand in: 502 where the answer
    /// was unusable, 504 where it was late, 503 where asking again soon may help.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Busy { .. } | Self::Open { .. } | Self::NoTunnel { .. } | Self::Abandoned => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::HeadTimeout { .. } | Self::OutOfTime { .. } | Self::BodyTimeout { .. } => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::ClientBroke { .. } => StatusCode::BAD_REQUEST,
            Self::ClientStalled { .. } | Self::ClientSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::ClientTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BehindParent { status, .. } | Self::Failing { status } => *status,
            Self::NoUpstream
            | Self::Connect { .. }
            | Self::Reset { .. }
            | Self::BadResponse { .. }
            | Self::Truncated { .. }
            | Self::Changed { .. }
            | Self::Corrupt { .. }
            | Self::Short { .. }
            | Self::Unsolicited { .. }
            | Self::Spill { .. } => StatusCode::BAD_GATEWAY,
        }
    }

    /// The error type for `Proxy-Status` (RFC 9209 §2.3).
    pub(crate) fn proxy_error(&self) -> ProxyError {
        match self {
            Self::NoUpstream => ProxyError::ProxyConfigurationError,
            Self::Busy { .. }
            | Self::Open { .. }
            | Self::BehindParent { .. }
            | Self::Failing { .. } => ProxyError::DestinationUnavailable,
            Self::ClientBroke { .. }
            | Self::ClientStalled { .. }
            | Self::ClientSlow { .. }
            | Self::ClientTooLarge => ProxyError::HttpRequestError,
            Self::Connect { source, .. } => source.proxy_error(),
            Self::Reset { .. } => ProxyError::ConnectionTerminated,
            Self::HeadTimeout { .. } | Self::OutOfTime { .. } | Self::BodyTimeout { .. } => {
                ProxyError::HttpResponseTimeout
            }
            Self::BadResponse { .. }
            | Self::Truncated { .. }
            | Self::Changed { .. }
            | Self::Corrupt { .. }
            | Self::Short { .. }
            | Self::Unsolicited { .. } => ProxyError::HttpResponseIncomplete,
            Self::NoTunnel { .. } => ProxyError::HttpUpgradeFailed,
            Self::Abandoned | Self::Spill { .. } => ProxyError::ProxyInternalError,
        }
    }
}
