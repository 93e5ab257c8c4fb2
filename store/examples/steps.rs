//! What does one step of a hit cost, by the instructions of a loop over it?
//!
//! Repeats one step and prints nothing; `tests/instructions/run.py` counts the instructions of two runs, where the
//! difference is what the second run repeated more often:
//!
//! `cargo run --release -p weir-store --example steps -- STEP COUNT`
//!
//! STEP is `parse`, `key`, `lookup`, `decide` or `head`; or `yardstick`, which uses nothing of this repository and is
//! what the others are compared with. It is never to be changed: every figure of the baseline is a multiple of it.

#![expect(clippy::unwrap_used, reason = "a tool for the terminal, whose inputs are constants")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use weir_cache::{
    CacheKey, KeyRules, Keyed, Now, OpenGate, Policy, Profile, RequestHead, ResponseHead, Reuse,
    Scheme, Seq, StoredHead, Target, Timestamp, Timing, UnixTime, check,
};
use weir_store::{MemoryKind, Store, StoreLimits, StoredResponse};

const NOW: Now = Now { monotonic: Timestamp::ZERO, wall: UnixTime::from_secs(1_795_327_200) };
const BODY_BYTES: usize = 1024;
/// Fields of a head that are looked at.
const FIELDS_MAX: usize = 48;

/// What a browser sends.
const HEAD: &str = "GET /a/page.html?b=2&a=1 HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://www.example.com/\r\n\
    Cookie: consent=1; theme=dark\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Priority: u=0, i\r\n\r\n";

const REQUEST: &[(&str, &str)] = &[
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-US,en;q=0.5"),
    ("cookie", "consent=1; theme=dark"),
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
    ("content-encoding", "br"),
    ("x-frame-options", "DENY"),
];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let step = arguments.next().unwrap_or_default();
    let count = arguments.next().map_or(0, |text| text.parse().unwrap());
    match step.as_str() {
        "yardstick" => repeat(count, yardstick),
        "parse" => repeat(count, parse),
        "key" => {
            let rules = KeyRules::for_profile(Profile::Default);
            repeat(count, || keyed(&rules));
        }
        "lookup" => {
            let (store, key) = filled().await;
            repeat(count, || assert!(store.peek(black_box(&key)).is_some(), "it is stored"));
        }
        "decide" => {
            let (policy, request) = (Policy::for_profile(Profile::Default), fields(REQUEST));
            let stored = head(&policy);
            let now = Timestamp::ZERO.saturating_add(Duration::from_secs(300));
            repeat(count, || {
                let reuse = black_box(&stored).judge(None, black_box(now));
                let is_selected = stored.vary.matches(black_box(&request), &policy);
                assert!(reuse == Reuse::Fresh && is_selected, "it answers the request");
            });
        }
        "head" => {
            let (store, key) = filled().await;
            let found = store.peek(&key).unwrap();
            let stored = found.iter().next().unwrap();
            let mut out = Vec::with_capacity(4096);
            repeat(count, || write(&mut out, &black_box(stored).head));
        }
        other => panic!("no step: {other:?}"),
    }
}

/// Does `step` `count` times.
fn repeat<T>(count: u64, mut step: impl FnMut() -> T) {
    for _ in 0..count {
        black_box(step());
    }
}

/// Integers mixed, sorted and hashed, digits written and read: no allocation, nothing that a C library or the kind of the
/// processor has a part in.
#[inline(never)]
fn yardstick() -> u64 {
    let mut state = black_box(0x9e37_79b9_7f4a_7c15_u64);
    let mut numbers = [0_u64; 32];
    for number in &mut numbers {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *number = state;
    }
    // By insertion, written out: how the standard library sorts differs between its versions.
    for end in 1..numbers.len() {
        for place in (1..=end).rev() {
            if numbers[place - 1] <= numbers[place] {
                break;
            }
            numbers.swap(place - 1, place);
        }
    }
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for number in black_box(&numbers) {
        let mut left = *number;
        while left > 0 {
            hash = (hash ^ (left % 10)).wrapping_mul(0x0100_0000_01b3);
            left /= 10;
        }
    }
    hash
}

fn parse() -> usize {
    let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut room);
    assert!(request.parse(black_box(HEAD.as_bytes())).unwrap().is_complete(), "the head is whole");
    request.headers.len()
}

fn keyed(rules: &KeyRules) -> Keyed {
    let path = black_box("/a/page.html?b=2&a=1");
    let target = Target::parse(Scheme::Http, black_box("www.example.com"), path).unwrap();
    let granted = check(OpenGate, &Method::GET, target).unwrap();
    CacheKey::derive("www", rules, granted, &HeaderMap::new())
}

fn write(out: &mut Vec<u8>, head: &StoredHead) -> usize {
    out.clear();
    for line in head.headers.lines() {
        out.extend_from_slice(line.name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(&line.value);
        out.extend_from_slice(b"\r\n");
    }
    out.len()
}

/// A store that holds one response, and its key.
async fn filled() -> (Store, CacheKey) {
    let limits = StoreLimits {
        memory_bytes_max: 256 << 20,
        object_bytes_max: 32 << 20,
        memory_object_bytes_max: 1 << 20,
        variants_max: 16,
        memory_kind: MemoryKind::default(),
        goal: weir_cache::eviction::Goal::default(),
    };
    let (store, policy) = (Store::new(limits, None), Policy::for_profile(Profile::Default));
    let keyed = keyed(&KeyRules::for_profile(Profile::Default));
    let body = Bytes::from(vec![b'x'; BODY_BYTES]);
    let stored = StoredResponse::new(store.compact(head(&policy)), body, &keyed.text);
    assert!(store.insert(keyed.key, Arc::new(stored), &fields(REQUEST), &policy).await, "room");
    (store, keyed.key)
}

fn head(policy: &Policy) -> StoredHead {
    let request = fields(REQUEST);
    let asked = RequestHead { method: &Method::GET, headers: &request, target_uri: None };
    let response = ResponseHead { status: StatusCode::OK, headers: fields(RESPONSE) };
    let timing = Timing { request: NOW, response: NOW };
    StoredHead::derive(policy, &asked, &response, timing, Seq::default()).unwrap()
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    lines.iter().map(field).collect()
}
