//! What holds of every goal of eviction, on requests drawn by a seed.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, reason = "tests")]

use std::collections::VecDeque;

use weir_cache::eviction::{Goal, Shelf};

/// Numbers that follow from a seed (splitmix64).
struct Drawn(u64);

impl Drawn {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`, the low ones more often: about as Zipf has it.
    fn zipf(&mut self, bound: u64) -> u64 {
        let part = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((bound as f64).powf(part) as u64).saturating_sub(1)
    }
}

/// The size of an object, the same each time it is asked for: 200 bytes to 50 KB.
fn size_of(key: u64) -> u64 {
    200 << (Drawn(key).next() % 8)
}

fn ask(shelf: &mut Shelf<u64>, key: u64) -> bool {
    let hit = shelf.get(&key);
    if !hit {
        shelf.insert(key, size_of(key));
    }
    hit
}

/// Hits of `requests` drawn from 20,000 objects.
fn hits(shelf: &mut Shelf<u64>, drawn: &mut Drawn, requests: u64) -> u64 {
    (0..requests).map(|_| u64::from(ask(shelf, drawn.zipf(20_000)))).sum()
}

/// Hits and bytes hit of LRU on the same requests.
fn lru(room: u64, drawn: &mut Drawn, requests: u64) -> (u64, u64) {
    let (mut line, mut bytes) = (VecDeque::new(), 0);
    let (mut hits, mut bytes_hit) = (0, 0);
    for _ in 0..requests {
        let key = drawn.zipf(20_000);
        if let Some(at) = line.iter().position(|held| *held == key) {
            line.remove(at);
            hits += 1;
            bytes_hit += size_of(key);
        } else {
            bytes += size_of(key);
        }
        line.push_back(key);
        while bytes > room {
            bytes -= size_of(line.pop_front().unwrap());
        }
    }
    (hits, bytes_hit)
}

#[test]
fn more_is_saved_than_by_lru() {
    const ROOM: u64 = 1_000_000;
    let (lru_hits, lru_bytes) = lru(ROOM, &mut Drawn(7), 20_000);
    for goal in Goal::ALL {
        let (mut shelf, mut drawn) = (Shelf::new(goal, ROOM), Drawn(7));
        let (mut hits, mut bytes) = (0, 0);
        for _ in 0..20_000 {
            let key = drawn.zipf(20_000);
            if ask(&mut shelf, key) {
                hits += 1;
                bytes += size_of(key);
            }
        }
        assert!(hits * 10 > lru_hits * 11, "{goal}: {hits} against {lru_hits}");
        if goal != Goal::Objects {
            assert!(bytes > lru_bytes, "{goal}: {bytes} against {lru_bytes}");
        }
    }
}

#[test]
fn a_scan_costs_little() {
    for goal in Goal::ALL {
        let after = |scan: u64| {
            let (mut shelf, mut drawn) = (Shelf::new(goal, 5_000_000), Drawn(1));
            hits(&mut shelf, &mut drawn, 100_000);
            for number in 0..scan {
                ask(&mut shelf, 1 << 40 | number);
            }
            hits(&mut shelf, &mut drawn, 20_000)
        };
        let (without, with) = (after(0), after(20_000));
        // Two points of 20,000 requests.
        assert!(with + 400 > without, "{goal}: {with} hits after a scan, {without} without one");
    }
}

#[test]
fn no_more_is_held_than_may_be_and_all_of_it_is_counted() {
    for goal in Goal::ALL {
        let (mut shelf, mut drawn) = (Shelf::new(goal, 300_000), Drawn(3));
        let (mut inserted, mut removed, mut evicted) = (0, 0, 0);
        for _ in 0..50_000 {
            let key = drawn.zipf(5_000);
            match drawn.next() % 8 {
                0 => removed += usize::from(shelf.remove(&key).is_some()),
                1 => {
                    // A charge that changes, up to twice of what fits.
                    let charge = drawn.next() % 600_000;
                    let was_held = shelf.contains(&key);
                    let came = shelf.insert(key, charge);
                    assert_eq!(came.admitted, shelf.contains(&key));
                    assert!(charge <= 300_000 || !came.admitted, "no larger than all of it");
                    inserted += usize::from(!was_held);
                    // In either way it comes back itself: as what was held before, or as not taken in.
                    let others = came.evicted.iter().filter(|other| **other != key).count();
                    evicted += others + usize::from(!came.admitted);
                }
                _ if shelf.get(&key) => {}
                _ => {
                    let came = shelf.insert(key, size_of(key));
                    inserted += 1;
                    evicted += came.evicted.len();
                }
            }
            assert!(shelf.bytes() <= 300_000, "{goal}");
        }
        assert_eq!(shelf.len(), inserted - removed - evicted, "{goal}");
        assert_eq!(shelf.iter().count(), shelf.len());
        let counts = shelf.counts();
        assert_eq!(usize::try_from(counts.evictions + counts.rejected).unwrap(), evicted, "{goal}");
        assert!(counts.evicted_bytes > counts.evictions * 200, "{counts:?}");
    }
}

#[test]
fn the_same_requests_evict_the_same() {
    for goal in Goal::ALL {
        let evicted = |seed: u64| {
            let (mut shelf, mut drawn) = (Shelf::new(goal, 1_000_000), Drawn(seed));
            let mut evicted = Vec::new();
            for _ in 0..20_000 {
                let key = drawn.zipf(20_000);
                if !shelf.get(&key) {
                    evicted.extend(shelf.insert(key, size_of(key)).evicted);
                }
            }
            evicted
        };
        let first = evicted(5);
        assert!(first.len() > 1_000);
        assert_eq!(first, evicted(5), "{goal}");
        assert_ne!(first, evicted(6), "{goal}");
    }
}

#[test]
fn what_is_asked_for_once_does_not_push_out_what_is_asked_for_again() {
    for goal in Goal::ALL {
        let mut shelf = Shelf::new(goal, 1_000_000);
        let mut missed = 0;
        for round in 0..2_000_u64 {
            // A tenth of the room, asked for again and again, among ten times as much that is not.
            for liked in 0..10_u64 {
                if !shelf.get(&liked) {
                    missed += 1;
                    shelf.insert(liked, 10_000);
                }
                for other in 0..10 {
                    let key = 1_000 + (round * 10 + liked) * 10 + other;
                    shelf.insert(key, 10_000);
                }
            }
        }
        assert!(missed < 40, "{goal}: {missed}");
    }
}

/// What was liked once is not kept for ever.
#[test]
fn what_goes_out_of_fashion_goes() {
    for goal in Goal::ALL {
        let mut shelf = Shelf::new(goal, 1_000_000);
        shelf.insert(0, 10_000);
        (0..100_000).for_each(|_| assert!(shelf.get(&0)));
        let mut drawn = Drawn(9);
        let turnover = (0..400_u64).find(|round| {
            for _ in 0..500 {
                ask(&mut shelf, 1 + round * 200 + drawn.zipf(2_000));
            }
            !shelf.contains(&0)
        });
        assert!(turnover.is_some(), "{goal}");
    }
}
