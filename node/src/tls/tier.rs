//! Who vouches for the nodes of this CDN, and what does this node show its parents?
//!
//! A certificate that `tier_ca` vouches for, and that says it is for clients (extended key usage
//! `clientAuth`), proves a child as the tier secret does. The other way round a child believes a parent
//! whose certificate `tier_ca` vouches for, under the name that it asks for.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, SignatureScheme};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::certificate::CertificateError;
use super::pem::{certificates_in, trust_in};
use super::state::Current;
use crate::inner::hex8;

/// Bytes of a node's name.
const NAME_BYTES_MAX: usize = 64;

/// Who vouches for nodes.
#[derive(Debug)]
pub(super) struct TierTrust {
    children: Arc<dyn ClientCertVerifier>,
    parents: Arc<WebPkiServerVerifier>,
    /// A name for the CDN that all who have the same file agree on.
    pub(super) cdn_id: String,
}

impl TierTrust {
    /// Reads the file `tier_ca`.
    ///
    /// # Errors
    ///
    /// [`CertificateError`].
    pub(super) fn read(
        path: &Path,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, CertificateError> {
        let wrong = |why: String| CertificateError::Certificates {
            path: path.to_owned(),
            why,
            key: "tier_ca in [tls]",
        };
        let roots = Arc::new(trust_in(path).map_err(wrong)?);
        let first = certificates_in(path).map_err(wrong)?;
        // Of a file to which the next authority was added, the first one still names the CDN.
        let first = first.first().map_or(&[][..], |der| der.as_ref());
        let id = blake3::derive_key("weir 2026 cdn id of a tier authority", first);
        let setup =
            |error: &dyn std::error::Error| CertificateError::Setup { why: error.to_string() };
        let children =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider))
                .build()
                .map_err(|error| setup(&error))?;
        let parents = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
            .build()
            .map_err(|error| setup(&error))?;
        Ok(Self { children, parents, cdn_id: format!("weir-{}", hex8(&id)) })
    }

    /// Who may be told that these are asked for.
    pub(super) fn hints(&self) -> &[rustls::DistinguishedName] {
        self.children.root_hint_subjects()
    }

    /// The name of the node that has shown `chain`; `None` where it is no node of this CDN.
    pub(super) fn child(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Option<String> {
        let (own, above) = chain.split_first()?;
        self.children.verify_client_cert(own, above, now).ok()?;
        let (_, parsed) = X509Certificate::from_der(own).ok()?;
        // The verifier lets certificates pass that say nothing about their use.
        let usage = parsed.extended_key_usage().ok().flatten()?;
        if !usage.value.client_auth {
            return None;
        }
        let name = node_name(&parsed);
        if name.is_none() {
            tracing::warn!(
                "a certificate of a node has neither a common name nor a DNS name that a node can have"
            );
        }
        name
    }
}

/// The common name, or else the first DNS name.
fn node_name(parsed: &X509Certificate<'_>) -> Option<String> {
    let common = parsed.subject().iter_common_name().find_map(|name| name.as_str().ok());
    let alternatives = parsed.subject_alternative_name().ok().flatten();
    let dns = alternatives.as_ref().and_then(|extension| {
        extension.value.general_names.iter().find_map(|name| match name {
            GeneralName::DNSName(text) => Some(*text),
            _ => None,
        })
    });
    [common, dns].into_iter().flatten().find(|name| is_node_name(name)).map(str::to_owned)
}

/// Whether `text` can be a node's name: it goes into logs and fields.
fn is_node_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// What a child goes by and believes, as it is in force at each handshake.
#[derive(Debug)]
pub(crate) struct TierIdentity {
    current: Arc<ArcSwap<Current>>,
    schemes: Vec<SignatureScheme>,
}

impl TierIdentity {
    pub(super) fn new(current: &Arc<ArcSwap<Current>>, provider: &CryptoProvider) -> Self {
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        Self { current: Arc::clone(current), schemes }
    }

    fn parents(&self) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let current = self.current.load();
        let trust = current.tiers.as_ref();
        trust
            .map(|trust| Arc::clone(&trust.parents))
            .ok_or_else(|| rustls::Error::General("nobody vouches for parents".to_owned()))
    }
}

impl ResolvesClientCert for TierIdentity {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.current.load().tier_pair.clone()
    }

    fn has_certs(&self) -> bool {
        self.current.load().tier_pair.is_some()
    }
}

impl ServerCertVerifier for TierIdentity {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parents = self.parents()?;
        parents.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.parents()?.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.parents()?.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
