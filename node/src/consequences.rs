//! What does an answer that passes by tell about what is stored?
//!
//! An answer to an unsafe method invalidates (RFC 9111 §4.4), before the client can see it and also
//! when the client has gone.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::CONTENT_LOCATION;
use http::{HeaderMap, Method};
use weir_cache::purge::Selector;
use weir_cache::{CacheKey, Keyed, Target, invalidates, same_origin_references};

use crate::access;
use crate::inbound::Inbound;
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
    /// Who asks: the client, also where a child passes its request on.
    client: IpAddr,
    /// Whether the answer may be stored for later GETs.
    may_be_kept: bool,
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
            client: client_of(asked.inbound),
            may_be_kept: may_answer_later_gets(asked),
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
            let kept = self.may_be_kept && is_kept_for_gets(answer);
            // An answer that is stored for its own target must not be older than what it invalidates.
            let is_recorded = |keyed: &&Keyed| !kept || keyed.key != self.keyed.key;
            let recorded: Vec<&Keyed> = changed.iter().filter(is_recorded).collect();
            self.record(node, &recorded).await;
        }
    }

    /// Writes what has changed into the purge log, for the nodes beside the path.
    ///
    /// One client can have only so many written: the log remembers so many purges, and those of others are
    /// among them. What is left out holds on the path all the same, which is what RFC 9111 §4.4 asks for.
    async fn record(&self, node: &Node, changed: &[&Keyed]) {
        if !node.limits.may_imply(self.client, node.clock.now().monotonic) {
            node.metrics.note_limited(&self.site.name, "implied-purges");
            tracing::debug!(site = self.site.name, client = %self.client, "an invalidation stays on its path");
            return;
        }
        let selectors = changed.iter().map(|keyed| Selector::url(&keyed.target)).collect();
        if !node.implied.write(selectors).await {
            node.metrics.purge.unrecorded.inc();
        }
    }

    /// The key that a plain GET of `uri` has at this site; `None` if it names nothing here.
    fn keyed_of(&self, uri: &str) -> Option<Keyed> {
        let target = uri.parse::<Target>().ok()?.without_port();
        let (site, granted) = (&self.site, access::for_operator(target)?);
        Some(CacheKey::derive(&site.name, &site.key_rules, granted, &self.headers))
    }
}

/// The address that the request came from to the first of our nodes, which appends it to what the client says.
fn client_of(inbound: &Inbound) -> IpAddr {
    let said = inbound.headers.get_all("x-forwarded-for").iter().next_back();
    let last = said.and_then(|line| line.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    last.filter(|_| inbound.is_child()).unwrap_or(inbound.address)
}

/// Whether the answer to this request may be what a GET of its target would get (RFC 9110 §9.3.3).
pub(crate) fn may_answer_later_gets(asked: Asked<'_>) -> bool {
    asked.site.policy.post_to_get
        && !asked.site.bypasses(asked.keyed)
        && asked.inbound.method == Method::POST
}

/// Whether an answer says that it is; the rules of storing decide.
pub(crate) fn is_kept_for_gets(answer: &Answer) -> bool {
    answer.status.is_success() && answer.headers.contains_key(CONTENT_LOCATION)
}

/// Removes what is stored under `key` and lets no fill in flight store under it.
async fn invalidate(node: &Node, key: &CacheKey) {
    node.fills.overtake(key);
    node.store.remove(key).await;
}
