//! What is sent for one request, and in which steps?
//!
//! An [`Answer`] is data: head, body and a [`Plan`] that says when and how much of them goes out
//! and how it ends. `deliver` carries it out.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::{fields::Fields, gate::Hold, request::Refused, source::Source};

/// A response, whole or broken on purpose.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Written with three digits, whatever it is.
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) source: Source,
    pub(crate) length: Length,
    /// Whether a Date field is added (RFC 9110 §6.6.1 asks for it).
    pub(crate) dated: bool,
    pub(crate) plan: Plan,
}

/// How the head says where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// The true Content-Length.
    Actual,
    Chunked,
    /// This Content-Length, true or not.
    Declared(u64),
    /// Not at all: the end of the connection ends the body.
    Unsaid,
}

/// When and how much of an answer goes out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
    pub(crate) pace: Option<Pace>,
    /// Sent after the last chunk; needs [`Length::Chunked`].
    pub(crate) trailers: Fields,
}

/// One step of a plan.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Delay(Duration),
    /// The head if it is still due, the rest of the body and what ends it.
    Finish,
    Hold(Hold),
    /// An interim response (RFC 9110 §15.2), or a 101.
    Inform(u16, Fields),
    /// These bytes and nothing else.
    Raw(Bytes),
    /// The head if it is still due and up to so many further bytes of the body.
    Send(u64),
}

/// What happens to the connection after the steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// FIN, announced or not.
    Close,
    /// The answer is finished and the connection serves the next request if it can.
    #[default]
    Keep,
    /// RST.
    Reset,
}

/// Body bytes go out `bytes` at a time with a pause of `every` between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) bytes: u64,
    pub(crate) every: Duration,
}

impl Pace {
    /// Shortest pause that a timer keeps well.
    const PAUSE_MIN: Duration = Duration::from_millis(20);

    /// Spreads `len` bytes evenly over `over`. A body of one byte cannot be spread.
    pub(crate) fn spread(len: u64, over: Duration) -> Self {
        let pieces = over.as_millis() / Self::PAUSE_MIN.as_millis();
        let pieces = u64::try_from(pieces).unwrap_or(u64::MAX).clamp(2, len.max(2));
        let bytes = len.div_ceil(pieces).max(1);
        let pauses = u32::try_from(len.div_ceil(bytes).saturating_sub(1)).unwrap_or(u32::MAX);
        Self { bytes, every: over / pauses.max(1) }
    }
}

impl Answer {
    /// A plain answer with these fields and this body, and a Date.
    pub(crate) fn new(status: u16, source: Source) -> Self {
        Self {
            status,
            fields: Fields::default(),
            source,
            length: Length::Actual,
            dated: true,
            plan: Plan { steps: vec![Step::Finish], ..Plan::default() },
        }
    }

    /// An answer of one line of text, without a Cache-Control of its own.
    pub(crate) fn text(status: u16, text: &str) -> Self {
        let mut answer = Self::new(status, Source::Bytes(format!("{text}\n").into()));
        answer.fields.push("Content-Type", "text/plain; charset=utf-8");
        answer
    }

    /// An answer of the control paths; never to be stored.
    pub(crate) fn json(status: u16, document: &Value) -> Self {
        let mut answer = Self::new(status, Source::Bytes(format!("{document}\n").into()));
        answer.fields.push("Content-Type", "application/json");
        answer.fields.push("Cache-Control", "no-store");
        answer
    }

    /// Tells the client why its request was refused, and closes.
    pub(crate) fn refusal(refused: &Refused) -> Self {
        Self::text(refused.status, &refused.text).with("Connection", "close")
    }

    /// A 405 that names what is allowed (RFC 9110 §15.5.6).
    pub(crate) fn method_not_allowed(allowed: &str) -> Self {
        Self::text(405, &format!("allowed here: {allowed}")).with("Allow", allowed)
    }

    /// The same answer with one more field.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push(name, value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_takes_the_time_asked_for_and_covers_the_body() {
        for (len, ms) in [(2, 5), (10, 100), (1_000, 1_000), (1 << 30, 60_000), (7, 600_000)] {
            let over = Duration::from_millis(ms);
            let pace = Pace::spread(len, over);
            let pauses = u32::try_from(len.div_ceil(pace.bytes) - 1).unwrap();
            let took = pace.every * pauses;
            assert!(over.abs_diff(took) < Duration::from_millis(1), "{len} bytes: {took:?}");
        }
        assert_eq!(Pace::spread(0, Duration::from_secs(1)).bytes, 1, "never stuck on empty pieces");
    }
}
