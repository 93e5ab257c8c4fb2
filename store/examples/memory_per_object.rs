//! What does a stored response cost in memory beyond its body?
//!
//! Fills a store and prints how far the resident memory of the process grew, for each object kept:
//!
//! `cargo run --release -p weir-store --example memory_per_object -- KIND OBJECTS BODY_BYTES [LIMIT_MIB]`
//!
//! KIND is `moka`, `quick` or `shelves`. Without a limit everything is kept. Times are
//! those of one thread on its processor. Linux only, for it reads `/proc`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for the terminal")]

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use weir_cache::eviction::Goal;
use weir_cache::{
    CacheKey, KeyRules, Keyed, Now, OpenGate, Policy, Profile, RequestHead, ResponseHead, Scheme,
    Seq, StoredHead, Target, Timestamp, Timing, UnixTime, check,
};
use weir_store::{MemoryKind, MemoryStore, StoreLimits, StoredResponse};

const NOW: Now = Now { monotonic: Timestamp::ZERO, wall: UnixTime::from_secs(1_795_327_200) };

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let number = |place: usize, otherwise: u64| {
        std::env::args().nth(place).map_or(otherwise, |text| text.parse().unwrap())
    };
    let (objects, body_bytes) = (number(2, 1_000_000), number(3, 1024));
    let limit = number(4, 1 << 30) << 20;
    let store = MemoryStore::new(StoreLimits {
        memory_bytes_max: limit,
        object_bytes_max: limit / 8,
        memory_object_bytes_max: 1 << 20,
        variants_max: 16,
        memory_kind: match std::env::args().nth(1).as_deref() {
            Some("moka") => MemoryKind::Moka,
            Some("quick") => MemoryKind::Quick,
            Some("shelves") => MemoryKind::Shelves,
            other => panic!("no kind of map: {other:?}"),
        },
        goal: Goal::default(),
    });
    let policy = Policy::for_profile(Profile::Default);
    let before = resident_bytes();
    let began = busy_nanos();
    for index in 0..objects {
        let keyed = keyed(index);
        let stored = response(&store, &policy, &keyed, (index, body_bytes));
        store.writing(|_| {}).insert(keyed.key, Arc::new(stored), &HeaderMap::new(), &policy).await;
    }
    let nanos = (busy_nanos() - began) / objects;
    let stats = store.stats().await;
    let grown = resident_bytes() - before;
    println!("kept {} of {objects} objects, {nanos} ns for each insert", stats.keys);
    println!("resident {grown} bytes, charged {} of {limit}", stats.bytes);
    let each = |bytes: u64| i128::from(bytes / stats.keys) - i128::from(body_bytes);
    println!("each beyond its body: resident {}, charged {}", each(grown), each(stats.bytes));
    gets(&store, objects).await;
}

/// Prints what a look-up costs over the newest keys.
async fn gets(store: &MemoryStore, objects: u64) {
    let keys: Vec<_> = (objects.saturating_sub(100_000)..objects).map(|n| keyed(n).key).collect();
    let (began, mut found) = (busy_nanos(), 0_u64);
    for key in keys.iter().cycle().take(1_000_000) {
        found += u64::from(store.lookup(key).await.is_some());
    }
    println!("{} ns for each of 1000000 gets, {found} found", (busy_nanos() - began) / 1_000_000);
}

/// What this thread has had of a processor, which others that want it do not change.
fn busy_nanos() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split_whitespace().next().unwrap().parse().unwrap()
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The key of a URL of 50 bytes.
fn keyed(index: u64) -> Keyed {
    let path = format!("/static/pages/{index:012}");
    let target = Target::parse(Scheme::Https, "cdn.example.com", &path).unwrap();
    let fields = HeaderMap::new();
    let granted = check(OpenGate, &Method::GET, target).unwrap();
    CacheKey::derive("www", &KeyRules::default(), granted, &fields)
}

fn response(
    store: &MemoryStore,
    policy: &Policy,
    keyed: &Keyed,
    (index, body_bytes): (u64, u64),
) -> StoredResponse {
    let etag = format!("\"{index:08x}-{body_bytes:x}\"");
    let (length, custom) = (body_bytes.to_string(), format!("bar-{}", index % 1000));
    let lines = [
        ("date", "Sun, 22 Nov 2026 06:00:00 GMT"),
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", &length),
        ("etag", &etag),
        ("last-modified", "Sat, 21 Nov 2026 06:00:00 GMT"),
        ("cache-control", "public, max-age=3600"),
        ("server", "nginx/1.26.2"),
        ("x-foo", &custom),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let none = HeaderMap::new();
    let request = RequestHead { method: &Method::GET, headers: &none, target_uri: None };
    let answer = ResponseHead { status: StatusCode::OK, headers };
    let timing = Timing { request: NOW, response: NOW };
    let head = StoredHead::derive(policy, &request, &answer, timing, Seq::default()).unwrap();
    let body = Bytes::from(vec![b'x'; usize::try_from(body_bytes).unwrap()]);
    StoredResponse::new(store.compact(head), body, &keyed.text)
}
