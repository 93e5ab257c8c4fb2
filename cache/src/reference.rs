//! What a reference in a field points at, seen from the target (RFC 3986 §5.2).
//!
//! Only references into the same origin come out; which spelling of a path is the canonical one is
//! not decided here.

/// The parts of an absolute http or https URI.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Absolute<'a> {
    scheme: &'static str,
    /// Lower case, without the default port.
    authority: String,
    /// Path and query, without the fragment; empty or beginning with `/` or `?`.
    rest: &'a str,
}

/// Resolves `reference` against `target` and returns it as an absolute URI without fragment.
///
/// `None` when it leads to another origin, or is something a URI cannot be.
pub(crate) fn same_origin_uri(target: &str, reference: &str) -> Option<String> {
    let base = Absolute::parse(target)?;
    if !reference.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return None;
    }
    let reference = without_fragment(reference);
    let (base_path, base_query) = split_query(base.rest);
    let (path, query) = if has_scheme(reference) {
        split_query(base.rest_of_same_origin(reference)?)
    } else if reference.starts_with("//") {
        let absolute = format!("{}:{reference}", base.scheme);
        base.rest_of_same_origin(&absolute)?;
        return same_origin_uri(target, &absolute);
    } else if reference.is_empty() {
        (base_path, base_query)
    } else if reference.starts_with('?') {
        (base_path, split_query(reference).1)
    } else if reference.starts_with('/') {
        split_query(reference)
    } else {
        let (path, query) = split_query(reference);
        return Some(base.uri(&merge(base_path, path), query));
    };
    Some(base.uri(path, query))
}

impl<'a> Absolute<'a> {
    fn parse(uri: &'a str) -> Option<Self> {
        let (scheme, after) = uri.split_once("://")?;
        let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => ("http", ":80"),
            "https" => ("https", ":443"),
            _ => return None,
        };
        let after = without_fragment(after);
        let end = after.find(['/', '?']).unwrap_or(after.len());
        let (authority, rest) = after.split_at_checked(end)?;
        if authority.is_empty() {
            return None;
        }
        let authority = authority.to_ascii_lowercase();
        let bare = authority.strip_suffix(default_port).or_else(|| authority.strip_suffix(':'));
        Some(Self { scheme, authority: bare.unwrap_or(&authority).to_owned(), rest })
    }

    /// Returns path and query of the absolute URI `other` if it is of the same origin.
    fn rest_of_same_origin<'b>(&self, other: &'b str) -> Option<&'b str> {
        let other = Absolute::parse(other)?;
        (other.scheme == self.scheme && other.authority == self.authority).then_some(other.rest)
    }

    fn uri(&self, path: &str, query: Option<&str>) -> String {
        let path = remove_dot_segments(path);
        let (mark, query) = query.map_or(("", ""), |query| ("?", query));
        format!("{}://{}{path}{mark}{query}", self.scheme, self.authority)
    }
}

/// Says whether `reference` begins with a scheme (RFC 3986 §3.1).
fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

fn without_fragment(uri: &str) -> &str {
    uri.split_once('#').map_or(uri, |(before, _)| before)
}

fn split_query(rest: &str) -> (&str, Option<&str>) {
    rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)))
}

/// Puts a relative path in the place of the last segment of the base (RFC 3986 §5.2.3).
fn merge(base_path: &str, path: &str) -> String {
    let folder = base_path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{path}")
}

/// Removes `.` and `..` from a path (RFC 3986 §5.2.4); the result begins with `/`.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments = path.strip_prefix('/').unwrap_or(path).split('/');
    let mut ends_in_folder = false;
    for segment in segments {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    if ends_in_folder {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve_within_the_origin() {
        // (reference, expected, why); RFC 3986 §5.4, seen from http://example.com/a/b?c=d.
        const CASES: &[(&str, Option<&str>, &str)] = &[
            ("http://example.com/x?y", Some("http://example.com/x?y"), "absolute"),
            ("HTTP://EXAMPLE.com:80/x", Some("http://example.com/x"), "case and default port"),
            ("http://example.com", Some("http://example.com/"), "no path is the root"),
            ("http://example.com?q", Some("http://example.com/?q"), "query alone"),
            ("//example.com/x", Some("http://example.com/x"), "scheme of the target"),
            ("/x/y#z", Some("http://example.com/x/y"), "the fragment goes"),
            ("x", Some("http://example.com/a/x"), "beside the target"),
            ("x:y/../z", None, "a scheme"),
            ("./x:y", Some("http://example.com/a/x:y"), "a colon behind a dot is no scheme"),
            ("../x", Some("http://example.com/x"), "one up"),
            ("../../../x", Some("http://example.com/x"), "not above the root"),
            (".", Some("http://example.com/a/"), "the folder"),
            ("/x/./y/../z/", Some("http://example.com/x/z/"), "dots in the middle"),
            ("/x//y", Some("http://example.com/x//y"), "empty segments stay"),
            ("?e=f", Some("http://example.com/a/b?e=f"), "another query"),
            ("", Some("http://example.com/a/b?c=d"), "the target itself"),
            ("https://example.com/x", None, "another scheme is another origin"),
            ("http://example.com:8080/x", None, "another port"),
            ("http://example.com.evil.test/x", None, "another host"),
            ("http://evil.test@example.com/x", None, "user information makes another authority"),
            ("//evil.test/x", None, "another host without scheme"),
            ("\\\\evil.test/x", None, "backslashes"),
            ("/x y", None, "a space"),
            ("/\u{e9}", None, "outside ASCII"),
            ("ftp://example.com/x", None, "another scheme"),
        ];
        for &(reference, expected, why) in CASES {
            let found = same_origin_uri("http://example.com/a/b?c=d", reference);
            assert_eq!(found.as_deref(), expected, "{why}: {reference}");
        }
        assert_eq!(same_origin_uri("/a", "/b"), None, "the target must be absolute");
    }
}
