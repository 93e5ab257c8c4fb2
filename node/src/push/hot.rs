//! What do clients of this node ask for most?
//!
//! One hit in [`SAMPLED`] is counted. A hit that is not pays for a step of a random generator of its
//! own thread: no lock, no memory shared between cores, no allocation. A sample that finds the
//! counters in use is let go rather than waited with.

use std::cell::Cell;
use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;
use weir_cache::purge::{AsOf, Entry, Epoch, Ledger, Standing, Subject, Tagged, Tags};
use weir_cache::{CacheKey, KeyText, Keyed, Timestamp};
use weir_store::StoredResponse;

use super::record::HotUrl;
use super::sketch::Sketch;
use crate::purge::BootClock;

/// One in so many hits is counted. A power of two.
const SAMPLED: u64 = 16;
/// Keys counted at a time.
const COUNTERS: usize = 512;
/// The time over which is counted.
const WINDOW: Duration = Duration::from_secs(60);
/// URLs told with one report.
const TOLD_MAX: usize = 16;
/// Bytes of the key, the tags and the fields that select a variant; a response with more is not counted,
/// so that all counters together stay within a few megabytes.
const ASKED_BYTES_MAX: usize = 4_096;

/// A key and, where responses vary, what selects one of them.
type Id = [u8; 32];

/// What is kept of a hot response, so that it can be asked for again and matched with purges.
#[derive(Clone, Debug)]
struct Asked {
    url: String,
    text: KeyText,
    headers: HeaderMap,
    tags: Tags,
}

/// The counters of one node.
pub(crate) struct Hot {
    clock: BootClock,
    windows: Mutex<Windows>,
}

struct Windows {
    began: Timestamp,
    current: Sketch<Id, Asked>,
    /// The one before, which is complete.
    last: Sketch<Id, Asked>,
}

impl Hot {
    /// Nothing counted.
    pub(super) fn new() -> Self {
        let windows = Windows {
            began: BootClock.now(),
            current: Sketch::new(COUNTERS),
            last: Sketch::new(COUNTERS),
        };
        Self { clock: BootClock, windows: Mutex::new(windows) }
    }

    /// Counts a hit, if it is one of those that are looked at.
    pub(crate) fn note(&self, keyed: &Keyed, stored: &StoredResponse) {
        if !draw().is_multiple_of(SAMPLED) {
            return;
        }
        let Some(mut windows) = self.windows.try_lock() else { return };
        let vary = &stored.head.vary;
        let headers = if vary.is_empty() { HeaderMap::new() } else { vary.selecting_headers() };
        let heap = stored.head.tags.heap_bytes() + keyed.text.as_str().len();
        if bytes(&headers) + heap > ASKED_BYTES_MAX {
            return;
        }
        windows.roll(self.clock.now());
        windows.current.count(id(&keyed.key, &headers), || Asked {
            url: keyed.target.uri(),
            text: keyed.text.clone(),
            headers,
            tags: stored.head.tags.clone(),
        });
    }

    /// What has been asked for most in the present minute, if it was at least `count_min` times.
    pub(super) fn hottest(&self, count_min: u64) -> Vec<HotUrl> {
        let windows = self.windows.lock();
        if self.clock.now().saturating_since(windows.began) > WINDOW {
            return Vec::new();
        }
        let mut hot: Vec<(u64, &Asked)> = windows
            .current
            .counts()
            .map(|(_, count, asked)| (count * SAMPLED, asked))
            .filter(|(count, _)| *count >= count_min)
            .collect();
        hot.sort_unstable_by_key(|(count, _)| std::cmp::Reverse(*count));
        hot.into_iter().take(TOLD_MAX).map(|(count, asked)| asked.told(count)).collect()
    }

    /// At most `max` of what was asked for most lately and `entry` matches, the hottest first.
    pub(super) fn matching(&self, entry: &Entry, max: usize) -> Vec<HotUrl> {
        let windows = self.windows.lock();
        let matched = Matcher::new(entry);
        let mut hot: Vec<(&Id, u64, &Asked)> = windows
            .current
            .counts()
            .chain(windows.last.counts())
            .filter(|(_, _, asked)| matched.matches(asked))
            .collect();
        hot.sort_unstable_by_key(|(_, count, _)| std::cmp::Reverse(*count));
        let mut seen = std::collections::HashSet::new();
        hot.into_iter()
            .filter(|(id, _, _)| seen.insert(**id))
            .take(max)
            .map(|(_, count, asked)| asked.told(count * SAMPLED))
            .collect()
    }
}

impl Windows {
    fn roll(&mut self, now: Timestamp) {
        if now.saturating_since(self.began) > WINDOW {
            self.last = std::mem::replace(&mut self.current, Sketch::new(COUNTERS));
            self.began = now;
        }
    }
}

impl Asked {
    fn told(&self, count: u64) -> HotUrl {
        let headers = self
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        HotUrl { url: self.url.clone(), headers: headers.collect(), count }
    }
}

/// Says what one entry of the log matches.
struct Matcher(Ledger);

impl Matcher {
    fn new(entry: &Entry) -> Self {
        let mut ledger = Ledger::new();
        ledger.join(AsOf { epoch: Epoch::new(0), seq: 0 });
        // Entry one follows a log joined at zero.
        let applied = ledger.apply(1, entry);
        debug_assert!(applied.is_ok());
        Self(ledger)
    }

    fn matches(&self, asked: &Asked) -> bool {
        let subject =
            Subject { resource: asked.text.purged_as(), tags: Tagged::Known(&asked.tags) };
        self.0.judge(subject, self.0.since()) != Standing::Clear
    }
}

fn bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The identity of a variant: its key, and the fields that select it.
fn id(key: &CacheKey, headers: &HeaderMap) -> Id {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.as_bytes());
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), value.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().into()
}

/// The next number of this thread's generator (xorshift64; Marsaglia 2003). Random rather than every
/// sixteenth hit, since traffic may have a rhythm of its own.
fn draw() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(seed());
    }
    STATE.with(|state| {
        let mut next = state.get();
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        state.set(next);
        // The low bits of xorshift are its weakest.
        next >> 32
    })
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes) | 1,
        Err(_) => u64::from(std::process::id()) | 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_hit_in_sixteen_is_looked_at() {
        let sampled = (0..160_000).filter(|_| draw().is_multiple_of(SAMPLED)).count();
        assert!((8_000..12_000).contains(&sampled), "{sampled}");
    }
}
