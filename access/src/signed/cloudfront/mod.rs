//! CloudFront's signed URLs and cookies: a policy, signed with RSA or ECDSA.
//!
//! | in the query | in a cookie | meaning |
//! |---|---|---|
//! | `Expires` | `CloudFront-Expires` | canned policy: this URL, before this second |
//! | `Policy` | `CloudFront-Policy` | custom policy: JSON in base64 |
//! | `Signature` | `CloudFront-Signature` | signature of the policy in base64 |
//! | `Key-Pair-Id` | `CloudFront-Key-Pair-Id` | id of the public key |
//! | `Hash-Algorithm` | `CloudFront-Hash-Algorithm` | `SHA1` (also when it is not there) or `SHA256` |
//!
//! base64 is written with `-`, `_` and `~` for `+`, `=` and `/`. The URL of the canned policy is the one that is
//! asked for, in normal form and less these parameters.
//!
//! Verifying costs tens of microseconds, so that everything that can be refused without it is.

mod keys;
mod policy;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_cache::{Scheme, Target, UnixTime};

use crate::cookie;
use crate::grant::{Grant, Strip};
use crate::instant::parse_secs;
use crate::query;
use crate::refusal::{Reason, Refusal};
use crate::request::{Moment, Request};
use crate::signed::{SignError, with_parameters};

pub use self::keys::{Hash, PrivateKey, PublicKey, PublicKeys};
pub use self::policy::{BadPolicy, CustomPolicy};

/// Names of the fields of a proof, in the order of [`Proof`].
const IN_QUERY: [&str; 5] = ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];
const IN_COOKIES: [&str; 5] = [
    "CloudFront-Expires",
    "CloudFront-Policy",
    "CloudFront-Signature",
    "CloudFront-Key-Pair-Id",
    "CloudFront-Hash-Algorithm",
];

/// Bytes of the longest policy, in base64.
const POLICY_MAX: usize = 8192;

/// CloudFront's format.
#[derive(Debug, Clone)]
pub struct CloudFront {
    scheme: Option<Scheme>,
    strip: Arc<Strip>,
}

/// A proof as it is written.
#[derive(Debug)]
struct Proof<'a> {
    expires: Option<&'a str>,
    policy: Option<&'a str>,
    signature: &'a str,
    key: &'a str,
    hash: Hash,
}

impl CloudFront {
    /// Takes the scheme that URLs are signed with, where a proxy in front ends TLS; `None` takes that of the request.
    pub fn new(scheme: Option<Scheme>) -> Self {
        let strip = Strip {
            parameters: IN_QUERY.map(str::to_owned).to_vec(),
            cookies: IN_COOKIES.map(str::to_owned).to_vec(),
            headers: Vec::new(),
        };
        Self { scheme, strip: Arc::new(strip) }
    }

    /// Checks the proof in the query or, if there is none, in the cookies.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub fn verify(
        &self,
        request: Request<'_>,
        keys: &PublicKeys,
        moment: Moment,
    ) -> Result<Grant, Refusal> {
        let target = request.target;
        let proof = Proof::find(request)?;
        let key = keys.find(proof.key).ok_or_else(|| {
            let ids = keys.ids();
            Refusal::new(Reason::UnknownKey, format!("key {}; known are {ids}", proof.key))
        })?;
        let url = self.url(target);
        let (text, expires) = match (proof.expires, proof.policy) {
            (Some(expires), None) => canned_text(&url, expires, moment)?,
            (None, Some(policy)) => custom_text(policy, &url, request, moment)?,
            (None, None) => return Err(Refusal::malformed("neither Expires nor Policy")),
            (Some(_), Some(_)) => return Err(Refusal::malformed("both Expires and Policy")),
        };
        let signature = decode(proof.signature)
            .ok_or_else(|| Refusal::malformed("Signature is not base64 with - _ ~"))?;
        if !key.verifies(proof.hash, &text, &signature) {
            let (text, hash) = (String::from_utf8_lossy(&text), proof.hash.as_str());
            let wanted = format!("with key {} by {hash} had to be signed: {text}", proof.key);
            return Err(Refusal::new(Reason::WrongSignature, wanted));
        }
        Grant::new(target, target.path(), &self.strip, key.shared_id(), Some(expires))
    }

    /// The URL that a signer signs.
    fn url(&self, target: &Target) -> String {
        let scheme = self.scheme.unwrap_or_else(|| target.scheme());
        let (host, path) = (target.host(), target.path());
        let query = query::without(target.query(), &self.strip.parameters);
        match query.filter(|query| !query.is_empty()) {
            Some(query) => format!("{scheme}://{host}{path}?{query}"),
            None => format!("{scheme}://{host}{path}"),
        }
    }

    /// Writes the canned policy: what is to be signed for `target` before `expires`.
    ///
    /// For signers outside, such as one with RSA and SHA-1, which [`PrivateKey`] does not make.
    ///
    /// # Errors
    ///
    /// [`SignError`] if the URL or the time cannot be written.
    pub fn canned(&self, target: &Target, expires: UnixTime) -> Result<String, SignError> {
        let text = expires.as_secs().to_string();
        let expires = parse_secs(&text).ok_or(SignError::TimeOutOfRange)?;
        canned(&self.url(target), expires).ok_or(SignError::AmbiguousPath)
    }

    /// Makes the URL of `target` that is right before `expires`, with a signature of [`CloudFront::canned`].
    pub fn canned_url(&self, target: &Target, expires: UnixTime, signed: &Signed<'_>) -> String {
        let proof = format!("Expires={}&{}", expires.as_secs(), signed.parameters());
        self.with_scheme(with_parameters(target, &self.strip, &proof), target)
    }

    /// Makes the URL of `target` with a custom policy, with a signature of its text.
    pub fn custom_url(&self, target: &Target, policy: &str, signed: &Signed<'_>) -> String {
        let proof = format!("Policy={}&{}", encode(policy.as_bytes()), signed.parameters());
        self.with_scheme(with_parameters(target, &self.strip, &proof), target)
    }

    /// Makes names and values of the cookies with a custom policy, with a signature of its text.
    pub fn custom_cookies(&self, policy: &str, signed: &Signed<'_>) -> Vec<(String, String)> {
        let [_, name, signature, key, hash] = IN_COOKIES;
        let mut cookies = vec![
            (name.to_owned(), encode(policy.as_bytes())),
            (signature.to_owned(), encode(&signed.signature)),
            (key.to_owned(), signed.key.to_owned()),
        ];
        if signed.hash == Hash::Sha256 {
            cookies.push((hash.to_owned(), signed.hash.as_str().to_owned()));
        }
        cookies
    }

    fn with_scheme(&self, url: String, target: &Target) -> String {
        let received = target.scheme().as_str();
        match (self.scheme, url.strip_prefix(received)) {
            (Some(scheme), Some(rest)) => format!("{scheme}{rest}"),
            _ => url,
        }
    }
}

/// A signature, and how it was made.
#[derive(Debug, Clone)]
pub struct Signed<'a> {
    /// Id of the key.
    pub key: &'a str,
    /// Digest that was signed.
    pub hash: Hash,
    /// The signature: of RSA as PKCS #1 has it, of ECDSA in ASN.1.
    pub signature: Vec<u8>,
}

impl Signed<'_> {
    fn parameters(&self) -> String {
        let base = format!("Signature={}&Key-Pair-Id={}", encode(&self.signature), self.key);
        match self.hash {
            Hash::Sha1 => base,
            Hash::Sha256 => format!("{base}&Hash-Algorithm={}", self.hash.as_str()),
        }
    }
}

impl<'a> Proof<'a> {
    fn find(request: Request<'a>) -> Result<Self, Refusal> {
        let mut fields = [None; 5];
        for (slot, name) in fields.iter_mut().zip(IN_QUERY) {
            *slot = query::one(request.target.query(), name)?;
        }
        if fields.iter().all(Option::is_none) {
            for (slot, name) in fields.iter_mut().zip(IN_COOKIES) {
                *slot = cookie::one(request.headers, name)?;
            }
        }
        if fields.iter().all(Option::is_none) {
            return Err(Refusal::new(
                Reason::Missing,
                "no parameters and no cookies of CloudFront",
            ));
        }
        let [expires, policy, signature, key, hash] = fields;
        let (Some(signature), Some(key)) = (signature, key) else {
            return Err(Refusal::malformed("not both Signature and Key-Pair-Id"));
        };
        let hash = match hash {
            None | Some("SHA1") => Hash::Sha1,
            Some("SHA256") => Hash::Sha256,
            Some(_) => return Err(Refusal::malformed("Hash-Algorithm is not SHA1 or SHA256")),
        };
        Ok(Self { expires, policy, signature, key, hash })
    }
}

/// Writes the canned policy. `None` for a URL with a character that would end the text of the URL in it: the same text
/// could then be a policy that says more.
fn canned(url: &str, expires: i64) -> Option<String> {
    if url.contains(['"', '\\']) {
        return None;
    }
    Some(format!(
        "{{\"Statement\":[{{\"Resource\":\"{url}\",\"Condition\":{{\"DateLessThan\":{{\"AWS:EpochTime\":{expires}}}}}}}]}}"
    ))
}

fn canned_text(url: &str, expires: &str, moment: Moment) -> Result<(Vec<u8>, i64), Refusal> {
    let expires = parse_secs(expires)
        .ok_or_else(|| Refusal::malformed("Expires is not seconds since 1970 in digits"))?;
    let text = canned(url, expires)
        .ok_or_else(|| Refusal::malformed("a URL with \" or \\ cannot have a canned policy"))?;
    let last = expires.saturating_sub(1);
    if moment.is_after(last) {
        return Err(Refusal::new(Reason::Expired, format!("right until {last}")));
    }
    Ok((text.into_bytes(), last))
}

fn custom_text(
    policy: &str,
    url: &str,
    request: Request<'_>,
    moment: Moment,
) -> Result<(Vec<u8>, i64), Refusal> {
    let text = if policy.len() > POLICY_MAX { None } else { decode(policy) };
    let text = text.ok_or_else(|| {
        Refusal::malformed("Policy is not up to 8192 characters of base64 with - _ ~")
    })?;
    let policy = CustomPolicy::parse(&text)
        .map_err(|problem| Refusal::malformed(format!("Policy {problem}")))?;
    let expires = policy.check(url, request, moment)?;
    Ok((text, expires))
}

fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes).replace('+', "-").replace('=', "_").replace('/', "~")
}

fn decode(text: &str) -> Option<Vec<u8>> {
    if text.contains(['+', '=', '/']) {
        return None;
    }
    STANDARD.decode(text.replace('-', "+").replace('_', "=").replace('~', "/")).ok()
}
