//! Which parameters of a query count, and in which order?
//!
//! What the rule drops is dropped for the upstream too, so a parameter that is not in the key
//! cannot change the stored response. Bytes of a parameter are never changed.
//!
//! # Invariants
//!
//! 1. Applying a rule to its own result changes nothing.
//! 2. Sorting keeps the order of parameters that some server reads as one name, and leaves a query
//!    alone that some server splits at other places than we do. So a server that asks for "the
//!    first `a`", "the last `a`" or "all `a`" gets the same answer before and after.

use std::fmt;
use std::str::FromStr;

use crate::escape::decoded;

/// Rule of a site about query parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryRule {
    /// Whether parameters are put in order of their names. True by default.
    pub sort: bool,
    /// The only parameters kept; `None` (the default) keeps all.
    pub allow: Option<Vec<Pattern>>,
    /// Parameters dropped, even where `allow` keeps them. Empty by default.
    pub ignore: Vec<Pattern>,
}

impl Default for QueryRule {
    fn default() -> Self {
        Self { sort: true, allow: None, ignore: Vec::new() }
    }
}

impl QueryRule {
    /// Returns what counts of `query`; `None` if every parameter was dropped.
    ///
    /// A query is a list of parameters separated by `&`, which may be empty; so the empty query
    /// has one parameter, whose name is empty, and is kept where that parameter is.
    pub fn apply(&self, query: &str) -> Option<String> {
        let mut kept: Vec<&str> =
            query.split('&').filter(|parameter| self.keeps(name_of(parameter))).collect();
        if kept.is_empty() {
            return None;
        }
        // Some servers split at `;` as well: moving `a=1;b=2` would then move `b` unseen.
        if self.sort && !kept.iter().any(|parameter| parameter.contains(';')) {
            kept.sort_by(|one, other| family(one).cmp(family(other)));
        }
        Some(kept.join("&"))
    }

    fn keeps(&self, name: &str) -> bool {
        let allowed = self.allow.as_ref().is_none_or(|allow| any_matches(allow, name));
        allowed && !any_matches(&self.ignore, name)
    }
}

fn any_matches(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

fn name_of(parameter: &str) -> &str {
    parameter.split_once('=').map_or(parameter, |(name, _)| name)
}

/// Sort key of a parameter: its name as the most forgiving server reads it.
///
/// Names that any common server takes for one get the same key, and the sort is stable. That is:
/// escapes decoded, `+` a space (forms), case folded (ASP.NET), space and `.` an underscore and
/// the rest from `[` on an index (PHP, Rails). Folding too much only leaves two orders apart.
fn family(parameter: &str) -> impl Iterator<Item = u8> {
    decoded(name_of(parameter)).take_while(|byte| *byte != b'[').map(|byte| match byte {
        b' ' | b'+' | b'.' => b'_',
        other => other.to_ascii_lowercase(),
    })
}

/// Pattern for parameter names: a name, or the beginning of one followed by `*`.
///
/// Written with escapes decoded, and case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
    open: bool,
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not a pattern (expected a name such as \"id\" or a beginning as in \"utm_*\")"
)]
pub struct BadPattern {
    /// The text as it was given.
    pub given: String,
}

impl Pattern {
    /// Says whether the pattern matches a name as it is written in a query.
    pub fn matches(&self, name: &str) -> bool {
        let mut name = decoded(name);
        let begins = self.text.bytes().all(|byte| name.next() == Some(byte));
        begins && (self.open || name.next().is_none())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.open { "*" } else { "" })
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(given: &str) -> Result<Self, BadPattern> {
        let (text, open) = given.strip_suffix('*').map_or((given, false), |text| (text, true));
        if given.is_empty() || text.contains('*') {
            return Err(BadPattern { given: given.to_owned() });
        }
        Ok(Self { text: text.to_owned(), open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(list: &str) -> Vec<Pattern> {
        list.split_whitespace().map(|text| text.parse().expect("well-formed pattern")).collect()
    }

    fn assert_applies(rule: &QueryRule, query: &str, expected: Option<&str>, why: &str) {
        let applied = rule.apply(query);
        assert_eq!(applied.as_deref(), expected, "{why}: {query}");
        let again = applied.as_deref().and_then(|query| rule.apply(query));
        assert_eq!(again, applied, "idempotent: {query}");
    }

    #[test]
    fn sorting_orders_names_and_keeps_what_servers_can_tell_apart() {
        const CASES: &[(&str, &str, &str)] = &[
            ("", "", "the empty query stays"),
            ("b=2&a=1", "a=1&b=2", "by name"),
            ("a=2&a=1", "a=2&a=1", "equal names keep their order"),
            ("b&a=2&a", "a=2&a&b", "with and without a value"),
            ("a=2&%61=1", "a=2&%61=1", "an escaped name is the same name"),
            ("%61=2&a=1", "%61=2&a=1", "in either order"),
            ("a+b=2&a%20b=1", "a+b=2&a%20b=1", "both are `a b` in a form"),
            ("a+b=2&a%2Bb=1", "a+b=2&a%2Bb=1", "and both are `a+b` elsewhere"),
            ("id=2&ID=1", "id=2&ID=1", "one name for a server that folds case"),
            ("a.b=2&a_b=1", "a.b=2&a_b=1", "one name in PHP"),
            ("b=0&a[y]=2&a%5Bx%5D=1&a=3", "a[y]=2&a%5Bx%5D=1&a=3&b=0", "members of one array"),
            ("b=1;a=2&a=1", "b=1;a=2&a=1", "`;` separates too for some servers"),
            ("b&&a", "&a&b", "empty parameters are kept"),
            ("b=%zz&a=%", "a=%&b=%zz", "bytes of values are not looked at"),
        ];
        for &(query, expected, why) in CASES {
            assert_applies(&QueryRule::default(), query, Some(expected), why);
        }
    }

    #[test]
    fn allow_and_ignore_drop_whole_parameters() {
        type Kept = Option<&'static str>;
        const CASES: &[(Option<&str>, &str, &str, Kept, &str)] = &[
            (None, "utm_*", "utm_source=x&a=1&utm_=2", Some("a=1"), "a beginning"),
            (None, "utm_*", "utm%5Fsource=x&a=1", Some("a=1"), "an escaped name is the same name"),
            (None, "utm_*", "utm=y&UTM_source=x", Some("utm=y&UTM_source=x"), "other names"),
            (None, "a", "a=1&ab=2&a", Some("ab=2"), "a whole name"),
            (None, "a", "a=1&a=2", None, "nothing is left"),
            (None, "a", "", Some(""), "nothing was dropped"),
            (None, "*", "a=1", None, "everything"),
            (Some("b a"), "", "c=3&b=2&a=1", Some("a=1&b=2"), "only these"),
            (Some("a*"), "ab", "ab=1&ac=2", Some("ac=2"), "ignore beats allow"),
            (Some(""), "", "a=1", None, "an empty list allows nothing"),
            (Some("a"), "", "", None, "not even the empty name"),
            (None, "x", "x=1;b=2&c&a", Some("a&c"), "sorted if what is left has no `;`"),
        ];
        for &(allow, ignore, query, expected, why) in CASES {
            let (allow, ignore) = (allow.map(patterns), patterns(ignore));
            assert_applies(&QueryRule { sort: true, allow, ignore }, query, expected, why);
        }
    }

    #[test]
    fn without_sorting_the_order_stays() {
        let rule = QueryRule { sort: false, ignore: patterns("x"), ..QueryRule::default() };
        assert_applies(&rule, "c&x=1&b&a", Some("c&b&a"), "only the dropped one is gone");
    }

    #[test]
    fn a_pattern_has_at_most_one_star_at_its_end() {
        for text in ["", "**", "a*b", "*a", "*a*"] {
            let problem = text.parse::<Pattern>().expect_err(text).to_string();
            assert!(problem.contains("utm_*") && problem.contains(text), "{problem}");
        }
    }
}
