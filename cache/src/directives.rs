//! What Cache-Control of a response says (RFC 9111 §5.2.2).
//!
//! Field lines become a [`ResponseDirectives`] value once, when a response arrives. What follows
//! from it, whether to store and for how long, is decided elsewhere. Targeted fields are read by
//! `targeted` with their own, stricter syntax into the same value.
//!
//! # Invariants
//!
//! 1. What restricts is understood in every spelling; what permits must be spelled properly.
//! 2. A freshness directive that cannot be used counts as present and expired, never as absent.

use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};

use crate::grammar::{is_token, parse_delta, unquote};
use crate::list::{is_unterminated, list_members, members};

/// Which part of a response no-cache or private is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole response: there was no list of fields, or none that can be read.
    All,
    /// Only these fields; never empty.
    Fields(Vec<HeaderName>),
}

impl Scope {
    /// Adds another occurrence of the same directive; the wider one wins.
    fn widen(&mut self, other: Self) {
        match (self, other) {
            (Self::Fields(fields), Self::Fields(more)) => fields.extend(more),
            (whole, Self::All) => *whole = Self::All,
            (Self::All, Self::Fields(_)) => {}
        }
    }
}

/// What max-age or s-maxage states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// A number of seconds, at most 2^31.
    Seconds(Duration),
    /// Something that is no number: the response is stale at once (RFC 9111 §4.2.1).
    Unusable,
}

impl Lifetime {
    /// Returns the time stated; zero where it cannot be used.
    pub fn duration(self) -> Duration {
        self.usable().unwrap_or(Duration::ZERO)
    }

    /// Returns the time stated, `None` where it cannot be used.
    pub fn usable(self) -> Option<Duration> {
        match self {
            Self::Seconds(duration) => Some(duration),
            Self::Unusable => None,
        }
    }
}

/// The directives of a response (RFC 9111 §5.2.2, RFC 5861, RFC 8246).
///
/// Absent directives are `false` or `None`. The first of several max-age counts, and of directives
/// that contradict one another the most restrictive (RFC 9111 §4.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// Must not be stored (§5.2.2.5).
    pub no_store: bool,
    /// Must be validated before every reuse, or lose these fields (§5.2.2.4).
    pub no_cache: Option<Scope>,
    /// Is for one user, or these fields are (§5.2.2.7).
    pub private: Option<Scope>,
    /// May be stored where that would otherwise be forbidden (§5.2.2.9).
    pub public: bool,
    /// Must not be reused stale (§5.2.2.2).
    pub must_revalidate: bool,
    /// Must not be reused stale by a shared cache (§5.2.2.8).
    pub proxy_revalidate: bool,
    /// Is for caches that know the status (§5.2.2.3).
    pub must_understand: bool,
    /// Freshness lifetime (§5.2.2.1).
    pub max_age: Option<Lifetime>,
    /// Freshness lifetime for shared caches, before max-age (§5.2.2.10).
    pub s_maxage: Option<Lifetime>,
    /// How long past its lifetime it may be reused while it is validated (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// How long past its lifetime it may stand in for an error (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
    /// Must not be transformed (§5.2.2.6).
    pub no_transform: bool,
    /// Does not change while it is fresh (RFC 8246 §2).
    pub immutable: bool,
}

impl ResponseDirectives {
    /// Reads all Cache-Control lines of a response.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut collector = Collector::default();
        for member in list_members(headers, &CACHE_CONTROL) {
            collector.on_member(member);
        }
        collector.finish()
    }
}

/// What stands after the `=` of a directive.
pub(crate) enum Argument {
    /// Nothing, not even the `=`.
    Absent,
    /// A number of seconds that its syntax already told apart from text.
    Seconds(Duration),
    /// A token, or the text of a quoted string.
    Text(Vec<u8>),
    /// Something that is neither.
    Unusable,
}

impl Argument {
    fn parse(raw: Option<&[u8]>) -> Self {
        match raw {
            None => Self::Absent,
            Some(raw) if is_token(raw) => Self::Text(raw.to_vec()),
            Some(raw) => unquote(raw).map_or(Self::Unusable, Self::Text),
        }
    }

    /// Reads a number of seconds, as a token or quoted (RFC 9111 §5.2).
    pub(crate) fn seconds(&self) -> Option<Duration> {
        match self {
            Self::Seconds(duration) => Some(*duration),
            Self::Text(text) => parse_delta(text),
            Self::Absent | Self::Unusable => None,
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    fn lifetime(&self) -> Lifetime {
        self.seconds().map_or(Lifetime::Unusable, Lifetime::Seconds)
    }

    /// Reads a list of field names; a list that is empty or not of names means everything.
    fn scope(&self) -> Scope {
        let Self::Text(text) = self else { return Scope::All };
        let names: Result<Vec<_>, _> = members(text).map(HeaderName::from_bytes).collect();
        match names {
            Ok(names) if !names.is_empty() => Scope::Fields(names),
            Ok(_) | Err(_) => Scope::All,
        }
    }
}

/// Splits a member into its lower-case name and its argument; `None` when the name is no token.
pub(crate) fn split_directive(member: &[u8]) -> Option<(Vec<u8>, Argument)> {
    let mut parts = member.splitn(2, |&byte| byte == b'=');
    let name = parts.next()?;
    // `max-age =1` names nothing: a token ends at the space (RFC 9111 §5.2).
    is_token(name).then(|| (name.to_ascii_lowercase(), Argument::parse(parts.next())))
}

/// Gathers directives one by one and settles what repeats and contradicts.
#[derive(Default)]
pub(crate) struct Collector {
    directives: ResponseDirectives,
    stale_while_revalidate: Option<Lifetime>,
    stale_if_error: Option<Lifetime>,
}

impl Collector {
    fn on_member(&mut self, member: &[u8]) {
        if let Some((name, argument)) = split_directive(member) {
            self.apply(&name, &argument);
        }
        if is_unterminated(member) {
            self.restrict_by_tail(member);
        }
    }

    /// Obeys what an open quote hides, as far as it forbids.
    ///
    /// In `x="y, no-store` the sender may have meant two directives. Reading the second one only
    /// when it restricts is safe either way.
    fn restrict_by_tail(&mut self, member: &[u8]) {
        for part in member.split(|&byte| byte == b',').skip(1) {
            if let Some((name, _)) = split_directive(crate::grammar::trim_ows(part))
                && matches!(name.as_slice(), b"no-store" | b"no-cache" | b"private")
            {
                self.apply(&name, &Argument::Unusable);
            }
        }
    }

    /// Adds one directive; unknown names are ignored (RFC 9111 §5.2.3).
    pub(crate) fn apply(&mut self, name: &[u8], argument: &Argument) {
        let directives = &mut self.directives;
        match name {
            b"no-store" => directives.no_store = true,
            b"no-cache" => widen(&mut directives.no_cache, argument.scope()),
            b"private" => widen(&mut directives.private, argument.scope()),
            b"must-revalidate" => directives.must_revalidate = true,
            b"proxy-revalidate" => directives.proxy_revalidate = true,
            b"no-transform" => directives.no_transform = true,
            // These permit something, so a form that the grammar does not have is not enough.
            b"public" => directives.public |= argument.is_absent(),
            b"must-understand" => directives.must_understand |= argument.is_absent(),
            b"immutable" => directives.immutable |= argument.is_absent(),
            b"max-age" => keep_first(&mut directives.max_age, argument),
            b"s-maxage" => keep_first(&mut directives.s_maxage, argument),
            b"stale-while-revalidate" => keep_first(&mut self.stale_while_revalidate, argument),
            b"stale-if-error" => keep_first(&mut self.stale_if_error, argument),
            _ => {}
        }
    }

    pub(crate) fn finish(self) -> ResponseDirectives {
        ResponseDirectives {
            // A window of unknown length is no window.
            stale_while_revalidate: self.stale_while_revalidate.and_then(Lifetime::usable),
            stale_if_error: self.stale_if_error.and_then(Lifetime::usable),
            ..self.directives
        }
    }
}

fn keep_first(slot: &mut Option<Lifetime>, argument: &Argument) {
    slot.get_or_insert_with(|| argument.lifetime());
}

fn widen(slot: &mut Option<Scope>, scope: Scope) {
    match slot {
        Some(present) => present.widen(scope),
        None => *slot = Some(scope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::headers;

    fn parse(lines: &[&str]) -> ResponseDirectives {
        let fields: Vec<String> =
            lines.iter().map(|line| format!("Cache-Control: {line}")).collect();
        ResponseDirectives::parse(&headers(&fields.join("\n")))
    }

    fn seconds(secs: u64) -> Option<Lifetime> {
        Some(Lifetime::Seconds(Duration::from_secs(secs)))
    }

    #[test]
    fn a_lifetime_is_a_number_or_explicitly_expired() {
        // (lines, expected max-age, why); RFC 9111 §4.2.1 and §5.2.
        let unusable = Some(Lifetime::Unusable);
        let cases: &[(&[&str], Option<Lifetime>, &str)] = &[
            (&["max-age=60"], seconds(60), "token form"),
            (&["max-age=\"60\""], seconds(60), "quoted form"),
            (&["MAX-AGE=60"], seconds(60), "names fold case"),
            (&["max-age=99999999999999999999"], seconds(1 << 31), "overflow is clamped"),
            (&["max-age=1, max-age=60"], seconds(1), "first occurrence"),
            (&["max-age=60", "max-age=1"], seconds(60), "first occurrence over lines"),
            (&["max-age"], unusable, "no argument"),
            (&["max-age="], unusable, "empty argument"),
            (&["max-age=-1"], unusable, "negative"),
            (&["max-age=3600.0"], unusable, "decimal"),
            (&["max-age=3600a"], unusable, "trailing letter"),
            (&["max-age=a3600"], unusable, "leading letter"),
            (&["max-age= 60"], unusable, "space after the equals sign"),
            (&["max-age='60'"], unusable, "single quotes are no quotes"),
            (&["max-age=\"60"], unusable, "an open quote"),
            (&["max-age =60"], None, "a name with a space is another name"),
            (&["ext=\"a, max-age=60\""], None, "quoted text holds no directive"),
            (&["max-age=1, ext=\"max-age=60\""], seconds(1), "nor after the real one"),
            (&["x=\"a, max-age=60"], None, "an open quote hides what permits"),
            (&["no-such-thing, , =, =5"], None, "unknown and nameless members are ignored"),
        ];
        for &(lines, expected, why) in cases {
            assert_eq!(parse(lines).max_age, expected, "{why}\n{lines:?}");
        }
    }

    #[test]
    fn what_forbids_is_read_in_every_spelling() {
        let no_store = ["No-Store", "NO-STORE", "no-store=\"x\"", "a, no-store", "a=\"b, no-store"];
        for line in no_store {
            assert!(parse(&[line]).no_store, "{line}");
        }
        assert!(parse(&["max-age=60", "no-store"]).no_store, "the second line counts");
        assert!(!parse(&["a=\"no-store\""]).no_store, "quoted text holds no directive");
        assert_eq!(parse(&["Private"]).private, Some(Scope::All));
        assert_eq!(parse(&["NO-CACHE"]).no_cache, Some(Scope::All));
        assert_eq!(parse(&["a=\"b, private"]).private, Some(Scope::All));
        let both = parse(&["must-revalidate, Proxy-Revalidate, NO-TRANSFORM"]);
        assert!(both.must_revalidate && both.proxy_revalidate && both.no_transform);
    }

    #[test]
    fn what_permits_must_be_spelled_properly() {
        let given = parse(&["public, must-understand, immutable"]);
        assert!(given.public && given.must_understand && given.immutable);
        let mangled = parse(&["public=1, must-understand=x, immutable=\"\""]);
        assert_eq!(mangled, ResponseDirectives::default());
    }

    #[test]
    fn scopes_are_lists_of_names_or_everything() {
        // (line, expected scope of no-cache, why); RFC 9111 §5.2.2.4.
        let fields = |names: &[&'static str]| {
            Some(Scope::Fields(names.iter().map(|name| HeaderName::from_static(name)).collect()))
        };
        let cases: &[(&str, Option<Scope>, &str)] = &[
            ("no-cache", Some(Scope::All), "unqualified"),
            ("no-cache=\"A, b\"", fields(&["a", "b"]), "names fold case"),
            ("no-cache=a", fields(&["a"]), "a single name may come as a token"),
            ("no-cache=\"\"", Some(Scope::All), "an empty list is no list"),
            ("no-cache=\"a b\"", Some(Scope::All), "not a field name"),
            ("no-cache=\"a", Some(Scope::All), "an open quote"),
            ("no-cache=", Some(Scope::All), "an empty argument"),
            ("no-cache=\"a\", no-cache=\"b\"", fields(&["a", "b"]), "lists add up"),
            ("no-cache=\"a\", no-cache", Some(Scope::All), "the wider one wins"),
            ("no-cache, no-cache=\"a\"", Some(Scope::All), "in either order"),
            ("max-age=1", None, "absent"),
        ];
        for (line, expected, why) in cases {
            assert_eq!(parse(&[line]).no_cache, *expected, "{why}");
        }
    }

    #[test]
    fn stale_windows_of_unknown_length_are_absent() {
        let day = Some(Duration::from_secs(86_400));
        let given = parse(&["stale-while-revalidate=86400, Stale-If-Error=\"86400\""]);
        assert_eq!((given.stale_while_revalidate, given.stale_if_error), (day, day));
        let mangled = parse(&["stale-while-revalidate, stale-if-error=1d, stale-if-error=9"]);
        assert_eq!((mangled.stale_while_revalidate, mangled.stale_if_error), (None, None));
    }
}
