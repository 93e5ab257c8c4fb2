//! What are requests signed with?
//!
//! Where secrets come from (environment, files) is the caller's business. Several keys are live at
//! once, so that a new one can be handed to the signer while links of the old one are still about.
//!
//! # Invariants
//!
//! 1. No secret is printed, by `Debug` or otherwise, and there is no way to compare one.
//! 2. Which of several keys fits cannot be told by how long the search takes.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;

/// Keys of one format. A rotation needs two; each is tried where the format names none.
pub const KEYS_MAX: usize = 8;

/// Bytes of the longest key id.
const ID_MAX: usize = 64;

/// Bytes that only signer and node know.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Takes the bytes of a secret as they are.
    ///
    /// # Errors
    ///
    /// [`KeyProblem::EmptySecret`].
    pub fn new(bytes: &[u8]) -> Result<Self, KeyProblem> {
        if bytes.is_empty() {
            return Err(KeyProblem::EmptySecret);
        }
        Ok(Self(bytes.into()))
    }

    /// Reads a secret that is written in hexadecimal digits, as keys of Akamai are.
    ///
    /// # Errors
    ///
    /// [`KeyProblem`] if there is none, or something that is no pair of digits.
    pub fn from_hex(text: &str) -> Result<Self, KeyProblem> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let bytes: Option<Vec<u8>> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => digit(*high)?.checked_mul(16)?.checked_add(digit(*low)?),
                _ => None,
            })
            .collect();
        Self::new(&bytes.ok_or(KeyProblem::NotHex)?)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Why keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// The id would be ambiguous in a signed text.
    #[error("a key id needs 1 to 64 of A-Z a-z 0-9 . _ -")]
    BadId,
    /// Two keys have one id.
    #[error("key id {0:?} is there twice")]
    DuplicateId(String),
    /// Nothing is no secret.
    #[error("a secret is empty")]
    EmptySecret,
    /// There is no key, so that nobody could be let in.
    #[error("there is no key")]
    NoKey,
    /// The format wants other characters in its secrets.
    #[error("a secret of this format needs letters and digits only")]
    NotAlphanumeric,
    /// Not hexadecimal.
    #[error("a secret of this format is written in pairs of hexadecimal digits")]
    NotHex,
    /// A public key is not in a form that is understood.
    #[error("expected a public key in PEM: RSA with 2048 bits or more, or ECDSA on P-256")]
    NotPublicKey,
    /// More keys than can be tried for each request.
    #[error("there are more than 8 keys")]
    TooMany,
}

/// One secret with its name.
#[derive(Debug, Clone)]
pub struct Key {
    id: Arc<str>,
    secret: Secret,
    /// Prepared once, because half of a short HMAC is the key.
    hmac: hmac::Key,
}

impl Key {
    /// Names a secret.
    ///
    /// # Errors
    ///
    /// [`KeyProblem::BadId`].
    pub fn new(id: &str, secret: Secret) -> Result<Self, KeyProblem> {
        check_id(id)?;
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, secret.bytes());
        Ok(Self { id: id.into(), secret, hmac })
    }

    /// The name, which is no secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    pub(crate) const fn secret(&self) -> &Secret {
        &self.secret
    }

    pub(crate) const fn hmac(&self) -> &hmac::Key {
        &self.hmac
    }
}

/// Checks that `id` can stand in any signed text without being taken for something else.
pub(crate) fn check_id(id: &str) -> Result<(), KeyProblem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let sound = !id.is_empty() && id.len() <= ID_MAX && id.bytes().all(plain);
    if sound { Ok(()) } else { Err(KeyProblem::BadId) }
}

/// The live keys of one format.
#[derive(Debug, Clone)]
pub struct KeyRing(Vec<Key>);

impl KeyRing {
    /// Puts keys together.
    ///
    /// # Errors
    ///
    /// [`KeyProblem`] if there is none, an id twice, or more than [`KEYS_MAX`].
    pub fn new(keys: Vec<Key>) -> Result<Self, KeyProblem> {
        check_ids(keys.iter().map(Key::id))?;
        Ok(Self(keys))
    }

    /// Checks that no secret has other characters than letters and digits.
    ///
    /// # Errors
    ///
    /// [`KeyProblem::NotAlphanumeric`].
    pub fn only_alphanumeric(&self) -> Result<(), KeyProblem> {
        let plain = |key: &Key| key.secret.bytes().iter().all(u8::is_ascii_alphanumeric);
        if self.0.iter().all(plain) { Ok(()) } else { Err(KeyProblem::NotAlphanumeric) }
    }

    /// The key of this id. Ids are no secrets.
    pub fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id() == id)
    }

    /// Tries every key, also after one that fits, and returns the last that fits.
    pub(crate) fn find_by(&self, fits: impl Fn(&Key) -> bool) -> Option<&Key> {
        self.0.iter().fold(None, |found, key| if fits(key) { Some(key) } else { found })
    }

    /// The ids, for explanations.
    pub(crate) fn ids(&self) -> String {
        self.0.iter().map(Key::id).collect::<Vec<_>>().join(", ")
    }
}

/// Checks how many ids there are, and that they differ.
pub(crate) fn check_ids<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> Result<(), KeyProblem> {
    match ids.len() {
        0 => return Err(KeyProblem::NoKey),
        1..=KEYS_MAX => {}
        _ => return Err(KeyProblem::TooMany),
    }
    let mut seen: Vec<&str> = Vec::new();
    for id in ids {
        if seen.contains(&id) {
            return Err(KeyProblem::DuplicateId(id.to_owned()));
        }
        seen.push(id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> Key {
        Key::new(id, Secret::new(b"visible").unwrap()).unwrap()
    }

    #[test]
    fn no_secret_is_printed() {
        let ring = KeyRing::new(vec![key("k1")]).unwrap();
        let printed = format!("{ring:?} {:?}", key("k2"));
        assert!(!printed.contains("visible") && !printed.contains("118"), "{printed}");
        assert!(printed.contains("hidden") && printed.contains("k1"), "{printed}");
    }

    #[test]
    fn a_ring_has_one_to_eight_keys_with_different_ids() {
        let ids = |ids: &[&str]| KeyRing::new(ids.iter().map(|id| key(id)).collect());
        assert_eq!(ids(&[]).unwrap_err(), KeyProblem::NoKey);
        assert_eq!(ids(&["a", "b", "a"]).unwrap_err(), KeyProblem::DuplicateId("a".to_owned()));
        assert_eq!(
            ids(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]).unwrap_err(),
            KeyProblem::TooMany
        );
        let ring = ids(&["a", "b"]).unwrap();
        assert_eq!(ring.find("b").map(Key::id), Some("b"));
        assert!(ring.find("c").is_none());
        assert_eq!(ring.find_by(|key| key.id() == "a").map(Key::id), Some("a"));
    }

    #[test]
    fn ids_and_secrets_out_of_shape_are_refused() {
        for id in ["", "a b", "a\n", "é", "a~b", &"a".repeat(65)] {
            let made = Key::new(id, Secret::new(b"s").unwrap());
            assert_eq!(made.unwrap_err(), KeyProblem::BadId, "{id:?}");
        }
        assert_eq!(Secret::new(b"").unwrap_err(), KeyProblem::EmptySecret);
        for hex in ["0", "0g", "+1", "é0"] {
            assert_eq!(Secret::from_hex(hex).unwrap_err(), KeyProblem::NotHex, "{hex:?}");
        }
        assert_eq!(Secret::from_hex("00aBff").unwrap().bytes(), [0, 0xab, 0xff]);
    }
}
