//! Reads PEM files, each within a bound.

use std::io::{self, Read};
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Bytes of a PEM file.
const PEM_BYTES_MAX: u64 = 4 << 20;

/// The bytes of the file at `path`.
///
/// # Errors
///
/// What the system says, or that there are more than 4 MiB.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe waits for whoever writes to it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed tells a long file from one of exactly that length.
    std::fs::File::open(path)?.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(io::Error::other("more than 4 MiB are too many"));
    }
    Ok(bytes)
}

/// The certificates in the file at `path`, in its order, at least one.
///
/// # Errors
///
/// What is wrong with the file.
pub(super) fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read_bounded(path).map_err(|error| error.to_string())?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(certificates)
}

/// The certificates in the file at `path` as those who vouch for others.
///
/// # Errors
///
/// What is wrong with the file.
pub(crate) fn trust_in(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(path)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}
