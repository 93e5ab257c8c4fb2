//! What of TLS is in force at this moment, and how is it replaced?
//!
//! Everything that was read from files lies in one [`Current`], which is exchanged in one step. Where the
//! node listens, and whether `tier_ca` is set, is decided when it starts.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::UnixTime;
use rustls::sign::CertifiedKey;

use super::certificate::{TlsProblems, pair_in};
use super::serving::Serving;
use super::tier::{TierIdentity, TierTrust};
use crate::config::TlsConfig;
use crate::metrics::TlsMetrics;

/// What was read from files at one time.
#[derive(Debug)]
pub(crate) struct Current {
    /// What names the files.
    config: TlsConfig,
    /// The files as they were.
    stamps: Vec<(PathBuf, Stamp)>,
    /// What serves handshakes; `None` where the node does not listen for TLS.
    serving: Option<Arc<Serving>>,
    /// Who vouches for nodes.
    pub(super) tiers: Option<Arc<TierTrust>>,
    /// What parents are shown.
    pub(super) tier_pair: Option<Arc<CertifiedKey>>,
}

/// What tells one state of a file from another without reading it; `None` where there is no file.
type Stamp = Option<(i64, i64, u64, u64)>;

impl Current {
    fn read(
        config: &TlsConfig,
        before: Option<&Self>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsProblems> {
        // Before the files are read: what changes meanwhile is seen the next time.
        let stamps = stamps(config);
        let tiers = match &config.tier_ca {
            Some(path) => Some(Arc::new(TierTrust::read(path, provider)?)),
            None => None,
        };
        let tier_pair = match (&config.tier_certificate, &config.tier_key) {
            (Some(certificate), Some(key)) => {
                let keys = ("tier_certificate in [tls]", "tier_key in [tls]");
                Some(pair_in((certificate, key), keys, provider)?)
            }
            _ => None,
        };
        let serving = match config.listen {
            Some(_) => {
                let before = before.and_then(|before| before.serving.as_deref());
                Some(Arc::new(Serving::read(config, tiers.clone(), before, provider)?))
            }
            None => None,
        };
        Ok(Self { config: config.clone(), stamps, serving, tiers, tier_pair })
    }

    fn warn_of_ends(&self) {
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
        for certificate in self.serving.iter().flat_map(|serving| serving.certificates()) {
            certificate.warn_of_its_end(now);
        }
    }
}

/// The TLS of one node.
#[derive(Debug)]
pub(crate) struct NodeTls {
    current: Arc<ArcSwap<Current>>,
    provider: Arc<CryptoProvider>,
    metrics: TlsMetrics,
    /// The port that clients use; `None` where the node does not listen for TLS.
    pub(crate) port: Option<u16>,
    /// Held while files are read and taken, so that what was read first is not taken last.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// A name for the CDN that all who have the same `tier_ca` agree on.
    pub(crate) cdn_id: Option<String>,
}

impl NodeTls {
    /// Reads the files that `config` names; `port` is where the node listens.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub(crate) fn read(
        config: &TlsConfig,
        port: Option<u16>,
        metrics: &TlsMetrics,
    ) -> Result<Self, TlsProblems> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Current::read(config, None, &provider)?;
        current.warn_of_ends();
        let cdn_id = current.tiers.as_ref().map(|tiers| tiers.cdn_id.clone());
        let metrics = metrics.clone();
        metrics.show(current.serving.as_deref());
        let current = Arc::new(ArcSwap::from_pointee(current));
        let turn = tokio::sync::Mutex::default();
        Ok(Self { current, provider, metrics, port, turn, cdn_id })
    }

    /// Reads the files that `config` names, and changes nothing yet. Reads files: not for a thread that
    /// serves.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub(crate) fn prepare(&self, config: &TlsConfig) -> Result<Current, TlsProblems> {
        let running = self.current.load();
        let mut config = config.clone();
        // Decided when the node starts.
        config.listen = running.config.listen;
        if running.tiers.is_none() {
            config.tier_ca = None;
        } else {
            config.tier_ca = config.tier_ca.or_else(|| running.config.tier_ca.clone());
        }
        Current::read(&config, Some(&running), &self.provider)
    }

    /// Takes `current` for every handshake that begins from here on.
    pub(crate) fn replace(&self, current: Current) {
        current.warn_of_ends();
        self.metrics.show(current.serving.as_deref());
        self.current.store(Arc::new(current));
    }

    /// Whether a file is not what it was when it was read.
    pub(super) fn has_changed(&self) -> bool {
        let current = self.current.load();
        current.stamps.iter().any(|(path, stamp)| stamp_of(path) != *stamp)
    }

    /// Says in the log which certificates are over or soon will be.
    pub(super) fn warn_of_ends(&self) {
        self.current.load().warn_of_ends();
    }

    /// What names the files that were read.
    pub(crate) fn config(&self) -> TlsConfig {
        self.current.load().config.clone()
    }

    /// What serves handshakes that begin at this moment; `None` where the node does not listen for TLS.
    pub(crate) fn serving(&self) -> Option<Arc<Serving>> {
        self.current.load().serving.clone()
    }

    /// What this node goes by and believes towards its parents; `None` where nobody vouches for them.
    pub(crate) fn towards_parents(&self) -> Option<TierIdentity> {
        self.cdn_id.is_some().then(|| TierIdentity::new(&self.current, &self.provider))
    }
}

/// Reads every file that `config` names, as a node does when it starts.
///
/// # Errors
///
/// What is wrong with them.
pub fn check(config: &TlsConfig) -> Result<(), TlsProblems> {
    Current::read(config, None, &Arc::new(aws_lc_rs::default_provider())).map(drop)
}

fn stamps(config: &TlsConfig) -> Vec<(PathBuf, Stamp)> {
    let pairs = config.certificates.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    let others = [&config.client_ca, &config.tier_ca, &config.tier_certificate, &config.tier_key];
    let all = pairs.chain(others.into_iter().flatten());
    all.map(|path| (path.clone(), stamp_of(path))).collect()
}

fn stamp_of(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino()))
}
