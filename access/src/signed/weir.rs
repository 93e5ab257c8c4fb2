//! Weir's own format: HMAC-SHA256 over host, path or folder, times, client and key id.
//!
//! The proof is a handful of parameters, in the query or, as the same text, in the cookie `weir-token`:
//!
//! | name | meaning |
//! |---|---|
//! | `weir-exp` | last second at which it is right, seconds since 1970; required |
//! | `weir-nbf` | first second at which it is right |
//! | `weir-ip` | address or network that the client must come from |
//! | `weir-for` | path that it is for, with any query; with `/*` at its end, the folder. Without it: this path with this query |
//! | `weir-key` | id of the key; required |
//! | `weir-sig` | the signature: base64url without padding; required |
//!
//! What is signed are nine lines, joined by line feeds, without one at the end:
//!
//! ```text
//! weir-1
//! <host, lower case, without port>
//! exact | path | prefix
//! <path in normal form, or the folder with its slash>
//! <exact: "?" and the query less all of the above, or nothing; else nothing>
//! <exp>
//! <nbf, or nothing>
//! <ip, or nothing>
//! <key id>
//! ```
//!
//! # Invariants
//!
//! 1. No two proofs have one text: the number of lines is fixed, and no part can hold a line feed.
//! 2. Each value has one spelling; a proof in another is malformed.
//! 3. A parameter that begins with `weir-` and is not known is refused: a restriction that a later
//!    version adds must not be overlooked by an earlier one.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;
use weir_cache::{Target, UnixTime};

use crate::cover;
use crate::grant::{Grant, Strip};
use crate::instant::parse_secs;
use crate::net;
use crate::query;
use crate::refusal::{Reason, Refusal};
use crate::request::{Moment, Request};
use crate::secret::{Key, KeyRing};
use crate::signed::SignError;

/// The cookie that carries a proof.
pub const COOKIE: &str = "weir-token";

const EXPIRES: &str = "weir-exp";
const NOT_BEFORE: &str = "weir-nbf";
const CLIENT: &str = "weir-ip";
const FOR: &str = "weir-for";
const KEY: &str = "weir-key";
const SIGNATURE: &str = "weir-sig";
const NAMES: [&str; 6] = [EXPIRES, NOT_BEFORE, CLIENT, FOR, KEY, SIGNATURE];

/// Weir's own format.
#[derive(Debug, Clone)]
pub struct Weir {
    strip: Arc<Strip>,
}

/// What a signature is to be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One path with one query.
    Exact,
    /// One path with any query.
    Path,
    /// Every path below this folder, which ends in a slash, with any query.
    Prefix(String),
}

/// What a signature is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Last second at which it is right.
    pub expires: UnixTime,
    /// First second at which it is right; `None` for any before the last.
    pub not_before: Option<UnixTime>,
    /// Where the client must come from; `None` for anywhere.
    pub client: Option<IpNet>,
    /// What it is for.
    pub scope: Scope,
}

/// What a proof claims, as it is written.
#[derive(Debug)]
struct Claim<'a> {
    expires: &'a str,
    not_before: &'a str,
    client: &'a str,
    covers: Covers,
    key: &'a str,
}

#[derive(Debug)]
enum Covers {
    Exact,
    Path(String),
    Prefix(String),
}

impl Default for Weir {
    fn default() -> Self {
        Self::new()
    }
}

impl Weir {
    /// Makes the format, which has no settings.
    pub fn new() -> Self {
        let parameters = NAMES.map(str::to_owned).to_vec();
        let cookies = vec![COOKIE.to_owned()];
        Self { strip: Arc::new(Strip { parameters, cookies, headers: Vec::new() }) }
    }

    /// Checks the proof in the query or, if there is none, in the cookie.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub fn verify(
        &self,
        request: Request<'_>,
        keys: &KeyRing,
        moment: Moment,
    ) -> Result<Grant, Refusal> {
        let target = request.target;
        let in_query = has_proof(target.query())?;
        let proof = if in_query {
            target.query()
        } else {
            let proof = crate::cookie::one(request.headers, COOKIE)?;
            all_known(proof)?;
            proof
        };
        if proof.is_none() {
            let expected = "neither weir-sig in the query nor the cookie weir-token";
            return Err(Refusal::new(Reason::Missing, expected));
        }
        let claim = Claim::parse(proof)?;
        if !in_query && matches!(claim.covers, Covers::Exact) {
            return Err(Refusal::malformed("weir-for is required in a cookie"));
        }
        let key = keys.find(claim.key).ok_or_else(|| {
            let known = keys.ids();
            Refusal::new(Reason::UnknownKey, format!("key {}; known are {known}", claim.key))
        })?;
        let query = query::without(target.query(), &self.strip.parameters);
        let text = claim.text(target, query.as_deref());
        check_signature(key, &text, proof)?;
        let expires = claim.check(request, moment)?;
        Grant::new(target, target.path(), &self.strip, key.shared_id(), Some(expires))
    }

    /// Makes the URL of `target` that is accepted under `terms`.
    ///
    /// # Errors
    ///
    /// [`SignError`] if the target is not below the prefix, or a time cannot be written.
    pub fn sign(&self, key: &Key, target: &Target, terms: &Terms) -> Result<String, SignError> {
        let query = query::without(target.query(), &self.strip.parameters);
        let query = query.filter(|query| !query.is_empty());
        let proof = make_proof(key, target, query.as_deref(), terms)?;
        let base = format!("{}://{}{}", target.scheme(), target.host(), target.path());
        Ok(format!("{base}?{}", query::with(query.as_deref(), &proof)))
    }

    /// Makes the value of the cookie [`COOKIE`] that is accepted under `terms`.
    ///
    /// # Errors
    ///
    /// As [`Weir::sign`], and [`SignError::NeedsPath`] for [`Scope::Exact`]: a browser sends a cookie with many URLs.
    pub fn sign_cookie(
        &self,
        key: &Key,
        target: &Target,
        terms: &Terms,
    ) -> Result<String, SignError> {
        if terms.scope == Scope::Exact {
            return Err(SignError::NeedsPath);
        }
        make_proof(key, target, None, terms)
    }
}

fn make_proof(
    key: &Key,
    target: &Target,
    query: Option<&str>,
    terms: &Terms,
) -> Result<String, SignError> {
    let secs = |time: UnixTime| {
        let text = time.as_secs().to_string();
        if parse_secs(&text).is_some() { Ok(text) } else { Err(SignError::TimeOutOfRange) }
    };
    let expires = secs(terms.expires)?;
    let not_before = terms.not_before.map(secs).transpose()?.unwrap_or_default();
    let client = terms.client.map(net::format).unwrap_or_default();
    let covers = match &terms.scope {
        Scope::Exact => Covers::Exact,
        Scope::Path if target.path().ends_with("/*") => return Err(SignError::NotCovered),
        Scope::Path => Covers::Path(target.path().to_owned()),
        Scope::Prefix(prefix)
            if prefix.ends_with('/') && cover::is_below(target.path(), prefix) =>
        {
            Covers::Prefix(prefix.clone())
        }
        Scope::Prefix(_) => return Err(SignError::NotCovered),
    };
    let claim = Claim {
        expires: &expires,
        not_before: &not_before,
        client: &client,
        covers,
        key: key.id(),
    };
    let tag = hmac::sign(key.hmac(), claim.text(target, query).as_bytes());
    Ok(claim.write(&URL_SAFE_NO_PAD.encode(tag)))
}

/// Says whether the query has a proof, or a part of one.
fn has_proof(query: Option<&str>) -> Result<bool, Refusal> {
    let mut found = false;
    for parameter in query.into_iter().flat_map(|query| query.split('&')) {
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        let decoded = query::decode_visible(name);
        let decoded = decoded.as_deref().unwrap_or(name);
        if decoded.starts_with("weir-") {
            found = true;
            check_known(decoded)?;
        }
    }
    Ok(found)
}

/// Checks that a cookie has parameters of a proof only.
fn all_known(proof: Option<&str>) -> Result<(), Refusal> {
    let mut parameters = proof.into_iter().flat_map(|proof| proof.split('&'));
    parameters.try_for_each(|parameter| {
        check_known(parameter.split_once('=').map_or(parameter, |(name, _)| name))
    })
}

fn check_known(name: &str) -> Result<(), Refusal> {
    if NAMES.contains(&name) {
        return Ok(());
    }
    Err(Refusal::malformed(format!("{name} is unknown; known are {}", NAMES.join(", "))))
}

fn check_signature(key: &Key, text: &str, proof: Option<&str>) -> Result<(), Refusal> {
    let given = required(proof, SIGNATURE)?;
    let tag = URL_SAFE_NO_PAD.decode(given).map_err(|_broken| {
        Refusal::malformed("weir-sig is not 43 characters of base64url without padding")
    })?;
    hmac::verify(key.hmac(), text.as_bytes(), &tag).map_err(|_unspecified| {
        let wanted = format!("with key {} this text had to be signed: {text}", key.id());
        Refusal::new(Reason::WrongSignature, wanted)
    })
}

fn required<'a>(proof: Option<&'a str>, name: &str) -> Result<&'a str, Refusal> {
    query::one(proof, name)?.ok_or_else(|| Refusal::malformed(format!("{name} is not there")))
}

impl<'a> Claim<'a> {
    fn parse(proof: Option<&'a str>) -> Result<Self, Refusal> {
        let covers = match query::one(proof, FOR)? {
            Some(text) => Covers::parse(text)?,
            None => Covers::Exact,
        };
        // An empty value would be signed like none.
        let optional = |name| match query::one(proof, name)? {
            Some("") => Err(Refusal::malformed(format!("{name} is empty"))),
            value => Ok(value.unwrap_or_default()),
        };
        Ok(Self {
            expires: required(proof, EXPIRES)?,
            not_before: optional(NOT_BEFORE)?,
            client: optional(CLIENT)?,
            covers,
            key: required(proof, KEY)?,
        })
    }

    /// What is signed.
    fn text(&self, target: &Target, query: Option<&str>) -> String {
        let (scope, path) = match &self.covers {
            Covers::Exact => ("exact", target.path()),
            Covers::Path(path) => ("path", path.as_str()),
            Covers::Prefix(prefix) => ("prefix", prefix.as_str()),
        };
        let query = query.filter(|_| matches!(self.covers, Covers::Exact));
        let (mark, query) = query.map_or(("", ""), |query| ("?", query));
        let host = target.host_without_port();
        let Self { expires, not_before, client, key, .. } = self;
        format!(
            "weir-1\n{host}\n{scope}\n{path}\n{mark}{query}\n{expires}\n{not_before}\n{client}\n{key}"
        )
    }

    /// Checks what was signed against the request; returns the last second.
    fn check(&self, request: Request<'_>, moment: Moment) -> Result<i64, Refusal> {
        let secs = |text: &str, name: &str| {
            parse_secs(text).ok_or_else(|| {
                Refusal::malformed(format!("{name} is not seconds since 1970 in digits"))
            })
        };
        let expires = secs(self.expires, EXPIRES)?;
        if moment.is_after(expires) {
            return Err(Refusal::new(Reason::Expired, format!("right until {expires}")));
        }
        if !self.not_before.is_empty() && moment.is_before(secs(self.not_before, NOT_BEFORE)?) {
            return Err(Refusal::new(Reason::NotYet, format!("right from {}", self.not_before)));
        }
        if !self.client.is_empty() {
            self.check_client(request)?;
        }
        let path = request.target.path();
        match &self.covers {
            Covers::Exact => Ok(expires),
            Covers::Path(covered) if covered == path => Ok(expires),
            Covers::Prefix(prefix) if cover::is_below(path, prefix) => Ok(expires),
            Covers::Path(covered) | Covers::Prefix(covered) => Err(Refusal::new(
                Reason::PathNotCovered,
                format!("signed for {covered}, asked for {path}"),
            )),
        }
    }

    fn check_client(&self, request: Request<'_>) -> Result<(), Refusal> {
        let net = net::parse(self.client).filter(|net| net::format(*net) == self.client);
        let net =
            net.ok_or_else(|| Refusal::malformed("weir-ip is not an address or a network"))?;
        let address = request.address();
        if net.contains(&address) {
            return Ok(());
        }
        let found = format!("signed for {net}, asked from {address}");
        Err(Refusal::new(Reason::WrongClient, found))
    }

    fn write(&self, signature: &str) -> String {
        let mut proof = format!("{EXPIRES}={}", self.expires);
        let covered = match &self.covers {
            Covers::Exact => String::new(),
            Covers::Path(path) => query::encode(path),
            Covers::Prefix(prefix) => query::encode(&format!("{prefix}*")),
        };
        let rest = [
            (NOT_BEFORE, self.not_before),
            (CLIENT, self.client),
            (FOR, &covered),
            (KEY, self.key),
            (SIGNATURE, signature),
        ];
        for (name, value) in rest.iter().filter(|(_, value)| !value.is_empty()) {
            // Writing to a text does not fail.
            let _ok = write!(proof, "&{name}={value}");
        }
        proof
    }
}

impl Covers {
    /// Reads `weir-for`, whose escapes are decoded once: what comes out is a path in normal form.
    fn parse(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::malformed("weir-for is not a path in normal form");
        let path = query::decode_visible(text).ok_or_else(bad)?;
        // One spelling, so that no byte of a proof can be changed.
        if query::encode(&path) != text || !path.starts_with('/') {
            return Err(bad());
        }
        match path.strip_suffix('*') {
            Some(prefix) if prefix.ends_with('/') => Ok(Self::Prefix(prefix.to_owned())),
            _ => Ok(Self::Path(path)),
        }
    }
}
