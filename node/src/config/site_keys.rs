//! Which keys a site has: name, form, range and meaning of each, next to the field it sets.
//!
//! `profile` is a key that sets no field of [`SiteConfig`]: it chooses the defaults of the others.

use std::time::Duration;

use weir_cache::{Heuristic, KeyRules, Policy, Profile};

use super::access_keys::visit_access;
use super::group_keys::visit_origin_groups;
use super::keys::Visitor;
use super::kinds::{
    Choice, Flag, List, Maybe, Percent, Span, authority, cookie_name, file, header_name,
    host_pattern, key_header_name, origin_server, parameter_pattern, tls_name, token,
};
use super::limit_keys::visit_site_limits;
use super::model::{FieldSwitches, OnIsolation, Protocol, SiteConfig};
use super::origin::OriginConfig;
use super::tls_keys::visit_site_tls;

/// A site with the profile its rules start from.
#[derive(Clone, Debug)]
pub(super) struct SiteDraft {
    pub(super) profile: Profile,
    pub(super) site: SiteConfig,
}

impl SiteDraft {
    /// A site without name, hosts and origins that does as `profile` says.
    pub(super) fn new(profile: Profile) -> Self {
        Self { profile, site: SiteConfig::new("", profile) }
    }

    /// Visits what a site is and where it comes from.
    pub(super) fn visit_identity(&mut self, v: &mut impl Visitor) {
        v.table("site", "One site.");
        let site = &mut self.site;
        v.key(
            "name",
            &token(),
            &mut site.name,
            "Name of the site in keys, logs and metrics. Required.",
        );
        v.key(
            "hosts",
            &List::of_some(host_pattern()),
            &mut site.hosts,
            "Hosts of the site; the most specific pattern wins. Required.",
        );
        v.key(
            "origins",
            &List::of(origin_server()),
            &mut site.origins,
            "Servers that own the content. Required when the node has no parents.",
        );
        v.key(
            "origin_host",
            &Maybe(authority()),
            &mut site.origin_host,
            "Host field for origins; the one of the client when left out.",
        );
        v.key(
            "profile",
            &PROFILE,
            &mut self.profile,
            "Defaults of the keys that follow: careful, or as close to the standard as can be.",
        );
    }

    /// Visits what the site wants done. Follows [`Self::visit_identity`], in whose table it begins.
    pub(super) fn visit_rules(&mut self, v: &mut impl Visitor) {
        visit_switches(&mut self.site.policy, v);
        visit_freshness(&mut self.site.policy, v);
        v.key(
            "ttl_jitter",
            &Percent { max: 50 },
            &mut self.site.rules.jitter_percent,
            "Most that is taken off a lifetime, by key, so that not all expire together.",
        );
        v.key(
            "stale_if_slow",
            &Maybe(Span { min: Duration::from_millis(1), max: Duration::from_secs(3_600) }),
            &mut self.site.stale_if_slow,
            "After how long without an answer a response stands in that may stand in for an \
             unreachable upstream; never when left out.",
        );
        visit_isolation(&mut self.site, v);
        visit_origin(&mut self.site.origin, v);
        visit_key(&mut self.site.key, v);
        visit_fields(&mut self.site.fields, v);
        visit_site_limits(&mut self.site.limits, v);
        visit_site_tls(&mut self.site.tls, v);
        visit_access(self.site.access.draft(), v);
    }
}

const PROFILE: Choice<Profile> = Choice {
    options: &[
        (Profile::Default.as_str(), Profile::Default),
        (Profile::Rfc.as_str(), Profile::Rfc),
    ],
};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn visit_switches(policy: &mut Policy, v: &mut impl Visitor) {
    v.key(
        "store_set_cookie",
        &Flag,
        &mut policy.store_set_cookie,
        "Whether a response with Set-Cookie is stored without being marked for shared caches.",
    );
    v.key(
        "guard",
        &Flag,
        &mut policy.guard,
        "Whether errors about the request, pages under paths of files and reflected origins are kept from others.",
    );
    v.key(
        "strict_partial",
        &Flag,
        &mut policy.strict_partial,
        "Whether a 206 is kept only with a strong ETag and the bytes that its Content-Range says.",
    );
    v.key(
        "sort_accept_language",
        &Flag,
        &mut policy.sort_accept_language,
        "Whether the order in Accept-Language is ignored when a variant is chosen.",
    );
    v.key(
        "post_to_get",
        &Flag,
        &mut policy.post_to_get,
        "Whether the response to a POST may be stored for later GETs.",
    );
    v.key(
        "honor_request_directives",
        &Flag,
        &mut policy.honor_request_directives,
        "Whether Cache-Control and Pragma of clients are obeyed.",
    );
    v.key(
        "reduce_accept_encoding",
        &Flag,
        &mut policy.reduce_accept_encoding,
        "Whether Accept-Encoding is reduced to br, gzip and zstd.",
    );
}

fn visit_freshness(policy: &mut Policy, v: &mut impl Visitor) {
    let standard = Policy::default().heuristic.unwrap_or(Heuristic { fraction: 0.1, max: YEAR });
    let mut guess = policy.heuristic.is_some();
    v.key(
        "heuristic",
        &Flag,
        &mut guess,
        "Whether a lifetime is guessed from Last-Modified where the origin states none.",
    );
    let mut heuristic = policy.heuristic.unwrap_or(standard);
    v.key(
        "heuristic_max",
        &Span { min: Duration::from_secs(1), max: YEAR },
        &mut heuristic.max,
        "Longest lifetime that is guessed.",
    );
    policy.heuristic = guess.then_some(heuristic);
    v.key(
        "stale_while_revalidate",
        &Span { min: Duration::ZERO, max: YEAR },
        &mut policy.stale_while_revalidate,
        "How long past its lifetime a response that states none may be used while it is validated.",
    );
    v.key(
        "stale_if_error",
        &Span { min: Duration::ZERO, max: YEAR },
        &mut policy.stale_if_error,
        "How long past its lifetime a response that states none may stand in for a 5xx.",
    );
    v.key(
        "stale_if_unreachable",
        &Span { min: Duration::ZERO, max: YEAR },
        &mut policy.stale_if_unreachable,
        "How long past its lifetime a response may stand in for an unreachable upstream.",
    );
    v.key(
        "targeted_fields",
        &List::of(header_name()),
        &mut policy.targets,
        "Fields that replace Cache-Control for this cache (RFC 9213), most specific first.",
    );
}

const ON_ISOLATION: Choice<OnIsolation> = Choice {
    options: &[("validate", OnIsolation::Validate), ("serve-stale", OnIsolation::ServeStale)],
};

fn visit_isolation(site: &mut SiteConfig, v: &mut impl Visitor) {
    v.key(
        "on_isolation",
        &ON_ISOLATION,
        &mut site.on_isolation,
        "What a node does that is cut off from the purge log: ask upstream before each use, or go on \
         with what it stores though a purge may have removed it.",
    );
    v.key(
        "stale_after_purge",
        &Flag,
        &mut site.stale_after_purge,
        "Whether a response that was invalidated may stand in when upstream fails.",
    );
}

const PROTOCOL: Choice<Protocol> =
    Choice { options: &[("http1", Protocol::Http1), ("http2", Protocol::Http2)] };

fn visit_origin(origin: &mut OriginConfig, v: &mut impl Visitor) {
    v.table("site.origin", "How the site's servers are asked.");
    v.key(
        "protocol",
        &PROTOCOL,
        &mut origin.protocol,
        "HTTP/1.1, or HTTP/2: over TLS where the origin takes it, without TLS by prior knowledge.",
    );
    v.key(
        "tls_name",
        &Maybe(tls_name()),
        &mut origin.tls_name,
        "Name that the certificates of https origins are for, also sent as SNI; the one in the address \
         when left out.",
    );
    v.key(
        "tls_ca",
        &Maybe(file("/etc/weir/origins.pem")),
        &mut origin.tls_ca,
        "PEM file with the certificates that vouch for https origins; those of the system when left out.",
    );
    v.key(
        "tls_verify",
        &Flag,
        &mut origin.tls_verify,
        "Whether certificates of https origins are checked. Without, anyone in between can answer.",
    );
    visit_origin_groups(origin, v);
}

fn visit_key(key: &mut KeyRules, v: &mut impl Visitor) {
    v.table("site.key", "What makes two requests different.");
    v.key(
        "query_sort",
        &Flag,
        &mut key.query.sort,
        "Whether the order of query parameters is ignored; equal names keep theirs.",
    );
    v.key(
        "query_allow",
        &Maybe(List::of(parameter_pattern())),
        &mut key.query.allow,
        "Query parameters that are kept; all when left out, none when empty.",
    );
    v.key(
        "query_ignore",
        &List::of(parameter_pattern()),
        &mut key.query.ignore,
        "Query parameters that are dropped, also from what goes upstream.",
    );
    v.key(
        "headers",
        &List::of(key_header_name()),
        &mut key.headers,
        "Request fields that are part of the key.",
    );
    v.key(
        "cookies",
        &List::of(cookie_name()),
        &mut key.cookies,
        "Cookies that are part of the key. Case counts.",
    );
}

fn visit_fields(fields: &mut FieldSwitches, v: &mut impl Visitor) {
    v.table("site.fields", "Response fields that clients see.");
    v.key("age", &Flag, &mut fields.age, "Age: seconds since the origin made the response.");
    v.key("date", &Flag, &mut fields.date, "Date: when the origin made the response.");
    v.key("via", &Flag, &mut fields.via, "Via: the nodes passed.");
    v.key("cache_status", &Flag, &mut fields.cache_status, "Cache-Status: what each tier did.");
    v.key("x_cache", &Flag, &mut fields.x_cache, "X-Cache: what the edge did, in one word.");
    v.key("proxy_status", &Flag, &mut fields.proxy_status, "Proxy-Status: why the answer is ours.");
    v.key("request_id", &Flag, &mut fields.request_id, "X-Request-Id: where to look in the log.");
    v.key(
        "tags",
        &Flag,
        &mut fields.tags,
        "Cache-Tag, Surrogate-Key, xkey and Cache-Groups: by what the response can be purged.",
    );
}
