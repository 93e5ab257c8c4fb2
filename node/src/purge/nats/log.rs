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
use super::super::{BootClock, Known, Line, Order, Turn, View};
use super::trail::{Mark, Step, Trail};
use super::wire::{Kind, Message, Names, Stream, Wire, WireError};
use crate::config::{NatsConfig, NodeConfig};
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
    /// Everything is written down there before it is published in the view.
    pub(super) known: Known,
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

/// How a message came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The server sent it by itself.
    Pushed,
    /// It was asked for.
    Read,
}

/// A message that comes next.
struct Next<'a> {
    message: &'a Message,
    /// What is purged; `None` for a report.
    record: Option<Record>,
}

impl<'a> Next<'a> {
    fn of(message: &'a Message) -> Self {
        let seq = message.seq;
        let read = match message.kind {
            Kind::Report => return Self { message, record: None },
            Kind::Purge => serde_json::from_slice(&message.payload).ok(),
            Kind::Unknown => None,
        };
        let record = read.unwrap_or_else(|| {
            tracing::warn!(
                seq,
                "an entry of the purge log cannot be read; it is taken to purge everything"
            );
            Record::unreadable(seq)
        });
        Self { message, record: Some(record) }
    }
}

struct State {
    trail: Option<Trail>,
    book: Book,
    /// Words of members so far, for tidying from time to time.
    words: u64,
}

impl Nats {
    /// The log that `config` names; `None` if it names none on NATS, or the CDN has no name that
    /// all its nodes agree on.
    pub(crate) fn configured(
        config: &NodeConfig,
        cdn_id: Option<&str>,
        known: &Known,
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
            names: Names::new(cdn_id?, nats.stream.as_deref()),
            clock: BootClock,
            view: Arc::clone(known.view()),
            known: known.clone(),
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

    /// How far this node has applied `stream`, in this run or one before; `None` if it has followed another
    /// one, or none.
    pub(super) fn applied_of(&self, stream: &Stream) -> Option<u64> {
        let trail = Trail::new(&self.names.stream, &stream.created, stream.lease, (0, None));
        let as_of = self.view.as_of()?;
        (as_of.epoch == trail.as_of().epoch).then_some(as_of.seq)
    }

    /// Takes up `stream` after its newest message, which was `last`.
    ///
    /// All that is stored must be validated from then on, and purges wait for leases of which this node
    /// has not met the reports.
    pub(super) async fn join(&self, stream: &Stream, last: Option<&Message>) {
        let end = (stream.last, last.map(Message::mark));
        let trail = Trail::new(&self.names.stream, &stream.created, stream.lease, end);
        let mut lines = vec![Line::Joined(trail.as_of())];
        lines.extend(last.map(|last| Line::Met(trail.as_of(), *last.mark().as_bytes())));
        let _turn = self.known.keep(lines).await;
        let mut state = self.state.lock();
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

    /// Goes on with `stream` where an earlier run of this node has left it, if what it missed is there;
    /// returns whether it is. Purges wait for leases as after [`Inner::join`].
    pub(super) fn resume(&self, stream: &Stream) -> bool {
        let Some((at, mark)) = self.known.met_before() else { return false };
        let end = (at.seq, Some(Mark::from_bytes(mark)));
        let trail = Trail::new(&self.names.stream, &stream.created, stream.lease, end);
        let mut state = self.state.lock();
        let is_first = state.trail.is_none() && self.view.as_of() == Some(at);
        if !is_first || trail.as_of() != at || !trail.leads_into(stream) {
            return false;
        }
        tracing::info!(epoch = %at.epoch, at = at.seq, head = stream.last, "going on with the purge log");
        state.book = Book::new(Roll::new(stream.lease, Timestamp::ZERO));
        state.book.expect_strangers(self.clock.now());
        state.trail = Some(trail);
        true
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

    /// Takes messages that the server has pushed.
    pub(super) async fn take_pushed(&self, messages: &[Message]) {
        let turn = self.known.turn().await;
        let (next, is_missing) = self.following(messages, Way::Pushed);
        self.apply_all(turn, next).await;
        if is_missing {
            self.missing.notify_one();
        }
    }

    /// Takes messages that were read; returns whether they have been applied, now or before.
    pub(super) async fn take_read(&self, messages: &[Message]) -> bool {
        let turn = self.known.turn().await;
        let (next, is_missing) = self.following(messages, Way::Read);
        self.apply_all(turn, next).await;
        !is_missing
    }

    /// Which of `messages` come next, one after another, and whether one is there that does not.
    fn following<'a>(&self, messages: &'a [Message], way: Way) -> (Vec<Next<'a>>, bool) {
        let mut state = self.state.lock();
        let now = self.clock.now();
        let mut next = Vec::new();
        let Some(known) = &mut state.trail else { return (next, way == Way::Read) };
        if let (Way::Pushed, Some(last)) = (way, messages.iter().map(|message| message.seq).max()) {
            known.learn_of(last);
        }
        let (mut trail, mut is_missing) = (known.clone(), false);
        for message in messages {
            let step = match way {
                Way::Pushed => trail.step_pushed(message.seq, now),
                Way::Read => trail.step(message.seq),
            };
            match step {
                Step::Known => {}
                Step::Missing => is_missing = true,
                Step::Next => {
                    trail.advance(message.mark());
                    next.push(Next::of(message));
                }
            }
        }
        (next, is_missing)
    }

    /// Writes down what comes next and applies it. Only whoever has the turn moves the trail on, so it
    /// still comes next then.
    async fn apply_all(&self, turn: Turn, next: Vec<Next<'_>>) {
        if next.is_empty() {
            return;
        }
        let Some(epoch) = self.trail().map(|trail| trail.as_of().epoch) else { return };
        // What names nothing need not be known: numbers may be missing there.
        let at = |next: &Next<'_>| AsOf { epoch, seq: next.message.seq };
        let purges = next
            .iter()
            .filter_map(|next| Some(Line::Applied(at(next), next.record.as_ref()?.entry())));
        let mut lines: Vec<Line> = purges.collect();
        if let (false, Some(last)) = (lines.is_empty(), next.last()) {
            lines.push(Line::Met(at(last), *last.message.mark().as_bytes()));
        }
        let _turn = turn.write(lines).await;
        let mut state = self.state.lock();
        let now = self.clock.now();
        for Next { message, record } in next {
            match record {
                None => self.apply_report(&mut state, message, now),
                Some(record) => self.apply_purge(&mut state, message.seq, record, now),
            }
            if let Some(trail) = &mut state.trail {
                trail.advance(message.mark());
            }
        }
        drop(state);
        self.tell_met();
    }

    fn apply_purge(&self, state: &mut State, seq: u64, record: Record, now: Timestamp) {
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

    /// What this node says of itself, as it travels, as soon as it may be told.
    pub(super) async fn report(&self, leaving: bool) -> Vec<u8> {
        let reported = loop {
            let reported = self.reporter.report(&self.view);
            if !self.known.is_owed() || leaving {
                break Reported { leaving, ..reported };
            }
            self.known.settled().await;
        };
        serde_json::to_vec(&reported).unwrap_or_default()
    }

    /// Enters how far this node is without waiting for its own word to come round.
    fn note_self(&self, state: &mut State, now: Timestamp) {
        let reported = self.reporter.report(&self.view);
        if !self.known.is_owed() && state.book.roll().knows(&reported.name, reported.boot) {
            match state.book.on_report(&reported, reported.applied, now) {
                LeaseGranted::Known | LeaseGranted::New | LeaseGranted::Full => {}
            }
        }
    }

    /// Writes a report and returns its number.
    pub(super) async fn write_report(&self, wire: &Wire, leaving: bool) -> Result<u64, WireError> {
        let id = random_text().map_err(|error| WireError::Refused { why: error.to_string() })?;
        wire.write(Kind::Report, &id, Bytes::from(self.report(leaving).await)).await
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
