//! What a node does with the messages of the stream, and what it answers about purges.
//!
//! Every node keeps a book of its own from the messages that it meets, so that each can say how far a
//! purge is without asking another.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};
use weir_cache::purge::{AsOf, Entry, Gap, LeaseGranted, Mode, Roll};
use weir_cache::{Seq, Timestamp};

use super::super::book::{Book, wall_ms};
use super::super::record::{Batch, Log, LogError, PurgeReceipt, Record, Reported};
use super::super::reporter::Reporter;
use super::super::settled::settled;
use super::super::{BootClock, Order, View};
use super::trail::{Step, Trail};
use super::wire::{Kind, Message, Names, Stream, Wire, WireError};
use crate::config::{NatsConfig, NodeConfig};
use crate::inner::TierSecret;
use crate::metrics::Metrics;
use crate::secrets::random_text;

/// Purges that may wait to be written.
const QUEUE_MAX: usize = 1_024;
/// How long writing a purge is tried, and how long this node may take to meet it then.
const WRITE_WITHIN: Duration = Duration::from_secs(3);
const MEET_WITHIN: Duration = Duration::from_secs(3);
/// How often members long gone are forgotten, in words of members.
const TIDY_EVERY: u64 = 10_000;
/// Pause between two tries.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The log on NATS, as one node sees it.
#[derive(Clone)]
pub(crate) struct Nats(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) reporter: Reporter,
    pub(super) config: NatsConfig,
    /// The lease of a stream that this node makes.
    pub(super) lease: Duration,
    pub(super) names: Names,
    pub(super) clock: BootClock,
    pub(super) view: Arc<View>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) wire: ArcSwapOption<Wire>,
    state: Mutex<State>,
    waiting: Semaphore,
    /// Told of every message met and every word of a member.
    pub(super) met: watch::Sender<u64>,
    /// Told when something is known to be missing.
    pub(super) missing: Notify,
    /// Told when a purge has been applied here.
    pub(super) purged: Notify,
}

struct State {
    trail: Option<Trail>,
    book: Book,
    /// Words of members so far, for tidying from time to time.
    words: u64,
}

impl Nats {
    /// The log that `config` names; `None` if it names none on NATS, or there is no secret that all
    /// nodes of the CDN share and that names it.
    pub(crate) fn configured(
        config: &NodeConfig,
        secret: Option<&TierSecret>,
        view: &Arc<View>,
        metrics: &Arc<Metrics>,
    ) -> Option<Self> {
        let nats = &config.purge.nats;
        nats.server.as_ref()?;
        let lease = config.purge.lease;
        let book = Book::new(Roll::new(lease, Timestamp::ZERO));
        Some(Self(Arc::new(Inner {
            reporter: Reporter::new(config),
            config: nats.clone(),
            lease,
            names: Names::new(secret?.cdn_id(), nats.stream.as_deref()),
            clock: BootClock,
            view: Arc::clone(view),
            metrics: Arc::clone(metrics),
            wire: ArcSwapOption::empty(),
            state: Mutex::new(State { trail: None, book, words: 0 }),
            waiting: Semaphore::new(QUEUE_MAX),
            met: watch::Sender::new(0),
            missing: Notify::new(),
            purged: Notify::new(),
        })))
    }
}

impl Inner {
    /// How far the stream has been followed; `None` before it was met.
    pub(super) fn trail(&self) -> Option<Trail> {
        self.state.lock().trail.clone()
    }

    /// Takes up `stream` after its newest message, which was `last`.
    ///
    /// All that is stored must be validated from then on, and purges wait for leases of which this node
    /// has not met the reports.
    pub(super) fn join(&self, stream: &Stream, last: Option<&Message>) {
        let mut state = self.state.lock();
        let end = (stream.last, last.map(Message::mark));
        let trail = Trail::new(&self.names.stream, &stream.created, stream.lease, end);
        tracing::info!(epoch = %trail.as_of().epoch, head = stream.last, "taking up the purge log");
        if stream.lease != self.lease {
            tracing::warn!(counts = ?stream.lease, configured = ?self.lease, "the lease of the stream counts, not the one configured");
        }
        self.view.join(trail.as_of());
        state.book = Book::new(Roll::new(stream.lease, Timestamp::ZERO));
        state.book.expect_strangers(self.clock.now());
        state.trail = Some(trail);
        drop(state);
        self.tell_met();
    }

    /// Gives up following the stream one by one, so that it is taken up at its head.
    pub(super) fn forget(&self) {
        if let Some(trail) = &mut self.state.lock().trail {
            trail.forget();
        }
    }

    /// Notes that the server may have been away and may have lost something: messages that were applied,
    /// and reports that nobody meets any more though leases were granted by them.
    pub(super) fn doubt(&self) {
        let mut state = self.state.lock();
        state.book.expect_strangers(self.clock.now());
        if let Some(trail) = &mut state.trail {
            trail.doubt();
        }
    }

    /// Notes that the stream was whole at `sent` and that everything written before has been applied.
    pub(super) fn renew(&self, sent: Timestamp) {
        let lease = {
            let mut state = self.state.lock();
            let Some(trail) = &mut state.trail else { return };
            trail.is_whole(sent);
            trail.lease()
        };
        self.view.renew(sent, lease);
    }

    /// Takes a message that the server has pushed.
    pub(super) fn take_pushed(&self, message: &Message) {
        let step = {
            let mut state = self.state.lock();
            let now = self.clock.now();
            let Some(trail) = &mut state.trail else { return };
            trail.learn_of(message.seq);
            let step = trail.step_pushed(message.seq, now);
            if step == Step::Next {
                self.apply(&mut state, message, now);
            }
            step
        };
        match step {
            Step::Known => {}
            Step::Missing => self.missing.notify_one(),
            Step::Next => self.tell_met(),
        }
    }

    /// Takes a message that was read; returns whether it has been applied, now or before.
    pub(super) fn take(&self, message: &Message) -> bool {
        let mut state = self.state.lock();
        let step = state.trail.as_ref().map_or(Step::Missing, |trail| trail.step(message.seq));
        if step == Step::Next {
            let now = self.clock.now();
            self.apply(&mut state, message, now);
        }
        drop(state);
        self.tell_met();
        step != Step::Missing
    }

    /// Applies the next message.
    fn apply(&self, state: &mut State, message: &Message, now: Timestamp) {
        match message.kind {
            Kind::Report => self.apply_report(state, message, now),
            Kind::Purge | Kind::Unknown => self.apply_purge(state, message, now),
        }
        if let Some(trail) = &mut state.trail {
            trail.advance(message.mark());
        }
    }

    fn apply_purge(&self, state: &mut State, message: &Message, now: Timestamp) {
        let seq = message.seq;
        let read = match message.kind {
            Kind::Purge => serde_json::from_slice(&message.payload).ok(),
            Kind::Report | Kind::Unknown => None,
        };
        let record = read.unwrap_or_else(|| {
            tracing::warn!(
                seq,
                "an entry of the purge log cannot be read; it is taken to purge everything"
            );
            Record::unreadable(seq)
        });
        if let Err(gap) = self.apply_entry(state, seq, &record.entry()) {
            tracing::error!(%gap, "the trail and the ledger differ; please report this");
            return;
        }
        state.book.open(seq, Arc::new(record), now);
        self.note_self(state, now);
        self.metrics.purge.applied.inc();
        self.purged.notify_one();
    }

    fn apply_report(&self, state: &mut State, message: &Message, now: Timestamp) {
        let nothing = Entry { mode: Mode::Invalidate, selectors: Vec::new() };
        if let Err(gap) = self.apply_entry(state, message.seq, &nothing) {
            tracing::error!(%gap, "the trail and the ledger differ; please report this");
            return;
        }
        match serde_json::from_slice::<Reported>(&message.payload) {
            Ok(reported) => self.hear(state, &reported, now),
            // Somebody renews a lease by it.
            Err(_) => state.book.expect_strangers(now),
        }
    }

    /// Applies an entry of the stream that is followed.
    fn apply_entry(&self, state: &State, seq: u64, entry: &Entry) -> Result<Seq, Gap> {
        match &state.trail {
            Some(trail) => self.view.apply(AsOf { epoch: trail.as_of().epoch, seq }, entry),
            None => Err(Gap { wanted: 0, got: seq }),
        }
    }

    /// Takes a member's word.
    fn hear(&self, state: &mut State, reported: &Reported, now: Timestamp) {
        let epoch = state.trail.as_ref().map(|trail| trail.as_of().epoch.to_string());
        let applied = if reported.epoch == epoch { reported.applied } else { 0 };
        let granted = state.book.on_report(reported, applied, now);
        if granted == LeaseGranted::New && reported.name != self.reporter.name {
            tracing::info!(
                member = reported.name,
                tier = reported.tier,
                "a node follows the purge log"
            );
        }
        if granted == LeaseGranted::Full {
            // It renews its lease all the same.
            state.book.expect_strangers(now);
        }
        state.words = state.words.wrapping_add(1);
        if state.words.is_multiple_of(TIDY_EVERY) {
            drop(state.book.strike(now));
        }
    }

    /// Takes a member's word between its reports. It says nothing of leases, so it enrols nobody.
    pub(super) fn take_ack(&self, payload: &[u8]) {
        let Ok(reported) = serde_json::from_slice::<Reported>(payload) else { return };
        {
            let mut state = self.state.lock();
            let is_member = state.book.roll().knows(&reported.name, reported.boot);
            if reported.name == self.reporter.name || reported.leaving || !is_member {
                return;
            }
            let now = self.clock.now();
            self.hear(&mut state, &reported, now);
        }
        self.tell_met();
    }

    fn tell_met(&self) {
        self.met.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// What this node says of itself, as it travels.
    pub(super) fn report(&self, leaving: bool) -> Vec<u8> {
        let reported = Reported { leaving, ..self.reporter.report(&self.view) };
        serde_json::to_vec(&reported).unwrap_or_default()
    }

    /// Enters how far this node is without waiting for its own word to come round.
    fn note_self(&self, state: &mut State, now: Timestamp) {
        let reported = self.reporter.report(&self.view);
        if state.book.roll().knows(&reported.name, reported.boot) {
            match state.book.on_report(&reported, reported.applied, now) {
                LeaseGranted::Known | LeaseGranted::New | LeaseGranted::Full => {}
            }
        }
    }

    /// Writes a report and returns its number.
    pub(super) async fn write_report(&self, wire: &Wire, leaving: bool) -> Result<u64, WireError> {
        let id = random_text().map_err(|error| WireError::Refused { why: error.to_string() })?;
        wire.write(Kind::Report, &id, Bytes::from(self.report(leaving))).await
    }

    /// Says that this node reuses nothing any more, so that purges do not wait for it.
    pub(super) async fn leave(&self) {
        self.view.fence();
        let Some(wire) = self.wire.load_full() else { return };
        if let Err(error) = self.write_report(&wire, true).await {
            tracing::debug!(%error, "left without a word to the purge log");
        }
    }

    /// Makes an order durable and waits until this node has applied it; returns the name of the purge.
    async fn write(&self, order: Order) -> Result<String, LogError> {
        let _waiting = self.waiting.try_acquire().map_err(|_full| LogError::Busy)?;
        let not_written = |why: String| LogError::NotWritten { why };
        let id = random_text().map_err(|error| not_written(error.to_string()))?;
        let record = Record::new(order, id.clone(), wall_ms());
        let bytes = serde_json::to_vec(&record).map_err(|error| not_written(error.to_string()))?;
        if self.view.is_fenced() {
            let why = "this node is cut off from NATS".to_owned();
            return Err(LogError::Unreachable { why });
        }
        let seq = self.write_within(&id, bytes.into()).await?;
        if let Some(trail) = &mut self.state.lock().trail {
            trail.learn_of(seq);
        }
        self.missing.notify_one();
        let mut met = self.met.subscribe();
        let meeting = met.wait_for(|_| self.state.lock().book.seq_of(&id).is_some());
        let is_met = tokio::time::timeout(MEET_WITHIN, meeting).await;
        if !matches!(is_met, Ok(Ok(_))) {
            let why = format!("purge {id} is in the log, and this node has not met it there");
            return Err(LogError::Unreachable { why });
        }
        Ok(id)
    }

    /// Writes the purge `id`, if need be over several connections: under one name it is one purge.
    async fn write_within(&self, id: &str, bytes: Bytes) -> Result<u64, LogError> {
        let end = self.clock.now().saturating_add(WRITE_WITHIN);
        loop {
            let written = match self.wire.load_full() {
                Some(wire) => wire.write(Kind::Purge, id, bytes.clone()).await,
                None => Err(WireError::Unanswered { why: "there is no connection".to_owned() }),
            };
            match written {
                Err(WireError::Unanswered { .. }) if self.clock.now() < end => {
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                }
                written => return Ok(written?),
            }
        }
    }

    /// The receipt of the purge `id` once it is complete, or as it is when `wait` is over.
    async fn settled(&self, id: &str, wait: Duration) -> Option<PurgeReceipt> {
        let look = |now| {
            let mut state = self.state.lock();
            let seq = state.book.seq_of(id)?;
            self.note_self(&mut state, now);
            Some((state.book.receipt(seq, now)?, state.book.next_change(seq, now)))
        };
        settled(self.met.subscribe(), wait, look).await
    }
}

impl Log for Nats {
    fn append(
        &self,
        order: Order,
        wait: Duration,
    ) -> BoxFuture<'_, Result<PurgeReceipt, LogError>> {
        let inner = Arc::clone(&self.0);
        // A task of its own, so that it is tried again also when whoever asked has gone.
        let writing = tokio::spawn(async move { inner.write(order).await });
        async move {
            let id = writing
                .await
                .unwrap_or_else(|error| Err(LogError::NotWritten { why: error.to_string() }))?;
            self.0.settled(&id, wait).await.ok_or_else(|| LogError::NotWritten {
                why: "its receipt is gone: there were many newer ones, or the log was made anew"
                    .to_owned(),
            })
        }
        .boxed()
    }

    fn receipt(
        &self,
        id: String,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Option<PurgeReceipt>, LogError>> {
        async move { Ok(self.0.settled(&id, wait).await) }.boxed()
    }

    fn receipts(&self) -> BoxFuture<'_, Result<Vec<PurgeReceipt>, LogError>> {
        async move {
            let mut state = self.0.state.lock();
            let now = self.0.clock.now();
            self.0.note_self(&mut state, now);
            Ok(state.book.receipts(now))
        }
        .boxed()
    }

    fn report(&self, reported: Reported) -> BoxFuture<'_, Result<Batch, LogError>> {
        async move {
            let why = format!(
                "this node follows the log on NATS and {} does not; set [purge] nats on every node of the CDN",
                reported.name
            );
            Err(LogError::Unreachable { why })
        }
        .boxed()
    }
}
