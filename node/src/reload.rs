//! Reads the sites again while the node runs.
//!
//! Sites, their rules, where addresses are, the tokens of the admin API, and certificates are replaced in one step;
//! the cache and every connection stay. A file with a problem changes nothing. What else is in the file (listeners, limits, the store) takes effect
//! at the next start, and the answer says so when it differs.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{self, NodeConfig, TierDefaults, TlsConfig};
use crate::node::Node;

/// Where a node's configuration came from.
#[derive(Debug, Clone)]
pub(crate) struct Reload {
    path: PathBuf,
    defaults: TierDefaults,
}

impl Reload {
    /// The file at `path`, read with `defaults`.
    pub(crate) fn new(path: PathBuf, defaults: TierDefaults) -> Self {
        Self { path, defaults }
    }

    /// Replaces the sites and tokens of `node` by those in the file; returns the names of the sites.
    ///
    /// # Errors
    ///
    /// Every problem with the file, one a line. Nothing was changed.
    pub(crate) async fn run(&self, node: &Arc<Node>) -> Result<Vec<String>, String> {
        // One after the other: what was read first must not be taken last.
        let turn = node.tls.turn.lock().await;
        let reload = self.clone();
        let tls = Arc::clone(&node.tls);
        let loaded = tokio::task::spawn_blocking(move || {
            let config = config::load(&reload.path, &reload.defaults, config::environment())
                .map_err(|problems| problems.to_string())?;
            let current = tls.prepare(&config.tls).map_err(|problems| problems.to_string())?;
            Ok::<_, String>((config, current))
        });
        let (config, current) =
            loaded.await.map_err(|lost| format!("reading the file was interrupted: {lost}"))??;
        node.replace(&config).map_err(|error| error.to_string())?;
        node.tls.replace(current);
        drop(turn);
        let tokens: Vec<String> =
            config.admin_api.tokens.iter().map(|token| token.name.clone()).collect();
        warn_of_the_rest(&node.config, config);
        let names = node.site_names();
        tracing::info!(sites = ?names, ?tokens, "sites and tokens were read again");
        Ok(names)
    }
}

/// Names what changed in the file and needs a restart.
fn warn_of_the_rest(running: &NodeConfig, mut read: NodeConfig) {
    read.sites.clone_from(&running.sites);
    read.countries.clone_from(&running.countries);
    read.admin_api.tokens.clone_from(&running.admin_api.tokens);
    read.tls = TlsConfig {
        listen: read.tls.listen,
        reread_interval: read.tls.reread_interval,
        tier_name: read.tls.tier_name,
        // Whether nodes are known by certificates is decided at the start.
        tier_ca: match (&read.tls.tier_ca, &running.tls.tier_ca) {
            (Some(_), Some(running)) => Some(running.clone()),
            (read, _) => read.clone(),
        },
        ..running.tls.clone()
    };
    if read != *running {
        tracing::warn!(
            "settings other than sites, tokens, certificates and country_file differ from the running ones; restart to use them"
        );
    }
}
