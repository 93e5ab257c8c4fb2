//! What does a proof of our own format claim, and does the request fit it?
//!
//! A claim is kept as it is written, because that is what was signed: every value has one spelling, and is parsed only
//! when its signature is known to be right. The header of the module above says what the values mean.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use weir_cache::Target;

use crate::cover;
use crate::instant::parse_secs;
use crate::net;
use crate::query;
use crate::refusal::{Reason, Refusal};
use crate::request::{Moment, Request};
use crate::secret::Key;

const EXPIRES: &str = "weir-exp";
const NOT_BEFORE: &str = "weir-nbf";
const CLIENT: &str = "weir-ip";
const FOR: &str = "weir-for";
const KEY: &str = "weir-key";
const SIGNATURE: &str = "weir-sig";
pub(super) const NAMES: [&str; 6] = [EXPIRES, NOT_BEFORE, CLIENT, FOR, KEY, SIGNATURE];

/// What a proof claims, as it is written.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) expires: &'a str,
    pub(super) not_before: &'a str,
    pub(super) client: &'a str,
    pub(super) covers: Covers,
    pub(super) key: &'a str,
}

#[derive(Debug)]
pub(super) enum Covers {
    Exact,
    Path(String),
    Prefix(String),
}

/// Says whether the query has a proof, or a part of one.
pub(super) fn has_proof(query: Option<&str>) -> Result<bool, Refusal> {
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
pub(super) fn all_known(proof: Option<&str>) -> Result<(), Refusal> {
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

pub(super) fn check_signature(key: &Key, text: &str, proof: Option<&str>) -> Result<(), Refusal> {
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
    pub(super) fn parse(proof: Option<&'a str>) -> Result<Self, Refusal> {
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
    pub(super) fn text(&self, target: &Target, query: Option<&str>) -> String {
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
    pub(super) fn check(&self, request: Request<'_>, moment: Moment) -> Result<i64, Refusal> {
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

    pub(super) fn write(&self, signature: &str) -> String {
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
            proof.push_str(&format!("&{name}={value}"));
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
