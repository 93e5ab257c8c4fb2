//! Which words a key takes: switches, one of a few names, names and addresses.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use http::HeaderName;
use toml::de::DeValue;
use weir_cache::{HostPattern, Pattern};

use super::{Kind, toml_string};
use crate::config::address::{UpstreamAddr, parse_authority};
use crate::config::problem::{Wrong, nearest, quote};

/// `true` or `false`.
pub(in crate::config) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn unit(&self) -> String {
        "boolean".to_owned()
    }

    fn range(&self) -> String {
        "true or false".to_owned()
    }

    fn example(&self) -> String {
        "true".to_owned()
    }

    fn read_text(&self, text: &str) -> Result<bool, Wrong> {
        text.parse().ok().ok_or_else(|| self.expected(format!("found {}", quote(text))))
    }

    fn read_value(&self, value: &DeValue<'_>) -> Result<bool, Wrong> {
        value.as_bool().ok_or_else(|| self.mismatch(value))
    }

    fn render(&self, value: &bool) -> Option<String> {
        Some(value.to_string())
    }
}

/// One of a few words or numbers. A word that is a number is an integer in TOML.
pub(in crate::config) struct Choice<T: 'static> {
    pub(in crate::config) options: &'static [(&'static str, T)],
}

impl<T> Choice<T> {
    fn is_number(&self) -> bool {
        self.options.iter().all(|(word, _)| word.bytes().all(|b| b.is_ascii_digit()))
    }

    fn in_toml(&self, word: &str) -> String {
        if self.is_number() { word.to_owned() } else { toml_string(word) }
    }
}

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn unit(&self) -> String {
        if self.is_number() { "integer".to_owned() } else { "string".to_owned() }
    }

    fn range(&self) -> String {
        let words: Vec<_> = self.options.iter().map(|(word, _)| self.in_toml(word)).collect();
        words.join(", ")
    }

    fn example(&self) -> String {
        self.options.first().map(|(word, _)| self.in_toml(word)).unwrap_or_default()
    }

    fn read_text(&self, text: &str) -> Result<T, Wrong> {
        let known = self.options.iter().find(|(word, _)| *word == text);
        known.map(|(_, value)| *value).ok_or_else(|| {
            let words = self.options.iter().map(|(word, _)| *word);
            self.expected(format!("found {}", quote(text))).near(nearest(text, words))
        })
    }

    fn read_value(&self, value: &DeValue<'_>) -> Result<T, Wrong> {
        match value {
            DeValue::Integer(number) if self.is_number() => self.read_text(&number.to_string()),
            DeValue::String(text) if !self.is_number() => self.read_text(text),
            other => Err(self.mismatch(other)),
        }
    }

    fn render(&self, value: &T) -> Option<String> {
        let known = self.options.iter().find(|(_, option)| option == value);
        known.map(|(word, _)| self.in_toml(word))
    }
}

/// A string of some grammar.
pub(in crate::config) struct Text<T> {
    pub(super) unit: &'static str,
    pub(super) range: &'static str,
    pub(super) example: &'static str,
    /// The error completes a sentence whose subject is the text, which it need not repeat.
    pub(super) parse: fn(&str) -> Result<T, String>,
    pub(super) write: fn(&T) -> String,
}

impl<T> Kind for Text<T> {
    type Value = T;

    fn unit(&self) -> String {
        self.unit.to_owned()
    }

    fn range(&self) -> String {
        self.range.to_owned()
    }

    fn example(&self) -> String {
        toml_string(self.example)
    }

    fn read_text(&self, text: &str) -> Result<T, Wrong> {
        (self.parse)(text).map_err(|why| self.expected(why))
    }

    fn render(&self, value: &T) -> Option<String> {
        Some(toml_string(&(self.write)(value)))
    }
}

/// A string whose meaning is checked elsewhere.
pub(in crate::config) const fn text(
    unit: &'static str,
    range: &'static str,
    example: &'static str,
) -> Text<String> {
    Text { unit, range, example, parse: |text| Ok(text.to_owned()), write: String::clone }
}

/// The name of a node or of a site (RFC 9110 §5.6.2), which goes into header fields and metrics.
pub(in crate::config) const fn token() -> Text<String> {
    Text {
        unit: "name",
        range: "1 to 64 letters, digits, - . _ or other characters of a token",
        example: "www",
        parse: |text| match text.len() {
            1..=64 if text.bytes().all(is_token_byte) => Ok(text.to_owned()),
            _ => Err(format!("found {}", quote(text))),
        },
        write: String::clone,
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// An address to listen on. Names are refused: what they resolve to may change.
pub(in crate::config) const fn listen_addr(example: &'static str) -> Text<SocketAddr> {
    Text {
        unit: "address",
        range: "IP address and port, port 0 lets the system choose",
        example,
        parse: |text| text.parse().map_err(|_reason| format!("found {}", quote(text))),
        write: SocketAddr::to_string,
    }
}

/// A node of the next tier.
pub(in crate::config) const fn upstream_addr() -> Text<UpstreamAddr> {
    Text {
        unit: "URL",
        range: "http://host:port or https://host:port, port 80 or 443 when left out",
        example: "http://127.0.0.1:8000",
        // The text is not repeated: it may hold a password.
        parse: |text| text.parse::<UpstreamAddr>().map_err(|why| format!("the address {why}")),
        write: UpstreamAddr::to_string,
    }
}

/// A NATS server.
pub(in crate::config) const fn nats_addr() -> Text<String> {
    Text {
        unit: "URL",
        range: "nats://host:port, port 4222 when left out",
        example: "nats://nats.internal:4222",
        // The text is not repeated: it may hold a password.
        parse: |text| {
            let rest = text.strip_prefix("nats://");
            let rest = rest.ok_or("the address does not begin with `nats://`")?;
            if rest.contains('@') {
                return Err(
                    "the address holds a user name or a password: they belong in the file \
                            that nats_credentials names"
                        .to_owned(),
                );
            }
            let (host, port) = parse_authority(rest).map_err(|why| format!("the address {why}"))?;
            Ok(format!("nats://{host}:{}", port.unwrap_or(4222)))
        },
        write: String::clone,
    }
}

/// The name of a JetStream stream, which is also a part of subjects.
pub(in crate::config) const fn stream_name() -> Text<String> {
    Text {
        unit: "name",
        range: "1 to 64 letters, digits, - or _",
        example: "cdn-purges",
        parse: |text| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            match text.len() {
                1..=64 if text.bytes().all(allowed) => Ok(text.to_owned()),
                _ => Err(format!("found {}", quote(text))),
            }
        },
        write: String::clone,
    }
}

/// A value for the Host field of requests.
pub(in crate::config) const fn authority() -> Text<String> {
    Text {
        unit: "host",
        range: "a name or an address, with or without a port",
        example: "origin.example.com",
        parse: |text| match parse_authority(text) {
            Ok((host, None)) => Ok(host),
            Ok((host, Some(port))) => Ok(format!("{host}:{port}")),
            Err(why) => Err(format!("the host {why}")),
        },
        write: String::clone,
    }
}

/// The name that a certificate is to be for.
pub(in crate::config) const fn tls_name() -> Text<String> {
    Text {
        unit: "host",
        range: "a name or an address without port",
        example: "origin.example.com",
        parse: |text| match parse_authority(text) {
            Ok((host, None)) => Ok(host),
            Ok((_, Some(_))) => Err(format!("found {} with a port", quote(text))),
            Err(why) => Err(format!("the host {why}")),
        },
        write: String::clone,
    }
}

/// The hosts a site answers for.
pub(in crate::config) const fn host_pattern() -> Text<HostPattern> {
    Text {
        unit: "host pattern",
        range: "a host without port, *.domain for all below it, or * for any",
        example: "www.example.com",
        parse: |text| text.parse().map_err(|_reason| format!("found {}", quote(text))),
        write: HostPattern::to_string,
    }
}

/// The name of a header field.
pub(in crate::config) const fn header_name() -> Text<HeaderName> {
    Text {
        unit: "field name",
        range: "the name of a header field",
        example: "cdn-cache-control",
        parse: parse_header_name,
        write: |name| name.as_str().to_owned(),
    }
}

/// The name of a header field that is part of a key.
pub(in crate::config) const fn key_header_name() -> Text<HeaderName> {
    Text {
        unit: "field name",
        range: "the name of a header field other than cookie",
        example: "x-country",
        parse: |text| match parse_header_name(text)? {
            http::header::COOKIE => {
                Err("a whole Cookie field splits the cache by client: use `cookies`".to_owned())
            }
            name => Ok(name),
        },
        write: |name| name.as_str().to_owned(),
    }
}

/// The name of a field that only this node sets: `x-` and more, so that no field with a meaning of its own
/// is lost.
pub(in crate::config) const fn origin_field_name() -> Text<HeaderName> {
    Text {
        range: "the name of a header field that begins with x- and not with x-forwarded-",
        example: "x-client-certificate",
        parse: |text| {
            let name = parse_header_name(text)?;
            let own = name.as_str().starts_with("x-") && !name.as_str().starts_with("x-forwarded-");
            if own { Ok(name) } else { Err(format!("found {}", quote(text))) }
        },
        ..header_name()
    }
}

fn parse_header_name(text: &str) -> Result<HeaderName, String> {
    text.parse().map_err(|_reason| format!("found {}", quote(text)))
}

/// The name of a cookie (RFC 6265 §4.1.1). Case counts.
pub(in crate::config) const fn cookie_name() -> Text<String> {
    Text {
        unit: "cookie name",
        range: "letters, digits, - . _ or other characters of a token",
        example: "lang",
        parse: |text| match text.len() {
            1..=256 if text.bytes().all(is_token_byte) => Ok(text.to_owned()),
            _ => Err(format!("found {}", quote(text))),
        },
        write: String::clone,
    }
}

/// Names of query parameters.
pub(in crate::config) const fn parameter_pattern() -> Text<Pattern> {
    Text {
        unit: "parameter pattern",
        range: "the name of a query parameter, * at its end for all that begin so",
        example: "utm_*",
        parse: |text| text.parse().map_err(|_reason| format!("found {}", quote(text))),
        write: Pattern::to_string,
    }
}

/// A directory, which need not exist.
pub(in crate::config) const fn directory() -> Text<PathBuf> {
    Text {
        unit: "path",
        range: "a directory, from the working directory when not absolute",
        example: "/var/lib/weir",
        parse: |text| match text {
            "" => Err("the path is empty".to_owned()),
            path if path.contains('\0') => Err("the path holds a NUL character".to_owned()),
            path => Ok(path.into()),
        },
        write: |path| path.display().to_string(),
    }
}

/// A file, which need not exist yet.
pub(in crate::config) const fn file(example: &'static str) -> Text<PathBuf> {
    Text { range: "a file, from the working directory when not absolute", example, ..directory() }
}

/// A PEM file, which need not exist yet.
pub(in crate::config) const fn pem_file() -> Text<PathBuf> {
    file("/etc/weir/tls.pem")
}

/// Files to include.
pub(in crate::config) const fn file_pattern() -> Text<String> {
    Text {
        unit: "path",
        range: "from the directory of this file; * in the file name stands for any characters",
        example: "sites.d/*.toml",
        parse: parse_file_pattern,
        write: String::clone,
    }
}

fn parse_file_pattern(text: &str) -> Result<String, String> {
    let path = Path::new(text);
    let wild = |part: Component<'_>| part.as_os_str().as_encoded_bytes().contains(&b'*');
    let Some(Component::Normal(_)) = path.components().next_back() else {
        return Err(format!("{} names no file", quote(text)));
    };
    if text.contains('\0') || text.ends_with('/') {
        return Err(format!("{} names no file", quote(text)));
    }
    if path.parent().is_some_and(|directory| directory.components().any(wild)) {
        return Err(format!("{} has a * in a directory", quote(text)));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome<K: Kind>(kind: &K, text: &str) -> Result<String, String> {
        match kind.read_text(text) {
            Ok(value) => Ok(kind.render(&value).unwrap()),
            Err(wrong) => Err(wrong.message.split(';').next().unwrap().to_owned()),
        }
    }

    #[test]
    fn names_are_tokens() {
        assert_eq!(outcome(&token(), "edge-0"), Ok("\"edge-0\"".into()));
        for bad in ["", "a b", "a/b", "é", &"x".repeat(65)] {
            assert!(outcome(&token(), bad).is_err(), "{bad}");
        }
        assert_eq!(outcome(&cookie_name(), "Lang"), Ok("\"Lang\"".into()), "case counts");
    }

    #[test]
    fn addresses_are_normalized_and_passwords_are_not_repeated() {
        assert_eq!(outcome(&authority(), "WWW.a.example:81"), Ok("\"www.a.example:81\"".into()));
        assert_eq!(outcome(&upstream_addr(), "http://A"), Ok("\"http://a:80\"".into()));
        let refused = outcome(&upstream_addr(), "http://me:hunter2@a").unwrap_err();
        assert!(refused.contains("password") && !refused.contains("hunter2"), "{refused}");
        assert_eq!(outcome(&nats_addr(), "nats://A"), Ok("\"nats://a:4222\"".into()));
        let refused = outcome(&nats_addr(), "nats://me:hunter2@a").unwrap_err();
        assert!(refused.contains("nats_credentials") && !refused.contains("hunter2"), "{refused}");
        assert!(outcome(&nats_addr(), "tls://a").is_err(), "no TLS");
        assert!(outcome(&stream_name(), "a.b").is_err(), "a dot would be two parts of a subject");
        assert!(outcome(&listen_addr("[::]:80"), "localhost:80").is_err(), "names are refused");
    }

    #[test]
    fn a_star_of_a_file_pattern_stands_in_the_file_name() {
        for good in ["a.toml", "sites.d/*.toml", "/etc/weir/a*b*.toml", "../x"] {
            assert_eq!(outcome(&file_pattern(), good), Ok(toml_string(good)));
        }
        for bad in ["", "/", "..", "sites.d/", "*/a.toml", "a/b*/c.toml", "a\0b"] {
            assert!(outcome(&file_pattern(), bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_cookie_field_is_no_part_of_a_key() {
        assert_eq!(outcome(&key_header_name(), "X-Country"), Ok("\"x-country\"".into()));
        assert!(outcome(&key_header_name(), "Cookie").unwrap_err().contains("`cookies`"));
        assert!(outcome(&header_name(), "a b").is_err());
    }
}
