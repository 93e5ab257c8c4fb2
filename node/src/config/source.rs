//! What text a configuration is read from, and which line a byte of it stands on.
//!
//! Parsing is left to the `toml` crate; what the keys mean is not known here.
//!
//! # Invariants
//!
//! 1. No more than [`FILE_BYTES_MAX`] bytes are ever read of one file.
//! 2. A text with a syntax error yields no table, so that a broken line is never also reported as
//!    a key that is missing or stands in the wrong table.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::problem::{Place, Problems, Wrong};

/// Bytes of one file.
pub(super) const FILE_BYTES_MAX: usize = 4 << 20;

/// Syntax errors reported of one file; what follows a broken line is often broken by it.
const SYNTAX_ERRORS_MAX: usize = 20;

/// The text of one file.
#[derive(Debug)]
pub(super) struct Source {
    file: Arc<str>,
    text: String,
    /// Byte offset at which each line starts.
    lines: Vec<usize>,
}

impl Source {
    /// Takes a text that is at hand; `None` after a problem was pushed.
    pub(super) fn from_text(file: &str, text: &str, problems: &mut Problems) -> Option<Self> {
        if text.len() > FILE_BYTES_MAX {
            problems.push(&Place::whole(file), "", too_long());
            return None;
        }
        Some(Self::new(file, text.to_owned()))
    }

    /// Reads a file; `None` after a problem was pushed.
    pub(super) fn from_file(path: &Path, problems: &mut Problems) -> Option<Self> {
        let file = path.display().to_string();
        match read_bounded(path) {
            Ok(text) => Some(Self::new(&file, text)),
            Err(wrong) => {
                problems.push(&Place::whole(&file), "", wrong);
                None
            }
        }
    }

    fn new(file: &str, text: String) -> Self {
        let lines =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.into(), text, lines }
    }

    /// Parses the text; `None` after its syntax errors, one a line, were pushed.
    pub(super) fn parse(&self, problems: &mut Problems) -> Option<DeTable<'_>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            return Some(table.into_inner());
        }
        let mut line = 0;
        for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
            let at = self.place(error.span().map_or(0, |span| span.start));
            if at.line != line {
                line = at.line;
                problems.push(&at, "", Wrong::new(format!("not TOML: {}", error.message())));
            }
        }
        None
    }

    /// Finds the line and the column of a byte of the text. Far along a line the column counts
    /// bytes.
    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|i| self.lines.get(i)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        // A whole file may be one line; counting it again for each key would take minutes.
        let column = if before.len() > 4_096 { before.len() } else { before.chars().count() };
        Place { file: Arc::clone(&self.file), line, column: column + 1 }
    }
}

fn read_bounded(path: &Path) -> Result<String, Wrong> {
    let unreadable = |error: std::io::Error| Wrong::new(format!("cannot be read: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a long file from one of exactly that length.
    let limit = u64::try_from(FILE_BYTES_MAX + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(too_long());
    }
    String::from_utf8(bytes).map_err(|error| {
        Wrong::new(format!("is not UTF-8 from byte {}", error.utf8_error().valid_up_to()))
    })
}

fn too_long() -> Wrong {
    Wrong::new("is longer than 4MiB; split the sites over several files with `include`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = Source::new("f", "a\n\u{e9}\u{e9}b\n\nc".to_owned());
        // (byte offset, line, column)
        let cases = [(0, 1, 1), (1, 1, 2), (2, 2, 1), (6, 2, 3), (7, 2, 4), (8, 3, 1), (9, 4, 1)];
        for (offset, line, column) in cases {
            let at = source.place(offset);
            assert_eq!((at.line, at.column), (line, column), "offset {offset}");
        }
        assert_eq!(source.place(999).line, 4, "beyond the end is the last line");
    }

    #[test]
    fn syntax_errors_are_reported_once_a_line() {
        let mut problems = Problems::default();
        let source = Source::new("f.toml", format!("a = {}\nb = 1\nb = 2\n", "[".repeat(200)));
        assert!(source.parse(&mut problems).is_none());
        let errors = problems.into_result(()).unwrap_err();
        let lines: Vec<_> = errors.problems().iter().map(|p| p.line).collect();
        assert_eq!(lines.first(), Some(&1));
        assert!(lines.is_sorted_by(|a, b| a < b), "{errors}");
    }
}
