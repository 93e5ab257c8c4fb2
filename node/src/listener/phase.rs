//! How far is a connection with its requests? Shared by what reads and writes the connection and by those
//! who answer. Deadlines: `guard`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use http::Version;

use crate::interim::{Interims, Sink};

/// How far a connection is with its requests.
#[derive(Debug)]
pub(crate) struct Phase {
    /// Requests being answered.
    answering: AtomicU32,
    /// Whether bytes of an answer wait for the peer to take them.
    blocked: AtomicBool,
    /// Interim responses on their way to the client.
    pub(super) interims: Interims,
}

impl Phase {
    /// Nothing has been asked.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            answering: AtomicU32::new(0),
            blocked: AtomicBool::new(false),
            interims: Interims::default(),
        })
    }

    /// A request's head is complete.
    pub(crate) fn begin(self: &Arc<Self>) -> Answering {
        self.answering.fetch_add(1, Relaxed);
        Answering { phase: Arc::clone(self) }
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
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.phase.answering.fetch_sub(1, Relaxed);
    }
}
