//! Which URLs does a purge by pattern mean?
//!
//! Unlike the globs of a site's rules, `*` here stands for any characters, slashes and the query
//! included: who purges `www.example.com/img/*` means all that lies below, and to purge too little is
//! worse than to purge too much. All other characters stand for themselves, `?` too.

use std::fmt;
use std::str::FromStr;

use crate::glob::matches_with_gaps;

use super::selector::BadSelector;

/// Bytes of the longest pattern.
const PATTERN_MAX: usize = 2048;

/// A pattern for URLs: host and path with query, each with `*` for any characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UrlGlob {
    host: Box<str>,
    path: Box<str>,
}

impl UrlGlob {
    /// Says whether the pattern stands for `host` with `path_and_query`, both in normal form.
    pub fn matches(&self, host: &str, path_and_query: &str) -> bool {
        matches_stars(&self.host, host) && matches_stars(&self.path, path_and_query)
    }

    /// The one host that the pattern is for; `None` where it has a star.
    pub fn host(&self) -> Option<&str> {
        (!self.host.contains('*')).then_some(&*self.host)
    }

    /// Whether it stands for every URL there is.
    fn is_everything(&self) -> bool {
        let stars = |text: &str| text.bytes().all(|byte| byte == b'*');
        stars(&self.host) && self.path.strip_prefix('/').is_some_and(stars)
    }
}

/// Whether `text` can be a host, stars aside. With anything else it could be read as another pattern when it
/// comes back from the log.
fn is_host_pattern(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
    text.bytes().all(is_name) || (text.starts_with('[') && text.ends_with(']'))
}

fn matches_stars(pattern: &str, text: &str) -> bool {
    matches_with_gaps(
        pattern.as_bytes(),
        text.bytes(),
        |byte| *byte == b'*',
        |pattern, byte| pattern == byte,
    )
}

impl fmt::Display for UrlGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host, self.path)
    }
}

impl FromStr for UrlGlob {
    type Err = BadSelector;

    fn from_str(text: &str) -> Result<Self, BadSelector> {
        let bad = |expected| BadSelector { what: "glob", given: text.to_owned(), expected };
        if text.len() > PATTERN_MAX {
            return Err(bad("at most 2048 bytes"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(bad("visible ASCII without #"));
        }
        let bare = super::selector::without_scheme(text);
        let slash = bare
            .find('/')
            .ok_or_else(|| bad("a host, then a path, such as \"www.example.com/img/*\""))?;
        let (host, path) = bare.split_at(slash);
        if host.is_empty() {
            return Err(bad(
                "a host before the path, such as \"www.example.com/img/*\", or * for any",
            ));
        }
        if !is_host_pattern(host) {
            return Err(bad("a host without port before the path, with * for any characters"));
        }
        let glob = Self { host: host.to_ascii_lowercase().into(), path: path.into() };
        if glob.is_everything() {
            return Err(bad("less than every URL; ask for everything by that name if it is meant"));
        }
        Ok(glob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_everything_else_for_itself() {
        // (pattern, host, path and query, expected, why)
        const CASES: &[(&str, &str, &str, bool, &str)] = &[
            ("a.b/img/*", "a.b", "/img/x/y?z", true, "slashes and query too"),
            ("a.b/img/*", "a.b", "/img", false, "the slash is asked for"),
            ("a.b/*.js", "a.b", "/x/y.js", true, "an ending"),
            ("a.b/*.js", "a.b", "/x.js?v=1", false, "a query is part of the text"),
            ("a.b/*.js*", "a.b", "/x.js?v=1", true, "so it takes a star"),
            ("*/x", "c.d", "/x", true, "any host"),
            ("*.b/x", "a.b", "/x", true, "hosts below"),
            ("*.b/x", "evil.test", "/.b/x", false, "a host never reaches into the path"),
            ("https://A.b/x?*", "a.b", "/x?y", true, "scheme and case of the host do not count"),
            ("a.b/x?", "a.b", "/xy", false, "a question mark is one"),
        ];
        for &(pattern, host, path, expected, why) in CASES {
            let glob: UrlGlob = pattern.parse().unwrap();
            assert_eq!(glob.matches(host, path), expected, "{why}: {pattern} on {host}{path}");
        }
    }

    #[test]
    fn what_means_everything_or_nothing_is_refused() {
        let odd = ["", "/img/*", "a b/c", "a.b", "a/#", "https://https://a/b", "a.b:80/c", "a?/b"];
        for text in odd.iter().chain(&["*", "**/*", "*/*", "*/**", "https://*/*"]) {
            assert!(text.parse::<UrlGlob>().is_err(), "{text:?}");
        }
    }
}
