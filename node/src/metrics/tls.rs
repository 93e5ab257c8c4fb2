//! What is counted of TLS to clients.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::tls::Serving;

/// What became of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// Either side broke it off, or what came was not TLS.
    Failed,
    /// It was done.
    Ok,
    /// The client named a host that no certificate is for, or showed no certificate that counts.
    Refused,
    /// It took too long.
    TimedOut,
}

impl Handshake {
    const ALL: [Self; 4] = [Self::Failed, Self::Ok, Self::Refused, Self::TimedOut];

    fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::TimedOut => "timed-out",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
    version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateName {
    name: String,
}

/// The counters of TLS to clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsMetrics {
    handshakes: Family<Ended, Counter>,
    /// Handshakes that resumed a session.
    pub(crate) resumed: Counter,
    expiry: Family<CertificateName, Gauge>,
}

impl TlsMetrics {
    /// Counts a handshake of `version`: `1.2`, `1.3` or, where it came to none, `none`.
    pub(crate) fn ended(&self, outcome: Handshake, version: &'static str) {
        let labels = Ended { outcome: outcome.as_str(), version };
        self.handshakes.get_or_create(&labels).inc();
    }

    /// Shows when the certificates of `serving` end, and no others.
    pub(crate) fn show(&self, serving: Option<&Serving>) {
        self.expiry.clear();
        let Some(serving) = serving else { return };
        for outcome in Handshake::ALL {
            let version = if outcome == Handshake::Ok { "1.3" } else { "none" };
            let labels = Ended { outcome: outcome.as_str(), version };
            drop(self.handshakes.get_or_create(&labels));
        }
        for certificate in serving.certificates() {
            let (_, until) = certificate.validity;
            self.expiry.get_or_create(&CertificateName { name: certificate.name() }).set(until);
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("tls_handshakes", "Handshakes of clients", self.handshakes.clone());
        registry.register(
            "tls_resumed",
            "Handshakes of clients that resumed a session",
            self.resumed.clone(),
        );
        registry.register_with_unit(
            "tls_certificate_expiry",
            "When the certificate ends, in seconds since 1970",
            Unit::Seconds,
            self.expiry.clone(),
        );
    }
}
