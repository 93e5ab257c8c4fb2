//! What holds of the memory tier, over each kind of map.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use weir_cache::{
    HeldParts, KeyRules, Keyed, Now, OpenGate, Pieces, Profile, RequestHead, ResponseHead, Scheme,
    Seq, Target, Timestamp, Timing, UnixTime, check,
};

use super::*;

const NOW: Now = Now { monotonic: Timestamp::ZERO, wall: UnixTime::from_secs(1_795_327_200) };

const MIB: u64 = 1 << 20;

fn store(memory_kind: MemoryKind, memory_bytes_max: u64, object_bytes_max: u64) -> MemoryStore {
    MemoryStore::new(StoreLimits {
        memory_bytes_max,
        object_bytes_max,
        memory_object_bytes_max: object_bytes_max,
        variants_max: 2,
        memory_kind,
        goal: Goal::default(),
    })
}

/// Makes a test for each kind of map of each function named, which gets a store for that many bytes and bodies
/// of that many.
macro_rules! over_all {
    ($($name:ident($bytes:expr, $object:expr),)*) => {
        mod moka {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::store(super::MemoryKind::Moka, $bytes, $object)).await;
            })*
        }
        mod shelves {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::store(super::MemoryKind::Shelves, $bytes, $object)).await;
            })*
        }
        mod quick {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::store(super::MemoryKind::Quick, $bytes, $object)).await;
            })*
        }
    };
}

over_all! {
    a_request_gets_its_own_variant_and_a_newer_one_takes_the_place_of_the_older(1_000_000, 2_000),
    variants_and_bodies_are_bounded(1_000_000, 2_000),
    what_was_removed_does_not_come_back_by_a_validation(1_000_000, 2_000),
    what_was_asked_for_earlier_does_not_take_the_place_of_the_later(1_000_000, 2_000),
    the_bytes_stored_stay_within_the_limit(50_000, 2_000),
    parts_are_for_their_variant_and_never_for_the_whole(1_000_000, 2_000),
    parts_are_bounded_and_charged_for(1_000_000, 2_000),
    parts_that_were_removed_do_not_come_back_by_a_validation(1_000_000, 2_000),
    a_body_of_an_eighth_of_the_room_is_taken_in(64 * super::MIB, 8 * super::MIB),
    writers_of_one_key_take_turns(1_000_000, 2_000),
    a_response_is_found_again_by_a_copy_of_it(1_000_000, 2_000),
    who_follows_is_told_what_a_key_holds_after_each_change(1_000_000, 2_000),
    every_response_is_met(1_000_000, 2_000),
    a_response_that_is_asked_for_outlives_those_that_are_not(200_000, 2_000),
}

fn policy() -> Policy {
    Policy::for_profile(Profile::Default)
}

fn keyed(path: &str) -> Keyed {
    let target = Target::parse(Scheme::Http, "www.test", path).unwrap();
    let fields = HeaderMap::new();
    let granted = check(OpenGate, &Method::GET, target).unwrap();
    CacheKey::derive("www", &KeyRules::default(), granted, &fields)
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    lines.iter().map(field).collect()
}

fn language(tag: &'static str) -> HeaderMap {
    fields(&[("accept-language", tag)])
}

/// A response to a request with `request` that varies by language.
fn response(request: &HeaderMap, body: &str) -> Arc<StoredResponse> {
    response_as_of(Seq::default(), request, body)
}

fn response_as_of(as_of: Seq, request: &HeaderMap, body: &str) -> Arc<StoredResponse> {
    let headers = fields(&[("cache-control", "max-age=60"), ("vary", "accept-language")]);
    let head = RequestHead { method: &Method::GET, headers: request, target_uri: None };
    let answer = ResponseHead { status: StatusCode::OK, headers };
    let timing = Timing { request: NOW, response: NOW };
    let head = StoredHead::derive(&policy(), &head, &answer, timing, as_of).unwrap();
    let body = Bytes::copy_from_slice(body.as_bytes());
    Arc::new(StoredResponse::new(head, body, &keyed("/a").text))
}

async fn put(store: &MemoryStore, path: &str, request: &HeaderMap, body: &str) -> bool {
    store
        .writing(|_| {})
        .insert(keyed(path).key, response(request, body), request, &policy())
        .await
        .is_some()
}

async fn got(store: &MemoryStore, path: &str, request: &HeaderMap) -> Option<Bytes> {
    let variants = store.lookup(&keyed(path).key).await?;
    variants.select(request, &policy()).and_then(|stored| stored.body.in_memory().cloned())
}

async fn a_request_gets_its_own_variant_and_a_newer_one_takes_the_place_of_the_older(
    store: MemoryStore,
) {
    let (english, german) = (language("en"), language("de"));
    put(&store, "/a", &english, "old").await;
    put(&store, "/a", &german, "deutsch").await;
    put(&store, "/a", &english, "new").await;
    assert_eq!(got(&store, "/a", &english).await.unwrap(), "new");
    assert_eq!(got(&store, "/a", &german).await.unwrap(), "deutsch");
    assert_eq!(got(&store, "/a", &language("fr")).await, None);
    assert_eq!(store.lookup(&keyed("/a").key).await.unwrap().iter().count(), 2);
}

async fn variants_and_bodies_are_bounded(store: MemoryStore) {
    for tag in ["en", "de", "fr"] {
        put(&store, "/a", &language(tag), tag).await;
    }
    assert_eq!(store.lookup(&keyed("/a").key).await.unwrap().iter().count(), 2);
    assert_eq!(store.variants_dropped(), 1);
    assert!(!put(&store, "/b", &language("en"), &"x".repeat(2_001)).await, "too large");
    assert_eq!(got(&store, "/b", &language("en")).await, None);
}

async fn what_was_removed_does_not_come_back_by_a_validation(store: MemoryStore) {
    let english = language("en");
    put(&store, "/a", &english, "old").await;
    let key = keyed("/a").key;
    let held = store.lookup(&key).await.unwrap();
    let old = held.select(&english, &policy()).unwrap();
    let (first, second) = (response(&english, "first"), response(&english, "second"));
    assert!(store.writing(|_| {}).replace(key, old, Arc::clone(&first)).await.is_some());
    assert!(
        store.writing(|_| {}).replace(key, old, second).await.is_none(),
        "old is not stored any more"
    );
    assert!(store.writing(|_| {}).remove(&key).await);
    assert!(store.writing(|_| {}).replace(key, &first, Arc::clone(&first)).await.is_none());
    assert_eq!(got(&store, "/a", &english).await, None);
    assert!(!store.writing(|_| {}).remove(&key).await);
}

/// A fill from before a purge that is not matched by it may end after one from after it.
async fn a_response_is_found_again_by_a_copy_of_it(store: MemoryStore) {
    let english = language("en");
    put(&store, "/a", &english, "body").await;
    let key = keyed("/a").key;
    let held = store.lookup(&key).await.unwrap();
    let stored = held.select(&english, &policy()).unwrap();
    // As one that was read from disk once more.
    let copy = Arc::new(stored.with_body(stored.body.clone()));
    let other = response(&english, "another length");
    assert!(store.writing(|_| {}).discard(&key, &other).await.is_none());
    let next = Arc::clone(&other);
    assert!(store.writing(|_| {}).replace(key, &copy, next).await.is_some());
    assert!(store.writing(|_| {}).discard(&key, &copy).await.is_none(), "it was replaced");
}

async fn who_follows_is_told_what_a_key_holds_after_each_change(store: MemoryStore) {
    let (english, key) = (language("en"), keyed("/a").key);
    let mut told = Vec::new();
    let stored = response(&english, "body");
    let inserting = store.writing(|list| told.push(list.iter().count()));
    inserting.insert(key, Arc::clone(&stored), &english, &policy()).await;
    let other = response(&english, "another length");
    store.writing(|list| told.push(list.iter().count())).replace(key, &other, stored).await;
    store.writing(|list| told.push(list.iter().count())).remove(&key).await;
    assert_eq!(told, [1, 0], "nothing where nothing changes");
}

async fn what_was_asked_for_earlier_does_not_take_the_place_of_the_later(store: MemoryStore) {
    let english = language("en");
    let later = response_as_of(Seq::new(2), &english, "later");
    let key = keyed("/a").key;
    assert!(store.writing(|_| {}).insert(key, later, &english, &policy()).await.is_some());
    let earlier = response_as_of(Seq::new(1), &english, "earlier");
    assert!(store.writing(|_| {}).insert(key, earlier, &english, &policy()).await.is_none());
    assert_eq!(got(&store, "/a", &english).await.unwrap(), "later");
}

async fn the_bytes_stored_stay_within_the_limit(store: MemoryStore) {
    for index in 0..500 {
        put(&store, &format!("/{index}"), &language("en"), &"x".repeat(1_000)).await;
        assert!(store.stats().await.bytes <= 50_000);
    }
    let stats = store.stats().await;
    assert!(stats.keys > 10 && stats.evictions > 100, "{stats:?}");
}

/// `bytes` of a body of 10,000, the answer to a request with `request`.
fn parts(request: &HeaderMap, bytes: usize) -> Arc<StoredParts> {
    let head = response(request, "").head.clone();
    let pieces = Pieces::one(0, Bytes::from(vec![b'x'; bytes]), 10_000).unwrap();
    Arc::new(StoredParts { held: HeldParts { head, pieces, asked: None }, text: keyed("/a").text })
}

async fn put_parts(store: &MemoryStore, request: &HeaderMap, bytes: usize) -> bool {
    let parts = parts(request, bytes);
    let change = |_: Option<&Arc<StoredParts>>| PartsChange::Parts(parts);
    store.writing(|_| {}).change_parts(keyed("/a").key, request, &policy(), change).await.is_some()
}

async fn got_parts(store: &MemoryStore, request: &HeaderMap) -> Option<u64> {
    let variants = store.lookup(&keyed("/a").key).await?;
    let parts = variants.select_parts(request, &policy())?;
    Some(parts.held.pieces.held().1)
}

async fn parts_are_for_their_variant_and_never_for_the_whole(store: MemoryStore) {
    let (english, german) = (language("en"), language("de"));
    assert!(put_parts(&store, &english, 5).await);
    assert_eq!(got_parts(&store, &english).await, Some(5));
    assert_eq!(got_parts(&store, &german).await, None);
    assert_eq!(got(&store, "/a", &english).await, None, "no part as the whole");
    put_parts(&store, &german, 7).await;
    assert_eq!(got_parts(&store, &english).await, Some(5), "another variant's stay");

    put(&store, "/a", &english, "whole").await;

    assert_eq!(got_parts(&store, &english).await, None, "the whole takes their place");
    assert_eq!(got_parts(&store, &german).await, Some(7));
    assert!(!put_parts(&store, &english, 5).await, "and they do not come back beside it");
    assert_eq!(got(&store, "/a", &english).await.unwrap(), "whole");
}

async fn parts_are_bounded_and_charged_for(store: MemoryStore) {
    assert!(!put_parts(&store, &language("en"), 2_001).await, "too large");
    for tag in ["en", "de", "fr"] {
        put_parts(&store, &language(tag), 2_000).await;
    }
    assert_eq!(got_parts(&store, &language("en")).await, None, "two variants at most");
    let bytes = store.stats().await.bytes;
    assert!((4_000..7_000).contains(&bytes), "{bytes}");
}

async fn parts_that_were_removed_do_not_come_back_by_a_validation(store: MemoryStore) {
    let (key, english) = (keyed("/a").key, language("en"));
    put_parts(&store, &english, 5).await;
    let held = store.lookup(&key).await.unwrap();
    let old = held.select_parts(&english, &policy()).unwrap();
    assert!(store.writing(|_| {}).replace_parts(key, old, parts(&english, 5)).await);
    assert!(
        !store.writing(|_| {}).replace_parts(key, old, parts(&english, 5)).await,
        "replaced already"
    );
    let drop = |_: Option<&Arc<StoredParts>>| PartsChange::Drop;
    store.writing(|_| {}).change_parts(key, &english, &policy(), drop).await;
    assert!(store.lookup(&key).await.is_none(), "nothing is left under the key");
    assert!(!store.writing(|_| {}).replace_parts(key, old, parts(&english, 5)).await);
}

async fn a_body_of_an_eighth_of_the_room_is_taken_in(store: MemoryStore) {
    let english = language("en");
    let body = "x".repeat(usize::try_from(8 * MIB).unwrap());
    for index in 0..20 {
        assert!(put(&store, &format!("/{index}"), &english, &body).await);
        let found = got(&store, &format!("/{index}"), &english).await;
        let stats = store.stats().await;
        assert!(stats.bytes <= 64 * MIB, "{stats:?}");
        // Over a full map of the other kind, what was never asked for before has to wait.
        if index < 3 || store.limits().memory_kind == MemoryKind::Quick {
            assert!(found.is_some(), "{index}");
        }
    }
    let stats = store.stats().await;
    assert!(stats.keys >= 3 && stats.evictions >= 12, "{stats:?}");
}

/// Each of the writers adds a part and sees those of all before it.
async fn writers_of_one_key_take_turns(store: MemoryStore) {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 50;
    let (store, seen) = (Arc::new(store), Arc::new(Mutex::new(0_usize)));
    let english = language("en");
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (store, seen, english) = (Arc::clone(&store), Arc::clone(&seen), english.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for _ in 0..ROUNDS {
                    let change = |old: Option<&Arc<StoredParts>>| {
                        let held = old.map_or(0, |old| old.held.pieces.held().1);
                        let count = usize::try_from(held).unwrap() + 1;
                        let mut seen = seen.lock();
                        *seen = (*seen).max(count);
                        PartsChange::Parts(parts(&english, count))
                    };
                    let (key, policy) = (keyed("/a").key, policy());
                    let changed =
                        store.writing(|_| {}).change_parts(key, &english, &policy, change);
                    assert!(runtime.block_on(changed).is_some());
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(*seen.lock(), WRITERS * ROUNDS, "no change was lost");
}

async fn every_response_is_met(store: MemoryStore) {
    let english = language("en");
    for index in 0..100 {
        put(&store, &format!("/{index}"), &english, "x").await;
    }
    let mut keys: Vec<_> = store.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 100);
    assert_eq!(store.stats().await.keys, 100);
}

async fn a_response_that_is_asked_for_outlives_those_that_are_not(store: MemoryStore) {
    let english = language("en");
    put(&store, "/liked", &english, &"x".repeat(1_000)).await;
    for index in 0..1_000 {
        assert!(got(&store, "/liked", &english).await.is_some(), "{index}");
        put(&store, &format!("/{index}"), &english, &"x".repeat(1_000)).await;
    }
    assert!(store.stats().await.evictions > 800);
}

/// A map that adds weights up must find them the same when it takes them off.
#[test]
fn what_is_learned_of_a_response_does_not_change_its_weight() {
    let stored = response(&language("en"), "body");
    let before = stored.weight();
    stored.note_digest([1; 32]);
    stored.passed(Seq::new(9));
    assert_eq!(stored.weight(), before);
}

/// The arithmetic of weights, for a response whose pieces can be told.
#[test]
fn a_response_is_charged_for_what_it_takes() {
    let stored = response(&language("en"), "body");
    let head = &stored.head;
    let expected = [
        // Itself with its reference counts, and the body with what sharing it takes.
        size_of::<StoredResponse>() + 16,
        24,
        4,
        // Its digest, and the purge that it was counted for.
        48,
        // The text of its key is part of it.
        head.headers.heap_bytes(),
        head.vary.heap_bytes(),
    ];
    assert_eq!(stored.weight(), expected.into_iter().map(crate::weight::allocated).sum::<u64>());
    let mut shapes = Shapes::default();
    drop(head.clone().compact(&mut shapes));
    assert_eq!(stored.text(), keyed("/a").text);
    let compact = head.clone().compact(&mut shapes);
    let values: usize = compact.headers.iter().map(|(_, value)| value.len()).sum();
    // Values that are shared are none of its own.
    assert!(compact.headers.heap_bytes() <= 16 + values + compact.headers.len());
    assert_eq!(compact.vary.heap_bytes() + compact.tags.heap_bytes(), 0);
}
