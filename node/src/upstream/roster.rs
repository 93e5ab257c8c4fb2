//! Which servers does this node know already?
//!
//! A server that stands in the sites before and after they are read again, or in two sites, is the same
//! server: its health, its connections and the bound on them stay. One that no site has is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::member::Member;
use crate::config::{UpstreamAddr, UpstreamConfig};

/// What makes two entries one server: the address, and everything that says how to connect to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ServerKey {
    addr: UpstreamAddr,
}

/// The servers of the sites.
#[derive(Debug)]
pub(crate) struct Roster {
    config: UpstreamConfig,
    members: Mutex<HashMap<ServerKey, Weak<Member>>>,
}

impl Roster {
    /// Knows nobody yet.
    pub(crate) fn new(config: &UpstreamConfig) -> Self {
        Self { config: config.clone(), members: Mutex::default() }
    }

    /// How servers are asked.
    pub(super) fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// The server at `addr`, known or not.
    pub(super) fn member(&self, addr: &UpstreamAddr) -> Arc<Member> {
        let key = ServerKey { addr: addr.clone() };
        let mut members = self.members.lock();
        if let Some(known) = members.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        members.retain(|_, member| member.strong_count() > 0);
        let member = Arc::new(Member::new(addr, &self.config));
        members.insert(key, Arc::downgrade(&member));
        member
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_is_known_for_as_long_as_somebody_has_it() {
        let roster = Roster::new(&UpstreamConfig::default());
        let addr = "http://a:1".parse().unwrap();
        let first = roster.member(&addr);
        assert!(Arc::ptr_eq(&first, &roster.member(&addr)));
        assert!(!Arc::ptr_eq(&first, &roster.member(&"http://a:2".parse().unwrap())));
        drop(first);
        roster.member(&"http://a:3".parse().unwrap());
        assert_eq!(roster.members.lock().len(), 1, "those that are gone take no room");
    }
}
