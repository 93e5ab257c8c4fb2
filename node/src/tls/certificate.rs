//! Reads one certificate with its key, and says what is wrong with them.
//!
//! What would make every handshake fail is an error; what an operator should hear of, a warning in the log:
//! a certificate that is over or soon will be, a key that every user of the machine can read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as RustlsError, InconsistentKeys};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::names::CertifiedName;
use super::pem::{certificates_in, read_bounded};
use crate::config::CertificateConfig;

/// Time before the end of a certificate from which on the log warns of it, in seconds.
const SOON_SECS: i64 = 14 * 24 * 60 * 60;

/// What is wrong with a file of TLS. All are for the operator to mend.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A file with certificates cannot be used.
    #[error("{}: {why}; expected a PEM file with certificates ({key})", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The key that names it.
        key: &'static str,
    },
    /// A file with a key cannot be used.
    #[error("{}: {why}; expected a PEM file with one key, PKCS#8, PKCS#1 or SEC1, without a password ({key})", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The key that names it.
        key: &'static str,
    },
    /// A key is another certificate's.
    #[error(
        "{}: the key does not belong to the certificate in {}; expected the two that were made together, the \
         server's own certificate first in its file",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The file with the key.
        key: PathBuf,
        /// The file with the certificate.
        certificate: PathBuf,
    },
    /// A certificate is for no host.
    #[error(
        "{}: the first certificate is for no host; expected subject alternative names, for example \
         DNS:www.example.com",
        path.display()
    )]
    NoName {
        /// The file.
        path: PathBuf,
    },
    /// The library refuses what it was given.
    #[error("TLS cannot be set up: {why}")]
    Setup {
        /// What it says.
        why: String,
    },
}

/// Everything that is wrong with the files of TLS, one a line. Never empty.
#[derive(Debug)]
pub struct TlsProblems(pub(super) Vec<CertificateError>);

impl TlsProblems {
    /// The problems.
    #[must_use]
    pub fn list(&self) -> &[CertificateError] {
        &self.0
    }
}

impl std::fmt::Display for TlsProblems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let between = if i > 0 { "\n" } else { "" };
            write!(f, "{between}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for TlsProblems {}

impl From<CertificateError> for TlsProblems {
    fn from(error: CertificateError) -> Self {
        Self(vec![error])
    }
}

/// A certificate that was read.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The hosts that it is for, at least one.
    pub(crate) names: Vec<CertifiedName>,
    /// When it begins and ends, in seconds since 1970.
    pub(crate) validity: (i64, i64),
    path: PathBuf,
    key: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads what `config` names.
    ///
    /// # Errors
    ///
    /// [`CertificateError`].
    pub(super) fn read(
        config: &CertificateConfig,
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let keys = ("certificate in [[tls.certificate]]", "key in [[tls.certificate]]");
        let key = pair_in((&config.certificate, &config.key), keys, provider)?;
        let path = config.certificate.clone();
        let parsed = key.end_entity_cert().ok().and_then(|der| described(der));
        let Some((names, validity)) = parsed else {
            let why = "the first certificate cannot be read".to_owned();
            return Err(CertificateError::Certificates { path, why, key: keys.0 });
        };
        if names.is_empty() {
            return Err(CertificateError::NoName { path });
        }
        Ok(Self { names, validity, path, key })
    }

    /// What handshakes are signed with.
    pub(super) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// The name that it is called by in metrics and logs.
    pub(crate) fn name(&self) -> String {
        self.names.first().map(ToString::to_string).unwrap_or_default()
    }

    /// Whether it is for `host` (without port).
    pub(crate) fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.covers(host))
    }

    /// Says in the log what concerns its time, at `now` in seconds since 1970.
    pub(super) fn warn_of_its_end(&self, now: i64) {
        let (name, path, (from, until)) = (self.name(), self.path.display(), self.validity);
        if now >= until {
            tracing::warn!(name, %path, "a certificate is over: clients refuse it");
        } else if now < from {
            tracing::warn!(name, %path, "a certificate does not hold yet: clients refuse it");
        } else if until.saturating_sub(now) < SOON_SECS {
            let days = until.saturating_sub(now) / (24 * 60 * 60);
            tracing::warn!(name, %path, days, "a certificate ends soon");
        }
    }
}

/// The hosts and the time of a certificate; `None` where it is none.
fn described(der: &CertificateDer<'_>) -> Option<(Vec<CertifiedName>, (i64, i64))> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let alternatives = parsed.subject_alternative_name().ok()?;
    let names = alternatives.map_or_else(Vec::new, |extension| {
        let names = extension.value.general_names.iter();
        names.filter_map(certified_name).collect()
    });
    let validity = parsed.validity();
    Some((names, (validity.not_before.timestamp(), validity.not_after.timestamp())))
}

fn certified_name(name: &GeneralName<'_>) -> Option<CertifiedName> {
    match name {
        GeneralName::DNSName(text) => CertifiedName::of_dns(text),
        GeneralName::IPAddress(bytes) => CertifiedName::of_address(bytes),
        _ => None,
    }
}

/// The certificate and the key in two files, which belong together. `keys` name the files in problems.
///
/// # Errors
///
/// [`CertificateError`].
pub(super) fn pair_in(
    (certificate, key): (&Path, &Path),
    keys: (&'static str, &'static str),
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let chain = certificates_in(certificate).map_err(|why| CertificateError::Certificates {
        path: certificate.to_owned(),
        why,
        key: keys.0,
    })?;
    let unusable = |why: String| CertificateError::Key { path: key.to_owned(), why, key: keys.1 };
    let pem = read_bounded(key).map_err(|error| unusable(error.to_string()))?;
    warn_of_readers(key);
    let private =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable(error.to_string()))?;
    match CertifiedKey::from_der(chain, private, provider) {
        Ok(pair) => Ok(Arc::new(pair)),
        Err(RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(CertificateError::Mismatch {
                key: key.to_owned(),
                certificate: certificate.to_owned(),
            })
        }
        Err(RustlsError::InvalidCertificate(why)) => Err(CertificateError::Certificates {
            path: certificate.to_owned(),
            why: format!("the first certificate cannot be read: {why}"),
            key: keys.0,
        }),
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// A key that every user of the machine can read is a secret of none.
fn warn_of_readers(key: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(key).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o004 != 0 {
        tracing::warn!(path = %key.display(), "every user of this machine can read this key; chmod o-r it");
    }
}
