//! What are policies signed and verified with?
//!
//! A node has public keys only: whoever breaks into it cannot sign. The half that signs is for the command line and for
//! tests. It does not sign by RSA with SHA-1, which the library only verifies; `openssl dgst -sha1 -sign` does.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA1_ASN1, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_SHA256, RsaKeyPair, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::secret::{KeyProblem, check_id, check_ids};
use crate::signed::SignError;
use crate::signed::cloudfront::Signed;

/// Digest of a policy that is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, which CloudFront takes when nothing is said.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Hash {
    /// As it is written in a proof.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }
}

/// One public key with its id, read for both digests.
#[derive(Clone)]
pub struct PublicKey {
    id: Arc<str>,
    sha1: ParsedPublicKey,
    sha256: ParsedPublicKey,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

impl PublicKey {
    /// Reads a key as `openssl pkey -pubout` writes it: `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Errors
    ///
    /// [`KeyProblem`] if the id or the key is out of shape, or RSA has fewer than 2048 bits.
    pub fn from_pem(id: &str, pem: &str) -> Result<Self, KeyProblem> {
        check_id(id)?;
        let (label, der) = read_pem(pem).ok_or(KeyProblem::NotPublicKey)?;
        if label != "PUBLIC KEY" {
            return Err(KeyProblem::NotPublicKey);
        }
        let parse = |algorithm: &'static dyn VerificationAlgorithm| {
            ParsedPublicKey::new(algorithm, &der).ok()
        };
        let rsa = parse(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY)
            .zip(parse(&RSA_PKCS1_2048_8192_SHA256));
        let (sha1, sha256) = rsa
            .or_else(|| parse(&ECDSA_P256_SHA1_ASN1).zip(parse(&ECDSA_P256_SHA256_ASN1)))
            .ok_or(KeyProblem::NotPublicKey)?;
        Ok(Self { id: id.into(), sha1, sha256 })
    }

    pub(crate) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    pub(crate) fn verifies(&self, hash: Hash, text: &[u8], signature: &[u8]) -> bool {
        let key = match hash {
            Hash::Sha1 => &self.sha1,
            Hash::Sha256 => &self.sha256,
        };
        key.verify_sig(text, signature).is_ok()
    }
}

/// The public keys that are live.
#[derive(Debug, Clone)]
pub struct PublicKeys(Vec<PublicKey>);

impl PublicKeys {
    /// Puts keys together.
    ///
    /// # Errors
    ///
    /// [`KeyProblem`] if there is none, an id twice, or too many.
    pub fn new(keys: Vec<PublicKey>) -> Result<Self, KeyProblem> {
        check_ids(keys.iter().map(|key| &*key.id))?;
        Ok(Self(keys))
    }

    pub(crate) fn find(&self, id: &str) -> Option<&PublicKey> {
        self.0.iter().find(|key| &*key.id == id)
    }

    pub(crate) fn ids(&self) -> String {
        self.0.iter().map(|key| &*key.id).collect::<Vec<_>>().join(", ")
    }
}

/// A key that signs policies.
pub enum PrivateKey {
    /// ECDSA on P-256.
    Ecdsa(Box<EcdsaKeyPair>),
    /// RSA.
    Rsa(Box<RsaKeyPair>),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(hidden)")
    }
}

impl PrivateKey {
    /// Reads a key in PEM without a password: PKCS #8, or what `openssl genrsa -traditional` writes.
    ///
    /// # Errors
    ///
    /// [`SignError::BadPrivateKey`].
    pub fn from_pem(pem: &str) -> Result<Self, SignError> {
        let (label, der) = read_pem(pem).ok_or(SignError::BadPrivateKey)?;
        let rsa = match label {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).ok(),
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der).ok(),
            _ => None,
        };
        let ecdsa = || {
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der)
                .map(|key| Self::Ecdsa(Box::new(key)))
                .ok()
        };
        let rsa = rsa.map(|key| Self::Rsa(Box::new(key)));
        rsa.or_else(ecdsa).ok_or(SignError::BadPrivateKey)
    }

    /// Signs a policy with SHA-256.
    ///
    /// # Errors
    ///
    /// [`SignError::BadPrivateKey`] if the key cannot sign.
    pub fn sign<'a>(&self, key: &'a str, policy: &str) -> Result<Signed<'a>, SignError> {
        let random = SystemRandom::new();
        let text = policy.as_bytes();
        let refused = |_unspecified| SignError::BadPrivateKey;
        let signature = match self {
            Self::Ecdsa(pair) => pair.sign(&random, text).map_err(refused)?.as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).map_err(refused)?;
                signature
            }
        };
        Ok(Signed { key, hash: Hash::Sha256, signature })
    }
}

/// Reads the one block of a text in PEM (RFC 7468): its label and its bytes.
fn read_pem(text: &str) -> Option<(&str, Vec<u8>)> {
    let rest = text.trim().strip_prefix("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let body = rest.strip_suffix("-----")?.strip_suffix(label)?.strip_suffix("-----END ")?;
    let base64: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    Some((label, STANDARD.decode(base64).ok()?))
}
