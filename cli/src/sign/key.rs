//! Where is the key that signs?

use std::path::PathBuf;

use anyhow::anyhow;
use weir_access::{Key, Secret, SecretRef};
use weir_node::read_secret;

use crate::failure::{Failure, usage};

/// Where the secret is, and its name.
#[derive(Debug, clap::Args)]
pub(super) struct KeyPlace {
    /// Name of the key, as the node has it. Required for weir and cloudfront, which write it into the URL.
    #[arg(long, value_name = "ID")]
    pub(super) key_id: Option<String>,
    /// The variable with the secret.
    #[arg(long, value_name = "NAME", conflicts_with = "key_file")]
    key_env: Option<String>,
    /// The file with the secret; for cloudfront, the private key in PEM (the public one with --explain).
    #[arg(long, value_name = "PATH")]
    key_file: Option<PathBuf>,
}

impl KeyPlace {
    /// The name of the key in formats that need none.
    pub(super) fn id(&self) -> &str {
        self.key_id.as_deref().unwrap_or("key")
    }

    /// The name of the key in formats that write it.
    pub(super) fn required_id(&self) -> Result<&str, Failure> {
        self.key_id.as_deref().ok_or_else(|| usage("this format names its key: say --key-id"))
    }

    /// Where the secret is, as a configuration says it.
    pub(super) fn reference(&self) -> Result<SecretRef, Failure> {
        match (&self.key_env, &self.key_file) {
            (Some(name), _) => Ok(SecretRef::Env(name.clone())),
            (None, Some(path)) => Ok(SecretRef::File(path.display().to_string())),
            (None, None) => {
                Err(usage("say where the secret is: --key-file PATH or --key-env NAME"))
            }
        }
    }

    /// The secret as a text, without the end of its line.
    pub(super) fn read(&self) -> Result<String, Failure> {
        let text = read_secret(&self.reference()?).map_err(|why| anyhow!("{why}"))?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The key, of a secret that is written in hexadecimal or as it is.
    pub(super) fn key(&self, id: &str, hex: bool) -> Result<Key, Failure> {
        let text = self.read()?;
        let secret = if hex { Secret::from_hex(&text) } else { Secret::new(text.as_bytes()) };
        let key = secret.and_then(|secret| Key::new(id, secret));
        key.map_err(|problem| usage(format!("the key cannot be used: {problem}")))
    }
}
