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
//! A batch that a disk error has torn ([`Engine::may_tear`]) is applied once more as a whole before
//! anybody can look; until then the folder says that the index is not to be trusted.

use std::io;
use std::time::{Duration, Instant};

use parking_lot::{RwLock, RwLockWriteGuard};

use super::deadline::{NoResult, catch, run_within};
use super::engine::Engine;
use super::error::Failure;
use super::folder::Folder;
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
    state: RwLock<State>,
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
    /// A batch that may be applied in part.
    torn: Option<Batch>,
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
        Self { folder, limits, opening, may_tear, state }
    }

    /// Calls the engine beside others.
    fn shared<T>(&self, call: impl Fn(&dyn Engine) -> Result<T, Failure>) -> Result<T, IndexError> {
        let state = self.state.read();
        let State::Open(engine, opened) = &*state else {
            drop(state);
            return self.alone(None, call);
        };
        let (failure, failed) = match run(engine.as_ref(), call) {
            Ok(result) => return Ok(result),
            Err(failure) => (failure, *opened),
        };
        drop(state);
        let mut state = self.state.write();
        // Another one may have met the same and be done with it.
        if matches!(&*state, State::Open(_, opened) if *opened == failed) {
            return Err(self.fail(&mut state, failure, None));
        }
        Err(failure.into())
    }

    /// Calls the engine while nobody else does, and opens it anew first if it is shut.
    ///
    /// `batch` is what the call may leave applied in part.
    fn alone<T>(
        &self,
        batch: Option<&Batch>,
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
        result.map_err(|failure| self.fail(&mut state, failure, batch))
    }

    /// Opens the engine anew, if it is time to try that.
    fn reopen(&self, state: &mut RwLockWriteGuard<'_, State>) -> Result<(), IndexError> {
        let State::Shut(shut) = &mut **state else {
            return Ok(());
        };
        if shut.since.elapsed() < self.limits.reopen_every {
            return Err(shut.error());
        }
        let (torn, opened) = (shut.torn.clone(), Opened(shut.opened.0 + 1));
        let opening = catch(&self.opening).unwrap_or_else(|panic| Err(Failure::Damaged(panic)));
        let engine = match opening {
            Ok(engine) => engine,
            Err(failure) => return Err(self.fail(state, failure, torn.as_ref())),
        };
        **state = State::Open(engine, opened);
        let Some(torn) = torn else {
            return Ok(());
        };
        let State::Open(engine, _) = &**state else {
            return Ok(());
        };
        let mended = run(engine.as_ref(), |engine| {
            engine.apply(&torn)?;
            engine.flush()?;
            self.folder.trust().map_err(Failure::Io)
        });
        mended.map_err(|failure| self.fail(state, failure, Some(&torn)))
    }

    /// Closes the engine that has failed, and tells the caller why.
    fn fail(
        &self,
        state: &mut RwLockWriteGuard<'_, State>,
        failure: Failure,
        torn: Option<&Batch>,
    ) -> IndexError {
        let opened = match &**state {
            State::Damaged(why) => return IndexError::Damaged { why: why.clone() },
            State::Open(_, opened) => *opened,
            State::Shut(shut) => shut.opened,
        };
        let error = IndexError::from(failure);
        if torn.is_some() || matches!(error, IndexError::Damaged { .. }) {
            self.folder.distrust();
        }
        let (next, wait) = match &error {
            IndexError::Full { source } | IndexError::Io { source } => {
                let source = copy(source);
                let (since, torn) = (Instant::now(), torn.cloned());
                // It must let go of its files before it is opened anew.
                (State::Shut(Shut { opened, since, source, torn }), self.limits.open_within)
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
            self.alone(Some(batch), |engine| engine.apply(batch))
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
        self.shared(|engine| engine.flush())
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
