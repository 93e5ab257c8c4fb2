//! Variants: the fields of a response, then those of two requests.

#![no_main]

use http::header::{ACCEPT_ENCODING, VARY};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use weir_cache::{Policy, Profile, VaryRule, list_members, reduce_accept_encoding, same_selection};
use weir_fuzz::{Input, fields};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let response = fields(input.section());
    let [one, other] = [fields(input.section()), fields(input.section())];
    for profile in [Profile::Default, Profile::Rfc] {
        let policy = Policy::for_profile(profile);
        let Some(rule) = VaryRule::derive(&response, &one, &policy) else {
            continue;
        };
        assert!(list_members(&response, &VARY).all(|member| member != b"*"));
        assert!(rule.matches(&one, &policy), "a request selects its own response");
        let reverse = VaryRule::derive(&response, &other, &policy).expect("of the same names");
        let matches = rule.matches(&other, &policy);
        assert_eq!(reverse.matches(&one, &policy), matches, "either way round");
        assert_eq!(same_selection(rule.names(), &one, &other, &policy), matches);
        let kept = rule.selecting_headers();
        let restored = VaryRule::select(rule.names().to_vec(), &kept, &policy);
        assert_eq!(restored, rule, "written down and read back");
        if matches {
            check_match(&rule, &one, &other, &policy);
        }
        check_one_difference(&rule, &one, &policy);
    }
    check_encoding_kept(&one);
});

/// Requests that match nominate the same fields, present or absent.
fn check_match(rule: &VaryRule, one: &HeaderMap, other: &HeaderMap, policy: &Policy) {
    for name in rule.names() {
        assert_eq!(one.contains_key(name), other.contains_key(name), "absent is not empty");
        let letters = |headers: &HeaderMap| letters(headers, name);
        assert_eq!(letters(one), letters(other), "what was sent differs only in form");
    }
    assert!(VaryRule::select(rule.names().to_vec(), other, policy).matches(one, policy));
}

/// How often each byte that could carry meaning occurs; order, case and separators left out.
fn letters(headers: &HeaderMap, name: &http::HeaderName) -> Vec<u8> {
    let lines = headers.get_all(name).iter().flat_map(HeaderValue::as_bytes);
    let mut letters: Vec<u8> =
        lines.filter(|byte| !b" \t,;".contains(byte)).map(u8::to_ascii_lowercase).collect();
    letters.sort_unstable();
    letters
}

/// A line more in a field that counts is another request.
fn check_one_difference(rule: &VaryRule, one: &HeaderMap, policy: &Policy) {
    for name in rule.names() {
        let mut more = one.clone();
        more.append(name, HeaderValue::from_static("fuzz"));
        assert!(!rule.matches(&more, policy), "{name} has a line more");
    }
}

/// Reducing Accept-Encoding twice, or what came of it, changes no selection.
fn check_encoding_kept(headers: &HeaderMap) {
    let mut reduced = headers.clone();
    reduce_accept_encoding(&mut reduced);
    let mut again = reduced.clone();
    reduce_accept_encoding(&mut again);
    assert_eq!(
        reduced.get_all(ACCEPT_ENCODING).iter().collect::<Vec<_>>(),
        again.get_all(ACCEPT_ENCODING).iter().collect::<Vec<_>>()
    );
}
