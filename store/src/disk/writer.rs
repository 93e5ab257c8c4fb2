//! Brings what was changed in memory to the disk, and makes room there.
//!
//! One thread writes. For each change it writes the bodies that are not there yet, then the rows, all of
//! one change in one step, and removes files last: whatever a crash interrupts, a row never leads to a file
//! that was not whole, and a file without a row is found by the sweep.

use std::io;
use std::sync::Arc;

use weir_cache::CacheKey;

use super::bearings::Bearings;
use super::bodies::{Bodies, Digest};
use super::codec;
use super::ghosts::Ghosts;
use super::heat::Heat;
use super::index::{Batch, Index, IndexError};
use super::limits::DiskLimits;
use super::pending::Wanted;
use super::reads::Reads;
use super::record::BodyAt;
use super::rows::{
    KeyRow, Queue, SliceId, SliceRow, TOTALS, Totals, VariantRow, key_at, order_at, seal, slice_at,
    slice_number, slices_of, unseal, use_at, uses_of,
};
use crate::response::length;
use crate::{Body, DiskBody, StoredResponse, Variants};

/// Bytes that one key is charged for beyond the files of its bodies: its rows, and what a change of them
/// leaves behind for a while.
const KEY_OVERHEAD_BYTES: u64 = 1_536;
/// Bytes that a file has beyond its content: its header and what it says of itself.
const FILE_OVERHEAD_BYTES: u64 = 600;
/// Bytes in which file systems give out space.
const BLOCK_BYTES: u64 = 4_096;
/// Part of what is held that goes when the file system has no room.
const ROOM_PART: u64 = 64;
/// Operations in one step.
const STEP_MAX: usize = 800;

/// Why a change is not on disk.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// A body could not be written.
    #[error("a body cannot be written")]
    Body(#[source] io::Error),
    /// The index could not be read or written.
    #[error("the index cannot be used")]
    Index(#[from] IndexError),
}

/// What is shared with those who read.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) bodies: Arc<Bodies>,
    pub(super) reads: Arc<Reads>,
    pub(super) heat: Arc<Heat>,
    pub(super) bearings: Arc<dyn Bearings>,
}

/// The one who writes.
pub(super) struct Writer {
    pub(super) index: Arc<dyn Index>,
    pub(super) shared: Shared,
    pub(super) limits: Arc<DiskLimits>,
    pub(super) totals: Totals,
    pub(super) ghosts: Ghosts,
    /// What the file system had room for when it was full; `None` while the limit is the bound.
    room: Option<Room>,
}

/// What a full file system has room for.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// Bytes held when it was met first.
    met_at: u64,
    /// Bytes that may be held.
    bytes_max: u64,
}

/// A list whose bodies are on disk.
#[derive(Default)]
struct Placed {
    variants: Vec<VariantRow>,
    /// The files that it uses with the lengths of their content, each once, in order.
    files: Vec<(Digest, u64)>,
    /// Rows of slices that the index does not have.
    slices: Vec<(Vec<u8>, SliceRow)>,
}

/// What one change comes to.
#[derive(Default)]
struct Step {
    /// Its rows; those that say what is stored come first, in one batch.
    batches: Vec<Batch>,
    /// Files that its key does not use any more.
    dropped: Vec<Digest>,
}

impl Step {
    fn put(&mut self, at: Vec<u8>, value: Vec<u8>) {
        self.batch().put(at, value);
    }

    fn remove(&mut self, at: Vec<u8>) {
        self.batch().remove(at);
    }

    /// The batch that has room.
    fn batch(&mut self) -> &mut Batch {
        if self.batches.last().is_none_or(|batch| batch.len() >= STEP_MAX) {
            self.batches.push(Batch::default());
        }
        let last = self.batches.len().saturating_sub(1);
        // There is one: it was just pushed if there was none.
        &mut self.batches[last]
    }
}

impl Writer {
    /// The writer of an open index.
    ///
    /// # Errors
    ///
    /// The index cannot be read.
    pub(super) fn new(
        index: Arc<dyn Index>,
        shared: Shared,
        limits: Arc<DiskLimits>,
    ) -> Result<Self, IndexError> {
        let totals = index.get(TOTALS)?.and_then(|bytes| unseal(&bytes)).unwrap_or_default();
        Ok(Self { index, shared, limits, totals, ghosts: Ghosts::default(), room: None })
    }

    /// Reads again what everything adds up to: an index that failed may have lost its newest changes.
    ///
    /// # Errors
    ///
    /// The index cannot be read.
    pub(super) fn reload(&mut self) -> Result<(), IndexError> {
        let next_rank = self.totals.next_rank;
        self.totals = self.index.get(TOTALS)?.and_then(|bytes| unseal(&bytes)).unwrap_or_default();
        self.totals.next_rank = self.totals.next_rank.max(next_rank);
        Ok(())
    }

    /// Bytes that may be held.
    pub(super) fn bytes_max(&self) -> u64 {
        self.limits.bytes_max.min(self.room.map_or(u64::MAX, |room| room.bytes_max))
    }

    /// Takes note that the file system is full, and makes some room; returns whether there is some now. Where
    /// somebody else takes it each time, half of what was held is kept.
    pub(super) fn on_full(&mut self) -> Result<bool, WriteError> {
        let held = self.totals.bytes();
        let met_at = self.room.map_or(held, |room| room.met_at);
        let less = held.saturating_sub(held.div_ceil(ROOM_PART));
        if held == 0 || less < met_at.div_euclid(2) {
            return Ok(false);
        }
        self.room = Some(Room { met_at, bytes_max: less });
        Ok(self.make_room(0)? > 0)
    }

    /// Uses half of what is `free` on a file system that was full once, up to what it held then; with as much
    /// again free, the limit is the bound.
    pub(super) fn widen(&mut self, free: u64) {
        let Some(room) = &mut self.room else { return };
        let spare = free.saturating_sub(room.met_at.div_ceil(ROOM_PART).saturating_mul(2));
        let wider = room.bytes_max.saturating_add(spare.div_euclid(2));
        room.bytes_max = wider.min(room.met_at);
        if spare > room.met_at {
            self.room = None;
        }
    }

    /// Brings one change to the disk.
    ///
    /// # Errors
    ///
    /// What is on disk is as it was, or has lost the key.
    pub(super) fn write(&mut self, key: &CacheKey, wanted: &Wanted) -> Result<(), WriteError> {
        let old = self.row(key)?;
        let list = match wanted {
            Wanted::List(list) if list.persisted().next().is_some() => list,
            _ => return old.map_or(Ok(()), |old| self.remove(key, &old)),
        };
        let placed = self.place(key, list, old.as_ref())?;
        let files: Vec<Digest> = placed.files.iter().map(|(digest, _)| *digest).collect();
        self.put(key, old.as_ref(), placed)?;
        // The index protects their files from now on.
        let is_known = |digest: &Digest| files.binary_search(digest).is_ok();
        let on_disk = list.persisted().filter_map(|stored| stored.body.on_disk());
        on_disk.for_each(|body| body.settled(is_known));
        Ok(())
    }

    /// Whether the disk has every body of `list` under `key`, be it under another head: then what is there may
    /// stand for the list until that can be written.
    pub(super) fn holds_same(&self, key: &CacheKey, list: &Variants) -> bool {
        let Ok(Some(row)) = self.row(key) else { return false };
        list.persisted().all(|stored| {
            let at = match &stored.body {
                Body::OnDisk(body) => body.at(),
                Body::InMemory(bytes) => {
                    let digest = stored.digest().copied();
                    let digest = digest.unwrap_or_else(|| Digest::of(bytes).bytes());
                    BodyAt::Whole { digest, length: length(bytes.len()) }
                }
            };
            row.variants.iter().any(|variant| same_body(variant.at, at))
        })
    }

    /// The row of `key`; one that cannot be read counts as none.
    pub(super) fn row(&self, key: &CacheKey) -> Result<Option<KeyRow>, IndexError> {
        Ok(self.index.get(&key_at(key))?.and_then(|bytes| unseal(&bytes)))
    }

    /// Writes the bodies of a list that are not on disk.
    fn place(
        &self,
        key: &CacheKey,
        list: &Variants,
        old: Option<&KeyRow>,
    ) -> Result<Placed, WriteError> {
        let mut placed = Placed::default();
        for stored in list.persisted() {
            let at = match &stored.body {
                Body::OnDisk(body) => self.place_slices(body, &mut placed)?,
                Body::InMemory(bytes) => {
                    let at = self.place_bytes(key, (stored, bytes), old)?;
                    if let BodyAt::Whole { digest, length } = at {
                        placed.files.push((Digest::new(digest), length));
                    }
                    at
                }
            };
            let record = codec::encode(key, stored, at, &*self.shared.bearings);
            placed.variants.push(VariantRow { record, at });
        }
        placed.files.sort_unstable();
        placed.files.dedup();
        Ok(placed)
    }

    /// Takes in a body that is on disk already.
    fn place_slices(&self, body: &DiskBody, placed: &mut Placed) -> Result<BodyAt, IndexError> {
        let at = body.at();
        let known = match at {
            BodyAt::Slices { id, .. } => self.slices(&id)?,
            BodyAt::Whole { .. } => Vec::new(),
        };
        for (slice, digest) in body.files() {
            let bytes = body.bytes_of(slice);
            let bytes = bytes.end.saturating_sub(bytes.start);
            placed.files.push((digest, bytes));
            if let BodyAt::Slices { id, .. } = at
                && known.binary_search_by_key(&slice, |(slice, _)| *slice).is_err()
            {
                let length = u32::try_from(bytes).unwrap_or(u32::MAX);
                placed
                    .slices
                    .push((slice_at(&id, slice), SliceRow { digest: digest.bytes(), length }));
            }
        }
        Ok(at)
    }

    /// Writes a body that is in memory, unless it is on disk already.
    fn place_bytes(
        &self,
        key: &CacheKey,
        (stored, bytes): (&StoredResponse, &[u8]),
        old: Option<&KeyRow>,
    ) -> Result<BodyAt, WriteError> {
        let digest = stored.digest().map_or_else(|| Digest::of(bytes), |known| Digest::new(*known));
        stored.note_digest(digest.bytes());
        let at = BodyAt::Whole { digest: digest.bytes(), length: length(bytes.len()) };
        let is_there = old.is_some_and(|old| old.variants.iter().any(|row| row.at == at));
        if !is_there {
            let record = codec::encode(key, stored, at, &*self.shared.bearings);
            let record = codec::file_record(0, &record);
            self.shared.bodies.write(&[bytes], &[&record]).map_err(WriteError::Body)?;
            self.shared.reads.written(&digest);
        }
        Ok(at)
    }

    /// Puts rows in place of the old one.
    fn put(
        &mut self,
        key: &CacheKey,
        old: Option<&KeyRow>,
        placed: Placed,
    ) -> Result<(), WriteError> {
        let Placed { variants, files, slices } = placed;
        let (queue, rank) = match old {
            Some(old) => (old.queue, old.rank),
            None => (self.first_queue(key), self.next_rank()),
        };
        let charge = files.iter().map(|(_, length)| charge_of(*length)).sum::<u64>();
        let row = KeyRow {
            queue,
            rank,
            charge: charge.saturating_add(key_charge()),
            files: length(files.len()),
            variants,
        };
        // The next rank is in the totals, so they are read after it was given.
        let mut totals = self.totals;
        if let Some(old) = old {
            totals.take(old);
        }
        totals.add(&row);
        let mut step = Step::default();
        step.put(TOTALS.to_vec(), seal(&totals));
        step.put(key_at(key), seal(&row));
        step.put(order_at(queue, rank), key.as_bytes().to_vec());
        for (digest, _) in &files {
            step.put(use_at(digest, key), Vec::new());
        }
        for (at, slice) in slices {
            step.put(at, seal(&slice));
        }
        if let Some(old) = old {
            self.drop_unused(key, old, (&row, &files), &mut step)?;
        }
        self.commit(step, totals)
    }

    fn first_queue(&self, key: &CacheKey) -> Queue {
        if self.ghosts.knows(key) { Queue::Main } else { Queue::Trial }
    }

    pub(super) fn next_rank(&mut self) -> u64 {
        let rank = self.totals.next_rank;
        self.totals.next_rank = rank.saturating_add(1);
        rank
    }

    /// Puts into `step` what of the old row the new one does not need.
    fn drop_unused(
        &self,
        key: &CacheKey,
        old: &KeyRow,
        (new, files): (&KeyRow, &[(Digest, u64)]),
        step: &mut Step,
    ) -> Result<(), IndexError> {
        let stays = |row: &VariantRow| new.variants.iter().any(|new| same_body(new.at, row.at));
        let gone = old.variants.iter().filter(|row| !stays(row));
        for row in gone {
            for digest in self.files_of(row.at, step)? {
                if files.binary_search_by_key(&digest, |(digest, _)| *digest).is_err() {
                    step.remove(use_at(&digest, key));
                    step.dropped.push(digest);
                }
            }
        }
        Ok(())
    }

    /// The files of a body; puts the removal of its slices into `step`.
    fn files_of(&self, at: BodyAt, step: &mut Step) -> Result<Vec<Digest>, IndexError> {
        let id = match at {
            BodyAt::Whole { digest, .. } => return Ok(vec![Digest::new(digest)]),
            BodyAt::Slices { id, .. } => id,
        };
        let slices = self.slices(&id)?;
        for (slice, _) in &slices {
            step.remove(slice_at(&id, *slice));
        }
        Ok(slices.into_iter().map(|(_, row)| Digest::new(row.digest)).collect())
    }

    /// The slices of a body that the index knows.
    pub(super) fn slices(&self, id: &SliceId) -> Result<Vec<(u32, SliceRow)>, IndexError> {
        slices(&*self.index, id)
    }

    /// Removes a key with all that it has.
    pub(super) fn remove(&mut self, key: &CacheKey, old: &KeyRow) -> Result<(), WriteError> {
        let mut totals = self.totals;
        totals.take(old);
        let mut step = Step::default();
        step.put(TOTALS.to_vec(), seal(&totals));
        step.remove(key_at(key));
        step.remove(order_at(old.queue, old.rank));
        for row in &old.variants {
            let files = self.files_of(row.at, &mut step)?;
            for digest in files {
                step.remove(use_at(&digest, key));
                step.dropped.push(digest);
            }
        }
        let dropped = step.dropped.clone();
        self.commit(step, totals).inspect_err(|_| {
            // A full disk may refuse rows, but it lets go of files, and without those the rows lead
            // nowhere.
            for digest in &dropped {
                self.unlink(digest);
            }
        })
    }

    /// Writes a step, and removes the files that nobody uses after it.
    fn commit(&mut self, step: Step, totals: Totals) -> Result<(), WriteError> {
        let Step { batches, dropped } = step;
        for batch in &batches {
            self.index.apply(batch)?;
        }
        self.totals = totals;
        for digest in &dropped {
            if !self.is_used(digest)? {
                self.unlink(digest);
            }
        }
        Ok(())
    }

    /// Whether any key uses the file, or will.
    pub(super) fn is_used(&self, digest: &Digest) -> Result<bool, IndexError> {
        let (from, below) = uses_of(digest);
        Ok(self.shared.reads.loose.has(digest) || !self.index.scan(&from, &below, 1)?.is_empty())
    }

    pub(super) fn unlink(&self, digest: &Digest) {
        self.shared.reads.forget(digest);
        if let Err(error) = self.shared.bodies.remove(digest)
            && error.kind() != io::ErrorKind::NotFound
        {
            // The sweep finds it again.
            drop(error);
        }
    }
}

/// The slices of a body that an index knows, by number.
pub(super) fn slices(index: &dyn Index, id: &SliceId) -> Result<Vec<(u32, SliceRow)>, IndexError> {
    let mut found = Vec::new();
    let mut first = 0;
    loop {
        let (from, below) = slices_of(id, first);
        let rows = index.scan(&from, &below, STEP_MAX)?;
        let is_last = rows.len() < STEP_MAX;
        for (at, value) in rows {
            let (Some(slice), Some(row)) = (slice_number(&at), unseal(&value)) else { continue };
            found.push((slice, row));
            first = slice.saturating_add(1);
        }
        if is_last {
            return Ok(found);
        }
    }
}

fn same_body(one: BodyAt, other: BodyAt) -> bool {
    match (one, other) {
        (BodyAt::Slices { id: one, .. }, BodyAt::Slices { id: other, .. }) => one == other,
        _ => one == other,
    }
}

/// Bytes that a key is charged for, whatever is stored under it.
pub(super) const fn key_charge() -> u64 {
    KEY_OVERHEAD_BYTES
}

/// Bytes on disk that a file of so many bytes is charged for.
pub(super) fn charge_of(length: u64) -> u64 {
    length.saturating_add(FILE_OVERHEAD_BYTES).div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}
