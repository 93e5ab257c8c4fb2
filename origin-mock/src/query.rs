//! How does a user with curl tell the origin to misbehave?
//!
//! Reserved parameter names of the query, on any path. They are read into [`Params`] before the
//! body of the request and applied to the answer that the path would get without them. Parameters
//! that are not reserved are left alone: they belong to the cache key of the product under test.
//!
//! # Invariants
//!
//! 1. Every value is bounded; a bad one is a 400 that names the parameter and what was expected.
//! 2. `header=` cannot break the framing: `length=` and `chunked=` exist for that.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::{
    answer::{Answer, End, Length, Pace, Step},
    fields::Fields,
    gate::{Gates, Hold},
    percent,
    request::Refused,
};

/// Largest generated body.
const SIZE_MAX: u64 = 16 << 30;
/// Longest delay or drip.
const WAIT_MS_MAX: u64 = 600_000;
/// Most interim responses before one answer.
const INFO_MAX: usize = 16;
/// Longest name of a gate.
const GATE_NAME_MAX: usize = 100;
/// What an interim response carries.
const EARLY_LINK: &str = "</style.css>; rel=preload; as=style";

/// What the query asks for.
#[derive(Debug, Default)]
pub(crate) struct Params {
    pub(crate) size: Option<u64>,
    pub(crate) status: Option<u16>,
    pub(crate) echo: bool,
    delay: Option<Duration>,
    drip: Option<Duration>,
    /// In order; the first of a name replaces the line the answer has.
    headers: Vec<(String, HeaderValue)>,
    trailers: Fields,
    cut: Option<u64>,
    reset: Option<u64>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    hold: Option<Hold>,
    info: Vec<u16>,
}

/// The pairs of a query, values decoded; `None` for a value whose escapes are broken.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, Option<String>)> {
    query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name, percent::decode(value).and_then(|value| String::from_utf8(value).ok()))
    })
}

/// Reads the name of a gate.
///
/// # Errors
///
/// A 400 if it is empty or longer than 100 bytes, a 503 if there are too many gates.
pub(crate) fn gate(parameter: &str, name: &str, gates: &Gates) -> Result<Hold, Refused> {
    if name.is_empty() || name.len() > GATE_NAME_MAX {
        return Err(bad(parameter, "a name of 1 to 100 bytes", name));
    }
    gates.offered(name).ok_or_else(|| Refused::new(503, format!("{parameter}: too many gates")))
}

fn bad(name: &str, expected: &str, got: &str) -> Refused {
    let got: String = got.chars().take(80).collect();
    Refused::bad(format!("{name}: expected {expected}, got {got:?}"))
}

impl Params {
    /// Reads the reserved parameters of `query`; of one that takes one value the last counts.
    ///
    /// # Errors
    ///
    /// A 400 that names the first bad parameter.
    pub(crate) fn parse(query: Option<&str>, gates: &Gates) -> Result<Self, Refused> {
        let mut params = Self::default();
        for (name, value) in pairs(query.unwrap_or_default()) {
            params.take(name, value.as_deref(), gates)?;
        }
        if params.cut.is_some() && params.reset.is_some() {
            return Err(Refused::bad("cut, reset: expected one of the two, got both"));
        }
        let is_chunked = params.chunked || !params.trailers.is_empty();
        if is_chunked && params.length.is_some() {
            return Err(Refused::bad("length: expected no chunked= or trailer= beside it"));
        }
        params.chunked = is_chunked;
        Ok(params)
    }

    fn take(&mut self, name: &str, value: Option<&str>, gates: &Gates) -> Result<(), Refused> {
        // A value of bad escapes matters only where the name is reserved.
        let text = value.unwrap_or("%");
        match name {
            "chunked" => self.chunked = flag("chunked", text)?,
            "close" => self.close = flag("close", text)?,
            "cut" => self.cut = Some(number("cut", text, SIZE_MAX)?),
            "delay" => self.delay = Some(millis("delay", text)?),
            "drip" => self.drip = Some(millis("drip", text)?),
            "echo" => self.echo = flag("echo", text)?,
            "header" => self.headers.push(header(text)?),
            "hold" => self.hold = Some(gate("hold", text, gates)?),
            "info" => self.take_info(text)?,
            // A lie may be of any size.
            "length" => self.length = Some(number("length", text, u64::MAX)?),
            "reset" => self.reset = Some(number("reset", text, SIZE_MAX)?),
            "size" => self.size = Some(number("size", text, SIZE_MAX)?),
            "status" => self.status = Some(status(text)?),
            "trailer" => {
                let (name, value) = field("trailer", text)?;
                self.trailers.push(&name, value);
            }
            _ => {}
        }
        Ok(())
    }

    fn take_info(&mut self, text: &str) -> Result<(), Refused> {
        let expected = "a status from 100 to 199 other than 101, at most 16 of them";
        let status = text.parse().ok().filter(|status| matches!(status, 100 | 102..=199));
        match status {
            Some(status) if self.info.len() < INFO_MAX => {
                self.info.push(status);
                Ok(())
            }
            _ => Err(bad("info", expected, text)),
        }
    }

    /// Makes `answer` do what was asked for.
    pub(crate) fn apply(self, answer: &mut Answer) {
        answer.status = self.status.unwrap_or(answer.status);
        let mut replaced: Vec<&str> = Vec::new();
        for (name, value) in &self.headers {
            if replaced.iter().any(|other| other.eq_ignore_ascii_case(name)) {
                answer.fields.push(name, value);
            } else {
                answer.fields.set(name, value);
                replaced.push(name);
            }
        }
        if self.close {
            answer.fields.set("Connection", "close");
        }
        answer.length = match self.length {
            Some(length) => Length::Declared(length),
            None if self.chunked => Length::Chunked,
            None => answer.length,
        };
        self.plan(answer);
    }

    fn plan(self, answer: &mut Answer) {
        let inform = |status| {
            let mut fields = Fields::default();
            fields.push("Link", EARLY_LINK);
            Step::Inform(status, fields)
        };
        let (last, end) = match (self.cut, self.reset) {
            (Some(bytes), _) => (Step::Send(bytes), End::Close),
            (None, Some(bytes)) => (Step::Send(bytes), End::Reset),
            (None, None) => (Step::Finish, End::Keep),
        };
        let plan = &mut answer.plan;
        plan.steps = self.info.into_iter().map(inform).collect();
        plan.steps.extend(self.delay.map(Step::Delay));
        plan.steps.extend(self.hold.map(Step::Hold));
        plan.steps.push(last);
        plan.end = end;
        plan.pace = self.drip.map(|over| Pace::spread(answer.source.remaining(), over));
        plan.trailers = self.trailers;
    }
}

fn number(name: &str, text: &str, max: u64) -> Result<u64, Refused> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number <= max);
    number.ok_or_else(|| bad(name, &format!("a whole number from 0 to {max}"), text))
}

fn millis(name: &str, text: &str) -> Result<Duration, Refused> {
    number(name, text, WAIT_MS_MAX).map(Duration::from_millis)
}

fn flag(name: &str, text: &str) -> Result<bool, Refused> {
    match text {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(bad(name, "1 or 0", text)),
    }
}

fn status(text: &str) -> Result<u16, Refused> {
    let status = text.parse().ok().filter(|status| (200..=599).contains(status));
    status.ok_or_else(|| bad("status", "a status from 200 to 599 (for 1xx use info=)", text))
}

fn header(text: &str) -> Result<(String, HeaderValue), Refused> {
    let (name, value) = field("header", text)?;
    let frames = ["content-length", "transfer-encoding"];
    if frames.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
        return Err(bad(
            "header",
            "a field other than the framing (use length= or chunked=)",
            text,
        ));
    }
    Ok((name, value))
}

/// Reads `Name:Value` and keeps the case of the name.
fn field(parameter: &str, text: &str) -> Result<(String, HeaderValue), Refused> {
    let refused = || bad(parameter, "Name:Value, percent-encoded", text);
    let (name, value) = text.split_once(':').ok_or_else(refused)?;
    HeaderName::from_bytes(name.as_bytes()).map_err(|_invalid| refused())?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_invalid| refused())?;
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_values_are_refused_by_name() {
        const CASES: &[(&str, &str)] = &[
            ("size=17179869185", "size: expected a whole number from 0 to 17179869184"),
            ("size=", "size: "),
            ("size=+5", "size: "),
            ("size=%4", "size: "),
            ("delay=600001", "delay: expected a whole number from 0 to 600000"),
            ("drip=1s", "drip: "),
            ("status=199", "status: expected a status from 200 to 599"),
            ("status=600", "status: "),
            ("header=NoColon", "header: expected Name:Value"),
            ("header=Bad%20Name:x", "header: "),
            ("header=A:x%0d%0aB:y", "header: "),
            ("header=content-Length:5", "header: expected a field other than the framing"),
            ("trailer=x", "trailer: "),
            ("cut=-1", "cut: "),
            ("reset=x", "reset: "),
            ("cut=1&reset=1", "cut, reset: "),
            ("chunked=yes", "chunked: expected 1 or 0"),
            ("close=2", "close: "),
            ("echo=", "echo: "),
            ("length=x", "length: "),
            ("length=5&trailer=a:b", "length: "),
            ("hold=", "hold: expected a name"),
            ("info=101", "info: "),
            ("info=200", "info: "),
        ];
        for &(query, expected) in CASES {
            let refused = Params::parse(Some(query), &Gates::default()).expect_err(query);
            assert_eq!(refused.status, 400, "{query}");
            assert!(refused.text.starts_with(expected), "{query}: {}", refused.text);
        }
    }

    #[test]
    fn names_that_are_not_reserved_are_left_alone() {
        for query in [None, Some(""), Some("v=%4&utm=1&sizes=x"), Some("&&=")] {
            let params = Params::parse(query, &Gates::default()).unwrap();
            assert_eq!((params.size, params.status), (None, None), "{query:?}");
        }
    }

    #[test]
    fn the_first_header_of_a_name_replaces_and_the_next_adds() {
        let query = "header=etag:%22a%22&header=ETag:b&header=Link:%3C/x%3E&header=Link:y";
        let mut answer = Answer::text(200, "x").with("ETag", "\"old\"");
        Params::parse(Some(query), &Gates::default()).unwrap().apply(&mut answer);
        let mut lines = Vec::new();
        answer.fields.write_to(&mut lines);
        let lines = String::from_utf8(lines).unwrap();
        let expected = "etag: \"a\"\r\nETag: b\r\nLink: </x>\r\nLink: y\r\n\r\n";
        assert!(lines.ends_with(expected), "{lines}");
        assert!(!lines.contains("old"), "{lines}");
    }
}
