//! nginx's `secure_link`: base64url of the MD5 of an expression.
//!
//! ```text
//! secure_link $arg_md5,$arg_expires;                                    # in nginx
//! secure_link_md5 "$secure_link_expires$uri$remote_addr the-secret";
//! "$secure_link_expires$uri$remote_addr $secret"                        # here
//! ```
//!
//! nginx digests the *decoded* path, so that one signature is right for every path that decodes to the same bytes.
//! Here a path is refused where decoding would lose something (`%2F` and `/`, `%26` and `&`): what is left
//! decodes to bytes that no other path in normal form decodes to. `$path` is the path as it is in the URL, for
//! signers that can choose; it has no such limit.

use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use weir_cache::{Target, UnixTime};

use crate::grant::{Grant, Strip};
use crate::instant::TimeForm;
use crate::query::{self, decode_bytes, escapes_of};
use crate::refusal::{Reason, Refusal};
use crate::request::{Moment, Request};
use crate::secret::{Key, KeyRing};
use crate::signed::md5::{Part, describe, digest, find_key};
use crate::signed::{SignError, with_parameters};

/// What is digested: texts and variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Variable(Variable),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Expires,
    Host,
    Path,
    RemoteAddr,
    Scheme,
    Secret,
    Uri,
}

const VARIABLES: &str =
    "$secure_link_expires $expires $uri $path $host $scheme $remote_addr $secret";

/// Why a text is no expression, with what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadExpression {
    /// There is no path in it, so that one signature would be right for everything.
    #[error("is without the path (expected $uri or $path in it)")]
    NoPath,
    /// There is no secret in it.
    #[error("is without the secret (expected $secret where nginx has the secret itself)")]
    NoSecret,
    /// A variable that is not known here.
    #[error("has ${0}, which is unknown (expected {VARIABLES})")]
    UnknownVariable(String),
}

impl FromStr for Expression {
    type Err = BadExpression;

    fn from_str(text: &str) -> Result<Self, BadExpression> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('$') {
            pieces.push(Piece::Literal(literal.to_owned()));
            let (name, behind) = split_name(after);
            pieces.push(Piece::Variable(variable(name)?));
            rest = behind;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        pieces.retain(|piece| !matches!(piece, Piece::Literal(text) if text.is_empty()));
        let expression = Self(pieces);
        if !expression.has(Variable::Uri) && !expression.has(Variable::Path) {
            return Err(BadExpression::NoPath);
        }
        if !expression.has(Variable::Secret) {
            return Err(BadExpression::NoSecret);
        }
        Ok(expression)
    }
}

/// Splits `name...` or `{name}...` behind its name.
fn split_name(text: &str) -> (&str, &str) {
    if let Some((name, behind)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        return (name, behind);
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn variable(name: &str) -> Result<Variable, BadExpression> {
    match name {
        "secure_link_expires" | "arg_expires" | "expires" => Ok(Variable::Expires),
        "host" => Ok(Variable::Host),
        "path" => Ok(Variable::Path),
        "remote_addr" => Ok(Variable::RemoteAddr),
        "scheme" => Ok(Variable::Scheme),
        "secret" => Ok(Variable::Secret),
        "uri" | "document_uri" => Ok(Variable::Uri),
        unknown => Err(BadExpression::UnknownVariable(unknown.to_owned())),
    }
}

impl Expression {
    fn has(&self, variable: Variable) -> bool {
        self.0.contains(&Piece::Variable(variable))
    }

    /// Whether a signature ends at a time.
    pub fn expires(&self) -> bool {
        self.has(Variable::Expires)
    }

    fn parts<'a>(&'a self, values: &'a Values) -> Vec<Part<'a>> {
        let part = |piece: &'a Piece| match piece {
            Piece::Literal(text) => Part::Text(text),
            Piece::Variable(Variable::Expires) => Part::Text(&values.expires),
            Piece::Variable(Variable::Host) => Part::Text(&values.host),
            Piece::Variable(Variable::Path) => Part::Text(&values.path),
            Piece::Variable(Variable::RemoteAddr) => Part::Text(&values.client),
            Piece::Variable(Variable::Scheme) => Part::Text(values.scheme),
            Piece::Variable(Variable::Secret) => Part::Secret,
            Piece::Variable(Variable::Uri) => Part::Bytes(&values.uri),
        };
        self.0.iter().map(part).collect()
    }
}

/// What the variables stand for in one request.
#[derive(Debug)]
struct Values {
    expires: String,
    host: String,
    path: String,
    uri: Vec<u8>,
    client: String,
    scheme: &'static str,
}

impl Values {
    fn new(target: &Target, client: &str, expires: &str) -> Self {
        Self {
            expires: expires.to_owned(),
            host: target.host_without_port().to_owned(),
            path: target.path().to_owned(),
            uri: decode_bytes(target.path()).collect(),
            client: client.to_owned(),
            scheme: target.scheme().as_str(),
        }
    }
}

/// nginx's `secure_link` with `secure_link_md5`.
#[derive(Debug, Clone)]
pub struct SecureLink {
    expression: Expression,
    digest: String,
    expires: String,
    strip: Arc<Strip>,
}

impl SecureLink {
    /// Takes the expression, and the parameters of digest and expiry (`$arg_md5,$arg_expires`: `md5`, `expires`).
    ///
    /// The second is stripped also where the expression does not use it.
    pub fn new(expression: Expression, [digest, expires]: [&str; 2]) -> Self {
        let strip = Strip::parameters(&[digest, expires]);
        Self { expression, digest: digest.to_owned(), expires: expires.to_owned(), strip }
    }

    /// Checks the parameters.
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
        let given = query::one(target.query(), &self.digest)?;
        let expires = query::one(target.query(), &self.expires)?;
        let given = given.ok_or_else(|| {
            Refusal::new(Reason::Missing, format!("no parameter {}", self.digest))
        })?;
        let given = URL_SAFE_NO_PAD.decode(given).ok().and_then(|bytes| bytes.try_into().ok());
        let given: [u8; 16] = given.ok_or_else(|| {
            Refusal::malformed(format!("{} is not 22 characters of base64url", self.digest))
        })?;
        let until = self.until(expires)?;
        if self.expression.has(Variable::Uri) && loses_by_decoding(target.path()) {
            return Err(Refusal::malformed(
                "the path has an escape that cannot be told from the plain character in $uri; sign $path",
            ));
        }
        let client = request.address().to_string();
        let values = Values::new(target, &client, expires.unwrap_or_default());
        let parts = self.expression.parts(&values);
        let key = find_key(keys, &parts, given).ok_or_else(|| {
            let (parts, ids) = (describe(&parts), keys.ids());
            let wanted = format!("md5 of {parts} with none of the keys {ids} is {}", self.digest);
            Refusal::new(Reason::WrongSignature, wanted)
        })?;
        if let Some(until) = until.filter(|until| moment.is_after(*until)) {
            return Err(Refusal::new(Reason::Expired, format!("right until {until}")));
        }
        Grant::new(target, target.path(), &self.strip, key.shared_id(), until)
    }

    /// Reads the expiry, if the expression has one.
    fn until(&self, expires: Option<&str>) -> Result<Option<i64>, Refusal> {
        match (self.expression.expires(), expires) {
            (true, Some(text)) => TimeForm::Decimal.parse(text).map(Some).ok_or_else(|| {
                Refusal::malformed(format!("{} is not 10 decimal digits", self.expires))
            }),
            (true, None) => Err(Refusal::malformed(format!("no parameter {}", self.expires))),
            // nobody signed it.
            (false, Some(_)) => Err(Refusal::malformed(format!("{} is not signed", self.expires))),
            (false, None) => Ok(None),
        }
    }

    /// Makes the URL of `target` that is right until `expires`, for a client of this address.
    ///
    /// Both are left out where the expression does not have them.
    ///
    /// # Errors
    ///
    /// [`SignError`] if a time or a path cannot be written.
    pub fn sign(
        &self,
        key: &Key,
        target: &Target,
        expires: UnixTime,
        client: &str,
    ) -> Result<String, SignError> {
        if self.expression.has(Variable::Uri) && loses_by_decoding(target.path()) {
            return Err(SignError::AmbiguousPath);
        }
        let time = TimeForm::Decimal.format(expires.as_secs()).ok_or(SignError::TimeOutOfRange)?;
        let values = Values::new(target, client, &time);
        let digest = digest(&self.expression.parts(&values), key.secret());
        let mut added = format!("{}={}", self.digest, URL_SAFE_NO_PAD.encode(digest));
        if self.expression.expires() {
            added.push_str(&format!("&{}={time}", self.expires));
        }
        Ok(with_parameters(target, &self.strip, &added))
    }
}

/// Whether another path in normal form decodes to the same bytes as `path`.
///
/// Visible ASCII stands for itself in a path, except for these, which only an escape can write.
fn loses_by_decoding(path: &str) -> bool {
    escapes_of(path)
        .any(|byte| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'#' | b'?' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_with_everything_that_is_unknown_named() {
        let sound = |text: &str| text.parse::<Expression>();
        assert!(sound("$secure_link_expires$uri$remote_addr $secret").unwrap().expires());
        assert!(!sound("${path}x${secret}").unwrap().expires());
        assert_eq!(sound("$expires $secret").unwrap_err(), BadExpression::NoPath);
        assert_eq!(sound("$uri secret").unwrap_err(), BadExpression::NoSecret);
        for (text, name) in [("$uri$cookie_x $secret", "cookie_x"), ("$", ""), ("${uri", "")] {
            assert_eq!(sound(text).unwrap_err(), BadExpression::UnknownVariable(name.to_owned()));
        }
    }

    #[test]
    fn paths_that_decode_alike_are_not_told_apart_by_luck() {
        for path in ["/a%2Fb", "/a%26b", "/%22", "/a%3Bb"] {
            assert!(loses_by_decoding(path), "{path}");
        }
        for path in ["/a/b", "/caf%C3%A9", "/a%20b", "/a%25b", "/a%3Fb%23", "/%00"] {
            assert!(!loses_by_decoding(path), "{path}");
        }
    }
}
