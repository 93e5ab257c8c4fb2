//! Reads sitemaps and manifests through the node's own request path.
//!
//! So they can only lie at configured sites, and no redirect leads elsewhere.

use std::sync::Arc;
use std::time::Duration;

use super::sitemap::{Named, read_manifest, read_sitemap};
use super::{fetch, wish};
use crate::node::Node;

/// Bytes and URLs of one sitemap (sitemaps.org).
const SITEMAP_BYTES_MAX: usize = 50 * 1024 * 1024;
const SITEMAP_URLS_MAX: usize = 50_000;
/// Sitemaps that an index may name.
const SITEMAPS_MAX: usize = 1_000;
/// All of it must have come by then.
const WITHIN: Duration = Duration::from_secs(120);

/// The URLs that the sitemap at `url` names, or the sitemaps that it names; at most `max`.
///
/// # Errors
///
/// Which document cannot be used, and why.
pub(super) async fn sitemap(
    node: &Arc<Node>,
    url: &str,
    max: usize,
) -> Result<Vec<String>, String> {
    in_time(url, async {
        let sitemaps = match read_one(node, url).await? {
            Named::Urls(urls) => return within(url, urls, max),
            Named::Sitemaps(sitemaps) => within(url, sitemaps, SITEMAPS_MAX)?,
        };
        let mut all = Vec::new();
        for sitemap in sitemaps {
            match read_one(node, &sitemap).await? {
                Named::Urls(urls) => all.extend(urls),
                Named::Sitemaps(_) => {
                    return Err(format!("{sitemap}: an index in an index is not followed"));
                }
            }
            if all.len() > max {
                return Err(too_many(url, max));
            }
        }
        Ok(all)
    })
    .await
}

/// The URLs that the manifest at `url` names, at most `max`.
///
/// # Errors
///
/// Why it cannot be used.
pub(super) async fn manifest(
    node: &Arc<Node>,
    url: &str,
    max: usize,
) -> Result<Vec<String>, String> {
    in_time(url, async {
        let bytes = fetch::body(node, url, SITEMAP_BYTES_MAX).await;
        let bytes = bytes.map_err(|why| format!("{url}: {why}"))?;
        read_manifest(&bytes, max).map_err(|bad| format!("{url}: {bad}"))
    })
    .await
}

async fn read_one(node: &Arc<Node>, url: &str) -> Result<Named, String> {
    // One that an index names has not been looked at yet.
    wish::check(node, url)?;
    let bytes = fetch::body(node, url, SITEMAP_BYTES_MAX).await;
    let bytes = bytes.map_err(|why| format!("{url}: {why}"))?;
    read_sitemap(&bytes, SITEMAP_URLS_MAX).map_err(|bad| format!("{url}: {bad}"))
}

async fn in_time<T>(
    url: &str,
    reading: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let read = tokio::time::timeout(WITHIN, reading).await;
    read.unwrap_or_else(|_late| Err(format!("{url}: not read within {WITHIN:?}")))
}

fn within(url: &str, named: Vec<String>, max: usize) -> Result<Vec<String>, String> {
    if named.len() > max { Err(too_many(url, max)) } else { Ok(named) }
}

fn too_many(url: &str, max: usize) -> String {
    format!("{url}: it names more than {max}")
}
