//! What is wrong with a configuration: a list of problems, each with its place and a way out.
//!
//! An operator fixes a file once, so that every problem is collected before any is reported.
//!
//! # Invariants
//!
//! 1. One problem prints as one line, whatever the file contains.
//! 2. At most [`PROBLEMS_MAX`] problems are kept; a last one says how many more there were.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Problems kept of one configuration.
pub(super) const PROBLEMS_MAX: usize = 1_000;

/// One thing that is wrong, and what was expected instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Path of the file as it was given, or `environment`.
    pub file: String,
    /// Line in the file, from 1; 0 when the problem has no line.
    pub line: usize,
    /// Column in characters, from 1; 0 when the problem has no line.
    pub column: usize,
    /// Dotted path of the key, for example `store.memory`; the name of the variable for the
    /// environment; empty when no key is concerned.
    pub key: String,
    /// What was wrong and what was expected: unit, range or an example.
    pub message: String,
    /// The known name nearest to an unknown one.
    pub nearest: Option<String>,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration, in the order of file and line. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigProblem>);

impl ConfigErrors {
    /// Returns the problems, sorted by file and line.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    /// Writes one problem a line, without a line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}

/// Where something was written.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: Arc<str>,
    /// 0 when there is no line, as in the environment.
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    /// A place without a line: a whole file, or the environment.
    pub(super) fn whole(file: &str) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }
}

/// What is wrong with one value, before it is known where the value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) nearest: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), nearest: None }
    }

    pub(super) fn near(self, nearest: Option<&str>) -> Self {
        Self { nearest: nearest.map(str::to_owned), ..self }
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<ConfigProblem>,
    further: usize,
}

impl Problems {
    /// Counts a problem that there is no room for; `false` when there is room to push it.
    pub(super) fn overflows(&mut self) -> bool {
        let full = self.list.len() >= PROBLEMS_MAX;
        self.further += usize::from(full);
        full
    }

    pub(super) fn push(&mut self, at: &Place, key: &str, wrong: Wrong) {
        if self.overflows() {
            return;
        }
        self.list.push(ConfigProblem {
            file: at.file.to_string(),
            line: at.line,
            column: at.column,
            key: key.to_owned(),
            message: wrong.message,
            nearest: wrong.nearest,
        });
    }

    /// Returns `value` when nothing is wrong with it.
    ///
    /// # Errors
    ///
    /// [`ConfigErrors`] with all problems pushed, sorted.
    pub(super) fn into_result<T>(mut self, value: T) -> Result<T, ConfigErrors> {
        if self.list.is_empty() {
            return Ok(value);
        }
        self.list.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        if self.further > 0 {
            let file = self.list.last().map(|p| p.file.clone()).unwrap_or_default();
            let message = format!("{} further problems are not shown", self.further);
            let key = String::new();
            self.list.push(ConfigProblem { file, line: 0, column: 0, key, message, nearest: None });
        }
        Err(ConfigErrors(self.list))
    }
}

/// Quotes a text of a file for a message: one line, at most 40 characters of it.
pub(super) fn quote(text: &str) -> String {
    let shown: String = text.chars().take(40).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", shown.escape_debug())
}

/// Shortens a key of a file for a message: one line, at most 64 characters of it.
pub(super) fn printable_key(key: &str) -> String {
    key.chars().take(64).flat_map(char::escape_debug).collect()
}

/// Finds the known name that `word` was most likely meant to be.
///
/// Letter case and `-` for `_` do not count. Long words are not compared: the cost is the product
/// of both lengths.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let edits_max = match word.chars().count() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&word, &plain(name)), name))
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let known = ["listen", "admin", "age", "via", "object_max"];
        // (word, expected, why)
        let cases = [
            ("listn", Some("listen"), "a letter left out"),
            ("lsiten", Some("listen"), "letters exchanged"),
            ("ADMIN", Some("admin"), "case"),
            ("object-max", Some("object_max"), "hyphen"),
            ("objectmaxx", Some("object_max"), "two edits in a long word"),
            ("xyz", None, "nothing is near a short word"),
            ("connections", None, "nothing is near a long word"),
        ];
        for (word, expected, why) in cases {
            assert_eq!(nearest(word, known), expected, "{why}: {word}");
        }
        assert_eq!(nearest(&"a".repeat(1 << 20), known), None, "long words cost nothing");
    }

    #[test]
    fn problems_are_sorted_and_bounded() {
        let mut problems = Problems::default();
        for line in (1..=PROBLEMS_MAX + 5).rev() {
            let at = Place { file: "a".into(), line, column: 1 };
            problems.push(&at, "k", Wrong::new("bad"));
        }
        let errors = problems.into_result(()).unwrap_err();
        assert_eq!(errors.problems().len(), PROBLEMS_MAX + 1);
        assert!(errors.to_string().starts_with("a:6:1: k: bad\na:7:1: k: bad\n"));
        assert!(errors.to_string().ends_with("a: 5 further problems are not shown"));
    }

    #[test]
    fn foreign_text_stays_on_one_line() {
        assert_eq!(quote("a\nb\"\u{1b}[2J"), r#""a\nb\"\u{1b}[2J""#);
        assert_eq!(quote(&"x".repeat(41)), format!("\"{}…\"", "x".repeat(40)));
        assert_eq!(printable_key("a\nb"), "a\\nb");
    }
}
