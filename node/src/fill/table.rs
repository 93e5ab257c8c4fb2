//! Which keys have a fill in flight, and who may join which?
//!
//! The bookkeeping of collapsed forwarding (RFC 9111 §4): no connection is opened here, no task
//! spawned, no clock read. One lock, held for a few comparisons.
//!
//! # Invariants
//!
//! 1. A fill leaves the table only after what it stored has been handed to the store, so that a
//!    request that finds neither the fill nor the response starts the only new one.
//! 2. A request joins a fill only if the fill's response is, or by all that is known will be, the
//!    variant it selects, only while that response could be reused without asking upstream, and only
//!    if no purge that this node has applied lies between the two.
//! 3. A fill without readers that gives up leaves the table in the same step, so nobody joins it.
//! 4. Every fill is here until it ends, also one that nobody may join, so that an invalidation
//!    reaches all of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;
use tokio::sync::watch;
use weir_cache::eviction::Seeded;
use weir_cache::purge::{Subject, Tagged};
use weir_cache::{CacheKey, KeyText, Policy, Reuse, Seq, Timestamp, same_selection};

use super::body::SharedBody;
use super::progress::Progress;
use super::ticket::Ticket;
use crate::purge::View;

/// One fill in flight.
#[derive(Debug)]
pub(crate) struct Fill {
    /// The key it fills.
    pub(crate) key: CacheKey,
    /// The leader's request fields: they select the variant.
    pub(crate) request_headers: HeaderMap,
    /// The canonical text of the key.
    pub(crate) text: KeyText,
    /// The purge log position of this node when the fill began.
    pub(crate) as_of: Seq,
    /// The body.
    pub(crate) body: SharedBody,
    progress: watch::Sender<Progress>,
    /// Set when an invalidation overtook the fill: it is delivered, not stored.
    overtaken: AtomicBool,
    /// Set when the fill is to be finished though nobody reads it.
    wanted: AtomicBool,
    /// Whether others may join.
    joinable: bool,
}

impl Fill {
    /// Watches the state.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Publishes a new state to all.
    pub(crate) fn publish(&self, progress: Progress) {
        self.progress.send_replace(progress);
    }

    /// Publishes `progress` if there has been none yet.
    pub(crate) fn publish_if_pending(&self, progress: Progress) {
        self.progress.send_if_modified(|state| {
            let pending = matches!(state, Progress::Pending);
            if pending {
                *state = progress;
            }
            pending
        });
    }

    /// Whether an invalidation overtook this fill.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.overtaken.load(Relaxed)
    }

    /// Asks for the fill to be finished though nobody reads it.
    pub(crate) fn want(&self) {
        self.wanted.store(true, Relaxed);
    }

    /// Whether the fill is to be finished though nobody reads it.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Relaxed)
    }

    /// Whether the request may join, given the fields `known` to select variants.
    fn admits(&self, join: &Join<'_>, known: &[HeaderName]) -> bool {
        if self.is_overtaken() || !self.joinable {
            return false;
        }
        match &*self.progress.borrow() {
            Progress::Pending => {
                same_selection(known, &self.request_headers, join.headers, join.policy)
                    && join.purges.is_clear(self.subject(Tagged::Unknown), self.as_of)
            }
            Progress::Shared(head) => head.storable.as_ref().is_some_and(|stored| {
                stored.vary.matches(join.headers, join.policy)
                    && stored.judge(None, join.now) != Reuse::Validate
                    && join.purges.is_clear(self.subject(Tagged::Known(&stored.tags)), head.as_of)
            }),
            Progress::Private(_)
            | Progress::Settled(_)
            | Progress::Failed(_)
            | Progress::Abandoned => false,
        }
    }

    /// What it fills as purges see it.
    pub(crate) fn subject<'a>(&'a self, tags: Tagged<'a>) -> Subject<'a> {
        Subject { resource: self.text.purged_as(), tags }
    }

    /// The fields that the response under way says select variants.
    fn vary_names(&self) -> Vec<HeaderName> {
        match &*self.progress.borrow() {
            Progress::Shared(head) => {
                head.storable.as_ref().map_or_else(Vec::new, |stored| stored.vary.names().to_vec())
            }
            _ => Vec::new(),
        }
    }
}

/// A fill that has begun and is still to be run.
///
/// Dropped without a run, it releases those who have joined meanwhile.
#[derive(Debug)]
pub(crate) struct Begun(Arc<Fill>);

impl Begun {
    /// The fill.
    pub(crate) fn fill(&self) -> &Arc<Fill> {
        &self.0
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.publish_if_pending(Progress::Abandoned);
    }
}

/// A fill that a request has begun, with the request's own place at it.
#[derive(Debug)]
pub(crate) struct Lead {
    /// The fill, to be run.
    pub(crate) begun: Begun,
    /// The leader's place.
    pub(crate) ticket: Ticket,
}

/// What a request that asks for a fill becomes.
#[derive(Debug)]
pub(crate) enum Role {
    /// It starts the fill.
    Leader(Lead),
    /// It joins one.
    Waiter(Ticket),
    /// Too many wait already; it forwards for itself.
    Crowded,
}

/// What a request brings when it asks for a fill.
#[derive(Debug)]
pub(crate) struct Join<'a> {
    /// The key wanted.
    pub(crate) key: CacheKey,
    /// Its canonical text.
    pub(crate) text: &'a KeyText,
    /// What this node knows of purges: a request that a purge separates from a fill may not join it.
    pub(crate) purges: &'a View,
    /// The request's fields.
    pub(crate) headers: &'a HeaderMap,
    /// The site's choices.
    pub(crate) policy: &'a Policy,
    /// Field names known, from stored responses, to select variants of this key.
    pub(crate) known: Vec<HeaderName>,
    /// This node's position in the purge log.
    pub(crate) as_of: Seq,
    /// The present.
    pub(crate) now: Timestamp,
}

type ByKey = HashMap<CacheKey, Vec<Arc<Fill>>, Seeded>;

/// The fills in flight on one node.
#[derive(Debug)]
pub(crate) struct FillTable {
    fills: Mutex<ByKey>,
    waiters_max: usize,
    active: AtomicUsize,
}

impl FillTable {
    /// An empty table; at most `waiters_max` requests read one fill at a time.
    pub(crate) fn new(waiters_max: usize) -> Self {
        let fills = Mutex::new(HashMap::with_hasher(Seeded::random()));
        Self { fills, waiters_max, active: AtomicUsize::new(0) }
    }

    /// Joins a fill that may answer the request, or begins one.
    pub(crate) fn join(&self, mut join: Join<'_>) -> Role {
        let mut fills = self.fills.lock();
        let in_flight = fills.entry(join.key).or_default();
        let mut known = std::mem::take(&mut join.known);
        known.extend(in_flight.iter().flat_map(|fill| fill.vary_names()));
        let mut crowded = false;
        for fill in in_flight.iter().filter(|fill| fill.admits(&join, &known)) {
            if fill.body.readers() > self.waiters_max {
                crowded = true;
            } else if let Some(ticket) = Ticket::attach(fill) {
                return Role::Waiter(ticket);
            }
        }
        if crowded {
            return Role::Crowded;
        }
        Role::Leader(self.begin(in_flight, &join, true))
    }

    /// Begins a fill that nobody may join: for keys whose responses are known not to be shared.
    pub(crate) fn begin_alone(&self, join: &Join<'_>) -> Lead {
        let mut fills = self.fills.lock();
        self.begin(fills.entry(join.key).or_default(), join, false)
    }

    fn begin(&self, in_flight: &mut Vec<Arc<Fill>>, join: &Join<'_>, joinable: bool) -> Lead {
        self.active.fetch_add(1, Relaxed);
        let fill = Arc::new(Fill {
            key: join.key,
            text: join.text.clone(),
            request_headers: join.headers.clone(),
            as_of: join.as_of,
            body: SharedBody::new(),
            progress: watch::Sender::new(Progress::Pending),
            overtaken: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            joinable,
        });
        in_flight.push(Arc::clone(&fill));
        let ticket = Ticket::attach_new(&fill);
        Lead { begun: Begun(fill), ticket }
    }

    /// Whether a fill of `key` that others may join is in flight.
    pub(crate) fn is_filling(&self, key: &CacheKey) -> bool {
        self.fills.lock().get(key).is_some_and(|fills| fills.iter().any(|fill| fill.joinable))
    }

    /// Whether any fill of `key` is in flight, also one that nobody may join.
    pub(crate) fn is_listed(&self, key: &CacheKey) -> bool {
        self.fills.lock().get(key).is_some_and(|fills| !fills.is_empty())
    }

    /// Takes a fill out, so that nobody joins it any more. Doing so twice is harmless.
    pub(crate) fn remove(&self, fill: &Arc<Fill>) {
        Self::unlist(&mut self.fills.lock(), fill);
    }

    /// Takes a fill out if nobody reads it; returns whether it is out.
    pub(crate) fn remove_if_unread(&self, fill: &Arc<Fill>) -> bool {
        let mut fills = self.fills.lock();
        let unread = fill.body.readers() == 0;
        if unread {
            Self::unlist(&mut fills, fill);
        }
        unread
    }

    fn unlist(fills: &mut ByKey, fill: &Arc<Fill>) {
        if let Some(in_flight) = fills.get_mut(&fill.key) {
            in_flight.retain(|other| !Arc::ptr_eq(other, fill));
            if in_flight.is_empty() {
                fills.remove(&fill.key);
            }
        }
    }

    /// Marks every fill of `key` as overtaken by an invalidation and takes it out: those who asked
    /// before get its bytes, nobody joins it, and it is not stored.
    pub(crate) fn overtake(&self, key: &CacheKey) {
        for fill in self.fills.lock().remove(key).unwrap_or_default() {
            fill.overtaken.store(true, Relaxed);
        }
    }

    /// Counts a run as over.
    pub(crate) fn ended(&self) {
        self.active.fetch_sub(1, Relaxed);
    }

    /// Fills in flight, those that nobody may join included.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    /// Requests that joined a fill in flight and have not been answered in full.
    pub(crate) fn waiting(&self) -> usize {
        let fills = self.fills.lock();
        fills.values().flatten().map(|fill| fill.body.readers().saturating_sub(1)).sum()
    }
}
