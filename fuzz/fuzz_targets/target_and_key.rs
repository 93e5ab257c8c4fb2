//! Targets and keys: two request targets, each a line of authority and a line of path and query;
//! then a line of patterns; then the fields of two requests.

#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use weir_cache::{
    CacheKey, Glob, HostPattern, HostTable, KeyRules, Keyed, OpenGate, Pattern, Profile, QueryRule,
    Scheme, Target, check, same_origin_references,
};
use weir_fuzz::{Input, fields};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let one = (input.text(), input.text());
    let other = (input.text(), input.text());
    let patterns = input.text();
    input.line();
    let headers = [fields(input.section()), fields(input.section())];
    check_patterns(&patterns, &one.1);
    for text in [&one.0, &one.1, &patterns] {
        check_absolute(text);
        check_host_pattern(text);
    }
    for scheme in [Scheme::Http, Scheme::Https] {
        let parsed = [&one, &other].map(|(authority, rest)| parse(scheme, authority, rest));
        if let [Some(one), _] = &parsed {
            check_target(one);
            check_globs(&patterns, one.path());
            check_references(one, &headers[0]);
        }
        if let [Some(one), Some(other)] = parsed {
            check_keys(&patterns, (one, &headers[0]), (other, &headers[1]));
        }
    }
});

fn parse(scheme: Scheme, authority: &str, rest: &str) -> Option<Target> {
    Target::parse(scheme, authority, rest)
        .or_else(|_| Target::parse(scheme, "example.com", rest))
        .ok()
}

/// The normal form is its own normal form and safe to write anywhere.
fn check_target(target: &Target) {
    let again = Target::parse(target.scheme(), target.host(), &target.path_and_query());
    assert_eq!(again.as_ref(), Ok(target), "idempotent");
    assert_eq!(target.uri().parse().as_ref(), Ok(target), "read back");
    assert!(target.path().starts_with('/'));
    assert!(target.path().bytes().all(|byte| byte.is_ascii_graphic()));
    let segments = || target.path().split('/').skip(1);
    assert!(segments().all(|segment| segment != "." && segment != ".."), "{target}");
    assert!(!target.uri().contains(|c: char| c.is_control() || c == ' ' || c == '#'));
    let bare = target.clone().without_port();
    assert_eq!(bare.host(), target.host_without_port());
    assert_eq!(bare.clone().without_port(), bare);
    check_hosts(target);
}

/// A site is found under its own name and never under a longer one.
fn check_hosts(target: &Target) {
    let host = target.host_without_port();
    let exact: HostPattern = host.parse().expect("a normal host is a pattern");
    assert_eq!(exact, HostPattern::Exact(host.to_owned()));
    let table = HostTable::new(vec![(exact, ())]).expect("one entry");
    assert!(table.find(host).is_some());
    assert!(table.find(&format!("x{host}")).is_none());
    assert!(table.find(&format!("x.{host}")).is_none());
    if let Ok(below) = format!("*.{host}").parse::<HostPattern>() {
        let table = HostTable::new(vec![(below, ())]).expect("one entry");
        assert!(table.find(host).is_none());
        assert!(table.find(&format!("x.{host}")).is_some());
        assert!(table.find(&format!("x{host}")).is_none());
    }
}

/// Nobody can name what belongs to another origin.
fn check_references(target: &Target, headers: &HeaderMap) {
    let base = target.uri();
    for uri in same_origin_references(&base, headers) {
        assert!(!uri.contains('#'));
        if let Ok(named) = uri.parse::<Target>() {
            assert_eq!(named.scheme(), target.scheme(), "{uri}");
            assert_eq!(named.host(), target.host(), "{uri}");
        }
    }
}

/// Keys are equal exactly if texts are, and the target that goes upstream has the same key.
fn check_keys(patterns: &str, one: (Target, &HeaderMap), other: (Target, &HeaderMap)) {
    for rules in rules(patterns) {
        let keyed = [&one, &other].map(|(target, headers)| key_of(&rules, target, headers));
        let same = keyed[0].key == keyed[1].key;
        assert_eq!(same, keyed[0].text.as_str() == keyed[1].text.as_str());
        if same {
            assert_eq!(keyed[0].target, keyed[1].target, "what goes upstream is in the key");
            for name in &rules.headers {
                assert!(one.1.get_all(name).iter().eq(other.1.get_all(name)));
            }
        }
        for (keyed, headers) in keyed.iter().zip([one.1, other.1]) {
            assert_eq!(&key_of(&rules, &keyed.target, headers), keyed, "a tier above agrees");
            check_target(&keyed.target);
        }
    }
}

/// A glob stands for the paths that trying every way of reading it finds.
fn check_globs(patterns: &str, path: &str) {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for text in patterns.split(' ').filter(|text| text.matches('*').count() <= 5) {
        let Ok(glob) = text.parse::<Glob>() else { continue };
        let pattern: Vec<&str> = text.split('/').skip(1).collect();
        if path.len() <= 60 {
            assert_eq!(glob.matches(path), stands_for(&pattern, &segments), "{text} {path}");
        }
        let literal = text == path && !text.contains(['*', '?']);
        assert!(glob.matches(path) || !literal, "a path stands for itself");
    }
}

fn stands_for(pattern: &[&str], segments: &[&str]) -> bool {
    match pattern {
        [] => segments.is_empty(),
        ["**", rest @ ..] => (0..=segments.len()).any(|skip| stands_for(rest, &segments[skip..])),
        [first, rest @ ..] => segments.split_first().is_some_and(|(segment, others)| {
            stands_for_segment(first.as_bytes(), segment.as_bytes()) && stands_for(rest, others)
        }),
    }
}

fn stands_for_segment(pattern: &[u8], segment: &[u8]) -> bool {
    match pattern {
        [] => segment.is_empty(),
        [b'*', rest @ ..] => {
            (0..=segment.len()).any(|skip| stands_for_segment(rest, &segment[skip..]))
        }
        [first, rest @ ..] => segment.split_first().is_some_and(|(byte, others)| {
            (*first == b'?' || first == byte) && stands_for_segment(rest, others)
        }),
    }
}

fn rules(patterns: &str) -> [KeyRules; 3] {
    let patterns: Vec<Pattern> = patterns.split(' ').filter_map(|text| text.parse().ok()).collect();
    let chosen = KeyRules {
        query: QueryRule { sort: true, allow: Some(patterns.clone()), ignore: Vec::new() },
        headers: ["accept", "x-a"].map(HeaderName::from_static).to_vec(),
        cookies: vec!["a".to_owned(), "b".to_owned()],
    };
    let ignoring = KeyRules {
        query: QueryRule { sort: false, allow: None, ignore: patterns },
        ..KeyRules::default()
    };
    [KeyRules::for_profile(Profile::Default), chosen, ignoring]
}

fn key_of(rules: &KeyRules, target: &Target, headers: &HeaderMap) -> Keyed {
    let granted = check(OpenGate, &Method::GET, target.clone());
    CacheKey::derive("www", rules, granted.expect("GET is granted"), headers)
}

fn check_absolute(text: &str) {
    if let Ok(target) = text.parse::<Target>() {
        check_target(&target);
    }
    // As a reference it leads nowhere else either.
    if let Ok(value) = HeaderValue::from_str(text) {
        let base = Target::parse(Scheme::Http, "example.com:8080", "/a/b?c").expect("well-formed");
        check_references(&base, &HeaderMap::from_iter([(http::header::LOCATION, value)]));
    }
}

fn check_host_pattern(text: &str) {
    if let Ok(pattern) = text.parse::<HostPattern>() {
        assert_eq!(pattern.to_string().parse(), Ok(pattern));
    }
}

/// A pattern is written as it is read; a query rule applied twice is applied once.
fn check_patterns(patterns: &str, query: &str) {
    for pattern in patterns.split(' ').filter_map(|text| text.parse::<Pattern>().ok()) {
        assert_eq!(pattern.to_string().parse(), Ok(pattern.clone()));
    }
    for rules in rules(patterns) {
        let once = rules.query.apply(query);
        let twice = once.as_deref().and_then(|query| rules.query.apply(query));
        assert_eq!(twice, once);
    }
}
