//! What lies on disk outlives the node, fits where memory does not, and is never served wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use serde_json::json;
use weir_node::config::ByteSize;
use weir_tests::{Folder, Metrics, Request, Shape, Stack};

const KIB: u64 = 1024;

/// One edge with a disk tier in `folder`: bodies above 64 KiB stay on disk, in slices of 64 KiB.
async fn edge_over(folder: &Folder) -> Stack {
    edge_with(folder, ByteSize::from_mib(64)).await
}

async fn edge_with(folder: &Folder, disk: ByteSize) -> Stack {
    let data_dir = folder.path().to_owned();
    let shape = Shape::single().node(move |node| {
        node.data_dir = Some(data_dir.clone());
        node.store.memory = ByteSize::from_mib(4);
        node.store.disk = Some(disk);
        node.store.object_max = ByteSize::from_mib(8);
        node.store.memory_object_max = ByteSize::from_kib(64);
        node.store.on_disk.slice = ByteSize::from_kib(64);
    });
    shape.start().await
}

fn body(length: u64) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// The files of bodies.
fn files(folder: &Folder) -> Vec<PathBuf> {
    let inside = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let shelves = inside(&folder.path().join("store/bodies"));
    let shelves = shelves.iter().filter(|path| !path.ends_with("tmp"));
    shelves.flat_map(|shelf| inside(shelf)).collect()
}

#[tokio::test]
async fn what_was_stored_is_reused_after_a_restart() {
    let folder = Folder::new();
    let mut stack = edge_over(&folder).await;
    stack.serve("/small", "max-age=600", "hello");
    stack.serve("/large", "max-age=600", body(300 * KIB));
    for path in ["/small", "/large"] {
        assert_eq!(stack.edge().get(path).await.x_cache(), "MISS");
    }
    stack.edge().written().await;
    stack.advance(Duration::from_secs(10));
    stack.restart_edge().await;
    for (path, expected) in [("/small", b"hello".to_vec()), ("/large", body(300 * KIB))] {
        for round in ["first", "again"] {
            let reply = stack.edge().get(path).await;
            let seen = (reply.x_cache(), reply.field("age"), reply.body == expected);
            assert_eq!(seen, ("HIT".to_owned(), "10".to_owned(), true), "{path} {round}");
        }
    }
    assert_eq!(stack.origin.requests("/small").len() + stack.origin.requests("/large").len(), 2);
}

/// Once every row has been looked at, what is not on disk is known without a look, and what is there is found.
#[tokio::test]
async fn what_is_not_there_is_known_after_a_restart_too() {
    let folder = Folder::new();
    let mut stack = edge_over(&folder).await;
    for number in 0..40 {
        stack.serve(&format!("/{number}"), "max-age=600", "hello");
        stack.edge().get(&format!("/{number}")).await;
    }
    stack.edge().written().await;
    stack.restart_edge().await;
    let lookups = |metrics: &Metrics, reason: &str| {
        metrics.sum("weir_disk_lookups_total", &[&format!("reason=\"{reason}\"")])
    };
    let mut unknown = 1_000;
    while lookups(&stack.edge().metrics().await, "absent") == 0.0 {
        unknown += 1;
        assert!(unknown < 20_000, "rows are looked at for too long");
        stack.edge().get(&format!("/{unknown}")).await;
    }
    let before = lookups(&stack.edge().metrics().await, "miss");
    for number in 50_000..50_020 {
        stack.edge().get(&format!("/{number}")).await;
    }
    assert_eq!(lookups(&stack.edge().metrics().await, "miss"), before, "none is looked up");
    for number in 0..40 {
        assert_eq!(stack.edge().get(&format!("/{number}")).await.x_cache(), "HIT", "{number}");
    }
}

#[tokio::test]
async fn ages_are_right_after_steps_of_the_clock() {
    // (step of the wall clock in seconds, machine started again, age or miss, why)
    for (step, reboot, expected, why) in [
        (3_600, false, Some("10"), "forward while the machine runs"),
        (-3_600, false, Some("10"), "back while the machine runs"),
        (0, true, Some("10"), "no step"),
        (50, true, Some("60"), "what the wall clock says is all that is known"),
        (-3_600, true, None, "stored in the future"),
    ] {
        let folder = Folder::new();
        let mut stack = edge_over(&folder).await;
        stack.serve("/a", "max-age=600", "hello");
        stack.edge().get("/a").await;
        stack.edge().written().await;
        stack.advance(Duration::from_secs(10));
        stack.clock.step_wall(step);
        if reboot {
            stack.clock.reboot();
        }
        stack.restart_edge().await;
        let reply = stack.edge().get("/a").await;
        let age = (reply.x_cache() == "HIT").then(|| reply.field("age"));
        assert_eq!(age.as_deref(), expected, "{why}");
    }
}

#[tokio::test]
async fn a_large_body_is_sent_from_disk_whole_and_in_ranges() {
    let folder = Folder::new();
    let stack = edge_over(&folder).await;
    let whole = body(1_000_000);
    stack.answer("/a", 200).header("cache-control", "max-age=600").body(whole.clone()).set();
    assert_eq!(stack.edge().get("/a").await.body, whole);
    for (range, first, end) in
        [("0-0", 0, 1), ("65535-65536", 65_535, 65_537), ("500000-", 500_000, 1_000_000)]
    {
        let request = Request::get("/a").header("range", &format!("bytes={range}"));
        let reply = stack.edge().send(&request).await;
        assert_eq!((reply.status.as_u16(), reply.x_cache().as_str()), (206, "HIT"), "{range}");
        assert_eq!(reply.body, &whole[first..end], "{range}");
    }
    assert_eq!(stack.edge().get("/a").await.body, whole);
    assert_eq!(stack.origin.requests("/a").len(), 1);
}

/// A node that starts anew asks for the purges since what it has stored, so that only what they name goes.
/// An origin that sends in chunks says the length of a body only by its end.
#[tokio::test]
async fn a_large_body_of_unannounced_length_is_kept() {
    let folder = Folder::new();
    let mut stack = edge_over(&folder).await;
    let whole = body(1_000_000);
    stack
        .answer("/a", 200)
        .header("cache-control", "max-age=600")
        .chunked()
        .body(whole.clone())
        .set();
    let first = stack.edge().get("/a").await;
    assert_eq!((first.x_cache().as_str(), first.field("content-length").as_str()), ("MISS", ""));
    assert!(first.body == whole);
    stack.edge().written().await;
    stack.restart_edge().await;
    let again = stack.edge().get("/a").await;
    assert_eq!(
        (again.x_cache().as_str(), again.field("content-length").as_str()),
        ("HIT", "1000000")
    );
    assert!(again.body == whole);
    let part = stack.edge().send(&Request::get("/a").header("range", "bytes=500000-500009")).await;
    assert_eq!((part.status.as_u16(), part.body.as_ref()), (206, &whole[500_000..500_010]));
    assert_eq!(stack.origin.requests("/a").len(), 1);
}

/// One that turns out larger than anything that is kept is served all the same.
#[tokio::test]
async fn a_body_of_unannounced_length_beyond_the_limit_is_not_kept() {
    let folder = Folder::new();
    let stack = edge_over(&folder).await;
    let whole = body(9 * 1_024 * KIB);
    stack
        .answer("/a", 200)
        .header("cache-control", "max-age=600")
        .chunked()
        .body(whole.clone())
        .set();
    for _ in 0..2 {
        let reply = stack.edge().get("/a").await;
        assert!(reply.x_cache() == "MISS" && reply.body == whole);
    }
    assert_eq!(files(&folder).len(), 0);
}

#[tokio::test]
async fn a_purge_touches_nothing_else_over_a_restart() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let folder = Folder::new();
        let data_dir = folder.path().to_owned();
        let shape = shape.node(move |node| {
            node.data_dir = Some(data_dir.join(&node.name));
            node.store.disk = Some(ByteSize::from_mib(64));
        });
        let mut stack = shape.start().await;
        for path in ["/kept", "/purged", "/before", "/while"] {
            stack.serve(path, "max-age=600", "old");
            stack.edge().get(path).await;
        }
        stack.edge().written().await;
        stack.edge().purge(&json!({"urls": ["http://www.test/before"]})).await;
        stack.restart_edge().await;
        stack.edge().ready().await;
        stack.edge().purge(&json!({"urls": ["http://www.test/purged"]})).await;
        stack.restart_edge().await;
        stack.edge().ready().await;
        for path in ["/kept", "/purged", "/before", "/while"] {
            stack.serve(path, "max-age=600", "new");
        }
        for (path, x_cache) in
            [("/kept", "HIT"), ("/purged", "MISS"), ("/before", "MISS"), ("/while", "HIT")]
        {
            let expected = if x_cache == "HIT" { "old" } else { "new" };
            let reply = stack.edge().get(path).await;
            assert_eq!(
                (reply.x_cache().as_str(), reply.body.as_ref()),
                (x_cache, expected.as_bytes()),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_purge_holds_over_a_restart() {
    let folder = Folder::new();
    let mut stack = edge_over(&folder).await;
    for path in ["/small", "/large"] {
        let length = if path == "/small" { 5 } else { 300 * KIB };
        stack.serve(path, "max-age=600", body(length));
        stack.edge().get(path).await;
    }
    stack.edge().written().await;
    stack.restart_edge().await;
    stack.edge().purge(&json!({"prefixes": ["http://www.test/"]})).await;
    stack.restart_edge().await;
    for path in ["/small", "/large"] {
        stack.serve(path, "max-age=600", "new");
        let reply = stack.edge().get(path).await;
        assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("MISS", b"new".as_slice()));
    }
}

#[tokio::test]
async fn all_variants_are_kept() {
    let folder = Folder::new();
    let mut stack = edge_over(&folder).await;
    let asked = |language| Request::get("/a").header("accept-language", language);
    for language in ["de", "en"] {
        let script = stack.answer("/a", 200).header("cache-control", "max-age=600");
        script.header("vary", "accept-language").body(language).once().set();
        stack.edge().send(&asked(language)).await;
    }
    stack.edge().written().await;
    stack.restart_edge().await;
    for language in ["de", "en"] {
        let reply = stack.edge().send(&asked(language)).await;
        assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("HIT", language.as_bytes()));
    }
}

#[tokio::test]
async fn damage_on_disk_is_found_and_fetched_again() {
    type Spoil = fn(&Path);
    let cases: [(&str, Spoil); 3] = [
        ("a byte that changed", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[100] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("a file cut short", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("a file that is gone", |path| fs::remove_file(path).unwrap()),
    ];
    for (why, spoil) in cases {
        for length in [KIB, 300 * KIB] {
            let folder = Folder::new();
            let mut stack = edge_over(&folder).await;
            stack.serve("/a", "max-age=600", body(length));
            stack.edge().get("/a").await;
            stack.edge().written().await;
            stack.edge_while_stopped(|| files(&folder).iter().for_each(|path| spoil(path))).await;
            let reply = stack.edge().get("/a").await;
            assert_eq!(reply.x_cache(), "MISS", "{why}, {length}");
            assert_eq!(reply.body, body(length), "{why}, {length}");
            assert_eq!(stack.edge().get("/a").await.x_cache(), "HIT", "{why}, {length}");
        }
    }
}

/// Equal bodies are one file: whoever brings its content again does not make it right.
#[tokio::test]
async fn damage_is_found_in_a_file_that_another_response_comes_to_share() {
    let folder = Folder::new();
    let data_dir = folder.path().to_owned();
    let shape = Shape::single().node(move |node| {
        node.data_dir = Some(data_dir.clone());
        node.store.put_on_disk(ByteSize::from_mib(64));
        node.store.memory = ByteSize::from_mib(2);
        node.store.memory_object_max = ByteSize::from_kib(64);
        // Nobody else is to find it first.
        node.store.on_disk.scrub = ByteSize::from_bytes(0);
    });
    let mut stack = shape.start().await;
    let shared = body(50 * KIB);
    stack.serve("/one", "max-age=600", shared.clone());
    stack.edge().get("/one").await;
    stack.edge().written().await;
    let path = files(&folder).remove(0);
    let spoil = || {
        let mut bytes = fs::read(&path).unwrap();
        bytes[1_000] ^= 1;
        fs::write(&path, bytes).unwrap();
    };
    stack.edge_while_stopped(spoil).await;
    stack.serve("/other", "max-age=600", shared.clone());
    stack.edge().get("/other").await;
    stack.edge().written().await;
    // Memory has no room for it after these.
    for number in 0..80_u64 {
        let path = format!("/{number}");
        stack.serve(&path, "max-age=600", body(50 * KIB + number + 1));
        for _ in 0..3 {
            stack.edge().get(&path).await;
        }
    }
    for path in ["/other", "/one"] {
        assert!(stack.edge().get(path).await.body == shared, "{path} has spoilt bytes");
    }
}

#[tokio::test]
async fn a_lost_index_is_built_anew_from_the_files() {
    let folder = Folder::new();
    let mut stack = edge_over(&folder).await;
    stack.serve("/small", "max-age=600", "hello");
    stack.serve("/large", "max-age=600", body(300 * KIB));
    for path in ["/small", "/large"] {
        stack.edge().get(path).await;
    }
    stack.edge().written().await;
    stack
        .edge_while_stopped(|| fs::remove_file(folder.path().join("store/index.redb")).unwrap())
        .await;
    let rebuilt =
        |metrics: &Metrics| metrics.sum("weir_disk_events_total", &["reason=\"rebuilt\""]) > 0.0;
    stack.edge().metrics_reach(rebuilt).await;
    for (path, expected) in [("/small", b"hello".to_vec()), ("/large", body(300 * KIB))] {
        let reply = stack.edge().get(path).await;
        assert_eq!((reply.x_cache().as_str(), reply.body == expected), ("HIT", true), "{path}");
    }
}

/// Such as one that spoilt pages have cost its rows, or an old copy that was put back.
#[tokio::test]
async fn an_index_that_names_too_few_of_the_files_is_built_anew() {
    let folder = Folder::new();
    let mut stack = edge_over(&folder).await;
    let (index, copy) = (folder.path().join("store/index.redb"), folder.path().join("old.redb"));
    let paths: Vec<String> = (0..120).map(|number| format!("/{number}")).collect();
    for path in &paths {
        stack.serve(path, "max-age=600", format!("this is {path}"));
    }
    stack.edge().get(&paths[0]).await;
    stack.edge().written().await;
    let copied = || assert!(fs::copy(&index, &copy).unwrap() > 0);
    stack.edge_while_stopped(copied).await;
    for path in &paths {
        stack.edge().get(path).await;
    }
    stack.edge().written().await;
    stack.edge_while_stopped(|| fs::rename(&copy, &index).unwrap()).await;
    let rebuilt =
        |metrics: &Metrics| metrics.sum("weir_disk_events_total", &["reason=\"rebuilt\""]) > 0.0;
    stack.edge().metrics_reach(rebuilt).await;
    for path in &paths {
        let reply = stack.edge().get(path).await;
        let seen = (reply.x_cache(), reply.body.as_ref().to_vec());
        assert_eq!(seen, ("HIT".to_owned(), format!("this is {path}").into_bytes()), "{path}");
    }
    assert_eq!(files(&folder).len(), paths.len());
}

#[tokio::test]
async fn the_disk_holds_no_more_than_it_may() {
    let folder = Folder::new();
    let stack = edge_with(&folder, ByteSize::from_mib(16)).await;
    for number in 0..40 {
        let path = format!("/{number}");
        stack.serve(&path, "max-age=600", body(1_000_000));
        assert_eq!(stack.edge().get(&path).await.body.len(), 1_000_000);
    }
    stack.edge().written().await;
    let metrics = stack.edge().metrics().await;
    assert!(metrics.get("weir_disk_bytes") <= 16.0 * 1024.0 * 1024.0);
    assert!(metrics.get("weir_disk_evictions_total") >= 24.0);
    let kept = files(&folder).iter().map(|path| path.metadata().unwrap().len()).sum::<u64>();
    assert!(kept <= 16 * 1024 * KIB, "{kept}");
    assert_eq!(stack.edge().get("/39").await.x_cache(), "HIT", "the newest is kept");
}

#[tokio::test]
async fn files_on_disk_and_open_files_are_bounded() {
    let folder = Folder::new();
    let data_dir = folder.path().to_owned();
    let shape = Shape::single().node(move |node| {
        node.data_dir = Some(data_dir.clone());
        node.store.put_on_disk(ByteSize::from_mib(64));
        node.store.memory_object_max = ByteSize::from_kib(1);
        node.store.on_disk.files_max = 64;
        node.store.on_disk.open_files_max = 8;
    });
    let stack = shape.start().await;
    for round in 0..2 {
        for number in 0..100_u64 {
            let path = format!("/{number}");
            stack.serve(&path, "max-age=600", body(8 * KIB + number));
            assert_eq!(stack.edge().get(&path).await.body, body(8 * KIB + number), "{round}");
        }
        stack.edge().written().await;
        let metrics = stack.edge().metrics().await;
        let files = metrics.get("weir_disk_files");
        assert!((1.0..=64.0).contains(&files) && metrics.get("weir_disk_open_files") <= 8.0);
        assert!(metrics.get("weir_disk_evictions_total") >= 36.0);
    }
}

#[tokio::test]
async fn what_memory_has_no_room_for_is_a_hit_from_disk() {
    let folder = Folder::new();
    let stack = edge_over(&folder).await;
    for round in ["MISS", "HIT"] {
        for number in 0..200_u64 {
            let path = format!("/{number}");
            stack.serve(&path, "max-age=600", body(60 * KIB + number));
            let reply = stack.edge().get(&path).await;
            assert_eq!(reply.x_cache(), round, "{path}");
            assert_eq!(reply.body, body(60 * KIB + number), "{path}");
        }
        stack.edge().written().await;
    }
    let metrics = stack.edge().metrics().await;
    assert!(metrics.get("weir_store_bytes") <= 4.0 * 1024.0 * 1024.0);
}

#[tokio::test]
async fn an_object_that_was_put_is_kept() {
    let folder = Folder::new();
    let mut stack = edge_over(&folder).await;
    let put = Request::new(Method::PUT, "/v1/objects?url=http://www.test/a")
        .header("authorization", &format!("Bearer {}", weir_tests::TOKEN))
        .header("object-cache-control", "max-age=600")
        .body("by hand");
    let reply = put.send(stack.edge().admin_addr()).await;
    assert!(reply.status.is_success(), "{reply:?}");
    stack.edge().written().await;
    stack.restart_edge().await;
    let reply = stack.edge().get("/a").await;
    assert_eq!((reply.x_cache().as_str(), reply.body.as_ref()), ("HIT", b"by hand".as_slice()));
}
