//! What does a URL of a load name? The place to connect to, and the request target as a template.
//!
//! `{n}` in path or query stands for the number of a key, `{miss}` for text that nobody has asked for before.

/// Longer ones are refused by most servers.
const URL_BYTES_MAX: usize = 32 * 1024;

/// A URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// What `Host` says.
    pub(crate) authority: String,
    /// `host:port`, for resolving.
    pub(crate) place: String,
    /// Path and query.
    pub(crate) pieces: Vec<Piece>,
    /// Whether it has a query.
    pub(crate) has_query: bool,
}

/// A part of path and query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The number of a key.
    Number,
    /// As it stands.
    Text(String),
    /// Something that was never asked for, or `0`.
    Unique,
}

/// Why a text is no URL that a load can be put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Something else than a URL.
    #[error("expected a URL such as http://127.0.0.1:8080/path")]
    NoUrl,
    /// TLS is not spoken.
    #[error("https is not spoken here; for TLS and HTTP/2 use h2load")]
    Secure,
    /// Name and password in the URL.
    #[error("a URL with a user is not taken; use -H 'Authorization: ...'")]
    User,
    /// A character that no URL has.
    #[error("spaces, controls and characters beyond ASCII must be percent-encoded")]
    Characters,
    /// Too long.
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
}

impl Target {
    /// Whether `{n}` is in it.
    pub(crate) fn has_number(&self) -> bool {
        self.pieces.contains(&Piece::Number)
    }

    /// Takes a URL apart. A fragment is left out, as browsers do.
    pub(crate) fn parse(url: &str) -> Result<Self, TargetError> {
        if url.len() > URL_BYTES_MAX {
            return Err(TargetError::TooLong);
        }
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TargetError::Characters);
        }
        let (scheme, rest) = url.split_once("://").ok_or(TargetError::NoUrl)?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err(TargetError::Secure);
        }
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(TargetError::NoUrl);
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(path_at).ok_or(TargetError::NoUrl)?;
        if authority.contains('@') {
            return Err(TargetError::User);
        }
        let place = place(authority).ok_or(TargetError::NoUrl)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            authority: authority.to_owned(),
            place,
            pieces: parse_pieces(&format!("{slash}{path}")),
            has_query: path.contains('?'),
        })
    }
}

/// `host:port` of an authority; `None` if it has no host or no possible port.
pub(crate) fn place(authority: &str) -> Option<String> {
    let bracket = authority.rfind(']');
    let colon = authority.rfind(':').filter(|colon| bracket.is_none_or(|end| end < *colon));
    let (host, port) = match colon {
        Some(colon) => (authority.get(..colon)?, authority.get(colon + 1..)?),
        None => (authority, "80"),
    };
    let plain = !host.is_empty() && host.starts_with('[') == host.ends_with(']');
    let single = host.starts_with('[') || !host.contains(':');
    let port: u16 = port.parse().ok()?;
    (plain && single).then(|| format!("{host}:{port}"))
}

fn parse_pieces(mut text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let names = [("{n}", Piece::Number), ("{miss}", Piece::Unique)];
    while !text.is_empty() {
        let next = names
            .iter()
            .filter_map(|(name, piece)| Some((text.split_once(name)?, piece)))
            .min_by_key(|((before, _), _)| before.len());
        let (before, piece, after) = match next {
            Some(((before, after), piece)) => (before, Some(piece), after),
            None => (text, None, ""),
        };
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.extend(piece.cloned());
        text = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let table = [
            ("http://a.example/x?y=1#z", "a.example", "a.example:80", "/x?y=1", true),
            ("HTTP://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1:8080", "/", false),
            ("http://[::1]:81/", "[::1]:81", "[::1]:81", "/", false),
            ("http://[::1]/", "[::1]", "[::1]:80", "/", false),
            ("http://a?b", "a", "a:80", "/?b", true),
        ];
        for (url, authority, place, path, has_query) in table {
            let target = Target::parse(url).unwrap();
            assert_eq!(
                (target.authority.as_str(), target.place.as_str()),
                (authority, place),
                "{url}"
            );
            assert_eq!(target.pieces, [Piece::Text(path.to_owned())], "{url}");
            assert_eq!(target.has_query, has_query, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_the_reason() {
        let table = [
            ("127.0.0.1:80/", TargetError::NoUrl),
            ("ftp://a/", TargetError::NoUrl),
            ("http:///x", TargetError::NoUrl),
            ("http://:80/x", TargetError::NoUrl),
            ("http://a:b/", TargetError::NoUrl),
            ("http://a:99999/", TargetError::NoUrl),
            ("http://::1/", TargetError::NoUrl),
            ("http://[::1/", TargetError::NoUrl),
            ("https://a/", TargetError::Secure),
            ("http://u:p@a/", TargetError::User),
            ("http://a/b c", TargetError::Characters),
            ("http://a/b\r\nX: y", TargetError::Characters),
            ("http://a/ü", TargetError::Characters),
        ];
        for (url, expected) in table {
            assert_eq!(Target::parse(url), Err(expected), "{url}");
        }
        let long = format!("http://a/{}", "x".repeat(URL_BYTES_MAX));
        assert_eq!(Target::parse(&long), Err(TargetError::TooLong));
    }

    #[test]
    fn placeholders_are_found() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let target = Target::parse("http://a/x{n}/{miss}{n}.js?{m}").unwrap();
        let expected =
            [text("/x"), Piece::Number, text("/"), Piece::Unique, Piece::Number, text(".js?{m}")];
        assert_eq!(target.pieces, expected);
        assert!(target.has_number());
    }
}
