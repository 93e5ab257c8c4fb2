//! What is known of a name, asked of a name server on loopback.

use std::sync::atomic::Ordering::Acquire;

use super::*;
use crate::upstream::resolve::fake::{NameServer, known};

const A: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const B: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const PATIENCE: Duration = Duration::from_secs(5);

fn named(server: &NameServer, ttl_max: Duration) -> (Arc<Named>, Addresses, Counter) {
    let failures = Counter::default();
    let resolver = Arc::new(Resolver::asking(server.port()));
    let lookups = Lookups { resolver, ttl_max, failures: failures.clone() };
    let addresses = Addresses::of("origin.test", &lookups);
    let Addresses::Named(named) = &addresses else { panic!("a name") };
    (Arc::clone(named), addresses, failures)
}

/// Waits until no lookup is under way and `condition` holds.
async fn until(named: &Named, condition: impl Fn() -> bool) {
    let reached = async {
        while named.asking.load(Acquire) || !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}

/// Lets what is known be of `age` ago.
fn age(named: &Named, age: Duration) {
    named.state.send_modify(|state| {
        if let Some((_, at, until)) = &mut state.found {
            (*at, *until) = (*at - age, *until - age);
        }
        if let Some((_, at)) = &mut state.failed {
            *at -= age;
        }
    });
}

#[tokio::test]
async fn literal_addresses_and_this_machine_are_never_asked_about() {
    let server = NameServer::start(&[A], 60).await;
    let lookups = Lookups {
        resolver: Arc::new(Resolver::asking(server.port())),
        ttl_max: PATIENCE,
        failures: Counter::default(),
    };
    for (host, expected) in [
        ("10.0.0.1", vec!["10.0.0.1"]),
        ("[::2]", vec!["::2"]),
        ("localhost", vec!["127.0.0.1", "::1"]),
        ("a.localhost", vec!["127.0.0.1", "::1"]),
    ] {
        let known = Addresses::of(host, &lookups).current(PATIENCE).await.unwrap();
        let known: Vec<_> = known.iter().map(ToString::to_string).collect();
        assert_eq!(known, expected, "{host}");
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_name_is_asked_about_once_a_ttl_and_its_changes_are_followed() {
    let server = NameServer::start(&[A], 60).await;
    let (named, addresses, failures) = named(&server, Duration::from_secs(30));
    let all: Vec<_> = (0..20).map(|_| addresses.current(PATIENCE)).collect();
    for found in futures_util::future::join_all(all).await {
        assert_eq!(found.unwrap().to_vec(), known(&[A]));
    }
    assert_eq!(server.asked(), 1, "all waited for one lookup");

    server.say(Some(&[B, A]));
    age(&named, Duration::from_secs(29));
    assert_eq!(addresses.current(PATIENCE).await.unwrap().to_vec(), known(&[A]));
    assert_eq!(server.asked(), 1, "within the longest time, which is less than the TTL");

    age(&named, Duration::from_secs(2));
    assert_eq!(addresses.current(PATIENCE).await.unwrap().to_vec(), known(&[A]), "nobody waits");
    until(&named, || server.asked() == 2).await;
    assert_eq!(addresses.current(PATIENCE).await.unwrap().to_vec(), known(&[B, A]));

    server.say(Some(&[A]));
    age(&named, Duration::from_secs(3_600));
    assert_eq!(addresses.current(PATIENCE).await.unwrap().to_vec(), known(&[A]), "old: all wait");
    assert_eq!((server.asked(), failures.get()), (3, 0));
}

#[tokio::test]
async fn a_ttl_of_nothing_holds_for_a_second() {
    let server = NameServer::start(&[A], 0).await;
    let (_, addresses, _) = named(&server, Duration::from_secs(30));
    for _ in 0..100 {
        addresses.current(PATIENCE).await.unwrap();
    }
    assert!(server.asked() <= 2, "{}", server.asked());
}

#[tokio::test]
async fn what_was_known_holds_while_the_name_cannot_be_resolved() {
    let server = NameServer::start(&[A], 1).await;
    let (named, addresses, failures) = named(&server, Duration::from_secs(30));
    addresses.current(PATIENCE).await.unwrap();
    server.say(None);
    for round in 1..=3 {
        age(&named, Duration::from_secs(60));
        assert_eq!(addresses.current(PATIENCE).await.unwrap().to_vec(), known(&[A]));
        until(&named, || failures.get() == round).await;
    }
    server.say(Some(&[B]));
    age(&named, Duration::from_secs(60));
    addresses.current(PATIENCE).await.unwrap();
    until(&named, || named.state.borrow().failed.is_none()).await;
    assert_eq!(addresses.current(PATIENCE).await.unwrap().to_vec(), known(&[B]));
}

#[tokio::test]
async fn a_name_that_never_was_resolved_is_an_error_and_not_asked_about_at_once_again() {
    let server = NameServer::start(&[], 1).await;
    server.say(None);
    let (named, addresses, failures) = named(&server, Duration::from_secs(30));
    for _ in 0..10 {
        let error = addresses.current(PATIENCE).await.unwrap_err();
        assert!(matches!(error, ConnectError::Lookup { .. }), "{error:?}");
    }
    assert_eq!(failures.get(), 1);
    server.say(Some(&[A]));
    age(&named, RETRY_AFTER);
    assert_eq!(addresses.current(PATIENCE).await.unwrap().to_vec(), known(&[A]));
}

#[tokio::test]
async fn nobody_waits_longer_than_the_patience() {
    // Nothing answers on a socket that nobody reads.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let lookups = Lookups {
        resolver: Arc::new(Resolver::asking(silent.local_addr().unwrap().port())),
        ttl_max: PATIENCE,
        failures: Counter::default(),
    };
    let addresses = Addresses::of("origin.test", &lookups);
    let error = addresses.current(Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(error, ConnectError::LookupTimeout { .. }), "{error:?}");
}

#[tokio::test]
async fn addresses_that_take_no_connection_are_asked_about_again_but_not_at_once() {
    let server = NameServer::start(&[A], 3_600).await;
    let (named, addresses, _) = named(&server, Duration::from_secs(3_600));
    addresses.current(PATIENCE).await.unwrap();
    server.say(Some(&[B]));
    addresses.doubt();
    assert!(!named.asking.load(Acquire), "asked a moment ago");
    age(&named, RETRY_AFTER);
    addresses.doubt();
    until(&named, || named.known().unwrap().to_vec() == known(&[B])).await;
    assert_eq!(server.asked(), 2);
}
