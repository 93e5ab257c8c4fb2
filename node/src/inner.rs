//! How does a child prove itself to its parent, and which fields pass between tiers only?
//!
//! The proof is a keyed BLAKE3 over method, target, host, node name, time and the inner fields, made
//! with the tier secret; the secret itself never travels. It covers the bodies of messages about the
//! purge log, by their digest, and no other: the network between tiers is trusted as far as those go.
//!
//! # Invariants
//!
//! 1. Inner fields (`Weir-*`) of a request count only beside a valid proof, and are removed from
//!    every request and every answer before anything else sees them.
//! 2. Inner fields of an answer count only when it came from a parent.
//! 3. A proof is good for [`SKEW_SECS_MAX`] around its time, for one method and target only.

use std::fmt;

use blake3::Hasher;
use http::{HeaderMap, HeaderName, HeaderValue, header::HOST};
use subtle::ConstantTimeEq;
use weir_cache::purge::AsOf;

/// The proof, on a request.
const AUTH: HeaderName = HeaderName::from_static("weir-auth");
/// Says that the child refreshes a stored response: answer fresh or validate, never stale.
pub(crate) const REFRESH: HeaderName = HeaderName::from_static("weir-refresh");
/// The purge log position that an answer reflects.
pub(crate) const AS_OF: HeaderName = HeaderName::from_static("weir-as-of");
/// How far the child has applied the purge log, or a node below it: the answer must reflect all of it.
pub(crate) const MIN_SEQ: HeaderName = HeaderName::from_static("weir-min-seq");
/// Says that the request is a message about the purge log, and which body it has.
pub(crate) const CONTROL: HeaderName = HeaderName::from_static("weir-control");
/// Says that the answer is the parent's own: it could not reach what lies behind it.
pub(crate) const FAILURE: HeaderName = HeaderName::from_static("weir-failure");

/// The BLAKE3 digest of the body of an answer, in hexadecimal digits, where all of it is sent.
pub(crate) const DIGEST: HeaderName = HeaderName::from_static("weir-digest");

/// The inner fields of a request that the proof covers.
const SIGNED: [HeaderName; 3] = [REFRESH, MIN_SEQ, CONTROL];

/// How far apart the clocks of two tiers may be, in seconds, either way.
const SKEW_SECS_MAX: u64 = 60;

/// The secret that all nodes of one CDN share.
#[derive(Clone)]
pub struct TierSecret {
    key: [u8; 32],
    cdn_id: String,
}

impl TierSecret {
    /// The shortest secret accepted, in bytes.
    pub const BYTES_MIN: usize = 16;

    /// Derives the proof key and the CDN's public name from a secret text.
    ///
    /// Returns `None` if the text is shorter than [`Self::BYTES_MIN`].
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() < Self::BYTES_MIN {
            return None;
        }
        let id = blake3::derive_key("weir 2026 cdn id", text.as_bytes());
        Some(Self {
            key: blake3::derive_key("weir 2026 tier proof", text.as_bytes()),
            cdn_id: format!("weir-{}", hex8(&id)),
        })
    }

    /// A name for the CDN that all its nodes agree on and that tells nothing about the secret.
    #[must_use]
    pub fn cdn_id(&self) -> &str {
        &self.cdn_id
    }
}

impl fmt::Debug for TierSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TierSecret(..)")
    }
}

/// The value of [`CONTROL`]: the digest of a message's body, and how many nodes have passed it on.
pub(crate) fn control(body: &[u8], hops: u8) -> HeaderValue {
    let text = format!("{};hops={hops}", blake3::hash(body).to_hex());
    // Digits and letters always make a value.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// How many nodes have passed a message on, if its body is the one that was signed.
pub(crate) fn control_hops(value: &HeaderValue, body: &[u8]) -> Option<u8> {
    let (_, hops) = value.to_str().ok()?.split_once(";hops=")?;
    let hops = hops.parse().ok()?;
    let same: bool = control(body, hops).as_bytes().ct_eq(value.as_bytes()).into();
    same.then_some(hops)
}

/// The digest of its body that an answer carries; `None` if it is missing or no digest.
pub(crate) fn digest(headers: &HeaderMap) -> Option<[u8; 32]> {
    let text = headers.get(&DIGEST)?.to_str().ok()?;
    blake3::Hash::from_hex(text).ok().map(Into::into)
}

/// The position in the purge log that a field states; `None` where it states none.
pub(crate) fn position(headers: &HeaderMap, name: &HeaderName) -> Option<AsOf> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Eight hexadecimal digits of a digest.
pub(crate) fn hex8(digest: &[u8]) -> String {
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// What a proof is about, beside the fields of the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    /// The method.
    pub(crate) method: &'a str,
    /// Path and query as on the wire.
    pub(crate) target: &'a str,
    /// The child's name.
    pub(crate) node: &'a str,
    /// The child's wall clock, seconds since 1970.
    pub(crate) secs: i64,
}

/// Adds the proof to a request's fields.
pub(crate) fn sign(secret: &TierSecret, signed: &Signed<'_>, headers: &mut HeaderMap) {
    let mac = mac(secret, signed, headers);
    let proof = format!("v1;node={};time={};mac={}", signed.node, signed.secs, mac.to_hex());
    if let Ok(value) = HeaderValue::from_str(&proof) {
        headers.insert(AUTH, value);
    }
}

/// Why a request is not taken as a child's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoProof {
    /// There is none: the request is a client's.
    Absent,
    /// There is one, and it does not hold: wrong secret, altered, or too old.
    Invalid,
}

/// The name of the child that sent the request.
///
/// # Errors
///
/// [`NoProof`]; either way the request is to be treated as a client's.
pub(crate) fn verify(
    secret: Option<&TierSecret>,
    method: &str,
    target: &str,
    headers: &HeaderMap,
    now_secs: i64,
) -> Result<String, NoProof> {
    let value = headers.get(AUTH).ok_or(NoProof::Absent)?;
    let secret = secret.ok_or(NoProof::Invalid)?;
    let text = value.to_str().map_err(|_opaque| NoProof::Invalid)?;
    let (node, secs, claimed) = parse(text).ok_or(NoProof::Invalid)?;
    if now_secs.abs_diff(secs) > SKEW_SECS_MAX {
        return Err(NoProof::Invalid);
    }
    let expected = mac(secret, &Signed { method, target, node, secs }, headers).to_hex();
    let same: bool = expected.as_bytes().ct_eq(claimed.as_bytes()).into();
    if same { Ok(node.to_owned()) } else { Err(NoProof::Invalid) }
}

/// Splits a proof into node, time and digest.
fn parse(text: &str) -> Option<(&str, i64, &str)> {
    let rest = text.strip_prefix("v1;node=")?;
    let (node, rest) = rest.split_once(";time=")?;
    let (secs, mac) = rest.split_once(";mac=")?;
    Some((node, secs.parse().ok()?, mac))
}

fn mac(secret: &TierSecret, signed: &Signed<'_>, headers: &HeaderMap) -> blake3::Hash {
    let mut hasher = Hasher::new_keyed(&secret.key);
    let secs = signed.secs.to_le_bytes();
    let host = headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
    for part in
        [signed.method.as_bytes(), signed.target.as_bytes(), host, signed.node.as_bytes(), &secs]
    {
        update(&mut hasher, part);
    }
    for name in &SIGNED {
        let lines = headers.get_all(name);
        hasher.update(&(lines.iter().count() as u64).to_le_bytes());
        for line in lines {
            update(&mut hasher, line.as_bytes());
        }
    }
    hasher.finalize()
}

/// Feeds a part with its length before it, so that no two lists of parts read alike.
fn update(hasher: &mut Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part);
}

/// Removes every inner field.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let inner: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("weir-")).cloned().collect();
    for name in inner {
        // `Weir-CDN-Cache-Control` is an origin's word to this cache, not an inner field.
        if name.as_str() != "weir-cdn-cache-control" {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> TierSecret {
        TierSecret::new(text).unwrap()
    }

    fn signed_headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("example.com"));
        headers.insert(REFRESH, HeaderValue::from_static("1"));
        let signed = Signed { method: "GET", target: "/a?b", node: "edge-0", secs: 1_000 };
        sign(&secret("0123456789abcdef"), &signed, &mut headers);
        headers
    }

    #[test]
    fn a_proof_holds_for_what_was_signed_and_nothing_else() {
        let good = secret("0123456789abcdef");
        let other = secret("another secret, as long");
        let cases = [
            (&good, "GET", "/a?b", 1_000, true, "as signed"),
            (&good, "GET", "/a?b", 1_060, true, "within the skew"),
            (&good, "GET", "/a?b", 1_061, false, "too old"),
            (&good, "GET", "/a?b", 939, false, "from the future"),
            (&good, "PUT", "/a?b", 1_000, false, "another method"),
            (&good, "GET", "/a", 1_000, false, "another target"),
            (&other, "GET", "/a?b", 1_000, false, "another secret"),
        ];
        for (secret, method, target, now, holds, why) in cases {
            let verdict = verify(Some(secret), method, target, &signed_headers(), now);
            assert_eq!(verdict.is_ok(), holds, "{why}");
        }
    }

    #[test]
    fn altered_fields_break_the_proof() {
        let good = secret("0123456789abcdef");
        let altered: [(&str, HeaderName, &'static str); 2] =
            [("host", HOST, "evil.example"), ("refresh", REFRESH, "")];
        for (why, name, value) in altered {
            let mut headers = signed_headers();
            headers.insert(name, HeaderValue::from_static(value));
            let verdict = verify(Some(&good), "GET", "/a?b", &headers, 1_000);
            assert_eq!(verdict, Err(NoProof::Invalid), "{why}");
        }
    }

    #[test]
    fn junk_is_no_proof() {
        for junk in ["", "v1", "v1;node=a;time=x;mac=00", "v1;node=;time=1000;mac=", "v2;node=a"] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTH, HeaderValue::from_str(junk).unwrap());
            let verdict = verify(Some(&secret("0123456789abcdef")), "GET", "/", &headers, 1_000);
            assert_eq!(verdict, Err(NoProof::Invalid), "{junk:?}");
        }
        let none = verify(None, "GET", "/", &HeaderMap::new(), 0);
        assert_eq!(none, Err(NoProof::Absent));
    }

    #[test]
    fn short_secrets_are_refused() {
        assert!(TierSecret::new("  short          ").is_none());
    }

    #[test]
    fn inner_fields_go_and_the_targeted_field_stays() {
        let mut headers = signed_headers();
        headers.insert("weir-cdn-cache-control", HeaderValue::from_static("max-age=1"));
        strip(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["host", "weir-cdn-cache-control"]);
    }
}
