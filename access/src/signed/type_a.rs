//! Type A of Alibaba Cloud and Tencent Cloud: one parameter, `time-rand-uid-md5`.
//!
//! ```text
//! /file?auth_key=<time>-<rand>-<uid>-md5(<path>-<time>-<rand>-<uid>-<secret>)
//! ```
//!
//! The dashes are unambiguous because rand, uid and secret consist of letters and digits.

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

/// Bytes of the longest rand or uid.
const WORD_MAX: usize = 100;

/// Type A.
#[derive(Debug, Clone)]
pub struct TypeA {
    parameter: String,
    time: TimeForm,
    validity: Duration,
    strip: Arc<Strip>,
}

impl TypeA {
    /// As Alibaba Cloud has it: the parameter `auth_key`.
    pub fn alibaba(validity: Duration) -> Self {
        Self::new("auth_key", TimeForm::Decimal, validity)
    }

    /// As Tencent Cloud has it: the parameter `sign`.
    pub fn tencent(validity: Duration) -> Self {
        Self::new("sign", TimeForm::Decimal, validity)
    }

    /// With a parameter of another name, or the time in another form.
    pub fn new(parameter: &str, time: TimeForm, validity: Duration) -> Self {
        let strip = Strip::parameters(&[parameter]);
        Self { parameter: parameter.to_owned(), time, validity, strip }
    }

    /// Checks the parameter.
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
        let name = &self.parameter;
        let value = query::one(request.target.query(), name)?.ok_or_else(|| {
            Refusal::new(Reason::Missing, format!("no parameter {name}=time-rand-uid-md5"))
        })?;
        let mut fields = value.split('-');
        let fields = [fields.next(), fields.next(), fields.next(), fields.next(), fields.next()];
        let [Some(time), Some(rand), Some(uid), Some(digest), None] = fields else {
            return Err(Refusal::malformed(format!("{name} is not time-rand-uid-md5")));
        };
        if !is_word(rand) || !is_word(uid) {
            return Err(Refusal::malformed("rand and uid are not up to 100 letters and digits"));
        }
        let path = request.target.path();
        let claim = Claim {
            path,
            parts: &parts(path, time, rand, uid),
            digest,
            signed_at: self.time.parse(time),
            time_expected: self.time.expected(),
        };
        claim.check(request.target, keys, (moment, self.validity), &self.strip)
    }

    /// Makes the URL of `target` as signed at `time`. `rand` makes URLs differ; it may be `0`.
    ///
    /// # Errors
    ///
    /// [`SignError`] if the time cannot be written, or `rand` has other characters than letters and digits.
    pub fn sign(
        &self,
        key: &Key,
        target: &Target,
        time: UnixTime,
        rand: &str,
    ) -> Result<String, SignError> {
        if !is_word(rand) {
            return Err(SignError::BadWord);
        }
        let time = self.time.format(time.as_secs()).ok_or(SignError::TimeOutOfRange)?;
        let digest = hex(digest(&parts(target.path(), &time, rand, "0"), key.secret()));
        let added = format!("{}={time}-{rand}-0-{digest}", self.parameter);
        Ok(with_parameters(target, &self.strip, &added))
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= WORD_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn parts<'a>(path: &'a str, time: &'a str, rand: &'a str, uid: &'a str) -> [Part<'a>; 9] {
    let dash = Part::Text("-");
    let [path, time, rand, uid] = [path, time, rand, uid].map(Part::Text);
    [path, dash, time, dash, rand, dash, uid, dash, Part::Secret]
}
