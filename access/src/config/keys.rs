//! How the live keys of a format are read. Secrets are asked for by where they are; none is repeated in a message.

use crate::config::parts::Report;
use crate::config::{KeyConfig, NoSecretRef, ReadSecret, SecretRef};
use crate::secret::{Key, KeyProblem, KeyRing, Secret};
use crate::signed::cloudfront::{PublicKey, PublicKeys};

/// Bytes of the shortest secret where a format says nothing else.
const LONG_MIN: usize = 16;

/// What a format wants of its secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretRule {
    /// Letters and digits only, which keeps what is digested unambiguous.
    Alphanumeric,
    /// Whatever they are.
    Any,
    /// Written in hexadecimal.
    Hex,
    /// Long enough not to be guessed.
    Long,
}

/// Asks for the secret that `text` names.
pub(super) fn load(
    report: &mut Report,
    key: &str,
    text: Option<&str>,
    read: &ReadSecret<'_>,
) -> Option<String> {
    let reference = text.map_or(Err(NoSecretRef), str::parse::<SecretRef>);
    let reference = report.take(key, reference)?;
    let loaded = report.take(key, read(&reference))?;
    Some(loaded.trim_end_matches(['\r', '\n']).to_owned())
}

pub(super) fn key_ring(
    report: &mut Report,
    key: &str,
    (rule, configs): (SecretRule, &[KeyConfig]),
    read: &ReadSecret<'_>,
) -> Option<KeyRing> {
    let mut keys = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        let at = format!("{key}[{index}].secret");
        if config.public_key.is_some() {
            report.push(&format!("{key}[{index}].public_key"), "is for cloudfront only");
        }
        let Some(text) = load(report, &at, config.secret.as_deref(), read) else { continue };
        if rule == SecretRule::Long && text.len() < LONG_MIN {
            report.push(&at, "has fewer than 16 characters; make one with `openssl rand -hex 32`");
        }
        let secret = match rule {
            SecretRule::Hex => Secret::from_hex(&text),
            SecretRule::Alphanumeric | SecretRule::Any | SecretRule::Long => {
                Secret::new(text.as_bytes())
            }
        };
        let made = report.take(&at, secret).map(|secret| Key::new(&config.id, secret));
        keys.extend(made.and_then(|made| report.take(&format!("{key}[{index}].id"), made)));
    }
    let ring = KeyRing::new(keys).and_then(|ring| {
        if rule == SecretRule::Alphanumeric {
            ring.only_alphanumeric()?;
        }
        Ok(ring)
    });
    take_keys(report, key, configs, ring)
}

pub(super) fn public_keys(
    report: &mut Report,
    key: &str,
    configs: &[KeyConfig],
    read: &ReadSecret<'_>,
) -> Option<PublicKeys> {
    let mut keys = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        let at = format!("{key}[{index}].public_key");
        if config.secret.is_some() {
            report.push(&format!("{key}[{index}].secret"), "is not for cloudfront; remove it");
        }
        let Some(pem) = load(report, &at, config.public_key.as_deref(), read) else { continue };
        keys.extend(report.take(&at, PublicKey::from_pem(&config.id, &pem)));
    }
    take_keys(report, key, configs, PublicKeys::new(keys))
}

/// Keeps the keys; that there is none is a problem of its own only if none was given.
fn take_keys<T>(
    report: &mut Report,
    key: &str,
    configs: &[KeyConfig],
    made: Result<T, KeyProblem>,
) -> Option<T> {
    match made {
        Err(KeyProblem::NoKey) if !configs.is_empty() => None,
        made => report.take(key, made),
    }
}
