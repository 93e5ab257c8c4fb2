//! Which requests has the origin seen?
//!
//! Counts and, for tests, the requests themselves. A request is recorded once its body has been
//! read and before it is answered, so a client that has its answer finds itself counted.
//!
//! # Invariants
//!
//! 1. `total` is the sum of all paths and of `other`.
//! 2. At most [`PATHS_MAX`] paths and [`PATH_BYTES_MAX`] bytes of path are kept; requests for
//!    further paths are counted under `other`.
//! 3. At most [`REQUESTS_MAX`] requests are kept a path, the latest ones.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{body::Received, request::RequestHead};

const PATHS_MAX: usize = 100_000;
const PATH_BYTES_MAX: usize = 64 << 20;
const REQUESTS_MAX: usize = 1_000;

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRequest {
    /// Method as sent.
    pub method: http::Method,
    /// Request target as sent, with its query.
    pub target: String,
    /// Fields in the order of arrival; repeated lines are kept apart.
    pub headers: HeaderMap,
    /// Bytes of the body, without chunk framing. Less than announced if the client left.
    pub body_len: u64,
    /// Lines of trailers behind a body in chunks, as they came.
    pub trailers: Vec<String>,
}

/// Counters of one origin.
#[derive(Debug)]
pub(crate) struct Stats {
    keep_requests: bool,
    counts: Mutex<Counts>,
    changed: watch::Sender<()>,
    connections: AtomicU64,
}

#[derive(Debug, Default)]
struct Counts {
    total: u64,
    other: u64,
    path_bytes: usize,
    paths: HashMap<String, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    hits: u64,
    requests: VecDeque<SeenRequest>,
}

/// Counts one connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenConnection<'a>(&'a AtomicU64);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Stats {
    /// `keep_requests` says whether requests are kept or only counted.
    pub(crate) fn new(keep_requests: bool) -> Self {
        Self {
            keep_requests,
            counts: Mutex::default(),
            changed: watch::Sender::new(()),
            connections: AtomicU64::new(0),
        }
    }

    pub(crate) fn open(&self) -> OpenConnection<'_> {
        self.connections.fetch_add(1, Relaxed);
        OpenConnection(&self.connections)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    pub(crate) fn record(&self, head: &RequestHead, received: &Received) {
        let request = self.keep_requests.then(|| SeenRequest {
            method: head.method.clone(),
            target: head.target.clone(),
            headers: head.headers.clone(),
            body_len: received.len,
            trailers: received.trailers.clone(),
        });
        self.counts.lock().add(&head.path, request);
        self.changed.send_replace(());
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.lock().total
    }

    pub(crate) fn hits(&self, path: &str) -> u64 {
        self.counts.lock().paths.get(path).map_or(0, |seen| seen.hits)
    }

    pub(crate) fn requests(&self, path: &str) -> Vec<SeenRequest> {
        let counts = self.counts.lock();
        counts.paths.get(path).map_or_else(Vec::new, |seen| seen.requests.iter().cloned().collect())
    }

    /// Waits until `path` has `n` hits.
    pub(crate) async fn hits_reach(&self, path: &str, n: u64) {
        let mut changed = self.changed.subscribe();
        while self.hits(path) < n && changed.changed().await.is_ok() {}
    }

    pub(crate) fn reset(&self) {
        *self.counts.lock() = Counts::default();
    }

    /// The document of `/__origin/stats`.
    pub(crate) fn document(&self, version: u64) -> Value {
        let counts = self.counts.lock();
        let mut paths: BTreeMap<&str, u64> =
            counts.paths.iter().map(|(path, seen)| (path.as_str(), seen.hits)).collect();
        if counts.other > 0 {
            paths.insert("other", counts.other);
        }
        json!({
            "version": version,
            "total": counts.total,
            "connections": self.connections(),
            "paths": paths,
        })
    }
}

impl Counts {
    fn add(&mut self, path: &str, request: Option<SeenRequest>) {
        self.total += 1;
        let Some(seen) = self.seen(path) else {
            self.other += 1;
            return;
        };
        seen.hits += 1;
        if seen.requests.len() >= REQUESTS_MAX {
            seen.requests.pop_front();
        }
        seen.requests.extend(request);
    }

    /// The record of `path`, made if there is room for it.
    fn seen(&mut self, path: &str) -> Option<&mut Seen> {
        if !self.paths.contains_key(path) {
            let path_bytes = self.path_bytes.saturating_add(path.len());
            if self.paths.len() >= PATHS_MAX || path_bytes > PATH_BYTES_MAX {
                return None;
            }
            self.path_bytes = path_bytes;
            self.paths.insert(path.to_owned(), Seen::default());
        }
        self.paths.get_mut(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(target: &str) -> SeenRequest {
        SeenRequest {
            method: http::Method::GET,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body_len: 0,
            trailers: Vec::new(),
        }
    }

    #[test]
    fn paths_beyond_the_bound_are_counted_together() {
        let mut counts = Counts::default();
        for n in 0..PATHS_MAX + 5 {
            counts.add(&format!("/{n}"), None);
        }
        counts.add("/0", None);
        assert_eq!((counts.paths.len(), counts.other), (PATHS_MAX, 5));
        assert_eq!(counts.paths["/0"].hits, 2, "a known path is still counted by name");
        assert_eq!(counts.total, PATHS_MAX as u64 + 6);
    }

    #[test]
    fn long_paths_are_bounded_by_their_bytes() {
        let mut counts = Counts::default();
        let long = "x".repeat(PATH_BYTES_MAX / 4);
        for n in 0..6 {
            counts.add(&format!("/{n}{long}"), None);
        }
        assert_eq!((counts.paths.len(), counts.other), (3, 3));
    }

    #[test]
    fn the_latest_requests_of_a_path_are_kept() {
        let mut counts = Counts::default();
        for n in 0..REQUESTS_MAX + 3 {
            counts.add("/a", Some(seen(&format!("/a?{n}"))));
        }
        let kept = &counts.paths["/a"].requests;
        assert_eq!(kept.len(), REQUESTS_MAX);
        assert_eq!(kept[0].target, "/a?3");
        assert_eq!(counts.paths["/a"].hits, REQUESTS_MAX as u64 + 3);
    }
}
