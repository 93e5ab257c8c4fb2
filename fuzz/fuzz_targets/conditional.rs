//! Conditions and validation: the fields of a response, of a request, of an answer to validation.

#![no_main]

use http::header::{
    AGE, CONTENT_LENGTH, ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use weir_cache::{
    Fields, NotModified, Policy, Precondition, Profile, RequestHead, Seq, Shapes, StoredHead,
    condition_on, evaluate, freshen, if_range_holds, judge_not_modified, merge_not_modified,
    not_modified_headers, strip_conditionals,
};
use weir_fuzz::{ARRIVAL, Input, at_once, derive, fields};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let response = fields(input.section());
    let request = fields(input.section());
    let update = fields(input.section());
    for profile in [Profile::Default, Profile::Rfc] {
        let policy = Policy::for_profile(profile);
        let Ok(head) = derive(&policy, &request, StatusCode::OK, &response) else { continue };
        check_fields(&head);
        check_conditions(&head, &request);
        check_validation_request(&head, &request);
        check_merge(&head, &update);
        check_confirmation(&head, &policy, &request);
        check_freshen(&head, &policy, &request, &update);
    }
});

/// A head that shares what it can is the same, and its fields are the same lines.
fn check_fields(head: &StoredHead) {
    let mut shapes = Shapes::default();
    drop(head.clone().compact(&mut shapes));
    assert_eq!(head.clone().compact(&mut shapes), *head);
    assert_eq!(Fields::from(&head.headers.to_map(0)), head.headers);
}

fn check_conditions(head: &StoredHead, request: &HeaderMap) {
    match evaluate(request, head) {
        Precondition::Failed => {
            assert!(request.contains_key(IF_MATCH) || request.contains_key(IF_UNMODIFIED_SINCE))
        }
        Precondition::NotModified => {
            assert!(request.keys().any(|name| name.as_str().starts_with("if-")));
        }
        Precondition::Proceed => {}
    }
    let mut plain = request.clone();
    strip_conditionals(&mut plain);
    assert_ne!(evaluate(&plain, head), Precondition::NotModified, "nothing asks for a 304");
    check_if_range(head, request);
    check_own_tag(head);
}

/// Parts are put together only under a strong tag or the very same date.
fn check_if_range(head: &StoredHead, request: &HeaderMap) {
    if request.contains_key(IF_RANGE) && if_range_holds(request, &head.headers) {
        let lines: Vec<&HeaderValue> = request.get_all(IF_RANGE).iter().collect();
        assert_eq!(lines.len(), 1);
        assert!(!lines[0].as_bytes().starts_with(b"W/"));
        assert!(head.headers.iter().any(|(_, value)| value == *lines[0]));
    }
}

/// Whoever has our strong tag gets a 304 for it, and never a 412.
fn check_own_tag(head: &StoredHead) {
    let Some(tag) = head.strong_etag() else { return };
    let inner = &tag.as_bytes()[1..tag.len().saturating_sub(1)];
    if tag.len() < 2 || inner.contains(&b'"') {
        return;
    }
    let asking = |name| HeaderMap::from_iter([(name, tag.clone())]);
    assert_eq!(evaluate(&asking(IF_NONE_MATCH), head), Precondition::NotModified);
    assert_eq!(evaluate(&asking(IF_MATCH), head), Precondition::Proceed);
    assert!(if_range_holds(&asking(IF_RANGE), &head.headers));
}

/// The question to the upstream holds our validators and no condition of the client.
fn check_validation_request(head: &StoredHead, request: &HeaderMap) {
    let mut asked = request.clone();
    condition_on(head, &mut asked);
    for name in [IF_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE] {
        assert!(!asked.contains_key(name));
    }
    assert_eq!(
        asked.get(IF_NONE_MATCH).map(HeaderValue::as_bytes),
        head.headers.get(&ETAG).as_deref()
    );
    let ours = [
        "if-none-match",
        "if-modified-since",
        "if-match",
        "if-range",
        "if-unmodified-since",
        "range",
    ];
    for name in request.keys().filter(|name| !ours.contains(&name.as_str())) {
        assert!(asked.get_all(name).iter().eq(request.get_all(name)), "{name} stays");
    }
    let mut again = asked.clone();
    condition_on(head, &mut again);
    assert_eq!(again, asked);
}

/// The 304 of a tier above that holds the same response confirms it and changes no field.
fn check_confirmation(head: &StoredHead, policy: &Policy, request: &HeaderMap) {
    for full in [true, false] {
        let update = not_modified_headers(head.headers.to_map(0), full);
        assert!(!update.contains_key(CONTENT_LENGTH));
        assert_eq!(judge_not_modified(head, &update), NotModified::Applies);
        let get = RequestHead { method: &Method::GET, headers: request, target_uri: None };
        if let Ok(again) = freshen(head, policy, &get, &update, at_once(), Seq::new(8)) {
            assert_eq!(again.headers.to_map(0), head.headers.to_map(0));
            assert_eq!(again.status, head.status);
        }
    }
}

/// Fields that describe the stored bytes stay, and no field vanishes.
fn check_merge(head: &StoredHead, update: &HeaderMap) {
    let merged = merge_not_modified(head, update, ARRIVAL);
    assert_eq!(merged.status, head.status);
    let kept = head.headers.to_map(0);
    for name in ["content-length", "content-encoding", "content-range"] {
        assert!(merged.headers.get_all(name).iter().eq(kept.get_all(name)), "{name}");
    }
    for name in kept.keys() {
        assert!(merged.headers.contains_key(name), "{name} is replaced, not removed");
    }
    for gone in ["connection", "transfer-encoding", "proxy-authenticate"] {
        assert!(!merged.headers.contains_key(gone));
    }
}

fn check_freshen(head: &StoredHead, policy: &Policy, request: &HeaderMap, update: &HeaderMap) {
    let get = RequestHead { method: &Method::HEAD, headers: request, target_uri: None };
    let Ok(again) = freshen(head, policy, &get, update, at_once(), Seq::new(8)) else { return };
    assert!(!again.headers.contains(&AGE));
    assert!(again.vary.matches(request, policy));
    assert_eq!(again.as_of, Seq::new(8));
}
