//! Which preloads are under way, and how far is each node with them?
//!
//! Kept in memory by the node that keeps the purge log: a preload that is lost costs misses and no
//! promise. Pure but for random names; the present is an argument.
//!
//! # Invariants
//!
//! 1. Tasks, their URLs, members and failures told are bounded; a task that has ended keeps no URL.
//! 2. The generation changes whenever the list of live tasks does.
//! 3. A task ends when every node that it is for and that is still heard of is through with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use weir_cache::Timestamp;

use super::record::{
    Head, HotUrl, News, NodeProgress, NodeState, Preload, Report, TaskOrder, Terms,
};
use super::watch::Watch;
use crate::config::PushConfig;
use crate::metrics::PushMetrics;

/// Tasks under way at once.
pub(super) const LIVE_MAX: usize = 64;
/// Tasks kept, those that have ended included.
const KEPT_MAX: usize = 512;
/// Bytes of the URLs of all tasks under way.
const URL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// URLs of one answer, and their bytes.
const PAGE_MAX: usize = 1_000;
const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Members known; more than a CDN has nodes.
const MEMBERS_MAX: usize = 10_000;
/// Failures kept of one node.
pub(super) const FAILURES_MAX: usize = 5;
/// Failures kept of one task, all nodes together.
const TASK_FAILURES_MAX: usize = 100;
/// A member that has been silent for so long is not waited for.
const GONE_AFTER: Duration = Duration::from_secs(15);
/// A task that has ended is kept for so long.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);
/// A task that has not ended by then is given up.
const EXPIRES_AFTER: Duration = Duration::from_secs(48 * 60 * 60);

/// All tasks and members.
#[derive(Debug)]
pub(crate) struct Board {
    run: u64,
    generation: u64,
    next: u64,
    tasks: BTreeMap<u64, Task>,
    numbers: HashMap<String, u64>,
    members: HashMap<String, Member>,
    url_bytes: usize,
    watch: Watch,
    metrics: PushMetrics,
}

#[derive(Debug)]
struct Task {
    id: String,
    urls: Arc<[String]>,
    total: u64,
    terms: Terms,
    by: String,
    reason: String,
    at_ms: i64,
    began: Timestamp,
    ended: Option<(Timestamp, End)>,
    nodes: BTreeMap<String, NodeProgress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Cancelled,
    Complete,
    Expired,
}

#[derive(Debug)]
struct Member {
    tier: String,
    heard: Timestamp,
}

/// The present, on the clock of leases and on the wall.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present {
    /// For what has a duration.
    pub(crate) now: Timestamp,
    /// Milliseconds since 1970, for people.
    pub(crate) wall_ms: i64,
}

/// Why a task is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What stands in the way.
    pub(crate) why: String,
    /// Whether it may be different later.
    pub(crate) busy: bool,
}

impl Board {
    /// An empty board, told from those of earlier runs by `run`.
    pub(crate) fn new(run: u64, config: &PushConfig, metrics: PushMetrics) -> Self {
        Self {
            run,
            generation: 1,
            next: 1,
            tasks: BTreeMap::new(),
            numbers: HashMap::new(),
            members: HashMap::new(),
            url_bytes: 0,
            watch: Watch::new(config.hot_per_minute, config.hot_pushes_per_minute),
            metrics,
        }
    }

    /// Which list of live tasks this is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Makes a task called `id`.
    pub(crate) fn create(
        &mut self,
        id: String,
        order: TaskOrder,
        present: Present,
    ) -> Result<Preload, Refused> {
        self.settle(present.now);
        let bytes: usize = order.urls.iter().map(String::len).sum();
        if self.live().count() >= LIVE_MAX || self.url_bytes + bytes > URL_BYTES_MAX {
            let why = format!(
                "too many preloads are under way (at most {LIVE_MAX}, with {URL_BYTES_MAX} bytes of URLs)"
            );
            return Err(Refused { why, busy: true });
        }
        let tiers = &order.terms.tiers;
        if !self.members.values().any(|member| tiers.contains(&member.tier)) {
            let why = format!("no node of the tiers asked for is known: {}", tiers.join(", "));
            return Err(Refused { why, busy: false });
        }
        let number = self.next;
        self.next += 1;
        self.url_bytes += bytes;
        self.numbers.insert(id.clone(), number);
        let task = Task {
            id,
            total: u64::try_from(order.urls.len()).unwrap_or(u64::MAX),
            urls: order.urls.into(),
            terms: order.terms,
            by: order.by,
            reason: order.reason,
            at_ms: present.wall_ms,
            began: present.now,
            ended: None,
            nodes: BTreeMap::new(),
        };
        let shown = task.show(&self.members, present.now);
        self.tasks.insert(number, task);
        self.generation += 1;
        self.metrics.tasks.inc();
        Ok(shown)
    }

    /// Ends a task; what nodes have fetched stays.
    pub(crate) fn cancel(&mut self, id: &str, now: Timestamp) -> Option<Preload> {
        let task = self.tasks.get_mut(self.numbers.get(id)?)?;
        if task.ended.is_none() {
            self.url_bytes = self.url_bytes.saturating_sub(task.end(now, End::Cancelled));
            self.generation += 1;
        }
        Some(task.show(&self.members, now))
    }

    /// What is known of a task.
    pub(crate) fn show(&mut self, id: &str, now: Timestamp) -> Option<Preload> {
        self.settle(now);
        Some(self.tasks.get(self.numbers.get(id)?)?.show(&self.members, now))
    }

    /// The same of all tasks kept, the newest first.
    pub(crate) fn list(&mut self, now: Timestamp) -> Vec<Preload> {
        self.settle(now);
        self.tasks.values().rev().map(|task| task.show(&self.members, now)).collect()
    }

    /// URLs of a task from number `from` on, as many as go into one answer; none after the last and
    /// where the task has ended.
    pub(crate) fn page(&self, id: &str, from: u64) -> Vec<String> {
        let task = self.numbers.get(id).and_then(|number| self.tasks.get(number));
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let rest = task.and_then(|task| task.urls.get(from..)).unwrap_or_default();
        let mut bytes = 0;
        rest.iter()
            .take(PAGE_MAX)
            .take_while(|url| {
                let first = bytes == 0;
                bytes += url.len();
                first || bytes <= PAGE_BYTES_MAX
            })
            .cloned()
            .collect()
    }

    /// Takes what the member `name` of `tier` says.
    pub(crate) fn on_report(
        &mut self,
        (name, tier): (&str, &str),
        report: &Report,
        present: Present,
    ) {
        let Present { now, .. } = present;
        if self.members.len() < MEMBERS_MAX || self.members.contains_key(name) {
            self.members.insert(name.to_owned(), Member { tier: tier.to_owned(), heard: now });
        }
        if report.run == self.run {
            for progress in &report.progress {
                self.note(name, progress);
            }
        }
        self.push_hot((name, tier), &report.hot, present);
        self.settle(now);
    }

    /// A member has left and is not waited for.
    pub(crate) fn on_leave(&mut self, name: &str, now: Timestamp) {
        self.members.remove(name);
        self.settle(now);
    }

    /// What a member is to be told that has seen what `report` says; `None` for nothing new.
    pub(crate) fn news(&self, report: &Report) -> Option<News> {
        if report.run == self.run && report.generation == self.generation {
            return None;
        }
        let live = self.live().map(Task::head).collect();
        Some(News { run: self.run, generation: self.generation, live })
    }

    fn live(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().filter(|task| task.ended.is_none())
    }

    fn note(&mut self, name: &str, progress: &NodeProgress) {
        let number = self.numbers.get(&progress.id);
        let Some(task) = number.and_then(|number| self.tasks.get_mut(number)) else { return };
        // The members are bounded, hence the names here.
        if self.members.contains_key(name) {
            let others = task.nodes.iter().filter(|(other, _)| *other != name);
            let told: usize = others.map(|(_, node)| node.failures.len()).sum();
            let room = TASK_FAILURES_MAX.saturating_sub(told).min(FAILURES_MAX);
            let mut progress = progress.clone();
            progress.failures.truncate(room);
            progress.failures =
                progress.failures.into_iter().map(super::record::Failure::clipped).collect();
            task.nodes.insert(name.to_owned(), progress);
        }
    }

    /// Makes a task of what has grown hot on an edge, for the edges beside it.
    fn push_hot(&mut self, (name, tier): (&str, &str), hot: &[HotUrl], present: Present) {
        if tier != EDGE || !self.members.iter().any(|(other, m)| other != name && m.tier == EDGE) {
            return;
        }
        for grown in self.watch.grown(hot, present.now) {
            let terms = Terms {
                tiers: vec![EDGE.to_owned()],
                except: vec![name.to_owned()],
                headers: grown.headers.clone(),
                ..Terms::default()
            };
            let (urls, by) = (vec![grown.url.clone()], name.to_owned());
            let order = TaskOrder { urls, terms, by, reason: "hot".to_owned() };
            // A name that repeats would hide the older task; without randomness there is none to give.
            let Ok(id) = crate::secrets::random_text() else { return };
            if self.create(id, order, present).is_ok() {
                self.metrics.hot.inc();
            }
        }
    }

    /// Ends what is through, and forgets what ended long ago.
    fn settle(&mut self, now: Timestamp) {
        let Self { tasks, members, url_bytes, generation, .. } = self;
        for task in tasks.values_mut().filter(|task| task.ended.is_none()) {
            let end = if task.is_through(members, now) {
                End::Complete
            } else if now.saturating_since(task.began) > EXPIRES_AFTER {
                End::Expired
            } else {
                continue;
            };
            *url_bytes = url_bytes.saturating_sub(task.end(now, end));
            *generation += 1;
        }
        members.retain(|_, member| now.saturating_since(member.heard) < KEPT_FOR);
        let too_old =
            |task: &Task| task.ended.is_some_and(|(at, _)| now.saturating_since(at) > KEPT_FOR);
        let mut surplus = tasks.len().saturating_sub(KEPT_MAX);
        tasks.retain(|_, task| {
            let goes = too_old(task) || (surplus > 0 && task.ended.is_some());
            surplus = surplus.saturating_sub(usize::from(goes));
            if goes {
                self.numbers.remove(&task.id);
            }
            !goes
        });
    }
}

/// The tier whose nodes clients ask.
const EDGE: &str = crate::config::Tier::Edge.as_str();

impl Task {
    fn head(&self) -> Head {
        Head { id: self.id.clone(), total: self.total, terms: self.terms.clone() }
    }

    /// Ends the task; returns the bytes of URLs that it gives back.
    fn end(&mut self, now: Timestamp, end: End) -> usize {
        self.ended = Some((now, end));
        let urls = std::mem::take(&mut self.urls);
        urls.iter().map(String::len).sum()
    }

    /// Whether every node that it is for and that is heard of has ended it; with no such node, whether
    /// none has come for a while.
    fn is_through(&self, members: &HashMap<String, Member>, now: Timestamp) -> bool {
        let mut expected = members
            .iter()
            .filter(|(name, member)| self.terms.is_for(name, &member.tier))
            .filter(|(_, member)| !member.is_gone(now))
            .peekable();
        if expected.peek().is_none() {
            return now.saturating_since(self.began) > GONE_AFTER;
        }
        expected.all(|(name, _)| self.nodes.get(name).is_some_and(|node| node.ended))
    }

    fn show(&self, members: &HashMap<String, Member>, now: Timestamp) -> Preload {
        let concerned = members
            .iter()
            .filter(|(name, member)| self.terms.is_for(name, &member.tier))
            .map(|(name, _)| name);
        let names: std::collections::BTreeSet<&String> =
            concerned.chain(self.nodes.keys()).collect();
        let nodes: BTreeMap<String, NodeState> = names
            .into_iter()
            .map(|name| (name.clone(), self.node_state(name, members.get(name), now)))
            .collect();
        let sum = |of: fn(&NodeState) -> u64| nodes.values().map(of).sum();
        let whole = nodes.values().all(|node| node.state == "done" && node.failed == 0);
        let state = match self.ended {
            None => "running",
            Some((_, End::Cancelled)) => "cancelled",
            Some((_, End::Expired)) => "expired",
            Some((_, End::Complete)) if whole && !nodes.is_empty() => "done",
            Some((_, End::Complete)) => "partly",
        };
        Preload {
            id: self.id.clone(),
            state: state.to_owned(),
            reason: self.reason.clone(),
            by: self.by.clone(),
            at: crate::purge::rfc3339(self.at_ms),
            tiers: self.terms.tiers.clone(),
            urls: self.total,
            total: sum(|node| node.total),
            done: sum(|node| node.done),
            hits: sum(|node| node.hits),
            failed: sum(|node| node.failed),
            bytes: sum(|node| node.bytes),
            nodes,
        }
    }

    fn node_state(&self, name: &str, member: Option<&Member>, now: Timestamp) -> NodeState {
        let progress = self.nodes.get(name).cloned().unwrap_or_default();
        let gone = member.is_none_or(|member| member.is_gone(now));
        let state = match (progress.ended, gone, self.nodes.contains_key(name)) {
            (true, _, _) => "done",
            (false, true, _) => "gone",
            (false, false, true) => "running",
            (false, false, false) => "waiting",
        };
        NodeState {
            state: state.to_owned(),
            total: self.total,
            done: progress.done,
            hits: progress.hits,
            failed: progress.failed,
            bytes: progress.bytes,
            failures: progress.failures,
        }
    }
}

impl Member {
    fn is_gone(&self, now: Timestamp) -> bool {
        now.saturating_since(self.heard) > GONE_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(secs: u64) -> Present {
        let now = Timestamp::ZERO.saturating_add(Duration::from_secs(secs));
        Present { now, wall_ms: 0 }
    }

    fn board(members: &[&str]) -> Board {
        let mut board = Board::new(7, &PushConfig::default(), PushMetrics::default());
        for name in members {
            board.on_report((name, "edge"), &Report::default(), present(0));
        }
        board
    }

    fn order(urls: usize) -> TaskOrder {
        let urls = (0..urls).map(|number| format!("http://a/{number}")).collect();
        let terms = Terms { tiers: vec!["edge".to_owned()], ..Terms::default() };
        TaskOrder { urls, terms, ..TaskOrder::default() }
    }

    fn made(board: &mut Board, urls: usize) -> Preload {
        board.create(format!("t{}", board.next), order(urls), present(0)).unwrap()
    }

    fn say(board: &mut Board, name: &str, (id, failed): (&str, u64), secs: u64) {
        let progress = NodeProgress {
            id: id.to_owned(),
            total: 2,
            done: 2 - failed,
            failed,
            ended: true,
            ..NodeProgress::default()
        };
        let report = Report { run: 7, progress: vec![progress], ..Report::default() };
        board.on_report((name, "edge"), &report, present(secs));
    }

    #[test]
    fn a_task_is_done_when_every_node_is_and_partly_when_something_failed() {
        let mut board = board(&["e0", "e1"]);
        let task = made(&mut board, 2);
        say(&mut board, "e0", (&task.id, 0), 1);
        assert_eq!(board.show(&task.id, present(1).now).unwrap().state, "running");
        say(&mut board, "e1", (&task.id, 1), 1);
        let shown = board.show(&task.id, present(1).now).unwrap();
        assert_eq!((shown.state.as_str(), shown.done, shown.failed), ("partly", 3, 1));
        assert_eq!(board.news(&Report::default()).unwrap().live, []);
        assert_eq!(board.url_bytes, 0, "a task that has ended keeps no URL");
    }

    #[test]
    fn a_member_that_is_gone_is_not_waited_for_and_one_that_joins_takes_part() {
        let mut board = board(&["e0"]);
        let task = made(&mut board, 2);
        board.on_report(("e1", "edge"), &Report::default(), present(1));
        say(&mut board, "e0", (&task.id, 0), 1);
        assert_eq!(board.show(&task.id, present(1).now).unwrap().nodes["e1"].state, "waiting");
        say(&mut board, "e0", (&task.id, 0), 20);
        let shown = board.show(&task.id, present(20).now).unwrap();
        assert_eq!((shown.state.as_str(), shown.nodes["e1"].state.as_str()), ("partly", "gone"));
    }

    #[test]
    fn members_are_told_once_of_each_change() {
        let mut board = board(&["e0"]);
        let task = made(&mut board, 3);
        let news = board.news(&Report::default()).unwrap();
        assert_eq!((news.live.len(), news.live[0].total), (1, 3));
        let seen = Report { run: news.run, generation: news.generation, ..Report::default() };
        assert_eq!(board.news(&seen), None);
        assert_eq!(board.cancel(&task.id, present(1).now).unwrap().state, "cancelled");
        assert_eq!(board.news(&seen).unwrap().live, []);
        assert!(board.page(&task.id, 0).is_empty());
    }

    #[test]
    fn long_lists_are_told_in_pages() {
        let mut board = board(&["e0"]);
        let task = made(&mut board, 2_500);
        let mut all = Vec::new();
        loop {
            let page = board.page(&task.id, all.len() as u64);
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= PAGE_MAX);
            all.extend(page);
        }
        assert_eq!(all, order(2_500).urls);
    }

    #[test]
    fn tasks_are_bounded_and_those_for_nobody_are_refused() {
        let mut board = board(&["e0"]);
        let nobody = TaskOrder {
            terms: Terms { tiers: vec!["regional".to_owned()], ..Terms::default() },
            ..order(1)
        };
        assert!(!board.create("x".to_owned(), nobody, present(0)).unwrap_err().busy);
        for _ in 0..LIVE_MAX {
            made(&mut board, 1);
        }
        assert!(board.create("y".to_owned(), order(1), present(0)).unwrap_err().busy);
        board.cancel("t1", present(0).now);
        assert!(board.create("z".to_owned(), order(1), present(0)).is_ok());
        board.settle(present(60 * 60 * 24 * 3).now);
        board.settle(present(60 * 60 * 24 * 6).now);
        assert!(board.tasks.is_empty() && board.numbers.is_empty() && board.members.is_empty());
    }

    #[test]
    fn what_is_hot_on_one_edge_is_a_task_for_the_others() {
        let mut board = board(&["e0", "e1"]);
        let hot = HotUrl { url: "http://a/".to_owned(), headers: Vec::new(), count: 10_000 };
        let report = Report { hot: vec![hot], ..Report::default() };
        for _ in 0..3 {
            board.on_report(("e0", "edge"), &report, present(1));
        }
        let live = board.news(&Report::default()).unwrap().live;
        assert_eq!(live.len(), 1);
        assert!(live[0].is_for("e1", "edge") && !live[0].is_for("e0", "edge"));
    }
}
