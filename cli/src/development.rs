//! Which certificate do the edges of `weir up --tls` have? One that vouches for itself, made for this
//! machine and for the names that were given.
//!
//! For development only: nobody believes it who was not told to. With a data folder it is kept, so that who
//! was told once need not be told again.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use weir_node::config::CertificateConfig;
use weir_node::random_text;

/// Hosts that the certificate is always for.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate in files. Those that were made for one run go with it.
#[derive(Debug)]
pub(crate) struct Development {
    files: CertificateConfig,
    temporary: Option<PathBuf>,
}

impl Development {
    /// The certificate in `folder`, made if there is none for all of `names` yet.
    pub(crate) fn kept_in(folder: &Path, names: &[String]) -> anyhow::Result<Self> {
        let made = Self { files: files_in(folder), temporary: None };
        let wanted = wanted(names).join("\n");
        let list = folder.join("names");
        let there = made.files.certificate.exists() && made.files.key.exists();
        if !there || std::fs::read_to_string(&list).ok().as_deref() != Some(&wanted) {
            make(&made.files, folder, names)?;
            write(&list, &wanted, 0o644)?;
        }
        Ok(made)
    }

    /// A certificate for this run, in a folder of its own.
    pub(crate) fn for_this_run(names: &[String]) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("weir-tls-{}", random_text()?));
        let made = Self { files: files_in(&folder), temporary: Some(folder.clone()) };
        make(&made.files, &folder, names)?;
        Ok(made)
    }

    /// Where it is.
    pub(crate) fn files(&self) -> &CertificateConfig {
        &self.files
    }
}

impl Drop for Development {
    fn drop(&mut self) {
        if let Some(folder) = &self.temporary {
            // What cannot be removed is left for the system to clean up.
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

fn files_in(folder: &Path) -> CertificateConfig {
    CertificateConfig { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") }
}

fn wanted(names: &[String]) -> Vec<String> {
    LOCAL.iter().map(|name| (*name).to_owned()).chain(names.iter().cloned()).collect()
}

fn make(files: &CertificateConfig, folder: &Path, names: &[String]) -> anyhow::Result<()> {
    let unusable = || format!("no certificate can be put into {}", folder.display());
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).with_context(unusable)?;
    let mut params = CertificateParams::new(wanted(names))
        .with_context(|| format!("no certificate can be for all of {}", names.join(", ")))?;
    params.distinguished_name.push(DnType::CommonName, "Weir development");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().context("no key can be made")?;
    let certificate = params.self_signed(&key).context("no certificate can be made")?;
    write(&files.key, &key.serialize_pem(), 0o600)?;
    write(&files.certificate, &certificate.pem(), 0o644)
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let unwritable = || format!("{} cannot be written", path.display());
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(path).with_context(unwritable)?;
    // A file that was there keeps its own mode otherwise.
    file.set_permissions(Permissions::from_mode(mode)).with_context(unwritable)?;
    file.write_all(text.as_bytes()).with_context(unwritable)
}
