//! What a handshake has said about a connection, for the requests on it.

use std::sync::Arc;

use super::certificate::Certificate;
use super::client_auth::Shown;
use super::names::normal;

/// A connection over TLS.
#[derive(Debug)]
pub(crate) struct Secured {
    /// The host that the client named (RFC 6066 §3); `None` where it named none.
    pub(crate) name: Option<String>,
    /// The certificate that it was shown.
    pub(crate) certificate: Arc<Certificate>,
    /// What its own certificate proves.
    pub(crate) shown: Shown,
}

impl Secured {
    /// Whether a request for `host` (without port) may come over this connection: it is the host that the
    /// client named, or one that the certificate is for (RFC 9110 §7.4, RFC 9113 §9.1.2). Who named none
    /// asks for what it likes, as without TLS.
    pub(crate) fn is_for(&self, host: &str) -> bool {
        let Some(name) = &self.name else { return true };
        normal(name) == normal(host) || self.certificate.covers(host)
    }
}
