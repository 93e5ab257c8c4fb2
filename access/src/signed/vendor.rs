//! What the four forms of Alibaba Cloud and Tencent Cloud have in common.
//!
//! All name when a URL was signed; how long it is right after that is a setting of the verifier. All digest the
//! path in its normal form, as it is in a URL: escapes stay escapes.

use std::sync::Arc;
use std::time::Duration;

use weir_cache::Target;

use crate::grant::{Grant, Strip};
use crate::refusal::{Reason, Refusal};
use crate::request::Moment;
use crate::secret::KeyRing;
use crate::signed::md5::{Part, describe, find_key, parse_hex};

/// A proof that was read and is to be checked.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    /// The path less the proof.
    pub(crate) path: &'a str,
    /// What is digested.
    pub(crate) parts: &'a [Part<'a>],
    /// The digest, as it is written.
    pub(crate) digest: &'a str,
    /// When it was signed; `None` if that cannot be read.
    pub(crate) signed_at: Option<i64>,
    /// What the time should look like.
    pub(crate) time_expected: &'a str,
}

impl Claim<'_> {
    /// Checks digest and validity.
    pub(crate) fn check(
        &self,
        target: &Target,
        keys: &KeyRing,
        (moment, validity): (Moment, Duration),
        strip: &Arc<Strip>,
    ) -> Result<Grant, Refusal> {
        let signed_at = self
            .signed_at
            .ok_or_else(|| Refusal::malformed(format!("the time is not {}", self.time_expected)))?;
        let digest = parse_hex(self.digest).ok_or_else(|| {
            Refusal::malformed("the digest is not 32 hexadecimal digits in lower case")
        })?;
        let key = find_key(keys, self.parts, digest).ok_or_else(|| {
            let parts = describe(self.parts);
            let ids = keys.ids();
            let wanted = format!("md5 of {parts} with none of the keys {ids} is the digest");
            Refusal::new(Reason::WrongSignature, wanted)
        })?;
        let validity = i64::try_from(validity.as_secs()).unwrap_or(i64::MAX);
        let expires = signed_at.saturating_add(validity);
        if moment.is_after(expires) {
            let found = format!("signed at {signed_at}, right until {expires}");
            return Err(Refusal::new(Reason::Expired, found));
        }
        Grant::new(target, self.path, strip, key.shared_id(), Some(expires))
    }
}

/// Splits `/first/second/rest` into `first`, `second` and `/rest`.
pub(crate) fn split_two(path: &str) -> Option<(&str, &str, &str)> {
    let (first, after) = path.strip_prefix('/')?.split_once('/')?;
    let second_bytes = after.find('/')?;
    let (second, rest) = after.split_at_checked(second_bytes)?;
    Some((first, second, rest))
}
