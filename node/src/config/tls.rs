//! What a node is told about the TLS that it speaks to clients and to other nodes.
//!
//! Paths only: files are read where they are used, when a node starts and whenever they are read again.
//! How the keys are written stands in `tls_keys`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;

/// TLS to clients, and between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Address for requests over TLS; port 0 lets the system choose. `None`: no TLS to clients.
    pub listen: Option<SocketAddr>,
    /// Certificates in the order of the file. The first is shown to clients that name no host.
    pub certificates: Vec<CertificateConfig>,
    /// The oldest version spoken.
    pub min_version: MinVersion,
    /// What becomes of a client that names a host that no certificate is for.
    pub unknown_name: UnknownName,
    /// Time for a whole handshake.
    pub handshake_timeout: Duration,
    /// How often files are looked at for changes; zero for never.
    pub reread_interval: Duration,
    /// PEM file with those who vouch for certificates of clients.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show certificates.
    pub client_certificates: ClientCertificates,
    /// PEM file with those who vouch for certificates of nodes.
    pub tier_ca: Option<PathBuf>,
    /// PEM file with this node's certificate for its parents.
    pub tier_certificate: Option<PathBuf>,
    /// PEM file with the key of that.
    pub tier_key: Option<PathBuf>,
    /// Name that the certificates of parents are for; `None` for the one in the address.
    pub tier_name: Option<String>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            listen: None,
            certificates: Vec::new(),
            min_version: MinVersion::default(),
            unknown_name: UnknownName::default(),
            handshake_timeout: Duration::from_secs(10),
            reread_interval: Duration::from_secs(60),
            client_ca: None,
            client_certificates: ClientCertificates::default(),
            tier_ca: None,
            tier_certificate: None,
            tier_key: None,
            tier_name: None,
        }
    }
}

/// One certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateConfig {
    /// PEM file with the certificate and those between it and the root.
    pub certificate: PathBuf,
    /// PEM file with its key.
    pub key: PathBuf,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MinVersion {
    /// TLS 1.2, with the suites that have forward secrecy and authenticated encryption.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What becomes of a client that names a host that no certificate is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UnknownName {
    /// It is shown the first certificate.
    First,
    /// It is told that the name is not known (alert `unrecognized_name`, RFC 6066 §3).
    #[default]
    Refuse,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientCertificates {
    /// They are not asked for any.
    #[default]
    None,
    /// They may; one that nobody vouches for ends the handshake.
    Optional,
    /// They must.
    Required,
}

/// What TLS means to one site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteTls {
    /// Whether clients that come without TLS are sent to https.
    pub redirect: bool,
    /// The port that they are sent to; `None` for the one that the node listens on.
    pub redirect_port: Option<u16>,
    /// How long clients are to use TLS only (RFC 6797); `None` leaves that to the origin.
    pub hsts: Option<Duration>,
    /// Whether that is for all hosts below too.
    pub hsts_subdomains: bool,
    /// Whether the host may be put on the lists that browsers bring along.
    pub hsts_preload: bool,
    /// Whether clients without a certificate are turned away.
    pub require_client_certificate: bool,
    /// The field in which the origin is told whose certificate the client has shown.
    pub client_certificate_field: Option<HeaderName>,
}
