//! Which files an `include` names.
//!
//! # Invariants
//!
//! 1. The order of files is the order of the patterns, then of the names; it does not depend on
//!    the file system. No file is read twice.
//! 2. A pattern may match nothing; a name without `*` must exist.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::problem::{Wrong, quote};

/// Finds the files of all `patterns`, taken from the directory `base`. Wrong ones are told to
/// `report`.
pub(super) fn find_files(
    base: &Path,
    patterns: &[String],
    mut report: impl FnMut(Wrong),
) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for pattern in patterns {
        match matches_of(base, pattern) {
            Ok(found) => files.extend(found.into_iter().filter(|path| seen.insert(path.clone()))),
            Err(wrong) => report(wrong),
        }
    }
    files
}

fn matches_of(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, Wrong> {
    let path = base.join(pattern);
    if pattern.contains('*') {
        return glob(&path).map_err(|why| Wrong::new(format!("{}: {why}", quote(pattern))));
    }
    if path.is_file() {
        return Ok(vec![path]);
    }
    Err(Wrong::new(format!("{} is not a file; expected one, or a pattern with *", quote(pattern))))
}

fn glob(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let pattern = path.file_name().unwrap_or_default().as_encoded_bytes();
    let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let entries = match fs::read_dir(listed) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names: std::io::Result<Vec<OsString>> =
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let mut names = names?;
    names.retain(|name| is_match(pattern, name.as_encoded_bytes()));
    names.sort();
    Ok(names.into_iter().map(|name| directory.join(name)).filter(|path| path.is_file()).collect())
}

/// Says whether a file name matches; `*` matches any bytes, but not a leading dot.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let hidden = name.starts_with(b".") && !pattern.starts_with(b".");
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The first place that fits leaves the most for the parts that follow.
        let Some(at) = find(rest, part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    !hidden && rest.ends_with(last)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        // (pattern, name, expected)
        let cases = [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.toml.bak", false),
            ("*.toml", ".a.toml", false),
            (".*", ".a", true),
            ("*", "a", true),
            ("a*b*c", "aXbbYc", true),
            ("a*b*c", "aXc", false),
            ("ab*ba", "aba", false),
            ("a**b", "ab", true),
            ("a", "a", true),
            ("a", "ab", false),
        ];
        for (pattern, name, expected) in cases {
            let got = is_match(pattern.as_bytes(), name.as_bytes());
            assert_eq!(got, expected, "{pattern} {name}");
        }
    }
}
