//! Which parts of a response may be kept, put together, and used (RFC 9111 §3.3 and §3.4)?
//!
//! A 206 is kept as a piece of the whole it belongs to: its head becomes that of the whole, and what
//! says which piece it is goes. So it is judged, validated and answered from like any other stored
//! head; only its body has gaps.
//!
//! # Invariants
//!
//! 1. Two pieces lie side by side only if one strong ETag says that they are of the same bytes.
//! 2. Held pieces answer a single range that lies wholly inside them, and nothing else: no plain GET,
//!    no HEAD, no list of ranges.
//! 3. What was cut short, or says of itself what is not so, is not kept by the careful.

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::conditional::if_range_holds;
use crate::not_storable::NotStorable;
use crate::pieces::Pieces;
use crate::policy::Policy;
use crate::range::{ByteRange, RangeSpec, resolve_range, sole_range};
use crate::seq::Seq;
use crate::storable::{RequestHead, ResponseHead, Timing};
use crate::stored::StoredHead;
use crate::validation::freshen;

/// Pieces of one response that are held, with the head that the whole has.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldParts {
    /// The head of the whole: status 200, its length, no Content-Range.
    pub head: StoredHead,
    /// The bytes.
    pub pieces: Pieces,
    /// The Range that the newest piece was the answer to, where the same question gets the same
    /// answer; `None` where only offsets count.
    pub asked: Option<(HeaderValue, ByteRange)>,
}

impl HeldParts {
    /// The bytes that a GET with `request_headers` gets of what is held; `None` where they do not
    /// answer it. Conditions other than If-Range are not looked at.
    pub fn answer(&self, request_headers: &HeaderMap) -> Option<ByteRange> {
        let range = single_range(request_headers)?;
        if !if_range_holds(request_headers, &self.head.headers) {
            return None;
        }
        if let Some((asked, answered)) = &self.asked
            && asked == range
        {
            return Some(*answered);
        }
        let RangeSpec::One(range) = resolve_range(range.as_bytes(), self.pieces.length()) else {
            return None;
        };
        self.pieces.cut(range).map(|_held| range)
    }

    /// Makes a range request ask also whether what is held still holds (RFC 9111 §4.3.1).
    ///
    /// Returns whether it does: not where the request has conditions of its own, whose answer would
    /// say nothing about us, and not without a strong ETag.
    pub fn condition(&self, request_headers: &mut HeaderMap) -> bool {
        let conditions = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE];
        if conditions.iter().any(|name| request_headers.contains_key(name)) {
            return false;
        }
        let Some(etag) = self.head.strong_etag() else { return false };
        request_headers.insert(IF_NONE_MATCH, etag);
        true
    }

    /// Turns a request for the whole into one for what is missing behind the bytes held.
    ///
    /// Returns whether it does: not where the first byte is missing, and not where the careful could
    /// not put the answer to what is held.
    pub fn ask_for_rest(&self, policy: &Policy, request_headers: &mut HeaderMap) -> bool {
        let prefix = self.pieces.prefix();
        let etag = self.head.strong_etag();
        if prefix == 0 || (etag.is_none() && policy.strict_partial) {
            return false;
        }
        let rest = HeaderValue::try_from(format!("bytes={prefix}-"));
        request_headers.insert(RANGE, rest.expect("digits and punctuation make a field value"));
        request_headers.remove(IF_RANGE);
        if let Some(etag) = etag {
            request_headers.insert(IF_RANGE, etag);
        }
        true
    }

    /// The head of the whole if `response` is the rest that [`Self::ask_for_rest`] asked for; `None`
    /// if it is not, or the whole may not be kept.
    pub fn completed(
        &self,
        policy: &Policy,
        request: &RequestHead<'_>,
        response: &ResponseHead,
        (timing, as_of): (Timing, Seq),
    ) -> Option<StoredHead> {
        let (range, length) = announced(policy, response)?;
        let rest = ByteRange { first: self.pieces.prefix(), last: length.checked_sub(1)? };
        let same_body = self.head.strong_etag().is_some()
            && self.head.strong_etag().as_ref() == response.headers.get(ETAG);
        if !same_body || range != rest || length != self.pieces.length() {
            return None;
        }
        let fields = fields_of_whole(&response.headers, length);
        let as_of = self.head.as_of.min(as_of);
        freshen(&self.head, policy, request, &fields, timing, as_of).ok()
    }

    /// Says whether an answer with `headers` shows that what is held is of another body.
    pub fn is_contradicted(&self, headers: &HeaderMap) -> bool {
        let differs = |name: HeaderName| {
            let (ours, theirs) = (self.head.headers.get(&name), headers.get(&name));
            theirs.is_some_and(|theirs| ours.is_none_or(|ours| ours != *theirs))
        };
        differs(ETAG) || (!self.head.headers.contains(&ETAG) && differs(LAST_MODIFIED))
    }
}

/// Returns the value of Range where it is one line and names one range.
fn single_range(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(RANGE).iter();
    let range = lines.next()?;
    let single = lines.next().is_none() && !range.as_bytes().contains(&b',');
    single.then_some(range)
}

/// A 206 on its way in that is kept if its body comes as announced.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedPart {
    head: StoredHead,
    /// The fields of the whole as they came, to be merged with those held.
    fields: HeaderMap,
    range: ByteRange,
    length: u64,
    timing: Timing,
    asked: HeaderValue,
}

/// What is to be stored once the body of a part is here.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// Nothing: what is held already stays.
    Nothing,
    /// These pieces in place of those held.
    Parts(Box<HeldParts>),
    /// The whole, which the pieces make up.
    Whole(Box<StoredHead>, Bytes),
}

impl ReceivedPart {
    /// Reads the head of a 206, the answer to `request`.
    ///
    /// `policy` is the one for the whole: that of status 200.
    ///
    /// # Errors
    ///
    /// Why it must not be kept; [`NotStorable::Partial`] where it lies with the part itself.
    pub fn derive(
        policy: &Policy,
        request: &RequestHead<'_>,
        response: &ResponseHead,
        timing: Timing,
        as_of: Seq,
    ) -> Result<Self, NotStorable> {
        let (range, length) = announced(policy, response).ok_or(NotStorable::Partial)?;
        let asked = single_range(request.headers)
            .filter(|asked| matches!(resolve_range(asked.as_bytes(), length), RangeSpec::One(_)))
            .filter(|_| *request.method == Method::GET)
            .ok_or(NotStorable::Partial)?;
        let fields = fields_of_whole(&response.headers, length);
        let whole = ResponseHead { status: StatusCode::OK, headers: fields };
        let head = StoredHead::derive(policy, request, &whole, timing, as_of)?;
        // RFC 9111 §3.4: without a strong validator nothing can be added to it later.
        if policy.strict_partial && head.strong_etag().is_none() {
            return Err(NotStorable::Partial);
        }
        Ok(Self { head, fields: whole.headers, range, length, timing, asked: asked.clone() })
    }

    /// The head of the whole that it is a part of.
    pub fn head(&self) -> &StoredHead {
        &self.head
    }

    /// The bytes that it says it is.
    pub fn range(&self) -> ByteRange {
        self.range
    }

    /// The length of the whole that it is a part of, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Says whether it shows that what is held is of another body.
    pub fn contradicts(&self, held: &HeldParts) -> bool {
        held.is_contradicted(&self.fields)
    }

    /// Decides what is kept when `body` has come whole, with what is `held` of the same variant.
    ///
    /// `body` is to have memory of its own. The newer fields take the place of the older ones
    /// (RFC 9111 §3.4 and §3.2).
    pub fn keep(
        &self,
        policy: &Policy,
        request: &RequestHead<'_>,
        body: Bytes,
        held: Option<&HeldParts>,
    ) -> Kept {
        let Some((came, piece)) = self.piece(policy, body) else { return Kept::Nothing };
        let together = held
            .filter(|held| self.belongs_to(held))
            .and_then(|held| Some((held, held.pieces.with(&piece)?)));
        let (head, pieces) = match together {
            Some((held, pieces)) => match self.freshened(policy, request, held) {
                Ok(head) => (head, pieces),
                Err(_not_storable) => return Kept::Nothing,
            },
            // RFC 9110 §15.3.7: an answer to If-Range may leave out the fields of the whole.
            None if request.headers.contains_key(IF_RANGE) => return Kept::Nothing,
            None => (self.head.clone(), piece),
        };
        match pieces.whole() {
            Some(body) => Kept::Whole(Box::new(head), body),
            None => {
                let asked = (!policy.strict_partial).then(|| (self.asked.clone(), came));
                Kept::Parts(Box::new(HeldParts { head, pieces, asked }))
            }
        }
    }

    /// The range that came, and its bytes as a piece; `None` if it is not what the head said.
    ///
    /// The careless take the first of more bytes than announced, and fewer for what they are.
    fn piece(&self, policy: &Policy, mut body: Bytes) -> Option<(ByteRange, Pieces)> {
        let announced = self.range.len();
        let came = u64::try_from(body.len()).unwrap_or(u64::MAX);
        if policy.strict_partial && came != announced {
            return None;
        }
        let came = came.min(announced);
        body.truncate(usize::try_from(announced).unwrap_or(usize::MAX));
        let first = self.range.first;
        let last = first.checked_add(came.checked_sub(1)?)?;
        Some((ByteRange { first, last }, Pieces::one(first, body, self.length)?))
    }

    /// The head of what is held with the newer fields of this part.
    fn freshened(
        &self,
        policy: &Policy,
        request: &RequestHead<'_>,
        held: &HeldParts,
    ) -> Result<StoredHead, NotStorable> {
        // Of two positions in the purge log the whole reflects the earlier one.
        let as_of = held.head.as_of.min(self.head.as_of);
        freshen(&held.head, policy, request, &self.fields, self.timing, as_of)
    }

    /// Says whether it may be combined with what is held (RFC 9111 §3.4).
    fn belongs_to(&self, held: &HeldParts) -> bool {
        let (ours, theirs) = (self.head.strong_etag(), held.head.strong_etag());
        ours.is_some() && ours == theirs && held.pieces.length() == self.length
    }
}

/// The range that a 206 says it is, and the length of the whole; `None` if it does not say so in a
/// way that can be believed.
fn announced(policy: &Policy, response: &ResponseHead) -> Option<(ByteRange, u64)> {
    let headers = &response.headers;
    let said = sole_range(headers).filter(|_| response.status == StatusCode::PARTIAL_CONTENT)?;
    let range = ByteRange { first: said.first, last: said.last };
    let length_differs = headers.get(CONTENT_LENGTH).is_some_and(|length| {
        length.to_str().ok().and_then(|length| length.parse().ok()) != Some(range.len())
    });
    if policy.strict_partial && length_differs {
        return None;
    }
    Some((range, said.length?))
}

/// The fields of a part as the whole has them.
pub(crate) fn fields_of_whole(headers: &HeaderMap, length: u64) -> HeaderMap {
    let mut fields = headers.clone();
    fields.remove(CONTENT_RANGE);
    // RFC 9530 §2: these are of the content, which is the part.
    for name in ["content-digest", "content-md5"] {
        fields.remove(name);
    }
    fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    fields
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;
    use crate::fields::Fields;
    use crate::fixture::{after, at_once, headers, response};
    use crate::policy::Profile;
    use crate::reuse::Reuse;

    const BODY: &[u8] = b"0123456789";
    const FRESH: &str = "Cache-Control: max-age=9\nETag: \"a\"";

    fn bytes(first: usize, last: usize) -> Bytes {
        Bytes::copy_from_slice(BODY.get(first..=last).unwrap())
    }

    /// A part with `fields`, the answer to a GET with `asked`.
    fn derive(profile: Profile, asked: &str, fields: &str) -> Result<ReceivedPart, NotStorable> {
        let policy = Policy::for_profile(profile);
        let asked = headers(asked);
        let request = RequestHead { method: &Method::GET, headers: &asked, target_uri: None };
        ReceivedPart::derive(&policy, &request, &response(206, fields), at_once(), Seq::new(7))
    }

    /// What is kept of bytes `first` to `last` with `fields`, beside what is `held`.
    fn keep(fields: &str, (first, last): (usize, usize), held: Option<&HeldParts>) -> Kept {
        keep_asked("", fields, (first, last), held)
    }

    fn keep_asked(
        more: &str,
        fields: &str,
        (first, last): (usize, usize),
        held: Option<&HeldParts>,
    ) -> Kept {
        let asked = format!("Range: bytes={first}-{last}{more}");
        let fields = format!("Content-Range: bytes {first}-{last}/10\n{fields}");
        let part = derive(Profile::Default, &asked, &fields).unwrap();
        let asked = headers(&asked);
        let request = RequestHead { method: &Method::GET, headers: &asked, target_uri: None };
        part.keep(&Policy::default(), &request, bytes(first, last), held)
    }

    fn parts(kept: Kept) -> HeldParts {
        match kept {
            Kept::Parts(parts) => *parts,
            other => panic!("no parts: {other:?}"),
        }
    }

    #[test]
    fn a_part_is_kept_only_if_all_it_says_can_be_believed() {
        const FIVE: &str = "Content-Range: bytes 0-4/10";
        // (fields beside Cache-Control, default, rfc, why); RFC 9111 §3.3.
        let cases: &[(&str, &str, &str, &str)] = &[
            ("Content-Range: bytes 0-4/10\nETag: \"a\"", "kept", "kept", "a strong tag"),
            (
                "Content-Range: bytes 0-4/10\nETag: \"a\"\nContent-Length: 5",
                "kept",
                "kept",
                "its length is what the range says",
            ),
            (FIVE, "partial", "kept", "no tag: nothing can be added later"),
            ("Content-Range: bytes 0-4/10\nETag: W/\"a\"", "partial", "kept", "a weak tag"),
            ("ETag: \"a\"", "partial", "partial", "no Content-Range"),
            ("Content-Range: bytes 0-4/*\nETag: \"a\"", "partial", "partial", "of unknown length"),
            ("Content-Range: bytes 4-0/10\nETag: \"a\"", "partial", "partial", "backwards"),
            ("Content-Range: bytes 0-4/4\nETag: \"a\"", "partial", "partial", "beyond the end"),
            ("Content-Range: lines 0-4/10\nETag: \"a\"", "partial", "partial", "another unit"),
            (
                "Content-Range: bytes 0-4/10\nContent-Range: bytes 0-4/10\nETag: \"a\"",
                "partial",
                "partial",
                "said twice",
            ),
            (
                "Content-Range: bytes 0-4/10\nETag: \"a\"\nContent-Length: 6",
                "partial",
                "kept",
                "two lengths",
            ),
            (
                "Content-Range: bytes 0-4/10\nETag: \"a\"\nContent-Type: Multipart/Byteranges; x",
                "partial",
                "partial",
                "several parts are none",
            ),
            (
                "Content-Range: bytes 0-4/10\nETag: \"a\"\nVary: *",
                "vary-any",
                "vary-any",
                "all other rules of storing are as for the whole",
            ),
        ];
        for &(fields, default, rfc, why) in cases {
            for (profile, expected) in [(Profile::Default, default), (Profile::Rfc, rfc)] {
                let fields = format!("Cache-Control: max-age=9\n{fields}");
                let part = derive(profile, "Range: bytes=0-4", &fields);
                let verdict = part.map_or_else(NotStorable::as_str, |_| "kept");
                assert_eq!(verdict, expected, "{profile}: {why}");
            }
        }
    }

    #[test]
    fn only_the_answer_to_one_range_is_kept() {
        // (request, expected, why)
        const CASES: &[(&str, &str, &str)] = &[
            ("Range: bytes=0-4", "kept", "one"),
            ("Range: bytes=-10", "kept", "from the end"),
            ("Range: bytes=0-1,3-4", "partial", "two"),
            ("Range: bytes=0-1,1-4", "partial", "two that are one"),
            ("Range: bytes=0-1\nRange: bytes=3-4", "partial", "two lines"),
            ("Range: lines=0-4", "partial", "another unit"),
            ("Range: bytes=10-", "partial", "none of it exists"),
            ("", "partial", "nobody asked"),
            ("Range: bytes=0-4\nAuthorization: x", "authorization", "one user's"),
        ];
        let fields = format!("Content-Range: bytes 0-4/10\n{FRESH}");
        for &(asked, expected, why) in CASES {
            let part = derive(Profile::Default, asked, &fields);
            assert_eq!(part.map_or_else(NotStorable::as_str, |_| "kept"), expected, "{why}");
        }
    }

    #[test]
    fn the_head_is_that_of_the_whole() {
        let fields = format!("{FRESH}\nContent-Length: 5\nContent-Digest: x\nContent-Type: a/b");
        let held = parts(keep(&fields, (0, 4), None));
        assert_eq!(held.head.status, StatusCode::OK);
        assert_eq!(held.head.headers.value(&CONTENT_LENGTH).unwrap(), "10");
        assert_eq!(held.head.headers.value(&CONTENT_TYPE).unwrap(), "a/b");
        assert!(!held.head.headers.contains(&CONTENT_RANGE));
        assert!(!held.head.headers.to_map(0).contains_key("content-digest"));
        assert_eq!(held.head.judge(None, after(8)), Reuse::Fresh);
        assert_eq!(held.head.judge(None, after(9)), Reuse::Validate);
    }

    #[test]
    fn parts_are_combined_only_under_one_strong_tag() {
        // (fields of the newer part, bytes then held, why); RFC 9111 §3.4.
        const CASES: &[(&str, u64, &str)] = &[
            ("Cache-Control: max-age=9\nETag: \"a\"", 8, "the same tag"),
            ("Cache-Control: max-age=9\nETag: \"b\"", 3, "another tag: the newer alone"),
        ];
        let held = parts(keep(FRESH, (0, 4), None));
        for &(fields, expected, why) in CASES {
            let newer = parts(keep(fields, (7, 9), Some(&held)));
            assert_eq!(newer.pieces.held().1, expected, "{why}");
        }
        let other_length = HeldParts { pieces: Pieces::one(0, bytes(0, 4), 11).unwrap(), ..held };
        let newer = parts(keep(FRESH, (7, 9), Some(&other_length)));
        assert_eq!(newer.pieces.held().1, 3, "two lengths are two bodies, whatever the tag says");
    }

    #[test]
    fn the_result_has_the_newer_fields() {
        let older = parts(keep(&format!("{FRESH}\nA: 1\nB: 1"), (0, 4), None));
        let fields = "Cache-Control: max-age=99\nETag: \"a\"\nA: 2\nC: 2\nAge: 5";
        let both = parts(keep(fields, (6, 9), Some(&older)));
        let field = |name: &str| {
            both.head.headers.to_map(0).get(name).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!([field("a"), field("b"), field("c")], ["2", "1", "2"]);
        assert_eq!(both.head.plan.lifetime().as_secs(), 99);
        assert_eq!(both.head.plan.age_secs(after(0)), 5);
    }

    #[test]
    fn all_parts_together_are_the_whole() {
        let first = parts(keep(FRESH, (0, 4), None));
        let Kept::Whole(head, body) = keep(FRESH, (3, 9), Some(&first)) else { panic!("parts") };
        assert_eq!((head.status, body.as_ref()), (StatusCode::OK, BODY));
        assert_eq!(head.headers.value(&CONTENT_LENGTH).unwrap(), "10");
        assert!(matches!(keep(FRESH, (0, 9), None), Kept::Whole(..)), "one part that is all");
    }

    #[test]
    fn an_answer_to_if_range_is_only_added() {
        // RFC 9110 §15.3.7: it may come without Content-Type and the like.
        let asked = "\nIf-Range: \"a\"";
        assert_eq!(keep_asked(asked, FRESH, (5, 6), None), Kept::Nothing);
        let held = parts(keep(&format!("{FRESH}\nContent-Type: a/b"), (0, 4), None));
        let both = parts(keep_asked(asked, FRESH, (5, 6), Some(&held)));
        assert_eq!(both.pieces.prefix(), 7);
        assert!(both.head.headers.contains(&CONTENT_TYPE));
    }

    #[test]
    fn a_body_of_another_length_is_kept_by_the_careless_for_what_it_is() {
        let asked = headers("Range: bytes=-6");
        let request = RequestHead { method: &Method::GET, headers: &asked, target_uri: None };
        let fields = format!("Content-Range: bytes 4-9/10\n{FRESH}");
        // (bytes that come, range then held in the profile rfc, why)
        type Case = (Bytes, Option<(u64, u64)>, &'static str);
        let cases: &[Case] = &[
            (bytes(4, 9), Some((4, 9)), "as announced"),
            (bytes(4, 8), Some((4, 8)), "one too few"),
            (bytes(3, 9), Some((4, 9)), "one too many"),
            (Bytes::new(), None, "none"),
        ];
        for (body, expected, why) in cases {
            let keep = |profile: Profile| {
                let part = derive(profile, "Range: bytes=-6", &fields).unwrap();
                part.keep(&Policy::for_profile(profile), &request, body.clone(), None)
            };
            let careful = matches!(keep(Profile::Default), Kept::Parts(_));
            assert_eq!(careful, *why == "as announced", "{why}");
            let expected = expected.map(|(first, last)| ByteRange { first, last });
            let came = match keep(Profile::Rfc) {
                Kept::Parts(held) => held.answer(&asked),
                _ => None,
            };
            assert_eq!(came, expected, "the same question gets what came: {why}");
        }
    }

    #[test]
    fn held_parts_answer_one_range_inside_them() {
        // (request, expected, why); bytes 2 to 5 of 10 are held under "a".
        type Case = (&'static str, Option<(u64, u64)>, &'static str);
        const CASES: &[Case] = &[
            ("Range: bytes=2-5", Some((2, 5)), "all"),
            ("Range: bytes=3-4", Some((3, 4)), "inside"),
            ("Range: bytes=1-5", None, "begins before"),
            ("Range: bytes=5-6", None, "ends behind"),
            ("Range: bytes=5-", None, "goes on"),
            ("Range: bytes=-5", None, "the last five"),
            ("Range: bytes=2-3,5-5", None, "two"),
            ("Range: bytes=2-3,3-5", None, "two that are one"),
            ("Range: bytes=10-", None, "beyond the end"),
            ("Range: bytes=x", None, "no range"),
            ("", None, "the whole"),
            ("Range: bytes=3-4\nIf-Range: \"a\"", Some((3, 4)), "of the body that is held"),
            ("Range: bytes=3-4\nIf-Range: \"b\"", None, "of another body"),
        ];
        let held = parts(keep(FRESH, (2, 5), None));
        for &(asked, expected, why) in CASES {
            let expected = expected.map(|(first, last)| ByteRange { first, last });
            assert_eq!(held.answer(&headers(asked)), expected, "{why}");
        }
    }

    #[test]
    fn what_is_held_is_asked_about_by_its_tag_alone() {
        let held = parts(keep(&format!("{FRESH}\nLast-Modified: {{date}}"), (2, 5), None));
        let mut plain = headers("Range: bytes=3-4");
        assert!(held.condition(&mut plain));
        assert_eq!(plain.get(IF_NONE_MATCH).unwrap(), "\"a\"");
        assert!(plain.contains_key(RANGE) && !plain.contains_key(IF_MODIFIED_SINCE));
        for own in ["If-None-Match: \"x\"", "If-Modified-Since: {date}", "If-Range: \"a\""] {
            let mut asked = headers(own);
            assert!(!held.condition(&mut asked), "{own}");
            assert_eq!(asked.len(), 1, "{own}");
        }
    }

    #[test]
    fn the_rest_is_asked_for_behind_what_is_held_from_the_start() {
        let ask = |profile, held: &HeldParts| {
            let mut asked = headers("If-Range: \"client\"\nAccept: a");
            let asks = held.ask_for_rest(&Policy::for_profile(profile), &mut asked);
            let value = |name| asked.get(name).map_or("", |value| value.to_str().unwrap());
            asks.then(|| (value(RANGE).to_owned(), value(IF_RANGE).to_owned()))
        };
        let start = parts(keep(FRESH, (0, 4), None));
        let expected = Some(("bytes=5-".to_owned(), "\"a\"".to_owned()));
        assert_eq!(ask(Profile::Default, &start), expected);
        let middle = parts(keep(FRESH, (3, 4), None));
        assert_eq!(ask(Profile::Default, &middle), None, "the first byte is missing");
        let mut untagged = start;
        let mut fields = untagged.head.headers.to_map(0);
        fields.remove(ETAG);
        untagged.head.headers = Fields::from(&fields);
        assert_eq!(ask(Profile::Default, &untagged), None);
        let expected = Some(("bytes=5-".to_owned(), String::new()));
        assert_eq!(ask(Profile::Rfc, &untagged), expected, "asking is lawful, joining is not");
    }

    #[test]
    fn only_the_rest_of_the_same_body_completes_it() {
        // (fields of the 206, completes, why); bytes 0 to 4 of 10 are held under "a".
        const CASES: &[(&str, bool, &str)] = &[
            ("Content-Range: bytes 5-9/10\nETag: \"a\"", true, "all that is missing"),
            ("Content-Range: bytes 4-9/10\nETag: \"a\"", false, "more"),
            ("Content-Range: bytes 5-8/10\nETag: \"a\"", false, "less"),
            ("Content-Range: bytes 5-9/11\nETag: \"a\"", false, "of a longer body"),
            ("Content-Range: bytes 5-9/10\nETag: \"b\"", false, "of another body"),
            ("Content-Range: bytes 5-9/10", false, "of who knows what"),
            ("ETag: \"a\"", false, "of which range?"),
        ];
        let held = parts(keep(FRESH, (0, 4), None));
        let none = HeaderMap::new();
        let request = RequestHead { method: &Method::GET, headers: &none, target_uri: None };
        for &(fields, completes, why) in CASES {
            let rest = response(206, &format!("Cache-Control: max-age=99\n{fields}"));
            let at = (at_once(), Seq::new(3));
            let head = held.completed(&Policy::default(), &request, &rest, at);
            assert_eq!(head.is_some(), completes, "{why}");
            if let Some(head) = head {
                assert_eq!((head.status, head.as_of), (StatusCode::OK, Seq::new(3)));
                assert_eq!(head.headers.value(&CONTENT_LENGTH).unwrap(), "10");
                assert_eq!(head.plan.lifetime().as_secs(), 99);
            }
        }
    }

    #[test]
    fn another_validator_shows_that_the_body_has_changed() {
        let held = parts(keep(FRESH, (2, 5), None));
        for (fields, contradicted) in [
            ("ETag: \"a\"", false),
            ("ETag: \"b\"", true),
            ("ETag: W/\"a\"", true),
            ("Last-Modified: {date}", false),
            ("Link: a", false),
        ] {
            assert_eq!(held.is_contradicted(&headers(fields)), contradicted, "{fields}");
        }
    }
}
