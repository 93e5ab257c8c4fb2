//! Keeps this node in step with the stream.
//!
//! One connection after another; each ends at the first thing that goes wrong, and the next begins by
//! looking at the stream afresh. While one lasts, four things go on: what is pushed is applied, words of
//! members are heard, purges applied here are told, and the lease is renewed, which also finds whatever
//! was not pushed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::MissedTickBehavior;

use super::log::{Inner, Nats};
use super::trail::{Mark, READ_MAX, Trail};
use super::wire::{Message, Wire, WireError};

/// Renewals in the time of one lease.
const RENEWALS: u32 = 5;
/// First and longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// What was written here is usually pushed at once; it is read only after so long.
const PUSHED_WITHIN: Duration = Duration::from_millis(20);
/// Messages asked for at a time.
const READ_AT_ONCE: usize = 64;

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// The stream has given a number twice, or is another one.
    #[error("the purge log is not the one that was followed")]
    Astray,
    /// What was missed is too much, or not kept any more.
    #[error("what this node missed of the purge log is not to be had")]
    Behind,
    /// The server pushes nothing any more.
    #[error("the subscription ended")]
    Silent,
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl Nats {
    /// Follows the log until the task is aborted.
    pub(crate) async fn follow(self) {
        let mut pause = PAUSES.0;
        let mut told = String::new();
        loop {
            let began = self.0.clock.now();
            let Err(ended) = self.0.connection().await;
            self.0.wire.store(None);
            self.0.metrics.purge.report_failures.inc();
            if self.0.clock.now().saturating_since(began) > PAUSES.1 {
                (pause, told) = (PAUSES.0, String::new());
            }
            let why = crate::telemetry::chain(&ended).to_string();
            if why != told {
                tracing::warn!(
                    error = why,
                    "the purge log on NATS is lost from sight; if that lasts, what is stored is validated before it is used"
                );
                told = why;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Says that this node reuses nothing any more.
    pub(crate) async fn leave(&self) {
        self.0.leave().await;
    }
}

impl Inner {
    /// Follows the log over one connection, for as long as it lasts.
    async fn connection(&self) -> Result<Infallible, Ended> {
        let wire = Wire::connect(&self.config, &self.names, &self.reporter.name).await?;
        let wire = Arc::new(wire);
        let Err(ended) = self.stay(&wire).await;
        match ended {
            Ended::Astray => self.leave_astray(&wire).await?,
            Ended::Behind => self.forget(),
            Ended::Silent | Ended::Wire(_) => {}
        }
        Err(ended)
    }

    /// Follows the log over `wire` until something goes wrong.
    async fn stay(&self, wire: &Arc<Wire>) -> Result<Infallible, Ended> {
        // Before the stream is looked at, so that nothing falls in between.
        let (news, acks) = (wire.news().await?, wire.acks().await?);
        self.begin(wire).await?;
        self.doubt();
        self.wire.store(Some(Arc::clone(wire)));
        tokio::select! {
            ended = self.take_news(news) => ended,
            ended = self.take_acks(acks) => ended,
            ended = self.tell(wire) => ended,
            ended = self.keep_lease(wire) => ended,
            error = wire.broken() => Err(error.into()),
        }
    }

    /// Finds the stream, or makes it, and takes it up unless it is the one followed so far.
    async fn begin(&self, wire: &Wire) -> Result<(), Ended> {
        let stream = match wire.look().await? {
            Some(stream) => stream,
            None => {
                wire.make(self.lease, self.config.replicas).await?;
                wire.look().await?.ok_or(Ended::Astray)?
            }
        };
        let follows = self.trail().is_some_and(|trail| trail.leads_into(&stream));
        if !follows && !self.resume(&stream) {
            // Within one epoch, numbers only grow, also over a restart of this node.
            if self.applied_of(&stream).is_some_and(|applied| applied > stream.last) {
                return Err(Ended::Astray);
            }
            let last = if stream.last == 0 { None } else { wire.read(stream.last).await? };
            self.join(&stream, last.as_ref()).await;
        }
        Ok(())
    }

    /// Decides what to do about a stream that is not what it was.
    ///
    /// Numbers that were given twice would let two nodes mean different purges by one. So a stream that
    /// has lost what it had confirmed is made anew: all members then take it up at its head and validate
    /// what they store.
    async fn leave_astray(&self, wire: &Wire) -> Result<(), Ended> {
        let stream = wire.look().await?;
        if stream.is_some_and(|stream| self.applied_of(&stream).is_some()) {
            tracing::error!(
                stream = self.names.stream,
                "the stream has lost messages that it had confirmed; it is made anew, and all nodes validate what they store. Does its server write to disk in time (sync_interval), and has it replicas?"
            );
            wire.remove().await?;
        }
        Ok(())
    }

    async fn take_news(&self, news: Subscriber) -> Result<Infallible, Ended> {
        let mut news = std::pin::pin!(news.ready_chunks(READ_AT_ONCE));
        while let Some(pushed) = news.next().await {
            let messages: Vec<Message> = pushed.iter().filter_map(Message::pushed).collect();
            self.take_pushed(&messages).await;
        }
        Err(Ended::Silent)
    }

    async fn take_acks(&self, mut acks: Subscriber) -> Result<Infallible, Ended> {
        while let Some(ack) = acks.next().await {
            self.take_ack(&ack.payload);
        }
        Err(Ended::Silent)
    }

    /// Tells the others of purges that have been applied here, so that nobody waits for the next report.
    async fn tell(&self, wire: &Wire) -> Result<Infallible, Ended> {
        loop {
            self.purged.notified().await;
            wire.tell(self.report(false).await).await?;
        }
    }

    /// Renews the lease from time to time, and reads what was not pushed when that is noticed.
    async fn keep_lease(&self, wire: &Wire) -> Result<Infallible, Ended> {
        let lease = self.trail().map_or(self.lease, |trail| trail.lease());
        let mut tick = tokio::time::interval(lease / RENEWALS);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => self.renew_lease(wire).await?,
                () = self.missing.notified() => self.read_missing(wire).await?,
            }
        }
    }

    /// Reads what is known to exist. Where the stream may have lost something meanwhile, a renewal does.
    async fn read_missing(&self, wire: &Wire) -> Result<(), Ended> {
        match self.trail() {
            Some(trail) if trail.is_sure(self.clock.now()) => self.reach(wire, trail.known()).await,
            _ => self.renew_lease(wire).await,
        }
    }

    /// Writes a report, applies everything up to it, makes sure that the stream is whole, and only then
    /// renews the lease from the moment before.
    async fn renew_lease(&self, wire: &Wire) -> Result<(), Ended> {
        self.known.settled().await;
        let before = self.trail().ok_or(Ended::Astray)?.end();
        let sent = self.clock.now();
        let seq = self.write_report(wire, false).await?;
        if seq <= before.0 {
            return Err(Ended::Astray);
        }
        self.reach(wire, seq).await?;
        self.compare(wire, before).await?;
        self.renew(sent);
        Ok(())
    }

    /// Makes sure that the message `seq` still is what it was.
    async fn compare(&self, wire: &Wire, (seq, mark): (u64, Option<Mark>)) -> Result<(), Ended> {
        let Some(mark) = mark else {
            // Nothing has been applied yet, so only the stream itself can be another one.
            let stream = wire.look().await?;
            let created = stream.as_ref().map(|stream| stream.created.as_str());
            let is_same = created == self.trail().as_ref().map(Trail::created);
            return if is_same { Ok(()) } else { Err(Ended::Astray) };
        };
        match wire.read(seq).await? {
            Some(message) if message.mark() == mark => Ok(()),
            Some(_) => Err(Ended::Astray),
            None => {
                let kept = wire.look().await?.is_some_and(|stream| stream.first <= seq);
                Err(if kept { Ended::Astray } else { Ended::Behind })
            }
        }
    }

    /// Applies everything up to `seq`: what is pushed, and by reading what is not.
    async fn reach(&self, wire: &Wire, seq: u64) -> Result<(), Ended> {
        let has = || self.trail().is_some_and(|trail| trail.end().0 >= seq);
        let mut met = self.met.subscribe();
        let pushed = tokio::time::timeout(PUSHED_WITHIN, met.wait_for(|_| has())).await;
        if pushed.is_ok_and(|met| met.is_ok()) {
            return Ok(());
        }
        let applied = self.trail().ok_or(Ended::Astray)?.end().0;
        if seq.saturating_sub(applied) > READ_MAX {
            return Err(Ended::Behind);
        }
        let read =
            stream::iter((applied + 1)..=seq).map(|seq| wire.read(seq)).buffered(READ_AT_ONCE);
        let mut read = std::pin::pin!(read.try_ready_chunks(READ_AT_ONCE));
        while let Some(messages) = read.try_next().await.map_err(|error| error.1)? {
            // What is not there any more is never known one by one.
            let messages: Vec<Message> =
                messages.into_iter().collect::<Option<_>>().ok_or(Ended::Behind)?;
            if !self.take_read(&messages).await {
                return Err(Ended::Behind);
            }
        }
        Ok(())
    }
}
