//! What a node holds of push mode, shared by the request path, the log and the tasks that fetch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};
use weir_cache::purge::Entry;

use super::board::LIVE_MAX;
use super::bucket::Bucket;
use super::hot::Hot;
use super::record::{HotUrl, News, NodeProgress, Report};
use crate::config::{NodeConfig, Tier};
use crate::metrics::PushMetrics;
use crate::purge::{BootClock, Record};

/// Purges whose hottest responses wait to be fetched again.
const REFILLS_MAX: usize = 16;
/// Objects that are put, and documents that are read, at once.
const LARGE_MAX: usize = 4;
/// The part of an upstream's connections that preloads may use.
const CONNECTIONS_PART: usize = 4;

/// The node's part in push mode.
pub(crate) struct Push {
    name: String,
    tier: Tier,
    hot_per_minute: u32,
    /// What clients ask for most.
    pub(crate) hot: Hot,
    /// Counters.
    pub(crate) metrics: PushMetrics,
    /// What the log's keeper said last.
    pub(super) news: watch::Sender<News>,
    /// How far this node is with each task it knows.
    progress: Mutex<BTreeMap<String, Arc<Mutex<NodeProgress>>>>,
    refills: mpsc::Sender<Vec<HotUrl>>,
    /// The other end, until the task that fetches takes it.
    pub(super) refills_taken: Mutex<Option<mpsc::Receiver<Vec<HotUrl>>>>,
    /// Fetches at once.
    pub(super) slots: Arc<Semaphore>,
    /// How many there are.
    pub(super) slots_max: usize,
    /// The pace of this node.
    pace: Mutex<Bucket>,
    /// Whole bodies that are held outside of the store.
    pub(crate) large: Semaphore,
}

impl Push {
    /// The part of a node with `config`.
    pub(crate) fn new(config: &NodeConfig, metrics: PushMetrics) -> Self {
        let (refills, taken) = mpsc::channel(REFILLS_MAX);
        let connections = usize::try_from(config.upstream.connections_max).unwrap_or(usize::MAX);
        let slots_max = config.push.concurrency.min(connections / CONNECTIONS_PART).max(1);
        Self {
            name: config.name.clone(),
            tier: config.tier,
            hot_per_minute: config.push.hot_per_minute,
            hot: Hot::new(),
            metrics,
            news: watch::Sender::new(News::default()),
            progress: Mutex::default(),
            refills,
            refills_taken: Mutex::new(Some(taken)),
            slots: Arc::new(Semaphore::new(slots_max)),
            slots_max,
            pace: Mutex::new(Bucket::new(config.push.rate)),
            large: Semaphore::new(LARGE_MAX),
        }
    }

    /// What goes with this node's report to the log.
    pub(crate) fn report(&self) -> Report {
        let (run, generation) = {
            let news = self.news.borrow();
            (news.run, news.generation)
        };
        let hot = match (self.tier, self.hot_per_minute) {
            (Tier::Edge, 1..) => self.hot.hottest(self.hot_per_minute.into()),
            _ => Vec::new(),
        };
        let progress = self.progress.lock().values().map(|one| one.lock().clone()).collect();
        Report { run, generation, progress, hot }
    }

    /// Whether this node has something to fetch, so that somebody may be waiting to hear how far it is.
    pub(crate) fn is_busy(&self) -> bool {
        let progress = self.progress.lock();
        // A task that has been told of may not have been begun yet.
        let unfinished = |id: &String| progress.get(id).is_none_or(|one| !one.lock().ended);
        let news = self.news.borrow();
        let own = news.live.iter().filter(|head| head.is_for(&self.name, self.tier.as_str()));
        own.into_iter().any(|head| unfinished(&head.id))
    }

    /// Takes the list of tasks that the log's keeper tells.
    pub(crate) fn take(&self, mut news: News) {
        news.live.truncate(LIVE_MAX);
        self.news.send_replace(news);
    }

    /// Has the hottest responses fetched again that a purge matched, if it asks for that.
    pub(crate) fn after_purge(&self, record: &Record, entry: &Entry) {
        if record.preload_hot == 0 || self.tier != Tier::Edge {
            return;
        }
        let max = usize::try_from(record.preload_hot).unwrap_or(usize::MAX);
        let hot = self.hot.matching(entry, max);
        if !hot.is_empty() && self.refills.try_send(hot).is_err() {
            self.metrics.refills_dropped.inc();
        }
    }

    /// Begins to keep the progress of a task.
    pub(super) fn open(&self, id: &str, total: u64) -> Arc<Mutex<NodeProgress>> {
        let begun = NodeProgress { id: id.to_owned(), total, ..NodeProgress::default() };
        let begun = Arc::new(Mutex::new(begun));
        self.progress.lock().insert(id.to_owned(), Arc::clone(&begun));
        begun
    }

    /// Forgets the progress of a task.
    pub(super) fn close(&self, id: &str) {
        self.progress.lock().remove(id);
    }

    /// Takes a place in this node's pace; returns how long it must wait for it.
    pub(super) fn pace(&self) -> Duration {
        self.pace.lock().reserve(BootClock.now())
    }
}
