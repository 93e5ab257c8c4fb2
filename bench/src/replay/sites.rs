//! What do the rules of sites make of a request of the log?
//!
//! Keys, lifetimes, rules by path and what may be stored are those of nodes: the same functions are asked. What a log
//! does not say is supposed, and said in the report: a response without a known Cache-Control gets the lifetime of a rule,
//! or stays fresh where there is none.

use std::time::Duration;

use http::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use weir_cache::{
    CacheKey, DuplicateHost, Guise, HostPattern, HostTable, KeyRules, Keyed, Now, OpenGate, Policy,
    Profile, RequestHead, ResponseHead, RuleSet, Seq, StoredHead, Target, Timestamp, Timing,
    UnixTime,
};

/// Lifetime of what never expires: longer than any log.
pub(super) const FOR_EVER_MS: u64 = u64::MAX;
/// What is said for a response of which the log does not say how long it is fresh; rules may shorten it.
const LONG: &str = "max-age=2147483648";
/// Longer than this is for ever.
const LONG_MS: u64 = 2_147_483_648_000;

/// What a node is told of one site, as far as a replay asks.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name, which is part of every key.
    pub name: String,
    /// Its hosts.
    pub hosts: Vec<HostPattern>,
    /// What makes a key.
    pub key: KeyRules,
    /// The choices that HTTP caching leaves open.
    pub policy: Policy,
    /// What is different under some paths.
    pub rules: RuleSet,
}

/// The sites of a replay.
#[derive(Debug)]
pub struct Sites {
    table: HostTable<usize>,
    list: Vec<Site>,
}

/// Where lifetimes come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ttl {
    /// From the Cache-Control in the log and the rules of the sites.
    #[default]
    Trace,
    /// Everything is storable and fresh for so long.
    Fixed(Duration),
    /// Everything is storable and fresh for ever.
    Never,
}

/// How long a response may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Lifetime {
    /// Freshness since the making at the origin.
    pub(super) fresh_ms: u64,
    /// How long past that it is used while it is validated.
    pub(super) stale_ms: u64,
    /// Whether each use must be validated first.
    pub(super) validates: bool,
}

/// What becomes of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Judged {
    /// It may be stored.
    Stored(Lifetime),
    /// It may be stored; how long it is fresh neither log nor rules say.
    Unknown(Lifetime),
    /// It goes past the store.
    Passed,
}

/// What is known of the target of a request.
pub(super) struct Placed {
    pub(super) site: usize,
    pub(super) keyed: Keyed,
    pub(super) bypasses: bool,
}

impl Sites {
    /// These sites.
    ///
    /// # Errors
    ///
    /// Two sites claim one host.
    pub fn new(list: Vec<Site>) -> Result<Self, DuplicateHost> {
        let hosts = list.iter().enumerate();
        let hosts =
            hosts.flat_map(|(at, site)| site.hosts.iter().map(move |host| (host.clone(), at)));
        Ok(Self { table: HostTable::new(hosts.collect())?, list })
    }

    /// One site for any host that does as nodes do by default.
    ///
    /// # Errors
    ///
    /// None; the type is that of [`Self::new`].
    pub fn any() -> Result<Self, DuplicateHost> {
        let profile = Profile::Default;
        Self::new(vec![Site {
            name: "default".to_owned(),
            hosts: vec![HostPattern::Any],
            key: KeyRules::for_profile(profile),
            policy: Policy::for_profile(profile),
            rules: RuleSet::default(),
        }])
    }

    /// The site of a target and its key there; `None` if no site has the host.
    pub(super) fn place(&self, target: Target) -> Option<Placed> {
        // As a node does: one resource on all ports.
        let target = target.without_port();
        let at = *self.table.find(target.host_without_port())?;
        let site = self.list.get(at)?;
        let granted = weir_cache::check(OpenGate, &Method::GET, target).ok()?;
        let keyed = CacheKey::derive(&site.name, &site.key, granted, &HeaderMap::new());
        let bypasses = site.rules.bypasses(keyed.target.path());
        Some(Placed { site: at, keyed, bypasses })
    }

    /// What becomes of a response with `status` and `cache_control` under the key of `placed`.
    pub(super) fn judge(
        &self,
        (site, key, path): (usize, &CacheKey, &str),
        status: StatusCode,
        cache_control: Option<&str>,
    ) -> Judged {
        let Some(site) = self.list.get(site) else { return Judged::Passed };
        let policy = Policy {
            lifetime_rule: site.rules.lifetime_rule(path, key, status),
            guise: Guise::of(path),
            ..site.policy.clone()
        };
        let stored = derive(&policy, status, cache_control);
        let says_nothing = cache_control.is_none_or(|value| value.trim().is_empty());
        match stored {
            None => Judged::Passed,
            Some(head) if says_nothing && head.plan.rule.is_none() => {
                // The tags of the origin are not in the log: it is supposed to have said something long.
                derive(&policy, status, Some(LONG))
                    .map_or(Judged::Passed, |head| Judged::Unknown(lifetime(&head)))
            }
            Some(head) => Judged::Stored(lifetime(&head)),
        }
    }
}

/// What a node would store.
fn derive(policy: &Policy, status: StatusCode, cache_control: Option<&str>) -> Option<StoredHead> {
    let mut headers = HeaderMap::new();
    // Replays suppose that what is stale can be validated and has not changed.
    headers.insert(ETAG, HeaderValue::from_static("\"replayed\""));
    if let Some(value) = cache_control.filter(|value| !value.trim().is_empty()) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_str(value).ok()?);
    }
    // A 206 or 304 in the log is an answer about something that a 200 made stored.
    let status = match status.as_u16() {
        206 | 304 => StatusCode::OK,
        _ => status,
    };
    let asked = HeaderMap::new();
    let request = RequestHead { method: &Method::GET, headers: &asked, target_uri: None };
    let now = Now { monotonic: Timestamp::ZERO, wall: UnixTime::from_secs(1_700_000_000) };
    let timing = Timing { request: now, response: now };
    let response = ResponseHead { status, headers };
    StoredHead::derive(policy, &request, &response, timing, Seq::new(0)).ok()
}

fn lifetime(head: &StoredHead) -> Lifetime {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let plan = &head.plan;
    let fresh_ms = ms(plan.lifetime());
    let stale = plan.stale_while_revalidate().filter(|_| !plan.stale_banned);
    Lifetime {
        fresh_ms: if fresh_ms >= LONG_MS { FOR_EVER_MS } else { fresh_ms },
        stale_ms: stale.map_or(0, ms),
        validates: plan.validate_always,
    }
}

impl Ttl {
    /// What becomes of every response where the log does not decide.
    pub(super) fn fixed(self) -> Option<Judged> {
        let fresh_ms = match self {
            Self::Trace => return None,
            Self::Fixed(duration) => u64::try_from(duration.as_millis()).unwrap_or(FOR_EVER_MS),
            Self::Never => FOR_EVER_MS,
        };
        Some(Judged::Stored(Lifetime { fresh_ms, stale_ms: 0, validates: false }))
    }
}

#[cfg(test)]
mod tests {
    use weir_cache::Rule;

    use super::*;

    fn sites(rules: Vec<Rule>) -> Sites {
        let any = Sites::any().unwrap().list.remove(0);
        let rules = RuleSet { rules, jitter_percent: 0 };
        Sites::new(vec![Site { rules, ..any }]).unwrap()
    }

    fn judge(sites: &Sites, status: u16, cache_control: Option<&str>) -> Judged {
        let placed = sites.place("http://a.test/x/y.css".parse().unwrap()).unwrap();
        let at = (placed.site, &placed.keyed.key, placed.keyed.target.path());
        sites.judge(at, StatusCode::from_u16(status).unwrap(), cache_control)
    }

    fn for_secs(secs: u64) -> Lifetime {
        Lifetime { fresh_ms: secs * 1_000, stale_ms: 0, validates: false }
    }

    #[test]
    fn lifetimes_are_those_that_a_node_would_give() {
        let none = sites(Vec::new());
        let for_ever = Lifetime { fresh_ms: FOR_EVER_MS, ..for_secs(0) };
        // (status, Cache-Control, expected, why)
        let cases = [
            (200, Some("max-age=60"), Judged::Stored(for_secs(60)), "stated"),
            (200, Some("s-maxage=9, max-age=60"), Judged::Stored(for_secs(9)), "for shared caches"),
            (206, Some("max-age=60"), Judged::Stored(for_secs(60)), "a part of it"),
            (304, Some("max-age=60"), Judged::Stored(for_secs(60)), "it has not changed"),
            (200, Some("private"), Judged::Passed, "not for a shared cache"),
            (200, Some("no-store"), Judged::Passed, "not for any cache"),
            (200, Some("max-age=é"), Judged::Stored(for_secs(0)), "unreadable is stale"),
            (200, None, Judged::Unknown(for_ever), "the log does not say"),
            (200, Some(""), Judged::Unknown(for_ever), "the origin did not say"),
            (
                200,
                Some("no-cache"),
                Judged::Stored(Lifetime { validates: true, ..for_secs(0) }),
                "validated each time",
            ),
            (
                200,
                Some("max-age=5, stale-while-revalidate=7"),
                Judged::Stored(Lifetime { stale_ms: 7_000, ..for_secs(5) }),
                "a stale window",
            ),
        ];
        for (status, cache_control, expected, why) in cases {
            assert_eq!(judge(&none, status, cache_control), expected, "{why}: {cache_control:?}");
        }
    }

    #[test]
    fn rules_of_the_site_count() {
        let rule = |ttl: Option<u64>, max_ttl: Option<u64>| Rule {
            ttl: ttl.map(Duration::from_secs),
            max_ttl: max_ttl.map(Duration::from_secs),
            ..Rule::new("/x/**".parse().unwrap())
        };
        let given = sites(vec![rule(Some(30), None)]);
        assert_eq!(
            judge(&given, 200, None),
            Judged::Stored(for_secs(30)),
            "ttl for want of another"
        );
        assert_eq!(judge(&given, 200, Some("max-age=60")), Judged::Stored(for_secs(60)));
        let capped = sites(vec![rule(None, Some(10))]);
        assert_eq!(judge(&capped, 200, Some("max-age=60")), Judged::Stored(for_secs(10)));
        assert_eq!(judge(&capped, 200, None), Judged::Unknown(for_secs(10)), "for ever, capped");
        let past = sites(vec![Rule { bypass: true, ..rule(None, None) }]);
        assert!(past.place("http://a.test/x/y".parse().unwrap()).unwrap().bypasses);
        assert!(!past.place("http://a.test/z".parse().unwrap()).unwrap().bypasses);
    }

    #[test]
    fn keys_are_those_of_the_site() {
        let mut site = Sites::any().unwrap().list.remove(0);
        site.hosts = vec!["a.test".parse().unwrap()];
        site.key.query.ignore = vec!["utm_*".parse().unwrap()];
        let sites = Sites::new(vec![site]).unwrap();
        let key = |uri: &str| sites.place(uri.parse().unwrap()).map(|placed| placed.keyed.key);
        assert_eq!(key("http://a.test/x?utm_a=1&b=2&a=1"), key("http://A.test:8080/x?a=1&b=2"));
        assert_ne!(key("http://a.test/x?a=1"), key("http://a.test/x?a=2"));
        assert_eq!(key("http://b.test/x"), None, "no site has it");
    }
}
