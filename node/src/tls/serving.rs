//! With which certificate is a handshake answered?
//!
//! Each certificate has a configuration of its own, so that the one in use is known. They share what
//! resumes sessions: tickets, whose keys are replaced every six hours, and a bounded cache for clients of
//! TLS 1.2 without tickets. Tickets are kept from one reading of the files to the next only while those who
//! vouch for clients stay the same.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{
    NoClientAuth, NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache,
    StoresServerSessions,
};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::certificate::{Certificate, CertificateError, TlsProblems};
use super::client_auth::{ClientAuth, NotVouchedFor, Shown};
use super::names::NameTable;
use super::pem::read_bounded;
use super::tier::TierTrust;
use crate::config::{MinVersion, TlsConfig, UnknownName};
use crate::listener::PROTOCOLS;

/// Sessions kept for clients that take no tickets.
const SESSIONS_MAX: usize = 4_096;

/// A certificate and how handshakes are answered with it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The certificate.
    pub(crate) certificate: Arc<Certificate>,
    /// What rustls is told.
    pub(crate) config: Arc<ServerConfig>,
}

/// What a client that names a host gets.
#[derive(Debug)]
pub(crate) enum Choice {
    /// This certificate.
    Serve(Arc<Entry>),
    /// To be told that the name is not known.
    Refuse,
}

/// What serves handshakes.
#[derive(Debug)]
pub(crate) struct Serving {
    /// Time for a whole handshake.
    pub(crate) handshake_timeout: Duration,
    unknown_name: UnknownName,
    table: NameTable<Arc<Entry>>,
    first: Arc<Entry>,
    /// In the order of the configuration.
    certificates: Vec<Arc<Certificate>>,
    auth: Option<Arc<ClientAuth>>,
    resumption: Resumption,
}

/// What resumes sessions.
#[derive(Debug, Clone)]
struct Resumption {
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
    /// Digest of who vouches for clients.
    trust: blake3::Hash,
}

impl Serving {
    /// Reads the certificates that `config` names. `before` is what serves so far.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the files.
    pub(super) fn read(
        config: &TlsConfig,
        tiers: Option<Arc<TierTrust>>,
        before: Option<&Self>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsProblems> {
        let mut problems = Vec::new();
        let mut certificates = Vec::new();
        for certificate in &config.certificates {
            match Certificate::read(certificate, provider) {
                Ok(certificate) => certificates.push(Arc::new(certificate)),
                Err(problem) => problems.push(problem),
            }
        }
        let mode = (config.client_certificates, config.client_ca.as_deref());
        let auth = ClientAuth::read(mode, tiers, provider).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        if !problems.is_empty() {
            return Err(TlsProblems(problems));
        }
        let resumption = Resumption::new(config, before)?;
        let entries = certificates
            .iter()
            .map(|certificate| entry(certificate, config, auth.as_ref(), (provider, &resumption)))
            .collect::<Result<Vec<_>, _>>()?;
        let first = entries
            .first()
            .cloned()
            .ok_or_else(|| setup(&rustls::Error::NoCertificatesPresented))?;
        let named = entries.iter().flat_map(|entry| {
            entry.certificate.names.iter().map(move |name| (name, Arc::clone(entry)))
        });
        Ok(Self {
            handshake_timeout: config.handshake_timeout,
            unknown_name: config.unknown_name,
            table: NameTable::new(named),
            first,
            certificates,
            auth,
            resumption,
        })
    }

    /// What a client gets that names `host`, or no host.
    pub(crate) fn choose(&self, host: Option<&str>) -> Choice {
        let found = match host {
            None => Some(&self.first),
            Some(host) => self
                .table
                .find(host)
                .or_else(|| (self.unknown_name == UnknownName::First).then_some(&self.first)),
        };
        found.map_or(Choice::Refuse, |entry| Choice::Serve(Arc::clone(entry)))
    }

    /// What the certificates prove that a peer has shown, at this moment.
    ///
    /// # Errors
    ///
    /// [`NotVouchedFor`].
    pub(crate) fn judge(
        &self,
        chain: Option<&[CertificateDer<'_>]>,
    ) -> Result<Shown, NotVouchedFor> {
        match &self.auth {
            Some(auth) => auth.judge(chain.unwrap_or_default(), UnixTime::now()),
            None => Ok(Shown::default()),
        }
    }

    /// The certificates, in the order of the configuration.
    pub(crate) fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }
}

impl Resumption {
    fn new(config: &TlsConfig, before: Option<&Serving>) -> Result<Self, CertificateError> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?}", config.client_certificates).as_bytes());
        for path in [&config.client_ca, &config.tier_ca].into_iter().flatten() {
            let read: Result<Vec<u8>, _> = read_bounded(Path::new(path));
            hasher.update(blake3::hash(&read.unwrap_or_default()).as_bytes());
        }
        let trust = hasher.finalize();
        if let Some(before) = before.filter(|before| before.resumption.trust == trust) {
            return Ok(before.resumption.clone());
        }
        let tickets = aws_lc_rs::Ticketer::new().map_err(|error| setup(&error))?;
        Ok(Self { tickets, sessions: ServerSessionMemoryCache::new(SESSIONS_MAX), trust })
    }
}

fn entry(
    certificate: &Arc<Certificate>,
    config: &TlsConfig,
    auth: Option<&Arc<ClientAuth>>,
    (provider, resumption): (&Arc<CryptoProvider>, &Resumption),
) -> Result<Arc<Entry>, CertificateError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions(config.min_version))
        .map_err(|error| setup(&error))?;
    let builder = match auth {
        Some(auth) => {
            let auth: Arc<ClientAuth> = Arc::clone(auth);
            builder.with_client_cert_verifier(auth)
        }
        None => builder.with_client_cert_verifier(Arc::new(NoClientAuth)),
    };
    let own = SingleCertAndKey::from(certificate.key().as_ref().clone());
    let mut server = builder.with_cert_resolver(Arc::new(own));
    server.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
    server.ticketer = Arc::clone(&resumption.tickets);
    server.session_storage = match auth {
        // It would hold the certificates that clients show, of any size; tickets hold them at the client.
        Some(_) => Arc::new(NoServerSessionStorage {}),
        None => Arc::clone(&resumption.sessions),
    };
    Ok(Arc::new(Entry { certificate: Arc::clone(certificate), config: Arc::new(server) }))
}

fn versions(least: MinVersion) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    match least {
        MinVersion::Tls12 => &BOTH,
        MinVersion::Tls13 => BOTH.get(..1).unwrap_or(&BOTH),
    }
}

fn setup(error: &rustls::Error) -> CertificateError {
    CertificateError::Setup { why: error.to_string() }
}
