//! May a response have been made from something odd in its request, so that others must not get it?
//!
//! Three attacks live from what is stored. *Denial*: a request that the origin cannot stand, whose error is then
//! everybody's. *Deception*: a path that looks like a file for everyone (`/account/x.css`, `/static/..%2faccount`) and
//! brings the page of whoever was lured to it. *Reflection*: a field of the request that comes back in the response
//! without `Vary` saying so. What is found here is not stored, or for its like alone, unless the origin or the site says
//! otherwise in so many words.

use std::borrow::Cow;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderValue, ORIGIN, VARY};
use http::{HeaderMap, StatusCode};

use crate::list::list_members;
use crate::policy::Policy;
use crate::rules::LifetimeRule;
use crate::storable::ResponseHead;

/// What a path makes believe about the response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Guise {
    /// Nothing.
    #[default]
    Plain,
    /// It ends as files do that are the same for everyone.
    File,
    /// It has delimiters that servers read in different ways, so that rules for paths may have matched something else.
    Ambiguous,
}

/// Endings of files that are not made for one user.
const FILES: [&str; 63] = [
    "7z", "apk", "avi", "avif", "bin", "bmp", "bz2", "class", "css", "csv", "cur", "dmg", "doc",
    "docx", "ejs", "eot", "eps", "exe", "flac", "gif", "gz", "ico", "iso", "jar", "jpeg", "jpg",
    "js", "m3u8", "m4a", "m4s", "map", "mjs", "mkv", "mov", "mp3", "mp4", "mpd", "ogg", "otf",
    "pdf", "png", "ppt", "pptx", "ps", "rar", "svg", "svgz", "swf", "tar", "tif", "tiff", "ts",
    "ttf", "wasm", "wav", "webm", "webp", "woff", "woff2", "xls", "xlsx", "zip", "zst",
];

impl Guise {
    /// Reads `path`, which is in normal form. Costs one pass over it.
    #[must_use]
    pub fn of(path: &str) -> Self {
        if has_ambiguous_delimiter(path) {
            return Self::Ambiguous;
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_file = name.rsplit_once('.').is_some_and(|(_, ending)| {
            FILES.iter().any(|known| known.eq_ignore_ascii_case(ending))
        });
        if is_file { Self::File } else { Self::Plain }
    }

    /// Whether the response is not what its path makes believe, or nobody can tell.
    fn is_belied_by(self, headers: &HeaderMap) -> bool {
        match self {
            Self::Plain => false,
            Self::File => headers.get(CONTENT_TYPE).is_some_and(is_page),
            Self::Ambiguous => true,
        }
    }
}

/// `;` and what is written for a separator, a query, a fragment or the end of a text: `/`, `\`, `;`, `?`, `#`, NUL, CR, LF.
fn has_ambiguous_delimiter(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.contains(&b';')
        || bytes.windows(3).any(|three| {
            let [b'%', high, low] = three else { return false };
            let digits = [*high, low.to_ascii_lowercase()];
            matches!(&digits, b"2f" | b"5c" | b"3b" | b"3f" | b"23" | b"00" | b"0a" | b"0d")
        })
}

/// Whether a media type is one that pages and their data have.
fn is_page(content_type: &HeaderValue) -> bool {
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    matches!(
        essence.as_slice(),
        b"text/html"
            | b"application/xhtml+xml"
            | b"application/json"
            | b"text/json"
            | b"text/xml"
            | b"application/xml"
    ) || essence.ends_with(b"+json")
}

/// Whether `status` says something about the request rather than about what it asked for: every error but 403, 404,
/// 410 and 451.
pub(crate) fn is_about_request(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400..=599) && !matches!(status.as_u16(), 403 | 404 | 410 | 451)
}

/// Whether only the origin's own words make `response` storable: neither a guess nor the site's
/// rules for paths do.
pub(crate) fn needs_statement(policy: &Policy, response: &ResponseHead) -> bool {
    // A page that says that a file is missing is nobody's.
    let is_page_of_someone = policy.guise != Guise::File || response.status.is_success();
    policy.guard && is_page_of_someone && policy.guise.is_belied_by(&response.headers)
}

/// `policy` without guesses and rules.
pub(crate) fn by_statement_only(policy: &Policy) -> Policy {
    Policy { heuristic: None, lifetime_rule: LifetimeRule::default(), ..policy.clone() }
}

/// The fields of a response to a request with `asked`, with `Vary: Origin` where an `Origin` came back that the origin
/// does not vary on (Fetch, "CORS protocol and HTTP caches").
pub(crate) fn with_reflection<'a>(
    policy: &Policy,
    asked: &HeaderMap,
    headers: &'a HeaderMap,
) -> Cow<'a, HeaderMap> {
    let reflected = asked.get(ORIGIN).is_some_and(|origin| {
        headers.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().any(|allowed| allowed == origin)
    });
    let told = || {
        list_members(headers, &VARY)
            .any(|member| member == b"*" || member.eq_ignore_ascii_case(b"origin"))
    };
    if !policy.guard || !reflected || told() {
        return Cow::Borrowed(headers);
    }
    let mut headers = headers.clone();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    Cow::Owned(headers)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::*;
    use crate::fixture::{at_once, headers, response};
    use crate::{CacheKey, NotStorable, RequestHead, Rule, RuleSet, Seq, StoredHead};

    #[test]
    fn paths_make_believe() {
        use Guise::{Ambiguous, File, Plain};
        let cases = [
            ("/", Plain),
            ("/account", Plain),
            ("/account/", Plain),
            ("/a.css/account", Plain),
            ("/account.html", Plain),
            ("/data.json", Plain),
            ("/css", Plain),
            ("/a.css", File),
            ("/account/x.CSS", File),
            ("/account/.css", File),
            ("/app.min.js", File),
            ("/account%20x.png", File),
            ("/account;x.css", Ambiguous),
            ("/x.css;y", Ambiguous),
            ("/account%2fx.css", Ambiguous),
            ("/account%2Fx.css", Ambiguous),
            ("/static/..%2faccount", Ambiguous),
            ("/static/%2e%2e%5Caccount", Ambiguous),
            ("/account%3bx.css", Ambiguous),
            ("/account%3fx.css", Ambiguous),
            ("/account%23x.css", Ambiguous),
            ("/account%00x.css", Ambiguous),
            ("/account%0ax.css", Ambiguous),
            ("/account%0D.css", Ambiguous),
            ("/%2", Plain),
        ];
        for (path, expected) in cases {
            assert_eq!(Guise::of(path), expected, "{path}");
        }
    }

    #[test]
    fn pages_belie_paths_of_files() {
        let cases = [
            ("Content-Type: text/html", true),
            ("Content-Type: Text/HTML; charset=utf-8", true),
            ("Content-Type: application/problem+json", true),
            ("Content-Type: application/json", true),
            ("Content-Type: text/css", false),
            ("Content-Type: image/svg+xml", false),
            ("Content-Type: text/plain", false),
            ("X: text/html", false),
        ];
        for (fields, expected) in cases {
            assert_eq!(Guise::File.is_belied_by(&headers(fields)), expected, "{fields}");
            assert!(!Guise::Plain.is_belied_by(&headers(fields)));
            assert!(Guise::Ambiguous.is_belied_by(&headers(fields)));
        }
    }

    #[test]
    fn a_reflected_origin_is_varied_on() {
        let cases = [
            (
                "Origin: https://a.test",
                "Access-Control-Allow-Origin: https://a.test",
                Some("Origin"),
            ),
            (
                "Origin: https://a.test",
                "Access-Control-Allow-Origin: https://a.test\nVary: X",
                Some("X, Origin"),
            ),
            (
                "Origin: https://a.test",
                "Access-Control-Allow-Origin: https://a.test\nVary: origin",
                Some("origin"),
            ),
            (
                "Origin: https://a.test",
                "Access-Control-Allow-Origin: https://a.test\nVary: *",
                Some("*"),
            ),
            ("Origin: https://a.test", "Access-Control-Allow-Origin: *", None),
            ("Origin: https://a.test", "Access-Control-Allow-Origin: https://b.test", None),
            ("X: https://a.test", "Access-Control-Allow-Origin: https://a.test", None),
        ];
        let on = Policy { guard: true, ..Policy::default() };
        let off = Policy { guard: false, ..Policy::default() };
        let vary = |policy: &Policy, asked: &str, answered: &str| {
            let answered = headers(answered);
            let found = with_reflection(policy, &headers(asked), &answered);
            let members: Vec<_> = list_members(&found, &VARY)
                .map(|member| String::from_utf8_lossy(member).into_owned())
                .collect();
            (!members.is_empty()).then(|| members.join(", "))
        };
        for (asked, answered, expected) in cases {
            assert_eq!(vary(&on, asked, answered).as_deref(), expected, "{asked} / {answered}");
            let plain = vary(&off, asked, answered);
            assert!(!plain.is_some_and(|names| names.contains("Origin")), "{answered}");
        }
    }

    /// What becomes of a page that says `fields` under a path of this kind, by rules that would keep everything for a day.
    fn kept(guise: Guise, guard: bool, fields: &str) -> Result<u64, NotStorable> {
        let day = Some(Duration::from_secs(86_400));
        let path = "/**".parse().unwrap();
        let rule = Rule { ttl: day, min_ttl: day, respect_origin: false, ..Rule::new(path) };
        let rules = RuleSet { rules: vec![rule], jitter_percent: 0 };
        let key = CacheKey::from_bytes([0; 32]);
        let lifetime_rule = rules.lifetime_rule("/", &key, StatusCode::OK);
        let policy = Policy { lifetime_rule, guise, guard, ..Policy::default() };
        let asked = HeaderMap::new();
        let request = RequestHead { method: &Method::GET, headers: &asked, target_uri: None };
        let response = response(200, &format!("Content-Type: text/html\n{fields}"));
        let head = StoredHead::derive(&policy, &request, &response, at_once(), Seq::new(0))?;
        Ok(head.plan.lifetime().as_secs())
    }

    /// A page that says that a file is missing is nobody's; under an ambiguous path it may be somebody's.
    #[test]
    fn only_pages_that_were_found_belie_a_file() {
        let page = |status| response(status, "Content-Type: text/html");
        for (guise, status, expected) in [
            (Guise::File, 200, true),
            (Guise::File, 404, false),
            (Guise::Ambiguous, 200, true),
            (Guise::Ambiguous, 404, true),
            (Guise::Plain, 200, false),
        ] {
            let policy = Policy { guise, ..Policy::default() };
            assert_eq!(needs_statement(&policy, &page(status)), expected, "{guise:?} {status}");
        }
    }

    #[test]
    fn a_page_in_disguise_is_kept_only_as_its_origin_says() {
        let day = Ok(86_400);
        let no = Err(NotStorable::Disguised);
        for guise in [Guise::File, Guise::Ambiguous] {
            for fields in ["", "ETag: \"a\"", "Last-Modified: {date-1000}"] {
                assert_eq!(kept(guise, true, fields), no, "{guise:?} {fields}");
                assert!(kept(guise, false, fields).is_ok(), "{guise:?} {fields} without guard");
            }
            assert_eq!(kept(guise, true, "Cache-Control: max-age=5"), Ok(5), "{guise:?}");
            assert_eq!(
                kept(guise, true, "Cache-Control: max-age=0\nETag: \"a\""),
                Ok(0),
                "{guise:?}"
            );
            assert_eq!(kept(guise, true, "Expires: {date+7}"), Ok(7), "{guise:?}");
            assert_eq!(kept(guise, true, "Cache-Control: no-store"), Err(NotStorable::NoStore));
        }
        assert_eq!(kept(Guise::Plain, true, ""), day, "the rule counts where nothing is odd");
    }
}
