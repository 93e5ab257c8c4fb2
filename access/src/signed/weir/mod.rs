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

mod claim;

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;
use weir_cache::{Target, UnixTime};

use self::claim::{Claim, Covers, NAMES, all_known, check_signature, has_proof};
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
