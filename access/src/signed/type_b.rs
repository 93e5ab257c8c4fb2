//! Type B of Alibaba Cloud and Tencent Cloud: time and digest before the path.
//!
//! ```text
//! /<YYYYMMDDHHMM>/md5(<secret><YYYYMMDDHHMM><path>)/<path>
//! ```
//!
//! The minute is one of UTC+8, where both have their clocks. All digits are there, so that none can be taken for one
//! of the path, which begins with a slash.

use std::sync::Arc;
use std::time::Duration;

use weir_cache::{Target, UnixTime};

use crate::grant::{Grant, Strip};
use crate::instant::{format_minute, parse_minute};
use crate::refusal::{Reason, Refusal};
use crate::request::{Moment, Request};
use crate::secret::{Key, KeyRing};
use crate::signed::md5::{Part, digest, hex, parse_hex};
use crate::signed::vendor::{Claim, split_two};
use crate::signed::{SignError, with_path};

/// Type B.
#[derive(Debug, Clone)]
pub struct TypeB {
    validity: Duration,
    strip: Arc<Strip>,
}

impl TypeB {
    /// As both have it.
    pub fn new(validity: Duration) -> Self {
        Self { validity, strip: Strip::parameters(&[]) }
    }

    /// The path behind what has the shape of a time and a digest.
    pub(crate) fn inner_path(path: &str) -> Option<&str> {
        let (time, digest, inner) = split_two(path)?;
        (parse_minute(time).is_some() && parse_hex(digest).is_some()).then_some(inner)
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
        let (time, digest, path) = split_two(request.target.path())
            .ok_or_else(|| Refusal::new(Reason::Missing, "the path is not /time/md5/path"))?;
        let claim = Claim {
            path,
            parts: &parts(time, path),
            digest,
            signed_at: parse_minute(time),
            time_expected: "YYYYMMDDHHMM",
        };
        claim.check(request.target, keys, (moment, self.validity), &self.strip)
    }

    /// Makes the URL of `target` as signed in the minute of `time`.
    ///
    /// # Errors
    ///
    /// [`SignError::TimeOutOfRange`].
    pub fn sign(&self, key: &Key, target: &Target, time: UnixTime) -> Result<String, SignError> {
        let time = format_minute(time.as_secs()).ok_or(SignError::TimeOutOfRange)?;
        let path = target.path();
        let digest = hex(digest(&parts(&time, path), key.secret()));
        Ok(with_path(target, &format!("/{time}/{digest}{path}")))
    }
}

fn parts<'a>(time: &'a str, path: &'a str) -> [Part<'a>; 3] {
    [Part::Secret, Part::Text(time), Part::Text(path)]
}
