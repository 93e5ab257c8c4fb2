//! Which certificates of clients and of nodes are taken, and what do they prove?
//!
//! | `client_certificates` | vouched for by `client_ca` | by `tier_ca` | by nobody | none shown |
//! |---|---|---|---|---|
//! | `none` | - | a child | a client | a client |
//! | `optional` | a known client | a child | the handshake fails | a client |
//! | `required` | a known client | a child | the handshake fails | the handshake fails |

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::CertificateError;
use super::pem::trust_in;
use super::tier::TierTrust;
use crate::config::ClientCertificates;

/// Characters of a subject that an origin is told.
const SUBJECT_MAX: usize = 1_024;

/// What the certificate of a peer proves. The default is that of one who has shown none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The subject of a client whom `client_ca` vouches for.
    pub(crate) client: Option<String>,
    /// The name of a node whom `tier_ca` vouches for.
    pub(crate) child: Option<String>,
}

/// A certificate is missing, or nobody vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotVouchedFor;

/// Who vouches for peers.
#[derive(Debug)]
pub(crate) struct ClientAuth {
    mode: ClientCertificates,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    tiers: Option<Arc<TierTrust>>,
    hints: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientAuth {
    /// Reads the file `client_ca`; `None` where no peer is asked for a certificate.
    ///
    /// # Errors
    ///
    /// [`CertificateError`].
    pub(super) fn read(
        (mode, client_ca): (ClientCertificates, Option<&Path>),
        tiers: Option<Arc<TierTrust>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<Self>>, CertificateError> {
        let client_ca = client_ca.filter(|_| mode != ClientCertificates::None);
        let clients = client_ca.map(|path| verifier(path, provider)).transpose()?;
        if clients.is_none() && tiers.is_none() {
            return Ok(None);
        }
        let of_clients = clients.iter().flat_map(|verifier| verifier.root_hint_subjects());
        let of_tiers = tiers.iter().flat_map(|trust| trust.hints());
        let hints = of_clients.chain(of_tiers).cloned().collect();
        let provider = Arc::clone(provider);
        Ok(Some(Arc::new(Self { mode, clients, tiers, hints, provider })))
    }

    /// What `chain` proves at `now`; an empty one is that of a peer that has shown none.
    ///
    /// # Errors
    ///
    /// [`NotVouchedFor`]; nothing is to be served to that peer.
    pub(crate) fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Shown, NotVouchedFor> {
        let Some((own, above)) = chain.split_first() else {
            let required = self.mode == ClientCertificates::Required;
            return if required { Err(NotVouchedFor) } else { Ok(Shown::default()) };
        };
        let child = self.tiers.as_ref().and_then(|tiers| tiers.child(chain, now));
        let known = self
            .clients
            .as_ref()
            .is_some_and(|clients| clients.verify_client_cert(own, above, now).is_ok());
        let client = known.then(|| subject(own)).flatten();
        let asked = self.mode != ClientCertificates::None;
        if asked && child.is_none() && client.is_none() {
            return Err(NotVouchedFor);
        }
        Ok(Shown { client, child })
    }
}

fn verifier(
    path: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let roots = trust_in(path).map_err(|why| CertificateError::Certificates {
        path: path.to_owned(),
        why,
        key: "client_ca in [tls]",
    })?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| CertificateError::Setup { why: error.to_string() })
}

/// The subject as an origin is told it, on one line; a digest of the certificate where it has none, or one that
/// could be read as another's. Two clients never have one text.
fn subject(der: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let name = parsed.subject();
    let is_plain = |c: char| (c == ' ' || c.is_ascii_graphic()) && !r#",+"\<>;="#.contains(c);
    let plain = name
        .iter_attributes()
        .all(|attribute| attribute.as_str().is_ok_and(|value| value.chars().all(is_plain)));
    let text = name.to_string();
    if plain && !text.is_empty() && text.len() <= SUBJECT_MAX {
        return Some(text);
    }
    Some(format!("blake3:{}", blake3::hash(der).to_hex()))
}

impl ClientCertVerifier for ClientAuth {
    fn client_auth_mandatory(&self) -> bool {
        self.mode == ClientCertificates::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        if self.judge(&chain, now).is_ok() {
            return Ok(ClientCertVerified::assertion());
        }
        // Its own words tell the client what is wrong.
        match &self.clients {
            Some(clients) => clients.verify_client_cert(end_entity, intermediates, now),
            None => Err(rustls::CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
