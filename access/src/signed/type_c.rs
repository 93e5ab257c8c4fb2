//! Type C of Alibaba Cloud and Tencent Cloud: digest and time before the path.
//!
//! ```text
//! /md5(<secret><path><time>)/<time>/<path>
//! ```
//!
//! The time has eight hexadecimal digits, no more and no less: one that is moved to it from the end of the path is
//! one too many. The form of Alibaba Cloud with the same two in the query is [`TypeD`](crate::TypeD).

use std::sync::Arc;
use std::time::Duration;

use weir_cache::{Target, UnixTime};

use crate::grant::{Grant, Strip};
use crate::instant::TimeForm;
use crate::refusal::{Reason, Refusal};
use crate::request::{Moment, Request};
use crate::secret::{Key, KeyRing};
use crate::signed::md5::{Part, digest, hex, parse_hex};
use crate::signed::vendor::{Claim, split_two};
use crate::signed::{SignError, with_path};

/// Type C, in the path.
#[derive(Debug, Clone)]
pub struct TypeC {
    validity: Duration,
    strip: Arc<Strip>,
}

impl TypeC {
    /// As both have it.
    pub fn new(validity: Duration) -> Self {
        Self { validity, strip: Strip::parameters(&[]) }
    }

    /// The path behind what has the shape of a digest and a time.
    pub(crate) fn inner_path(path: &str) -> Option<&str> {
        let (digest, time, inner) = split_two(path)?;
        (TimeForm::Hex.parse(time).is_some() && parse_hex(digest).is_some()).then_some(inner)
    }

    /// Checks the first two segments of the path.
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
        let (digest, time, path) = split_two(request.target.path())
            .ok_or_else(|| Refusal::new(Reason::Missing, "the path is not /md5/time/path"))?;
        let claim = Claim {
            path,
            parts: &parts(path, time),
            digest,
            signed_at: TimeForm::Hex.parse(time),
            time_expected: TimeForm::Hex.expected(),
        };
        claim.check(request.target, keys, (moment, self.validity), &self.strip)
    }

    /// Makes the URL of `target` as signed at `time`.
    ///
    /// # Errors
    ///
    /// [`SignError::TimeOutOfRange`].
    pub fn sign(&self, key: &Key, target: &Target, time: UnixTime) -> Result<String, SignError> {
        let time = TimeForm::Hex.format(time.as_secs()).ok_or(SignError::TimeOutOfRange)?;
        let path = target.path();
        let digest = hex(digest(&parts(path, &time), key.secret()));
        Ok(with_path(target, &format!("/{digest}/{time}{path}")))
    }
}

fn parts<'a>(path: &'a str, time: &'a str) -> [Part<'a>; 3] {
    [Part::Secret, Part::Text(path), Part::Text(time)]
}
