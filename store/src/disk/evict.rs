//! What goes when the disk is full?
//!
//! What the policy of the goal says (`weir_cache::eviction`), which memory and simulations use as well. Here is
//! what it does not see: the order, which lies in the index, so that a restart keeps it and need not read it. What
//! was hit, and which keys were evicted, is forgotten then.
//!
//! Keys of a queue that is not of this goal, from before it was changed, go first.

use weir_cache::CacheKey;
use weir_cache::eviction::{Looked, Newcomer, Place, Queue, Verdict, is_spared};

use super::index::{Batch, IndexError};
use super::room::Room;
use super::rows::{KeyRow, Rank, TOTALS, key_at, key_in, order_at, order_of, priority_at, seal};
use super::writer::{WriteError, Writer};

/// Keys looked at together.
const LOOK: usize = 16;
/// Keys looked at to make room once. Beyond that even a warm one goes: all of them are.
const LOOKS_MAX: usize = 4_096;

/// How many keys went for room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gone {
    /// Keys that were held.
    pub(super) evicted: u64,
    /// Keys that had only just come.
    pub(super) rejected: u64,
}

/// What became of the key at a place that was looked at.
enum Became {
    /// It went.
    Gone,
    /// It is at this place.
    Moved(Vec<u8>),
    /// There was none.
    Nothing,
}

impl Gone {
    /// Counts more of them.
    pub(super) fn add(&mut self, more: Self) {
        self.evicted = self.evicted.saturating_add(more.evicted);
        self.rejected = self.rejected.saturating_add(more.rejected);
    }
}

impl Writer {
    /// Bytes that may be held.
    fn bytes_max(&self) -> u64 {
        self.limits.bytes_max.min(self.room.map_or(u64::MAX, Room::bytes_max))
    }

    /// Has the policy go on with the order that is in the index.
    ///
    /// # Errors
    ///
    /// The index cannot be read.
    pub(super) fn resume_order(&mut self) -> Result<(), IndexError> {
        for queue in self.policy.queues() {
            let (from, below) = order_of(*queue);
            if let Some((at, _)) = self.index.scan(&from, &below, 1)?.first() {
                self.policy.resume(priority_at(at).unwrap_or(0));
            }
        }
        Ok(())
    }

    /// The rank of a key that is not held yet and will be charged for `charge` bytes.
    pub(super) fn first_rank(&mut self, key: &CacheKey, charge: u64) -> Rank {
        let turn = self.next_turn();
        let newcomer = Newcomer { print: print_of(key), charge, turn };
        let place = self.policy.enter(newcomer, &self.totals.held());
        Rank::new(place, turn)
    }

    fn next_turn(&mut self) -> u64 {
        let turn = self.totals.next_turn;
        self.totals.next_turn = turn.saturating_add(1);
        turn
    }

    /// Makes some room on a file system that had none for `bytes` more; returns how many keys went: none
    /// where that has not helped before. What is staged is written out.
    ///
    /// # Errors
    ///
    /// The index failed: undo what is staged.
    pub(super) fn give_back(&mut self, bytes: u64) -> Result<Gone, WriteError> {
        let Some(less) = Room::less(self.room, self.totals.bytes(), bytes) else {
            return Ok(Gone::default());
        };
        self.room = Some(less);
        let gone = self.make_room(0, None)?;
        self.write_out()?;
        Ok(gone)
    }

    /// Stages evictions until everything fits, with room for `bytes` more; returns how many keys go. `newest` is
    /// the key that room is made for, if it is held already.
    ///
    /// # Errors
    ///
    /// The index failed: undo what is staged.
    pub(super) fn make_room(
        &mut self,
        bytes: u64,
        newest: Option<&CacheKey>,
    ) -> Result<Gone, WriteError> {
        let mut gone = Gone::default();
        let mut looks = 0;
        while self.is_over(bytes) {
            let queue = self.policy.queue_to_look_at(&self.totals.held());
            let (from, below) = order_of(queue);
            let places = self.index.scan(&from, &below, LOOK)?;
            if places.is_empty() {
                // The totals say that there is something where there is nothing.
                self.recount(queue)?;
                break;
            }
            let before = looks;
            // Above a key that was moved, what was read of the order may be out of date.
            let mut lowest_moved: Option<Vec<u8>> = None;
            for (at, value) in &places {
                let is_passed = lowest_moved.as_ref().is_some_and(|moved| moved < at);
                if is_passed || !self.is_over(bytes) || self.is_elsewhere(queue) {
                    break;
                }
                let key = key_in(value);
                let is_newest = newest.is_some() && key.as_ref() == newest;
                if is_newest && self.is_spared(newest)? {
                    continue;
                }
                looks += 1;
                match self.look((at, key), looks > LOOKS_MAX)? {
                    Became::Nothing => {}
                    Became::Gone if is_newest => gone.rejected = gone.rejected.saturating_add(1),
                    Became::Gone => gone.evicted = gone.evicted.saturating_add(1),
                    Became::Moved(to) => {
                        lowest_moved = Some(match lowest_moved {
                            Some(lowest) => lowest.min(to),
                            None => to,
                        });
                    }
                }
            }
            if looks == before {
                // Nothing is left but what is spared.
                break;
            }
        }
        Ok(gone)
    }

    fn is_elsewhere(&self, queue: Queue) -> bool {
        self.policy.queue_to_look_at(&self.totals.held()) != queue
    }

    fn is_spared(&self, key: Option<&CacheKey>) -> Result<bool, IndexError> {
        let row = key.map_or(Ok(None), |key| self.row(key))?;
        Ok(row.is_some_and(|row| is_spared(row.charge, self.bytes_max())))
    }

    fn is_over(&self, bytes: u64) -> bool {
        let over = self.totals.bytes().saturating_add(bytes) > self.bytes_max();
        (over || self.totals.files > self.limits.files_max) && self.totals.keys > 0
    }

    /// Evicts the key at one place, or lets it stay if the policy says so.
    fn look(
        &mut self,
        (at, key): (&[u8], Option<CacheKey>),
        regardless: bool,
    ) -> Result<Became, WriteError> {
        let row = match &key {
            Some(key) => self.row(key)?,
            None => None,
        };
        let (Some(key), Some(row)) = (key, row.filter(|row| order_at(row.rank) == at)) else {
            // A place that leads nowhere.
            let mut batch = Batch::default();
            batch.remove(at);
            self.index.apply(&batch)?;
            return Ok(Became::Nothing);
        };
        let turn = self.next_turn();
        let looked = Looked {
            entry: Newcomer { print: print_of(&key), charge: row.charge, turn },
            place: row.rank.place(),
            hits: self.shared.heat.take(&key),
        };
        if let Verdict::Move(place) = self.policy.look(looked, &self.totals.held())
            && !regardless
        {
            return Ok(Became::Moved(self.move_to((&key, &row), place, turn)?));
        }
        self.remove(&key, &row)?;
        if let Some(changed) = &mut self.changed {
            changed.add(&key);
        }
        Ok(Became::Gone)
    }

    /// Returns where the key is in the order then.
    fn move_to(
        &mut self,
        (key, row): (&CacheKey, &KeyRow),
        place: Place,
        turn: u64,
    ) -> Result<Vec<u8>, IndexError> {
        let moved = KeyRow { rank: Rank::new(place, turn), ..row.clone() };
        let mut totals = self.totals;
        totals.take(row);
        totals.add(&moved);
        let mut batch = Batch::default();
        batch.put(TOTALS, seal(&totals));
        batch.put(key_at(key), seal(&moved));
        batch.remove(order_at(row.rank));
        let at = order_at(moved.rank);
        batch.put(at.clone(), key.as_bytes().as_slice());
        self.index.apply(&batch)?;
        self.totals = totals;
        Ok(at)
    }

    /// Sets right what an empty queue is said to hold.
    fn recount(&mut self, queue: Queue) -> Result<(), IndexError> {
        self.totals.empty(queue);
        let mut batch = Batch::default();
        batch.put(TOTALS, seal(&self.totals));
        self.index.apply(&batch)
    }
}

/// A number that tells a key from others.
fn print_of(key: &CacheKey) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *key.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
