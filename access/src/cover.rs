//! Is a path below a prefix for everyone who reads it?
//!
//! A signature for a folder, or for a pattern, is as good as the promise that what begins with the folder's path
//! lies in it. Some servers break that: they decode `%2F` and `%5C` before they remove dot segments, or drop what
//! follows a `;` in a segment first. Paths that such a server would take out of the folder are never below it.

use crate::query::escapes_of;

/// Says whether some server reads `path`, which is in normal form, as one outside of where it begins.
pub(crate) fn may_climb(path: &str) -> bool {
    escapes_of(path).any(|byte| matches!(byte, b'/' | b'\\' | 0))
        || path.split('/').any(|segment| matches!(segment.split_once(';'), Some(("." | "..", _))))
}

/// Says whether `path` lies below `prefix`, which ends in a slash.
pub(crate) fn is_below(path: &str, prefix: &str) -> bool {
    path.starts_with(prefix) && !may_climb(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_server_reads_as_elsewhere_is_not_below() {
        for path in
            ["/v/1/a", "/v/1/", "/v/1/a;b=1", "/v/1/..a", "/v/1/%20", "/v/1//x", "/v/1/a..;"]
        {
            assert!(is_below(path, "/v/1/"), "{path}");
        }
        for path in [
            "/v/1",
            "/v/10/",
            "/v/1/..%2Fx",
            "/v/1/a%2Fb",
            "/v/1/%5C..%5Cx",
            "/v/1/..;/x",
            "/v/1/.;x/y",
            "/v/1/%00",
            "/w/1/a",
        ] {
            assert!(!is_below(path, "/v/1/"), "{path}");
        }
    }
}
