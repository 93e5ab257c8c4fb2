//! Works on the tasks that this node has been told of.
//!
//! One task of the runtime owns everything that is under way: what is not on the list any more is
//! dropped, with its fetches. Fetches of all tasks share one pool of slots and one pace.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use weir_cache::purge::AsOf;

use super::board::FAILURES_MAX;
use super::bucket::Bucket;
use super::fetch::{Fetched, NotFetched, fetch, header_map, is_fresh};
use super::record::{Answer, Ask, Failure, Head, HotUrl, News, NodeProgress};
use crate::node::Node;
use crate::purge::BootClock;

/// How long a task waits for the purge that it comes after.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(30);
/// Times that a page of URLs is asked for, and the pause between.
const PAGE_TRIES_MAX: u32 = 10;
const PAGE_PAUSE: Duration = Duration::from_millis(500);
/// How long the node that keeps the log waits for news from itself.
const OWN_HOLD: Duration = Duration::from_secs(1);
/// The same while it works on a task.
pub(crate) const BUSY_HOLD: Duration = Duration::from_millis(100);

/// Works until the task is aborted.
pub(crate) async fn work(node: Arc<Node>) {
    let Some(refills) = node.push.refills_taken.lock().take() else { return };
    let mut news = node.push.news.subscribe();
    let mut desk = Desk { node: Arc::clone(&node), tasks: JoinSet::new(), by_id: HashMap::new() };
    let mut refilling = JoinSet::new();
    refilling.spawn(refill(node, refills));
    loop {
        tokio::select! {
            changed = news.changed() => {
                if changed.is_err() {
                    return;
                }
                let list = news.borrow_and_update().clone();
                desk.take_up(&list);
            }
            Some(_) = desk.tasks.join_next() => {}
        }
    }
}

/// Brings the news to the very node that keeps the tasks.
pub(crate) async fn keep_own(node: Arc<Node>) {
    loop {
        let hold = if node.push.is_busy() { BUSY_HOLD } else { OWN_HOLD };
        let own = Ask::Own {
            name: node.config.name.clone(),
            tier: node.config.tier.as_str().to_owned(),
            report: node.push.report(),
            hold_ms: u64::try_from(hold.as_millis()).unwrap_or(0),
        };
        match node.log.push(own).await {
            Ok(Answer::News(Some(news))) => node.push.take(news),
            Ok(Answer::News(None)) => {}
            // Another kind of log carries no preloads.
            Ok(_) | Err(_) => return,
        }
    }
}

/// Fetches again what purges asked for, one purge after the other.
async fn refill(node: Arc<Node>, mut refills: mpsc::Receiver<Vec<HotUrl>>) {
    while let Some(hot) = refills.recv().await {
        let mut crew = Crew::new(&node, 0, None);
        for one in hot {
            let headers = Arc::new(header_map(&one.headers));
            node.push.metrics.refills.inc();
            crew.send(one.url, headers).await;
        }
        crew.finish().await;
    }
}

struct Desk {
    node: Arc<Node>,
    tasks: JoinSet<()>,
    by_id: HashMap<String, AbortHandle>,
}

impl Desk {
    /// Drops what is not on the list, and begins what has not been begun.
    fn take_up(&mut self, news: &News) {
        let push = &self.node.push;
        self.by_id.retain(|id, task| {
            let stays = news.live.iter().any(|head| head.id == *id);
            if !stays {
                task.abort();
                push.close(id);
            }
            stays
        });
        let (name, tier) = (&self.node.config.name, self.node.config.tier.as_str());
        for head in news.live.iter().filter(|head| head.is_for(name, tier)) {
            if !self.by_id.contains_key(&head.id) {
                let progress = push.open(&head.id, head.total);
                let task = run(Arc::clone(&self.node), head.clone(), progress);
                self.by_id.insert(head.id.clone(), self.tasks.spawn(task));
            }
        }
    }
}

async fn run(node: Arc<Node>, head: Head, progress: Arc<Mutex<NodeProgress>>) {
    if let Err(why) = all(&node, &head, &progress).await {
        let mut progress = progress.lock();
        let left = progress.total.saturating_sub(progress.done + progress.failed);
        progress.failed += left;
        note_failure(&mut progress, String::new(), why);
    }
    let progress = {
        let mut progress = progress.lock();
        progress.ended = true;
        progress.clone()
    };
    let NodeProgress { done, hits, failed, bytes, .. } = progress;
    tracing::info!(id = head.id, done, hits, failed, bytes, "preload ended here");
}

/// Fetches every URL of a task.
async fn all(
    node: &Arc<Node>,
    head: &Head,
    progress: &Arc<Mutex<NodeProgress>>,
) -> Result<(), String> {
    if let Some(after) = &head.terms.after {
        let after: AsOf =
            after.parse().map_err(|bad: weir_cache::purge::BadAsOf| bad.to_string())?;
        if !node.purges.catch_up(after, CATCH_UP_WITHIN).await {
            return Err("this node does not hear of purges".to_owned());
        }
    }
    let headers = Arc::new(header_map(&head.terms.headers));
    let mut crew = Crew::new(node, head.terms.rate, Some(Arc::clone(progress)));
    let mut from = 0;
    while from < head.total {
        let page = page(node, &head.id, from).await?;
        if page.is_empty() {
            break;
        }
        from += page.len() as u64;
        for url in page {
            crew.send(url, Arc::clone(&headers)).await;
        }
    }
    crew.finish().await;
    Ok(())
}

/// The URLs of a task from number `from` on.
async fn page(node: &Node, id: &str, from: u64) -> Result<Vec<String>, String> {
    let mut why = String::new();
    for _ in 0..PAGE_TRIES_MAX {
        match node.log.push(Ask::Page { id: id.to_owned(), from }).await {
            Ok(Answer::Urls(urls)) => return Ok(urls),
            Ok(_) => return Err("the list of URLs cannot be read".to_owned()),
            Err(error) => why = crate::telemetry::chain(&error).to_string(),
        }
        tokio::time::sleep(PAGE_PAUSE).await;
    }
    Err(why)
}

/// Fetches in a bounded number of tasks, at a bounded pace.
struct Crew {
    node: Arc<Node>,
    pace: Bucket,
    progress: Option<Arc<Mutex<NodeProgress>>>,
    at_work: JoinSet<()>,
}

impl Crew {
    fn new(node: &Arc<Node>, rate: u32, progress: Option<Arc<Mutex<NodeProgress>>>) -> Self {
        Self { node: Arc::clone(node), pace: Bucket::new(rate), progress, at_work: JoinSet::new() }
    }

    /// Sends one out for `url` when its turn has come and a slot is free; what is fresh already is
    /// noted at once.
    async fn send(&mut self, url: String, headers: Arc<HeaderMap>) {
        if is_fresh(&self.node, &url, &headers).await {
            note(&self.node, self.progress.as_deref(), url, Ok(Fetched::Hit));
            // A long list of such URLs must not keep others from this core.
            tokio::task::yield_now().await;
            return;
        }
        while self.at_work.try_join_next().is_some() {}
        let turn = self.pace.reserve(BootClock.now()).max(self.node.push.pace());
        if !turn.is_zero() {
            tokio::time::sleep(turn).await;
        }
        let slots: &Arc<Semaphore> = &self.node.push.slots;
        // The slots are never closed.
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else { return };
        let errand = Errand { url, headers, progress: self.progress.clone(), slot };
        self.at_work.spawn(errand.run(Arc::clone(&self.node)));
    }

    async fn finish(mut self) {
        while self.at_work.join_next().await.is_some() {}
    }
}

struct Errand {
    url: String,
    headers: Arc<HeaderMap>,
    progress: Option<Arc<Mutex<NodeProgress>>>,
    slot: OwnedSemaphorePermit,
}

impl Errand {
    async fn run(self, node: Arc<Node>) {
        let Self { url, headers, progress, slot } = self;
        let result = fetch(&node, &url, &headers).await;
        drop(slot);
        note(&node, progress.as_deref(), url, result);
    }
}

/// Notes what became of `url`.
fn note(
    node: &Node,
    progress: Option<&Mutex<NodeProgress>>,
    url: String,
    result: Result<Fetched, NotFetched>,
) {
    let metrics = &node.push.metrics;
    metrics.urls.inc();
    match &result {
        Ok(Fetched::Hit) => metrics.hits.inc(),
        Ok(Fetched::Stored { bytes }) => metrics.bytes.inc_by(*bytes),
        Err(_) => metrics.failed.inc(),
    };
    let Some(progress) = progress else { return };
    let mut progress = progress.lock();
    match result {
        Ok(fetched) => {
            progress.done += 1;
            match fetched {
                Fetched::Hit => progress.hits += 1,
                Fetched::Stored { bytes } => progress.bytes += bytes,
            }
        }
        Err(NotFetched { why, .. }) => {
            progress.failed += 1;
            note_failure(&mut progress, url, why);
        }
    }
}

fn note_failure(progress: &mut NodeProgress, url: String, why: String) {
    if progress.failures.len() < FAILURES_MAX {
        progress.failures.push(Failure { url, why }.clipped());
    }
}
