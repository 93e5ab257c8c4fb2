//! Which file of the folder does a path name?
//!
//! # Invariants
//!
//! 1. Nothing outside of the folder is opened: `..` is refused after decoding, and the path that
//!    remains after all symbolic links must lie within the folder. (Someone who can change the
//!    folder between check and open could get past this; that person can put files there anyway.)
//! 2. Only regular files are opened; opening a pipe would block.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use crate::{content_type, percent, represent::Resource, source::Source};

/// What is there under a path.
#[derive(Debug)]
pub(crate) enum Found {
    File(Resource),
    /// A folder asked for without its final slash; relative links in its page need one.
    Folder,
    Forbidden,
    Missing,
    /// The path cannot name a file. Says why.
    Refused(&'static str),
}

/// Looks `path` (not decoded, without query) up below `root`, which must be canonical.
///
/// Blocks. `version` becomes part of the entity tag, so that a deploy changes every file.
///
/// # Errors
///
/// If the file system fails in a way that is not about the path.
pub(crate) fn find(root: &Path, path: &str, version: u64) -> io::Result<Found> {
    let relative = match decode_path(path) {
        Ok(relative) => relative,
        Err(why) => return Ok(Found::Refused(why)),
    };
    match open(root, &relative, path.ends_with('/'), version) {
        Ok(found) => Ok(found),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename => Ok(Found::Missing),
            io::ErrorKind::PermissionDenied => Ok(Found::Forbidden),
            _ => Err(error),
        },
    }
}

fn decode_path(path: &str) -> Result<PathBuf, &'static str> {
    let decoded = percent::decode(path).ok_or("the path has a broken percent escape")?;
    let decoded = String::from_utf8(decoded).map_err(|_invalid| "the path is not UTF-8")?;
    if decoded.contains('\0') {
        return Err("the path has a zero byte");
    }
    let segments = decoded.split('/').filter(|segment| !matches!(*segment, "" | "."));
    let relative: PathBuf = segments.clone().collect();
    if segments.clone().any(|segment| segment == "..") {
        return Err("the path has a segment of two dots");
    }
    Ok(relative)
}

fn open(root: &Path, relative: &Path, as_folder: bool, version: u64) -> io::Result<Found> {
    let mut file = fs::canonicalize(root.join(relative))?;
    if !file.starts_with(root) {
        return Ok(Found::Missing);
    }
    let is_folder = file.is_dir();
    if is_folder && !as_folder {
        return Ok(Found::Folder);
    }
    if is_folder {
        file = fs::canonicalize(file.join("index.html"))?;
    }
    if !file.starts_with(root) || !file.is_file() || is_folder != as_folder {
        return Ok(Found::Missing);
    }
    describe(&file, version).map(Found::File)
}

fn describe(path: &Path, version: u64) -> io::Result<Resource> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let modified = metadata.modified()?;
    let nanos = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let len = metadata.len();
    Ok(Resource {
        content_type: content_type::by_extension(path),
        etag: format!("\"{len:x}-{nanos:x}-{version}\""),
        modified: Some(modified),
        source: Source::file(file, len),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once_and_cannot_climb() {
        const CASES: &[(&str, Option<&str>, &str)] = &[
            ("/a/b.txt", Some("a/b.txt"), "plain"),
            ("/a%2fb%20c", Some("a/b c"), "an escaped slash separates"),
            ("//etc/passwd", Some("etc/passwd"), "never absolute"),
            ("/./a/.", Some("a"), "single dots say nothing"),
            ("/a/...", Some("a/..."), "three dots are a name"),
            ("/../a", None, "climbs"),
            ("/a/%2e%2E/b", None, "climbs, escaped"),
            ("/a%2f..%2fb", None, "climbs, slash escaped"),
            ("/%252e%252e/a", Some("%2e%2e/a"), "decoded once only"),
            ("/a%00", None, "zero byte"),
            ("/a%f", None, "broken escape"),
            ("/%ff", None, "not UTF-8"),
        ];
        for &(path, expected, why) in CASES {
            assert_eq!(decode_path(path).ok().as_deref(), expected.map(Path::new), "{why}: {path}");
        }
    }
}
