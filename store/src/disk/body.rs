//! A body on disk: in one file, or in slices of one length, each in a file of its own.
//!
//! Slices are bound to one body: a body with another validator has another name, and never shares a
//! slice with it except by content.
//!
//! # Invariants
//!
//! 1. What is read at an offset is what was written there, or an error.
//! 2. A slice that is here stays readable for as long as the body is held, unless it is evicted or found
//!    damaged, which a reader sees as an error.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::bodies::{BodyError, Digest, OpenBody};
use super::read::ReadWays;
use super::reads::Reads;
use super::record::BodyAt;
use super::rows::SliceId;

/// Bytes of memory that a body on disk takes beyond its slots.
const OVERHEAD_BYTES: u64 = 160;
/// Bytes of memory that one slot takes.
const SLOT_BYTES: u64 = 40;

/// A body on disk, of known length; some slices of it may be missing.
#[derive(Debug)]
pub struct DiskBody {
    /// Its name; `None` where all of it is one file.
    id: Option<SliceId>,
    length: u64,
    slice_bytes: u32,
    slots: Mutex<Slots>,
    reads: Arc<Reads>,
}

#[derive(Debug)]
struct Slots {
    files: Box<[Option<Digest>]>,
    held: u32,
    /// The slices that are being written and can be read already, as far as they are.
    coming: Vec<Coming>,
    /// Files that are not in the index yet.
    loose: Vec<Digest>,
}

/// A slice that is being written.
#[derive(Debug, Clone)]
struct Coming {
    slice: u32,
    file: Arc<OpenBody>,
    /// Bytes of it that are there.
    written: u64,
}

/// Where the bytes at an offset are to be read.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub file: Arc<OpenBody>,
    /// Where in the content of the file.
    pub at: u64,
    /// Bytes that can be read from there on; never zero.
    pub length: u64,
}

impl DiskBody {
    /// A body that is one file.
    pub(super) fn one(digest: Digest, length: u64, reads: Arc<Reads>) -> Self {
        let slice_bytes = u32::try_from(length).unwrap_or(u32::MAX);
        let slots = Slots {
            files: Box::new([Some(digest)]),
            held: 1,
            coming: Vec::new(),
            loose: Vec::new(),
        };
        Self { id: None, length, slice_bytes, slots: Mutex::new(slots), reads }
    }

    /// A body in slices, of which none is here.
    pub(super) fn sliced(id: SliceId, length: u64, slice_bytes: u32, reads: Arc<Reads>) -> Self {
        let count = length.div_ceil(u64::from(slice_bytes.max(1)));
        let files = vec![None; usize::try_from(count).unwrap_or(0)].into_boxed_slice();
        let slots = Mutex::new(Slots { files, held: 0, coming: Vec::new(), loose: Vec::new() });
        Self { id: Some(id), length, slice_bytes: slice_bytes.max(1), slots, reads }
    }

    /// Its length in bytes, missing slices included.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let slots = self.slots.lock();
        usize::try_from(slots.held).is_ok_and(|held| held == slots.files.len())
    }

    /// Whether it lies in slices, of which some may be missing.
    #[must_use]
    pub fn is_sliced(&self) -> bool {
        self.id.is_some()
    }

    /// Whether `other` is the same body, be it read from the index another time.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || (self.id.is_some() && self.id == other.id)
    }

    /// How many slices are here.
    #[must_use]
    pub fn slices_held(&self) -> u32 {
        self.slots.lock().held
    }

    /// Whether the byte at `offset` is here, or was when it was last looked at.
    #[must_use]
    pub fn holds(&self, offset: u64) -> bool {
        self.find(offset).is_some()
    }

    /// Bytes of one slice; the last one may be shorter.
    #[must_use]
    pub fn slice_bytes(&self) -> u32 {
        self.slice_bytes
    }

    /// The number of the slice that holds the byte at `offset`.
    #[must_use]
    pub fn slice_of(&self, offset: u64) -> u32 {
        let slice = offset.checked_div(u64::from(self.slice_bytes)).unwrap_or(0);
        u32::try_from(slice).unwrap_or(u32::MAX)
    }

    /// The bytes that slice number `slice` holds; empty behind the end.
    #[must_use]
    pub fn bytes_of(&self, slice: u32) -> Range<u64> {
        let first = u64::from(slice).saturating_mul(u64::from(self.slice_bytes)).min(self.length);
        first..first.saturating_add(u64::from(self.slice_bytes)).min(self.length)
    }

    /// The first run of missing slices among those from `first` to `last`, both included; `None` if all are
    /// here.
    #[must_use]
    pub fn missing(&self, first: u32, last: u32) -> Option<(u32, u32)> {
        let slots = self.slots.lock();
        let is_missing = |slice: &u32| {
            let slot = usize::try_from(*slice).ok().and_then(|at| slots.files.get(at));
            matches!(slot, Some(None))
        };
        let begin = (first..=last).find(is_missing)?;
        let end = (begin..=last).take_while(is_missing).last().unwrap_or(begin);
        Some((begin, end))
    }

    /// Where the bytes at `offset` are, if that can be told without a system call.
    #[must_use]
    pub fn place_at_hand(&self, offset: u64) -> Option<Place> {
        match self.find(offset)? {
            Found::Coming(place) => Some(place),
            Found::File { digest, at, length } => {
                let file = self.reads.at_hand(&digest)?;
                Some(Place { file, at, length })
            }
        }
    }

    /// Where the bytes at `offset` are. Blocks; reads the whole slice the first time, to check it.
    ///
    /// # Errors
    ///
    /// [`BodyError::Missing`] if the slice is not here or `offset` is behind the end, and as for the file
    /// otherwise. A slice that is damaged or gone is missing from then on.
    pub fn place(&self, offset: u64) -> Result<Place, BodyError> {
        match self.find(offset).ok_or(BodyError::Missing)? {
            Found::Coming(place) => Ok(place),
            Found::File { digest, at, length } => {
                let slice = self.slice_of(offset);
                let bytes = self.bytes_of(slice);
                match self.reads.open(&digest, bytes.end.saturating_sub(bytes.start)) {
                    Ok(file) => Ok(Place { file, at, length }),
                    Err(error) => {
                        if !matches!(error, BodyError::Io { .. }) {
                            self.lose(slice, &digest);
                        }
                        Err(error)
                    }
                }
            }
        }
    }

    /// All of it. Blocks. For bodies that fit into memory.
    ///
    /// # Errors
    ///
    /// As for [`DiskBody::place`].
    pub fn read_whole(&self) -> Result<Bytes, BodyError> {
        let only = match (self.id, self.files().as_slice()) {
            (None, [(_, digest)]) => Some(*digest),
            _ => None,
        };
        if let Some(digest) = only {
            return self.reads.read_whole(&digest, self.length);
        }
        let mut whole = vec![0; usize::try_from(self.length).unwrap_or(0)];
        let mut filled = 0;
        while let Some(rest) = whole.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let place = self.place(crate::response::length(filled))?;
            let take = usize::try_from(place.length).unwrap_or(usize::MAX).min(rest.len());
            let part = rest.get_mut(..take).unwrap_or_default();
            place.file.read_at(place.at, part)?;
            filled = filled.saturating_add(take);
        }
        Ok(whole.into())
    }

    fn find(&self, offset: u64) -> Option<Found> {
        if offset >= self.length {
            return None;
        }
        let slice = self.slice_of(offset);
        let bytes = self.bytes_of(slice);
        let at = offset.saturating_sub(bytes.start);
        let slots = self.slots.lock();
        let slot = usize::try_from(slice).ok().and_then(|slot| slots.files.get(slot))?;
        if let Some(digest) = slot {
            let length = bytes.end.saturating_sub(offset);
            return Some(Found::File { digest: *digest, at, length });
        }
        let coming = slots.coming.iter().find(|coming| coming.slice == slice)?;
        let length = coming.written.saturating_sub(at);
        (length > 0).then(|| Found::Coming(Place { file: Arc::clone(&coming.file), at, length }))
    }

    pub(super) fn read_ways(&self) -> &ReadWays {
        &self.reads.ways
    }

    /// Notes that a slice is being written to `file`, where its first `written` bytes are.
    pub(super) fn comes(&self, slice: u32, file: &Arc<OpenBody>, written: u64) {
        let coming = Coming { slice, file: Arc::clone(file), written };
        let mut slots = self.slots.lock();
        match slots.coming.iter_mut().find(|known| Arc::ptr_eq(&known.file, file)) {
            Some(known) => *known = coming,
            None => slots.coming.push(coming),
        }
    }

    /// Notes that what was written to `file` goes no further.
    pub(super) fn comes_no_further(&self, file: &Arc<OpenBody>) {
        self.slots.lock().coming.retain(|coming| !Arc::ptr_eq(&coming.file, file));
    }

    /// Notes a slice that was written just now; returns whether it was missing.
    pub(super) fn arrived(&self, slice: u32, digest: Digest) -> bool {
        self.reads.loose.add(&digest);
        self.slots.lock().loose.push(digest);
        self.put(slice, digest)
    }

    /// Notes that those of its files that `is_known` tells of are in the index. Others may have come since.
    pub(super) fn settled(&self, is_known: impl Fn(&Digest) -> bool) {
        let mut slots = self.slots.lock();
        let (known, loose) =
            std::mem::take(&mut slots.loose).into_iter().partition::<Vec<_>, _>(&is_known);
        slots.loose = loose;
        drop(slots);
        known.iter().for_each(|digest| self.reads.loose.release(digest));
    }

    /// Notes where a slice is; returns whether it was missing.
    pub(super) fn put(&self, slice: u32, digest: Digest) -> bool {
        let mut slots = self.slots.lock();
        slots.coming.retain(|coming| coming.slice != slice);
        let slot = usize::try_from(slice).ok().and_then(|slot| slots.files.get_mut(slot));
        let Some(slot) = slot else { return false };
        let was_missing = slot.replace(digest).is_none();
        if was_missing {
            slots.held = slots.held.saturating_add(1);
        }
        was_missing
    }

    /// Notes that the file of a slice is gone, unless another has taken its place.
    pub(super) fn lose(&self, slice: u32, digest: &Digest) {
        let mut slots = self.slots.lock();
        let slot = usize::try_from(slice).ok().and_then(|slot| slots.files.get_mut(slot));
        if let Some(slot) = slot.filter(|slot| slot.as_ref() == Some(digest)) {
            *slot = None;
            slots.held = slots.held.saturating_sub(1);
        }
    }

    /// The files of the slices that are here, by number.
    pub(super) fn files(&self) -> Vec<(u32, Digest)> {
        let slots = self.slots.lock();
        let numbered = (0_u32..).zip(slots.files.iter());
        numbered.filter_map(|(slice, file)| Some((slice, (*file)?))).collect()
    }

    /// How an index tells where it lies.
    pub(super) fn at(&self) -> BodyAt {
        match self.id {
            Some(id) => BodyAt::Slices { length: self.length, slice_bytes: self.slice_bytes, id },
            None => {
                let digest = self.files().first().map_or([0; 32], |(_, digest)| digest.bytes());
                BodyAt::Whole { digest, length: self.length }
            }
        }
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        let slots = crate::response::length(self.slots.lock().files.len());
        OVERHEAD_BYTES.saturating_add(slots.saturating_mul(SLOT_BYTES))
    }
}

impl Drop for DiskBody {
    fn drop(&mut self) {
        let loose = std::mem::take(&mut self.slots.get_mut().loose);
        loose.iter().for_each(|digest| self.reads.loose.give_up(digest));
    }
}

/// What is known of the bytes at an offset.
enum Found {
    File { digest: Digest, at: u64, length: u64 },
    Coming(Place),
}
