//! One server upstream: how to reach it, how many connections it may have, who waits for one, and how
//! well it is.
//!
//! What its health follows from is in [`Health`]; this keeps it behind a lock that nobody takes while
//! there is nothing to remember.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use weir_cache::{CacheKey, Timestamp};

use super::FillError;
use super::health::{CheckRules, Health, Rules, State, Verdict, WHOLE};
use super::link::Link;
use super::transport::Links;
use crate::config::{UpstreamAddr, UpstreamConfig};

/// Bodies in a row that a server may break off: one bad file, or one behind a parent, is not the server.
const BROKEN_AFTER: u32 = 3;

/// One server upstream.
#[derive(Debug)]
pub(crate) struct Member {
    link: Link,
    seed: u64,
    connections_max: usize,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    health: Mutex<Health>,
    /// Whether it is well and nothing needs remembering: read by every request, written on changes.
    plain: AtomicBool,
}

/// What a server is to a request at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Whether it is asked.
    pub(super) usable: bool,
    /// Whether it is left out, and one request may try it.
    pub(super) due: bool,
    /// The part of its share that it gets, in thousandths.
    pub(super) share: u32,
    /// Failures in a row.
    pub(super) failures: u32,
}

/// What operators see of a server.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    /// `host:port`.
    pub(crate) address: String,
    /// Whether it is asked, and why not.
    pub(crate) state: State,
    /// How long it has been asked, or left out.
    pub(crate) since: Duration,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// Requests in flight, bodies included.
    pub(crate) outstanding: u32,
    /// Requests that wait for a connection.
    pub(crate) waiting: usize,
    /// Whether every site that has it has it as a backup.
    pub(crate) backup: bool,
}

/// The right to one request to one server; its connection is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    /// The server.
    pub(super) member: Arc<Member>,
    /// Whether the connection must not have been used before.
    pub(super) fresh: bool,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    fn new(member: &Arc<Member>, permit: OwnedSemaphorePermit) -> Self {
        Self { member: Arc::clone(member), fresh: false, _permit: permit }
    }

    /// The same for a connection that is opened for it.
    pub(super) fn fresh(self) -> Self {
        Self { fresh: true, ..self }
    }
}

impl Member {
    /// The server at `addr`, connected to as `links` says, of which nothing is known.
    pub(super) fn new(addr: &UpstreamAddr, config: &UpstreamConfig, links: &Links) -> Self {
        let link = Link::new(addr, links);
        let rules = Rules {
            eject_after: config.eject_after,
            broken_after: config.eject_after.max(BROKEN_AFTER),
            eject_for: config.eject_for,
            slow_start: config.slow_start,
        };
        let connections_max = config.connections_max as usize;
        Self {
            seed: first_u64(blake3::hash(link.authority().as_bytes()).as_bytes()),
            link,
            connections_max,
            permits: Arc::new(Semaphore::new(connections_max)),
            waiting: AtomicUsize::new(0),
            health: Mutex::new(Health::new(rules)),
            plain: AtomicBool::new(true),
        }
    }

    /// `host:port`.
    pub(crate) fn authority(&self) -> &str {
        self.link.authority()
    }

    /// The connections to it.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// What the server makes of `key`: the place of rendezvous hashing.
    pub(super) fn hash(&self, key: &CacheKey) -> u64 {
        mix(first_u64(key.as_bytes()) ^ self.seed)
    }

    /// Requests in flight, bodies included.
    pub(super) fn outstanding(&self) -> u32 {
        let free = self.permits.available_permits();
        u32::try_from(self.connections_max.saturating_sub(free)).unwrap_or(u32::MAX)
    }

    /// What the server is to a request at `now`. Costs one read while it is well.
    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        if self.plain.load(Relaxed) {
            return Standing { usable: true, due: false, share: WHOLE, failures: 0 };
        }
        let health = self.health.lock();
        Standing {
            usable: health.state(now).is_usable(),
            due: health.is_due(now),
            share: health.share(now),
            failures: health.failures(),
        }
    }

    /// What operators see of it.
    pub(crate) fn sight(&self, now: Timestamp, backup: bool) -> Sight {
        let health = self.health.lock();
        Sight {
            address: self.authority().to_owned(),
            state: health.state(now),
            since: now.saturating_since(health.since()),
            failures: health.failures(),
            outstanding: self.outstanding(),
            waiting: self.waiting.load(Relaxed),
            backup,
        }
    }

    /// Takes the right to try a server that is left out; `false` if another request has it.
    pub(super) fn begin_try(&self, now: Timestamp) -> bool {
        self.change(now, |health| health.begin_try(now))
    }

    /// Notes the head of an answer; returns whether the server comes back by it.
    pub(super) fn on_success(&self, now: Timestamp) -> bool {
        !self.plain.load(Relaxed) && self.change(now, |health| health.on_success(now))
    }

    /// Notes a body that came whole.
    pub(super) fn on_whole_body(&self) {
        if !self.plain.load(Relaxed) {
            self.health.lock().on_whole_body();
        }
    }

    /// Notes that a request got no answer; returns whether the server is left out from here on.
    pub(super) fn on_failure(&self, now: Timestamp) -> bool {
        self.change(now, |health| health.on_failure(now))
    }

    /// Notes a body that broke off; returns whether the server is left out from here on.
    pub(super) fn on_broken_body(&self, now: Timestamp) -> bool {
        self.change(now, |health| health.on_broken_body(now))
    }

    /// Notes a check; returns whether the server is left out or comes back by it.
    pub(super) fn on_check(&self, verdict: Verdict, now: Timestamp) -> bool {
        self.change(now, |health| health.on_check(verdict, now))
    }

    /// Takes up checks, or ends them.
    pub(super) fn set_checks(&self, checks: Option<CheckRules>, now: Timestamp) {
        self.change(now, |health| health.set_checks(checks, now));
    }

    fn change<T>(&self, now: Timestamp, event: impl FnOnce(&mut Health) -> T) -> T {
        let mut health = self.health.lock();
        let told = event(&mut health);
        self.plain.store(health.is_plain(now), Relaxed);
        told
    }

    /// A connection, if one is free and nobody waits for it.
    pub(super) fn free_slot(self: &Arc<Self>) -> Option<Slot> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(Slot::new(self, permit))
    }

    /// Waits for one of the server's connections, at most `queue_timeout`, and not at all where
    /// `queue_max` wait already.
    ///
    /// # Errors
    ///
    /// [`FillError::Busy`]. Nothing was sent.
    pub(super) async fn slot(self: &Arc<Self>, config: &UpstreamConfig) -> Result<Slot, FillError> {
        if let Some(slot) = self.free_slot() {
            return Ok(slot);
        }
        let busy = |waited| FillError::Busy { upstream: self.authority().to_owned(), waited };
        let Some(_place) = Place::take(&self.waiting, config.queue_max) else {
            return Err(busy(Duration::ZERO));
        };
        let waiting = Arc::clone(&self.permits).acquire_owned();
        match tokio::time::timeout(config.queue_timeout, waiting).await {
            Ok(Ok(permit)) => Ok(Slot::new(self, permit)),
            Ok(Err(_)) | Err(_) => Err(busy(config.queue_timeout)),
        }
    }
}

/// A place in the queue for a connection.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let one_more = |waiting: usize| (waiting < most).then_some(waiting + 1);
        waiting.fetch_update(Relaxed, Relaxed, one_more).ok().map(|_| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The first eight bytes of a digest.
fn first_u64(digest: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

/// A bijection that spreads every input bit over the output (the finalizer of SplitMix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
