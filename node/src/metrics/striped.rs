//! Counters of what every request does: threads that count at once do not wait for each other.
//!
//! Each thread has a stripe of its own, as far as there are enough; what is told is their sum. A counter costs as many
//! cache lines as it has stripes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::{Atomic, Counter};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Stripes of one counter.
const STRIPES: usize = 4;

/// A counter in stripes.
pub(crate) type StripedCounter = Counter<u64, Striped>;

/// The number behind a [`StripedCounter`].
#[derive(Debug, Default)]
pub(crate) struct Striped([Line; STRIPES]);

/// A number on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(AtomicU64);

/// The stripe of this thread.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Relaxed) % STRIPES;
    }
    OWN.with(|own| *own)
}

impl Striped {
    fn own(&self) -> Option<&AtomicU64> {
        self.0.get(stripe()).map(|line| &line.0)
    }
}

impl Atomic<u64> for Striped {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    /// Returns what this thread's stripe was before.
    fn inc_by(&self, more: u64) -> u64 {
        self.own().map_or(0, |own| own.fetch_add(more, Relaxed))
    }

    fn get(&self) -> u64 {
        self.0.iter().map(|line| line.0.load(Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// Upper bounds in nanoseconds: from a memory hit to a slow origin.
const BOUNDS: [u64; 12] = [
    50_000,
    200_000,
    1_000_000,
    5_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    5_000_000_000,
    30_000_000_000,
];

/// How long something took: a histogram in stripes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timing(Arc<[Taken; STRIPES]>);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Taken {
    nanos: AtomicU64,
    /// Those within each bound and beyond the one before, and those beyond all.
    counts: [AtomicU64; BOUNDS.len() + 1],
}

impl Timing {
    /// Notes that something took so long.
    pub(crate) fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let Some(own) = self.0.get(stripe()) else { return };
        own.nanos.fetch_add(nanos, Relaxed);
        let bucket = BOUNDS.iter().take_while(|bound| nanos > **bound).count();
        if let Some(count) = own.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
    }
}

impl TypedMetric for Timing {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Timing {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
        let sum = |of: &dyn Fn(&Taken) -> u64| self.0.iter().map(of).fold(0, u64::wrapping_add);
        let bounds = BOUNDS.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
        let counts = (0..=BOUNDS.len()).map(|bucket| {
            sum(&|taken| taken.counts.get(bucket).map_or(0, |count| count.load(Relaxed)))
        });
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let nanos = sum(&|taken| taken.nanos.load(Relaxed));
        encoder.encode_histogram::<NoLabelSet>(seconds(nanos), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn what_all_threads_counted_is_told() {
        let (counter, timing) = (StripedCounter::default(), Timing::default());
        let took = [40_u64, 50, 51, 60_000_000];
        std::thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(|| {
                    counter.inc_by(3);
                    took.iter().for_each(|micros| timing.observe(Duration::from_micros(*micros)));
                });
            }
        });
        let mut registry = Registry::default();
        registry.register("c", "c", counter);
        registry.register("t", "t", timing);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let expected = [
            "c_total 24\n",
            "t_sum 480.001128\n",
            "t_count 32\n",
            "t_bucket{le=\"0.00005\"} 16\n",
            "t_bucket{le=\"0.0002\"} 24\n",
            "t_bucket{le=\"30.0\"} 24\n",
            "t_bucket{le=\"+Inf\"} 32\n",
        ];
        for line in expected {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
