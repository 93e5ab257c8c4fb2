//! Whom does this node believe to be an origin, and with which TLS does it ask?
//!
//! One configuration a site, made when the site is: a file that cannot be read or trust that is
//! empty keeps a node from starting and a reload from changing anything. The provider is passed
//! explicitly; nothing relies on a default of the process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use crate::config::OriginConfig;
use crate::tls::{TierIdentity, read_bounded, trust_in};

/// Why TLS to the origins of a site cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system's certificates cannot be used.
    #[error(
        "the system's trusted certificates cannot be read: {why}; install them (ca-certificates), name \
         a file with SSL_CERT_FILE, or set tls_ca in [site.origin]"
    )]
    SystemTrust {
        /// What the system said.
        why: String,
    },
    /// A file of certificates cannot be read.
    #[error("{}: {why}; expected a PEM file with certificates (tls_ca in [site.origin])", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No certificate can be for this name.
    #[error(
        "{name} is no name that a certificate can be for; set tls_name in [site.origin], or tier_name \
         in [tls] for a parent"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// How the origins of one site are asked over TLS.
pub(super) struct Tls {
    http1: TlsConnector,
    http2: TlsConnector,
    name: Option<ServerName<'static>>,
    /// Digest of the file of certificates; `None` where it is the system's that count, or none.
    trusted: Option<blake3::Hash>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// What `origin` says. Reads the file of certificates, and those of the system at the first time.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; a configuration to be mended.
    pub(super) fn new(origin: &OriginConfig) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let mut trusted = None;
        let config = if origin.tls_verify {
            let roots = match &origin.tls_ca {
                Some(path) => {
                    let (roots, digest) = trusted_in(path)?;
                    trusted = Some(digest);
                    Arc::new(roots)
                }
                None => system_trust()?,
            };
            builder.with_root_certificates(roots).with_no_client_auth()
        } else {
            let anyone = Arc::new(Anyone { provider });
            builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()
        };
        let name = origin.tls_name.as_deref().map(server_name).transpose()?;
        Ok(Self {
            http1: offering(&config, &[b"http/1.1"]),
            http2: offering(&config, &[b"h2", b"http/1.1"]),
            name,
            trusted,
        })
    }

    /// TLS to nodes of the next tier, whose certificates are for `name` where there is one.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; a configuration to be mended.
    pub(super) fn to_parents(identity: TierIdentity, name: Option<&str>) -> Result<Self, TlsError> {
        let identity = Arc::new(identity);
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(TlsError::Setup)?
                .dangerous()
                .with_custom_certificate_verifier(Arc::clone(&identity) as _)
                .with_client_cert_resolver(identity);
        // Who is resumed is not asked for a certificate again, and connections to parents last.
        config.resumption = Resumption::disabled();
        let name = name.map(server_name).transpose()?;
        let http1 = offering(&config, &[b"http/1.1"]);
        Ok(Self { http2: http1.clone(), http1, name, trusted: None })
    }

    /// The name that the certificate of the server at `host` must be for.
    ///
    /// # Errors
    ///
    /// [`TlsError::Name`].
    pub(super) fn name_for(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        self.name.clone().map_or_else(|| server_name(host), Ok)
    }

    /// Digest of the file with the certificates that count; `None` where there is no such file.
    pub(super) fn trusted(&self) -> Option<blake3::Hash> {
        self.trusted
    }

    /// What begins a handshake; `http2` offers HTTP/2 beside HTTP/1.1 (RFC 7301).
    pub(super) fn connector(&self, http2: bool) -> &TlsConnector {
        if http2 { &self.http2 } else { &self.http1 }
    }
}

fn offering(config: &ClientConfig, protocols: &[&[u8]]) -> TlsConnector {
    let mut config = config.clone();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = host.trim_matches(['[', ']']).to_owned();
    ServerName::try_from(bare).map_err(|_refused| TlsError::Name { name: host.to_owned() })
}

/// The certificates in the file at `path`, and its digest.
fn trusted_in(path: &Path) -> Result<(RootCertStore, blake3::Hash), TlsError> {
    let wrong = |why: String| TlsError::File { path: path.to_owned(), why };
    let roots = trust_in(path).map_err(wrong)?;
    let pem = read_bounded(path).map_err(|error| wrong(error.to_string()))?;
    Ok((roots, blake3::hash(&pem)))
}

/// The certificates that the system trusts, read once a process; a failure is tried again.
fn system_trust() -> Result<Arc<RootCertStore>, TlsError> {
    static TRUST: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(trust) = TRUST.get() {
        return Ok(Arc::clone(trust));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems carry certificates that no parser takes; the others are what is trusted.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why =
            found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(TlsError::SystemTrust { why });
    }
    Ok(Arc::clone(TRUST.get_or_init(|| Arc::new(roots))))
}

/// Believes every certificate, for development (`tls_verify = false`). Signatures are checked: a
/// server must have the key of the certificate that it shows.
#[derive(Debug)]
struct Anyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_a_problem_that_names_it() {
        let folder = std::env::temp_dir().join(format!("weir-tls-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (name, text) in [("empty", ""), ("text", "hello"), ("cut", cut), ("no", no_certificate)]
        {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            let origin = OriginConfig { tls_ca: Some(path), ..OriginConfig::default() };
            let error = Tls::new(&origin).unwrap_err().to_string();
            assert!(error.contains(&format!("/{name}: ")), "{error}");
        }
        let origin = OriginConfig { tls_ca: Some(folder.join("none")), ..OriginConfig::default() };
        assert!(matches!(Tls::new(&origin), Err(TlsError::File { .. })));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_name_is_the_one_in_the_address_unless_the_site_says_another() {
        let config = |name: Option<&str>| OriginConfig {
            tls_name: name.map(str::to_owned),
            tls_verify: false,
            ..OriginConfig::default()
        };
        let plain = Tls::new(&config(None)).unwrap();
        // (host in the address, name; None where no certificate can be for it)
        let cases = [
            ("a.example", Some("a.example")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("[::1]", Some("::1")),
            ("-", None),
        ];
        for (host, expected) in cases {
            let name = plain.name_for(host).ok().map(|name| name.to_str().into_owned());
            assert_eq!(name.as_deref(), expected, "{host}");
        }
        let named = Tls::new(&config(Some("b.example"))).unwrap();
        assert_eq!(named.name_for("10.0.0.1").unwrap().to_str(), "b.example");
        assert!(matches!(Tls::new(&config(Some("-"))), Err(TlsError::Name { .. })));
    }
}
