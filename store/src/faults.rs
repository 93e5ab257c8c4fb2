//! How can a test make a chosen touch of the disk fail?
//!
//! What touches the disk asks [`meet`] before each operation whose failure matters, or [`Faults::meet`]
//! where part of it can be done. Which operations there are, and what they do, is decided there. Without
//! a plan, which is how a node runs, this costs a comparison.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use parking_lot::Mutex;

/// One touch of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskOp {
    /// A file is made, or opened if it is there.
    Create,
    /// The names in a folder are read.
    List,
    /// A folder is made.
    MakeFolder,
    /// A file that is there is opened.
    Open,
    /// Reading begins.
    Read,
    /// A file gets another name.
    Rename,
    /// Bytes are made durable.
    Sync,
    /// Names are made durable.
    SyncFolder,
    /// A file is cut.
    Truncate,
    /// A file loses its name.
    Unlink,
    /// Bytes are written.
    Write,
}

/// With what an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// An error of this kind.
    Kind(ErrorKind),
    /// The error that the system has this number for; some have no kind of their own.
    Os(i32),
}

impl From<ErrorKind> for Failure {
    fn from(kind: ErrorKind) -> Self {
        Self::Kind(kind)
    }
}

/// Makes chosen operations of a disk fail, and counts those that were tried.
///
/// All clones share one plan. Without a plan everything works.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    seen: Vec<DiskOp>,
    faults: Vec<Fault>,
    /// What fails everything from a crash on.
    crash: Option<Fault>,
}

/// How one operation fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// `None` matches every operation.
    op: Option<DiskOp>,
    /// Matching operations that still work.
    after: usize,
    with: Failure,
    /// How much of it is done all the same: the bytes of a write, or all of anything else unless 0.
    done: usize,
    crash: bool,
}

impl Fault {
    /// What reaches the disk of `bytes` that are written.
    pub(crate) fn part_of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(..self.done).unwrap_or(bytes)
    }

    pub(crate) fn error(self) -> io::Error {
        match self.with {
            Failure::Kind(kind) => kind.into(),
            Failure::Os(number) => io::Error::from_raw_os_error(number),
        }
    }
}

/// Does `act`, which is an `op`, or fails as planned: before it is done, or after.
pub(crate) fn meet<T>(
    faults: Option<&Faults>,
    op: DiskOp,
    act: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let Some(fault) = faults.and_then(|faults| faults.meet(op)) else {
        return act();
    };
    if fault.done > 0 {
        drop(act()?);
    }
    Err(fault.error())
}

impl Faults {
    /// Lets `op` work `after` times more, and then fail once `with` that.
    ///
    /// It fails when `done` bytes of it are written. Any other operation fails undone if `done` is
    /// 0, and else when it is done.
    pub fn fail(&self, op: DiskOp, after: usize, with: impl Into<Failure>, done: usize) {
        self.add(Fault { op: Some(op), after, with: with.into(), done, crash: false });
    }

    /// Like [`Faults::fail`], whatever the operation is.
    pub fn fail_any(&self, after: usize, with: impl Into<Failure>, done: usize) {
        self.add(Fault { op: None, after, with: with.into(), done, crash: false });
    }

    /// Like [`Faults::fail_any`], and nothing works from then on, as if the process had ended.
    pub fn crash(&self, after: usize, done: usize) {
        self.add(Fault { op: None, after, with: ErrorKind::Other.into(), done, crash: true });
    }

    /// The operations tried since this was asked last.
    #[must_use]
    pub fn take_seen(&self) -> Vec<DiskOp> {
        std::mem::take(&mut self.plan.lock().seen)
    }

    fn add(&self, fault: Fault) {
        self.plan.lock().faults.push(fault);
    }

    /// Counts `op`, and returns how it fails if it does.
    pub(crate) fn meet(&self, op: DiskOp) -> Option<Fault> {
        let mut plan = self.plan.lock();
        plan.seen.push(op);
        if plan.crash.is_some() {
            return plan.crash;
        }
        let mut due = None;
        for (index, fault) in plan.faults.iter_mut().enumerate() {
            if fault.op.is_some_and(|wanted| wanted != op) {
                continue;
            }
            match fault.after.checked_sub(1) {
                Some(left) => fault.after = left,
                None => due = Some(index),
            }
        }
        let fault = plan.faults.remove(due?);
        if fault.crash {
            plan.crash = Some(Fault { done: 0, ..fault });
        }
        Some(fault)
    }
}
