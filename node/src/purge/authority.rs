//! The node that keeps the purge log: it numbers entries, makes them durable, hands them to members,
//! and knows who has applied which.
//!
//! # Invariants
//!
//! 1. An entry is durable before anybody learns of it, applied here before any member can see it, and
//!    finished also when whoever asked for it goes away.
//! 2. A report is on the roll before the entries that answer it are read, and a new member is durable
//!    before it is answered.
//! 3. A log that was lost begins a new epoch; for one lease after that no purge is complete, since
//!    members that nobody remembers may hold leases.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use weir_cache::Timestamp;
use weir_cache::purge::{AsOf, Epoch, LeaseGranted, Ledger, Roll};

use super::book::{Book, wall_ms};
use super::keeper::{Found, Keeper, KeeperError, Place};
use super::record::{Batch, Log, LogError, Numbered, PurgeReceipt, Record, Reported};
use super::settled::settled;
use super::{BootClock, Order, View};
use crate::config::PushConfig;
use crate::push::{self, Board, Present, Push};
use crate::secrets::random_text;

/// Entries kept for members that are behind.
const ENTRIES_MAX: usize = 10_000;
/// Things that they name, all together.
const NAMED_MAX: usize = 100_000;
/// Entries of one answer, and things that they name.
const BATCH_MAX: usize = 1_000;
const BATCH_NAMED_MAX: usize = 20_000;
/// Purges that may wait to be written.
const QUEUE_MAX: usize = 1_024;
/// Longest that a report is held.
const HOLD_MAX: Duration = Duration::from_secs(5);
/// The shortest time between two tidyings of the log.
const TIDY_EVERY: Duration = Duration::from_secs(10 * 60);
/// How long an order may take to become durable before whoever asked is told that it is not known to be.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// The keeper of the log.
#[derive(Clone)]
pub(crate) struct Authority(Arc<Inner>);

struct Inner {
    name: String,
    lease: Duration,
    epoch: Epoch,
    began: Timestamp,
    /// Until then members of an earlier life may hold leases.
    strangers_until: Timestamp,
    clock: BootClock,
    view: Arc<View>,
    keeper: Keeper,
    state: Mutex<State>,
    /// Preloads. Locked after `state` where both are.
    board: Mutex<Board>,
    push: Arc<Push>,
    /// One at a time writes; holds when the log was last tidied. Those that wait are bounded.
    writing: tokio::sync::Mutex<Timestamp>,
    waiting: Semaphore,
    /// The newest entry, for members that wait for news.
    news: watch::Sender<u64>,
    /// The list of preloads, for the same.
    preloads: watch::Sender<u64>,
    /// Told of every report, for those who wait for receipts.
    reports: watch::Sender<u64>,
}

struct State {
    head: u64,
    entries: VecDeque<Arc<Numbered>>,
    named: usize,
    book: Book,
    /// Whether the log turned out to be older than what nodes have seen of it.
    rolled_back: bool,
}

/// What an authority is made from.
pub(crate) struct Making<'a> {
    /// The node's name.
    pub(crate) name: &'a str,
    /// The length of leases.
    pub(crate) lease: Duration,
    /// Where the log lies.
    pub(crate) place: &'a Place,
    /// Whether all members live and die with this process.
    pub(crate) alone: bool,
    /// What the node knows of the log.
    pub(crate) view: Arc<View>,
    /// The node's part in push mode, and how it is configured.
    pub(crate) push: (Arc<Push>, &'a PushConfig),
}

impl Authority {
    /// Opens the log, or makes one, and applies what it holds.
    ///
    /// # Errors
    ///
    /// [`KeeperError`]; the node must not start, since it could promise nothing.
    pub(crate) fn open(making: Making<'_>) -> Result<Self, KeeperError> {
        let clock = BootClock;
        let (keeper, found) = Keeper::open(making.place, fresh_epoch(), making.lease)?;
        let now = clock.now();
        let strangers_until = match making.alone {
            true => Timestamp::ZERO,
            // Their clocks may be a little slower.
            false => now.saturating_add(found.wait + found.wait / 50),
        };
        let mut book = Book::new(Roll::new(making.lease, strangers_until));
        for (name, boot) in &found.members {
            book.restore((name, *boot), now);
        }
        making.view.keep(recalled(&found));
        let mut state = State {
            head: found.head,
            entries: VecDeque::new(),
            named: 0,
            book,
            rolled_back: false,
        };
        for numbered in found.entries {
            state.book.open(numbered.seq, Arc::new(numbered.record.clone()), now);
            state.keep(Arc::new(numbered));
        }
        note_self(making.name, &making.view, &mut state, now);
        let (push, config) = making.push;
        let board = Board::new(fresh_epoch().get(), config, push.metrics.clone());
        let generation = board.generation();
        tracing::info!(epoch = %found.epoch, head = found.head, wait = ?found.wait, "keeping the purge log");
        Ok(Self(Arc::new(Inner {
            name: making.name.to_owned(),
            lease: making.lease,
            epoch: found.epoch,
            began: now,
            strangers_until,
            clock,
            view: making.view,
            keeper,
            state: Mutex::new(state),
            board: Mutex::new(board),
            push,
            preloads: watch::Sender::new(generation),
            writing: tokio::sync::Mutex::new(now),
            waiting: Semaphore::new(QUEUE_MAX),
            news: watch::Sender::new(found.head),
            reports: watch::Sender::new(0),
        })))
    }
}

impl State {
    /// Keeps an entry for members that are behind, and drops the oldest beyond the bounds.
    fn keep(&mut self, numbered: Arc<Numbered>) {
        self.named += numbered.record.selectors.len();
        self.entries.push_back(numbered);
        while self.entries.len() > 1 && (self.entries.len() > ENTRIES_MAX || self.named > NAMED_MAX)
        {
            if let Some(old) = self.entries.pop_front() {
                self.named -= old.record.selectors.len();
            }
        }
    }

    /// The oldest number that a member may have applied and still be told the rest one by one.
    fn reach(&self) -> u64 {
        self.entries.front().map_or(self.head, |oldest| oldest.seq.saturating_sub(1))
    }

    /// What follows `applied`, as much as goes into one answer.
    fn after(&self, applied: u64) -> Vec<Numbered> {
        let mut named = 0;
        self.entries
            .iter()
            .filter(|numbered| numbered.seq > applied)
            .take(BATCH_MAX)
            .take_while(|numbered| {
                let first = named == 0;
                named += numbered.record.selectors.len();
                first || named <= BATCH_NAMED_MAX
            })
            .map(|numbered| (**numbered).clone())
            .collect()
    }
}

impl Inner {
    /// Makes an order durable and applies it here; returns its number.
    async fn write(self: &Arc<Self>, order: Order) -> Result<u64, LogError> {
        let _waiting = self.waiting.try_acquire().map_err(|_full| LogError::Busy)?;
        let mut turn = self.writing.lock().await;
        let id = random_text().map_err(|error| LogError::NotWritten { why: error.to_string() })?;
        let record = Record::new(order, id, wall_ms());
        self.check_whole(0)?;
        self.check_sole()?;
        let (next, keep_from) = {
            let state = self.state.lock();
            (state.head + 1, state.reach() + 1)
        };
        let (seq, entry) = (self.keeper.append(&record, next, keep_from).await?, record.entry());
        {
            let mut state = self.state.lock();
            state.head = seq;
            let now = self.clock.now();
            state.book.open(seq, Arc::new(record.clone()), now);
            if let Err(gap) = self.view.apply(AsOf { epoch: self.epoch, seq }, &entry) {
                // Only this function writes, one at a time, so this cannot be; nothing stored is used.
                tracing::error!(%gap, "the purge log is out of step with itself");
                self.view.join(AsOf { epoch: self.epoch, seq });
            }
            state.keep(Arc::new(Numbered { seq, record: record.clone() }));
            note_self(&self.name, &self.view, &mut state, now);
        }
        self.push.after_purge(&record, &entry);
        self.news.send_replace(seq);
        if self.clock.now() >= self.strangers_until {
            self.keeper.grow_up().await;
        }
        self.tidy(&mut turn).await;
        Ok(seq)
    }

    /// Forgets members that are long gone and entries that no member asks for one by one.
    async fn tidy(self: &Arc<Self>, last: &mut Timestamp) {
        let now = self.clock.now();
        if now.saturating_since(*last) < TIDY_EVERY {
            return;
        }
        *last = now;
        let keep_from = self.state.lock().reach() + 1;
        let inner = Arc::clone(self);
        let left = move || inner.state.lock().book.strike(now);
        if let Err(error) = self.keeper.tidy(left, keep_from).await {
            tracing::warn!(error = %crate::telemetry::chain(&error), "the purge log was not made smaller");
        }
    }

    fn receipt(&self, seq: u64) -> Option<PurgeReceipt> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        note_self(&self.name, &self.view, &mut state, now);
        state.book.receipt(seq, now)
    }

    /// The receipt of `seq` once it is complete, or as it is when `wait` is over.
    async fn settled(&self, seq: u64, wait: Duration) -> Option<PurgeReceipt> {
        let look = |now| {
            let receipt = self.receipt(seq)?;
            Some((receipt, self.state.lock().book.next_change(seq, now)))
        };
        settled(self.reports.subscribe(), wait, look).await
    }

    /// Makes a new member durable before it is answered. What counts is what the file has: an earlier try may
    /// have put the member on the roll only.
    async fn admit(&self, granted: LeaseGranted, reported: &Reported) -> Result<(), LogError> {
        let (member, tier) = (&reported.name, &reported.tier);
        match granted {
            LeaseGranted::Full => return Err(LogError::Busy),
            LeaseGranted::Known => {}
            LeaseGranted::New => tracing::info!(member, tier, "a node follows the purge log"),
        }
        if reported.leaving || self.keeper.keeps(member, reported.boot) {
            return Ok(());
        }
        self.keeper.enrol(member, reported.boot).await
    }

    /// Refuses purges while children ask that follow another log, since those would not learn of them.
    ///
    /// Children of an earlier life of this log are told within a lease; so that is not held against it
    /// in its first moments.
    fn check_sole(&self) -> Result<(), LogError> {
        let now = self.clock.now();
        let is_young = now < self.began.saturating_add(2 * self.lease);
        let stranger = self.view.stranger_seen();
        if is_young || stranger == Timestamp::ZERO || now >= stranger.saturating_add(self.lease) {
            return Ok(());
        }
        let why = "nodes that ask this one follow another purge log; name the node that keeps it as authority in [purge], on every other node";
        Err(LogError::NotWritten { why: why.to_owned() })
    }

    /// Refuses to go on with a log that a member has seen more of: it was cut short or put back from a
    /// copy, and a number must not stand for two entries. Without answers every node fences itself.
    fn check_whole(&self, applied: u64) -> Result<(), LogError> {
        let mut state = self.state.lock();
        if applied > state.head && !state.rolled_back {
            state.rolled_back = true;
            tracing::error!(
                head = state.head,
                applied,
                "a node has applied more purges than the log has: the log was put back from a copy. Remove its folder and start this node again"
            );
        }
        if state.rolled_back {
            let why = "it was put back from a copy; remove its folder and start the node again";
            return Err(LogError::NotWritten { why: why.to_owned() });
        }
        Ok(())
    }

    async fn answer(&self, reported: &Reported) -> Result<Batch, LogError> {
        let epoch = self.epoch.to_string();
        let knows_epoch = reported.epoch.as_deref() == Some(epoch.as_str());
        let applied = if knows_epoch { reported.applied } else { 0 };
        self.check_whole(applied)?;
        let granted = {
            let now = self.clock.now();
            self.state.lock().book.on_report(reported, applied, now)
        };
        self.admit(granted, reported).await?;
        self.on_board(reported);
        self.reports.send_modify(|count| *count = count.wrapping_add(1));
        if knows_epoch && !reported.leaving {
            let hold = Duration::from_millis(reported.hold_ms).min(HOLD_MAX).min(self.lease / 2);
            let (mut news, mut preloads) = (self.news.subscribe(), self.preloads.subscribe());
            let seen = reported.push.as_ref().map(|push| push.generation);
            let news = async {
                tokio::select! {
                    _ = news.wait_for(|head| *head > applied) => {}
                    _ = preloads.wait_for(|generation| seen.is_some_and(|seen| seen != *generation)) => {}
                }
            };
            // No news in that time is an answer too: it renews the lease.
            let _in_time = tokio::time::timeout(hold, news).await.is_ok();
        }
        let push = reported.push.as_ref().and_then(|push| self.board.lock().news(push));
        let state = self.state.lock();
        let join = !knows_epoch || applied < state.reach();
        let entries = if join { Vec::new() } else { state.after(applied) };
        let lease_ms = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        Ok(Batch { epoch, head: state.head, lease_ms, join, entries, push })
    }

    /// Takes what a report says of preloads.
    fn on_board(&self, reported: &Reported) {
        let present = self.present();
        let mut board = self.board.lock();
        if reported.leaving {
            board.on_leave(&reported.name, present.now);
        } else if let Some(push) = &reported.push {
            board.on_report((&reported.name, &reported.tier), push, present);
        }
        self.preloads.send_replace(board.generation());
    }

    fn present(&self) -> Present {
        Present { now: self.clock.now(), wall_ms: wall_ms() }
    }

    /// Does what is asked about preloads.
    async fn pushed(&self, ask: push::Ask) -> push::Answer {
        let present = self.present();
        let answer = match ask {
            push::Ask::Show { id, wait_ms } => {
                return self.shown(id, Duration::from_millis(wait_ms)).await;
            }
            push::Ask::Own { name, tier, report, hold_ms } => {
                let name = Reported { name, tier, push: Some(report), ..Reported::default() };
                return self.own_news(&name, Duration::from_millis(hold_ms)).await;
            }
            push::Ask::Create(order) => self.create(order, present),
            push::Ask::Cancel { id } => {
                push::Answer::One(self.board.lock().cancel(&id, present.now).map(Box::new))
            }
            push::Ask::List => push::Answer::All(self.board.lock().list(present.now)),
            push::Ask::Page { id, from } => push::Answer::Urls(self.board.lock().page(&id, from)),
        };
        self.preloads.send_replace(self.board.lock().generation());
        answer
    }

    fn create(&self, order: push::TaskOrder, present: Present) -> push::Answer {
        let refused = |why: String, busy| push::Answer::Refused { why, busy };
        let id = match random_text() {
            Ok(id) => id,
            Err(error) => return refused(error.to_string(), true),
        };
        match self.board.lock().create(id, order, present) {
            Ok(preload) => push::Answer::One(Some(Box::new(preload))),
            Err(no) => refused(no.why, no.busy),
        }
    }

    /// A preload once it has ended, or as it is when `wait` is over.
    async fn shown(&self, id: String, wait: Duration) -> push::Answer {
        let mut reports = self.reports.subscribe();
        let end = self.clock.now().saturating_add(wait);
        loop {
            let now = self.clock.now();
            let shown = self.board.lock().show(&id, now);
            let goes_on = shown.as_ref().is_some_and(|preload| !preload.has_ended());
            if !goes_on || now >= end {
                return push::Answer::One(shown.map(Box::new));
            }
            let pause = end.saturating_since(now).min(HOLD_MAX);
            // Without a report in that time, the members' silence may have changed something.
            let _in_time = tokio::time::timeout(pause, reports.changed()).await.is_ok();
        }
    }

    /// What this very node is to be told of preloads, after waiting for news.
    async fn own_news(&self, reported: &Reported, hold: Duration) -> push::Answer {
        self.on_board(reported);
        self.reports.send_modify(|count| *count = count.wrapping_add(1));
        let Some(report) = &reported.push else { return push::Answer::News(None) };
        let mut preloads = self.preloads.subscribe();
        let news = preloads.wait_for(|generation| *generation != report.generation);
        let _in_time = tokio::time::timeout(hold.min(HOLD_MAX), news).await.is_ok();
        push::Answer::News(self.board.lock().news(report))
    }
}

impl Log for Authority {
    fn append(
        &self,
        order: Order,
        wait: Duration,
    ) -> BoxFuture<'_, Result<PurgeReceipt, LogError>> {
        let inner = Arc::clone(&self.0);
        // A task of its own, so that an entry that is durable is also applied.
        let writing = tokio::spawn(async move { inner.write(order).await });
        async move {
            let written = tokio::time::timeout(WRITE_WITHIN, writing).await;
            let not_written =
                |why: &dyn std::fmt::Display| LogError::NotWritten { why: why.to_string() };
            let seq = match written {
                Ok(Ok(seq)) => seq?,
                Ok(Err(error)) => return Err(not_written(&error)),
                Err(_late) => {
                    return Err(not_written(&"the disk does not answer; it may still be made"));
                }
            };
            self.0.settled(seq, wait).await.ok_or_else(|| LogError::NotWritten {
                why: "its receipt was pushed out by newer ones".to_owned(),
            })
        }
        .boxed()
    }

    fn receipt(
        &self,
        id: String,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Option<PurgeReceipt>, LogError>> {
        async move {
            let seq = self.0.state.lock().book.seq_of(&id);
            match seq {
                Some(seq) => Ok(self.0.settled(seq, wait).await),
                None => Ok(None),
            }
        }
        .boxed()
    }

    fn receipts(&self) -> BoxFuture<'_, Result<Vec<PurgeReceipt>, LogError>> {
        async move {
            let now = self.0.clock.now();
            let mut state = self.0.state.lock();
            note_self(&self.0.name, &self.0.view, &mut state, now);
            Ok(state.book.receipts(now))
        }
        .boxed()
    }

    fn report(&self, reported: Reported) -> BoxFuture<'_, Result<Batch, LogError>> {
        async move { self.0.answer(&reported).await }.boxed()
    }

    fn push(&self, ask: push::Ask) -> BoxFuture<'_, Result<push::Answer, LogError>> {
        async move { Ok(self.0.pushed(ask).await) }.boxed()
    }
}

/// What the node that keeps the log has applied: all of it, and what is still there one by one.
fn recalled(found: &Found) -> Ledger {
    let at = |seq| AsOf { epoch: found.epoch, seq };
    let before = found.entries.first().map_or(found.head, |oldest| oldest.seq.saturating_sub(1));
    let mut ledger = Ledger::new();
    ledger.join(at(before));
    for numbered in &found.entries {
        ledger.recall(at(numbered.seq), &numbered.record.entry());
    }
    if ledger.as_of() != Some(at(found.head)) {
        // The file has no gaps, so this cannot be; nothing stored is used unasked.
        ledger.join(at(found.head));
    }
    ledger
}

/// The node that keeps the log is a member as well, which has always applied everything.
fn note_self(name: &str, view: &View, state: &mut State, now: Timestamp) {
    let counts = view.counts();
    let reported = Reported {
        name: name.to_owned(),
        applied: state.head,
        matched: counts.by_seq,
        counted_to: counts.complete_to,
        ..Reported::default()
    };
    // It dies with the log, so it is never waited for and need not be kept.
    match state.book.on_report(&reported, state.head, now) {
        LeaseGranted::Known | LeaseGranted::New | LeaseGranted::Full => {}
    }
}

/// An epoch that no log has had. Without randomness the clock must do.
pub(super) fn fresh_epoch() -> Epoch {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Epoch::new(u64::from_le_bytes(bytes)),
        Err(_) => Epoch::new(wall_ms().unsigned_abs()),
    }
}
