//! Where do the secrets come from? From the environment, or from a file that settings name; never from
//! an argument or the settings themselves, and never into a log.

use std::fs::File;
use std::io::Read;

use weir_access::SecretRef;

use crate::admin_tokens::AdminToken;
use crate::inner::TierSecret;

/// The variable with the tier secret.
pub const TIER_SECRET: &str = "WEIR_TIER_SECRET";
/// The variable with the admin token.
pub const ADMIN_TOKEN: &str = "WEIR_ADMIN_TOKEN";

/// Why the secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The tier secret is too short to be one.
    #[error(
        "{TIER_SECRET} must have at least {} characters; make one with `openssl rand -hex 32`",
        TierSecret::BYTES_MIN
    )]
    TierSecretTooShort,
    /// A variable holds something that is no text.
    #[error("{0} is not UTF-8; make a secret with `openssl rand -hex 32`")]
    NotText(&'static str),
    /// The system gave no randomness to make up a token from.
    #[error("no randomness for a token; set {ADMIN_TOKEN} yourself")]
    NoRandomness,
}

/// The tier secret of the environment; `None` if it is unset or empty.
///
/// # Errors
///
/// [`SecretsError::TierSecretTooShort`].
pub fn tier_secret_from_env() -> Result<Option<TierSecret>, SecretsError> {
    match std::env::var(TIER_SECRET) {
        Ok(text) if !text.is_empty() => {
            TierSecret::new(&text).map(Some).ok_or(SecretsError::TierSecretTooShort)
        }
        Err(std::env::VarError::NotUnicode(_)) => Err(SecretsError::NotText(TIER_SECRET)),
        _ => Ok(None),
    }
}

/// Bytes that a file with a secret may have; a public key of RSA with 16,384 bits has fewer.
const SECRET_BYTES_MAX: u64 = 16 * 1024;

/// Reads a secret that settings name.
///
/// # Errors
///
/// Why there is none, in words that complete a sentence about the key and hold nothing of a secret.
pub fn read_secret(wanted: &SecretRef) -> Result<String, String> {
    match wanted {
        SecretRef::Env(name) => match std::env::var(name) {
            Ok(text) => Ok(text),
            Err(std::env::VarError::NotPresent) => Err(format!("the variable {name:?} is not set")),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(format!("the variable {name:?} is not UTF-8"))
            }
        },
        SecretRef::File(path) => read_file(path),
    }
}

fn read_file(path: &str) -> Result<String, String> {
    let unreadable = |why: std::io::Error| format!("the file {path:?} cannot be read: {why}");
    // Opening a pipe waits for whoever writes to it.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(format!("{path:?} is not a regular file"));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    // One byte more than allowed tells a long file from one of exactly that length.
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("the file {path:?} is longer than 16KiB, so that it is no secret"));
    }
    Ok(text)
}

/// The admin token of the environment, or one made up and printed on standard error.
///
/// # Errors
///
/// [`SecretsError::NoRandomness`].
pub fn admin_token_from_env() -> Result<AdminToken, SecretsError> {
    let set = std::env::var(ADMIN_TOKEN);
    if let Err(std::env::VarError::NotUnicode(_)) = set {
        return Err(SecretsError::NotText(ADMIN_TOKEN));
    }
    if let Some(token) = set.ok().and_then(|text| AdminToken::new(&text)) {
        return Ok(token);
    }
    let text = random_text()?;
    announce(&text);
    AdminToken::new(&text).ok_or(SecretsError::NoRandomness)
}

/// 32 hexadecimal digits that nobody can guess.
///
/// # Errors
///
/// [`SecretsError::NoRandomness`].
pub fn random_text() -> Result<String, SecretsError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_unavailable| SecretsError::NoRandomness)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A token that was made up is of use only if its user learns it.
#[expect(clippy::print_stderr, reason = "the contract puts the token on standard error")]
fn announce(token: &str) {
    eprintln!("{ADMIN_TOKEN} is not set; for this run it is {token}");
}
