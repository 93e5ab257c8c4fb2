//! Where do the secrets come from? From the environment, never from an argument or a file of
//! settings, and never into a log.

use crate::admin::AdminToken;
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
        _ => Ok(None),
    }
}

/// The admin token of the environment, or one made up and printed on standard error.
///
/// # Errors
///
/// [`SecretsError::NoRandomness`].
pub fn admin_token_from_env() -> Result<AdminToken, SecretsError> {
    if let Some(token) = std::env::var(ADMIN_TOKEN).ok().and_then(|text| AdminToken::new(&text)) {
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
