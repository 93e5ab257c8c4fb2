//! What becomes of an engine that panics, fails or hangs?
//!
//! ```text
//!           disk full, I/O error           damage, panic
//!   Open ------------------------> Shut ------------------> Damaged
//!    ^------------------------------'     Open ----------------^
//!       opened anew, at most every `reopen_every`
//! ```
//!
//! Neither engine can be used after an error of the disk, so it is closed and opened anew by the
//! first call that comes when it may be tried again. Damage is final, and noted in the folder for
//! the next start.
//!
//! A disk error may leave an engine with a part of a batch ([`Engine::may_tear`]) or without one that
//! it took before. Such an engine is given all that was not flushed once more, in order, before
//! anybody can look; until then the folder says that the index is not to be trusted.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};

use super::deadline::{NoResult, catch, run_within};
use super::engine::Engine;
use super::error::Failure;
use super::folder::Folder;
use super::unflushed::Unflushed;
use super::{Batch, Index, IndexError, IndexLimits, Rows, check};

/// Opens the engine, within its deadline.
pub(super) type Opening = Box<dyn Fn() -> Result<Box<dyn Engine>, Failure> + Send + Sync>;

/// An engine, and what to do when it fails.
pub(super) struct Guarded {
    folder: Folder,
    limits: IndexLimits,
    opening: Opening,
    /// Whether a failed batch may be applied in part, so that nobody may look meanwhile.
    may_tear: bool,
    /// See [`Index::openings`].
    openings: AtomicU64,
    state: RwLock<State>,
    /// Nothing, unless it may tear.
    unflushed: Mutex<Unflushed>,
}

enum State {
    Damaged(String),
    Open(Box<dyn Engine>, Opened),
    Shut(Shut),
}

/// Which opening an engine came from: those who see it fail may come late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Opened(u64);

/// An engine that the disk has failed.
struct Shut {
    opened: Opened,
    /// When it was last tried.
    since: Instant,
    /// What the system said then.
    source: io::Error,
}

impl Guarded {
    pub(super) fn new(
        folder: Folder,
        limits: IndexLimits,
        opening: Opening,
        engine: Box<dyn Engine>,
    ) -> Self {
        let may_tear = engine.may_tear();
        let state = RwLock::new(State::Open(engine, Opened(0)));
        let (openings, unflushed) = (AtomicU64::new(1), Mutex::default());
        Self { folder, limits, opening, may_tear, openings, state, unflushed }
    }

    /// Calls the engine beside others.
    fn shared<T>(&self, call: impl Fn(&dyn Engine) -> Result<T, Failure>) -> Result<T, IndexError> {
        let state = self.state.read();
        let State::Open(engine, opened) = &*state else {
            drop(state);
            return self.alone(false, call);
        };
        let (failure, failed) = match run(engine.as_ref(), call) {
            Ok(result) => return Ok(result),
            Err(failure) => (failure, *opened),
        };
        drop(state);
        let mut state = self.state.write();
        // Another one may have met the same and be done with it.
        if matches!(&*state, State::Open(_, opened) if *opened == failed) {
            return Err(self.fail(&mut state, failure, false));
        }
        Err(failure.into())
    }

    /// Calls the engine while nobody else does, and opens it anew first if it is shut.
    ///
    /// `tears` says whether a call that fails may leave a part of a batch.
    fn alone<T>(
        &self,
        tears: bool,
        call: impl Fn(&dyn Engine) -> Result<T, Failure>,
    ) -> Result<T, IndexError> {
        let mut state = self.state.write();
        if matches!(&*state, State::Shut(_)) {
            self.reopen(&mut state)?;
        }
        let result = match &*state {
            State::Damaged(why) => return Err(IndexError::Damaged { why: why.clone() }),
            State::Open(engine, _) => run(engine.as_ref(), call),
            State::Shut(shut) => return Err(shut.error()),
        };
        result.map_err(|failure| self.fail(&mut state, failure, tears))
    }

    /// Opens the engine anew, if it is time to try that.
    fn reopen(&self, state: &mut RwLockWriteGuard<'_, State>) -> Result<(), IndexError> {
        let State::Shut(shut) = &mut **state else {
            return Ok(());
        };
        if shut.since.elapsed() < self.limits.reopen_every {
            return Err(shut.error());
        }
        let opened = Opened(shut.opened.0 + 1);
        let opening = catch(&self.opening).unwrap_or_else(|panic| Err(Failure::Damaged(panic)));
        let replayed =
            opening.and_then(|engine| match run(engine.as_ref(), |engine| self.replay(engine)) {
                Ok(()) => Ok(engine),
                Err(failure) => {
                    drop(close(engine, self.limits.open_within));
                    Err(failure)
                }
            });
        match replayed {
            Ok(engine) => {
                self.openings.fetch_add(1, Ordering::AcqRel);
                **state = State::Open(engine, opened);
                Ok(())
            }
            Err(failure) => Err(self.fail(state, failure, false)),
        }
    }

    /// Applies once more what was not flushed, so that all of it is there.
    fn replay(&self, engine: &dyn Engine) -> Result<(), Failure> {
        let mut unflushed = self.unflushed.lock();
        if !unflushed.is_empty() {
            // Meanwhile older batches lie over newer ones.
            self.folder.distrust();
            unflushed.batches().iter().try_for_each(|batch| engine.apply(batch))?;
            engine.flush()?;
            unflushed.clear();
        }
        self.folder.trust().map_err(Failure::Io)
    }

    fn apply_and_note(&self, engine: &dyn Engine, batch: &Batch) -> Result<(), Failure> {
        if self.unflushed.lock().is_full() {
            self.flush_and_forget(engine)?;
        }
        self.unflushed.lock().push(batch);
        engine.apply(batch)
    }

    fn flush_and_forget(&self, engine: &dyn Engine) -> Result<(), Failure> {
        engine.flush()?;
        self.unflushed.lock().clear();
        Ok(())
    }

    /// Closes the engine that has failed, and tells the caller why.
    fn fail(
        &self,
        state: &mut RwLockWriteGuard<'_, State>,
        failure: Failure,
        torn: bool,
    ) -> IndexError {
        let opened = match &**state {
            State::Damaged(why) => return IndexError::Damaged { why: why.clone() },
            State::Open(_, opened) => *opened,
            State::Shut(shut) => shut.opened,
        };
        let error = IndexError::from(failure);
        if torn || matches!(error, IndexError::Damaged { .. }) {
            self.folder.distrust();
        }
        let (next, wait) = match &error {
            IndexError::Full { source } | IndexError::Io { source } => {
                let (since, source) = (Instant::now(), copy(source));
                // It must let go of its files before it is opened anew.
                (State::Shut(Shut { opened, since, source }), self.limits.open_within)
            }
            error => (State::Damaged(why(error)), Duration::ZERO),
        };
        if let State::Open(engine, _) = std::mem::replace(&mut **state, next) {
            drop(close(engine, wait));
        }
        error
    }
}

impl Index for Guarded {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.shared(|engine| engine.get(key))
    }

    fn apply(&self, batch: &Batch) -> Result<(), IndexError> {
        check(batch)?;
        if self.may_tear {
            self.alone(true, |engine| self.apply_and_note(engine, batch))
        } else {
            self.shared(|engine| engine.apply(batch))
        }
    }

    fn scan(&self, from: &[u8], below: &[u8], limit: usize) -> Result<Rows, IndexError> {
        // An engine may panic over an interval that ends before it begins.
        let limit = if from < below { limit } else { 0 };
        self.shared(
            |engine| if limit == 0 { Ok(Rows::new()) } else { engine.scan(from, below, limit) },
        )
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.shared(|engine| self.flush_and_forget(engine))
    }

    fn openings(&self) -> u64 {
        self.openings.load(Ordering::Acquire)
    }

    fn distrust(&self, why: &str) {
        let failure = Failure::Damaged(why.to_owned());
        self.fail(&mut self.state.write(), failure, false);
    }

    fn bytes_on_disk(&self) -> u64 {
        self.folder.bytes_on_disk()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let closed = State::Damaged(String::new());
        if let State::Open(engine, _) = std::mem::replace(self.state.get_mut(), closed)
            && let Err(NoResult::Panicked(_)) = close(engine, self.limits.open_within)
        {
            self.folder.distrust();
        }
    }
}

impl Shut {
    fn error(&self) -> IndexError {
        Failure::Io(copy(&self.source)).into()
    }
}

/// Runs a call, and takes a panic for damage.
fn run<T>(
    engine: &dyn Engine,
    call: impl Fn(&dyn Engine) -> Result<T, Failure>,
) -> Result<T, Failure> {
    catch(|| call(engine)).unwrap_or_else(|panic| Err(Failure::Damaged(panic)))
}

/// Closes an engine on a thread of its own, since it may wait for a thread that has died.
fn close(engine: Box<dyn Engine>, within: Duration) -> Result<(), NoResult> {
    // Without a thread it is dropped, and so closed, right here.
    catch(|| run_within(within, move || drop(engine)))
        .unwrap_or_else(|why| Err(NoResult::Panicked(why)))
}

/// The same error, for somebody else.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

fn why(error: &IndexError) -> String {
    match error {
        IndexError::Damaged { why } => why.clone(),
        error => error.to_string(),
    }
}
