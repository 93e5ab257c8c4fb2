//! Type D of Tencent Cloud, and the second form of Alibaba Cloud's type C: two parameters.
//!
//! ```text
//! /file?sign=md5(<secret><path><time>)&t=<time>
//! /file?KEY1=md5(<secret><path><time>)&KEY2=<time in hexadecimal>
//! ```
//!
//! The time has one length, so that no digit can be moved between it and the end of the path.

use std::sync::Arc;
use std::time::Duration;

use weir_cache::{Target, UnixTime};

use crate::grant::{Grant, Strip};
use crate::instant::TimeForm;
use crate::query;
use crate::refusal::{Reason, Refusal};
use crate::request::{Moment, Request};
use crate::secret::{Key, KeyRing};
use crate::signed::md5::{Part, digest, hex};
use crate::signed::vendor::Claim;
use crate::signed::{SignError, with_parameters};

/// Type D.
#[derive(Debug, Clone)]
pub struct TypeD {
    digest: String,
    instant: String,
    time: TimeForm,
    validity: Duration,
    strip: Arc<Strip>,
}

impl TypeD {
    /// As Tencent Cloud has it: the parameters `sign` and `t`.
    pub fn tencent(time: TimeForm, validity: Duration) -> Self {
        Self::new(["sign", "t"], time, validity)
    }

    /// As Alibaba Cloud has type C in the query: the parameters `KEY1` and `KEY2`.
    pub fn alibaba(validity: Duration) -> Self {
        Self::new(["KEY1", "KEY2"], TimeForm::Hex, validity)
    }

    /// With parameters of other names: that of the digest, then that of the time.
    pub fn new([digest, instant]: [&str; 2], time: TimeForm, validity: Duration) -> Self {
        let strip = Strip::parameters(&[digest, instant]);
        Self { digest: digest.to_owned(), instant: instant.to_owned(), time, validity, strip }
    }

    /// Checks the two parameters.
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
        let query = request.target.query();
        let found = (query::one(query, &self.digest)?, query::one(query, &self.instant)?);
        let (digest, time) = match found {
            (Some(digest), Some(time)) => (digest, time),
            (None, None) => {
                let wanted = format!("no parameters {} and {}", self.digest, self.instant);
                return Err(Refusal::new(Reason::Missing, wanted));
            }
            (None, Some(_)) => return Err(alone(&self.instant, &self.digest)),
            (Some(_), None) => return Err(alone(&self.digest, &self.instant)),
        };
        let path = request.target.path();
        let claim = Claim {
            path,
            parts: &parts(path, time),
            digest,
            signed_at: self.time.parse(time),
            time_expected: self.time.expected(),
        };
        claim.check(request.target, keys, (moment, self.validity), &self.strip)
    }

    /// Makes the URL of `target` as signed at `time`.
    ///
    /// # Errors
    ///
    /// [`SignError::TimeOutOfRange`].
    pub fn sign(&self, key: &Key, target: &Target, time: UnixTime) -> Result<String, SignError> {
        let time = self.time.format(time.as_secs()).ok_or(SignError::TimeOutOfRange)?;
        let digest = hex(digest(&parts(target.path(), &time), key.secret()));
        let added = format!("{}={digest}&{}={time}", self.digest, self.instant);
        Ok(with_parameters(target, &self.strip, &added))
    }
}

fn alone(there: &str, missing: &str) -> Refusal {
    Refusal::malformed(format!("there is {there}, but not {missing}"))
}

fn parts<'a>(path: &'a str, time: &'a str) -> [Part<'a>; 3] {
    [Part::Secret, Part::Text(path), Part::Text(time)]
}
