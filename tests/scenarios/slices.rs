//! A range of something large costs the origin the slices that it touches, once: whatever is asked for, by
//! however many, on however many tiers.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use serde_json::json;
use weir_node::config::ByteSize;
use weir_origin_mock::pattern_bytes;
use weir_tests::{Folder, Raw, Reply, Request, Shape, Stack};

const SLICE: u64 = 64 * 1024;
/// Ten slices, of which the last is shorter.
const LEN: u64 = 10 * SLICE - 1_000;
const PATH: &str = "/film";

/// Nodes with a disk tier each: bodies above 64 KiB lie in slices of 64 KiB.
fn on_disk(shape: Shape, folder: &Folder) -> Shape {
    let data_dir = folder.path().to_owned();
    shape.node(move |node| {
        node.data_dir = Some(data_dir.join(&node.name));
        node.store.memory = ByteSize::from_mib(4);
        node.store.disk = Some(ByteSize::from_mib(64));
        node.store.object_max = ByteSize::from_mib(8);
        node.store.memory_object_max = ByteSize::from_kib(64);
        node.store.on_disk.slice = ByteSize::from_kib(64);
    })
}

async fn edge(folder: &Folder) -> Stack {
    on_disk(Shape::single(), folder).start().await
}

fn url() -> String {
    format!("{PATH}?size={LEN}")
}

/// The same from an origin whose clock is never behind, so that nothing has aged on arrival.
fn url_ahead() -> String {
    format!("{}&header=Date:Fri,%2001%20Jan%202100%2000:00:00%20GMT", url())
}

fn bytes(version: u64, first: u64, end: u64) -> Vec<u8> {
    pattern_bytes(PATH, version, first..end).to_vec()
}

fn ask(range: &str) -> Request {
    Request::get(&url()).header("range", &format!("bytes={range}"))
}

async fn get(stack: &Stack, range: &str) -> Reply {
    stack.edge().send(&ask(range)).await
}

/// The ranges that the origin was asked for, in order; empty for the whole.
fn asked_of_origin(stack: &Stack) -> Vec<String> {
    let field = |seen: &weir_origin_mock::SeenRequest| {
        let value = seen.headers.get("range");
        value.map_or_else(String::new, |value| value.to_str().unwrap().replace("bytes=", ""))
    };
    stack.origin.requests(PATH).iter().map(field).collect()
}

/// The range of the slices `first` to `last`.
fn slices(first: u64, last: u64) -> String {
    format!("{}-{}", first * SLICE, ((last + 1) * SLICE - 1).min(LEN - 1))
}

#[track_caller]
fn assert_range(reply: &Reply, version: u64, first: u64, end: u64) {
    assert_eq!(reply.status.as_u16(), 206, "{reply:?}");
    assert_eq!(reply.field("content-range"), format!("bytes {first}-{}/{LEN}", end - 1));
    assert_eq!(reply.field("content-length"), (end - first).to_string());
    assert!(!reply.cut && reply.body == bytes(version, first, end), "other bytes than asked for");
}

async fn written(stack: &Stack) {
    let nothing_waits = |metrics: &weir_tests::Metrics| {
        metrics.get("weir_disk_waiting_keys") == 0.0
            && metrics.get("weir_disk_keys") > 0.0
            && metrics.get("weir_fills_active") == 0.0
    };
    stack.edge().metrics_reach(nothing_waits).await;
}

/// The files of bodies of a node that is alone.
fn files(folder: &Folder) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.path().to_owned()];
    while let Some(inside) = folders.pop() {
        for entry in fs::read_dir(inside).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tmp") && !path.ends_with("bad") {
                folders.push(path);
            } else if path.is_file() && path.to_str().unwrap().contains("/bodies/") {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test]
async fn a_range_costs_the_slices_it_touches_once() {
    let folder = Folder::new();
    let stack = edge(&folder).await;
    let (first, end) = (3 * SLICE + 500, 3 * SLICE + 1_524);
    let range = format!("{first}-{}", end - 1);

    let cold = get(&stack, &range).await;
    assert_range(&cold, 1, first, end);
    assert_eq!(
        (cold.x_cache(), cold.cache_status()),
        ("MISS".into(), "edge; fwd=uri-miss; ttl=60; detail=slices".into())
    );
    written(&stack).await;
    let warm = get(&stack, &range).await;
    assert_range(&warm, 1, first, end);
    assert_eq!((warm.x_cache(), warm.cache_status()), ("HIT".into(), "edge; hit; ttl=60".into()));
    assert_range(&get(&stack, &slices(3, 3)).await, 1, 3 * SLICE, 4 * SLICE);
    assert_eq!(asked_of_origin(&stack), [slices(3, 3)]);

    // Over the border: the neighbor comes.
    let neighbor = get(&stack, &format!("{}-{}", 4 * SLICE - 10, 4 * SLICE + 9)).await;
    assert_range(&neighbor, 1, 4 * SLICE - 10, 4 * SLICE + 10);
    assert!(
        neighbor.cache_status().starts_with("edge; fwd=partial"),
        "{}",
        neighbor.cache_status()
    );
    assert_eq!(asked_of_origin(&stack), [slices(3, 3), slices(4, 4)]);
    let if_range = &stack.origin.requests(PATH)[1].headers["if-range"];
    assert_eq!(if_range.to_str().unwrap(), neighbor.field("etag"));
    written(&stack).await;
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.sum("weir_slices_total", &["reason=\"fetched\""]), 2.0);
    assert_eq!(metrics.sum("weir_slices_total", &["reason=\"hit\""]), 3.0);
}

#[tokio::test]
async fn the_whole_fetches_only_the_rest() {
    let folder = Folder::new();
    let stack = edge(&folder).await;
    get(&stack, &slices(3, 4)).await;
    let whole = stack.edge().get(&url()).await;
    assert_eq!((whole.status.as_u16(), whole.cut), (200, false));
    assert!(whole.body == bytes(1, 0, LEN));
    assert!(!whole.headers.contains_key("content-range"));
    assert_eq!(asked_of_origin(&stack), [slices(3, 4), slices(0, 2), slices(5, 9)]);
    written(&stack).await;
    let again = stack.edge().get(&url()).await;
    assert!(again.body == bytes(1, 0, LEN));
    assert_eq!((again.x_cache().as_str(), stack.origin.hits(PATH)), ("HIT", 3));
    let head = stack.edge().send(&Request::new(Method::HEAD, &url())).await;
    assert_eq!((head.x_cache().as_str(), head.field("content-length")), ("HIT", LEN.to_string()));
}

#[tokio::test]
async fn open_ends_and_suffixes_are_answered_from_slices() {
    // (range, first byte, asked of the origin, why)
    let open = format!("{}-", 8 * SLICE + 7);
    let suffix = "-100".to_owned();
    type Case<'a> = (&'a str, u64, &'a [(u64, u64)], &'a str);
    let cases: [Case<'_>; 2] = [
        (&open, 8 * SLICE + 7, &[(8, 23)], "as far as many slices"),
        (&suffix, LEN - 100, &[(0, 0), (9, 9)], "the first slice tells the length"),
    ];
    for (range, first, asked, why) in cases {
        let folder = Folder::new();
        let stack = edge(&folder).await;
        assert_range(&get(&stack, range).await, 1, first, LEN);
        let expected: Vec<_> = asked
            .iter()
            .map(|(first, last)| match last {
                23 => format!("{}-{}", first * SLICE, (last + 1) * SLICE - 1),
                _ => slices(*first, *last),
            })
            .collect();
        assert_eq!(asked_of_origin(&stack), expected, "{why}");
        written(&stack).await;
        assert_eq!(get(&stack, range).await.x_cache(), "HIT", "{why}");
    }
    let folder = Folder::new();
    let stack = edge(&folder).await;
    get(&stack, "0-0").await;
    assert_eq!(get(&stack, &format!("{LEN}-")).await.status.as_u16(), 416);
    assert_eq!(stack.origin.hits(PATH), 1);
}

#[tokio::test]
async fn a_small_body_is_kept_whole_and_the_client_gets_its_range() {
    let folder = Folder::new();
    let stack = edge(&folder).await;
    let url = "/small?size=5000";
    let range = |range: &str| Request::get(url).header("range", &format!("bytes={range}"));
    for (asked, first, end) in [("1000-1999", 1_000_u64, 2_000_u64), ("-10", 4_990, 5_000)] {
        let reply = stack.edge().send(&range(asked)).await;
        assert_eq!(reply.status.as_u16(), 206);
        assert_eq!(reply.field("content-range"), format!("bytes {first}-{}/5000", end - 1));
        assert_eq!(reply.body, pattern_bytes("/small", 1, first..end));
    }
    assert_eq!(stack.edge().get(url).await.x_cache(), "HIT", "all of it came");
    assert_eq!(stack.origin.hits("/small"), 1);
}

#[tokio::test]
async fn a_change_of_the_body_drops_what_was_held() {
    let folder = Folder::new();
    let stack = edge(&folder).await;
    get(&stack, &slices(3, 3)).await;
    written(&stack).await;
    stack.origin.deploy();
    // A byte that is not here: nothing of the old body is sent.
    assert_range(&get(&stack, &slices(4, 4)).await, 2, 4 * SLICE, 5 * SLICE);
    assert_range(&get(&stack, &slices(3, 3)).await, 2, 3 * SLICE, 4 * SLICE);
    // Bytes of the old body are with the client already: it is cut off.
    written(&stack).await;
    stack.origin.deploy();
    let reply = get(&stack, &format!("{}-{}", 4 * SLICE, 6 * SLICE)).await;
    assert!(reply.cut && reply.body == bytes(2, 4 * SLICE, 5 * SLICE), "cut, and nothing mixed in");
    assert_range(&get(&stack, &slices(4, 4)).await, 3, 4 * SLICE, 5 * SLICE);
}

#[tokio::test]
async fn one_fetch_serves_all_who_want_a_slice() {
    let folder = Folder::new();
    let stack = edge(&folder).await;
    let url = format!("{}&hold=gate", url());
    let gate = stack.origin.gate("gate");
    let ask = |range: &str| Request::get(&url).header("range", &format!("bytes={range}"));
    // Something unknown.
    let (one, other) = (stack.edge().spawn(ask("10-19")), stack.edge().spawn(ask("20-29")));
    gate.reached().await;
    let is_waited_for =
        |metrics: &weir_tests::Metrics| metrics.get("weir_collapsed_requests_total") >= 1.0;
    stack.edge().metrics_reach(is_waited_for).await;
    gate.release();
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    assert_range(&one, 1, 10, 20);
    assert_range(&other, 1, 20, 30);
    assert_eq!(asked_of_origin(&stack), [slices(0, 0)]);
    // A missing slice of something known.
    let all: Vec<_> =
        (0..5).map(|at| stack.edge().spawn(ask(&format!("{0}-{0}", SLICE + at)))).collect();
    for reply in all {
        assert_eq!(reply.await.unwrap().status.as_u16(), 206);
    }
    assert_eq!(asked_of_origin(&stack), [slices(0, 0), slices(1, 1)]);
}

#[tokio::test]
async fn several_ranges_at_once_cost_the_slices_they_touch() {
    let folder = Folder::new();
    let stack = edge(&folder).await;
    assert_range(&get(&stack, "0-0").await, 1, 0, 1);
    let (far, near) = (7 * SLICE + 10, 2 * SLICE - 5);
    let several = format!("{far}-{},{near}-{},0-0", far + 2, near + 9);
    for round in ["fetched", "from disk"] {
        let reply = get(&stack, &several).await;
        assert_eq!(reply.status.as_u16(), 206, "{round}");
        let content_type = reply.field("content-type");
        let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let own = "Content-Type: application/octet-stream\r\n";
        let mut expected = Vec::new();
        for (first, end) in [(far, far + 3), (near, near + 10), (0, 1)] {
            let lead = if expected.is_empty() { "" } else { "\r\n" };
            let range = format!("bytes {first}-{}/{LEN}", end - 1);
            let head = format!("{lead}--{boundary}\r\n{own}Content-Range: {range}\r\n\r\n");
            expected.extend_from_slice(head.as_bytes());
            expected.extend(bytes(1, first, end));
        }
        expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        assert_eq!(reply.field("content-length"), expected.len().to_string(), "{round}");
        assert!(reply.body == expected, "{round}: {:?}", String::from_utf8_lossy(&reply.body));
        written(&stack).await;
    }
    assert_eq!(asked_of_origin(&stack), [slices(0, 0), slices(7, 7), slices(1, 2)]);
}

/// Clients that ask all over a body do not make one request upstream each at once.
#[tokio::test]
async fn eight_fetches_at_most_are_under_way_for_one_key() {
    let folder = Folder::new();
    let stack = edge(&folder).await;
    let url = format!("{PATH}?size={}&hold=gate", 40 * SLICE);
    let gate = stack.origin.gate("gate");
    let ask = |slice: u64| {
        let at = slice * SLICE;
        Request::get(&url).header("range", &format!("bytes={at}-{at}"))
    };
    gate.release();
    assert_eq!(stack.edge().send(&ask(0)).await.status.as_u16(), 206);
    gate.close();
    let all: Vec<_> = (1..=12).map(|number| stack.edge().spawn(ask(3 * number))).collect();
    gate.reached_by(1 + 8).await;
    stack.edge().metrics_reach(|metrics| metrics.get("weir_connections") == 12.0).await;
    assert_eq!(stack.origin.hits(PATH), 1 + 8, "the others wait for their turn");
    gate.release();
    for reply in all {
        assert_eq!(reply.await.unwrap().status.as_u16(), 206);
    }
    assert_eq!(stack.origin.hits(PATH), 1 + 12);
}

/// The files of a body that is being sent may go; what is missing of it then comes from the origin.
#[tokio::test]
async fn a_body_that_is_evicted_while_it_is_sent_is_sent_whole() {
    let folder = Folder::new();
    let (data_dir, length) = (folder.path().to_owned(), 3 * 1_024 * 1_024);
    let shape = Shape::single().node(move |node| {
        node.data_dir = Some(data_dir.clone());
        node.store.put_on_disk(ByteSize::from_mib(8));
        node.store.object_max = ByteSize::from_mib(8);
        node.store.memory_object_max = ByteSize::from_kib(64);
        node.store.on_disk.slice = ByteSize::from_kib(64);
        node.store.on_disk.open_files_max = 4;
    });
    let stack = shape.start().await;
    let url = |path: &str| format!("{path}?size={length}");
    stack.edge().get(&url(PATH)).await;
    written(&stack).await;
    let mut reader = Raw::connect_narrow(stack.edge().addr()).await;
    reader.write(format!("GET {} HTTP/1.1\r\nHost: www.test\r\n\r\n", url(PATH))).await;
    assert!(reader.head().await.contains("HIT"), "it is stored");
    let mut came = reader.exactly(1_000).await;
    // As warm as it is, and newer.
    for other in 0..8 {
        for _ in 0..2 {
            stack.edge().get(&url(&format!("/other-{other}"))).await;
        }
    }
    came.extend(reader.exactly(length - 1_000).await);
    assert!(came == pattern_bytes(PATH, 1, 0..length as u64), "other bytes than the origin's");
    assert!(stack.origin.hits(PATH) > 1, "its files were gone");
}

#[tokio::test]
async fn slices_outlive_a_restart() {
    let folder = Folder::new();
    let mut stack = edge(&folder).await;
    get(&stack, &slices(3, 4)).await;
    written(&stack).await;
    stack.restart_edge().await;
    let reply = get(&stack, &format!("{}-{}", 3 * SLICE + 5, 5 * SLICE - 1)).await;
    assert_range(&reply, 1, 3 * SLICE + 5, 5 * SLICE);
    assert_eq!(reply.x_cache(), "HIT");
    assert!(stack.edge().get(&url()).await.body == bytes(1, 0, LEN));
    written(&stack).await;
    stack.restart_edge().await;
    assert_eq!(stack.edge().get(&url()).await.x_cache(), "HIT");
    assert_eq!(asked_of_origin(&stack), [slices(3, 4), slices(0, 2), slices(5, 9)]);
}

#[tokio::test]
async fn three_tiers_ask_the_origin_for_one_slice() {
    let folder = Folder::new();
    let stack = on_disk(Shape::tiers(2, 1), &folder).start().await;
    let (first, end) = (3 * SLICE + 500, 3 * SLICE + 1_524);
    let range = format!("{first}-{}", end - 1);
    let cold = get(&stack, &range).await;
    assert_range(&cold, 1, first, end);
    assert_eq!(asked_of_origin(&stack), [slices(3, 3)]);
    stack.advance(Duration::from_secs(5));
    for node in &stack.edges {
        let reply = node.send(&ask(&range)).await;
        assert_range(&reply, 1, first, end);
        assert_eq!(reply.field("age"), "5");
    }
    assert_range(&get(&stack, "0-0").await, 1, 0, 1);
    let whole = stack.edge().get(&url()).await;
    assert!(whole.body == bytes(1, 0, LEN));
    assert_eq!(asked_of_origin(&stack), [slices(3, 3), slices(0, 0), slices(1, 2), slices(4, 9)]);
}

#[tokio::test]
async fn stale_slices_are_confirmed() {
    let folder = Folder::new();
    let stack = edge(&folder).await;
    let get = async |stack: &Stack, range: &str| {
        let range = format!("bytes={range}");
        stack.edge().send(&Request::get(&url_ahead()).header("range", &range)).await
    };
    get(&stack, &slices(3, 3)).await;
    written(&stack).await;
    stack.advance(Duration::from_secs(61));
    // All here: by a question of its own.
    let confirmed = get(&stack, &slices(3, 3)).await;
    assert_range(&confirmed, 1, 3 * SLICE, 4 * SLICE);
    assert_eq!(confirmed.cache_status(), "edge; fwd=stale; fwd-status=304; ttl=60");
    assert!(stack.origin.requests(PATH)[1].headers.contains_key("if-none-match"));
    assert_eq!(get(&stack, &slices(3, 3)).await.x_cache(), "HIT");
    // Not all here: by what is fetched.
    stack.advance(Duration::from_secs(61));
    assert_range(&get(&stack, &slices(3, 4)).await, 1, 3 * SLICE, 5 * SLICE);
    assert!(stack.origin.requests(PATH)[2].headers.contains_key("if-range"));
    assert_eq!(get(&stack, &slices(3, 4)).await.x_cache(), "HIT");
    assert_eq!(stack.origin.hits(PATH), 3);
    // Changed.
    stack.advance(Duration::from_secs(61));
    stack.origin.deploy();
    assert_range(&get(&stack, &slices(3, 4)).await, 2, 3 * SLICE, 5 * SLICE);
}

#[tokio::test]
async fn a_slice_that_is_lost_is_fetched_again() {
    type Spoil = fn(&PathBuf);
    let cases: [(&str, Spoil); 2] = [
        ("damaged", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[100] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("gone", |path| fs::remove_file(path).unwrap()),
    ];
    for (why, spoil) in cases {
        let folder = Folder::new();
        let mut stack = edge(&folder).await;
        stack.edge().get(&url()).await;
        written(&stack).await;
        let slice = bytes(1, 5 * SLICE, 6 * SLICE);
        let is_it =
            |path: &&PathBuf| fs::read(path).unwrap().windows(64).any(|part| part == &slice[..64]);
        let all = files(&folder);
        assert_eq!(all.len(), 10);
        let path = all.iter().find(is_it).unwrap().clone();
        stack.edge_while_stopped(|| spoil(&path)).await;
        let whole = stack.edge().get(&url()).await;
        assert!(!whole.cut && whole.body == bytes(1, 0, LEN), "{why}");
        assert_eq!(asked_of_origin(&stack), [String::new(), slices(5, 5)], "{why}");
        written(&stack).await;
        assert!(stack.edge().get(&url()).await.body == bytes(1, 0, LEN), "{why}");
        assert_eq!(stack.origin.hits(PATH), 2, "{why}");
    }
}

#[tokio::test]
async fn a_purge_removes_slices() {
    let folder = Folder::new();
    let mut stack = edge(&folder).await;
    get(&stack, &slices(3, 3)).await;
    written(&stack).await;
    stack.edge().purge(&json!({"prefixes": ["http://www.test/"]})).await;
    stack.origin.deploy();
    assert_range(&get(&stack, &slices(3, 3)).await, 2, 3 * SLICE, 4 * SLICE);
    written(&stack).await;
    stack.edge().purge(&json!({"prefixes": ["http://www.test/"]})).await;
    stack.restart_edge().await;
    stack.origin.deploy();
    assert_range(&get(&stack, &slices(3, 3)).await, 3, 3 * SLICE, 4 * SLICE);
}

#[tokio::test]
async fn conditions_of_clients_are_kept() {
    let folder = Folder::new();
    let stack = edge(&folder).await;
    let etag = get(&stack, "0-9").await.field("etag");
    let (other_folder, known) = (Folder::new(), stack);
    let unknown = edge(&other_folder).await;
    for (stack, tier) in [(&known, "here"), (&unknown, "unknown")] {
        let other = stack.edge().send(&ask("0-9").header("if-range", "\"other\"")).await;
        assert_eq!((other.status.as_u16(), other.body == bytes(1, 0, LEN)), (200, true), "{tier}");
        let same = stack.edge().send(&ask("0-9").header("if-range", &etag)).await;
        assert_range(&same, 1, 0, 10);
        let known = stack.edge().send(&ask("0-9").header("if-none-match", &etag)).await;
        assert_eq!(known.status.as_u16(), 304, "{tier}");
    }
}

/// A slice that is under way is finished; the next one is not begun for nobody.
#[tokio::test]
async fn a_client_that_leaves_ends_the_fetch_at_a_border() {
    let folder = Folder::new();
    let stack = edge(&folder).await;
    let url = format!("{}&hold=gate", url());
    let gate = stack.origin.gate("gate");
    let ask = |range: &str| Request::get(&url).header("range", &format!("bytes={range}"));
    gate.release();
    assert_eq!(stack.edge().send(&ask("0-0")).await.status.as_u16(), 206);
    gate.close();
    let leaving = stack.edge().spawn(ask(&format!("{SLICE}-")));
    gate.reached_by(2).await;
    leaving.abort();
    stack.edge().metrics_reach(|metrics| metrics.get("weir_connections") == 0.0).await;
    gate.release();
    written(&stack).await;
    let metrics = stack.edge().metrics().await;
    assert_eq!(metrics.sum("weir_slices_total", &["reason=\"fetched\""]), 2.0);
    assert_eq!(asked_of_origin(&stack), [slices(0, 0), slices(1, 9)]);
}
