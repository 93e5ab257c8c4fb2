//! Which of several equal servers is asked, and which next when it fails?

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use weir_cache::{CacheKey, Timestamp};

use super::member::Member;
use crate::config::{UpstreamAddr, UpstreamConfig};

/// What the servers of a group are to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nodes of the next tier: one keeps a key for all, so the key chooses.
    Parents,
    /// The site's own servers: each can answer anything, so they take turns.
    Origins,
}

/// Equal servers upstream.
#[derive(Debug)]
pub(crate) struct Group {
    kind: Kind,
    members: Vec<Arc<Member>>,
    turn: AtomicUsize,
}

impl Group {
    /// A group of the servers at `addrs`.
    pub(crate) fn new(kind: Kind, addrs: &[UpstreamAddr], config: &UpstreamConfig) -> Self {
        let members = addrs.iter().map(|addr| Arc::new(Member::new(addr, config))).collect();
        Self { kind, members, turn: AtomicUsize::new(0) }
    }

    /// What the servers are.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// All servers, in the order of the configuration.
    pub(crate) fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// The servers in the order in which they are to be asked for `key` at `now`.
    ///
    /// Those passed over come last rather than never: when all are unwell, asking is all that is
    /// left. Costs one allocation.
    pub(super) fn order(&self, key: &CacheKey, now: Timestamp) -> Vec<Arc<Member>> {
        let mut order: Vec<_> = self.members.iter().map(Arc::clone).collect();
        match self.kind {
            Kind::Parents => order.sort_by_cached_key(|member| std::cmp::Reverse(member.rank(key))),
            Kind::Origins if order.len() > 1 => {
                let turn = self.turn.fetch_add(1, Relaxed) % order.len();
                order.rotate_left(turn);
            }
            Kind::Origins => {}
        }
        order.sort_by_key(|member| !member.is_healthy(now));
        order
    }
}
