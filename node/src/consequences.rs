//! What does an answer that passes by tell about what is stored?
//!
//! An answer to an unsafe method invalidates (RFC 9111 §4.4), before the client can see it and also
//! when the client has gone.

use std::sync::Arc;

use http::{HeaderMap, Method};
use weir_cache::purge::Selector;
use weir_cache::{
    CacheKey, Keyed, Target, UnixTime, check as check_access, invalidates, same_origin_references,
};

use crate::lookup::Asked;
use crate::node::Node;
use crate::site::Site;
use crate::upstream::Answer;

/// What a request may change.
pub(crate) struct Change {
    site: Arc<Site>,
    keyed: Keyed,
    method: Method,
    target: Target,
    headers: HeaderMap,
}

impl Change {
    /// What this request may change.
    pub(crate) fn of(asked: Asked<'_>) -> Self {
        Self {
            site: Arc::clone(asked.site),
            keyed: asked.keyed.clone(),
            method: asked.inbound.method.clone(),
            target: asked.inbound.target.clone(),
            headers: asked.inbound.headers.clone(),
        }
    }

    /// Invalidates what `answer` says has changed: the target, and what it refers to on the same
    /// origin.
    pub(crate) async fn take_effect(&self, node: &Node, answer: &Answer) {
        if !invalidates(&self.method, answer.status) {
            return;
        }
        let references = same_origin_references(&self.target.uri(), &answer.headers);
        let referred = references.iter().filter_map(|uri| self.keyed_of(uri));
        let changed: Vec<Keyed> = std::iter::once(self.keyed.clone()).chain(referred).collect();
        for keyed in &changed {
            invalidate(node, &keyed.key).await;
        }
        if self.site.asks_origins {
            self.record(node, &changed).await;
        }
    }

    /// Writes what has changed into the purge log, for the nodes beside the path.
    async fn record(&self, node: &Node, changed: &[Keyed]) {
        let selectors = changed.iter().map(|keyed| Selector::url(&keyed.target)).collect();
        if !node.implied.write(selectors).await {
            node.metrics.purge.unrecorded.inc();
        }
    }

    /// The key that a plain GET of `uri` has at this site; `None` if it names nothing here.
    fn keyed_of(&self, uri: &str) -> Option<Keyed> {
        let target = uri.parse::<Target>().ok()?.without_port();
        let (site, fields) = (&self.site, HeaderMap::new());
        let now = UnixTime::from_secs(0);
        let granted = check_access(&site.access, &Method::GET, &fields, target, now).ok()?;
        Some(CacheKey::derive(&site.name, &site.key_rules, granted, &self.headers))
    }
}

/// Removes what is stored under `key` and lets no fill in flight store under it.
async fn invalidate(node: &Node, key: &CacheKey) {
    node.fills.overtake(key);
    node.store.remove(key).await;
}
