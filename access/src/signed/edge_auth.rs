//! Akamai's EdgeAuth 2.0: a token of fields with an HMAC-SHA256 at its end.
//!
//! ```text
//! st=1700000000~exp=1700003600~acl=/video/*!/img/*~hmac=<64 hexadecimal digits>
//! ```
//!
//! The token is a query parameter, a cookie or a header field of one name; the first of these that has it counts.
//! What is signed is the token before `~hmac=`, then `~url=<path>` if it has no `acl`, then `~salt=<salt>` if there is
//! one. `acl` is a list of patterns for paths, apart by `!`, with `*` for any characters (slashes included) and `?`
//! for one. Neither covers the host or the query.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use http::HeaderName;
use weir_cache::{Target, UnixTime};

use crate::cookie;
use crate::cover::may_climb;
use crate::grant::{Grant, Strip};
use crate::instant::parse_secs;
use crate::query;
use crate::refusal::{Reason, Refusal};
use crate::request::{Moment, Request};
use crate::secret::{Key, KeyRing, Secret};
use crate::signed::{SignError, with_parameters};
use crate::wildcard::fits_exactly;

/// Bytes of the longest token.
const TOKEN_MAX: usize = 4096;

/// EdgeAuth 2.0. Its keys are written in hexadecimal: see [`Secret::from_hex`].
#[derive(Debug, Clone)]
pub struct EdgeAuth {
    name: HeaderName,
    spelling: String,
    salt: Option<Secret>,
    escape_early: bool,
    strip: Arc<Strip>,
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EdgeScope {
    /// Paths that fit one of these patterns.
    Acl(Vec<String>),
    /// This path.
    Url,
}

/// What a token is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeTerms {
    /// Last second at which it is right.
    pub expires: UnixTime,
    /// First second at which it is right.
    pub start: Option<UnixTime>,
    /// Where the client must come from.
    pub client: Option<IpAddr>,
    /// What it is for.
    pub scope: EdgeScope,
}

/// The fields of a token, as they are written.
#[derive(Debug, Default)]
struct Fields<'a> {
    ip: Option<&'a str>,
    st: Option<&'a str>,
    exp: Option<&'a str>,
    acl: Option<&'a str>,
    id: Option<&'a str>,
    data: Option<&'a str>,
}

impl EdgeAuth {
    /// Takes the name of parameter, cookie and field (`hdnts`, `__token__`), and the salt.
    ///
    /// `escape_early` is the setting of that name of the signer: `url` is signed with its characters escaped.
    /// `None` if the name cannot be that of a header field.
    pub fn new(name: &str, salt: Option<Secret>, escape_early: bool) -> Option<Self> {
        let field = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let names = vec![name.to_owned()];
        let strip =
            Strip { parameters: names.clone(), cookies: names, headers: vec![field.clone()] };
        let strip = Arc::new(strip);
        Some(Self { name: field, spelling: name.to_owned(), salt, escape_early, strip })
    }

    /// Checks the token.
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
        let token = self.token(request)?;
        let (signed, digest) = token
            .rsplit_once("~hmac=")
            .ok_or_else(|| Refusal::malformed("the token does not end in ~hmac=..."))?;
        let fields = Fields::parse(signed)?;
        let tag = Secret::from_hex(digest)
            .ok()
            .filter(|tag| {
                tag.bytes().len() == 32 && !digest.bytes().any(|b| b.is_ascii_uppercase())
            })
            .ok_or_else(|| Refusal::malformed("hmac is not 64 hexadecimal digits in lower case"))?;
        let url = if fields.acl.is_none() { Some(target.path()) } else { None };
        let text = self.text(signed, url);
        let fits = |key: &Key| hmac::verify(key.hmac(), &text, tag.bytes()).is_ok();
        let key = keys.find_by(fits).ok_or_else(|| {
            let url = url.map(|url| format!("~url={}", self.escaped(url))).unwrap_or_default();
            let salt = if self.salt.is_some() { "~salt=<salt>" } else { "" };
            let ids = keys.ids();
            let wanted =
                format!("with one of the keys {ids} had to be signed: {signed}{url}{salt}");
            Refusal::new(Reason::WrongSignature, wanted)
        })?;
        let expires = fields.check(request, moment)?;
        Grant::new(target, target.path(), &self.strip, key.shared_id(), Some(expires))
    }

    fn token<'a>(&self, request: Request<'a>) -> Result<&'a str, Refusal> {
        let in_query = query::one(request.target.query(), &self.spelling)?;
        let in_cookie = cookie::one(request.headers, &self.spelling)?;
        let in_field = cookie::field(request.headers, &self.name)?;
        let token = in_query.or(in_cookie).or(in_field).ok_or_else(|| {
            let name = &self.name;
            Refusal::new(Reason::Missing, format!("no parameter, cookie or field {name}"))
        })?;
        if token.len() > TOKEN_MAX {
            return Err(Refusal::malformed("the token is longer than 4096 bytes"));
        }
        Ok(token)
    }

    /// What is signed.
    fn text(&self, signed: &str, url: Option<&str>) -> Vec<u8> {
        let mut text = signed.as_bytes().to_vec();
        if let Some(url) = url {
            text.extend_from_slice(b"~url=");
            text.extend_from_slice(self.escaped(url).as_bytes());
        }
        if let Some(salt) = &self.salt {
            text.extend_from_slice(b"~salt=");
            text.extend_from_slice(salt.bytes());
        }
        text
    }

    fn escaped(&self, url: &str) -> String {
        if !self.escape_early {
            return url.to_owned();
        }
        let mut escaped = String::new();
        for byte in url.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    escaped.push(char::from(byte));
                }
                _ => escaped.push_str(&format!("%{byte:02x}")),
            }
        }
        escaped
    }

    /// Makes the token for `target` that is accepted under `terms`, for a cookie or a field.
    ///
    /// # Errors
    ///
    /// [`SignError`] if a time or a pattern cannot be written.
    pub fn sign_token(
        &self,
        key: &Key,
        target: &Target,
        terms: &EdgeTerms,
    ) -> Result<String, SignError> {
        let secs = |time: UnixTime| {
            let text = time.as_secs().to_string();
            parse_secs(&text).map(|_| text).ok_or(SignError::TimeOutOfRange)
        };
        let mut fields = Vec::new();
        fields.extend(terms.client.map(|client| format!("ip={}", client.to_canonical())));
        if let Some(start) = terms.start {
            fields.push(format!("st={}", secs(start)?));
        }
        fields.push(format!("exp={}", secs(terms.expires)?));
        if let EdgeScope::Acl(patterns) = &terms.scope {
            let plain = |byte: u8| byte.is_ascii_graphic() && !b"!~&;,\"#".contains(&byte);
            if patterns.is_empty() || !patterns.iter().all(|text| text.bytes().all(plain)) {
                return Err(SignError::BadPattern);
            }
            fields.push(format!("acl={}", patterns.join("!")));
        }
        let signed = fields.join("~");
        let url = if terms.scope == EdgeScope::Url { Some(target.path()) } else { None };
        let tag = hmac::sign(key.hmac(), &self.text(&signed, url));
        let digest: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{signed}~hmac={digest}"))
    }

    /// Makes the URL of `target` with its token in the query.
    ///
    /// # Errors
    ///
    /// As [`EdgeAuth::sign_token`].
    pub fn sign(&self, key: &Key, target: &Target, terms: &EdgeTerms) -> Result<String, SignError> {
        let token = self.sign_token(key, target, terms)?;
        Ok(with_parameters(target, &self.strip, &format!("{}={token}", self.spelling)))
    }
}

impl<'a> Fields<'a> {
    fn parse(signed: &'a str) -> Result<Self, Refusal> {
        let mut fields = Self::default();
        for field in signed.split('~') {
            let (name, value) = field.split_once('=').ok_or_else(|| {
                Refusal::malformed("the token has a field without = (expected st=...~exp=...)")
            })?;
            let slot = match name {
                "ip" => &mut fields.ip,
                "st" => &mut fields.st,
                "exp" => &mut fields.exp,
                "acl" => &mut fields.acl,
                "id" => &mut fields.id,
                "data" => &mut fields.data,
                unknown => return Err(Refusal::malformed(format!("field {unknown} is unknown"))),
            };
            if slot.replace(value).is_some() {
                return Err(Refusal::malformed(format!("field {name} is there twice")));
            }
        }
        Ok(fields)
    }

    /// Checks what was signed against the request; returns the last second.
    fn check(&self, request: Request<'_>, moment: Moment) -> Result<i64, Refusal> {
        let secs = |text: &str, name: &str| {
            parse_secs(text)
                .ok_or_else(|| Refusal::malformed(format!("{name} is not seconds since 1970")))
        };
        let expires = self.exp.ok_or_else(|| Refusal::malformed("exp is not there"))?;
        let expires = secs(expires, "exp")?;
        if moment.is_after(expires) {
            return Err(Refusal::new(Reason::Expired, format!("right until {expires}")));
        }
        if let Some(start) = self.st.map(|start| secs(start, "st")).transpose()?
            && moment.is_before(start)
        {
            return Err(Refusal::new(Reason::NotYet, format!("right from {start}")));
        }
        let address = request.address();
        if let Some(ip) = self.ip
            && ip.parse::<IpAddr>().ok().map(|ip| ip.to_canonical()) != Some(address)
        {
            let found = format!("signed for {ip}, asked from {address}");
            return Err(Refusal::new(Reason::WrongClient, found));
        }
        let path = request.target.path();
        if let Some(acl) = self.acl
            && !acl.split('!').any(|pattern| covers(pattern, path))
        {
            let found = format!("signed for {acl}, asked for {path}");
            return Err(Refusal::new(Reason::PathNotCovered, found));
        }
        Ok(expires)
    }
}

fn covers(pattern: &str, path: &str) -> bool {
    let open = pattern.contains(['*', '?']);
    fits_exactly(pattern, path) && !(open && may_climb(path))
}
