//! Which labels for group purge does a response carry?
//!
//! They come from `Cache-Tag` (commas), `Surrogate-Key` and `xkey` (spaces) and `Cache-Groups`
//! (RFC 9875, a list of strings). Case counts.
//!
//! # Invariant
//!
//! A response with more tags than are kept is taken to carry every tag: a limit may cost a fetch, it
//! never lets a response outlive its purge.

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, List, ListEntry, Parser};

/// Tags kept of one response.
const TAGS_MAX: usize = 128;
/// Bytes of the longest tag.
pub(super) const TAG_BYTES_MAX: usize = 1024;
/// Bytes of all tags of one response.
const BYTES_MAX: usize = 16 * 1024;

/// What the allocator keeps beside a small piece of memory, and rounds it up by.
const ALLOCATION_BYTES: usize = 16;

const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const XKEY: HeaderName = HeaderName::from_static("xkey");
const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// The tags of one response, each once. Empty for most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Option<Box<Labels>>);

/// The tags of a response that has any.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Labels {
    list: Box<[Box<str>]>,
    overflow: bool,
}

impl Tags {
    /// Reads the tags in `headers`.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Found::default();
        found.split(headers, &CACHE_TAG, b',');
        found.split(headers, &SURROGATE_KEY, b' ');
        found.split(headers, &XKEY, b' ');
        found.groups(headers);
        Self::made(found.tags.into(), found.overflow)
    }

    /// Makes the tags again that [`Tags::iter`] and [`Tags::is_overflowing`] told.
    ///
    /// Nothing is counted or cut: what is not `overflow` now was not when it was read.
    pub fn from_parts<'a>(list: impl IntoIterator<Item = &'a str>, overflow: bool) -> Self {
        Self::made(list.into_iter().map(Box::from).collect(), overflow)
    }

    fn made(list: Box<[Box<str>]>, overflow: bool) -> Self {
        let any = overflow || !list.is_empty();
        Self(any.then(|| Box::new(Labels { list, overflow })))
    }

    /// The tags kept.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|labels| labels.list.iter().map(AsRef::as_ref))
    }

    /// Whether the response carried more than is kept, so that every purge by tag matches it.
    pub fn is_overflowing(&self) -> bool {
        self.0.as_ref().is_some_and(|labels| labels.overflow)
    }

    /// The bytes held beyond the struct itself.
    pub fn heap_bytes(&self) -> usize {
        let Some(labels) = &self.0 else { return 0 };
        let each = size_of::<Box<str>>().saturating_add(ALLOCATION_BYTES);
        let texts = labels.list.iter().map(|tag| tag.len().saturating_add(each));
        texts.fold(size_of::<Labels>().saturating_add(2 * ALLOCATION_BYTES), usize::saturating_add)
    }
}

/// The fields that carry tags: they are between the origin and its CDN.
pub const TAG_FIELDS: [HeaderName; 4] = [CACHE_TAG, SURROGATE_KEY, XKEY, CACHE_GROUPS];

#[derive(Default)]
struct Found {
    tags: Vec<Box<str>>,
    bytes: usize,
    overflow: bool,
}

impl Found {
    fn split(&mut self, headers: &HeaderMap, name: &HeaderName, separator: u8) {
        for line in headers.get_all(name) {
            for part in line.as_bytes().split(|byte| *byte == separator) {
                self.add(part.trim_ascii());
            }
        }
    }

    /// A line that is no list of strings groups nothing (RFC 9875 §2, RFC 8941 §4.2); the others hold.
    fn groups(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(&CACHE_GROUPS).iter().map(HeaderValue::as_bytes) {
            let Ok(list) = Parser::new(line).parse::<List>() else { continue };
            for entry in list {
                if let ListEntry::Item(item) = entry
                    && let BareItem::String(text) = item.bare_item
                {
                    self.add(text.as_str().as_bytes());
                }
            }
        }
    }

    fn add(&mut self, tag: &[u8]) {
        if tag.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(tag);
        if self.tags.iter().any(|known| **known == *text) {
            return;
        }
        let bytes = self.bytes.saturating_add(text.len());
        if self.tags.len() >= TAGS_MAX || text.len() > TAG_BYTES_MAX || bytes > BYTES_MAX {
            self.overflow = true;
            return;
        }
        self.bytes = bytes;
        self.tags.push(text.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::headers;

    fn tags(fields: &str) -> Vec<String> {
        Tags::of(&headers(fields)).iter().map(str::to_owned).collect()
    }

    #[test]
    fn tags_are_read_from_the_fields_that_people_send() {
        // (fields, tags, why)
        const CASES: &[(&str, &[&str], &str)] = &[
            ("Cache-Tag: a, b ,c", &["a", "b", "c"], "commas"),
            ("Cache-Tag: a b", &["a b"], "a space is part of a tag there"),
            ("Surrogate-Key: a  b", &["a", "b"], "spaces"),
            ("xkey: a\nxkey: b", &["a", "b"], "several lines"),
            ("Cache-Groups: \"a\", \"b c\"", &["a", "b c"], "strings"),
            ("Cache-Groups: a\nCache-Groups: \"b\"", &["b"], "a token is no string"),
            ("Cache-Groups: \"a\nCache-Groups: \"b\"", &["b"], "a broken line groups nothing"),
            ("Cache-Tag: a\nSurrogate-Key: a b", &["a", "b"], "each once"),
            ("Cache-Tag: A, a", &["A", "a"], "case counts"),
            ("Cache-Tag: , ,", &[], "empty ones are none"),
            ("X: a", &[], "other fields have none"),
        ];
        for &(fields, expected, why) in CASES {
            assert_eq!(tags(fields), expected, "{why}");
        }
    }

    #[test]
    fn too_many_tags_stand_for_all() {
        let many: Vec<String> = (0..=TAGS_MAX).map(|n| format!("t{n}")).collect();
        assert!(Tags::of(&headers(&format!("Surrogate-Key: {}", many.join(" ")))).is_overflowing());
        let long = "x".repeat(TAG_BYTES_MAX.saturating_add(1));
        assert!(Tags::of(&headers(&format!("Cache-Tag: {long}"))).is_overflowing());
        assert!(!Tags::of(&headers("Cache-Tag: a")).is_overflowing());
        for fields in [format!("Cache-Tag: {long}, a"), "xkey: a b".to_owned(), String::new()] {
            let tags = Tags::of(&headers(&fields));
            assert_eq!(Tags::from_parts(tags.iter(), tags.is_overflowing()), tags, "told again");
        }
    }

    #[test]
    fn the_fields_of_tags_do_not_reach_clients() {
        let mut fields =
            headers("Cache-Tag: a\nSurrogate-Key: b\nxkey: c\nCache-Groups: \"d\"\nX: 1");
        TAG_FIELDS.iter().for_each(|name| drop(fields.remove(name)));
        assert_eq!(fields.len(), 1);
    }
}
