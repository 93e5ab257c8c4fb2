//! How far is a connection with its requests? Shared by what reads and writes the connection and by those
//! who answer. Deadlines: `guard`.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::Version;

use super::framing::Fault;
use super::room::Idle;
use crate::interim::{Interims, Sink};
use crate::limits::SharedPace;

/// How far a connection is with its requests.
#[derive(Debug)]
pub(crate) struct Phase {
    /// Requests being answered.
    answering: AtomicU32,
    /// Requests that have come.
    begun: AtomicU64,
    /// The request, counted from 1, after which there is none; 0 as long as none is known.
    last: AtomicU64,
    /// Why the last one is refused.
    fault: OnceLock<Fault>,
    /// Whether bytes of an answer wait for the peer to take them.
    blocked: AtomicBool,
    /// Whether the last request came with a body.
    had_body: AtomicBool,
    /// Whether it waits for a request, and is to wait on.
    pub(super) idle: Idle,
    /// What the bodies on it share of its bandwidth.
    pub(crate) pace: Arc<SharedPace>,
    /// Interim responses on their way to the client.
    pub(super) interims: Interims,
}

impl Phase {
    /// Nothing has been asked.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            answering: AtomicU32::new(0),
            begun: AtomicU64::new(0),
            last: AtomicU64::new(0),
            fault: OnceLock::new(),
            blocked: AtomicBool::new(false),
            had_body: AtomicBool::new(false),
            idle: Idle::new(),
            pace: Arc::new(SharedPace::new()),
            interims: Interims::default(),
        })
    }

    /// A request's head is complete.
    pub(crate) fn begin(self: &Arc<Self>) -> Answering {
        self.answering.fetch_add(1, Relaxed);
        self.idle.end();
        let number = self.begun.fetch_add(1, Relaxed) + 1;
        Answering { phase: Arc::clone(self), number }
    }

    /// Whether `begun` requests have come and all are answered, and none of them was the last one.
    pub(super) fn has_answered(&self, begun: u64) -> bool {
        self.begun() == begun && !self.is_answering() && self.last.load(Relaxed) == 0
    }

    /// A request has come and was answered at `now`, to the last byte.
    pub(super) fn answered_at(&self, now: Instant) {
        self.begun.fetch_add(1, Relaxed);
        self.had_body.store(false, Relaxed);
        self.idle.begin_at(now);
    }

    /// Whether a request is known after which there is none.
    pub(super) fn ends(&self) -> bool {
        self.last.load(Relaxed) != 0
    }

    /// Requests that have come.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    /// Nothing after the request `number` is a request.
    pub(super) fn end_after(&self, number: u64) {
        self.last.store(number, Relaxed);
    }

    /// The same, and the request itself is refused.
    pub(super) fn refuse(&self, number: u64, fault: Fault) {
        self.end_after(number);
        // The first one counts: nothing is read after it.
        self.fault.set(fault).ok();
    }

    /// The way for interim responses to the present request, of this HTTP version; `None` where they
    /// cannot be sent: before HTTP/1.1, and while bytes of the answer before wait.
    pub(crate) fn interim_sink(self: &Arc<Self>, version: Version) -> Option<Sink> {
        if version != Version::HTTP_11 || self.blocked.load(Relaxed) {
            return None;
        }
        let request = self.interims.open();
        let phase = Arc::clone(self);
        Some(Arc::new(move |status, headers| phase.interims.send(request, status, headers)))
    }

    /// Says whether bytes of an answer wait for the peer to take them.
    pub(super) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Relaxed);
    }

    /// Since when nothing is asked and nothing is on its way; `None` while there is something.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let at_work = self.is_answering() || self.blocked.load(Relaxed);
        self.idle.since().filter(|_| !at_work)
    }

    /// The same; `None` too if it was asked to leave already.
    pub(super) fn may_leave(&self) -> Option<u64> {
        self.idle_since().filter(|_| !self.idle.is_asked())
    }

    /// Says whether the present request comes with a body.
    pub(super) fn set_body(&self, has_body: bool) {
        self.had_body.store(has_body, Relaxed);
    }

    /// Whether bytes may be on their way that nobody reads: of the last request's body, or of a head that
    /// cannot be read.
    pub(super) fn may_have_unread(&self) -> bool {
        self.had_body.load(Relaxed) || self.idle_since().is_none()
    }

    /// Whether bytes of an answer wait for the peer to take them.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    /// The final response follows: no interim response may.
    pub(crate) fn end_interims(&self) {
        self.interims.close();
    }

    /// Whether a request is being answered.
    pub(super) fn is_answering(&self) -> bool {
        self.answering.load(Relaxed) > 0
    }
}

/// A request being answered, until the last byte of its response has gone.
#[derive(Debug)]
pub(crate) struct Answering {
    phase: Arc<Phase>,
    /// Which request of its connection, counted from 1.
    number: u64,
}

impl Answering {
    /// Whether the connection ends with the answer.
    pub(super) fn is_last(&self) -> bool {
        self.phase.last.load(Relaxed) == self.number
    }

    /// Why the request is to be refused; `None` for one that is well framed.
    pub(crate) fn fault(&self) -> Option<Fault> {
        if self.is_last() { self.phase.fault.get().copied() } else { None }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if self.phase.answering.fetch_sub(1, Relaxed) == 1 {
            self.phase.idle.begin();
        }
    }
}
