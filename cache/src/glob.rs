//! Which paths does a glob stand for?
//!
//! A glob is written over the normal path of a target, so that two spellings of one path cannot be
//! told apart by a rule. `*` stands for any characters of one segment, `?` for one of them, and `**`
//! as a whole segment for any number of segments, none included.
//!
//! # Invariant
//!
//! Matching remembers one place to go back to at each level, never a stack of them: every character
//! of the pattern meets every character of the path at most once. The time is at most the product
//! of both lengths, of which that of the pattern is bounded.

use std::fmt;
use std::str::FromStr;

/// Bytes of the longest pattern.
const PATTERN_MAX: usize = 1024;

/// Pattern for paths. Case counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob {
    segments: Vec<Segment>,
}

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Segment {
    /// `**`: any number of segments.
    Many,
    /// One segment, in which `*` and `?` have their meaning.
    One(String),
}

/// Why a text is no pattern for paths, with what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadGlob {
    /// It does not begin as a path does.
    #[error("does not begin with / (expected a path such as \"/img/**\")")]
    NotAPath,
    /// `**` is a part of a segment.
    #[error(
        "has ** beside other characters (expected ** between slashes, or a single * in a segment)"
    )]
    PartOfSegment,
    /// It has characters that no normal path has.
    #[error(
        "has characters that no path has (expected visible ASCII without # and \\, others as %C3%A9)"
    )]
    Characters,
    /// It has a segment that no normal path has.
    #[error("has a segment . or .. (expected a path in normal form, which has none)")]
    Dots,
    /// It is longer than any that is accepted.
    #[error("is too long (expected at most 1024 bytes)")]
    TooLong,
}

impl Glob {
    /// Says whether the pattern stands for `path`, a path in normal form.
    pub fn matches(&self, path: &str) -> bool {
        matches_with_gaps(
            &self.segments,
            path.strip_prefix('/').unwrap_or(path).split('/'),
            |pattern| *pattern == Segment::Many,
            |pattern, segment| match pattern {
                Segment::Many => false,
                Segment::One(text) => matches_segment(text, segment),
            },
        )
    }
}

fn matches_segment(pattern: &str, segment: &str) -> bool {
    matches_with_gaps(
        pattern.as_bytes(),
        segment.bytes(),
        |byte| *byte == b'*',
        |pattern, byte| *pattern == b'?' || pattern == byte,
    )
}

/// Matches a sequence against a pattern whose gaps stand for any number of items.
///
/// Only the last gap is ever widened: what lies before it matched as early as it could, which
/// leaves the most to the rest.
pub(crate) fn matches_with_gaps<P, I: Iterator + Clone>(
    pattern: &[P],
    items: I,
    is_gap: impl Fn(&P) -> bool,
    matches: impl Fn(&P, &I::Item) -> bool,
) -> bool {
    let (mut patterns, mut rest) = (pattern, items);
    // What follows the last gap, and the items that the gap may still swallow.
    let mut gap: Option<(&[P], I)> = None;
    loop {
        let mut ahead = rest.clone();
        match (patterns.split_first(), ahead.next()) {
            (Some((first, after)), _) if is_gap(first) => {
                gap = Some((after, rest.clone()));
                patterns = after;
                continue;
            }
            (Some((first, after)), Some(item)) if matches(first, &item) => {
                (patterns, rest) = (after, ahead);
                continue;
            }
            (None, None) => return true,
            // Every item is used up, and what is left of the pattern wants more.
            (Some(_), None) => return false,
            (_, Some(_)) => {}
        }
        let Some((after, wider)) = &mut gap else { return false };
        if wider.next().is_none() {
            return false;
        }
        (patterns, rest) = (after, wider.clone());
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Many => f.write_str("/**"),
            Segment::One(text) => write!(f, "/{text}"),
        })
    }
}

impl FromStr for Glob {
    type Err = BadGlob;

    fn from_str(text: &str) -> Result<Self, BadGlob> {
        if text.len() > PATTERN_MAX {
            return Err(BadGlob::TooLong);
        }
        let path = text.strip_prefix('/').ok_or(BadGlob::NotAPath)?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\\".contains(&byte)) {
            return Err(BadGlob::Characters);
        }
        let segments = path.split('/').map(parse_segment).collect::<Result<_, _>>()?;
        Ok(Self { segments })
    }
}

fn parse_segment(text: &str) -> Result<Segment, BadGlob> {
    match text {
        "**" => Ok(Segment::Many),
        "." | ".." => Err(BadGlob::Dots),
        _ if text.contains("**") => Err(BadGlob::PartOfSegment),
        _ => Ok(Segment::One(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str) -> Glob {
        text.parse().expect("well-formed pattern")
    }

    #[test]
    fn globs_stand_for_the_paths_of_their_form() {
        // (pattern, path, expected, why)
        const CASES: &[(&str, &str, bool, &str)] = &[
            ("/", "/", true, "the root"),
            ("/", "/a", false, "nothing below it"),
            ("/a", "/a", true, "a path itself"),
            ("/a", "/A", false, "case counts"),
            ("/a", "/a/", false, "an empty segment is a segment"),
            ("/*", "/", true, "any characters, none included"),
            ("/*", "/a", true, "one segment"),
            ("/*", "/a/b", false, "never two"),
            ("/a*c", "/abbc", true, "within a segment"),
            ("/a*c", "/ab/c", false, "not across a slash"),
            ("/*.js", "/a.js", true, "an ending"),
            ("/*.js", "/a.js.map", false, "the whole segment counts"),
            ("/a?c", "/abc", true, "one character"),
            ("/a?c", "/ac", false, "not none"),
            ("/a?c", "/a/c", false, "not a slash"),
            ("/img/**", "/img/a", true, "one segment"),
            ("/img/**", "/img/a/b/c", true, "many segments"),
            ("/img/**", "/img/", true, "an empty one"),
            ("/img/**", "/img", true, "none"),
            ("/img/**", "/imgs/a", false, "segments are matched whole"),
            ("/**", "/", true, "everything"),
            ("/**", "/a//b/", true, "empty segments too"),
            ("/**/x.js", "/x.js", true, "none before"),
            ("/**/x.js", "/a/b/x.js", true, "two before"),
            ("/**/x.js", "/a/xx.js", false, "the last segment is another"),
            ("/a/**/b/*", "/a/b/b/c/b/d", true, "the gap ends where the rest fits"),
            ("/a/**/b/*", "/a/b/c/d", false, "the rest never fits"),
            ("/a/**/**/b", "/a/b", true, "two gaps may both be empty"),
            ("/*a*b*", "/xaxxbx", true, "several stars"),
            ("/*a*b*", "/bxa", false, "in their order"),
            ("/%2F*", "/%2Fx", true, "escapes are characters as they stand"),
        ];
        for &(pattern, path, expected, why) in CASES {
            assert_eq!(glob(pattern).matches(path), expected, "{why}: {pattern} {path}");
        }
    }

    #[test]
    fn text_that_is_no_glob_is_refused_with_what_was_expected() {
        let long = format!("/{}", "a".repeat(PATTERN_MAX));
        let cases = [
            ("", BadGlob::NotAPath),
            ("img/*", BadGlob::NotAPath),
            ("/a**", BadGlob::PartOfSegment),
            ("/***", BadGlob::PartOfSegment),
            ("/**.js", BadGlob::PartOfSegment),
            ("/a b", BadGlob::Characters),
            ("/é", BadGlob::Characters),
            ("/a#b", BadGlob::Characters),
            ("/a\\b", BadGlob::Characters),
            ("/a/../b", BadGlob::Dots),
            (&long, BadGlob::TooLong),
        ];
        for (text, expected) in cases {
            let problem = text.parse::<Glob>().expect_err(text);
            assert_eq!(problem, expected, "{text}");
            assert!(problem.to_string().contains("(expected "), "{problem}");
        }
    }

    #[test]
    fn many_stars_over_a_long_path_take_no_longer_than_the_product() {
        // With a stack of places to go back to, this would not end within the age of the universe.
        let stars = glob(&format!("/{}b", "a*".repeat(500)));
        assert!(!stars.matches(&format!("/{}", "a".repeat(16_000))));
        let gaps = glob(&format!("{}/b", "/**/a".repeat(200)));
        assert!(!gaps.matches(&"/a".repeat(8_000)));
    }

    /// What the words of the first paragraph say, tried in every way.
    fn naive(pattern: &[&str], path: &[&str]) -> bool {
        match pattern.split_first() {
            None => path.is_empty(),
            Some((&"**", rest)) => {
                naive(rest, path) || path.split_first().is_some_and(|(_, p)| naive(pattern, p))
            }
            Some((first, rest)) => path.split_first().is_some_and(|(segment, others)| {
                naive_segment(first.as_bytes(), segment.as_bytes()) && naive(rest, others)
            }),
        }
    }

    fn naive_segment(pattern: &[u8], segment: &[u8]) -> bool {
        match pattern.split_first() {
            None => segment.is_empty(),
            Some((b'*', rest)) => {
                naive_segment(rest, segment)
                    || segment.split_first().is_some_and(|(_, s)| naive_segment(pattern, s))
            }
            Some((first, rest)) => segment.split_first().is_some_and(|(byte, others)| {
                (*first == b'?' || first == byte) && naive_segment(rest, others)
            }),
        }
    }

    fn split(text: &str) -> Vec<&str> {
        text.strip_prefix('/').unwrap_or(text).split('/').collect()
    }

    proptest! {
        #[test]
        fn the_matcher_agrees_with_a_naive_one(
            pattern in "(/(\\*\\*|[ab?]{0,2}(\\*[ab?]{0,2}){0,2})){1,5}",
            path in "(/[ab]{0,4}){1,6}",
        ) {
            let Ok(glob) = pattern.parse::<Glob>() else { return Ok(()) };
            prop_assert_eq!(glob.matches(&path), naive(&split(&pattern), &split(&path)));
        }

        #[test]
        fn no_text_panics_and_a_glob_is_written_as_it_was_read(text: String, path: String) {
            for text in [text.clone(), format!("/{text}")] {
                if let Ok(glob) = text.parse::<Glob>() {
                    prop_assert_eq!(glob.to_string(), text);
                    glob.matches(&path);
                }
            }
        }
    }
}
