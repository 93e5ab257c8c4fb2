//! What there is to ask for, what can be purged, and which purge means what.
//!
//! The last is said here once more, by hand and without the library.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue};
use weir_cache::purge::{Selector, Subject, Tagged, Tags};

/// Host, path and query of every resource. The first is the hot one.
pub(crate) const RESOURCES: [&str; 6] =
    ["a.test/hot", "a.test/img/x", "a.test/img/y", "b.test/img/x", "b.test/page?q=1", "a.test/t"];

/// What a purge can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Everything,
    Glob,
    Host(&'static str),
    Prefix,
    Tag(&'static str),
    Url(usize),
}

impl Named {
    /// All but single URLs.
    pub(crate) const WIDE: [Self; 7] = [
        Self::Everything,
        Self::Glob,
        Self::Host("a.test"),
        Self::Host("b.test"),
        Self::Prefix,
        Self::Tag("red"),
        Self::Tag("blue"),
    ];

    /// The same for the library.
    pub(crate) fn selector(self) -> Selector {
        match self {
            Self::Everything => Selector::Everything,
            Self::Glob => "glob:*.test/img/x".parse().expect("it is a pattern"),
            Self::Host(host) => Selector::host(host).expect("it is a host"),
            Self::Prefix => Selector::prefix("a.test/img/").expect("it is a prefix"),
            Self::Tag(tag) => Selector::tag(tag).expect("it is a tag"),
            Self::Url(resource) => Selector::Url(RESOURCES[resource].into()),
        }
    }

    /// Whether it means `version` of `resource`.
    pub(crate) fn means(self, resource: usize, version: u32) -> bool {
        match self {
            Self::Everything => true,
            Self::Glob => [1, 3].contains(&resource),
            Self::Host("a.test") => [0, 1, 2, 5].contains(&resource),
            Self::Host(_) => [3, 4].contains(&resource),
            Self::Prefix => [1, 2].contains(&resource),
            Self::Tag(tag) => tag_names(resource, version).contains(&tag),
            Self::Url(url) => url == resource,
        }
    }
}

/// The tags of a version. Those of two resources come and go.
fn tag_names(resource: usize, version: u32) -> &'static [&'static str] {
    match (resource, version.is_multiple_of(2)) {
        (0, true) => &["red", "blue"],
        (0, false) | (3, true) => &["red"],
        (1 | 5, _) => &["blue"],
        _ => &[],
    }
}

/// What purges look at in `version` of `resource`; without a version, its head has not come.
pub(crate) fn subject(resource: usize, version: Option<u32>) -> Subject<'static> {
    let tags = version.map_or(Tagged::Unknown, |version| Tagged::Known(tags(resource, version)));
    Subject { resource: RESOURCES[resource], tags }
}

fn tags(resource: usize, version: u32) -> &'static Tags {
    static ALL: LazyLock<Vec<[Tags; 2]>> = LazyLock::new(|| {
        (0..RESOURCES.len()).map(|resource| [0, 1].map(|version| read(resource, version))).collect()
    });
    &ALL[resource][usize::from(!version.is_multiple_of(2))]
}

fn read(resource: usize, version: u32) -> Tags {
    let text = tag_names(resource, version).join(",");
    let value = HeaderValue::from_str(&text).expect("tags are words");
    Tags::of(&HeaderMap::from_iter([(http::HeaderName::from_static("cache-tag"), value)]))
}
