//! Why could no connection be opened, and what is that called in `Proxy-Status`?

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use weir_cache::ProxyError;

/// Why no connection could be opened. Nothing of the request was sent.
///
/// Shared by all that wait for one connection, hence behind an `Arc` wherever it goes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name has no address that could be found, nor one from before.
    #[error("the name {name} was not resolved")]
    Lookup { name: String, source: Arc<dyn StdError + Send + Sync> },
    /// The name was not resolved in time.
    #[error("the name {name} was not resolved within {waited:?}")]
    LookupTimeout { name: String, waited: Duration },
    /// No address took the connection; the error is that of the last one.
    #[error("no address took the connection")]
    Refused { source: io::Error },
    /// No address took the connection in time.
    #[error("no address took the connection within {waited:?}")]
    Timeout { waited: Duration },
    /// The TLS handshake failed: with the same server it would fail again.
    #[error("the TLS handshake failed")]
    Tls { source: io::Error },
    /// The TLS handshake did not end.
    #[error("the TLS handshake did not end within {waited:?}")]
    TlsTimeout { waited: Duration },
    /// The connection ended as soon as it was there.
    #[error("the connection could not be used")]
    Unusable { source: hyper::Error },
    /// The task that opened the connection ended before it was done.
    #[error("opening the connection was interrupted")]
    Interrupted,
}

impl ConnectError {
    /// The step that failed, for counting.
    pub(super) fn step(&self) -> &'static str {
        match self {
            Self::Lookup { .. } | Self::LookupTimeout { .. } => "lookup",
            Self::Refused { .. } | Self::Timeout { .. } => "tcp",
            Self::Tls { .. } | Self::TlsTimeout { .. } => "tls",
            Self::Unusable { .. } | Self::Interrupted => "http",
        }
    }

    /// Whether the addresses that are known may be those of a server that has moved.
    pub(super) fn doubts_addresses(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Timeout { .. })
    }

    /// The error type for `Proxy-Status` (RFC 9209 §2.3).
    pub(super) fn proxy_error(&self) -> ProxyError {
        match self {
            Self::Lookup { .. } => ProxyError::DnsError,
            Self::LookupTimeout { .. } => ProxyError::DnsTimeout,
            Self::Refused { source } => match source.kind() {
                io::ErrorKind::ConnectionRefused => ProxyError::ConnectionRefused,
                io::ErrorKind::TimedOut => ProxyError::ConnectionTimeout,
                _ => ProxyError::DestinationUnavailable,
            },
            Self::Timeout { .. } | Self::TlsTimeout { .. } => ProxyError::ConnectionTimeout,
            Self::Tls { source } => tls_error(source),
            Self::Unusable { .. } => ProxyError::ConnectionTerminated,
            Self::Interrupted => ProxyError::ProxyInternalError,
        }
    }
}

/// What went wrong in a handshake, as far as rustls told.
fn tls_error(error: &io::Error) -> ProxyError {
    let said = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match said {
        Some(rustls::Error::AlertReceived(_)) => ProxyError::TlsAlertReceived,
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            ProxyError::TlsCertificateError
        }
        _ => ProxyError::TlsProtocolError,
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, CertificateError};

    use super::*;

    #[test]
    fn every_failure_has_its_step_and_its_type() {
        let tls = |error: rustls::Error| ConnectError::Tls { source: io::Error::other(error) };
        let refused = |kind: io::ErrorKind| ConnectError::Refused { source: kind.into() };
        let waited = Duration::from_secs(1);
        // (error, step, type)
        let cases = [
            (refused(io::ErrorKind::ConnectionRefused), "tcp", ProxyError::ConnectionRefused),
            (refused(io::ErrorKind::NetworkUnreachable), "tcp", ProxyError::DestinationUnavailable),
            (ConnectError::Timeout { waited }, "tcp", ProxyError::ConnectionTimeout),
            (
                tls(rustls::Error::InvalidCertificate(CertificateError::Expired)),
                "tls",
                ProxyError::TlsCertificateError,
            ),
            (
                tls(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)),
                "tls",
                ProxyError::TlsAlertReceived,
            ),
            (
                ConnectError::Tls { source: io::ErrorKind::UnexpectedEof.into() },
                "tls",
                ProxyError::TlsProtocolError,
            ),
            (ConnectError::TlsTimeout { waited }, "tls", ProxyError::ConnectionTimeout),
            (
                ConnectError::LookupTimeout { name: "a".to_owned(), waited },
                "lookup",
                ProxyError::DnsTimeout,
            ),
        ];
        for (error, step, expected) in cases {
            assert_eq!((error.step(), error.proxy_error()), (step, expected), "{error:?}");
        }
    }
}
