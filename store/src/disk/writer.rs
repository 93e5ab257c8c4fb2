//! What does a change in memory come to on the disk?
//!
//! One thread writes. For each change it writes the bodies that are not there yet, then stages the rows, all
//! of one change in one step; files are removed last, once the rows are in the index (see `commit`). Whatever
//! a crash interrupts, a row never leads to a file that was not whole, and a file without a row is found by
//! the sweep.

use std::io;
use std::sync::Arc;

use http::HeaderName;
use http::header::{AGE, DATE, EXPIRES};
use parking_lot::Mutex;
use weir_cache::eviction::{Eviction, for_goal};
use weir_cache::{CacheKey, StoredHead};

use super::bearings::Bearings;
use super::bodies::{Bodies, Digest};
use super::codec;
use super::commit::{STEP_MAX, Step, Then};
use super::heat::Heat;
use super::index::{Index, IndexError, Rows};
use super::limits::DiskLimits;
use super::pending::Wanted;
use super::present::Present;
use super::reads::Reads;
use super::rebuild::Changed;
use super::record::BodyAt;
use super::room::Room;
use super::rows::{
    KeyRow, SliceId, SliceRow, TOTALS, Totals, VariantRow, key_at, order_at, seal, slice_at,
    slice_number, slices_of, unseal, use_at,
};
use super::staged::Staged;
use crate::response::length;
use crate::{Body, DiskBody, StoredResponse, Variants};

/// Bytes that one key is charged for beyond the files of its bodies: its rows, and what a change of them
/// leaves behind for a while.
const KEY_OVERHEAD_BYTES: u64 = 1_536;
/// Bytes that a file has beyond its content: its header and what it says of itself.
const FILE_OVERHEAD_BYTES: u64 = 600;
/// Bytes in which file systems give out space.
const BLOCK_BYTES: u64 = 4_096;

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
    /// Which keys the index may have.
    pub(super) present: Arc<Present>,
    /// What everything in the index adds up to, for those who do not write.
    pub(super) totals: Arc<Mutex<Totals>>,
}

/// The one who writes.
pub(super) struct Writer {
    pub(super) index: Staged,
    pub(super) shared: Shared,
    pub(super) limits: Arc<DiskLimits>,
    /// What everything adds up to, with what is staged.
    pub(super) totals: Totals,
    pub(super) policy: Box<dyn Eviction>,
    /// What follows when what is staged is in the index.
    pub(super) then: Then,
    /// What the file system has room for; `None` while the limit is the bound.
    pub(super) room: Option<Room>,
    /// While the index is built anew: the keys that were changed meanwhile.
    pub(super) changed: Option<Changed>,
}

/// A list whose bodies are on disk.
#[derive(Default)]
struct Placed {
    variants: Vec<VariantRow>,
    /// The files that it uses with the lengths of their content, each once, in order.
    files: Vec<(Digest, u64)>,
    /// Those of them that the index may not know of.
    uses: Vec<Digest>,
    /// Rows of slices that the index does not have.
    slices: Vec<(Vec<u8>, SliceRow)>,
}

impl Writer {
    /// The writer of an open index.
    ///
    /// # Errors
    ///
    /// The index cannot be read, or is of another form: it is to be set aside then, and built anew.
    pub(super) fn new(
        index: Arc<dyn Index>,
        shared: Shared,
        limits: Arc<DiskLimits>,
    ) -> Result<Self, IndexError> {
        let totals = match index.get(TOTALS)? {
            Some(bytes) => unseal(&bytes).ok_or_else(|| {
                let why = "it is of another version";
                index.distrust(why);
                IndexError::Damaged { why: why.to_owned() }
            })?,
            None => Totals::default(),
        };
        *shared.totals.lock() = totals;
        let mut writer = Self {
            index: Staged::new(index),
            shared,
            totals,
            policy: for_goal(limits.goal),
            then: Then::default(),
            room: None,
            changed: None,
            limits,
        };
        writer.resume_order()?;
        Ok(writer)
    }

    /// Writes the bodies of one change, and stages its rows.
    ///
    /// # Errors
    ///
    /// What was staged before is staged still, and part of this change may be: undo it.
    pub(super) fn write(&mut self, key: &CacheKey, wanted: &Wanted) -> Result<(), WriteError> {
        if let Some(changed) = &mut self.changed {
            changed.add(key);
        }
        let old = self.row(key)?;
        let list = match wanted {
            Wanted::List(list) if list.persisted().next().is_some() => list,
            _ => return old.map_or(Ok(()), |old| self.remove(key, &old)),
        };
        let placed = self.place(key, list, old.as_ref())?;
        if placed.variants.is_empty() {
            return old.map_or(Ok(()), |old| self.remove(key, &old));
        }
        let files: Vec<Digest> = placed.files.iter().map(|(digest, _)| *digest).collect();
        self.put(key, old.as_ref(), placed)?;
        let on_disk = list.persisted().filter_map(|stored| stored.body.on_disk());
        on_disk.for_each(|body| self.then.settle(body, &files));
        Ok(())
    }

    /// Whether what the disk has under `key` may stand for `list` until that can be written: the same bodies, and
    /// heads that differ in nothing but when they were confirmed.
    pub(super) fn may_stand_for(&self, key: &CacheKey, list: &Variants) -> bool {
        let Ok(Some(row)) = self.row(key) else { return false };
        let count = list.persisted().count();
        count > 0
            && count == row.variants.len()
            && list.persisted().all(|stored| {
                let at = match &stored.body {
                    Body::OnDisk(body) => body.at(),
                    Body::InMemory(bytes) => {
                        let digest = stored.digest().copied();
                        let digest = digest.unwrap_or_else(|| Digest::of(bytes).bytes());
                        BodyAt::Whole { digest, length: length(bytes.len()) }
                    }
                };
                row.variants
                    .iter()
                    .any(|variant| same_body(variant.at, at) && self.has_same_head(variant, stored))
            })
    }

    fn has_same_head(&self, variant: &VariantRow, stored: &StoredResponse) -> bool {
        let decoded = codec::decode(&variant.record, &*self.shared.bearings, &self.shared.reads);
        decoded.is_some_and(|(_, old)| {
            let lasting = |head: &StoredHead| {
                let is_lasting = |name: &HeaderName| ![AGE, DATE, EXPIRES].contains(name);
                let lasting = head.headers.lines_where(is_lasting);
                lasting.map(|line| (line.name.clone(), line.value.to_vec())).collect::<Vec<_>>()
            };
            old.head.status == stored.head.status && lasting(&old.head) == lasting(&stored.head)
        })
    }

    /// The row of `key`; one that cannot be read counts as none.
    pub(super) fn row(&self, key: &CacheKey) -> Result<Option<KeyRow>, IndexError> {
        Ok(self.index.get(&key_at(key))?.and_then(|bytes| unseal(&bytes)))
    }

    /// Writes the bodies of a list that are not on disk.
    fn place(
        &mut self,
        key: &CacheKey,
        list: &Variants,
        old: Option<&KeyRow>,
    ) -> Result<Placed, WriteError> {
        let mut placed = Placed::default();
        for stored in list.persisted() {
            let variant = match &stored.body {
                Body::OnDisk(body) => match self.place_on_disk(body, &mut placed)? {
                    Some(at) => self.variant(key, stored, at),
                    // Its file went with its row.
                    None => continue,
                },
                Body::InMemory(bytes) => {
                    let digest = digest_of(stored, bytes);
                    placed.files.push((digest, length(bytes.len())));
                    placed.uses.push(digest);
                    let at = BodyAt::Whole { digest: digest.bytes(), length: length(bytes.len()) };
                    let variant = self.variant(key, stored, at);
                    self.place_bytes((&digest, bytes), &variant, old)?;
                    variant
                }
            };
            placed.variants.push(variant);
        }
        placed.files.sort_unstable();
        placed.files.dedup();
        Ok(placed)
    }

    /// Takes in a body that is on disk already; `None` where nothing of it is there any more, as after it was
    /// evicted there while memory had its head.
    fn place_on_disk(
        &self,
        body: &DiskBody,
        placed: &mut Placed,
    ) -> Result<Option<BodyAt>, IndexError> {
        let at = body.at();
        let known = match at {
            BodyAt::Slices { id, .. } => self.slices(&id)?,
            BodyAt::Whole { .. } => Vec::new(),
        };
        let mut is_there = false;
        for (slice, digest) in body.files() {
            let bytes = body.bytes_of(slice);
            let bytes = bytes.end.saturating_sub(bytes.start);
            let is_known = known.binary_search_by_key(&slice, |(slice, _)| *slice).is_ok();
            if !is_known && !self.shared.bodies.has(&digest) {
                body.lose(slice, &digest);
                continue;
            }
            is_there = true;
            placed.files.push((digest, bytes));
            if !is_known {
                placed.uses.push(digest);
                if let BodyAt::Slices { id, .. } = at {
                    let length = u32::try_from(bytes).unwrap_or(u32::MAX);
                    let row = SliceRow { digest: digest.bytes(), length };
                    placed.slices.push((slice_at(&id, slice), row));
                }
            }
        }
        Ok(is_there.then_some(at))
    }

    /// The row of a stored response whose body lies at `at`.
    fn variant(&self, key: &CacheKey, stored: &StoredResponse, at: BodyAt) -> VariantRow {
        VariantRow { record: codec::encode(key, stored, at, &*self.shared.bearings), at }
    }

    /// Writes a body that is in memory, unless it is on disk already.
    fn place_bytes(
        &mut self,
        (digest, bytes): (&Digest, &[u8]),
        variant: &VariantRow,
        old: Option<&KeyRow>,
    ) -> Result<(), WriteError> {
        let is_known = old.is_some_and(|old| old.variants.iter().any(|row| row.at == variant.at));
        if is_known && self.shared.bodies.has(digest) {
            return Ok(());
        }
        let record = codec::file_record(0, &variant.record);
        let written =
            self.shared.bodies.write(*digest, bytes, &[&record]).map_err(WriteError::Body)?;
        if !written.existed {
            self.shared.reads.written(digest);
            self.then.wrote(*digest);
        }
        Ok(())
    }

    /// Puts rows in place of the old one.
    fn put(
        &mut self,
        key: &CacheKey,
        old: Option<&KeyRow>,
        placed: Placed,
    ) -> Result<(), WriteError> {
        let Placed { variants, files, uses, slices } = placed;
        let charge = files.iter().map(|(_, length)| charge_of(*length)).sum::<u64>();
        let charge = charge.saturating_add(key_charge());
        let rank = match old {
            Some(old) => old.rank,
            None => self.first_rank(key, charge),
        };
        let row = KeyRow { rank, charge, files: length(files.len()), variants };
        // The next turn is in the totals, so they are read after it was given.
        let mut totals = self.totals;
        if let Some(old) = old {
            totals.take(old);
        }
        totals.add(&row);
        if old.is_none() {
            self.shared.present.came(key);
        }
        let mut step = Step::default();
        step.put(TOTALS.to_vec(), seal(&totals));
        step.put(key_at(key), seal(&row));
        step.put(order_at(rank), key.as_bytes().to_vec());
        for digest in &uses {
            step.put(use_at(digest, key), Vec::new());
        }
        for (at, slice) in slices {
            step.put(at, seal(&slice));
        }
        if let Some(old) = old {
            self.drop_unused(key, old, (&row, &files), &mut step)?;
        }
        Ok(self.stage(step, totals)?)
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
        slices(id, |from, below, limit| self.index.scan(from, below, limit))
    }

    /// Removes a key with all that it has.
    pub(super) fn remove(&mut self, key: &CacheKey, old: &KeyRow) -> Result<(), WriteError> {
        let mut totals = self.totals;
        totals.take(old);
        let mut step = Step::default();
        step.put(TOTALS.to_vec(), seal(&totals));
        step.remove(key_at(key));
        step.remove(order_at(old.rank));
        for row in &old.variants {
            let files = self.files_of(row.at, &mut step)?;
            for digest in files {
                step.remove(use_at(&digest, key));
                step.dropped.push(digest);
            }
        }
        self.stage(step, totals)?;
        self.then.went(key);
        Ok(())
    }
}

/// The slices of a body that an index, read by `scan`, knows, by number.
pub(super) fn slices(
    id: &SliceId,
    scan: impl Fn(&[u8], &[u8], usize) -> Result<Rows, IndexError>,
) -> Result<Vec<(u32, SliceRow)>, IndexError> {
    let mut found = Vec::new();
    let mut first = 0;
    loop {
        let (from, below) = slices_of(id, first);
        let rows = scan(&from, &below, STEP_MAX)?;
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

/// The digest of the body of `stored`, which is `bytes`, worked out once.
fn digest_of(stored: &StoredResponse, bytes: &[u8]) -> Digest {
    let digest = stored.digest().map_or_else(|| Digest::of(bytes), |known| Digest::new(*known));
    stored.note_digest(digest.bytes());
    digest
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
