//! Have the bodies rotted since they were written?
//!
//! One step verifies one body; how often to step, and what to do about what is found, is the caller's
//! decision, who is told how much was read. Nothing is changed here.

use std::collections::VecDeque;
use std::io;

use super::Bodies;
use super::digest::Digest;
use super::error::BodyError;

/// Goes through all bodies again and again, in the order of their digests.
#[derive(Debug)]
pub(crate) struct Scrubber {
    bodies: Bodies,
    /// From where to look for more names; `None` at the begin of a round.
    from: Option<Digest>,
    /// Names found and not yet verified, at most those of one folder.
    ahead: VecDeque<Digest>,
    /// Whether no folder is left after `ahead`.
    at_end: bool,
}

/// A body that was looked at.
#[derive(Debug)]
pub(crate) struct Scrubbed {
    /// What it is called.
    pub(crate) digest: Digest,
    /// Bytes that were read of it, at most.
    pub(crate) bytes: u64,
    /// Whether it is what was written.
    pub(crate) result: Result<(), BodyError>,
}

impl Scrubber {
    /// Begins a round after the body `after`, or at the first.
    pub(crate) fn new(bodies: Bodies, after: Option<Digest>) -> Self {
        Self { bodies, from: after, ahead: VecDeque::new(), at_end: false }
    }

    /// Verifies the next body; `None` at the end of a round, after which the next one begins.
    ///
    /// Costs reading one whole body, and now and then the names of a folder.
    ///
    /// # Errors
    ///
    /// What the system says of a folder. The next step tries it again.
    pub(crate) fn step(&mut self) -> io::Result<Option<Scrubbed>> {
        loop {
            let Some(digest) = self.ahead.pop_front() else {
                if self.at_end {
                    (self.from, self.at_end) = (None, false);
                    return Ok(None);
                }
                let (names, next) = self.bodies.next_names(self.from)?;
                (self.ahead, self.from, self.at_end) = (names.into(), next, next.is_none());
                continue;
            };
            let scrubbed = self.bodies.scrub(digest);
            if !matches!(scrubbed.result, Err(BodyError::Missing)) {
                return Ok(Some(scrubbed));
            }
        }
    }
}

impl Bodies {
    /// Verifies one body, whatever its length.
    pub(crate) fn scrub(&self, digest: Digest) -> Scrubbed {
        match self.open_any(&digest) {
            Ok(body) => {
                let bytes = body.offset.saturating_add(body.length);
                Scrubbed { digest, bytes, result: body.verify() }
            }
            Err(error) => Scrubbed { digest, bytes: 0, result: Err(error) },
        }
    }
}
