//! Bodies that break off midway and go on from the next byte, from whoever has them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_node::config::{ByteSize, NodeConfig};
use weir_origin_mock::{Hold, Script};
use weir_tests::{Request, Shape, Stack, TestNode};

const PATH: &str = "/film?size=3000000";
const LEN: usize = 3_000_000;
const SENT: u64 = 1_200_000;

/// A generated page, which the origin-mock also has in parts.
struct Page {
    body: Bytes,
    etag: String,
}

async fn page(stack: &Stack) -> Page {
    let reply = Request::get(PATH).send(stack.origin.addr()).await;
    stack.origin.reset_stats();
    assert_eq!(reply.body.len(), LEN);
    Page { body: reply.body.clone(), etag: reply.field("etag") }
}

/// The page as the origin begins it: held after [`SENT`] bytes, and then to be broken off.
fn begun<'a>(stack: &'a Stack, page: &Page) -> Script<'a> {
    let script = stack.answer("/film", 200).header("cache-control", "max-age=60");
    script.header("etag", &page.etag).body(page.body.clone()).send(SENT).hold()
}

/// Starts a request, and waits until all that the origin has sent is there.
async fn underway(stack: &Stack, hold: &Hold) -> tokio::task::JoinHandle<weir_tests::Reply> {
    let mut client = Request::get(PATH).start(stack.edge().addr()).await;
    let read = client.read_at_least(usize::try_from(SENT).unwrap()).await;
    hold.reached().await;
    tokio::spawn(async move {
        let mut reply = client.finish().await;
        reply.body = [&read[..], &reply.body[..]].concat().into();
        reply
    })
}

fn small_store(config: &mut NodeConfig) {
    config.store.memory = ByteSize::from_mib(1);
    config.store.object_max = ByteSize::from_kib(64);
    config.fill.window = ByteSize::from_kib(128);
}

async fn resumed(node: &TestNode, how: &str) -> f64 {
    let reason = format!("reason=\"{how}\"");
    node.metrics().await.sum("weir_fills_resumed_total", &[&reason])
}

/// The leader and one who joined read on as if nothing had happened, and the whole is stored.
#[tokio::test]
async fn a_body_that_the_origin_breaks_off_goes_on_where_it_was() {
    type Break = fn(Script<'_>) -> Script<'_>;
    let breaks: [(&str, Break); 4] = [
        ("closed", |script| script.then_close()),
        ("reset", |script| script.then_reset()),
        ("chunks, closed", |script| script.chunked().then_close()),
        ("chunks, reset", |script| script.chunked().then_reset()),
    ];
    for (why, break_off) in breaks {
        for shape in [Shape::single(), Shape::tiers(1, 1)] {
            let stack = shape.start().await;
            let page = page(&stack).await;
            let hold = break_off(begun(&stack, &page)).once().set();
            let leader = underway(&stack, &hold).await;
            let waiter = stack.edge().spawn_get(PATH);
            stack.edge().metrics_reach(|m| m.get("weir_fill_waiters") == 1.0).await;
            hold.release();

            for reply in [leader.await.unwrap(), waiter.await.unwrap()] {
                assert!(!reply.cut && reply.body == page.body, "{why}: {}", reply.body.len());
            }
            let asked = stack.origin.requests("/film");
            assert_eq!(asked.len(), 2, "{why}");
            let range = asked[1].headers["range"].to_str().unwrap();
            let from: u64 = range["bytes=".len()..range.len() - 1].parse().unwrap();
            assert!(from <= SENT, "{why}: {range}");
            assert_eq!(asked[1].headers["if-range"], page.etag.as_str(), "{why}");
            assert_eq!(resumed(stack.top(), "continued").await, 1.0, "{why}");
            let again = stack.edge().get(PATH).await;
            assert_eq!((again.x_cache().as_str(), again.body == page.body), ("HIT", true), "{why}");
        }
    }
}

/// What is too large to store goes on too, from the memory and the file that its readers read.
#[tokio::test]
async fn a_body_too_large_to_store_goes_on() {
    let stack = Shape::tiers(1, 1).node(small_store).start().await;
    let page = page(&stack).await;
    let hold = begun(&stack, &page).then_close().once().set();
    let leader = underway(&stack, &hold).await;
    let late = stack.edge().spawn_get(PATH);
    hold.release();
    for reply in [leader.await.unwrap(), late.await.unwrap()] {
        assert!(!reply.cut && reply.body == page.body, "{}", reply.body.len());
    }
}

/// A parent that dies with a body under way: the other one goes on with it.
#[tokio::test]
async fn the_next_parent_goes_on_with_what_a_dead_one_had_begun() {
    for store in [|_: &mut NodeConfig| {}, small_store] {
        let mut stack = Shape::tiers(1, 2).node(store).start().await;
        let page = page(&stack).await;
        let hold = begun(&stack, &page).set();
        let leader = underway(&stack, &hold).await;
        stack.origin.clear_script("/film");
        let mut carrying = Vec::new();
        for regional in &stack.regionals {
            carrying.push(regional.metrics().await.get("weir_fills_active"));
        }
        let carrier = usize::from(carrying[1] > 0.0);
        assert_eq!(carrying.iter().sum::<f64>(), 1.0, "{carrying:?}");

        drop(stack.regionals.remove(carrier));
        let reply = leader.await.unwrap();

        assert!(!reply.cut && reply.body == page.body, "{}", reply.body.len());
        assert_eq!(resumed(stack.edge(), "continued").await, 1.0);
    }
}

/// The end of the waiting is that of the body, not of one attempt.
#[tokio::test]
async fn an_origin_that_is_away_for_a_moment_is_asked_again() {
    let stack = Shape::single().start().await;
    let page = page(&stack).await;
    let hold = begun(&stack, &page).set();
    let leader = underway(&stack, &hold).await;
    stack.origin.stop().await;
    stack.origin.clear_script("/film");
    stack.edge().metrics_reach(|m| m.sum("weir_upstream_failures_total", &[]) >= 2.0).await;
    stack.origin.restart().await.unwrap();
    let reply = leader.await.unwrap();
    assert!(!reply.cut && reply.body == page.body, "{}", reply.body.len());
}

#[tokio::test]
async fn a_body_that_stalls_goes_on_over_another_connection() {
    let stack = Shape::single()
        .node(|config| config.upstream.idle_timeout = Duration::from_millis(300))
        .start()
        .await;
    let page = page(&stack).await;
    let hold = begun(&stack, &page).once().set();
    let reply = underway(&stack, &hold).await.await.unwrap();
    assert!(!reply.cut && reply.body == page.body, "{}", reply.body.len());
}

/// A part on its own is gone on with inside its range.
#[tokio::test]
async fn a_part_that_breaks_off_goes_on() {
    let stack = Shape::tiers(1, 1).start().await;
    let page = page(&stack).await;
    let (first, last) = (100_000, 2_999_000);
    let part = page.body.slice(first..=last);
    let script = stack.answer("/film", 206).header("etag", &page.etag).body(part.clone());
    let script = script.header("content-range", format!("bytes {first}-{last}/{LEN}"));
    script.header("cache-control", "max-age=60").send(SENT).then_close().once().set();

    let request = Request::get(PATH).header("range", &format!("bytes={first}-{last}"));
    let reply = stack.edge().send(&request).await;

    assert_eq!(reply.status, 206);
    assert!(!reply.cut && reply.body == part, "{}", reply.body.len());
    let asked = &stack.origin.requests("/film")[1].headers["range"];
    assert!(asked.to_str().unwrap().ends_with("-2999000"), "{asked:?}");
}

/// Not the bytes of one body behind those of another: the readers see an end that is too early.
#[tokio::test]
async fn another_body_cuts_the_readers_and_is_never_mixed_in() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let stack = shape.start().await;
        let page = page(&stack).await;
        let hold = begun(&stack, &page).then_close().once().set();
        let leader = underway(&stack, &hold).await;
        stack.origin.deploy();
        hold.release();

        let reply = leader.await.unwrap();
        assert!(reply.cut && page.body.starts_with(&reply.body), "{}", reply.body.len());
        assert_eq!(resumed(stack.top(), "changed").await, 1.0);
        for node in stack.nodes() {
            node.metrics_reach(|metrics| metrics.get("weir_fills_active") == 0.0).await;
            assert_eq!(node.metrics().await.get("weir_store_keys"), 0.0);
        }
        let later = stack.edge().get(PATH).await;
        assert!(!later.cut && later.body.len() == LEN && later.body != page.body);
    }
}

/// An origin that always breaks off at one place is not asked for ever.
#[tokio::test]
async fn a_body_that_always_ends_at_one_place_is_given_up() {
    let stack = Shape::single().start().await;
    let page = page(&stack).await;
    begun(&stack, &page).then_close().set().release();
    let began = Instant::now();
    let reply = stack.edge().get(PATH).await;
    assert!(reply.cut, "{}", reply.body.len());
    assert_eq!(stack.origin.hits("/film"), 4, "once, and three times for the rest");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(resumed(stack.edge(), "failed").await, 1.0);
}

/// When the last reader leaves, nobody looks for the rest any more.
#[tokio::test]
async fn a_rest_that_nobody_waits_for_is_not_looked_for() {
    let stack = Shape::single().node(small_store).start().await;
    let page = page(&stack).await;
    let hold = begun(&stack, &page).set();
    let leader = underway(&stack, &hold).await;
    stack.origin.stop().await;
    stack.edge().metrics_reach(|m| m.sum("weir_upstream_failures_total", &[]) >= 2.0).await;
    leader.abort();
    stack.edge().metrics_reach(|m| m.get("weir_fills_active") == 0.0).await;
}
