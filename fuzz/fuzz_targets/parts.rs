//! Parts: the fields of a first 206 and of its request, the same of a second one, and a request that
//! asks for what is held then.

#![no_main]

use bytes::Bytes;
use http::header::{CONTENT_RANGE, RANGE};
use http::{HeaderMap, Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use weir_cache::{
    ByteRange, HeldParts, Kept, Policy, Profile, ReceivedPart, RequestHead, ResponseHead, Seq,
    announced_trailers, passable_trailers,
};
use weir_fuzz::{Input, at_once, fields};

/// Bodies longer than this are announced only.
const BYTES_MAX: u64 = 4096;

fuzz_target!(|data: &[u8]| {
    for profile in [Profile::Default, Profile::Rfc] {
        let policy = Policy::for_profile(profile);
        let mut input = Input::new(data);
        let mut held = None;
        for _ in 0..2 {
            let (asked, answered) = (fields(input.section()), fields(input.section()));
            held = receive(&policy, &asked, &answered, held);
        }
        if let Some(held) = &held {
            check_answer(held, &fields(input.rest()));
        }
    }
    check_trailers(&fields(data));
});

/// What is held after a part with the bytes that it announces has come.
fn receive(
    policy: &Policy,
    asked: &HeaderMap,
    answered: &HeaderMap,
    held: Option<HeldParts>,
) -> Option<HeldParts> {
    let request = RequestHead { method: &Method::GET, headers: asked, target_uri: None };
    let response = ResponseHead { status: StatusCode::PARTIAL_CONTENT, headers: answered.clone() };
    let part = ReceivedPart::derive(policy, &request, &response, at_once(), Seq::new(1));
    let Ok(part) = part else { return held };
    assert!(asked.get_all(RANGE).iter().count() == 1, "an answer to one range");
    assert_eq!(answered.get_all(CONTENT_RANGE).iter().count(), 1);
    let range = part.range();
    if range.len() > BYTES_MAX {
        return held;
    }
    let kept = part.keep(policy, &request, bytes(range), held.as_ref());
    let short = part.keep(policy, &request, bytes(range).slice(1..), held.as_ref());
    assert!(!policy.strict_partial || short == Kept::Nothing, "cut short");
    match kept {
        Kept::Nothing => held,
        Kept::Parts(parts) => {
            check_parts(&parts, range, held.as_ref());
            Some(*parts)
        }
        Kept::Whole(head, body) => {
            assert_eq!(head.status, StatusCode::OK);
            assert!(!head.headers.contains(&CONTENT_RANGE));
            let last = body.len() as u64 - 1;
            assert_eq!(body, bytes(ByteRange { first: 0, last }));
            None
        }
    }
}

/// Byte `n` of every body is `n` modulo 251.
fn bytes(range: ByteRange) -> Bytes {
    (range.first..=range.last).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect()
}

/// The newest part is there, and older bytes only under the same strong tag and length.
fn check_parts(parts: &HeldParts, newest: ByteRange, before: Option<&HeldParts>) {
    let cut = parts.pieces.cut(newest).expect("what came is held");
    assert_eq!(cut.concat(), bytes(newest));
    assert!(!parts.head.headers.contains(&CONTENT_RANGE));
    if parts.pieces.held().1 > newest.len() {
        let before = before.expect("nothing else was there");
        let tag = before.head.strong_etag();
        assert!(tag.is_some() && tag == parts.head.strong_etag());
        assert_eq!(before.pieces.length(), parts.pieces.length());
    }
}

/// Whatever is asked, the answer lies inside what is held and is the right bytes.
fn check_answer(held: &HeldParts, asked: &HeaderMap) {
    let Some(range) = held.answer(asked) else { return };
    let cut = held.pieces.cut(range).expect("an answer is held");
    assert_eq!(cut.concat(), bytes(range));
    assert!(range.last < held.pieces.length());
}

/// Trailers pass a second time as they passed the first.
fn check_trailers(headers: &HeaderMap) {
    if let Some(passed) = passable_trailers(headers) {
        assert_eq!(passable_trailers(&passed).as_ref(), Some(&passed));
        assert!(!passed.contains_key("content-length") && !passed.contains_key("weir-auth"));
    }
    if let Some(names) = announced_trailers(headers) {
        let names = names.to_str().expect("names are text");
        for forbidden in ["transfer-encoding", "host", "authorization", "set-cookie", "vary"] {
            assert!(names.split(", ").all(|name| name != forbidden));
        }
    }
}
