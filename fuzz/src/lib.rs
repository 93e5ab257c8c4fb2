//! How the bytes of the fuzzer become messages, and what several targets check alike.
//!
//! An input is text, so that seeds and findings can be read: sections separated by empty lines, in
//! a section one field a line. Which section is what, each target says.

mod edits;
mod requests;
pub mod ways;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use weir_cache::{
    NotStorable, Now, Policy, RequestHead, ResponseHead, Seq, StoredHead, Timestamp, Timing,
    UnixTime,
};

pub use edits::edited;
pub use requests::{Asked, address, wild};

/// 2026-06-15T12:00:00Z, when responses arrive.
pub const ARRIVAL: UnixTime = UnixTime::from_secs(1_781_524_800);

/// The sections of one input, in order.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Takes the whole input.
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Takes the next section; empty when nothing is left.
    pub fn section(&mut self) -> &'a [u8] {
        self.split(b"\n\n")
    }

    /// Takes the next line; empty when nothing is left.
    pub fn line(&mut self) -> &'a [u8] {
        self.split(b"\n")
    }

    /// Takes the next line as text; bytes that are no UTF-8 become U+FFFD.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.line()).into_owned()
    }

    /// Takes the next line as a number below `bound`, whatever it holds.
    pub fn number(&mut self, bound: u64) -> u64 {
        let digits = |sum: u64, byte: &u8| sum.wrapping_mul(10).wrapping_add(u64::from(byte & 15));
        self.line().iter().fold(0, digits) % bound
    }

    /// Takes all that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    fn split(&mut self, at: &[u8]) -> &'a [u8] {
        let end = self.0.windows(at.len()).position(|window| window == at);
        let end = end.unwrap_or(self.0.len());
        let (head, tail) = self.0.split_at(end);
        self.0 = tail.get(at.len()..).unwrap_or_default();
        head
    }
}

/// Reads one field a line; what no message can hold is left out, as an HTTP parser would refuse it.
pub fn fields(section: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in section.split(|&byte| byte == b'\n').filter_map(field) {
        headers.append(name, value);
    }
    headers
}

/// Reads one field.
pub fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = line.split_at(colon);
    let value = HeaderValue::from_bytes(value[1..].trim_ascii()).ok()?;
    Some((HeaderName::from_bytes(name).ok()?, value))
}

/// An exchange that took no time and ended at [`ARRIVAL`].
pub fn at_once() -> Timing {
    let now = Now { monotonic: after(0), wall: ARRIVAL };
    Timing { request: now, response: now }
}

/// The monotonic instant `secs` seconds after responses arrive.
pub fn after(secs: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000).saturating_add(Duration::from_secs(secs))
}

/// Derives what is stored of an answer to a GET.
pub fn derive(
    policy: &Policy,
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<StoredHead, NotStorable> {
    let target_uri = Some("http://example.com/a/b?c");
    let request = RequestHead { method: &Method::GET, headers: request, target_uri };
    let response = ResponseHead { status, headers: headers.clone() };
    StoredHead::derive(policy, &request, &response, at_once(), Seq::new(7))
}

/// How long a response may be reused without asking anybody, counted from its arrival.
pub fn fresh_for(head: &Result<StoredHead, NotStorable>) -> Duration {
    match head {
        Ok(head) if !head.plan.validate_always => {
            head.plan.lifetime().saturating_sub(head.plan.initial_age())
        }
        _ => Duration::ZERO,
    }
}
