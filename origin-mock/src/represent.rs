//! Which answer does a GET or HEAD of a resource get (RFC 9110 §13 and §14)?
//!
//! Conditions on ETag and Last-Modified, and one byte range. `If-Match` and several ranges are not
//! looked at: the first is of use for writes only, the second a server may ignore.

use std::{
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, Method, header};

use crate::{answer::Answer, request::RequestHead, source::Source};

/// First second that `httpdate` cannot write: the year 10000.
const DATE_END: Duration = Duration::from_secs(253_402_300_800);

/// Something that can be fetched, with its validators.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) content_type: &'static str,
    /// Strong entity tag, with its quotes.
    pub(crate) etag: String,
    /// `None` if the resource has no date, or one that cannot be written.
    pub(crate) modified: Option<SystemTime>,
    pub(crate) source: Source,
}

enum Ranged {
    Part(Range<u64>),
    Unsatisfiable,
    Whole,
}

/// Answers GET or HEAD with 200, 206, 304 or 416.
pub(crate) fn represent(resource: Resource, head: &RequestHead, cache_control: &str) -> Answer {
    let resource = Resource { modified: resource.modified.and_then(whole_seconds), ..resource };
    if is_not_modified(&resource, &head.headers) {
        // RFC 9110 §15.4.5 lists the fields of a 304.
        return with_validators(Answer::new(304, Source::empty()), &resource, cache_control);
    }
    let len = resource.source.remaining();
    match decide_range(&resource, head, len) {
        Ranged::Whole => whole(resource, cache_control),
        Ranged::Part(part) => {
            let content_range =
                format!("bytes {}-{}/{len}", part.start, part.end.saturating_sub(1));
            let mut answer = whole(resource, cache_control).with("Content-Range", content_range);
            answer.status = 206;
            answer.source.narrow(part);
            answer
        }
        Ranged::Unsatisfiable => Answer::text(416, "the range starts after the end")
            .with("Content-Range", format!("bytes */{len}")),
    }
}

/// Answers with the whole resource, whatever the request says.
pub(crate) fn whole(resource: Resource, cache_control: &str) -> Answer {
    let mut answer = Answer::new(200, Source::empty());
    answer.fields.push("Content-Type", resource.content_type);
    answer.fields.push("Accept-Ranges", "bytes");
    let mut answer = with_validators(answer, &resource, cache_control);
    answer.source = resource.source;
    answer
}

fn with_validators(mut answer: Answer, resource: &Resource, cache_control: &str) -> Answer {
    answer.fields.push("ETag", &resource.etag);
    if let Some(modified) = resource.modified {
        answer.fields.push("Last-Modified", httpdate::fmt_http_date(modified));
    }
    answer.fields.push("Cache-Control", cache_control);
    answer
}

/// Cuts a date to what a field can say; `None` outside of the years 1970 to 9999.
fn whole_seconds(time: SystemTime) -> Option<SystemTime> {
    let since = time.duration_since(UNIX_EPOCH).ok().filter(|since| *since < DATE_END)?;
    Some(UNIX_EPOCH + Duration::from_secs(since.as_secs()))
}

fn is_not_modified(resource: &Resource, headers: &HeaderMap) -> bool {
    // RFC 9110 §13.1.3: If-Modified-Since is ignored where If-None-Match is present.
    if headers.contains_key(header::IF_NONE_MATCH) {
        let lines = headers.get_all(header::IF_NONE_MATCH).iter();
        return lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(str::trim)
            // RFC 9110 §13.1.2: weak comparison.
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == resource.etag);
    }
    let since = text(headers, &header::IF_MODIFIED_SINCE).and_then(parse_date);
    matches!((since, resource.modified), (Some(since), Some(modified)) if modified <= since)
}

fn decide_range(resource: &Resource, head: &RequestHead, len: u64) -> Ranged {
    // RFC 9110 §14.2: a range is defined for GET only.
    if head.method != Method::GET || head.headers.get_all(header::RANGE).iter().count() != 1 {
        return Ranged::Whole;
    }
    match text(&head.headers, &header::RANGE) {
        Some(range) if if_range_holds(resource, &head.headers) => parse_range(range, len),
        _ => Ranged::Whole,
    }
}

/// Strong comparison (RFC 9110 §13.1.5): a weak tag never matches, a date must be the same one.
fn if_range_holds(resource: &Resource, headers: &HeaderMap) -> bool {
    let Some(condition) = headers.get(header::IF_RANGE) else { return true };
    let Ok(condition) = condition.to_str() else { return false };
    condition == resource.etag
        || (resource.modified.is_some() && parse_date(condition) == resource.modified)
}

/// Parses one range. A form that is not understood means the whole (RFC 9110 §14.2).
fn parse_range(text: &str, len: u64) -> Ranged {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|set| set.split_once('-'))
    else {
        return Ranged::Whole;
    };
    match (position(first), position(last)) {
        (Some(first), Some(last)) if first > last => Ranged::Whole,
        (Some(first), _) if (last.is_empty() || position(last).is_some()) && first >= len => {
            Ranged::Unsatisfiable
        }
        (Some(first), Some(last)) => Ranged::Part(first..last.saturating_add(1).min(len)),
        (Some(first), None) if last.is_empty() => Ranged::Part(first..len),
        (None, Some(0)) if first.is_empty() => Ranged::Unsatisfiable,
        (None, Some(_)) if first.is_empty() && len == 0 => Ranged::Unsatisfiable,
        (None, Some(suffix)) if first.is_empty() => Ranged::Part(len.saturating_sub(suffix)..len),
        _ => Ranged::Whole,
    }
}

/// Digits as a number; one too large for any file counts as the largest.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn parse_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::parse_head;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    /// Status, Content-Range and length of the answer to a request for a resource of `len` bytes.
    fn ask(method: &str, fields: &str, len: usize) -> (u16, String, u64) {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let head = parse_head(head.replace("\r\n\r\n\r\n", "\r\n\r\n").as_bytes()).unwrap();
        let resource = Resource {
            content_type: "text/plain",
            etag: "\"tag\"".to_owned(),
            modified: parse_date(MODIFIED).map(|time| time + Duration::from_millis(300)),
            source: Source::Bytes(vec![b'x'; len].into()),
        };
        let answer = represent(resource, &head, "no-cache");
        let mut lines = Vec::new();
        answer.fields.write_to(&mut lines);
        let lines = String::from_utf8(lines).unwrap();
        let range = lines.lines().find_map(|line| line.strip_prefix("Content-Range: "));
        (answer.status, range.unwrap_or_default().to_owned(), answer.source.remaining())
    }

    #[test]
    fn conditions_follow_rfc_9110_section_13() {
        let cases = [
            (String::new(), 200, "no condition"),
            ("If-None-Match: \"tag\"\r\n".to_owned(), 304, "same tag"),
            ("If-None-Match: \"a\", W/\"tag\"\r\n".to_owned(), 304, "weak comparison, list"),
            ("If-None-Match: \"a\"\r\nIf-None-Match: *\r\n".to_owned(), 304, "second line"),
            ("If-None-Match: \"a\"\r\n".to_owned(), 200, "other tag"),
            (format!("If-Modified-Since: {MODIFIED}\r\n"), 304, "same second"),
            (format!("If-Modified-Since: {LATER}\r\n"), 304, "later"),
            (format!("If-Modified-Since: {EARLIER}\r\n"), 200, "earlier"),
            ("If-Modified-Since: soon\r\n".to_owned(), 200, "no date"),
            (format!("If-None-Match: \"a\"\r\nIf-Modified-Since: {LATER}\r\n"), 200, "tag wins"),
        ];
        for (fields, status, why) in cases {
            assert_eq!(ask("GET", &fields, 10).0, status, "{why}");
        }
    }

    #[test]
    fn ranges_follow_rfc_9110_section_14() {
        const CASES: &[(&str, u16, &str, u64, &str)] = &[
            ("bytes=2-5", 206, "bytes 2-5/10", 4, "inside"),
            ("bytes=5-", 206, "bytes 5-9/10", 5, "open end"),
            ("bytes=8-99", 206, "bytes 8-9/10", 2, "end is cut"),
            ("bytes=-3", 206, "bytes 7-9/10", 3, "suffix"),
            ("bytes=-99", 206, "bytes 0-9/10", 10, "long suffix"),
            ("bytes=0-18446744073709551616", 206, "bytes 0-9/10", 10, "2^64"),
            ("bytes=10-", 416, "bytes */10", 31, "after the end"),
            ("bytes=18446744073709551616-", 416, "bytes */10", 31, "2^64"),
            ("bytes=-0", 416, "bytes */10", 31, "empty suffix"),
            ("bytes=5-2", 200, "", 10, "backward is no range"),
            ("bytes=1-2,4-5", 200, "", 10, "several are ignored"),
            ("bytes=", 200, "", 10, "nothing"),
            ("bytes=-", 200, "", 10, "nothing"),
            ("bytes=+1-2", 200, "", 10, "sign"),
            ("lines=1-2", 200, "", 10, "other unit"),
        ];
        for &(range, status, content_range, len, why) in CASES {
            let got = ask("GET", &format!("Range: {range}\r\n"), 10);
            assert_eq!(got, (status, content_range.to_owned(), len), "{why}: {range}");
        }
        assert_eq!(ask("HEAD", "Range: bytes=2-5\r\n", 10).0, 200, "GET only");
        assert_eq!(ask("GET", "Range: bytes=0-\r\n", 0).0, 416, "nothing to take from");
        assert_eq!(ask("GET", "Range: bytes=-1\r\n", 0).0, 416, "nothing to take from");
    }

    #[test]
    fn if_range_needs_the_very_same_validator() {
        let cases = [
            ("\"tag\"", 206, "same tag"),
            ("W/\"tag\"", 200, "weak"),
            ("\"other\"", 200, "other tag"),
            (MODIFIED, 206, "same date"),
            (LATER, 200, "other date"),
        ];
        for (condition, status, why) in cases {
            let fields = format!("Range: bytes=0-1\r\nIf-Range: {condition}\r\n");
            assert_eq!(ask("GET", &fields, 10).0, status, "{why}");
        }
    }
}
