//! How good could a cache of this size be that knows what will be asked?
//!
//! Nobody can know, so that these are measures: what an online policy is short of them cannot all be had. The upper bound
//! is PFOO-U (Berger, Beckmann, Harchol-Balter, "Practical bounds on optimal caching with variable object sizes", 2018):
//! to keep an object from one request to the next takes its bytes times the requests in between; as many such spans as
//! the cache has byte-requests are taken, the cheapest first. The other figure can be reached: greedy with bypass,
//! what is asked for again last goes first, or what takes most bytes times that, whichever is better.

use std::collections::BTreeSet;

use super::workload::{Ask, Workload};

/// How often the next to go is ranked anew before it goes all the same.
const RERANKED_MAX: u32 = 256;

/// What cannot be exceeded, and what can be reached when the future is known. One cache, nothing expires, cold start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// No cache has more hits (PFOO-U).
    pub object_hit_ratio: f64,
    /// No cache has more bytes of hits.
    pub byte_hit_ratio: f64,
    /// Hits that greedy eviction with bypass reaches.
    pub reached_object_hit_ratio: f64,
    /// Bytes of hits that it reaches.
    pub reached_byte_hit_ratio: f64,
}

/// A request for an object and when the next one comes.
#[derive(Clone, Copy)]
struct Step {
    object: u32,
    bytes: u64,
    /// Place of the next request for it; `None` if there is none.
    next: Option<usize>,
}

/// Works out both for one cache of `bytes_max`. Takes time as sorting the requests does, several times.
#[must_use]
pub fn offline_bound(workload: &Workload, bytes_max: u64, overhead: u64) -> Bound {
    let steps = steps(workload, overhead);
    let requests = steps.len() as u64;
    let total: u128 = steps.iter().map(|step| u128::from(weight(step, overhead))).sum();
    let share = |hits: u128, of: u128| if of == 0 { 0.0 } else { hits as f64 / of as f64 };
    let (objects, _) =
        upper(&steps, bytes_max, overhead, |step, span| u128::from(step.bytes) * span);
    let (_, bytes) = upper(&steps, bytes_max, overhead, |_, span| span);
    let reached =
        [greedy(&steps, bytes_max, overhead, false), greedy(&steps, bytes_max, overhead, true)];
    let [near, large] = reached;
    Bound {
        object_hit_ratio: share(objects, u128::from(requests)),
        byte_hit_ratio: share(bytes, total),
        reached_object_hit_ratio: share(near.0.max(large.0), u128::from(requests)),
        reached_byte_hit_ratio: share(near.1.max(large.1), total),
    }
}

/// What a hit saves.
fn weight(step: &Step, overhead: u64) -> u64 {
    step.bytes.saturating_sub(overhead)
}

fn steps(workload: &Workload, overhead: u64) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::with_capacity(workload.requests.len());
    let mut last = vec![None; workload.objects.len()];
    for request in &workload.requests {
        let Ask::Object { object, .. } = request.ask else { continue };
        let Some(known) = workload.objects.get(object as usize) else { continue };
        let here = steps.len();
        if let Some(slot) = last.get_mut(object as usize)
            && let Some(before) = slot.replace(here)
            && let Some(step) = steps.get_mut(before)
        {
            step.next = Some(here);
        }
        steps.push(Step { object, bytes: known.bytes.saturating_add(overhead), next: None });
    }
    steps
}

/// Hits and their bytes if the cheapest spans are taken. `price` is what one is sorted by: byte-requests for each hit, or
/// for each byte of a hit.
fn upper(
    steps: &[Step],
    bytes_max: u64,
    overhead: u64,
    price: impl Fn(&Step, u128) -> u128,
) -> (u128, u128) {
    let mut spans: Vec<(u128, u128, u64)> = Vec::with_capacity(steps.len());
    for (here, step) in steps.iter().enumerate() {
        let Some(next) = step.next.filter(|_| step.bytes <= bytes_max) else { continue };
        let span = (next - here) as u128;
        spans.push((price(step, span), u128::from(step.bytes) * span, weight(step, overhead)));
    }
    spans.sort_unstable();
    let mut left = u128::from(bytes_max) * steps.len() as u128;
    let (mut hits, mut bytes) = (0, 0);
    for (_, cost, weight) in spans {
        // The span that does not fit any more still counts: a bound must not be too low.
        hits += 1;
        bytes += u128::from(weight);
        let Some(rest) = left.checked_sub(cost) else { break };
        left = rest;
    }
    (hits, bytes)
}

/// What is held by one that knows the future.
struct Oracle<'a> {
    /// Whether size counts beside time.
    by_size: bool,
    /// The last in order goes first; by rank and object.
    order: BTreeSet<(u128, u32)>,
    /// Rank, next request and bytes of each object that is held.
    held: Vec<Option<(u128, usize, u64)>>,
    used: u64,
    steps: &'a [Step],
}

impl Oracle<'_> {
    fn rank(&self, now: usize, next: usize, bytes: u64) -> u128 {
        if self.by_size {
            next.saturating_sub(now) as u128 * u128::from(bytes)
        } else {
            next as u128
        }
    }

    fn take(&mut self, object: u32) -> bool {
        let Some((rank, _, bytes)) = self.held[object as usize].take() else { return false };
        self.order.remove(&(rank, object));
        self.used -= bytes;
        true
    }

    fn put(&mut self, now: usize, object: u32, next: usize, bytes: u64) {
        let rank = self.rank(now, next, bytes);
        self.order.insert((rank, object));
        self.held[object as usize] = Some((rank, next, bytes));
        self.used += bytes;
    }

    /// Has the last one go. Ranks fall as time passes: one that was the last may not be it any more, so that it is ranked
    /// anew before it goes.
    fn evict(&mut self, now: usize) -> bool {
        for _ in 0..RERANKED_MAX {
            let Some((_, object)) = self.order.last().copied() else { return false };
            let Some((_, next, bytes)) = self.held[object as usize] else { return false };
            self.take(object);
            let rank = self.rank(now, next, bytes);
            if self.order.last().is_none_or(|(other, _)| *other <= rank) {
                return true;
            }
            self.put(now, object, next, bytes);
        }
        self.order.last().copied().is_some_and(|(_, object)| self.take(object))
    }

    /// Hits and their bytes.
    fn play(mut self, bytes_max: u64, overhead: u64) -> (u128, u128) {
        let (mut hits, mut bytes) = (0, 0);
        for (now, step) in self.steps.iter().enumerate() {
            if self.take(step.object) {
                hits += 1;
                bytes += u128::from(weight(step, overhead));
            }
            let Some(next) = step.next.filter(|_| step.bytes <= bytes_max) else { continue };
            self.put(now, step.object, next, step.bytes);
            while self.used > bytes_max {
                if !self.evict(now) {
                    break;
                }
            }
        }
        (hits, bytes)
    }
}

/// Hits and their bytes of a cache that knows when what it has is asked for next.
fn greedy(steps: &[Step], bytes_max: u64, overhead: u64, by_size: bool) -> (u128, u128) {
    let objects = steps.iter().map(|step| step.object as usize + 1).max().unwrap_or(0);
    let held = vec![None; objects];
    Oracle { by_size, order: BTreeSet::new(), held, used: 0, steps }.play(bytes_max, overhead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::tests::workload_of;

    #[test]
    fn the_future_is_worth_what_it_is() {
        // Objects of one byte; two fit. 0 and 1 come again at once, 2 to 4 never.
        let workload = workload_of(&[0, 1, 2, 3, 4, 0, 1], 1);
        let bound = offline_bound(&workload, 2, 0);
        assert!((bound.reached_object_hit_ratio - 2.0 / 7.0).abs() < 1e-9, "{bound:?}");
        assert!(bound.object_hit_ratio >= bound.reached_object_hit_ratio);
        assert!(bound.byte_hit_ratio >= bound.reached_byte_hit_ratio);
        let one = offline_bound(&workload, 1, 0);
        assert!((one.reached_object_hit_ratio - 1.0 / 7.0).abs() < 1e-9, "one of them: {one:?}");
        let none = offline_bound(&workload, 0, 0);
        assert!(none.object_hit_ratio.abs() < 1e-9, "{none:?}");
    }
}
