//! What a node has applied of the purge log outlives it: everything goes through here before it counts
//! as applied.
//!
//! A node that keeps stored responses over a restart must know which purges it had applied before, or it
//! could tell the log that one holds and hand out what it removed after a restart, cut off from the log.
//! The node that keeps the log itself has it there, and a node without a data folder keeps nothing.
//!
//! ```text
//! follow.rs, nats/ ──► turn ──► write: one append, one fdatasync (kept.rs, line.rs) ──► view.rs
//!                        one batch after another                      published by who holds the turn
//! at the start         the lines again ──► Ledger ──► view.rs, without a lease
//! ```
//!
//! # Invariants
//!
//! 1. What is published is in the file before, or the file is gone, or it is owed that it goes
//!    ([`Known::is_owed`]).
//! 2. While that is owed, the node reports nothing, so that no receipt says that a purge is applied here
//!    which the next run would not know of. Purges are applied in memory all the same.
//! 3. What is in the file and was not published, because the process ended in between, does no harm:
//!    a purge is known early, and a join makes more be validated.
//! 4. Batches are written and published in one order: that in which turns were taken.
//!
//! # Why a stored response that lies on disk is judged right
//!
//! Let it reflect the log up to `p` of the epoch `e`, and let the file say that `a` was applied, with
//! the entries past `s` one by one.
//!
//! - Another epoch than the file's, or none: older than everything, so it is validated. The file has a
//!   join before anything can be stored under its epoch, so `e` is not newer either.
//! - `p < s`: it is validated. `s <= p < a`: the entries past `p` are known one by one.
//! - `p >= a`: it reflects all that is known. Entries past `a` that match it and that it does not
//!   reflect were not applied here, since the file is whole; the log tells of them before it grants a
//!   lease, and without a lease only a site that has given up the promise reuses anything.
//! - No file, or one that is not believed: the ledger has heard of no log, so every position is unknown
//!   and what lies there is validated, also without a lease, whatever the site says.

mod kept;
mod line;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use weir_cache::purge::{AsOf, Ledger};
use weir_store::{Faults, LogOpenError};

use self::kept::{Kept, Paper, Unread, Unwritten};
pub(crate) use self::line::Line;
use super::{BootClock, View};
use crate::metrics::PurgeMetrics;

/// Pause between two tries to take away a file that is not whole.
const OWED_PAUSE: Duration = Duration::from_millis(500);

/// What this node has applied, at rest. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Known(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kept: Arc<Mutex<Kept>>,
    /// Whether there is a file and it is whole, or there need be none.
    is_sound: AtomicBool,
    is_owed: AtomicBool,
    view: Arc<View>,
    /// The newest message of the log that an earlier run has met, and what it was.
    met_before: Option<(AsOf, [u8; 32])>,
    clock: BootClock,
    metrics: PurgeMetrics,
}

/// What an earlier run has left behind.
#[derive(Debug)]
pub(crate) struct Found {
    kept: Kept,
    /// What it had applied.
    pub(crate) ledger: Ledger,
    unread: Option<Unread>,
}

impl Found {
    /// Nothing, on a node that keeps nothing.
    pub(crate) fn nothing() -> Self {
        Self { kept: Kept::none(), ledger: Ledger::new(), unread: None }
    }

    /// What lies in `folder`. A file that cannot be believed is none, and set aside or removed.
    ///
    /// # Errors
    ///
    /// [`LogOpenError`]: the folder is in use or cannot be written. The node must not start: it could not
    /// make good what it says to have applied.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, LogOpenError> {
        Self::with_faults(folder, None)
    }

    fn with_faults(folder: &Path, faults: Option<Faults>) -> Result<Self, LogOpenError> {
        let (kept, ledger, unread) = Kept::open(folder, faults)?;
        Ok(Self { kept, ledger, unread })
    }
}

/// Makes sure that no later run believes what lies in `folder`, on a node that does not go on with it.
///
/// # Errors
///
/// What the system said; what lies there may be believed by a later run.
pub(crate) fn disown(folder: &Path) -> io::Result<()> {
    kept::remove(folder)
}

impl Known {
    /// Goes on with what was `found` on the node of `view`, which has it already.
    pub(crate) fn new(found: Found, view: &Arc<View>, metrics: &PurgeMetrics) -> Self {
        if let Some(unread) = &found.unread {
            metrics.known_unread.inc();
            tracing::error!(
                error = %crate::telemetry::chain(unread),
                "what this node knew of purges cannot be read: everything that lies on disk is validated before it is used"
            );
        } else if let Some(as_of) = found.ledger.as_of() {
            let (named, since) = (found.ledger.named(), found.ledger.since_as_of());
            let since = since.map_or(0, |since| since.seq);
            tracing::info!(%as_of, since, named, "known of purges from before");
        }
        Self(Arc::new(Inner {
            met_before: found.kept.met,
            kept: Arc::new(Mutex::new(found.kept)),
            is_sound: AtomicBool::new(true),
            is_owed: AtomicBool::new(false),
            view: Arc::clone(view),
            clock: BootClock,
            metrics: metrics.clone(),
        }))
    }

    /// What this node knows, of which this is what lies at rest.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.0.view
    }

    /// The newest message of the log that an earlier run had met when it last wrote, and what it was.
    pub(crate) fn met_before(&self) -> Option<(AsOf, [u8; 32])> {
        self.0.met_before
    }

    /// Waits until all batches before are written and published, and keeps others waiting while it is
    /// held. Dropping the future gives the place in the queue away.
    pub(crate) async fn turn(&self) -> Turn {
        let kept = Arc::clone(&self.0.kept).lock_owned().await;
        Turn { kept, inner: Arc::clone(&self.0) }
    }

    /// Writes `lines` down; whoever holds what this returns may publish them.
    pub(crate) async fn keep(&self, lines: Vec<Line>) -> Turn {
        self.turn().await.write(lines).await
    }

    /// Whether nobody may be told that this node has applied anything. To be asked after the words have
    /// been found: what is published while it is `false` may be told.
    pub(crate) fn is_owed(&self) -> bool {
        self.0.is_owed.load(Ordering::Acquire)
    }

    /// Waits until what has been applied may be told, and makes a file anew where one was given up, if it
    /// is time.
    pub(crate) async fn settled(&self) {
        while !self.0.is_sound.load(Ordering::Acquire) {
            drop(self.turn().await.mend().await);
            if !self.is_owed() {
                return;
            }
            tokio::time::sleep(OWED_PAUSE).await;
        }
    }

    /// Lets go of the file, for the next run, when everything before has been written. To be called when
    /// nothing is applied any more.
    pub(crate) async fn close(&self) {
        self.turn().await.kept.paper = Paper::None;
    }

    /// Takes what is not known one by one any more out of the file.
    pub(crate) async fn tidy(&self) {
        let since = self.0.view.since();
        let turn = self.turn().await;
        let now = self.0.clock.now();
        drop(turn.work(move |kept| kept.tidy(since, now)).await);
    }
}

/// The right to write and to publish. Ends when dropped.
#[derive(Debug)]
#[must_use = "what is written is published while the turn is held"]
pub(crate) struct Turn {
    kept: OwnedMutexGuard<Kept>,
    inner: Arc<Inner>,
}

impl Turn {
    /// Writes `lines` down, by one append. Whatever comes of it, they may be published then.
    ///
    /// Dropped half way, they may be in the file without being published.
    pub(crate) async fn write(self, lines: Vec<Line>) -> Self {
        if lines.is_empty() {
            return self;
        }
        let (before, now) = (self.inner.view.as_of(), self.inner.clock.now());
        self.work(move |kept| kept.write(&lines, before, now)).await
    }

    async fn mend(self) -> Self {
        let (at, now) = (self.inner.view.as_of(), self.inner.clock.now());
        self.work(move |kept| kept.mend(at, now)).await
    }

    /// Runs `work` where it may block, and notes how the file stands after it.
    async fn work(
        self,
        work: impl FnOnce(&mut Kept) -> Result<(), Unwritten> + Send + 'static,
    ) -> Self {
        let Self { mut kept, inner } = self;
        if matches!(kept.paper, Paper::None) {
            return Self { kept, inner };
        }
        let blocking = tokio::task::spawn_blocking(move || {
            let done = work(&mut kept);
            (kept, done)
        });
        let (kept, done) = match blocking.await {
            Ok(done) => done,
            Err(_) => {
                // It has panicked, or the runtime ends.
                let mut kept = Arc::clone(&inner.kept).lock_owned().await;
                kept.paper = Paper::Owed(None);
                (kept, Err(Unwritten::Lost))
            }
        };
        inner.note(&kept, done);
        Self { kept, inner }
    }
}

impl Inner {
    /// Notes how the file stands, before anything can be published.
    fn note(&self, kept: &Kept, done: Result<(), Unwritten>) {
        let is_whole = matches!(kept.paper, Paper::Whole(_));
        self.is_owed.store(kept.is_owed(), Ordering::Release);
        let was_sound = self.is_sound.swap(is_whole, Ordering::AcqRel);
        if let Err(error) = done {
            self.metrics.known_unwritten.inc();
            if was_sound {
                tracing::error!(
                    error = %crate::telemetry::chain(&error),
                    "what this node applies of the purge log cannot be written down: purges hold, and after a restart everything on disk is validated before it is used"
                );
            }
        } else if is_whole && !was_sound {
            tracing::info!("what this node applies of the purge log is written down again");
        }
        if kept.is_owed() {
            tracing::debug!("nothing is reported to the purge log until the file is gone");
        }
    }
}
