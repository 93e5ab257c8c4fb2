//! How is everything that makes a key written down?
//!
//! Each part is written twice at once: length-prefixed into a digest, which is the key, and
//! readable into a text, which people and prefix purges read. What counts is decided in `key`.
//!
//! # Invariants
//!
//! 1. Two different sequences of parts are never digested alike: every text is preceded by its
//!    length, every choice by a tag, and every list ends with a tag of its own.
//! 2. The same holds for the readable text: the site is a token or quoted, a URI holds no space,
//!    and values are quoted with everything else escaped.

use std::sync::Arc;

use crate::number::{next_number, push_number};
use crate::target::Target;

/// First bytes of every digest: whose it is, and the version of the form.
///
/// A change of the form changes the version, so that stored responses are not found under keys
/// that mean something else.
const DOMAIN: &[u8] = b"weir cache key\0\x01";

/// Readable canonical text of a key, for example
/// `www http://example.com/a?b=1 header(x-a="v") cookie(lang="de")`.
///
/// Texts are equal exactly when their keys are. A text may hold what a client sent in a chosen
/// header or cookie, so it is as confidential as those. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyText {
    text: Arc<str>,
    marks: Marks,
}

/// Where in the text of a key the resource is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Marks {
    /// Where host, path and query begin.
    resource_at: u32,
    resource_bytes: u32,
}

impl Marks {
    /// No head that a request may have is as long as 4 GiB.
    fn new(resource_at: usize, resource_bytes: usize) -> Self {
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { resource_at: offset(resource_at), resource_bytes: offset(resource_bytes) }
    }

    fn offsets(self) -> [usize; 2] {
        [self.resource_at, self.resource_bytes]
            .map(|offset| usize::try_from(offset).unwrap_or(usize::MAX))
    }
}

/// A [`KeyText`] in bytes that somebody else keeps. The default is empty, as no key's is.
#[derive(Debug, Clone, Copy, Default)]
pub struct PackedText<'a> {
    site: &'a str,
    /// What stands between the site and the resource.
    link: &'static str,
    resource: &'a str,
    /// What was selected beside the target.
    selected: &'a str,
}

/// What stands between site and resource and is told by its number here; nothing where it is part of the site.
const LINKS: [&str; 1 << LINK_BITS] = ["", " http://", " https://", ""];
const LINK_BITS: u32 = 2;

impl<'a> PackedText<'a> {
    /// Reads what [`KeyText::pack`] wrote; `None` where it is something else.
    pub fn read(mut packed: &'a [u8]) -> Option<Self> {
        let (number, resource_bytes) = (next_number(&mut packed)?, next_number(&mut packed)?);
        let link = LINKS.get(number & const { LINKS.len() - 1 }).copied()?;
        let (site, rest) = str::from_utf8(packed).ok()?.split_at_checked(number >> LINK_BITS)?;
        let (resource, selected) = rest.split_at_checked(resource_bytes)?;
        Some(Self { site, link, resource, selected })
    }

    /// The text as one of its own. Costs a copy.
    pub fn unpack(self) -> KeyText {
        let Self { site, link, resource, selected } = self;
        let resource_at = site.len().saturating_add(link.len());
        let resource_bytes = resource_at.saturating_add(resource.len());
        KeyText::new([site, link, resource, selected].concat().into(), resource_at, resource_bytes)
    }

    /// See [`KeyText::purged_as`].
    pub fn purged_as(self) -> &'a str {
        self.resource
    }
}

impl KeyText {
    /// Makes the text again that [`KeyText::as_str`] and [`KeyText::offsets`] told; `None` if no key
    /// can have told it.
    pub fn from_parts(text: &str, [resource_at, resource_bytes]: [usize; 2]) -> Option<Self> {
        let (before, after) = (text.get(..resource_at)?, text.get(resource_bytes..)?);
        let resource = text.get(resource_at..resource_bytes)?;
        let parted = before.ends_with("://") && (after.is_empty() || after.starts_with(' '));
        (parted && !resource.is_empty())
            .then(|| Self::new(text.into(), resource_at, resource_bytes))
    }

    /// Where host, path and query begin in the text, and where they end, in bytes.
    pub fn offsets(&self) -> [usize; 2] {
        self.marks.offsets()
    }

    /// The text and where its resource is, as [`PackedText`] reads it: some six bytes less than the text.
    pub fn pack(&self) -> Vec<u8> {
        let [begin, end] = self.offsets();
        let text = &*self.text;
        let before = text.get(..begin).unwrap_or_default();
        let is_between = |link: &str| !link.is_empty() && before.ends_with(link);
        let number = LINKS.into_iter().position(is_between).unwrap_or(0);
        let link = LINKS.get(number).map_or(0, |link| link.len());
        let site = before.get(..before.len().saturating_sub(link)).unwrap_or_default();
        let mut packed = Vec::with_capacity(text.len());
        push_number(&mut packed, site.len() << LINK_BITS | number);
        push_number(&mut packed, end.saturating_sub(begin));
        packed.extend_from_slice(site.as_bytes());
        packed.extend_from_slice(text.get(begin..).unwrap_or_default().as_bytes());
        packed
    }

    fn new(text: Arc<str>, resource_at: usize, resource_bytes: usize) -> Self {
        Self { text, marks: Marks::new(resource_at, resource_bytes) }
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Site and URI without chosen headers and cookies; what a purge by URL or prefix compares.
    pub fn resource(&self) -> &str {
        let [_, end] = self.offsets();
        self.text.get(..end).unwrap_or(&self.text)
    }

    /// Host, path and query, without scheme: what a purge compares.
    pub fn purged_as(&self) -> &str {
        let [begin, end] = self.offsets();
        self.text.get(begin..end).unwrap_or(&self.text)
    }
}

impl std::fmt::Display for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a group of selected values was taken from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Group {
    Header,
    Cookie,
}

/// One selected value of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// The value of the name.
    Plain(&'a [u8]),
    /// A text that only some servers read as a value of the name, whole.
    Odd(&'a [u8]),
}

/// Writes the two forms of one key.
#[derive(Debug)]
pub(crate) struct Canonical {
    digest: blake3::Hasher,
    text: String,
    resource_at: usize,
    resource_bytes: usize,
}

impl Canonical {
    /// Begins with the site and the target.
    pub(crate) fn new(site: &str, target: &Target) -> Self {
        let mut text = String::new();
        push_name(&mut text, site);
        text.push(' ');
        let uri_at = text.len();
        text.push_str(&target.uri());
        let resource_bytes = text.len();
        let scheme_bytes = target.scheme().as_str().len().saturating_add("://".len());
        let resource_at = uri_at.saturating_add(scheme_bytes);
        let mut canonical =
            Self { digest: blake3::Hasher::new(), text, resource_at, resource_bytes };
        canonical.digest.update(DOMAIN);
        for part in [site, target.scheme().as_str(), target.host(), target.path()] {
            canonical.digest_part(part.as_bytes());
        }
        canonical.digest_tag(u8::from(target.query().is_some()));
        canonical.digest_part(target.query().unwrap_or_default().as_bytes());
        canonical
    }

    /// Adds all values of one selected name; none at all differs from an empty one.
    pub(crate) fn select<'a>(
        &mut self,
        group: Group,
        name: &str,
        values: impl Iterator<Item = Value<'a>>,
    ) {
        let (tag, word) = match group {
            Group::Header => (1, " header("),
            Group::Cookie => (2, " cookie("),
        };
        self.digest_tag(tag);
        self.digest_part(name.as_bytes());
        self.text.push_str(word);
        push_name(&mut self.text, name);
        for (index, value) in values.enumerate() {
            if index > 0 {
                self.text.push_str(", ");
                push_name(&mut self.text, name);
            }
            self.value(value);
        }
        self.digest_tag(0);
        self.text.push(')');
    }

    fn value(&mut self, value: Value<'_>) {
        let (tag, sign, bytes) = match value {
            Value::Plain(bytes) => (1, '=', bytes),
            Value::Odd(bytes) => (2, '~', bytes),
        };
        self.digest_tag(tag);
        self.digest_part(bytes);
        self.text.push(sign);
        push_quoted(&mut self.text, bytes);
    }

    /// Returns the digest and the text of all parts written.
    pub(crate) fn finish(self) -> ([u8; 32], KeyText) {
        let Self { resource_at, resource_bytes, .. } = self;
        let text = KeyText::new(self.text.into(), resource_at, resource_bytes);
        (self.digest.finalize().into(), text)
    }

    fn digest_tag(&mut self, tag: u8) {
        self.digest.update(&[tag]);
    }

    fn digest_part(&mut self, part: &[u8]) {
        let bytes = u64::try_from(part.len()).expect("no length exceeds 64 bits");
        self.digest.update(&bytes.to_le_bytes());
        self.digest.update(part);
    }
}

/// Writes a name bare if nothing in it could be taken for the text around it, else quoted.
fn push_name(text: &mut String, name: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !name.is_empty() && name.bytes().all(plain) {
        text.push_str(name);
    } else {
        push_quoted(text, name.as_bytes());
    }
}

/// Writes bytes as a JSON string. Bytes outside visible ASCII are escaped one by one, as the
/// character of the same number, so that any bytes can be told apart and none reaches a terminal.
fn push_quoted(text: &mut String, bytes: &[u8]) {
    text.push('"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            0x20..=0x7e => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\u{byte:04x}")),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_told_again_is_the_same() {
        use crate::Scheme::{Http, Https};
        for (scheme, with_header) in [(Http, false), (Http, true), (Https, false), (Https, true)] {
            let target = Target::parse(scheme, "example.com", "/a/b?c=d").unwrap();
            let mut canonical = Canonical::new("a site", &target);
            if with_header {
                let value = Value::Plain("caf\u{e9}".as_bytes());
                canonical.select(Group::Header, "x-a", std::iter::once(value));
            }
            let (_, text) = canonical.finish();
            assert_eq!(KeyText::from_parts(text.as_str(), text.offsets()), Some(text.clone()));
            assert_eq!(text.purged_as(), "example.com/a/b?c=d");
            let packed = text.pack();
            assert!(packed.len() <= text.as_str().len() - 6);
            let read = PackedText::read(&packed).unwrap();
            assert_eq!((read.purged_as(), read.unpack()), (text.purged_as(), text.clone()));
            for cut in 0..packed.len() - 12 {
                let (cut, _) = packed.split_at(cut);
                assert!(PackedText::read(cut).is_none_or(|read| read.unpack() != text));
            }
        }
        for text in ["a \"http://b\" https://c/\u{e9} header(x=\"\")", "gopher://a", "a http://b"] {
            let begin = text.rfind("://").unwrap() + 3;
            let end = text.find(" header").unwrap_or(text.len());
            let text = KeyText::from_parts(text, [begin, end]).unwrap();
            let packed = text.pack();
            let read = PackedText::read(&packed).unwrap();
            assert_eq!((read.purged_as(), read.unpack()), (text.purged_as(), text.clone()));
        }
        for wrong in [&b""[..], b"\0\x01\xff", b"\x04\x01", b"\x04\x01a", b"\x04\0\xc3\xa9"] {
            assert!(PackedText::read(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn offsets_that_no_text_has_are_refused() {
        let text = "www http://e.com/\u{e9} header(x-a)";
        // (begin, end, right)
        for (begin, end, right) in [
            (11, 19, true),
            (11, 18, false),
            (11, 20, false),
            (11, 11, false),
            (10, 19, false),
            (0, 19, false),
            (19, 11, false),
            (11, 99, false),
            (99, 99, false),
            (usize::MAX, usize::MAX, false),
        ] {
            let made = KeyText::from_parts(text, [begin, end]);
            assert_eq!(made.is_some(), right, "{begin} {end}");
        }
    }
}
