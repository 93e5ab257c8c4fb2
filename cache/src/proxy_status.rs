//! How does a node say why it made the answer itself (RFC 9209)?
//!
//! The tokens are a part of the standard's registry: those that some caller uses. Which status goes
//! with an error is decided where the error is met.

use std::fmt;

use http::HeaderValue;

use crate::member::push_item;
use crate::member::push_string;

/// Error that kept a node from a usable answer (RFC 9209 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProxyError {
    /// The name of the next hop could not be resolved.
    DnsError,
    /// The name of the next hop could not be resolved in time.
    DnsTimeout,
    /// It is not known which next hop serves the target.
    DestinationNotFound,
    /// The next hop is known to be unavailable, for example by its health checks.
    DestinationUnavailable,
    /// The next hop refused the connection.
    ConnectionRefused,
    /// The connection was closed before any of the response came.
    ConnectionTerminated,
    /// The connection could not be made in time.
    ConnectionTimeout,
    /// The request could not be understood or forwarded.
    HttpRequestError,
    /// The response ended early.
    HttpResponseIncomplete,
    /// The response did not come in time.
    HttpResponseTimeout,
    /// The switch to another protocol failed.
    HttpUpgradeFailed,
    /// The configuration of the node made an answer impossible.
    ProxyConfigurationError,
    /// An error inside the node.
    ProxyInternalError,
    /// The request came round to a node that had forwarded it.
    ProxyLoopDetected,
    /// The next hop ended the TLS handshake with an alert.
    TlsAlertReceived,
    /// The next hop's certificate could not be verified.
    TlsCertificateError,
    /// The TLS handshake went wrong in another way.
    TlsProtocolError,
}

impl ProxyError {
    /// Returns the token of the `error` parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DnsError => "dns_error",
            Self::DnsTimeout => "dns_timeout",
            Self::DestinationNotFound => "destination_not_found",
            Self::DestinationUnavailable => "destination_unavailable",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionTerminated => "connection_terminated",
            Self::ConnectionTimeout => "connection_timeout",
            Self::HttpRequestError => "http_request_error",
            Self::HttpResponseIncomplete => "http_response_incomplete",
            Self::HttpResponseTimeout => "http_response_timeout",
            Self::HttpUpgradeFailed => "http_upgrade_failed",
            Self::ProxyConfigurationError => "proxy_configuration_error",
            Self::ProxyInternalError => "proxy_internal_error",
            Self::ProxyLoopDetected => "proxy_loop_detected",
            Self::TlsAlertReceived => "tls_alert_received",
            Self::TlsCertificateError => "tls_certificate_error",
            Self::TlsProtocolError => "tls_protocol_error",
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes the value of `Proxy-Status` for an answer that the node `name` made because of `error`.
///
/// `detail` is shown to clients: it must hold nothing that they may not know. `None` writes none.
pub fn proxy_status_value(name: &str, error: ProxyError, detail: Option<&str>) -> HeaderValue {
    let mut line = String::new();
    push_item(&mut line, name);
    line.push_str("; error=");
    line.push_str(error.as_str());
    if let Some(detail) = detail {
        line.push_str("; details=");
        push_string(&mut line, detail);
    }
    HeaderValue::try_from(line).expect("items of structured fields are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_a_structured_field_whatever_the_texts() {
        const CASES: &[(&str, Option<&str>, &str)] = &[
            ("edge-0", None, "edge-0; error=connection_refused"),
            ("edge-0", Some("a, b"), "edge-0; error=connection_refused; details=\"a, b\""),
            (
                "edge 0",
                Some("é\r\n\""),
                "\"edge 0\"; error=connection_refused; details=\"???\\\"\"",
            ),
        ];
        for &(name, detail, expected) in CASES {
            let value = proxy_status_value(name, ProxyError::ConnectionRefused, detail);
            assert_eq!(value, expected);
            let parsed = sfv::Parser::new(value.as_bytes()).parse::<sfv::List>();
            assert_eq!(parsed.map(|list| list.len()).ok(), Some(1), "{expected}");
        }
    }
}
