//! Does a node know after a restart what it knew before, and nothing that it did not?

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_cache::purge::{AsOf, Entry, Epoch, Mode, Subject, Tagged, Tags};
use weir_store::{DiskOp, LogFile};

use super::*;

const LOG: Epoch = Epoch::new(7);

/// A folder of its own, removed with its content.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Relaxed);
        let name = format!("weir-known-{}-{serial}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn file(&self) -> PathBuf {
        self.0.join("purge.log")
    }

    fn start(&self) -> Node {
        self.start_on(None)
    }

    fn start_on(&self, faults: Option<Faults>) -> Node {
        let found = Found::with_faults(&self.0, faults).unwrap();
        let view = View::new(found.ledger.clone(), false, Duration::from_secs(5));
        let (view, metrics) = (Arc::new(view), PurgeMetrics::default());
        Node { known: Known::new(found, &view, &metrics), view, metrics }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// As much of a node as follows the log.
struct Node {
    known: Known,
    view: Arc<View>,
    metrics: PurgeMetrics,
}

impl Node {
    async fn join(&self, head: AsOf) {
        let _turn = self.known.keep(vec![Line::Joined(head)]).await;
        self.view.join(head);
    }

    async fn apply(&self, entries: &[(u64, &str)]) {
        let entries: Vec<_> = entries.iter().map(|(seq, named)| (at(*seq), entry(named))).collect();
        let lines = entries.iter().map(|(at, entry)| Line::Applied(*at, entry.clone())).collect();
        let _turn = self.known.keep(lines).await;
        for (at, entry) in &entries {
            self.view.apply(*at, entry).unwrap();
        }
    }

    /// Whether a response on disk that reflects the log up to `as_of` needs no validation.
    fn is_clear(&self, resource: &str, as_of: AsOf) -> bool {
        let tags = Tags::default();
        let subject = Subject { resource, tags: Tagged::Known(&tags) };
        self.view.is_clear(subject, self.view.heard(Some(as_of)))
    }
}

fn at(seq: u64) -> AsOf {
    AsOf { epoch: LOG, seq }
}

fn entry(named: &str) -> Entry {
    Entry { mode: Mode::Purge, selectors: vec![named.parse().unwrap()] }
}

#[tokio::test]
async fn a_restart_forgets_nothing_and_grants_nothing() {
    let scratch = Scratch::new();
    let node = scratch.start();
    node.join(at(4)).await;
    node.apply(&[(5, "url:a.b/5"), (6, "url:a.b/6")]).await;
    node.apply(&[(7, "url:a.b/7")]).await;
    drop(node);
    for _ in 0..2 {
        let node = scratch.start();
        assert_eq!(node.view.as_of(), Some(at(7)));
        assert!(node.view.is_fenced(), "it holds no lease");
        assert!(!node.view.has_joined(), "it has heard of nothing");
        assert!(!node.is_clear("a.b/x", at(3)), "from before what is known");
        assert!(node.is_clear("a.b/x", at(4)));
        assert!(!node.is_clear("a.b/6", at(5)));
        assert!(node.is_clear("a.b/6", at(6)), "it reflects the purge");
        assert!(node.is_clear("a.b/6", at(9)), "more than this node has applied");
        assert!(!node.is_clear("a.b/x", AsOf { epoch: Epoch::new(8), seq: 9 }));
    }
}

#[tokio::test]
async fn positions_are_told_and_heard_alike_after_a_restart_and_later_joins() {
    let scratch = Scratch::new();
    let node = scratch.start();
    node.join(at(4)).await;
    node.apply(&[(5, "url:a.b/5")]).await;
    drop(node);
    let node = scratch.start();
    let kept = node.view.heard(Some(at(5)));
    assert_eq!(node.view.told(kept), Some(at(5)));
    assert_eq!(kept, node.view.applied());
    assert_eq!(node.view.heard(None).get(), 0);
    let other = AsOf { epoch: Epoch::new(8), seq: 1 };
    node.join(other).await;
    assert!(!node.is_clear("a.b/x", at(5)), "older than everything");
    let subject = Subject { resource: "a.b/x", tags: Tagged::Unknown };
    assert!(!node.view.is_clear(subject, kept), "also where it was heard before");
    assert_eq!(node.view.told(kept), None);
    assert!(node.is_clear("a.b/x", other));
    drop(node);
    let node = scratch.start();
    assert_eq!(node.view.as_of(), Some(other), "the join was written down");
    assert!(!node.is_clear("a.b/x", at(5)));
}

#[tokio::test]
async fn without_a_file_everything_on_disk_is_validated_and_what_is_fetched_is_not() {
    let node = Scratch::new().start();
    assert!(!node.is_clear("a.b/x", at(5)));
    let subject = Subject { resource: "a.b/x", tags: Tagged::Unknown };
    assert!(node.view.is_clear(subject, node.view.heard_now(None)));
    assert!(!node.view.is_clear(subject, node.view.heard(None)));
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_everything_is_validated() {
    let scratch = Scratch::new();
    let node = scratch.start();
    node.join(at(4)).await;
    node.apply(&[(5, "url:a.b/5")]).await;
    drop(node);
    let mut bytes = std::fs::read(scratch.file()).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(scratch.file(), &bytes).unwrap();
    let node = scratch.start();
    assert_eq!((node.view.as_of(), node.metrics.known_unread.get()), (None, 1));
    assert!(!node.is_clear("a.b/x", at(5)));
    assert_eq!(std::fs::read(scratch.0.join("purge.log.damaged-1")).unwrap(), bytes);
    node.join(at(9)).await;
    drop(node);
    assert_eq!(scratch.start().view.as_of(), Some(at(9)), "it goes on from there");
}

#[tokio::test]
async fn what_another_version_wrote_is_set_aside() {
    let scratch = Scratch::new();
    let (mut log, _) = LogFile::open(&scratch.0, 1).unwrap();
    log.append(&[&[9, 1, 2, 3]]).unwrap();
    drop(log);
    let node = scratch.start();
    assert_eq!((node.view.as_of(), node.metrics.known_unread.get()), (None, 1));
    assert!(scratch.0.join("purge.log.damaged-1").exists());
}

/// Purges hold in memory; the next run must not take an older file for all that was applied.
#[tokio::test]
async fn a_disk_that_is_full_leaves_no_file_that_lacks_a_purge() {
    for op in [DiskOp::Write, DiskOp::Sync] {
        let (scratch, faults) = (Scratch::new(), Faults::default());
        let node = scratch.start_on(Some(faults.clone()));
        node.join(at(4)).await;
        faults.fail(op, 0, ErrorKind::StorageFull, 3);
        node.apply(&[(5, "url:a.b/5")]).await;
        assert_eq!(node.view.as_of(), Some(at(5)), "it is applied all the same");
        assert!(!node.known.is_owed());
        assert_eq!(node.metrics.known_unwritten.get(), 1);
        assert!(!scratch.file().exists());
        node.apply(&[(6, "url:a.b/6")]).await;
        drop(node);
        let node = scratch.start();
        assert!(!node.is_clear("a.b/5", at(4)) && !node.is_clear("a.b/x", at(6)), "{op:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_whole_and_cannot_be_removed_is_owed() {
    let (scratch, faults) = (Scratch::new(), Faults::default());
    let node = scratch.start_on(Some(faults.clone()));
    node.join(at(4)).await;
    faults.fail(DiskOp::Write, 0, ErrorKind::StorageFull, 3);
    faults.fail(DiskOp::Unlink, 0, ErrorKind::ReadOnlyFilesystem, 0);
    node.apply(&[(5, "url:a.b/5")]).await;
    assert!(node.known.is_owed(), "nobody may be told");
    assert!(scratch.file().exists());
    node.known.settled().await;
    assert!(!node.known.is_owed());
    assert!(!scratch.file().exists());
}

/// What a file that is made anew does not say, it must not be taken to deny.
#[tokio::test]
async fn a_file_that_is_made_anew_begins_where_the_node_stands() {
    let (scratch, faults) = (Scratch::new(), Faults::default());
    let node = scratch.start_on(Some(faults.clone()));
    node.join(at(4)).await;
    faults.fail(DiskOp::Write, 0, ErrorKind::StorageFull, 0);
    node.apply(&[(5, "url:a.b/5")]).await;
    let turn = node.known.turn().await;
    let later = node.known.0.clock.now().saturating_add(Duration::from_secs(60));
    let (as_of, line) = (node.view.as_of(), Line::Applied(at(6), entry("url:a.b/6")));
    drop(turn.work(move |kept| kept.write(&[line], as_of, later)).await);
    node.view.apply(at(6), &entry("url:a.b/6")).unwrap();
    drop(node);
    let node = scratch.start();
    assert_eq!((node.view.as_of(), node.view.since()), (Some(at(6)), Some(at(5))));
    assert!(!node.is_clear("a.b/5", at(4)) && !node.is_clear("a.b/6", at(5)));
}

#[tokio::test]
async fn what_is_forgotten_is_taken_out_of_the_file() {
    let scratch = Scratch::new();
    let node = scratch.start();
    node.join(at(0)).await;
    let named: Vec<String> = (1..=4_000).map(|seq| format!("url:a.b/{seq}")).collect();
    let entries: Vec<(u64, &str)> = (1..).zip(named.iter().map(String::as_str)).collect();
    node.apply(&entries).await;
    let before = scratch.file().metadata().unwrap().len();
    node.view.forget(node.view.heard(Some(at(3_900))));
    node.known.tidy().await;
    assert!(scratch.file().metadata().unwrap().len() < before / 20);
    node.apply(&[(4_001, "url:a.b/4001")]).await;
    drop(node);
    let node = scratch.start();
    assert_eq!((node.view.as_of(), node.view.since()), (Some(at(4_001)), Some(at(3_900))));
    assert!(!node.is_clear("a.b/x", at(3_899)) && node.is_clear("a.b/x", at(3_900)));
    assert!(!node.is_clear("a.b/4000", at(3_999)));
    node.view.forget(node.view.applied());
    node.known.tidy().await;
    drop(node);
    assert_eq!(scratch.start().view.as_of(), Some(at(4_001)), "how far it was stays");
}

/// The process ends between writing and publishing, and the log gives the number to another entry.
#[tokio::test]
async fn what_was_written_and_not_published_does_no_harm() {
    let scratch = Scratch::new();
    let node = scratch.start();
    node.join(at(4)).await;
    drop(node.known.keep(vec![Line::Applied(at(5), entry("url:a.b/lost"))]).await);
    assert_eq!(node.view.as_of(), Some(at(4)));
    node.apply(&[(5, "url:a.b/5")]).await;
    drop(node.known.keep(vec![Line::Joined(AsOf { epoch: Epoch::new(8), seq: 3 })]).await);
    node.apply(&[(6, "url:a.b/6")]).await;
    drop(node);
    let node = scratch.start();
    assert_eq!(node.view.as_of(), Some(at(6)));
    for named in ["a.b/5", "a.b/6", "a.b/lost"] {
        assert!(!node.is_clear(named, at(4)), "{named}");
    }
}

#[tokio::test]
async fn a_node_without_a_folder_keeps_nothing() {
    let found = Found::nothing();
    let view = Arc::new(View::new(found.ledger.clone(), false, Duration::from_secs(5)));
    let metrics = PurgeMetrics::default();
    let node = Node { known: Known::new(found, &view, &metrics), view, metrics };
    node.join(at(4)).await;
    node.apply(&[(5, "url:a.b/5")]).await;
    node.known.tidy().await;
    node.known.settled().await;
    assert_eq!((node.view.as_of(), node.metrics.known_unwritten.get()), (Some(at(5)), 0));
}

#[test]
fn a_node_that_goes_on_with_another_log_leaves_nothing_to_be_believed() {
    let scratch = Scratch::new();
    disown(&scratch.0).unwrap();
    drop(scratch.start());
    assert!(scratch.file().exists());
    disown(&scratch.0).unwrap();
    assert!(!scratch.file().exists());
}

#[test]
fn a_folder_in_use_or_not_to_be_written_fails_the_start() {
    let scratch = Scratch::new();
    let _node = scratch.start();
    assert!(matches!(Found::in_folder(&scratch.0), Err(LogOpenError::InUse { .. })));
    let file = scratch.0.join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(matches!(Found::in_folder(&file), Err(LogOpenError::Io { .. })));
}

#[tokio::test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "the measurement")]
async fn how_long_a_restart_with_many_entries_takes() {
    let scratch = Scratch::new();
    let node = scratch.start();
    node.join(at(0)).await;
    let named: Vec<String> =
        (1..=199_000).map(|seq| format!("url:www.example.com/some/longer/path/{seq}")).collect();
    let entries: Vec<(u64, &str)> = (1..).zip(named.iter().map(String::as_str)).collect();
    for batch in entries.chunks(1_000) {
        node.apply(batch).await;
    }
    drop(node);
    let began = std::time::Instant::now();
    let node = scratch.start();
    let bytes = scratch.file().metadata().unwrap().len();
    eprintln!("{} things, {bytes} bytes: {:?}", node.view.named(), began.elapsed());
    let began = std::time::Instant::now();
    node.view.forget(node.view.heard(Some(at(150_000))));
    node.known.tidy().await;
    eprintln!("compaction: {:?}", began.elapsed());
}
