//! Properties of targets and keys over inputs that nobody thought of.
//!
//! What a request means is worked out here in a second way, without the code under test, so that
//! one mistake cannot hide in both: a path is its list of decoded segments, a query is what each
//! decoded name is given, in order.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use proptest::collection::vec;
use proptest::prelude::*;
use weir_cache::CacheKey;
use weir_cache::HostPattern;
use weir_cache::KeyRules;
use weir_cache::Keyed;
use weir_cache::Pattern;
use weir_cache::QueryRule;
use weir_cache::Scheme;
use weir_cache::Target;
use weir_cache::check;

/// Text made of what has a meaning somewhere, so that near-collisions are frequent.
fn tricky(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let pieces = [
        "a", "b", "A", "/", "/", ".", "..", "?", "&", "=", ";", ":", "+", "[", "%2F", "%2f", "%2E",
        "%61", "%26", "%3D", "%25", "%5B", "%C3%A9", "80", "http://", "@",
    ];
    vec(prop::sample::select(pieces.to_vec()), length).prop_map(|pieces| pieces.concat())
}

/// Pieces of paths and what might be taken for the same, rightly or not.
const RESPELLED: &[(&str, &str)] = &[
    ("a", "a"),
    ("/", "/"),
    ("..", ".."),
    ("a", "%61"),
    ("a", "A"),
    ("/", "%2F"),
    ("/", "//"),
    ("/", "/./"),
    ("%2F", "%2f"),
    (".", "%2e"),
    ("..", "%2E."),
    ("/a/..", "/"),
    ("&", "%26"),
    ("%25", "%2525"),
    ("%c3%A9", "%C3%a9"),
];

/// Values of headers that could be taken for what stands around them in a key.
const CHOSEN: &[&str] =
    &["", "a", "a, a", "x-b", "\"", "\", x-a=\"", "\\", "\\\"", "\u{e9}", "\\u00c3"];

/// Query whose names are alike to some servers; values tell the parameters apart.
fn query() -> impl Strategy<Value = String> {
    let names =
        ["a", "A", "%61", "a[x]", "a%5By%5D", "b", "a+b", "a%20b", "a%2Bb", "a.b", "", "%zz"];
    let parameter = (prop::sample::select(names.to_vec()), 0..4, prop::bool::weighted(0.05))
        .prop_map(|(name, value, more)| {
            format!("{name}={value}{}", if more { ";a=5" } else { "" })
        });
    prop_oneof![vec(parameter, 0..6).prop_map(|list| list.join("&")), tricky(0..14)]
}

fn key_of(site: &str, rules: &KeyRules, target: Target) -> Keyed {
    key_with(site, rules, target, &HeaderMap::new())
}

fn key_with(site: &str, rules: &KeyRules, target: Target, headers: &HeaderMap) -> Keyed {
    let granted = check(weir_cache::OpenGate, &Method::GET, target);
    CacheKey::derive(site, rules, granted.expect("GET is granted"), headers)
}

/// What stands for `text` when every escape is decoded.
fn unescaped(text: &str) -> Vec<u8> {
    symbols(text).into_iter().map(|(byte, _)| byte).collect()
}

/// Bytes of `text`, each with whether it was escaped.
fn symbols(text: &str) -> Vec<(u8, bool)> {
    let mut symbols = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                symbols.push((byte, true));
                at += 3;
            }
            None => {
                symbols.push((*byte, false));
                at += 1;
            }
        }
    }
    symbols
}

/// Meaning of a path: its segments below the root, after `.` and `..` were followed.
///
/// Whether a delimiter is escaped belongs to the meaning (RFC 3986 §2.2), for others it does not.
fn path_meaning(path: &str) -> Vec<Vec<(u8, bool)>> {
    let plain = |text: &[u8]| text.iter().map(|byte| (*byte, false)).collect::<Vec<_>>();
    let mut segments = Vec::new();
    let mut ends_in_directory = false;
    for segment in path.split('/').skip(1) {
        let mut segment = symbols(segment);
        for (byte, escaped) in &mut segment {
            *escaped &= !(byte.is_ascii_alphanumeric() || b"-._~".contains(byte));
        }
        ends_in_directory = segment == plain(b".") || segment == plain(b"..");
        if segment == plain(b"..") {
            segments.pop();
        } else if segment != plain(b".") {
            segments.push(segment);
        }
    }
    if ends_in_directory {
        segments.push(Vec::new());
    }
    segments
}

/// Meaning of a query to a server that ends parameters at `ends` and reads a name by `read`: what
/// each name is given, in order.
fn query_meaning(
    query: &str,
    ends: &[char],
    read: fn(Vec<u8>) -> Vec<u8>,
) -> BTreeMap<Vec<u8>, Vec<Option<Vec<u8>>>> {
    let mut meaning = BTreeMap::<_, Vec<_>>::new();
    for parameter in query.split(ends) {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name, Some(unescaped(value))),
            None => (parameter, None),
        };
        meaning.entry(read(unescaped(name))).or_default().push(value);
    }
    meaning
}

/// A name to a server that decodes forms.
fn read_as_form(name: Vec<u8>) -> Vec<u8> {
    name.into_iter().map(|byte| if byte == b'+' { b' ' } else { byte }).collect()
}

/// A name to a server that folds case.
fn read_in_any_case(name: Vec<u8>) -> Vec<u8> {
    name.to_ascii_lowercase()
}

/// A name to PHP: the variable that it fills.
fn read_as_variable(name: Vec<u8>) -> Vec<u8> {
    let name = name.split(|byte| *byte == b'[').next().unwrap_or_default();
    name.iter().map(|byte| if b" +.".contains(byte) { b'_' } else { *byte }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn parsing_never_panics_and_yields_normal_forms(
        authority in prop_oneof![any::<String>(), tricky(0..6)],
        rest in prop_oneof![any::<String>(), tricky(0..12)],
    ) {
        for scheme in [Scheme::Http, Scheme::Https] {
            for host in [authority.as_str(), "example.com"] {
                let Ok(target) = Target::parse(scheme, host, &rest) else { continue };
                let again = Target::parse(scheme, target.host(), &target.path_and_query());
                prop_assert_eq!(again.as_ref(), Ok(&target), "idempotent");
                prop_assert_eq!(target.uri().parse(), Ok(target.clone()), "read back");
                prop_assert!(target.path().starts_with('/'));
                let unsafe_in_a_header = |character: char| character.is_control() || character == ' ';
                prop_assert!(!target.uri().contains(unsafe_in_a_header));
            }
        }
    }

    #[test]
    fn other_parsers_of_text_never_panic(text in prop_oneof![any::<String>(), tricky(0..6)]) {
        if let Ok(pattern) = text.parse::<HostPattern>() {
            prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
        }
        if let Ok(pattern) = text.parse::<Pattern>() {
            prop_assert!(pattern.matches(&text) || text.contains('%'), "{:?}", text);
        }
        let uri = text.parse::<Target>().map(|target| target.uri());
        prop_assert_eq!(uri.is_ok(), uri.is_ok_and(|uri| uri.parse::<Target>().is_ok()));
    }

    #[test]
    fn a_normal_path_means_what_the_path_meant(path in tricky(0..12)) {
        let path = format!("/{}", path.replace('?', ""));
        let Ok(target) = Target::parse(Scheme::Http, "example.com", &path) else {
            return Err(TestCaseError::fail("every piece is allowed in a path"));
        };
        prop_assert_eq!(path_meaning(target.path()), path_meaning(&path));
    }

    #[test]
    fn paths_have_the_same_normal_form_exactly_if_they_mean_the_same(
        pairs in vec(prop::sample::select(RESPELLED.to_vec()), 0..5),
    ) {
        let (one, other): (String, String) = pairs.into_iter().unzip();
        let [one, other] = [one, other].map(|path| format!("/{path}"));
        let normal = |path: &str| Target::parse(Scheme::Http, "example.com", path);
        let same = normal(&one).expect("allowed").path() == normal(&other).expect("allowed").path();
        prop_assert_eq!(same, path_meaning(&one) == path_meaning(&other), "{} {}", one, other);
    }

    #[test]
    fn sorting_a_query_is_idempotent_and_keeps_its_meaning(query in query()) {
        let rule = QueryRule::default();
        let sorted = rule.apply(&query).expect("nothing is dropped");
        let again = rule.apply(&sorted);
        prop_assert_eq!(again.as_deref(), Some(sorted.as_str()));
        for ends in [&['&'][..], &['&', ';']] {
            for read in [|name| name, read_as_form, read_in_any_case, read_as_variable] {
                let meaning = |query: &str| query_meaning(query, ends, read);
                prop_assert_eq!(meaning(&sorted), meaning(&query), "{} {}", sorted, query);
            }
        }
    }

    #[test]
    fn filtering_a_query_is_idempotent_and_only_removes(
        query in query(),
        allow in prop::option::of(vec(prop::sample::select(vec!["a*", "b", "%*", "*"]), 0..3)),
        ignore in vec(prop::sample::select(vec!["a", "b*", "A*"]), 0..3),
        sort in any::<bool>(),
    ) {
        let patterns = |texts: Vec<&str>| -> Vec<Pattern> {
            texts.into_iter().map(|text| text.parse().expect("well-formed")).collect()
        };
        let rule = QueryRule { sort, allow: allow.map(patterns), ignore: patterns(ignore) };
        let applied = rule.apply(&query);
        let again = applied.as_deref().and_then(|query| rule.apply(query));
        prop_assert_eq!(&again, &applied);
        let mut before: Vec<_> = query.split('&').collect();
        for parameter in applied.iter().flat_map(|query| query.split('&')) {
            let at = before.iter().position(|known| *known == parameter);
            prop_assert!(at.is_some(), "{} was not in {}", parameter, query);
            before.swap_remove(at.expect("just checked"));
        }
    }

    #[test]
    fn requests_share_a_key_only_if_site_and_target_are_the_same(
        requests in prop::array::uniform2((
            prop::sample::select(vec!["a", "b", "ab", "ahttp", "a http", ""]),
            prop::sample::select(vec![Scheme::Http, Scheme::Https]),
            prop::sample::select(vec!["a", "ab", "httpa", "A:80", "a:443"]),
            prop::sample::select(vec!["", "/b", "/b?", "/b?b", "/?b", "//b", "/%62", "/b?a&b"]),
        )),
        sort in any::<bool>(),
    ) {
        let rules = KeyRules { query: QueryRule { sort, ..QueryRule::default() }, ..KeyRules::default() };
        let [(one_site, one), (other_site, other)] = requests.map(|(site, scheme, host, rest)| {
            let target = Target::parse(scheme, host, rest).expect("well-formed");
            (site, key_of(site, &rules, target))
        });
        let same = one_site == other_site && one.target == other.target;
        prop_assert_eq!(one.key == other.key, same, "{} {}", one.text, other.text);
        let texts_same = one.text.as_str() == other.text.as_str();
        prop_assert_eq!(texts_same, same, "{} {}", one.text, other.text);
    }

    #[test]
    fn requests_share_a_key_only_if_the_chosen_headers_are_the_same(
        requests in prop::array::uniform2(vec(
            (prop::sample::select(vec!["x-a", "x-b"]), prop::sample::select(CHOSEN.to_vec())),
            0..4,
        )),
    ) {
        let rules = KeyRules {
            headers: ["x-a", "x-b"].map(HeaderName::from_static).to_vec(),
            ..KeyRules::default()
        };
        let [one, other] = requests.map(|lines| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                let value = HeaderValue::from_bytes(value.as_bytes()).expect("no controls");
                headers.append(name, value);
            }
            let chosen = ["x-a", "x-b"].map(|name| headers.get_all(name).into_iter().cloned().collect::<Vec<_>>());
            let target = Target::parse(Scheme::Http, "a", "/").expect("well-formed");
            (chosen, key_with("www", &rules, target, &headers))
        });
        let same = one.0 == other.0;
        prop_assert_eq!(one.1.key == other.1.key, same, "{} {}", one.1.text, other.1.text);
        let texts_same = one.1.text.as_str() == other.1.text.as_str();
        prop_assert_eq!(texts_same, same, "{} {}", one.1.text, other.1.text);
    }

    #[test]
    fn deriving_again_from_the_upstream_target_gives_the_same_key(
        rest in tricky(0..14),
        sort in any::<bool>(),
    ) {
        let rules = KeyRules { query: QueryRule { sort, ..QueryRule::default() }, ..KeyRules::default() };
        let rest = format!("/{rest}");
        let target = Target::parse(Scheme::Https, "example.com:8443", &rest).expect("allowed");
        let first = key_of("www", &rules, target);
        prop_assert_eq!(&key_of("www", &rules, first.target.clone()), &first);
    }
}
