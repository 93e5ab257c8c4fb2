//! What nodes say to each other, what happens when, and who is cut off from whom.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use weir_cache::Timestamp;
use weir_cache::purge::{AsOf, Entry};

/// A node by its place in the world.
pub(crate) type NodeId = usize;
/// The shield, which also keeps the log.
pub(crate) const SHIELD: NodeId = 0;
/// The tier between.
pub(crate) const REGIONALS: [NodeId; 2] = [1, 2];
/// The tier that clients ask.
pub(crate) const EDGES: [NodeId; 4] = [3, 4, 5, TWIN];
/// A second run of the first edge under the same name, as while one hands over to the next.
pub(crate) const TWIN: NodeId = 6;
/// All of them.
pub(crate) const NODES: usize = 7;
/// Whoever owns the bytes; no node of ours.
pub(crate) const ORIGIN: NodeId = 7;

/// The name under which a node reports.
pub(crate) fn name(node: NodeId) -> &'static str {
    ["shield-0", "regional-0", "regional-1", "edge-0", "edge-1", "edge-2", "edge-0", "origin"][node]
}

/// Whom a response is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker {
    Child { node: NodeId, request: u64 },
    Client { read: usize },
}

/// A request for a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Get {
    pub(crate) asker: Asker,
    pub(crate) resource: usize,
    /// The version that the asker holds and wants validated.
    pub(crate) etag: Option<u32>,
    /// How far the answer must reach.
    pub(crate) min: Option<AsOf>,
    /// Whether it has waited already for this node to catch up.
    pub(crate) has_waited: bool,
}

/// A response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Failed,
    /// The version that was asked about is the one there is.
    NotModified {
        as_of: Option<AsOf>,
    },
    Whole {
        version: u32,
        as_of: Option<AsOf>,
    },
}

/// A member's report, which asks for what it has not applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) node: NodeId,
    pub(crate) boot: u64,
    pub(crate) number: u64,
    /// By the member's clock.
    pub(crate) sent: Timestamp,
    pub(crate) position: Option<AsOf>,
}

/// What the log says to a report.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) question: Question,
    pub(crate) head: AsOf,
    /// What follows the member's position; without them it must join at `head`.
    pub(crate) entries: Option<Vec<(u64, Rc<Entry>)>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Message {
    Answer(Answer),
    /// A purge asked for: the promise made about it, and the entry.
    Append {
        promise: usize,
        entry: Rc<Entry>,
    },
    Get(Get),
    /// A member that goes and reuses nothing any more.
    Leave {
        node: NodeId,
        boot: u64,
    },
    Reply {
        request: u64,
        reply: Reply,
    },
    Report(Question),
    /// An entry of some time ago once more.
    Resent {
        at: AsOf,
        entry: Rc<Entry>,
    },
}

impl Message {
    /// Whether it travels between a member and the log, not between child and parent.
    pub(crate) fn is_of_the_log(&self) -> bool {
        !matches!(self, Self::Get(_) | Self::Reply { .. })
    }
}

/// Something a node set itself to do later.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timer {
    /// Handle the request now, caught up or not.
    Again(Get),
    /// The body of a fill is whole.
    Body {
        fill: u64,
    },
    /// The log is safe up to here.
    Durable {
        seq: u64,
    },
    /// A parent has had its time.
    Late {
        request: u64,
    },
    /// A report that was held for news is answered without.
    Release {
        number: u64,
    },
    Report,
    /// A purge may be complete by time alone.
    Settle,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The schedule's next action.
    Act,
    Deliver {
        to: NodeId,
        message: Message,
    },
    Start(NodeId),
    Thaw(NodeId),
    Timer {
        node: NodeId,
        boot: u64,
        timer: Timer,
    },
}

impl Event {
    /// The node that it happens on, if that must be running.
    pub(crate) fn node(&self) -> Option<NodeId> {
        match self {
            Self::Deliver { to: ORIGIN, .. } | Self::Act | Self::Start(_) | Self::Thaw(_) => None,
            Self::Deliver { to: node, .. } | Self::Timer { node, .. } => Some(*node),
        }
    }
}

/// What happens when. Of two events at one moment the one that was put in first comes first.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Due>,
    put_in: u64,
}

#[derive(Debug)]
struct Due {
    at: u64,
    turn: u64,
    event: Event,
}

impl Queue {
    pub(crate) fn push(&mut self, at: u64, event: Event) {
        self.put_in += 1;
        self.heap.push(Due { at, turn: self.put_in, event });
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|due| (due.at, due.event))
    }
}

impl Ord for Due {
    /// The earlier is the greater: a heap gives its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.turn).cmp(&(self.at, self.turn))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

/// Until when each node is cut off.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    log: [u64; NODES],
    parents: [u64; NODES],
}

impl Cuts {
    /// Cuts a node off from the log until `until`.
    pub(crate) fn cut_log(&mut self, node: NodeId, until: u64) {
        self.log[node] = until;
    }

    /// Cuts a node off from whoever it asks for responses, and from whoever asks it.
    pub(crate) fn cut_parents(&mut self, node: NodeId, until: u64) {
        self.parents[node] = until;
    }

    /// Whether a message between the two is lost.
    pub(crate) fn between(&self, ends: [NodeId; 2], is_of_the_log: bool, now: u64) -> bool {
        let cuts = if is_of_the_log { &self.log } else { &self.parents };
        ends.iter().any(|node| cuts.get(*node).is_some_and(|until| now < *until))
    }
}
