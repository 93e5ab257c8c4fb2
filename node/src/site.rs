//! One site at run time: its rules, where its responses come from, its counters.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use weir_access::Policy as AccessPolicy;
use weir_cache::{
    DuplicateHost, Guise, HostPattern, HostTable, KeyRules, Keyed, LifetimeRule, Policy, RuleSet,
};

use crate::config::{FieldSwitches, OnIsolation, OriginConfig, SiteAccess, SiteConfig};
use crate::countries::Countries;
use crate::express::Unsent;
use crate::limits::SiteLimiter;
use crate::metrics::{Metrics, SiteMetrics};
use crate::tls::SiteSecurity;
use crate::upstream::{Group, Roster, TlsError};

/// One site.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its name, which is part of every key.
    pub(crate) name: String,
    /// The choices that HTTP caching leaves open.
    pub(crate) policy: Policy,
    /// What is different under some paths.
    pub(crate) rules: RuleSet,
    /// What makes a key.
    pub(crate) key_rules: KeyRules,
    /// Who may fetch.
    pub(crate) access: Arc<AccessPolicy>,
    /// Where clients are, for rules that ask.
    pub(crate) countries: Arc<Countries>,
    /// What TLS means to it.
    pub(crate) security: SiteSecurity,
    /// The Host field sent to origins; `None` sends the client's.
    pub(crate) origin_host: Option<String>,
    /// Whether this node asks the site's origins itself.
    pub(crate) asks_origins: bool,
    /// How its own servers are asked and checked.
    pub(crate) origin: OriginConfig,
    /// Whom to ask: the node's parents, or the site's origins.
    pub(crate) upstream: Arc<Group>,
    /// Whether a plain request may take the short way: its key follows from scheme, host and target alone, nobody is
    /// asked for a right, and nothing spreads bodies over time.
    pub(crate) express: bool,
    /// Which fields clients see.
    pub(crate) fields: FieldSwitches,
    /// Which they do not see.
    pub(crate) hidden: Box<[HeaderName]>,
    /// Which stored fields the short way does not repeat.
    pub(crate) unsent: Unsent,
    /// How long a request waits for upstream before a stale response stands in; `None` for as long as
    /// upstream may take.
    pub(crate) stale_if_slow: Option<Duration>,
    /// What happens here when this node is cut off from the purge log.
    pub(crate) on_isolation: OnIsolation,
    /// Whether a stale response may stand in for an error after it was invalidated.
    pub(crate) stale_after_purge: bool,
    /// What its clients may cost.
    pub(crate) limits: SiteLimiter,
    /// Its counters.
    pub(crate) metrics: SiteMetrics,
}

impl Site {
    /// The policy under which a response with `status` for `keyed` is stored: that of the site with
    /// what the rule for its path, and the path itself, say.
    pub(crate) fn policy_for(&self, keyed: &Keyed, status: StatusCode) -> Cow<'_, Policy> {
        let rule = self.rules.lifetime_rule(keyed.target.path(), &keyed.key, status);
        let guise = Guise::of(keyed.target.path());
        if rule == LifetimeRule::default() && guise == Guise::Plain {
            return Cow::Borrowed(&self.policy);
        }
        Cow::Owned(Policy { lifetime_rule: rule, guise, ..self.policy.clone() })
    }

    /// Whether requests for `keyed` go past the store.
    pub(crate) fn bypasses(&self, keyed: &Keyed) -> bool {
        self.rules.bypasses(keyed.target.path())
    }
}

/// Why sites cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SitesError {
    /// Two sites claim one host.
    #[error(transparent)]
    Hosts(#[from] DuplicateHost),
    /// The origins of a site cannot be asked over TLS.
    #[error("site {site}: {why}")]
    Tls {
        /// The site.
        site: String,
        /// Why.
        why: TlsError,
    },
}

/// All sites of a node.
#[derive(Debug)]
pub(crate) struct Sites {
    table: HostTable<Arc<Site>>,
    /// Every site once, in the order of the configuration.
    all: Vec<Arc<Site>>,
    countries: Arc<Countries>,
}

impl Sites {
    /// The sites of `configs`, whose rules know addresses from `countries`, asking `parents` where there are any,
    /// else their own origins, as `roster` has them.
    ///
    /// # Errors
    ///
    /// [`SitesError`].
    pub(crate) fn new(
        configs: &[SiteConfig],
        countries: &Arc<Countries>,
        parents: &Arc<Group>,
        roster: &Roster,
        metrics: &Metrics,
    ) -> Result<Self, SitesError> {
        let all: Vec<_> = configs
            .iter()
            .map(|config| make_site(config, countries, parents, roster, metrics).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let hosts: Vec<(HostPattern, Arc<Site>)> = configs
            .iter()
            .zip(&all)
            .flat_map(|(config, site)| {
                config.hosts.iter().map(move |host| (host.clone(), Arc::clone(site)))
            })
            .collect();
        Ok(Self { table: HostTable::new(hosts)?, all, countries: Arc::clone(countries) })
    }

    /// The site that serves `host` (a name without port); `None` if there is none.
    pub(crate) fn find(&self, host: &str) -> Option<&Arc<Site>> {
        self.table.find(host)
    }

    /// Where clients are.
    pub(crate) fn countries(&self) -> &Countries {
        &self.countries
    }

    /// All sites.
    pub(crate) fn all(&self) -> &[Arc<Site>] {
        &self.all
    }
}

fn make_site(
    config: &SiteConfig,
    countries: &Arc<Countries>,
    parents: &Arc<Group>,
    roster: &Roster,
    metrics: &Metrics,
) -> Result<Site, SitesError> {
    let asks_origins = parents.seats().is_empty();
    let upstream = if asks_origins {
        let group = Group::origins(config, roster)
            .map_err(|why| SitesError::Tls { site: config.name.clone(), why })?;
        Arc::new(group)
    } else {
        Arc::clone(parents)
    };
    if config.access != SiteAccess::default() {
        metrics.expect_denials(&config.name);
    }
    let hidden = config.fields.hidden();
    let security = SiteSecurity::new(&config.tls);
    let limits = SiteLimiter::new(&config.name, &config.limits);
    let is_keyed_by_target = config.key.headers.is_empty() && config.key.cookies.is_empty();
    let is_open = config.access.policy().lets_everybody_in();
    Ok(Site {
        name: config.name.clone(),
        express: is_keyed_by_target && is_open && !limits.shapes(),
        policy: config.policy.clone(),
        rules: config.rules.clone(),
        key_rules: config.key.clone(),
        access: Arc::clone(config.access.policy()),
        countries: Arc::clone(countries),
        security,
        origin_host: config.origin_host.clone(),
        asks_origins,
        origin: config.origin.clone(),
        upstream,
        fields: config.fields,
        unsent: Unsent::new(&hidden),
        hidden: hidden.into(),
        stale_if_slow: config.stale_if_slow,
        on_isolation: config.on_isolation,
        stale_after_purge: config.stale_after_purge,
        limits,
        metrics: metrics.site(&config.name),
    })
}
