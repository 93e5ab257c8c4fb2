//! Which servers does this node know already?
//!
//! A server that stands in the sites before and after they are read again, or in two sites, is the same
//! server: its health, its connections and the bound on them stay. One that no site has is forgotten.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::member::Member;
use super::tls::TlsError;
use super::transport::{Links, Transport};
use crate::config::{OriginConfig, Protocol, SiteConfig, UpstreamAddr, UpstreamConfig};

/// What makes two entries one server: the address, and everything that says how to connect to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ServerKey {
    addr: UpstreamAddr,
    protocol: Protocol,
    tls_name: Option<String>,
    tls_verify: bool,
    tls_ca: Option<PathBuf>,
    /// Digest of the certificates in the file, which may have been renewed.
    trusted: Option<blake3::Hash>,
}

impl ServerKey {
    fn new(addr: &UpstreamAddr, config: &OriginConfig, links: &Links) -> Self {
        Self {
            addr: addr.clone(),
            protocol: config.protocol,
            tls_name: config.tls_name.clone(),
            tls_verify: config.tls_verify,
            tls_ca: config.tls_ca.clone(),
            trusted: links.trusted(),
        }
    }
}

/// The servers of the sites.
#[derive(Debug)]
pub(crate) struct Roster {
    config: UpstreamConfig,
    transport: Arc<Transport>,
    members: Mutex<HashMap<ServerKey, Weak<Member>>>,
}

impl Roster {
    /// Knows nobody yet.
    pub(crate) fn new(config: &UpstreamConfig, transport: &Arc<Transport>) -> Self {
        let transport = Arc::clone(transport);
        Self { config: config.clone(), transport, members: Mutex::default() }
    }

    /// How servers are asked.
    pub(super) fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// How the servers of `site` are connected to.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; only where a server is asked over TLS.
    pub(super) fn links(&self, site: &SiteConfig) -> Result<Links, TlsError> {
        self.transport.to_origins(site)
    }

    /// The server at `addr` of a site with `config`, known or not.
    pub(super) fn member(
        &self,
        addr: &UpstreamAddr,
        config: &OriginConfig,
        links: &Links,
    ) -> Arc<Member> {
        let key = ServerKey::new(addr, config, links);
        let mut members = self.members.lock();
        if let Some(known) = members.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        members.retain(|_, member| member.strong_count() > 0);
        let member = Arc::new(Member::new(addr, &self.config, links));
        members.insert(key, Arc::downgrade(&member));
        member
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::UpstreamMetrics;

    #[tokio::test]
    async fn a_server_is_known_for_as_long_as_somebody_has_it() {
        let config = UpstreamConfig::default();
        let transport = Transport::new(&config, UpstreamMetrics::default());
        let roster = Roster::new(&config, &transport);
        let links = transport.to_parents();
        let plain = OriginConfig::default();
        let member = |addr: &str| roster.member(&addr.parse().unwrap(), &plain, &links);
        let first = member("http://a:1");
        assert!(Arc::ptr_eq(&first, &member("http://a:1")));
        assert!(!Arc::ptr_eq(&first, &member("http://a:2")));
        let other = OriginConfig { protocol: Protocol::Http2, ..OriginConfig::default() };
        let other = roster.member(&"http://a:1".parse().unwrap(), &other, &links);
        assert!(!Arc::ptr_eq(&first, &other), "asked in another way");
        drop((first, other));
        member("http://a:3");
        assert_eq!(roster.members.lock().len(), 1, "those that are gone take no room");
    }
}
