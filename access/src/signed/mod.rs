//! Which formats of signed URLs and cookies are there, and is one of them satisfied?
//!
//! Each format is a type that verifies and signs. [`Signature`] is any of them with its live keys, which is what a site
//! is configured with. All look at the target in its normal form, the same that the cache key is made of, so that no
//! spelling of a path has a signature of its own and none slips past one.

pub(crate) mod cloudfront;
pub(crate) mod edge_auth;
mod md5;
pub(crate) mod secure_link;
pub(crate) mod type_a;
pub(crate) mod type_b;
pub(crate) mod type_c;
pub(crate) mod type_d;
mod vendor;
pub(crate) mod weir;

use weir_cache::Target;

use self::cloudfront::{CloudFront, PublicKeys};
use self::edge_auth::EdgeAuth;
use self::secure_link::SecureLink;
use self::type_a::TypeA;
use self::type_b::TypeB;
use self::type_c::TypeC;
use self::type_d::TypeD;
use self::weir::Weir;
use crate::grant::{Grant, Strip};
use crate::query;
use crate::refusal::Refusal;
use crate::request::{Moment, Request};
use crate::secret::KeyRing;

/// A format that signer and node share secrets for.
#[derive(Debug, Clone)]
pub enum Format {
    /// Akamai's EdgeAuth 2.0.
    EdgeAuth(EdgeAuth),
    /// nginx's `secure_link`.
    SecureLink(SecureLink),
    /// Type A of Alibaba Cloud and Tencent Cloud.
    TypeA(TypeA),
    /// Type B of both.
    TypeB(TypeB),
    /// Type C of both, in the path.
    TypeC(TypeC),
    /// Type D of Tencent Cloud; type C of Alibaba Cloud, in the query.
    TypeD(TypeD),
    /// Weir's own.
    Weir(Weir),
}

/// A format with the keys that are live.
#[derive(Debug, Clone)]
pub enum Signature {
    /// CloudFront's, with public keys.
    CloudFront(CloudFront, PublicKeys),
    /// Any other, with secrets.
    Shared(Format, KeyRing),
}

impl Signature {
    /// The path less what has the shape of a signature, for formats that put theirs there. Whether it is
    /// one is not said.
    pub(crate) fn inner_path<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self {
            Self::Shared(Format::TypeB(_), _) => TypeB::inner_path(path),
            Self::Shared(Format::TypeC(_), _) => TypeC::inner_path(path),
            Self::Shared(..) | Self::CloudFront(..) => None,
        }
    }

    /// Checks the signature of a request.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; to be answered like every other refusal.
    pub fn verify(&self, request: Request<'_>, moment: Moment) -> Result<Grant, Refusal> {
        match self {
            Self::CloudFront(format, keys) => format.verify(request, keys, moment),
            Self::Shared(format, keys) => match format {
                Format::EdgeAuth(format) => format.verify(request, keys, moment),
                Format::SecureLink(format) => format.verify(request, keys, moment),
                Format::TypeA(format) => format.verify(request, keys, moment),
                Format::TypeB(format) => format.verify(request, keys, moment),
                Format::TypeC(format) => format.verify(request, keys, moment),
                Format::TypeD(format) => format.verify(request, keys, moment),
                Format::Weir(format) => format.verify(request, keys, moment),
            },
        }
    }
}

/// Why something cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The format cannot say which of several paths is meant.
    #[error("the path has characters that this format cannot sign unambiguously")]
    AmbiguousPath,
    /// A pattern has characters with a meaning in the format.
    #[error("a pattern needs visible ASCII without ! ~ & ; , \" #, and there has to be one")]
    BadPattern,
    /// A key that does not sign.
    #[error("expected a private key in PEM without a password: RSA, or ECDSA on P-256")]
    BadPrivateKey,
    /// Characters that the format has a meaning for.
    #[error("expected up to 100 letters and digits")]
    BadWord,
    /// A cookie needs a path or a folder.
    #[error("a cookie is sent with many URLs; sign a path or a folder")]
    NeedsPath,
    /// The signature would not be right for the URL that carries it.
    #[error(
        "the URL is not below the folder that is signed, or the folder does not end in a slash"
    )]
    NotCovered,
    /// The format has no digits for such a time.
    #[error("the time cannot be written in this format")]
    TimeOutOfRange,
}

/// The URL of `target` with the parameters in `strip` replaced by `added`.
fn with_parameters(target: &Target, strip: &Strip, added: &str) -> String {
    let query = query::without(target.query(), &strip.parameters);
    let query = query::with(query.as_deref(), added);
    format!("{}://{}{}?{query}", target.scheme(), target.host(), target.path())
}

/// The URL of `target` with another path.
fn with_path(target: &Target, path: &str) -> String {
    match target.query() {
        Some(query) => format!("{}://{}{path}?{query}", target.scheme(), target.host()),
        None => format!("{}://{}{path}", target.scheme(), target.host()),
    }
}
