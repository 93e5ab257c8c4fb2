//! Which field governs a response: a targeted one or Cache-Control (RFC 9213).
//!
//! Targeted fields are structured fields with a parser of their own. They must not be read like
//! Cache-Control: `max-age="60"` is a number there and an error here.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser, Version};

use crate::directives::{Argument, Collector, ResponseDirectives};
use crate::grammar::{clamp_delta, trim_ows};

/// The directives that apply to a response, and where they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Governing {
    /// What the governing field says.
    pub directives: ResponseDirectives,
    /// Whether a targeted field governs; then Expires does not count either (RFC 9213 §2.2).
    pub targeted: bool,
}

/// Returns the directives of the first of `targets` that is present, valid and not empty, else
/// those of Cache-Control (RFC 9213 §2.2).
pub fn governing(headers: &HeaderMap, targets: &[HeaderName]) -> Governing {
    targets.iter().find_map(|target| parse_targeted(headers, target)).map_or_else(
        || Governing { directives: ResponseDirectives::parse(headers), targeted: false },
        |directives| Governing { directives, targeted: true },
    )
}

/// Reads the targeted field `target`; `None` when it is to be treated as absent (RFC 9213 §2.1).
fn parse_targeted(headers: &HeaderMap, target: &HeaderName) -> Option<ResponseDirectives> {
    let lines: Vec<&[u8]> = headers
        .get_all(target)
        .iter()
        .map(|line| trim_ows(line.as_bytes()))
        .filter(|line| !line.is_empty())
        .collect();
    let joined = lines.join(b", ".as_slice());
    let dictionary: Dictionary =
        Parser::new(&joined).with_version(Version::Rfc8941).parse().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut collector = Collector::default();
    for (name, entry) in &dictionary {
        if let Some(argument) = argument(name.as_str(), entry) {
            collector.apply(name.as_str().as_bytes(), &argument);
        }
    }
    Some(collector.finish())
}

/// Reads the value of one key by the type it must have; `None` when the directive is switched off.
fn argument(name: &str, entry: &ListEntry) -> Option<Argument> {
    let ListEntry::Item(item) = entry else { return Some(Argument::Unusable) };
    match &item.bare_item {
        BareItem::Boolean(false) => None,
        BareItem::Boolean(true) => Some(Argument::Absent),
        BareItem::Integer(number) if is_delta(name) => Some(
            u64::try_from(i64::from(*number))
                .map_or(Argument::Unusable, |secs| Argument::Seconds(clamp_delta(secs))),
        ),
        BareItem::String(text) if !is_delta(name) => {
            Some(Argument::Text(text.as_str().as_bytes().to_vec()))
        }
        _ => Some(Argument::Unusable),
    }
}

fn is_delta(name: &str) -> bool {
    matches!(name, "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::directives::{Lifetime, Scope};
    use crate::fixture::headers;
    use crate::policy::Policy;

    fn govern(fields: &str) -> Governing {
        governing(&headers(fields), &Policy::default().targets)
    }

    #[test]
    fn the_first_valid_target_replaces_cache_control() {
        // (fields, whether a targeted field governs, expected max-age, why); RFC 9213 §2.
        let secs = |secs| Some(Lifetime::Seconds(Duration::from_secs(secs)));
        let cases: &[(&str, bool, Option<Lifetime>, &str)] = &[
            ("Cache-Control: max-age=1", false, secs(1), "no targeted field"),
            (
                "CDN-Cache-Control: max-age=3600\nCache-Control: max-age=1",
                true,
                secs(3600),
                "the targeted field replaces Cache-Control",
            ),
            (
                "CDN-Cache-Control: max-age=2\nWeir-CDN-Cache-Control: max-age=3",
                true,
                secs(3),
                "the more specific target comes first",
            ),
            (
                "CDN-Cache-Control: max-age=10000, &&&&&\nCache-Control: max-age=1",
                false,
                secs(1),
                "a field that does not parse is absent as a whole",
            ),
            (
                "CDN-Cache-Control: max-age=10000, x=é\nCache-Control: max-age=1",
                false,
                secs(1),
                "bytes outside ASCII do not parse",
            ),
            (
                "CDN-Cache-Control: max-age=9, x=@1\nCache-Control: max-age=1",
                false,
                secs(1),
                "types newer than RFC 8941 do not parse",
            ),
            ("CDN-Cache-Control:\nCache-Control: max-age=1", false, secs(1), "empty is absent"),
            (
                "CDN-Cache-Control: max-age=\"10000\"",
                true,
                Some(Lifetime::Unusable),
                "a String is no Integer",
            ),
            ("CDN-Cache-Control: max-age=1.5", true, Some(Lifetime::Unusable), "a Decimal"),
            ("CDN-Cache-Control: max-age=-1", true, Some(Lifetime::Unusable), "negative"),
            ("CDN-Cache-Control: max-age", true, Some(Lifetime::Unusable), "a Boolean"),
            ("CDN-Cache-Control: max-age=(1 2)", true, Some(Lifetime::Unusable), "a list"),
            ("CDN-Cache-Control: max-age=9;x=1", true, secs(9), "parameters are ignored"),
            ("CDN-Cache-Control: max-age=1, max-age=9", true, secs(9), "the last key wins"),
            ("CDN-Cache-Control: max-age=99999999999", true, secs(1 << 31), "clamped"),
            ("CDN-Cache-Control: a\nCDN-Cache-Control: max-age=9", true, secs(9), "lines join"),
            ("CDN-Cache-Control: Max-Age=9\nCache-Control: a", false, None, "keys are lower case"),
        ];
        for (fields, targeted, max_age, why) in cases {
            let found = govern(fields);
            assert_eq!((found.targeted, found.directives.max_age), (*targeted, *max_age), "{why}");
        }
    }

    #[test]
    fn flags_and_scopes_follow_the_types() {
        let given = govern("CDN-Cache-Control: no-store, no-cache=\"a\", private, public");
        assert!(given.directives.no_store && given.directives.public);
        assert_eq!(
            given.directives.no_cache,
            Some(Scope::Fields(vec![HeaderName::from_static("a")]))
        );
        assert_eq!(given.directives.private, Some(Scope::All));

        let off = govern("CDN-Cache-Control: no-store=?0, private=?0, public=?0").directives;
        assert_eq!(off, ResponseDirectives::default(), "?0 switches a directive off");

        let mangled = govern("CDN-Cache-Control: no-store=1, private=1, public=1").directives;
        assert!(mangled.no_store, "a restriction of the wrong type still restricts");
        assert_eq!(mangled.private, Some(Scope::All));
        assert!(!mangled.public, "a permission of the wrong type permits nothing");
    }

    #[test]
    fn no_store_is_not_undone_by_a_fresh_cache_control() {
        let found = govern("CDN-Cache-Control: no-store\nCache-Control: max-age=3600");
        assert!(found.directives.no_store && found.directives.max_age.is_none());
    }
}
