//! May this stored response still be used, as far as purges go?
//!
//! The request path asks here. In the common case, nothing applied since the last look and the lease
//! current, the answer costs one comparison of integers and one read of a clock.
//!
//! # Invariants
//!
//! 1. The position that the request path compares with is raised inside the lock that guards the
//!    ledger, before anybody is told that an entry has been applied.
//! 2. A lease is renewed only after everything that the answer carried has been applied.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use weir_cache::purge::{AsOf, Entry, Gap, Lease, Ledger, Standing, Subject};
use weir_cache::{Seq, Timestamp};
use weir_store::StoredResponse;

use super::BootClock;
use crate::config::OnIsolation;

/// Purges whose matches are counted; the oldest go first.
const COUNTED_MAX: usize = 1024;

/// What this node knows of the purge log.
pub(crate) struct View {
    clock: BootClock,
    ledger: RwLock<Ledger>,
    /// The newest position at which the ledger has something to say, for the request path.
    applied: AtomicU64,
    lease: Mutex<Lease>,
    /// When the lease runs out, for the request path.
    lease_until: AtomicU64,
    /// Whether the node keeps the log itself and so cannot be cut off from it.
    keeps_log: bool,
    /// When a child last asked that follows another log, or another life of this one.
    stranger_seen: AtomicU64,
    /// Told of every change of `applied`.
    changed: watch::Sender<Seq>,
    /// Whether this run of the node has heard of the log.
    heard_of: watch::Sender<bool>,
    matched: Mutex<Matched>,
}

/// Stored responses met so far that a purge matched.
#[derive(Debug, Default)]
struct Matched {
    by_purge: BTreeMap<Seq, u64>,
    /// Everything stored has been looked at for the purges up to here.
    complete_to: Seq,
}

/// How far one node is with counting what purges matched.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Responses matched, by the log's number of the purge.
    pub(crate) by_seq: Vec<(u64, u64)>,
    /// The counts are whole up to this number.
    pub(crate) complete_to: u64,
}

impl View {
    /// The view of a node that had applied `ledger` before it started, by which it holds no lease and has
    /// not heard of the log. One that `keeps_log` is never cut off.
    pub(crate) fn new(ledger: Ledger, keeps_log: bool, lease: Duration) -> Self {
        let applied = ledger.applied();
        Self {
            clock: BootClock,
            ledger: RwLock::new(ledger),
            applied: AtomicU64::new(applied.get()),
            lease: Mutex::new(Lease::new(lease)),
            lease_until: AtomicU64::new(0),
            keeps_log,
            stranger_seen: AtomicU64::new(0),
            changed: watch::Sender::new(applied),
            heard_of: watch::Sender::new(false),
            matched: Mutex::new(Matched { complete_to: applied, ..Matched::default() }),
        }
    }

    /// The newest entry applied that names something; entries that name nothing may follow.
    pub(crate) fn applied(&self) -> Seq {
        Seq::new(self.applied.load(Ordering::Acquire))
    }

    /// Whether the node must reuse nothing unasked, because it may have missed a purge.
    pub(crate) fn is_fenced(&self) -> bool {
        let until = Timestamp::from_micros(self.lease_until.load(Ordering::Acquire));
        !self.keeps_log && self.clock.now() >= until
    }

    /// Whether a site with this policy must reuse nothing unasked.
    pub(crate) fn is_fenced_for(&self, on_isolation: OnIsolation) -> bool {
        on_isolation == OnIsolation::Validate && self.is_fenced()
    }

    /// Whether the log has been heard of since the node started.
    pub(crate) fn has_joined(&self) -> bool {
        *self.heard_of.borrow()
    }

    /// Waits until the log has been heard of.
    pub(crate) async fn joined(&self) {
        let mut heard_of = self.heard_of.subscribe();
        // It ends with the view only.
        let _heard = heard_of.wait_for(|heard| *heard).await;
    }

    /// How a stored response stands with the purges applied.
    pub(crate) fn standing(&self, stored: &StoredResponse) -> Standing {
        let reflects = stored.reflects();
        if reflects >= self.applied() {
            return Standing::Clear;
        }
        let ledger = self.ledger.read();
        let standing = ledger.judge(stored.subject(), reflects);
        let (applied, since) = (ledger.applied(), ledger.since());
        drop(ledger);
        match standing {
            Standing::Clear => stored.passed(applied),
            // What is only too old to be judged was not matched by any purge that is known.
            Standing::Invalidated { by } if by == since => {}
            Standing::Invalidated { by } | Standing::Purged { by } => self.count(stored, by),
        }
        standing
    }

    /// Whether no entry past `reflects` matches `subject`.
    pub(crate) fn is_clear(&self, subject: Subject<'_>, reflects: Seq) -> bool {
        reflects >= self.applied() || self.ledger.read().judge(subject, reflects) == Standing::Clear
    }

    /// Notes that a child asked that does not follow the log that this node keeps.
    pub(crate) fn note_stranger(&self) {
        self.stranger_seen.store(self.clock.now().as_micros(), Ordering::Relaxed);
    }

    /// When that was last noted; zero for never.
    pub(crate) fn stranger_seen(&self) -> Timestamp {
        Timestamp::from_micros(self.stranger_seen.load(Ordering::Relaxed))
    }

    /// Whether everything up to `as_of` has been applied here.
    pub(crate) fn reaches(&self, as_of: AsOf) -> bool {
        self.ledger.read().reaches(as_of)
    }

    /// Waits until everything up to `as_of` has been applied; `false` if that does not happen in time.
    pub(crate) async fn catch_up(&self, as_of: AsOf, within: Duration) -> bool {
        let mut changes = self.changed.subscribe();
        let reached = async {
            // The position is looked at after every change, and before the first.
            while !self.reaches(as_of) {
                if changes.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(within, reached).await.unwrap_or(false)
    }

    /// What other nodes, and runs of this one to come, call `position`; `None` where they could not
    /// understand it.
    pub(crate) fn told(&self, position: Seq) -> Option<AsOf> {
        self.ledger.read().told(position)
    }

    /// The node's own number of a position that another node told, or that lies on disk with a stored
    /// response; zero, which is older than every purge, for one unknown.
    ///
    /// Right at any time, from the start on, and right for the rest of the run: whatever is joined later
    /// begins above. What [`View::told`] says is right for longer than that.
    pub(crate) fn heard(&self, as_of: Option<AsOf>) -> Seq {
        let Some(as_of) = as_of else { return Seq::default() };
        let ledger = self.ledger.read();
        // Nobody knows more of a log than who keeps it, unless it was put back from a copy.
        if self.keeps_log && !ledger.reaches(as_of) {
            return Seq::default();
        }
        ledger.heard(as_of)
    }

    /// The same for an answer to a question that is under way. While no log has ever been heard of, what
    /// is fetched reflects all that has been applied: nothing.
    pub(crate) fn heard_now(&self, as_of: Option<AsOf>) -> Seq {
        let ledger = self.ledger.read();
        let unheard = ledger.as_of().is_none().then(|| ledger.applied());
        drop(ledger);
        unheard.unwrap_or_else(|| self.heard(as_of))
    }

    /// Entries up to here are not known one by one, in the log's numbers.
    pub(crate) fn since(&self) -> Option<AsOf> {
        self.ledger.read().since_as_of()
    }

    /// How far this node is, in the log's numbers; `None` before it has joined.
    pub(crate) fn as_of(&self) -> Option<AsOf> {
        self.ledger.read().as_of()
    }

    /// Takes up the log at `head`; see [`Ledger::join`].
    pub(crate) fn join(&self, head: AsOf) {
        let mut ledger = self.ledger.write();
        ledger.join(head);
        self.publish(&ledger);
        self.heard_of.send_replace(true);
    }

    /// Takes up the log that this node keeps, of which `ledger` holds what there is.
    pub(crate) fn keep(&self, ledger: Ledger) {
        let mut own = self.ledger.write();
        *own = ledger;
        self.publish(&own);
        self.heard_of.send_replace(true);
    }

    /// Applies an entry of the log that was joined; see [`Ledger::apply`]. One of another epoch leaves a
    /// gap whatever its number.
    pub(crate) fn apply(&self, entry_at: AsOf, entry: &Entry) -> Result<Seq, Gap> {
        let seq = entry_at.seq;
        let mut ledger = self.ledger.write();
        if ledger.as_of().is_none_or(|as_of| as_of.epoch != entry_at.epoch) {
            return Err(Gap { wanted: 0, got: seq });
        }
        let position = ledger.apply(seq, entry)?;
        // What names nothing overtakes nothing: the request path need not look again.
        if !entry.selectors.is_empty() {
            self.publish(&ledger);
        }
        Ok(position)
    }

    fn publish(&self, ledger: &Ledger) {
        self.applied.store(ledger.applied().get(), Ordering::Release);
        self.changed.send_replace(ledger.applied());
    }

    /// Renews the lease by an answer to a question sent at `sent`, for `length`.
    pub(crate) fn renew(&self, sent: Timestamp, length: Duration) {
        let mut lease = self.lease.lock();
        *lease = lease.lasting(length);
        lease.renew(sent);
        self.lease_until.store(lease.until().as_micros(), Ordering::Release);
        drop(lease);
        if !self.has_joined() {
            self.heard_of.send_replace(true);
        }
    }

    /// Gives up the right to reuse what is stored until the lease is renewed.
    pub(crate) fn fence(&self) {
        self.lease_until.store(0, Ordering::Release);
    }

    /// Watches the position.
    pub(crate) fn changes(&self) -> watch::Receiver<Seq> {
        self.changed.subscribe()
    }

    /// Forgets entries that are older than anything stored; see [`Ledger::forget`].
    pub(crate) fn forget(&self, position: Seq) {
        self.ledger.write().forget(position);
    }

    /// Things named by the entries known one by one.
    pub(crate) fn named(&self) -> usize {
        self.ledger.read().named()
    }

    /// Counts a response for the purge that matched it, once.
    fn count(&self, stored: &StoredResponse, by: Seq) {
        if !stored.counts_for(by) {
            return;
        }
        let mut matched = self.matched.lock();
        *matched.by_purge.entry(by).or_default() += 1;
        while matched.by_purge.len() > COUNTED_MAX {
            matched.by_purge.pop_first();
        }
    }

    /// Notes that everything stored has been looked at for the purges up to `position`.
    pub(crate) fn counted(&self, position: Seq) {
        let mut matched = self.matched.lock();
        matched.complete_to = matched.complete_to.max(position);
    }

    /// The counts, in the log's numbers.
    pub(crate) fn counts(&self) -> Counts {
        let ledger = self.ledger.read();
        let told = |position| ledger.told(position).map(|as_of| as_of.seq);
        let matched = self.matched.lock();
        let by_seq =
            matched.by_purge.iter().filter_map(|(by, count)| Some((told(*by)?, *count))).collect();
        Counts { by_seq, complete_to: told(matched.complete_to).unwrap_or(0) }
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("applied", &self.applied()).finish_non_exhaustive()
    }
}
