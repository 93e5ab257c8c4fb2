//! Who has used up how much? The buckets of all clients, in a fixed amount of memory.
//!
//! Buckets lie in sets of eight; the hash of a client says which set. A client that is not there has a full
//! bucket, and so has one that is forgotten, so that an error is always in the client's favor: nobody ever
//! pays for somebody else. Where a set is full, the bucket that is fullest makes room: what is forgotten is
//! the smallest debt there is. Whoever wants his own forgotten must bring eight clients of that set that owe
//! more than he does; hashes are keyed, so that nobody can choose clients of one set.
//!
//! With half as many clients at a time as there are places, about one set in fifty has more clients than
//! places. Full buckets are overwritten first, so that only clients in debt count.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use parking_lot::Mutex;

use super::bucket::Pace;

/// Buckets in a set.
const WAYS: usize = 8;

/// The bucket of one client.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The client's hash; zero for nobody.
    who: u64,
    /// When its bucket is full again.
    full_at: u64,
}

type Set = Mutex<[Entry; WAYS]>;

/// The buckets of all clients.
#[derive(Debug)]
pub(super) struct Table {
    sets: Box<[Set]>,
    hasher: RandomState,
}

impl Table {
    /// A table for `clients` at a time, 17 bytes each.
    pub(super) fn new(clients: usize) -> Self {
        let sets = (0..clients.div_ceil(WAYS).max(1)).map(|_| Set::default()).collect();
        Self { sets, hasher: RandomState::new() }
    }

    /// Takes a token from the bucket of `client` at `now`. One short lock; nothing is allocated.
    ///
    /// # Errors
    ///
    /// How long until there is a token. Nothing is taken then.
    pub(super) fn take(&self, client: impl Hash, pace: Pace, now: u64) -> Result<(), Duration> {
        // Zero stands for nobody.
        let who = self.hasher.hash_one(client).max(1);
        let Some(set) = self.sets.get(self.set_of(who)) else { return Ok(()) };
        let mut set = set.lock();
        let known = set.iter().position(|entry| entry.who == who);
        let place = known.or_else(|| fullest(&set));
        let Some(entry) = place.and_then(|place| set.get_mut(place)) else { return Ok(()) };
        let full_at = if known.is_some() { entry.full_at } else { 0 };
        *entry = Entry { who, full_at: pace.take(full_at, now)? };
        Ok(())
    }

    /// The set of a hash: its share of all hashes.
    fn set_of(&self, who: u64) -> usize {
        let share = u128::from(who) * self.sets.len() as u128;
        usize::try_from(share >> 64).unwrap_or(0)
    }
}

/// Where the bucket lies that is full soonest; those that are full are all the same.
fn fullest(set: &[Entry; WAYS]) -> Option<usize> {
    (0..WAYS).min_by_key(|place| set.get(*place).map_or(0, |entry| entry.full_at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const SECOND: u64 = 1_000_000_000;

    fn pace(burst: u32) -> Pace {
        Pace::new(Rate::per_second(1), Some(burst))
    }

    #[test]
    fn clients_have_buckets_of_their_own() {
        let table = Table::new(1_024);
        for client in 0..100 {
            assert_eq!(table.take(client, pace(2), 0), Ok(()));
            assert_eq!(table.take(client, pace(2), 0), Ok(()));
            assert_eq!(table.take(client, pace(2), 0), Err(Duration::from_secs(1)));
        }
        assert_eq!(table.take(7, pace(2), SECOND), Ok(()), "time heals");
    }

    #[test]
    fn the_smallest_debt_is_forgotten_first() {
        let table = Table::new(1);
        for client in 0..WAYS {
            for _ in 0..=client {
                assert_eq!(table.take(client, pace(8), 0), Ok(()));
            }
        }
        assert_eq!(table.take("new", pace(8), 0), Ok(()), "instead of client 0");
        // Client 7 has used up all eight, and the newcomers have not changed that.
        assert!(table.take(7_usize, pace(8), 0).is_err());
        for client in 100..1_000 {
            assert_eq!(table.take(client, pace(8), 0), Ok(()));
        }
        assert!(table.take(7_usize, pace(8), 0).is_err(), "a crowd without debts pushes out none");
    }

    #[test]
    fn a_full_table_punishes_nobody() {
        let table = Table::new(64);
        for client in 0..10_000 {
            assert_eq!(table.take(client, pace(1), 0), Ok(()), "{client} comes for the first time");
        }
    }

    proptest! {
        /// While there is room, each client gets what it would get alone.
        #[test]
        fn nobody_pays_for_a_neighbor(
            asks in prop::collection::vec((0_u8..8, 0_u64..SECOND), 1..300),
            burst in 1_u32..4,
        ) {
            // One set: eight clients are as near to each other as can be, and have room.
            let table = Table::new(WAYS);
            let mut alone: HashMap<u8, u64> = HashMap::new();
            let mut now = 0;
            for (client, step) in asks {
                now += step / 4;
                let bucket = alone.entry(client).or_default();
                let expected = pace(burst).take(*bucket, now).map(|next| *bucket = next);
                prop_assert_eq!(table.take(client, pace(burst), now), expected);
            }
        }
    }

    /// Prints what a request pays. `cargo test --release -p weir-node cost_of -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn cost_of_a_request() {
        for threads in [1, 2, 8] {
            let table = Table::new(65_536);
            let asks = 2_000_000_u64;
            let began = std::time::Instant::now();
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let table = &table;
                    scope.spawn(move || {
                        for ask in 0..asks {
                            let client = ask.wrapping_mul(0x9e37_79b9) % 50_000 + thread;
                            let limit = Pace::new(Rate::per_second(1_000), Some(100));
                            std::hint::black_box(table.take(client, limit, ask * 1_000).is_ok());
                        }
                    });
                }
            });
            let nanos = began.elapsed().as_nanos() / u128::from(asks * threads);
            #[expect(clippy::print_stderr, reason = "a measurement is to be read")]
            {
                eprintln!("{threads} threads: {nanos} ns of wall time a request");
            }
        }
    }
}
