//! Which keys the access rules of a site have, next to the fields of `weir-access` that they set.
//!
//! Only the form of a value is known here. Words, patterns, networks and secrets are checked by
//! [`weir_access::AccessConfig::compile`], together with what must hold between them.

use weir_access::{AccessConfig, KeyConfig, RuleConfig, SignatureConfig, SourceConfig};

use super::keys::Visitor;
use super::kinds::{Flag, List, Maybe, Text, text};

/// Name of the table.
pub(super) const ACCESS: &str = "site.access";
/// Names of the lists of tables in it.
pub(super) const RULE: &str = "site.access.rule";
pub(super) const REFERER: &str = "site.access.referer";
pub(super) const ORIGIN: &str = "site.access.origin";
pub(super) const SIGNATURE: &str = "site.access.signature";
/// Name of the list of tables in each signature.
pub(super) const KEYS: &str = "site.access.signature.keys";

/// Every list of tables.
pub(super) const LISTS: [&str; 5] = [RULE, REFERER, ORIGIN, SIGNATURE, KEYS];

const PATH: Text<String> = text(
    "path pattern",
    "a path, ? for one character, * for any of a segment, ** for any segments",
    "/video/**",
);
const METHODS: List<Text<String>> = List::of(text("method", "in upper case", "GET"));
const ALLOW_OR_DENY: Text<String> = text("string", "\"allow\", \"deny\"", "deny");

/// Visits the keys that stand in the table itself.
pub(super) fn visit_access(access: &mut AccessConfig, v: &mut impl Visitor) {
    v.table(ACCESS, "Who may fetch what.");
    v.key(
        "methods",
        &Maybe(METHODS),
        &mut access.methods,
        "Methods that are let in; all when left out.",
    );
}

/// Visits the keys of a rule about clients.
pub(super) fn visit_rule(rule: &mut RuleConfig, v: &mut impl Visitor) {
    v.table(RULE, "Who is let in; the first rule that fits decides.");
    let name = text("string", "any", "office");
    v.key("name", &Maybe(name), &mut rule.name, "What the log calls the rule.");
    v.key(
        "action",
        &Maybe(ALLOW_OR_DENY),
        &mut rule.action,
        "What is done with a request that fits. Required.",
    );
    v.key("path", &Maybe(PATH), &mut rule.path, "Paths that it is for; all when left out.");
    v.key(
        "methods",
        &Maybe(METHODS),
        &mut rule.methods,
        "Methods that it is for; all when left out.",
    );
    let network =
        text("network", "an address, or a network with zeros behind its prefix", "192.0.2.0/24");
    v.key(
        "clients",
        &Maybe(List::of(network)),
        &mut rule.clients,
        "Addresses of clients that it is for; all when left out.",
    );
    let agent =
        text("string", "a part of User-Agent, or a pattern with * or ?; empty for none", "curl");
    v.key(
        "user_agents",
        &Maybe(List::of(agent)),
        &mut rule.user_agents,
        "User agents that it is for; all when left out.",
    );
    let country = text("country code", "two letters, or unknown", "unknown");
    v.key(
        "countries",
        &Maybe(List::of(country)),
        &mut rule.countries,
        "Countries of clients that it is for, as node.country_file says; all when left out.",
    );
}

/// Visits the keys of a rule about `Referer` or `Origin`; `name` is the one or the other list.
pub(super) fn visit_source(
    (name, about): (&'static str, &'static str),
    source: &mut SourceConfig,
    v: &mut impl Visitor,
) {
    v.table(name, about);
    let host = || {
        let range = "a host without port, *.domain for all below it, or * for any";
        List::of(text("host pattern", range, "www.example.com"))
    };
    v.key("path", &Maybe(PATH), &mut source.path, "Paths that it is for; all when left out.");
    v.key(
        "allow",
        &host(),
        &mut source.allow,
        "Hosts that are let in; all that are not refused when left out.",
    );
    v.key("deny", &host(), &mut source.deny, "Hosts that are refused, before allow is looked at.");
    v.key(
        "absent",
        &Maybe(ALLOW_OR_DENY),
        &mut source.absent,
        "What is done without the field. Required.",
    );
    v.key(
        "unreadable",
        &Maybe(ALLOW_OR_DENY),
        &mut source.unreadable,
        "What is done if the field names no host for certain; deny when left out.",
    );
    v.key(
        "same_host",
        &Maybe(Flag),
        &mut source.same_host,
        "Whether the host that is asked is let in too; true when left out.",
    );
}

pub(super) const ABOUT_REFERER: &str =
    "Which pages may show it, by Referer; the first whose path fits counts.";
pub(super) const ABOUT_ORIGIN: &str =
    "Which sites' scripts may fetch it, by Origin; the first whose path fits counts.";

/// Visits the keys of a signature.
pub(super) fn visit_signature(signature: &mut SignatureConfig, v: &mut impl Visitor) {
    v.table(SIGNATURE, "What has to be signed; the first whose path fits counts.");
    v.key("path", &Maybe(PATH), &mut signature.path, "Paths that it is for; all when left out.");
    let format = text(
        "string",
        "weir, alibaba-a, -b, -c, alibaba-c-query, tencent-a, -b, -c, -d, secure-link, cloudfront, \
         edge-auth, or none for what is free",
        "weir",
    );
    v.key("format", &Maybe(format), &mut signature.format, "How it is signed. Required.");
    v.key(
        "methods",
        &Maybe(METHODS),
        &mut signature.methods,
        "Methods that a signature is for; GET and HEAD when left out.",
    );
    let skew = text("duration", "whole s, m, h or d, at most 5m", "30s");
    v.key(
        "skew",
        &Maybe(skew),
        &mut signature.skew,
        "How far the clock of the signer may be off; 30s when left out.",
    );
    visit_format(signature, v);
}

fn visit_format(signature: &mut SignatureConfig, v: &mut impl Visitor) {
    let validity = text("duration", "whole s, m, h or d, at most twenty years", "30m");
    v.key(
        "validity",
        &Maybe(validity),
        &mut signature.validity,
        "How long a URL is right once it is signed (Alibaba, Tencent); 30m when left out.",
    );
    let parameter = text("parameter", "letters, digits, - . _", "sign");
    v.key(
        "parameters",
        &Maybe(List::of(parameter)),
        &mut signature.parameters,
        "Names of the parameters with the signature; the vendor's when left out.",
    );
    let time = text("string", "\"decimal\", \"hex\"", "hex");
    v.key(
        "time",
        &Maybe(time),
        &mut signature.time,
        "How tencent-a and tencent-d write the time; decimal when left out.",
    );
    let expression = text(
        "string",
        "with $secret, $uri or $path, $secure_link_expires, $host, $scheme, $remote_addr",
        "$secure_link_expires$uri $secret",
    );
    v.key(
        "expression",
        &Maybe(expression),
        &mut signature.expression,
        "What secure-link digests. Required for it.",
    );
    let name = text("field name", "the name of a header field", "hdnts");
    v.key(
        "name",
        &Maybe(name),
        &mut signature.name,
        "What edge-auth calls its token; hdnts when left out.",
    );
    let salt = text("secret", "env:NAME or file:/path", "env:EDGE_AUTH_SALT");
    v.key(
        "salt",
        &Maybe(salt),
        &mut signature.salt,
        "Where the salt of edge-auth is; none when left out.",
    );
    v.key(
        "escape_early",
        &Maybe(Flag),
        &mut signature.escape_early,
        "Whether edge-auth signs escaped paths; false when left out.",
    );
    let scheme = text("string", "\"http\", \"https\"", "https");
    v.key(
        "scheme",
        &Maybe(scheme),
        &mut signature.scheme,
        "Scheme that cloudfront URLs are signed with; that of the request when left out.",
    );
}

/// Visits the keys of one key of a signature.
pub(super) fn visit_key(key: &mut KeyConfig, v: &mut impl Visitor) {
    v.table(KEYS, "One key of a signature; up to eight are live.");
    // An id that is left out is empty, which no id may be.
    let mut id = (!key.id.is_empty()).then(|| key.id.clone());
    let ids = text("name", "1 to 64 letters, digits, - . _", "2024a");
    v.key("id", &Maybe(ids), &mut id, "Name of the key, which is no secret. Required.");
    key.id = id.unwrap_or_default();
    let secret = text("secret", "env:NAME or file:/path", "env:VIDEO_KEY");
    v.key(
        "secret",
        &Maybe(secret),
        &mut key.secret,
        "Where the secret is; never the secret itself.",
    );
    let public = text("public key", "env:NAME or file:/path", "file:/etc/weir/signer.pem");
    v.key(
        "public_key",
        &Maybe(public),
        &mut key.public_key,
        "Where the public key is, for cloudfront.",
    );
}
