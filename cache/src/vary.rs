//! Which request fields selected a stored response, and whether another request selects it too.
//!
//! RFC 9111 §4.1. How many variants are kept, and which of several matching ones is taken, is the
//! store's matter.
//!
//! # Invariants
//!
//! 1. All lines of a field are compared. HTTP/2 sends cookies in crumbs, one line each; comparing
//!    the first line has handed one user's page to another in other caches.
//! 2. Two requests match only if their fields mean the same; byte-equal lines always do.
//! 3. A rule keeps nothing of the buffer that the request came in.

use std::fmt;
use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::common::Common;
use crate::list::{list_members, members};
use crate::policy::Policy;

/// The request fields that a response was selected by, with the values they had.
///
/// Small where there are none, as of most responses. Cloning is cheap.
#[derive(Clone, Default)]
pub struct VaryRule(Option<Arc<Common<Rule>>>);

/// Nominated fields; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rule {
    names: Box<[HeaderName]>,
    /// One entry for each name, in the same order.
    selecting: Box<[Selecting]>,
}

/// One nominated field of a [`VaryRule`], as plain data that can be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaryPart {
    /// The name of the field.
    pub name: HeaderName,
    /// The lines that the stored request had; empty when the field was absent.
    pub lines: Vec<HeaderValue>,
    /// The meaning of the lines, by the policy of the time; `None` when the field was absent.
    pub normalized: Option<Vec<u8>>,
}

/// The value one field had in the request that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Selecting {
    /// The lines as they came; empty when the field was absent.
    lines: Box<[HeaderValue]>,
    /// The meaning of the lines; `None` when the field was absent.
    normalized: Option<Box<[u8]>>,
}

impl VaryRule {
    /// Reads which fields `response_headers` nominate and takes their values from the request.
    ///
    /// `None` when no request can ever match: Vary holds `*`, or something that is no field name.
    pub fn derive(
        response_headers: &HeaderMap,
        request_headers: &HeaderMap,
        policy: &Policy,
    ) -> Option<Self> {
        let mut names = Vec::new();
        for member in list_members(response_headers, &VARY) {
            // `*` is a token and would pass as a field name.
            let name = HeaderName::from_bytes(member).ok().filter(|name| name != "*")?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Some(Self::select(names, request_headers, policy))
    }

    /// Makes the rule for fields `names` with the values they have in `request_headers`.
    ///
    /// With [`VaryRule::selecting_headers`] this restores a rule that was written down.
    pub fn select(names: Vec<HeaderName>, request_headers: &HeaderMap, policy: &Policy) -> Self {
        let selecting = names
            .iter()
            .map(|name| Selecting {
                lines: request_headers.get_all(name).iter().filter_map(own).collect(),
                normalized: normalize(request_headers, name, policy).map(Vec::into_boxed_slice),
            })
            .collect();
        Self::of(names, selecting)
    }

    /// A rule that others have, too.
    pub(crate) fn shared(rule: Arc<Common<Rule>>) -> Self {
        Self(Some(rule))
    }

    pub(crate) fn rule(&self) -> Option<&Rule> {
        self.0.as_ref().map(|rule| rule.get())
    }

    /// Makes the rule that [`VaryRule::parts`] told; `None` if no rule can have told it.
    ///
    /// Needs no policy: what the lines meant is taken as it was told, and a site whose policy has
    /// changed since compares by that as it does for what it holds in memory.
    pub fn from_parts(parts: Vec<VaryPart>) -> Option<Self> {
        let (mut names, mut selecting) = (Vec::new(), Vec::new());
        for VaryPart { name, lines, normalized } in parts {
            if names.contains(&name) || lines.is_empty() != normalized.is_none() {
                return None;
            }
            names.push(name);
            let normalized = normalized.map(Vec::into_boxed_slice);
            selecting.push(Selecting { lines: lines.into(), normalized });
        }
        Some(Self::of(names, selecting))
    }

    /// The rule of `names`, each with what it had.
    fn of(names: Vec<HeaderName>, selecting: Vec<Selecting>) -> Self {
        let rule = Rule { names: names.into(), selecting: selecting.into() };
        Self((!rule.names.is_empty()).then(|| Arc::new(Common::own(rule))))
    }

    /// Tells the rule as plain data, in the order of its names. Costs a copy of it.
    pub fn parts(&self) -> Vec<VaryPart> {
        let told = |(name, Selecting { lines, normalized }): (&HeaderName, &Selecting)| VaryPart {
            name: name.clone(),
            lines: lines.to_vec(),
            normalized: normalized.as_deref().map(<[u8]>::to_vec),
        };
        self.selecting().map(told).collect()
    }

    /// Says whether every request matches, because the response nominates no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the nominated fields in the order of the response, each once.
    pub fn names(&self) -> &[HeaderName] {
        self.rule().map(|rule| &*rule.names).unwrap_or_default()
    }

    /// The nominated fields with the values they had.
    fn selecting(&self) -> impl Iterator<Item = (&HeaderName, &Selecting)> {
        self.rule().into_iter().flat_map(|rule| rule.names.iter().zip(&rule.selecting))
    }

    /// Returns the nominated fields as the stored request had them; absent ones are left out.
    pub fn selecting_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, selecting) in self.selecting() {
            for line in &selecting.lines {
                headers.append(name, line.clone());
            }
        }
        headers
    }

    /// Says whether a request with `request_headers` selects the same response.
    ///
    /// Allocates only for fields whose lines are not byte-equal to the stored ones.
    pub fn matches(&self, request_headers: &HeaderMap, policy: &Policy) -> bool {
        self.selecting().all(|(name, selecting)| selecting.matches(name, request_headers, policy))
    }

    /// The bytes held beyond the struct itself and beyond what is shared.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Some(rule) if !rule.is_shared() => rule.get().bytes(),
            _ => 0,
        }
    }
}

impl PartialEq for VaryRule {
    fn eq(&self, other: &Self) -> bool {
        self.rule() == other.rule()
    }
}

impl Eq for VaryRule {}

impl fmt::Debug for VaryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.selecting().map(|(name, own)| (name, &own.lines))).finish()
    }
}

impl Rule {
    /// The bytes that a rule takes, those of its allocations included.
    pub(crate) fn bytes(&self) -> usize {
        let names = self.names.iter().map(|name| {
            let text = name.as_str().len();
            size_of::<HeaderName>().saturating_add(text)
        });
        let selecting = self.selecting.iter().flat_map(|selecting| {
            let lines = selecting.lines.iter();
            let lines = lines.map(|line| VALUE_BYTES.saturating_add(line.len()));
            let normalized = selecting.normalized.as_ref().map_or(0, |text| text.len());
            lines.chain([SELECTING_BYTES.saturating_add(normalized)])
        });
        names.chain(selecting).fold(RULE_BYTES, usize::saturating_add)
    }
}

/// What the allocator keeps beside a small piece of memory, and rounds it up by.
const ALLOCATION_BYTES: usize = 16;
/// A rule with its reference counts and two lists.
const RULE_BYTES: usize = size_of::<Common<Rule>>() + 2 * size_of::<usize>() + 3 * ALLOCATION_BYTES;
/// One nominated field with its lists of lines and meaning.
const SELECTING_BYTES: usize = size_of::<Selecting>() + 2 * ALLOCATION_BYTES;
/// One line with the memory of its value.
const VALUE_BYTES: usize = size_of::<HeaderValue>() + ALLOCATION_BYTES;

/// A copy in memory of its own.
fn own(line: &HeaderValue) -> Option<HeaderValue> {
    // The bytes were a value before, so they are one again.
    HeaderValue::from_bytes(line.as_bytes()).ok()
}

impl Selecting {
    fn matches(&self, name: &HeaderName, headers: &HeaderMap, policy: &Policy) -> bool {
        headers.get_all(name).iter().eq(&self.lines)
            || normalize(headers, name, policy).as_deref() == self.normalized.as_deref()
    }
}

/// Says whether requests with `a` and with `b` select the same response among those that vary by
/// `names`.
pub fn same_selection(names: &[HeaderName], a: &HeaderMap, b: &HeaderMap, policy: &Policy) -> bool {
    names.iter().all(|name| {
        a.get_all(name).iter().eq(b.get_all(name))
            || normalize(a, name, policy) == normalize(b, name, policy)
    })
}

/// Rewrites all lines of `name` so that values of equal meaning become equal bytes.
///
/// `None` when the field is absent, which matches only absence (RFC 9111 §4.1).
fn normalize(headers: &HeaderMap, name: &HeaderName, policy: &Policy) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return None;
    }
    if *name == COOKIE {
        // RFC 9113 §8.2.3: crumbs are joined like this before they leave HTTP/2.
        return Some(lines.join(b"; ".as_slice()));
    }
    let mut list: Vec<Vec<u8>> = lines.into_iter().flat_map(members).map(<[u8]>::to_vec).collect();
    if [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE].contains(name) {
        list.iter_mut().for_each(|member| member.make_ascii_lowercase());
    }
    if *name == ACCEPT_ENCODING || (*name == ACCEPT_LANGUAGE && policy.sort_accept_language) {
        list.sort_unstable();
    }
    Some(list.join(b", ".as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::headers;
    use crate::policy::Profile;

    #[test]
    fn a_request_matches_when_its_fields_mean_the_same() {
        // (Vary, stored request, new request, expected, why); RFC 9111 §4.1.
        const CASES: &[(&str, &str, &str, bool, &str)] = &[
            ("", "A: 1", "A: 2", true, "nothing nominated"),
            ("A", "A: 1", "a: 1", true, "same value"),
            ("A", "A: 1", "A: 2", false, "other value"),
            ("A", "A: x", "A: X", false, "case matters in general"),
            ("A", "B: 1", "B: 2", true, "absent matches absent"),
            ("A", "A: 1", "B: 1", false, "absent does not match a value"),
            ("A", "A:", "B: 1", false, "nor an empty one"),
            ("A, B", "A: 1\nB: 1", "A: 1\nB: 2", false, "every field counts"),
            ("A", "A: 1, 2", "A: 1,2", true, "white space between members"),
            ("A", "A: 1\nA: 2", "A: 1, ,2", true, "lines join, empty members drop"),
            ("A", "A: 1, 2", "A: 2, 1", false, "order matters in general"),
            ("A", "A: 1\nA: 2", "A: 1", false, "the second line counts"),
            ("A", "A: \"1, 2\"", "A: \"1,2\"", false, "quoted text is left alone"),
            ("Cookie", "Cookie: a=1\nCookie: u=A", "Cookie: a=1\nCookie: u=B", false, "crumbs"),
            ("Cookie", "Cookie: a=1\nCookie: b=2", "Cookie: a=1; b=2", true, "crumbs join"),
            ("Cookie", "Cookie: a=1,2", "Cookie: a=1, 2", false, "cookies are no list"),
            ("Accept", "Accept: Text/HTML", "Accept: text/html", true, "media types fold"),
            (
                "Accept-Encoding",
                "Accept-Encoding: gzip, br",
                "Accept-Encoding: BR,gzip",
                true,
                "set",
            ),
            ("Accept-Language", "Accept-Language: EN, de", "Accept-Language: en,de", true, "folds"),
        ];
        let policy = Policy::default();
        for &(vary, stored, new, expected, why) in CASES {
            let (stored, new) = (headers(stored), headers(new));
            let rule =
                VaryRule::derive(&headers(&format!("Vary: {vary}")), &stored, &policy).unwrap();
            assert_eq!(rule.matches(&new, &policy), expected, "{why}");
            assert!(rule.matches(&stored, &policy), "a request matches itself: {why}");
            assert_eq!(same_selection(rule.names(), &stored, &new, &policy), expected, "{why}");
            let restored =
                VaryRule::select(rule.names().to_vec(), &rule.selecting_headers(), &policy);
            assert_eq!(restored, rule, "a rule survives being written down: {why}");
            assert_eq!(VaryRule::from_parts(rule.parts()), Some(rule), "without a policy: {why}");
        }
    }

    #[test]
    fn the_order_of_languages_counts_unless_the_operator_says_otherwise() {
        let vary = headers("Vary: Accept-Language");
        let (ours, theirs) =
            (headers("Accept-Language: en, de"), headers("Accept-Language: de, en"));
        for (profile, expected) in [(Profile::Default, false), (Profile::Rfc, true)] {
            let policy = Policy::for_profile(profile);
            let rule = VaryRule::derive(&vary, &ours, &policy).unwrap();
            assert_eq!(rule.matches(&theirs, &policy), expected, "{profile}");
        }
    }

    #[test]
    fn a_star_anywhere_matches_nothing() {
        for fields in [
            "Vary: *",
            "Vary: *, *",
            "Vary: *\nVary: *",
            "Vary: , *",
            "Vary:\nVary: *",
            "Vary: *, Foo",
            "Vary: Foo, *",
            "Vary: Foo\nVary: bar, *",
            "Vary: not a name",
        ] {
            let derived = VaryRule::derive(&headers(fields), &HeaderMap::new(), &Policy::default());
            assert_eq!(derived, None, "{fields}");
        }
    }

    #[test]
    fn parts_that_no_rule_can_have_are_refused() {
        let name = HeaderName::from_static("a");
        let line = HeaderValue::from_static("1");
        let sent =
            VaryPart { name: name.clone(), lines: vec![line], normalized: Some(b"1".to_vec()) };
        let absent = VaryPart { name, lines: Vec::new(), normalized: None };
        for part in [&sent, &absent] {
            assert!(VaryRule::from_parts(vec![part.clone()]).is_some());
        }
        let meant = VaryPart { normalized: Some(Vec::new()), ..absent.clone() };
        let meaningless = VaryPart { normalized: None, ..sent.clone() };
        for parts in [vec![meant], vec![meaningless], vec![sent, absent]] {
            assert_eq!(VaryRule::from_parts(parts.clone()), None, "{parts:?}");
        }
    }

    #[test]
    fn names_are_kept_once_and_in_order() {
        let vary = headers("Vary: B, a\nVary: b, ,A");
        let rule = VaryRule::derive(&vary, &HeaderMap::new(), &Policy::default()).unwrap();
        assert_eq!(rule.names(), ["b", "a"]);
        assert!(!rule.is_empty());
        assert!(VaryRule::default().is_empty());
    }
}
