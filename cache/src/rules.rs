//! What does a site's operator say about the lifetimes of responses under some paths?
//!
//! The first rule whose path matches counts, and no other. What it says about one response is a
//! [`LifetimeRule`], which the caller puts into the [`Policy`] that the response is stored under;
//! a hit knows nothing of rules. Whether a response may be stored is decided in `storable`, which
//! no rule overrules, but for statuses that nothing else lets in.
//!
//! # Invariants
//!
//! 1. A field of the response that cannot be read leaves it stale, whatever the least lifetime is.
//! 2. A share taken off a lifetime depends on the key only, so that all nodes take off the same.
//! 3. Nothing here touches ages, or whether reuse must be validated first.
//!
//! [`Policy`]: crate::Policy

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;

use crate::freshness::FreshnessLifetime;
use crate::glob::Glob;
use crate::key::CacheKey;

/// The shortest lifetime that a share is taken off. Below it there is nothing to spread.
const JITTERED_MIN: Duration = Duration::from_secs(10);

/// What a site does differently under some paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The paths it is for.
    pub path: Glob,
    /// Lifetime of a response that states none; replaces guessing. `None` leaves that as it is.
    pub ttl: Option<Duration>,
    /// Least lifetime of a response that has one; not for errors but 404 and 410.
    pub min_ttl: Option<Duration>,
    /// Greatest lifetime.
    pub max_ttl: Option<Duration>,
    /// Whether what the response says of its freshness counts before `ttl`.
    pub respect_origin: bool,
    /// Whether requests go past the store.
    pub bypass: bool,
    /// Lifetimes of error responses that state none, by status; see [`takes_negative_ttl`].
    pub negative_ttl: BTreeMap<StatusCode, Duration>,
}

impl Rule {
    /// Makes a rule that changes nothing but keeps later rules from its paths.
    pub fn new(path: Glob) -> Self {
        Self {
            path,
            ttl: None,
            min_ttl: None,
            max_ttl: None,
            respect_origin: true,
            bypass: false,
            negative_ttl: BTreeMap::new(),
        }
    }
}

/// Says whether a rule may give responses with `status` a lifetime for want of their own.
///
/// These are the errors without those that answer conditions and ranges of one request, and without
/// those that no cache may store (RFC 6585 §3 to §6).
pub fn takes_negative_ttl(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400..=599)
        && !matches!(status.as_u16(), 412 | 416 | 428 | 429 | 431 | 511)
}

/// The rules of one site, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// The rules; the first that matches counts.
    pub rules: Vec<Rule>,
    /// The most that is taken off a lifetime, in percent, 0 to 100, so that responses fetched
    /// together do not expire together.
    pub jitter_percent: u8,
}

impl RuleSet {
    /// Says whether requests for `path`, in normal form, go past the store.
    pub fn bypasses(&self, path: &str) -> bool {
        // Without any such rule, a hit costs no look at its path.
        self.rules.iter().any(|rule| rule.bypass) && self.find(path).is_some_and(|rule| rule.bypass)
    }

    /// Returns what is said about a response with `status` for `path`, in normal form, that is
    /// stored under `key`.
    pub fn lifetime_rule(&self, path: &str, key: &CacheKey, status: StatusCode) -> LifetimeRule {
        let jitter = Jitter::of(key, self.jitter_percent);
        let Some(rule) = self.find(path) else {
            return LifetimeRule { jitter, ..LifetimeRule::default() };
        };
        LifetimeRule {
            ttl: rule.ttl,
            min_ttl: rule.min_ttl,
            max_ttl: rule.max_ttl,
            replaces: !rule.respect_origin,
            negative_ttl: rule.negative_ttl.get(&status).copied(),
            jitter,
        }
    }

    fn find(&self, path: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.path.matches(path))
    }
}

/// What a site's rules say about the lifetime of one response. Nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LifetimeRule {
    ttl: Option<Duration>,
    min_ttl: Option<Duration>,
    max_ttl: Option<Duration>,
    /// Whether `ttl` counts before what the response says.
    replaces: bool,
    /// The lifetime for the status of the response.
    negative_ttl: Option<Duration>,
    jitter: Jitter,
}

/// Which key of a rule gave a response its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleEffect {
    /// `ttl`, or `negative_ttl` for its status.
    Ttl,
    /// `min_ttl`.
    MinTtl,
    /// `max_ttl`.
    MaxTtl,
}

impl RuleEffect {
    /// Returns the word for `Cache-Status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ttl => "rule-ttl",
            Self::MinTtl => "rule-min-ttl",
            Self::MaxTtl => "rule-max-ttl",
        }
    }
}

/// A lifetime after the rules, with the key that decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ruled {
    /// `None` where neither the response nor a rule gives one.
    pub(crate) lifetime: Option<FreshnessLifetime>,
    /// `None` where the lifetime is the response's own, apart from the share taken off.
    pub(crate) effect: Option<RuleEffect>,
}

impl LifetimeRule {
    /// Says whether a rule lets the response in for its status alone.
    pub(crate) fn grants_status(&self) -> bool {
        self.negative_ttl.is_some()
    }

    /// Returns the lifetime of a response with `status` that has `own` without rules.
    pub(crate) fn apply(&self, own: Option<FreshnessLifetime>, status: StatusCode) -> Ruled {
        let replaces = self.replaces && is_lasting(status);
        let counts = own.filter(|own| !own.heuristic && !replaces);
        let granted = self.granted(status).filter(|_| counts.is_none());
        let (duration, effect) = match (granted, own) {
            (Some(granted), _) => (self.capped(granted), Some(RuleEffect::Ttl)),
            (None, Some(own)) => self.bounded(own, status),
            (None, None) => return Ruled { lifetime: None, effect: None },
        };
        let heuristic = effect.is_none() && own.is_some_and(|own| own.heuristic);
        let lifetime = FreshnessLifetime {
            duration: self.jitter.shorten(duration),
            heuristic,
            readable: true,
        };
        Ruled { lifetime: Some(lifetime), effect }
    }

    /// Returns the lifetime for want of a stated one.
    fn granted(&self, status: StatusCode) -> Option<Duration> {
        self.negative_ttl.or_else(|| self.ttl.filter(|_| is_lasting(status)))
    }

    fn capped(&self, duration: Duration) -> Duration {
        self.max_ttl.map_or(duration, |max| duration.min(max))
    }

    /// Holds a lifetime of the response's own between the bounds; the upper one wins.
    fn bounded(
        &self,
        own: FreshnessLifetime,
        status: StatusCode,
    ) -> (Duration, Option<RuleEffect>) {
        // What cannot be read must not be fresher than if it were missing (RFC 9111 §4.2.1).
        let liftable = own.readable && (is_lasting(status) || !is_error(status));
        let min = self.min_ttl.filter(|min| liftable && own.duration < *min);
        let lifted = min.unwrap_or(own.duration);
        if self.capped(lifted) < lifted {
            let unchanged = self.capped(lifted) == own.duration;
            return (self.capped(lifted), (!unchanged).then_some(RuleEffect::MaxTtl));
        }
        (lifted, min.map(|_| RuleEffect::MinTtl))
    }
}

/// Says whether a rule's `ttl` is for responses with `status`: those that last.
///
/// Narrower than what lifetimes may be guessed for (RFC 9110 §15.1): 405, 414 and 501 blame one
/// request or one moment.
fn is_lasting(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 410)
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// The share that is taken off a lifetime, in parts of 2^16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Jitter(u16);

impl Jitter {
    /// Draws a share of at most `percent` from `key`; less than all.
    fn of(key: &CacheKey, percent: u8) -> Self {
        // The last bytes: the first ones may choose a shard or a parent.
        let [.., high, low] = *key.as_bytes();
        let drawn = u32::from(u16::from_be_bytes([high, low]));
        let share = drawn.saturating_mul(u32::from(percent.min(100))) / 100;
        Self(u16::try_from(share).unwrap_or(u16::MAX))
    }

    fn shorten(self, lifetime: Duration) -> Duration {
        if lifetime < JITTERED_MIN {
            return lifetime;
        }
        let share = lifetime.saturating_mul(u32::from(self.0)).checked_div(1 << 16);
        lifetime.saturating_sub(share.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;
    use crate::fixture::{at_once, headers, response, stored_under};
    use crate::not_storable::NotStorable;
    use crate::policy::Policy;
    use crate::seq::Seq;
    use crate::storable::RequestHead;
    use crate::stored::StoredHead;

    const SECS: fn(u64) -> Duration = Duration::from_secs;

    fn rule(path: &str) -> Rule {
        Rule::new(path.parse().expect("well-formed pattern"))
    }

    fn key(seed: u8) -> CacheKey {
        CacheKey::from_bytes([seed; 32])
    }

    /// What `rule` says about a response with `status`.
    fn policy(rule: &Rule, status: u16) -> Policy {
        let set = RuleSet { rules: vec![rule.clone()], jitter_percent: 0 };
        let status = StatusCode::from_u16(status).unwrap();
        let lifetime_rule = set.lifetime_rule("/", &key(0), status);
        // Only what rules do is looked at here.
        Policy { lifetime_rule, guard: false, ..Policy::default() }
    }

    /// What comes of a response under `rule`: seconds and effect, or why it is not stored.
    fn judge(rule: &Rule, status: u16, fields: &str) -> Result<(u64, &'static str), NotStorable> {
        let none = headers("");
        let method = http::Method::GET;
        let request = RequestHead { method: &method, headers: &none, target_uri: None };
        let policy = policy(rule, status);
        StoredHead::derive(&policy, &request, &response(status, fields), at_once(), Seq::new(1))
            .map(|head| {
                (head.plan.lifetime().as_secs(), head.plan.rule.map_or("", RuleEffect::as_str))
            })
    }

    #[test]
    fn a_ttl_is_for_responses_that_state_none() {
        let rule = Rule { ttl: Some(SECS(100)), ..rule("/**") };
        // (status, fields, expected lifetime and effect, why)
        const CASES: &[(u16, &str, (u64, &str), &str)] = &[
            (200, "", (100, "rule-ttl"), "nothing is stated"),
            (404, "", (100, "rule-ttl"), "a status that lasts"),
            (200, "Last-Modified: {date-100000}", (100, "rule-ttl"), "replaces the guess"),
            (200, "Cache-Control: max-age=9", (9, ""), "max-age is stated"),
            (200, "Expires: {date+9}", (9, ""), "Expires is stated"),
            (200, "CDN-Cache-Control: max-age=8", (8, ""), "a targeted field is stated"),
            (200, "Cache-Control: public", (100, "rule-ttl"), "public states no lifetime"),
            (
                200,
                "CDN-Cache-Control: public\nExpires: {date+9}",
                (100, "rule-ttl"),
                "a targeted field silences Expires (RFC 9213 §2.2)",
            ),
            (200, "Cache-Control: max-age=junk\nETag: \"a\"", (0, ""), "unreadable is expired"),
            (200, "Expires: 0\nETag: \"a\"", (0, ""), "unreadable is expired (RFC 9111 §5.3)"),
            (501, "Last-Modified: {date-1000}", (100, ""), "no ttl, but a guess, for 501"),
        ];
        for &(status, fields, expected, why) in CASES {
            assert_eq!(judge(&rule, status, fields), Ok(expected), "{why}: {fields}");
        }
        assert_eq!(judge(&rule, 403, ""), Err(NotStorable::NoFreshness), "no ttl for a 403");
    }

    #[test]
    fn a_rule_lets_nothing_in_that_must_stay_out() {
        let eager = Rule {
            ttl: Some(SECS(100)),
            min_ttl: Some(SECS(50)),
            respect_origin: false,
            negative_ttl: [(StatusCode::NOT_FOUND, SECS(30))].into(),
            ..rule("/**")
        };
        // (status, fields, expected, why)
        const CASES: &[(u16, &str, NotStorable, &str)] = &[
            (200, "Cache-Control: no-store", NotStorable::NoStore, "RFC 9111 §5.2.2.5"),
            (200, "Cache-Control: private", NotStorable::Private, "RFC 9111 §5.2.2.7"),
            (200, "Set-Cookie: a=b", NotStorable::SetCookie, "RFC 9111 §7.3"),
            (200, "Vary: *", NotStorable::VaryAny, "RFC 9111 §4.1"),
            (206, "", NotStorable::Partial, "a part is not the whole"),
            (404, "Cache-Control: no-store", NotStorable::NoStore, "errors too"),
            (599, "Cache-Control: must-understand", NotStorable::MustUnderstand, "§5.2.2.3"),
        ];
        for &(status, fields, expected, why) in CASES {
            assert_eq!(judge(&eager, status, fields), Err(expected), "{why}: {fields}");
        }
        let asked = headers("Authorization: x");
        let request = RequestHead { method: &http::Method::GET, headers: &asked, target_uri: None };
        let answer = response(200, "");
        let derived =
            StoredHead::derive(&policy(&eager, 200), &request, &answer, at_once(), Seq::new(1));
        assert_eq!(derived, Err(NotStorable::Authorization), "RFC 9111 §3.5");
    }

    #[test]
    fn a_rule_may_count_before_the_origin_for_statuses_that_last() {
        let forced = Rule { ttl: Some(SECS(100)), respect_origin: false, ..rule("/**") };
        for status in [200, 203, 204, 300, 301, 308, 404, 410] {
            let found = judge(&forced, status, "Cache-Control: max-age=9");
            assert_eq!(found, Ok((100, "rule-ttl")), "{status}");
        }
        for status in [302, 400, 403, 405, 414, 500, 501, 503] {
            let found = judge(&forced, status, "Cache-Control: max-age=9");
            assert_eq!(found, Ok((9, "")), "{status}");
        }
        let shorter = judge(&forced, 200, "Cache-Control: max-age=999");
        assert_eq!(shorter, Ok((100, "rule-ttl")), "in both directions");
    }

    #[test]
    fn bounds_are_for_lifetimes_that_are_there() {
        let bounds = Rule { min_ttl: Some(SECS(10)), max_ttl: Some(SECS(100)), ..rule("/**") };
        // (status, fields, expected lifetime and effect, why)
        const CASES: &[(u16, &str, (u64, &str), &str)] = &[
            (200, "Cache-Control: max-age=50", (50, ""), "between the bounds"),
            (200, "Cache-Control: max-age=10", (10, ""), "at the lower bound"),
            (200, "Cache-Control: max-age=100", (100, ""), "at the upper bound"),
            (200, "Cache-Control: max-age=0", (10, "rule-min-ttl"), "lifted"),
            (200, "Expires: {date-5}", (10, "rule-min-ttl"), "expired, readably"),
            (302, "Cache-Control: max-age=1", (10, "rule-min-ttl"), "no error"),
            (404, "Cache-Control: max-age=1", (10, "rule-min-ttl"), "an error that lasts"),
            (503, "Cache-Control: max-age=1", (1, ""), "an error of a moment is not prolonged"),
            (503, "Cache-Control: max-age=999", (100, "rule-max-ttl"), "but capped"),
            (200, "Cache-Control: s-maxage=999", (100, "rule-max-ttl"), "capped"),
            (200, "Last-Modified: {date-100000}", (100, "rule-max-ttl"), "guesses too"),
            (200, "Cache-Control: max-age=x\nETag: \"a\"", (0, ""), "unreadable stays expired"),
            (200, "Expires: 0\nETag: \"a\"", (0, ""), "unreadable stays expired"),
            (200, "ETag: \"a\"", (0, ""), "without a lifetime there is nothing to bound"),
        ];
        for &(status, fields, expected, why) in CASES {
            assert_eq!(judge(&bounds, status, fields), Ok(expected), "{why}: {fields}");
        }
        let both = Rule { ttl: Some(SECS(999)), ..bounds };
        assert_eq!(judge(&both, 200, ""), Ok((100, "rule-ttl")), "the upper bound holds for ttl");
    }

    #[test]
    fn an_unchanged_lifetime_has_no_effect_to_tell() {
        let odd = Rule { min_ttl: Some(SECS(50)), max_ttl: Some(SECS(20)), ..rule("/**") };
        let found = |fields| judge(&odd, 200, fields);
        assert_eq!(found("Cache-Control: max-age=20"), Ok((20, "")), "lifted and capped again");
        assert_eq!(found("Cache-Control: max-age=1"), Ok((20, "rule-max-ttl")), "the upper wins");
    }

    #[test]
    fn no_bound_lifts_the_duty_to_validate() {
        let eager = Rule {
            min_ttl: Some(SECS(50)),
            ttl: Some(SECS(9)),
            respect_origin: false,
            ..rule("/**")
        };
        for (fields, banned) in [
            ("ETag: \"a\"\nCache-Control: no-cache, max-age=9", true),
            ("ETag: \"a\"\nCache-Control: no-cache", true),
        ] {
            let plan = stored_under(&policy(&eager, 200), fields).unwrap().plan;
            assert_eq!(
                (plan.validate_always, plan.stale_banned),
                (true, banned),
                "RFC 9111 §5.2.2.4"
            );
        }
        let plan = stored_under(&policy(&eager, 200), "Cache-Control: s-maxage=5").unwrap().plan;
        assert!(plan.stale_banned, "RFC 9111 §5.2.2.10");
        let aged = stored_under(&policy(&eager, 200), "Age: 7").unwrap().plan;
        assert_eq!(aged.initial_age(), SECS(7), "ages are not touched");
    }

    #[test]
    fn errors_get_the_lifetime_of_their_status_unless_they_state_one() {
        let negative =
            [(StatusCode::NOT_FOUND, SECS(30)), (StatusCode::SERVICE_UNAVAILABLE, SECS(2))];
        let rule = Rule {
            ttl: Some(SECS(100)),
            min_ttl: Some(SECS(60)),
            negative_ttl: negative.into(),
            ..rule("/**")
        };
        // (status, fields, expected, why)
        type Expected = Result<(u64, &'static str), NotStorable>;
        const CASES: &[(u16, &str, Expected, &str)] = &[
            (404, "", Ok((30, "rule-ttl")), "before ttl, and below min_ttl"),
            (503, "", Ok((2, "rule-ttl")), "no other ground to store it"),
            (410, "", Ok((100, "rule-ttl")), "another status"),
            (500, "", Err(NotStorable::NoFreshness), "another status"),
            (503, "Cache-Control: max-age=7", Ok((7, "")), "it states one"),
            (503, "Cache-Control: no-store", Err(NotStorable::NoStore), "it forbids storing"),
        ];
        for &(status, fields, expected, why) in CASES {
            assert_eq!(judge(&rule, status, fields), expected, "{why}: {status} {fields}");
        }
        let forced = Rule { respect_origin: false, ..rule };
        let stated = "Cache-Control: max-age=999";
        assert_eq!(judge(&forced, 404, stated), Ok((30, "rule-ttl")), "as if it stated none");
        assert_eq!(judge(&forced, 503, stated), Ok((999, "")), "only statuses that last");
    }

    #[test]
    fn statuses_that_no_cache_may_keep_take_no_ttl() {
        let takes = |status| takes_negative_ttl(StatusCode::from_u16(status).unwrap());
        for status in [400, 403, 404, 405, 410, 451, 500, 502, 503, 504, 599] {
            assert!(takes(status), "{status}");
        }
        // RFC 9110 §13.1 and §14.2; RFC 6585 §3 to §6; no errors.
        for status in [412, 416, 428, 429, 431, 511, 200, 206, 302, 304, 600] {
            assert!(!takes(status), "{status}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_counts_alone() {
        let set = RuleSet {
            rules: vec![
                rule("/img/raw/**"),
                Rule { max_ttl: Some(SECS(5)), ..rule("/img/**") },
                Rule { bypass: true, ..rule("/**/live") },
                Rule { ttl: Some(SECS(9)), ..rule("/**") },
            ],
            jitter_percent: 0,
        };
        // (path, ttl, max_ttl, bypass, why)
        for (path, ttl, max_ttl, bypass, why) in [
            ("/img/raw/a", None, None, false, "an empty rule is an exception"),
            ("/img/a", None, Some(5), false, "keys of later rules do not count"),
            ("/img/live", None, Some(5), false, "nor does their bypass"),
            ("/a/live", None, None, true, "the third"),
            ("/a", Some(9), None, false, "the last"),
        ] {
            let found = set.lifetime_rule(path, &key(1), StatusCode::OK);
            assert_eq!((found.ttl, found.max_ttl), (ttl.map(SECS), max_ttl.map(SECS)), "{why}");
            assert_eq!(set.bypasses(path), bypass, "{why}");
        }
        let none = RuleSet::default();
        assert_eq!(none.lifetime_rule("/a", &key(255), StatusCode::OK), LifetimeRule::default());
        assert!(!none.bypasses("/a"));
    }

    fn jittered(seed: u8, percent: u8, secs: u64) -> u64 {
        let set = RuleSet { rules: Vec::new(), jitter_percent: percent };
        let rule = set.lifetime_rule("/", &key(seed), StatusCode::OK);
        let policy = Policy { lifetime_rule: rule, ..Policy::default() };
        let head = stored_under(&policy, &format!("Cache-Control: max-age={secs}")).unwrap();
        assert_eq!(head.plan.rule, None, "no rule changed it");
        u64::try_from(head.plan.lifetime().as_millis()).unwrap()
    }

    #[test]
    fn a_share_by_key_is_taken_off_lifetimes_of_ten_seconds_and_more() {
        const RANGES: &[(u8, u8, u64, RangeInclusive<u64>, &str)] = &[
            (0, 50, 100, 100_000..=100_000, "a key may draw nothing"),
            (255, 50, 100, 50_000..=50_010, "half at most"),
            (255, 5, 100, 95_000..=95_010, "a twentieth at most"),
            (128, 50, 100, 74_000..=76_000, "in between"),
            (255, 50, 9, 9_000..=9_000, "nothing below ten seconds"),
            (255, 50, 10, 5_000..=5_010, "from ten seconds on"),
            (255, 0, 100, 100_000..=100_000, "switched off"),
            (255, 100, 1 << 31, 0..=40_000_000, "no overflow"),
        ];
        for (seed, percent, secs, expected, why) in RANGES {
            let found = jittered(*seed, *percent, *secs);
            assert!(expected.contains(&found), "{why}: {found}");
        }
        assert_eq!(jittered(77, 5, 100), jittered(77, 5, 100), "the same on every node");
        let spread: std::collections::BTreeSet<_> =
            (0..=255).map(|n| jittered(n, 5, 100)).collect();
        assert_eq!(spread.len(), 256, "each key draws its own share");
    }
}
