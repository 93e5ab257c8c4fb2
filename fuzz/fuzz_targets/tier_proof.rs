//! The proof of a child: requests that are made up, and requests that were signed and then changed.
//!
//! Lines: method, target, the name of the child, how many seconds after signing the request comes, and what is
//! changed (see `edited`) of a text of method, target and fields; then the fields of the request.

#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, header::HOST};
use libfuzzer_sys::fuzz_target;
use weir_fuzz::{Input, edited, fields};
use weir_node::{TierSecret, fuzzing};

const SIGNED_AT: i64 = 1_700_000_000;
const COVERED: [&str; 3] = ["weir-refresh", "weir-min-seq", "weir-control"];

static SECRET: LazyLock<TierSecret> =
    LazyLock::new(|| TierSecret::new("a secret that no fuzzer knows").expect("long enough"));

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (method, target, node) = (input.text(), input.text(), input.text());
    let late = i64::try_from(input.number(100)).expect("small") - 10;
    let recipe = input.line();
    input.line();
    let mut headers = fields(input.rest());
    let (about, now) = ((method.as_str(), target.as_str()), SIGNED_AT + late);
    assert_eq!(fuzzing::proven(&SECRET, about, &headers, now), None, "made up");

    headers.remove("weir-auth");
    fuzzing::prove(&SECRET, about, (&node, SIGNED_AT), &mut headers);
    let is_name = !node.is_empty() && node.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let expected = Some(node.clone()).filter(|_| late <= 60);
    if is_name {
        assert_eq!(fuzzing::proven(&SECRET, about, &headers, now), expected);
    }
    check_changed(about, &headers, (&node, now), recipe);
    check_control(target.as_bytes(), recipe);
    fuzzing::strip_inner(&mut headers);
    let is_inner = |name: &HeaderName| {
        name.as_str().starts_with("weir-") && name.as_str() != "weir-cdn-cache-control"
    };
    assert!(!headers.keys().any(is_inner));
});

/// A proof holds for the request that it was made for, and for what it does not cover of it.
fn check_changed(
    about: (&str, &str),
    headers: &HeaderMap,
    (node, now): (&str, i64),
    recipe: &[u8],
) {
    let mut text = format!("{}\n{}\n", about.0, about.1);
    for (name, value) in headers {
        // A change is one of text; a message with other bytes stays as it is.
        let Ok(value) = value.to_str() else { return };
        text.push_str(&format!("{name}: {value}\n"));
    }
    let Some(changed) = edited(&text, recipe) else { return };
    let mut input = Input::new(changed.as_bytes());
    let (method, target) = (input.text(), input.text());
    let other = fields(input.rest());
    let Some(proven) = fuzzing::proven(&SECRET, (&method, &target), &other, now) else { return };
    assert!(now - SIGNED_AT <= 60, "too old");
    // The name ends where the time begins, so that one with a time in it is another name.
    assert!(proven == node || node.contains(";time="), "{proven} for {node}");
    assert_eq!((method.as_str(), target.as_str()), about);
    // No Host is signed as an empty one is; requests with either are refused before that matters.
    let host = |headers: &HeaderMap| headers.get(HOST).filter(|host| !host.is_empty()).cloned();
    assert_eq!(host(&other), host(headers));
    for name in COVERED {
        assert!(other.get_all(name).iter().eq(headers.get_all(name)), "{name}");
    }
}

/// What vouches for a message vouches for no other.
fn check_control(body: &[u8], recipe: &[u8]) {
    let value = fuzzing::control(body, 3);
    assert_eq!(fuzzing::control_hops(&value, body), Some(3));
    assert_eq!(fuzzing::control_hops(&value, &[body, b"x"].concat()), None);
    let changed = edited(value.to_str().expect("text"), recipe);
    let Some(Ok(changed)) = changed.map(|text| HeaderValue::from_str(&text)) else { return };
    if let Some(hops) = fuzzing::control_hops(&changed, body) {
        assert_eq!(changed, fuzzing::control(body, hops));
    }
}
