//! May this client ask for this target at all?
//!
//! A cache key can be derived only from a [`Granted`], and only [`check`] makes one. So a path on
//! which nobody asked this question cannot look anything up: it does not compile. How a refusal is
//! worded for the client and how it is logged belong to the callers.

use http::HeaderMap;
use http::Method;
use http::StatusCode;

use crate::target::Target;
use crate::time::UnixTime;

/// Rules of a site about who may ask. The empty set grants every target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessRules {}

/// Proof that the access checks passed for one target.
///
/// The field is private and [`check`] is the only constructor. Not `Clone`: one check, one look-up.
#[derive(Debug)]
pub struct Granted {
    target: Target,
}

impl Granted {
    /// Target that was granted.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Gives up the proof and keeps its target.
    pub fn into_target(self) -> Target {
        self.target
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied {
    /// CONNECT asks for a tunnel and TRACE for an echo of what may be secret (RFC 9110 §9.3.6,
    /// §9.3.8). Neither is a request for the target.
    #[error("the method is not allowed")]
    Method,
}

impl Denied {
    /// Names the reason in logs and counters; never shown to the client.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
        }
    }

    /// Status of the answer to the client.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

/// Checks a request for `target`, made at `now`, against the rules of its site.
///
/// # Errors
///
/// [`Denied`] by the first rule that refuses. Nothing may then be looked up or forwarded.
pub fn check(
    _rules: &AccessRules,
    method: &Method,
    _request_headers: &HeaderMap,
    target: Target,
    _now: UnixTime,
) -> Result<Granted, Denied> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Denied::Method);
    }
    Ok(Granted { target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Scheme;

    #[test]
    fn only_methods_that_ask_for_the_target_are_granted() {
        let target = Target::parse(Scheme::Http, "example.com", "/a").expect("well-formed");
        let extension = Method::from_bytes(b"trace").expect("a token");
        let cases = [
            (Method::GET, None, "asks for the target"),
            (Method::OPTIONS, None, "asks about the target"),
            (Method::POST, None, "acts on the target"),
            (extension, None, "methods are case-sensitive: this one is merely unknown"),
            (Method::CONNECT, Some(405), "asks for a tunnel"),
            (Method::TRACE, Some(405), "asks for an echo"),
        ];
        let (rules, now) = (AccessRules::default(), UnixTime::from_secs(0));
        for (method, expected, why) in cases {
            let checked = check(&rules, &method, &HeaderMap::new(), target.clone(), now);
            let status = checked.as_ref().err().map(|denied| denied.status().as_u16());
            assert_eq!(status, expected, "{why}: {method}");
            if let Ok(granted) = checked {
                assert_eq!(granted.target(), &target);
                assert_eq!(granted.into_target(), target);
            }
        }
    }
}
