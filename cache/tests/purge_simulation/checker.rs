//! Did a client see what a completed purge had removed?
//!
//! A history of purges and reads on one true clock. A purge promises, for everything that it means: no
//! read that starts after it was reported complete returns a version below the origin's at the moment
//! when it was asked for. Reads that overlap a purge may see either side, purges that nobody called
//! complete promise nothing, and an error is no stale answer.

use std::fmt;

use weir_cache::purge::AsOf;

use super::catalogue::{Named, RESOURCES};
use super::network::{NodeId, name};

/// What a run may break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A purge that still waits although every lease from before it has run out.
    Incomplete { seq: u64 },
    /// A version that the origin never had.
    Invented { read: usize, version: u32 },
    /// A read at a node that is cut off, which knew better.
    Forgotten { read: usize, version: u32, promise: usize },
    /// A read after a purge that returned what the purge had removed.
    Stale { read: usize, version: u32, promise: usize, at_least: u32 },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { seq } => write!(f, "purge {seq} is not complete after a lease"),
            Self::Invented { read, version } => write!(f, "read {read} got {version} of nowhere"),
            Self::Forgotten { read, version, promise } => write!(
                f,
                "read {read} got version {version} from a node that has reported purge {promise} as applied"
            ),
            Self::Stale { read, version, promise, at_least } => write!(
                f,
                "read {read} got version {version}, begun after purge {promise} was complete, \
                 which promised at least {at_least}"
            ),
        }
    }
}

/// What was promised by one purge.
#[derive(Debug)]
struct Promise {
    named: Vec<Named>,
    /// The origin's versions when it was asked for.
    versions: [u32; RESOURCES.len()],
    complete: Option<u64>,
    /// Where it is in the log, once it is safe there.
    at: Option<AsOf>,
}

/// A read under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) resource: usize,
    pub(crate) edge: NodeId,
    pub(crate) started: u64,
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", RESOURCES[self.resource], name(self.edge))
    }
}

/// The history so far.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    promises: Vec<Promise>,
    reads: Vec<Read>,
    /// What each node has reported to have applied, the farthest in each life of the log.
    reported: Vec<(NodeId, AsOf)>,
}

impl Checker {
    /// A purge is asked for; returns the number of its promise.
    pub(crate) fn on_asked(
        &mut self,
        named: Vec<Named>,
        versions: [u32; RESOURCES.len()],
    ) -> usize {
        self.promises.push(Promise { named, versions, complete: None, at: None });
        self.promises.len() - 1
    }

    /// A purge is reported complete for the first time, or once more.
    pub(crate) fn on_complete(&mut self, promise: usize, now: u64) {
        self.promises[promise].complete.get_or_insert(now);
    }

    /// A purge has its number.
    pub(crate) fn on_numbered(&mut self, promise: usize, at: AsOf) {
        self.promises[promise].at = Some(at);
    }

    /// A node has said how far it is.
    pub(crate) fn on_reported(&mut self, node: NodeId, at: AsOf) {
        let known = self.reported.iter_mut().find(|(who, it)| *who == node && it.epoch == at.epoch);
        match known {
            Some((_, farthest)) => farthest.seq = farthest.seq.max(at.seq),
            None => self.reported.push((node, at)),
        }
    }

    /// A client has its answer from a node that is cut off and goes on with what it stores: nothing that
    /// it has reported as applied may have removed it.
    ///
    /// # Errors
    ///
    /// [`Broken::Forgotten`].
    pub(crate) fn on_answer_cut_off(&self, read: usize, version: u32) -> Result<(), Broken> {
        let Read { resource, edge, .. } = self.reads[read];
        let is_applied = |at: AsOf| {
            self.reported.iter().any(|(node, farthest)| {
                *node == edge && farthest.epoch == at.epoch && at.seq <= farthest.seq
            })
        };
        let is_broken = |promise: &Promise| {
            version < promise.versions[resource]
                && promise.at.is_some_and(is_applied)
                && promise.named.iter().any(|named| named.means(resource, version))
        };
        match self.promises.iter().position(is_broken) {
            Some(promise) => Err(Broken::Forgotten { read, version, promise }),
            None => Ok(()),
        }
    }

    /// A client begins to ask; returns the number of its read.
    pub(crate) fn on_start(&mut self, read: Read) -> usize {
        self.reads.push(read);
        self.reads.len() - 1
    }

    pub(crate) fn read(&self, read: usize) -> Read {
        self.reads[read]
    }

    /// A client has its answer, when the origin has come to `newest`.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it must not have been that one.
    pub(crate) fn on_answer(&self, read: usize, version: u32, newest: u32) -> Result<(), Broken> {
        let Read { resource, started, .. } = self.reads[read];
        if version == 0 || version > newest {
            return Err(Broken::Invented { read, version });
        }
        let is_broken = |promise: &Promise| {
            version < promise.versions[resource]
                && promise.complete.is_some_and(|complete| complete < started)
                && promise.named.iter().any(|named| named.means(resource, version))
        };
        let Some(promise) = self.promises.iter().position(is_broken) else { return Ok(()) };
        let at_least = self.promises[promise].versions[resource];
        Err(Broken::Stale { read, version, promise, at_least })
    }

    /// How many purges were reported complete.
    pub(crate) fn complete(&self) -> u64 {
        let complete = self.promises.iter().filter(|promise| promise.complete.is_some());
        u64::try_from(complete.count()).expect("counts fit into 64 bits")
    }
}
