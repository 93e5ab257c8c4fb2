//! Which of several equal servers is asked, and which next when it fails?

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use weir_cache::{CacheKey, Timestamp};

use super::member::Member;
use super::transport::Links;
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
    /// A group of the servers at `addrs`, connected to as `links` says.
    pub(crate) fn new(
        kind: Kind,
        addrs: &[UpstreamAddr],
        config: &UpstreamConfig,
        links: &Links,
    ) -> Self {
        let members = addrs.iter().map(|addr| Arc::new(Member::new(addr, config, links))).collect();
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
    pub(super) fn order(
        &self,
        key: &CacheKey,
        now: Timestamp,
        config: &UpstreamConfig,
    ) -> Vec<Arc<Member>> {
        let mut order: Vec<_> = self.members.iter().map(Arc::clone).collect();
        match self.kind {
            Kind::Parents => order.sort_by_cached_key(|member| std::cmp::Reverse(member.rank(key))),
            Kind::Origins if order.len() > 1 => {
                let turn = self.turn.fetch_add(1, Relaxed) % order.len();
                order.rotate_left(turn);
            }
            Kind::Origins => {}
        }
        // Stops at the first that may be tried: the right to try an unwell one is taken only by the
        // request that uses it.
        if let Some(first) = order.iter().position(|member| member.may_try(now, config)) {
            let chosen = order.remove(first);
            order.sort_by_key(|member| !member.is_healthy(config));
            order.insert(0, chosen);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::UpstreamMetrics;
    use crate::upstream::Transport;

    const SECOND: Duration = Duration::from_secs(1);

    fn group(kind: Kind, count: u16) -> (Group, UpstreamConfig) {
        let config = UpstreamConfig { eject_for: 2 * SECOND, ..UpstreamConfig::default() };
        let addrs: Vec<_> = (1..=count).map(|port| UpstreamAddr::plain("parent", port)).collect();
        let links = Transport::new(&config, UpstreamMetrics::default()).to_parents();
        (Group::new(kind, &addrs, &config, &links), config)
    }

    fn key(number: u64) -> CacheKey {
        CacheKey::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn first(group: &Group, config: &UpstreamConfig, number: u64, now: Timestamp) -> String {
        group.order(&key(number), now, config)[0].authority().to_owned()
    }

    #[test]
    fn a_parent_that_goes_moves_only_its_own_keys() {
        let (three, config) = group(Kind::Parents, 3);
        let (two, _) = group(Kind::Parents, 2);
        let mut moved = 0;
        for number in 0..3_000 {
            let before = first(&three, &config, number, Timestamp::ZERO);
            let after = first(&two, &config, number, Timestamp::ZERO);
            if before == "parent:3" {
                moved += 1;
            } else {
                assert_eq!(before, after, "key {number} stays where it was");
            }
        }
        assert!((900..1_100).contains(&moved), "a third of the keys, not {moved}");
    }

    #[test]
    fn a_failed_parent_is_tried_by_one_request_at_a_time_and_later_each_time() {
        let (group, config) = group(Kind::Parents, 2);
        let start = Timestamp::ZERO.saturating_add(SECOND);
        let preferred = Arc::clone(&group.order(&key(7), start, &config)[0]);
        let asked = |now| first(&group, &config, 7, now) == preferred.authority();
        assert!(preferred.on_failure(start, &config));
        assert!(!asked(start.saturating_add(SECOND)), "passed over for two seconds");
        let later = start.saturating_add(2 * SECOND);
        assert!(asked(later), "one request tries it");
        assert!(!asked(later), "the others do not wait for that");
        assert!(preferred.on_failure(later, &config));
        assert!(!asked(later.saturating_add(3 * SECOND)), "twice as long the second time");
        assert!(asked(later.saturating_add(4 * SECOND)));
        preferred.on_success();
        assert!(asked(later) && asked(later), "one success clears it");
    }

    #[test]
    fn origins_take_turns_and_a_lone_one_is_always_asked() {
        let (several, config) = group(Kind::Origins, 3);
        let asked: Vec<_> = (0..3).map(|_| first(&several, &config, 7, Timestamp::ZERO)).collect();
        assert_eq!(asked, ["parent:1", "parent:2", "parent:3"]);
        let (lone, config) = group(Kind::Origins, 1);
        lone.members()[0].on_failure(Timestamp::ZERO, &config);
        assert_eq!(first(&lone, &config, 7, Timestamp::ZERO), "parent:1");
    }
}
