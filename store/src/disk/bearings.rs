//! What does the tier ask of the node around it: the time, its place in the purge log, and an ear for
//! what happened?

use weir_cache::purge::AsOf;
use weir_cache::{Present, Seq};

/// The node, as far as the tier knows it.
pub trait Bearings: Send + Sync + 'static {
    /// This moment on all clocks.
    fn present(&self) -> Present;
    /// What other nodes, and other runs of this one, call a position in the purge log.
    fn told(&self, position: Seq) -> Option<AsOf>;
    /// This node's own number of such a position; zero for one unknown.
    fn heard(&self, as_of: AsOf) -> Seq;
    /// Hears of what happened. Called from the tier's threads; must not block.
    fn note(&self, event: DiskEvent);
}

/// What happened on disk that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskEvent {
    /// The index is open.
    Opened {
        /// Keys that it holds.
        keys: u64,
        /// Bytes that they are charged for.
        bytes: u64,
        /// How long it took to open, in milliseconds.
        took_ms: u64,
    },
    /// The index could not be read and was set aside; it is built anew from the bodies.
    IndexSetAside {
        /// What was wrong.
        why: String,
    },
    /// The index has been built anew.
    Rebuilt {
        /// Stored responses found again.
        found: u64,
    },
    /// A write failed; nothing more is written until it is tried again.
    WritesOff {
        /// What the system said.
        why: String,
    },
    /// Writing works again.
    WritesOn,
    /// A file is not what was written; it was set aside.
    Damaged {
        /// Its name: the digest that its content should have.
        digest: String,
    },
    /// Nothing is read or written any more until the node starts again.
    Stopped {
        /// Why.
        why: String,
    },
}
