//! What does somebody who asks for a preload want, and can it be done?
//!
//! Read whole before anything is done; the first thing that is wrong with it is told, with what was
//! expected.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::document;
use super::record::{TaskOrder, Terms};
use crate::config::Tier;
use crate::node::Node;
use crate::purge::target_of;

/// URLs of one preload.
pub(crate) const URLS_MAX: usize = 100_000;
/// Fields of its requests, and their bytes.
const HEADERS_MAX: usize = 32;
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// The most that a rate may be.
const RATE_MAX: u32 = 100_000;

/// A preload as the admin API takes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    tiers: Option<Vec<String>>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    sitemap: Option<String>,
    #[serde(default)]
    manifest: Option<String>,
    #[serde(default)]
    rate: Option<u32>,
}

/// Why a preload is not made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WishError {
    /// Something is wrong with it.
    Wrong(String),
    /// Too many documents are being read.
    Busy,
}

impl From<String> for WishError {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

impl Wish {
    /// The task that is wished for, its documents read.
    pub(crate) async fn order(mut self, node: &Arc<Node>) -> Result<TaskOrder, WishError> {
        let terms = self.terms()?;
        let mut urls = std::mem::take(&mut self.urls);
        check_all(node, &urls)?;
        let named = self.documents(node).await?;
        check_all(node, &named)?;
        urls.extend(named);
        if urls.is_empty() {
            let why = "nothing is named (expected urls, a sitemap or a manifest with URLs)";
            return Err(WishError::Wrong(why.to_owned()));
        }
        Ok(TaskOrder { urls, terms, by: node.config.name.clone(), reason: "asked".to_owned() })
    }

    fn terms(&self) -> Result<Terms, String> {
        let tiers = read_tiers(self.tiers.clone().unwrap_or_default())?;
        let headers = read_headers(&self.headers)?;
        let rate = self.rate.unwrap_or(0);
        if self.rate == Some(0) || rate > RATE_MAX {
            return Err(format!(
                "rate is {rate} (expected URLs a second and node, 1 to {RATE_MAX})"
            ));
        }
        if self.urls.len() > URLS_MAX {
            return Err(too_many(self.urls.len()));
        }
        Ok(Terms { tiers, headers, rate, ..Terms::default() })
    }

    /// The URLs that the sitemap and the manifest name.
    async fn documents(&self, node: &Arc<Node>) -> Result<Vec<String>, WishError> {
        if self.sitemap.is_none() && self.manifest.is_none() {
            return Ok(Vec::new());
        }
        let _held = node.push.large.try_acquire().map_err(|_full| WishError::Busy)?;
        let mut named = Vec::new();
        if let Some(url) = &self.sitemap {
            check(node, url)?;
            named.extend(document::sitemap(node, url, URLS_MAX).await?);
        }
        if let Some(url) = &self.manifest {
            check(node, url)?;
            named.extend(document::manifest(node, url, URLS_MAX).await?);
        }
        let total = self.urls.len() + named.len();
        if total > URLS_MAX { Err(WishError::Wrong(too_many(total))) } else { Ok(named) }
    }
}

fn too_many(total: usize) -> String {
    format!("{total} URLs are named (expected at most {URLS_MAX} a preload; make several)")
}

/// The tiers named, or the edges.
pub(crate) fn read_tiers(named: Vec<String>) -> Result<Vec<String>, String> {
    let known = [Tier::Edge, Tier::Regional, Tier::Shield].map(Tier::as_str);
    let mut tiers = Vec::new();
    for tier in named {
        if !known.contains(&tier.as_str()) {
            return Err(format!("{tier:?} is no tier (expected {})", known.join(", ")));
        }
        if !tiers.contains(&tier) {
            tiers.push(tier);
        }
    }
    if tiers.is_empty() {
        tiers.push(Tier::Edge.as_str().to_owned());
    }
    Ok(tiers)
}

fn read_headers(named: &BTreeMap<String, String>) -> Result<Vec<(String, String)>, String> {
    let bytes: usize = named.iter().map(|(name, value)| name.len() + value.len()).sum();
    if named.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(format!(
            "headers are too many or too long (expected at most {HEADERS_MAX}, {HEADER_BYTES_MAX} bytes)"
        ));
    }
    let mut headers = Vec::new();
    for (name, value) in named {
        let parsed: Result<HeaderName, _> = name.parse();
        let (Ok(parsed), Ok(_)) = (parsed, value.parse::<HeaderValue>()) else {
            return Err(format!("{name:?} with its value is no header field"));
        };
        if !is_of_a_client(&parsed) {
            return Err(format!(
                "{name:?} is not for a preload (expected what selects a variant, such as Accept-Encoding)"
            ));
        }
        headers.push((parsed.to_string(), value.clone()));
    }
    Ok(headers)
}

/// Whether a client's field may be prepared for: not those of one connection, of another host, of a
/// condition or of a part.
fn is_of_a_client(name: &HeaderName) -> bool {
    let refused = [
        CONNECTION,
        CONTENT_LENGTH,
        EXPECT,
        HOST,
        IF_MATCH,
        IF_MODIFIED_SINCE,
        IF_NONE_MATCH,
        IF_RANGE,
        IF_UNMODIFIED_SINCE,
        RANGE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    let text = name.as_str();
    !refused.contains(name)
        && !["keep-alive", "via", "cdn-loop"].contains(&text)
        && !["weir-", "proxy-"].iter().any(|inner| text.starts_with(inner))
}

/// Refuses the first URL that is of no site.
fn check_all(node: &Node, urls: &[String]) -> Result<(), String> {
    urls.iter().try_for_each(|url| check(node, url))
}

/// Refuses a URL of no site, and one that no client could ask for.
pub(crate) fn check(node: &Node, url: &str) -> Result<(), String> {
    let max = node.config.limits.url_max.as_u64();
    if url.len() as u64 > max {
        let begin: String = url.chars().take(80).collect();
        return Err(format!("{begin:?}... is too long (expected at most {max} bytes)"));
    }
    target_of(url, &node.sites.load()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_known_ones_each_once_and_edges_by_default() {
        let read = |names: &[&str]| read_tiers(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(read(&[]).unwrap(), ["edge"]);
        assert_eq!(read(&["shield", "edge", "shield"]).unwrap(), ["shield", "edge"]);
        assert!(read(&["moon"]).unwrap_err().contains("expected edge, regional, shield"));
    }

    #[test]
    fn fields_that_select_a_variant_are_taken_and_those_that_do_more_are_not() {
        let read =
            |name: &str, value: &str| read_headers(&[(name.to_owned(), value.to_owned())].into());
        assert_eq!(
            read("Accept-Encoding", "br").unwrap(),
            [("accept-encoding".into(), "br".into())]
        );
        for name in ["Host", "Range", "If-None-Match", "Connection", "Weir-Refresh", "Via", "a b"] {
            assert!(read(name, "x").is_err(), "{name}");
        }
        assert!(read("Accept", "a\r\nb: c").is_err());
        assert!(read("Accept", &"a".repeat(HEADER_BYTES_MAX)).is_err());
    }
}
