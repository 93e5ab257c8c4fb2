//! What goes when the disk is full?
//!
//! Two queues, each first in, first out. A key begins on trial. When room is needed and those on trial take
//! more than a tenth of it, the oldest of them goes, or moves to the main queue if it was hit meanwhile; else
//! the oldest of the main queue goes, or to its end if it was hit. A key that comes back soon after it was
//! evicted on trial begins in the main queue. One hit wonders so pass through a tenth of the disk without
//! pushing out what is asked for again (S3-FIFO; Yang and others, SOSP 2023).
//!
//! The order lies in the index, so a restart keeps it and need not read it; only what was hit is forgotten.

use weir_cache::CacheKey;

use super::index::{Batch, IndexError};
use super::room::Room;
use super::rows::{KeyRow, Queue, TOTALS, Totals, key_at, key_in, order_at, order_of, seal};
use super::writer::{WriteError, Writer};

/// Part of the disk for keys on trial.
const TRIAL_PART: u64 = 10;
/// Keys looked at together.
const LOOK: usize = 64;
/// Keys looked at to make room once. Beyond that even a warm one goes: all of them are.
const LOOKS_MAX: usize = 4_096;

impl Writer {
    /// Bytes that may be held.
    fn bytes_max(&self) -> u64 {
        self.limits.bytes_max.min(self.room.map_or(u64::MAX, Room::bytes_max))
    }

    /// Makes some room on a file system that had none for `bytes` more; returns how many keys went: none
    /// where that has not helped before. What is staged is written out.
    ///
    /// # Errors
    ///
    /// The index failed: undo what is staged.
    pub(super) fn give_back(&mut self, bytes: u64) -> Result<u64, WriteError> {
        let Some(less) = Room::less(self.room, self.totals.bytes(), bytes) else { return Ok(0) };
        self.room = Some(less);
        let evicted = self.make_room(0)?;
        self.write_out()?;
        Ok(evicted)
    }

    /// Stages evictions until everything fits, with room for `bytes` more; returns how many keys go.
    ///
    /// # Errors
    ///
    /// The index failed: undo what is staged.
    pub(super) fn make_room(&mut self, bytes: u64) -> Result<u64, WriteError> {
        let mut evicted: u64 = 0;
        let mut looks = 0;
        while self.is_over(bytes) {
            let queue = self.queue_to_evict_from();
            let (from, below) = order_of(queue);
            let places = self.index.scan(&from, &below, LOOK)?;
            if places.is_empty() {
                // The totals say that there is something where there is nothing.
                self.recount(queue)?;
                break;
            }
            for (at, value) in places {
                if !self.is_over(bytes) || self.queue_to_evict_from() != queue {
                    break;
                }
                looks += 1;
                let went = self.look(queue, (&at, key_in(&value)), looks > LOOKS_MAX)?;
                evicted = evicted.saturating_add(u64::from(went));
            }
        }
        Ok(evicted)
    }

    fn is_over(&self, bytes: u64) -> bool {
        let over = self.totals.bytes().saturating_add(bytes) > self.bytes_max();
        (over || self.totals.files > self.limits.files_max) && self.totals.keys > 0
    }

    fn queue_to_evict_from(&self) -> Queue {
        let Totals { trial_bytes, main_bytes, .. } = self.totals;
        // Of what is held: a file system may have less room than the limit says.
        let on_trial = self.totals.bytes().checked_div(TRIAL_PART).unwrap_or(0);
        if trial_bytes > on_trial || main_bytes == 0 { Queue::Trial } else { Queue::Main }
    }

    /// Evicts the key at one place, or lets it stay if it is warm; returns whether it went.
    fn look(
        &mut self,
        queue: Queue,
        (at, key): (&[u8], Option<CacheKey>),
        regardless: bool,
    ) -> Result<bool, WriteError> {
        let row = match &key {
            Some(key) => self.row(key)?,
            None => None,
        };
        let (Some(key), Some(row)) = (key, row.filter(|row| order_at(row.queue, row.rank) == at))
        else {
            // A place that leads nowhere.
            let mut batch = Batch::default();
            batch.remove(at);
            self.index.apply(&batch)?;
            return Ok(false);
        };
        if self.shared.heat.cool(&key) && !regardless {
            self.move_to_main(&key, &row)?;
            return Ok(false);
        }
        self.remove(&key, &row)?;
        if queue == Queue::Trial {
            self.ghosts.add(&key, self.totals.keys);
        }
        Ok(true)
    }

    fn move_to_main(&mut self, key: &CacheKey, row: &KeyRow) -> Result<(), IndexError> {
        let moved = KeyRow { queue: Queue::Main, rank: self.next_rank(), ..row.clone() };
        let mut totals = self.totals;
        totals.take(row);
        totals.add(&moved);
        let mut batch = Batch::default();
        batch.put(TOTALS, seal(&totals));
        batch.put(key_at(key), seal(&moved));
        batch.remove(order_at(row.queue, row.rank));
        batch.put(order_at(moved.queue, moved.rank), key.as_bytes().as_slice());
        self.index.apply(&batch)?;
        self.totals = totals;
        Ok(())
    }

    /// Sets right what an empty queue is said to hold.
    fn recount(&mut self, queue: Queue) -> Result<(), IndexError> {
        match queue {
            Queue::Trial => self.totals.trial_bytes = 0,
            Queue::Main => self.totals.main_bytes = 0,
        }
        if self.totals.bytes() == 0 {
            (self.totals.keys, self.totals.files) = (0, 0);
        }
        let mut batch = Batch::default();
        batch.put(TOTALS, seal(&self.totals));
        self.index.apply(&batch)
    }
}
