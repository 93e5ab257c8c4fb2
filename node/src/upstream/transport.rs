//! What the connections of a node share, and how those to one group of servers are made.

use std::sync::Arc;

use super::addresses::Lookups;
use super::connector::{Connector, Security};
use super::group::Kind;
use super::resolve::Resolver;
use super::tls::{Tls, TlsError};
use crate::config::{OriginConfig, Protocol, Scheme, SiteConfig, UpstreamAddr, UpstreamConfig};
use crate::metrics::UpstreamMetrics;
use crate::tls::TierIdentity;

/// What all connections of a node share.
#[derive(Debug)]
pub(crate) struct Transport {
    config: UpstreamConfig,
    lookups: Lookups,
    metrics: UpstreamMetrics,
}

impl Transport {
    /// The transport of a node. Opens and reads nothing yet.
    pub(crate) fn new(config: &UpstreamConfig, metrics: UpstreamMetrics) -> Arc<Self> {
        let lookups = Lookups {
            resolver: Arc::new(Resolver::system()),
            ttl_max: config.name_ttl_max,
            failures: metrics.lookup_failures.clone(),
        };
        Arc::new(Self { config: config.clone(), lookups, metrics })
    }

    /// The same with another way to addresses.
    #[cfg(test)]
    pub(super) fn resolving_with(resolver: Resolver, config: &UpstreamConfig) -> Arc<Self> {
        let metrics = UpstreamMetrics::default();
        let lookups = Lookups {
            resolver: Arc::new(resolver),
            ttl_max: config.name_ttl_max,
            failures: metrics.lookup_failures.clone(),
        };
        Arc::new(Self { config: config.clone(), lookups, metrics })
    }

    /// Connections to parents: plain HTTP/1.1.
    pub(crate) fn to_parents(self: &Arc<Self>) -> Links {
        Links {
            transport: Arc::clone(self),
            kind: Kind::Parents,
            protocol: Protocol::Http1,
            tls: None,
        }
    }

    /// Connections to the nodes at `addrs`, over TLS where their addresses say so.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; only where one is asked over TLS.
    pub(crate) fn to_nodes<'a>(
        self: &Arc<Self>,
        addrs: impl Iterator<Item = &'a UpstreamAddr>,
        (identity, name): (Option<TierIdentity>, Option<&str>),
    ) -> Result<Links, TlsError> {
        let mut links = self.to_parents();
        let secure: Vec<_> = addrs.filter(|addr| addr.scheme == Scheme::Https).collect();
        if let Some(identity) = identity.filter(|_| !secure.is_empty()) {
            let tls = Tls::to_parents(identity, name)?;
            for addr in secure {
                tls.name_for(&addr.host)?;
            }
            links.tls = Some(Arc::new(tls));
        }
        Ok(links)
    }

    /// Connections to the origins of `site`. Reads the certificates that they need.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; only where an origin is asked over TLS.
    pub(crate) fn to_origins(self: &Arc<Self>, site: &SiteConfig) -> Result<Links, TlsError> {
        let secure: Vec<_> = site
            .origins
            .iter()
            .map(|origin| &origin.addr)
            .filter(|addr| addr.scheme == Scheme::Https)
            .collect();
        let tls = if secure.is_empty() { None } else { Some(tls_of(&site.origin, &secure)?) };
        if tls.is_some() && !site.origin.tls_verify {
            tracing::warn!(site = %site.name, "certificates of origins are not checked (tls_verify)");
        }
        let transport = Arc::clone(self);
        Ok(Links { transport, kind: Kind::Origins, protocol: site.origin.protocol, tls })
    }
}

/// The TLS of a site, in which every one of its origins has a name.
fn tls_of(origin: &OriginConfig, addrs: &[&UpstreamAddr]) -> Result<Arc<Tls>, TlsError> {
    let tls = Tls::new(origin)?;
    for addr in addrs {
        tls.name_for(&addr.host)?;
    }
    Ok(Arc::new(tls))
}

/// How connections to the servers of one group are made.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    transport: Arc<Transport>,
    kind: Kind,
    protocol: Protocol,
    tls: Option<Arc<Tls>>,
}

impl Links {
    pub(super) fn config(&self) -> &UpstreamConfig {
        &self.transport.config
    }

    pub(super) fn lookups(&self) -> &Lookups {
        &self.transport.lookups
    }

    /// Digest of the file with the certificates that count; `None` where there is no such file.
    pub(super) fn trusted(&self) -> Option<blake3::Hash> {
        self.tls.as_ref().and_then(|tls| tls.trusted())
    }

    /// Whether HTTP/2 is spoken to servers that take it.
    pub(super) fn speaks_http2(&self) -> bool {
        self.protocol == Protocol::Http2
    }

    /// What opens connections to the server at `addr`.
    pub(super) fn connector(&self, addr: &UpstreamAddr) -> Connector {
        let config = &self.transport.config;
        let named = self.tls.as_ref().and_then(|tls| Some((tls, tls.name_for(&addr.host).ok()?)));
        let security = match (addr.scheme, named) {
            (Scheme::Http, _) => Security::None,
            (Scheme::Https, Some((tls, name))) => Security::Tls(Arc::clone(tls), name),
            (Scheme::Https, None) => Security::Missing,
        };
        Connector {
            kind: self.kind,
            port: addr.port,
            security,
            connect_timeout: config.connect_timeout,
            tls_timeout: config.tls_timeout,
            metrics: self.transport.metrics.clone(),
        }
    }
}
