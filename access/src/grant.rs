//! What follows from an accepted signature?
//!
//! A [`Grant`] has the target as it is to be looked up and sent upstream: without what proved the
//! right to ask, which differs for every viewer and would split the cache. It also says what else
//! of the proof a request carries, so that an origin is not handed credentials.
//!
//! # Invariant
//!
//! The target of a grant is the one that was verified, less parameters of the signature and a
//! leading part of its path. Nothing is added to it.

use std::sync::Arc;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};
use weir_cache::{Target, UnixTime};

use crate::query;
use crate::refusal::Refusal;

/// What of a request belongs to the signature, whether or not the present one has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strip {
    /// Names of query parameters.
    pub parameters: Vec<String>,
    /// Names of cookies.
    pub cookies: Vec<String>,
    /// Names of header fields.
    pub headers: Vec<HeaderName>,
}

impl Strip {
    pub(crate) fn parameters(names: &[&str]) -> Arc<Self> {
        let parameters = names.iter().map(|name| (*name).to_owned()).collect();
        Arc::new(Self { parameters, ..Self::default() })
    }

    /// Removes cookies and fields of the signature from a request that goes upstream.
    pub fn strip_headers(&self, headers: &mut HeaderMap) {
        for name in &self.headers {
            headers.remove(name);
        }
        if self.cookies.is_empty() || !headers.contains_key(COOKIE) {
            return;
        }
        let lines: Vec<HeaderValue> =
            headers.get_all(COOKIE).iter().filter_map(|line| self.without_cookies(line)).collect();
        headers.remove(COOKIE);
        for line in lines {
            headers.append(COOKIE, line);
        }
    }

    fn without_cookies(&self, line: &HeaderValue) -> Option<HeaderValue> {
        let ours = |pair: &[u8]| {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or(pair).trim_ascii();
            self.cookies.iter().any(|cookie| cookie.as_bytes() == name)
        };
        let pairs: Vec<&[u8]> = line.as_bytes().split(|byte| *byte == b';').collect();
        if !pairs.iter().any(|pair| ours(pair)) {
            return Some(line.clone());
        }
        let kept: Vec<&[u8]> =
            pairs.into_iter().map(<[u8]>::trim_ascii).filter(|pair| !ours(pair)).collect();
        let kept = kept.join(&b"; "[..]);
        if kept.is_empty() { None } else { HeaderValue::from_bytes(&kept).ok() }
    }
}

/// Proof that a signature was accepted, and for what.
#[derive(Debug, Clone)]
pub struct Grant {
    target: Target,
    strip: Arc<Strip>,
    key: Arc<str>,
    expires: Option<UnixTime>,
}

impl Grant {
    /// Makes the grant of a verified `target`, of whose path everything before `path` was proof.
    pub(crate) fn new(
        target: &Target,
        path: &str,
        strip: &Arc<Strip>,
        key: Arc<str>,
        expires: Option<i64>,
    ) -> Result<Self, Refusal> {
        let wire = match query::without(target.query(), &strip.parameters) {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let target = Target::parse(target.scheme(), target.host(), &wire)
            .map_err(|problem| Refusal::malformed(format!("what is left of the URL: {problem}")))?;
        let expires = expires.map(UnixTime::from_secs);
        Ok(Self { target, strip: Arc::clone(strip), key, expires })
    }

    /// What is to be looked up and sent upstream.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Gives the target up.
    pub fn into_target(self) -> Target {
        self.target
    }

    /// What of the request belongs to the signature.
    pub fn strip(&self) -> &Strip {
        &self.strip
    }

    /// Id of the key that fits, for counters that tell when an old key is used no more.
    pub fn key_id(&self) -> &str {
        &self.key
    }

    /// Until when the signature is right, without tolerance; `None` if it ends never.
    pub const fn expires(&self) -> Option<UnixTime> {
        self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cookies_of_the_signature_go() {
        let strip = Strip {
            cookies: vec!["weir-token".to_owned()],
            headers: vec![HeaderName::from_static("hdnts")],
            ..Strip::default()
        };
        // (lines, expected)
        let cases: &[(&[&str], &[&str])] = &[
            (&["a=1; weir-token=x; b=2"], &["a=1; b=2"]),
            (&["weir-token=x"], &[]),
            (&["weir-token=x;weir-token=y", "c=3"], &["c=3"]),
            (&["a=weir-token=x;  b"], &["a=weir-token=x;  b"]),
            (&["weir-token"], &[]),
        ];
        for &(lines, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert("hdnts", HeaderValue::from_static("x"));
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_static(line));
            }
            strip.strip_headers(&mut headers);
            let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
            assert_eq!(left, expected, "{lines:?}");
            assert!(!headers.contains_key("hdnts"));
        }
    }
}
