//! How fast may a body go? Spreads its bytes over time, without a timer while nothing is limited.
//!
//! Bytes are cut into pieces of a twentieth of a second, each of which waits for its turn with everyone
//! who shares the pace: the streams of a connection, the connections of a site. Up to 50 ms that were not
//! used are made up for, so that late timers do not add up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep};

use super::bucket::nanos;
use crate::config::Bandwidth;

/// What is made up for.
const SLACK: u64 = 50_000_000;
/// Pieces a second, as long as they are neither tiny nor huge.
const PIECES: u64 = 20;
const PIECE_MIN: u64 = 1024;
const PIECE_MAX: u64 = 256 * 1024;

/// When the next byte is due, for all who share a pace: nanoseconds since the pace was made.
#[derive(Debug)]
pub(crate) struct SharedPace {
    began: Instant,
    due: AtomicU64,
}

impl SharedPace {
    /// A pace at which nothing has gone yet.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), due: AtomicU64::new(0) }
    }

    /// Takes the turn of `bytes`; returns how long they must wait for it.
    fn reserve(&self, bytes: u64, bandwidth: Bandwidth) -> Duration {
        let now = nanos(self.began.elapsed());
        let takes = u128::from(bytes) * 1_000_000_000 / u128::from(bandwidth.as_u64().max(1));
        let takes = u64::try_from(takes).unwrap_or(u64::MAX);
        let from = |due: u64| due.max(now.saturating_sub(SLACK));
        let next = |due| Some(from(due).saturating_add(takes));
        // Other memory is not ordered by it; the closure always has a value.
        let before = self.due.fetch_update(Relaxed, Relaxed, next).unwrap_or(0);
        Duration::from_nanos(from(before).saturating_sub(now))
    }
}

/// One of the paces that a body keeps.
#[derive(Debug)]
struct Lane {
    pace: Arc<SharedPace>,
    bandwidth: Bandwidth,
    /// Bytes that still go freely.
    free: u64,
}

impl Lane {
    /// Takes the turn of `bytes`, less those that are free.
    fn reserve(&mut self, bytes: u64) -> Duration {
        let free = bytes.min(self.free);
        self.free -= free;
        match bytes - free {
            0 => Duration::ZERO,
            charged => self.pace.reserve(charged, self.bandwidth),
        }
    }
}

/// Spreads the bytes of one body over time.
#[derive(Debug, Default)]
pub(crate) struct Shaper {
    lanes: Vec<Lane>,
    /// Bytes that came and have not gone.
    rest: Bytes,
    /// The wait of the next piece of them, once its turn was taken.
    wait: Option<Pin<Box<Sleep>>>,
}

impl Shaper {
    /// Also keeps to `pace` at `bandwidth`, but for the first `free` bytes.
    pub(super) fn keep_to(&mut self, pace: &Arc<SharedPace>, bandwidth: Bandwidth, free: u64) {
        self.lanes.push(Lane { pace: Arc::clone(pace), bandwidth, free });
    }

    /// Whether it keeps to nothing.
    pub(super) fn is_free(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Bytes that were put in and have not gone.
    pub(crate) fn held(&self) -> usize {
        self.rest.len()
    }

    /// Puts in the next bytes; those before must have gone.
    pub(crate) fn put(&mut self, bytes: Bytes) {
        debug_assert!(self.rest.is_empty(), "one chunk after the other");
        self.rest = bytes;
    }

    /// The next piece of what was put in, when its turn has come.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let length = self.piece_length();
        if self.wait.is_none() {
            let charged = length as u64;
            let wait = self.lanes.iter_mut().map(|lane| lane.reserve(charged)).max();
            let wait = wait.filter(|wait| !wait.is_zero());
            self.wait = wait.map(|wait| Box::pin(sleep(wait)));
        }
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        Poll::Ready(self.rest.split_to(length))
    }

    /// A twentieth of a second's worth of the slowest pace, of what there is; all that is free at once.
    fn piece_length(&self) -> usize {
        let of = |lane: &Lane| {
            let paced = (lane.bandwidth.as_u64() / PIECES).clamp(PIECE_MIN, PIECE_MAX);
            if lane.free > 0 { lane.free } else { paced }
        };
        let most = self.lanes.iter().map(of).min().unwrap_or(PIECE_MAX);
        usize::try_from(most).unwrap_or(usize::MAX).min(self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ByteSize;
    use std::future::poll_fn;

    const MIB: u64 = 1 << 20;

    fn at(bytes: u64) -> Bandwidth {
        Bandwidth::per_second(ByteSize::from_bytes(bytes))
    }

    /// Sends chunks of 256 KiB through `shaper`; returns how long that took.
    async fn send(mut shaper: Shaper, bytes: u64) -> Duration {
        let began = Instant::now();
        let mut left = bytes;
        while left > 0 {
            let chunk = left.min(256 * 1024);
            shaper.put(Bytes::from(vec![0; usize::try_from(chunk).unwrap()]));
            while shaper.held() > 0 {
                drop(poll_fn(|cx| shaper.poll_piece(cx)).await);
            }
            left -= chunk;
        }
        began.elapsed()
    }

    fn shaper(pace: &Arc<SharedPace>, bandwidth: u64, free: u64) -> Shaper {
        let mut shaper = Shaper::default();
        shaper.keep_to(pace, at(bandwidth), free);
        shaper
    }

    fn fresh() -> Arc<SharedPace> {
        Arc::new(SharedPace::new())
    }

    #[track_caller]
    fn assert_millis(took: Duration, range: std::ops::RangeInclusive<u128>) {
        assert!(range.contains(&took.as_millis()), "{took:?} is not in {range:?} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_takes_as_long_as_its_bandwidth_says() {
        assert_millis(send(shaper(&fresh(), 8 * MIB, 0), 4 * MIB).await, 400..=510);
        assert_millis(send(shaper(&fresh(), 100 * MIB, 0), 400 * MIB).await, 3_900..=4_010);
        assert_millis(send(shaper(&fresh(), 2048, 0), 20_480).await, 9_400..=10_010);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_bytes_may_be_free() {
        let all_free = send(shaper(&fresh(), MIB, 2 * MIB), 2 * MIB).await;
        assert_eq!(all_free, Duration::ZERO);
        assert_millis(send(shaper(&fresh(), MIB, 2 * MIB), 3 * MIB).await, 900..=1_010);
    }

    #[tokio::test(start_paused = true)]
    async fn who_shares_a_pace_shares_its_bandwidth() {
        let pace = fresh();
        let began = Instant::now();
        let took =
            futures_util::future::join_all((0..4).map(|_| send(shaper(&pace, 4 * MIB, 0), MIB)));
        let took = took.await;
        assert_millis(began.elapsed(), 900..=1_010);
        let first = took.iter().min().unwrap();
        assert!(first.as_millis() > 700, "in turn, not one after the other: {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_slower_of_two_paces_counts() {
        let mut both = shaper(&fresh(), 8 * MIB, 0);
        both.keep_to(&fresh(), at(2 * MIB), 0);
        assert_millis(send(both, 2 * MIB).await, 900..=1_010);
    }

    #[tokio::test(start_paused = true)]
    async fn rest_is_not_saved_up() {
        let pace = fresh();
        sleep(Duration::from_secs(100)).await;
        assert_millis(send(shaper(&pace, MIB, 0), MIB).await, 900..=1_000);
    }
}
