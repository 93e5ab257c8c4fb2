//! Responses that are for one client only: nobody waits for another's, and nobody gets it.

use std::collections::HashSet;

use weir_tests::{Reply, Shape, Stack};

const CLIENTS: usize = 12;

/// One scripted answer for each of `CLIENTS` requests, the first behind one gate, the others behind a
/// second one.
fn script(stack: &Stack, name: &str, value: &str) -> [weir_origin_mock::Hold; 2] {
    let first = stack.origin.gate("first");
    let others = stack.origin.gate("others");
    for index in 0..CLIENTS {
        let gate = if index == 0 { &first } else { &others };
        let script = stack.origin.script("/me").ok().header(name, value);
        script.body(format!("client {index}")).hold_at(gate).once().set();
    }
    [first, others]
}

fn bodies(replies: &[Reply]) -> HashSet<Vec<u8>> {
    replies.iter().map(|reply| reply.body.to_vec()).collect()
}

/// The wait ends for all at once, with the head of the first answer: each then asks for itself, side
/// by side.
#[tokio::test]
async fn an_unshareable_answer_releases_all_waiters_together() {
    // (field, value); RFC 9111 §3 and §7.3.
    let answers = [
        ("cache-control", "private"),
        ("cache-control", "no-store"),
        ("set-cookie", "session=1"),
        ("vary", "*"),
    ];
    for (name, value) in answers {
        for shape in [Shape::single(), Shape::tiers(1, 1)] {
            let stack = shape.start().await;
            let [first, others] = script(&stack, name, value);
            let clients: Vec<_> = (0..CLIENTS).map(|_| stack.edge().spawn_get("/me")).collect();
            let waiting = (CLIENTS - 1) as f64;
            stack.edge().metrics_reach(|m| m.get("weir_fill_waiters") == waiting).await;
            first.reached().await;
            assert_eq!(stack.origin.hits("/me"), 1, "all wait for the first");

            first.release();
            others.reached_by(CLIENTS as u64 - 1).await;
            others.release();

            let mut replies = Vec::new();
            for client in clients {
                replies.push(client.await.unwrap());
            }
            assert!(replies.iter().all(|reply| reply.x_cache() == "MISS"), "{name}: {value}");
            assert_eq!(bodies(&replies).len(), CLIENTS, "each has a body of its own: {value}");
            assert_eq!(stack.origin.hits("/me"), CLIENTS as u64);
            for node in stack.nodes() {
                assert_eq!(node.metrics().await.get("weir_store_keys"), 0.0, "{value}");
            }
        }
    }
}

/// The key is remembered: the next who come do not even queue.
#[tokio::test]
async fn requests_for_a_key_known_as_unshareable_do_not_queue() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let script = stack.origin.script("/me").ok().header("cache-control", "private");
        script.body("first").once().set();
        stack.edge().get("/me").await;
        let script = stack.origin.script("/me").ok().header("cache-control", "private");
        let hold = script.body("later").hold().set();

        let clients: Vec<_> = (0..CLIENTS).map(|_| stack.edge().spawn_get("/me")).collect();
        hold.reached_by(CLIENTS as u64).await;
        hold.release();

        for client in clients {
            assert_eq!(client.await.unwrap().body, "later");
        }
        assert_eq!(stack.edge().metrics().await.get("weir_collapsed_requests_total"), 0.0);
    }
}

/// A key whose answers become shareable is shared again.
#[tokio::test]
async fn a_key_that_becomes_shareable_is_stored_again() {
    let stack = Shape::tiers(1, 1).start().await;
    stack.serve("/a", "no-store", "private for once");
    stack.edge().get("/a").await;
    stack.serve("/a", "max-age=60", "for all");

    // Which of the next requests is the last that goes upstream is not promised; that it ends is.
    stack.edge().get("/a").await;
    stack.edge().get("/a").await;
    let hits = stack.origin.hits("/a");
    let hit = stack.edge().get("/a").await;

    assert_eq!((hit.x_cache().as_str(), hit.body.as_ref()), ("HIT", b"for all".as_slice()));
    assert_eq!(stack.origin.hits("/a"), hits);
    assert!(hits <= 3, "{hits} origin requests");
}

/// An answer to a request with Authorization is nobody else's (RFC 9111 §3.5), and says nothing about
/// the next request.
#[tokio::test]
async fn an_answer_to_one_user_is_not_given_to_another() {
    let stack = Shape::tiers(1, 1).start().await;
    let secret = |user: &'static str| {
        weir_tests::Request::get("/me").header("authorization", &format!("Bearer {user}"))
    };
    for (user, body) in [("alice", "for alice"), ("bob", "for bob")] {
        let script = stack.origin.script("/me").ok().header("cache-control", "max-age=60");
        script.body(body).set();
        let reply = stack.edge().send(&secret(user)).await;
        assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("MISS", body.as_bytes()));
    }
    stack.serve("/me", "max-age=60", "for all");
    let anonymous = stack.edge().get("/me").await;
    assert_eq!((anonymous.x_cache().as_str(), anonymous.body.as_ref()), ("MISS", &b"for all"[..]));
    assert_eq!(stack.edge().get("/me").await.x_cache(), "HIT");
}
