//! What a decision costs: time and allocations of what runs for each request, and of what runs once
//! when a response is stored.
//!
//! `cargo bench -p weir-cache`

#![expect(clippy::unwrap_used, reason = "its inputs are constants")]

use std::time::Duration;

use divan::{AllocProfiler, Bencher, black_box};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use weir_cache::{
    CacheKey, KeyRules, Now, OpenGate, Policy, Profile, RequestHead, ResponseHead, Scheme, Seq,
    Shapes, StoredHead, Target, Timestamp, Timing, UnixTime, check,
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const REQUEST: &[(&str, &str)] = &[
    ("host", "www.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "br, gzip"),
    ("cookie", "consent=1; theme=dark"),
    ("referer", "https://www.example.com/"),
];

const RESPONSE: &[(&str, &str)] = &[
    ("date", "Sun, 22 Nov 2026 06:00:00 GMT"),
    ("content-type", "text/html; charset=utf-8"),
    ("content-length", "1024"),
    ("cache-control", "public, max-age=600, stale-while-revalidate=60"),
    ("etag", "\"5f2a-62e8\""),
    ("last-modified", "Sat, 21 Nov 2026 06:00:00 GMT"),
    ("server", "origin"),
    ("vary", "Accept-Encoding"),
    ("link", "</a.css>; rel=preload; as=style"),
    ("x-frame-options", "DENY"),
    ("strict-transport-security", "max-age=31536000"),
    ("content-encoding", "br"),
];

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    lines.iter().map(field).collect()
}

fn at(secs: u64) -> Now {
    let wall = UnixTime::from_secs(1_795_327_200 + i64::try_from(secs).unwrap());
    Now { monotonic: Timestamp::from_micros(secs * 1_000_000), wall }
}

fn store(policy: &Policy) -> StoredHead {
    let request = fields(REQUEST);
    let head = RequestHead { method: &Method::GET, headers: &request, target_uri: None };
    let response = ResponseHead { status: StatusCode::OK, headers: fields(RESPONSE) };
    let timing = Timing { request: at(0), response: at(0) };
    StoredHead::derive(policy, &head, &response, timing, Seq::default()).unwrap()
}

#[divan::bench]
fn hit_decision(bencher: Bencher<'_, '_>) {
    let stored = store(&Policy::for_profile(Profile::Default));
    let now = Timestamp::ZERO.saturating_add(Duration::from_secs(300));
    bencher.bench(|| black_box(&stored).judge(None, black_box(now)));
}

#[divan::bench]
fn vary_byte_equal(bencher: Bencher<'_, '_>) {
    let policy = Policy::for_profile(Profile::Default);
    let (stored, request) = (store(&policy), fields(REQUEST));
    bencher.bench(|| black_box(&stored).vary.matches(black_box(&request), &policy));
}

#[divan::bench]
fn vary_normalized(bencher: Bencher<'_, '_>) {
    let policy = Policy::for_profile(Profile::Default);
    let (stored, mut request) = (store(&policy), fields(REQUEST));
    request.insert("accept-encoding", HeaderValue::from_static("gzip,br"));
    bencher.bench(|| black_box(&stored).vary.matches(black_box(&request), &policy));
}

/// The fields of an answer: what is stored, and what is added on the way out.
fn answer(mut headers: HeaderMap) -> HeaderMap {
    for name in ["age", "via", "cache-status", "x-cache", "x-request-id"] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
    }
    headers
}

#[divan::bench]
fn fields_of_a_hit(bencher: Bencher<'_, '_>) {
    let (policy, mut shapes) = (Policy::for_profile(Profile::Default), Shapes::default());
    drop(store(&policy).compact(&mut shapes));
    let stored = store(&policy).compact(&mut shapes);
    bencher.bench(|| answer(black_box(&stored.headers).to_map(8)));
}

/// What [`fields_of_a_hit`] is to be compared with: fields at rest in the form that messages have.
#[divan::bench]
fn fields_of_a_hit_from_a_map(bencher: Bencher<'_, '_>) {
    let stored = store(&Policy::for_profile(Profile::Default)).headers.to_map(0);
    bencher.bench(|| answer(black_box(&stored).clone()));
}

#[divan::bench]
fn compact_when_stored(bencher: Bencher<'_, '_>) {
    let (policy, mut shapes) = (Policy::for_profile(Profile::Default), Shapes::default());
    let head = store(&policy);
    bencher.bench_local(|| black_box(&head).clone().compact(&mut shapes));
}

#[divan::bench]
fn plan_when_stored(bencher: Bencher<'_, '_>) {
    let policy = Policy::for_profile(Profile::Default);
    let request = fields(REQUEST);
    let response = ResponseHead { status: StatusCode::OK, headers: fields(RESPONSE) };
    let timing = Timing { request: at(0), response: at(0) };
    bencher.bench(|| {
        let head = RequestHead { method: &Method::GET, headers: &request, target_uri: None };
        StoredHead::derive(&policy, &head, black_box(&response), timing, Seq::default())
    });
}

#[divan::bench]
fn target_and_key(bencher: Bencher<'_, '_>) {
    let (rules, request) = (KeyRules::default(), fields(REQUEST));
    bencher.bench(|| {
        let target =
            Target::parse(Scheme::Http, "www.example.com", "/a/page.html?b=2&a=1").unwrap();
        let granted = check(OpenGate, &Method::GET, target).unwrap();
        CacheKey::derive("www", &rules, granted, &request)
    });
}
