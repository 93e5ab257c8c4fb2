//! The disk tier as the rest of the node sees it: what is stored under a key, and what shall be.
//!
//! Changes are taken at once and written by a thread of the tier; lookups read the index where the caller
//! may block. Until the index is open, which takes a moment, nothing is found.
//!
//! # Invariants
//!
//! 1. A key with a change that is not written is answered from the change, never from the disk.
//! 2. Who reads a key from disk and puts it into memory can tell whether it was changed meanwhile: see
//!    [`DiskTier::version`].
//! 3. Whatever the disk does, no call here fails a request: what cannot be read is not found, what cannot
//!    be written is not kept.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use weir_cache::CacheKey;

use super::bearings::{Bearings, DiskEvent};
use super::bodies::{Bodies, BodiesOpenError, Digest};
use super::body::DiskBody;
use super::codec;
use super::coming::SliceWriter;
use super::heat::Heat;
use super::index::{Index, IndexError};
use super::limits::DiskLimits;
use super::lock::{FolderLock, LockError};
use super::pending::{Pending, Taken, Wanted};
use super::present::Present;
use super::reads::Reads;
use super::record::BodyAt;
use super::rows::{KeyRow, SliceId, key_at, unseal};
use super::stats::{Counts, DiskStats};
use super::writer::{self, Shared, WriteError, Writer};
use super::{room, stale, sweep, worker};
use crate::{Body, StoredResponse, Variants};

/// Numbers that tell changes of keys apart; keys share them.
const VERSIONS: usize = 1024;
/// Changes that wait at most, those that only forget included.
const CHANGES_MAX: usize = 100_000;
/// How long nothing is written after the disk refused.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
/// What is said where the file system has no room.
pub(super) const NO_ROOM: &str = "the file system has next to no room";

/// Why a disk tier cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DiskOpenError {
    /// Its folder is not ours.
    #[error("the folder of the disk tier cannot be locked")]
    Lock(#[from] LockError),
    /// Its folder cannot be used.
    #[error("the folder of the disk tier cannot be used")]
    Bodies(#[from] BodiesOpenError),
    /// What lies in its folder is out of date and cannot be removed.
    #[error("the folder of the disk tier is out of date and cannot be cleared")]
    Stale(#[source] io::Error),
    /// The system gives no thread.
    #[error("a thread of the disk tier cannot be started")]
    Thread(#[source] io::Error),
}

/// What the disk has under a key.
#[derive(Debug, Clone)]
pub enum OnDisk {
    /// This.
    Found(Variants),
    /// Nothing.
    Nothing,
    /// Nothing that could be read: there may be something all the same.
    Unknown,
}

impl From<Wanted> for OnDisk {
    /// What a change that is not written yet says. One that only forgets may be all that is left of a list.
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::List(list) => Self::Found(list),
            Wanted::Nothing => Self::Unknown,
        }
    }
}

/// What the threads of the tier share.
pub(super) struct Inner {
    pub(super) shared: Shared,
    pub(super) limits: Arc<DiskLimits>,
    pub(super) pending: Pending,
    /// `None` until it is open, and after it failed for good.
    pub(super) index: RwLock<Option<Arc<dyn Index>>>,
    pub(super) writer: Mutex<Option<Writer>>,
    pub(super) counts: Counts,
    versions: Box<[AtomicU64]>,
    /// How often an index was opened.
    openings: AtomicU64,
    /// Whether a change waits that could not be written.
    owes: AtomicBool,
    /// Nothing is read or written any more.
    stopped: AtomicBool,
    /// Since the disk refused: until when nothing is written. `None` while it takes what it is given.
    pub(super) off_until: Mutex<Option<Instant>>,
    /// Whether the threads are to end, and who waits for that or for the index.
    pub(super) phase: Mutex<Phase>,
    pub(super) changed: Condvar,
}

/// How far the tier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Opening,
    Open,
    Ending,
}

/// Stored responses on disk.
pub struct DiskTier {
    inner: Arc<Inner>,
    /// What ends with the tier; `None` once it has.
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    threads: Vec<JoinHandle<()>>,
    /// Held until the threads have ended.
    lock: FolderLock,
}

impl DiskTier {
    /// Opens the tier in its folder; the index opens in the background.
    ///
    /// # Errors
    ///
    /// [`DiskOpenError`]; a damaged index is none.
    pub fn open(limits: DiskLimits, bearings: Arc<dyn Bearings>) -> Result<Self, DiskOpenError> {
        let lock = FolderLock::take(&limits.folder)?;
        stale::clear_unless_current(&limits.folder).map_err(DiskOpenError::Stale)?;
        let bodies = Arc::new(Bodies::open(&limits.folder, limits.sync, None)?);
        let reads =
            Arc::new(Reads::new(Arc::clone(&bodies), Arc::clone(&bearings), limits.open_files_max));
        let (heat, totals) = (Arc::new(Heat::new()), Arc::default());
        let present = Arc::new(Present::new(limits.bytes_max));
        let shared = Shared { bodies, reads, heat, bearings, present, totals };
        let inner = Arc::new(Inner {
            shared,
            pending: Pending::new(limits.waiting_bytes_max, CHANGES_MAX),
            index: RwLock::new(None),
            writer: Mutex::new(None),
            counts: Counts::default(),
            versions: (0..VERSIONS).map(|_| AtomicU64::new(0)).collect(),
            openings: AtomicU64::new(0),
            owes: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            off_until: Mutex::new(None),
            phase: Mutex::new(Phase::Opening),
            changed: Condvar::new(),
            limits: Arc::new(limits),
        });
        let threads = vec![
            thread("weir-disk", &inner, worker::run)?,
            thread("weir-sweep", &inner, sweep::run)?,
        ];
        Ok(Self { inner, running: Mutex::new(Some(Running { threads, lock })) })
    }

    /// Waits until the index is open or has failed, for `within` at most; returns whether it is. Blocks.
    #[must_use]
    pub fn wait_open(&self, within: Duration) -> bool {
        let mut phase = self.inner.phase.lock();
        self.inner.changed.wait_while_for(&mut phase, |phase| *phase == Phase::Opening, within);
        *phase != Phase::Opening
    }

    /// The limits it was opened with.
    #[must_use]
    pub fn limits(&self) -> &DiskLimits {
        &self.inner.limits
    }

    /// A number that changes with every change of `key`, and with some of others.
    #[must_use]
    pub fn version(&self, key: &CacheKey) -> u64 {
        self.inner.version(key).load(Ordering::Acquire)
    }

    /// To be called before `key` is changed in memory: what was read of it until now is not to be put there
    /// any more. Returns the version from then on.
    pub fn changing(&self, key: &CacheKey) -> u64 {
        self.inner.changing(key)
    }

    /// Whether anything is written to the disk at present.
    #[must_use]
    pub fn takes_writes(&self) -> bool {
        self.inner.may_write().is_ok()
    }

    /// Notes that `key` was hit, wherever it was found. Costs one load for a key that is asked for often.
    pub fn note_hit(&self, key: &CacheKey) {
        self.inner.shared.heat.note(key);
    }

    /// What is stored under `key`, where that can be told without the disk; `None` where the disk has to be asked, with
    /// [`Self::get`]. Blocks for nothing.
    #[must_use]
    pub fn peek(&self, key: &CacheKey) -> Option<OnDisk> {
        let counts = &self.inner.counts;
        match self.inner.pending.get(key) {
            Some(wanted) => Some(counts.counted(OnDisk::from(wanted))),
            None if self.inner.lacks(key) => {
                counts.absent.fetch_add(1, Ordering::Relaxed);
                Some(OnDisk::Nothing)
            }
            None => None,
        }
    }

    /// What is stored under `key`, with bodies that are still on disk. Blocks.
    #[must_use]
    pub fn get(&self, key: &CacheKey) -> OnDisk {
        let pending = self.inner.pending.get(key).map(OnDisk::from);
        self.inner.counts.counted(pending.unwrap_or_else(|| self.inner.read(key)))
    }

    /// Has the disk hold `list` under `key`. `is_new` says that it has nothing under it, so that nothing need
    /// be forgotten where there is no room for the list.
    pub fn put(&self, key: CacheKey, list: Variants, is_new: bool) {
        self.inner.want(key, Wanted::List(list), is_new);
    }

    /// Has the disk forget `key`.
    pub fn forget(&self, key: CacheKey) {
        self.inner.want(key, Wanted::Nothing, false);
    }

    /// Begins to write the body of `stored`, `length` bytes long, in slices. The response is stored when it is
    /// [`put`](Self::put) with that body. Blocks for next to nothing.
    ///
    /// # Errors
    ///
    /// Nothing is written at present, or the system gives no randomness for a name.
    pub fn begin_body(
        &self,
        key: &CacheKey,
        stored: &StoredResponse,
        length: u64,
    ) -> io::Result<SliceWriter> {
        self.inner.may_write()?;
        let mut id: SliceId = [0; 16];
        getrandom::fill(&mut id).map_err(|error| io::Error::other(error.to_string()))?;
        let slice_bytes = self.inner.limits.slice_bytes;
        let body = DiskBody::sliced(id, length, slice_bytes, Arc::clone(&self.inner.shared.reads));
        Ok(self.writer_of(key, stored, Arc::new(body), 0))
    }

    /// Begins to write missing slices of `body`, from number `first` on; as [`begin_body`](Self::begin_body).
    ///
    /// # Errors
    ///
    /// Nothing is written at present.
    pub fn resume_body(
        &self,
        key: &CacheKey,
        (stored, body): (&StoredResponse, &Arc<DiskBody>),
        first: u32,
    ) -> io::Result<SliceWriter> {
        self.inner.may_write()?;
        let at = body.bytes_of(first).start;
        Ok(self.writer_of(key, stored, Arc::clone(body), at))
    }

    fn writer_of(
        &self,
        key: &CacheKey,
        stored: &StoredResponse,
        body: Arc<DiskBody>,
        at: u64,
    ) -> SliceWriter {
        let record = codec::encode(key, stored, body.at(), &*self.inner.shared.bearings);
        SliceWriter::new(Arc::clone(&self.inner), body, record, at)
    }

    /// What is held at this moment. Costs some locks that are held shortly, and a look at the files of the
    /// index.
    #[must_use]
    pub fn stats(&self) -> DiskStats {
        self.inner.stats()
    }

    /// Writes what waits, ends the threads and gives up the folder. Blocks. Nothing is found or kept
    /// afterwards.
    pub fn close(&self) {
        self.inner.pending.close();
        *self.inner.phase.lock() = Phase::Ending;
        self.inner.changed.notify_all();
        let Some(Running { threads, lock }) = self.running.lock().take() else { return };
        for thread in threads {
            // A thread that panicked has nothing more to write.
            drop(thread.join());
        }
        drop(lock);
    }
}

impl Drop for DiskTier {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for DiskTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskTier")
            .field("folder", &self.inner.limits.folder)
            .finish_non_exhaustive()
    }
}

fn thread(
    name: &str,
    inner: &Arc<Inner>,
    run: fn(&Inner),
) -> Result<JoinHandle<()>, DiskOpenError> {
    let inner = Arc::clone(inner);
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || run(&inner))
        .map_err(DiskOpenError::Thread)
}

impl Inner {
    fn version(&self, key: &CacheKey) -> &AtomicU64 {
        let [a, b, ..] = *key.as_bytes();
        let place = (usize::from(a) << 8 | usize::from(b)) % VERSIONS;
        // There are as many as the remainder has values.
        &self.versions[place]
    }

    pub(super) fn changing(&self, key: &CacheKey) -> u64 {
        self.version(key).fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    fn want(&self, key: CacheKey, wanted: Wanted, is_new: bool) {
        if self.stopped.load(Ordering::Relaxed) {
            return;
        }
        match self.pending.put(key, wanted, is_new) {
            Taken::Whole => {}
            Taken::Forgets | Taken::NotKept => {
                self.counts.overflows.fetch_add(1, Ordering::Relaxed);
            }
            Taken::Lost => self.stop("too many changes wait to be written"),
        }
    }

    /// Whether the index surely has nothing under `key`.
    fn lacks(&self, key: &CacheKey) -> bool {
        self.index().is_some_and(|index| self.shared.present.lacks(key, index.openings()))
    }

    /// Reads `key` from disk.
    fn read(&self, key: &CacheKey) -> OnDisk {
        let Some(index) = self.index() else { return OnDisk::Unknown };
        let version = self.version(key).load(Ordering::Acquire);
        let found = index.get(&key_at(key)).and_then(|row| {
            let Some(row) = row else { return Ok(OnDisk::Nothing) };
            let row: Option<KeyRow> = unseal(&row);
            let list = row.map(|row| self.restore(&*index, key, &row)).transpose()?;
            Ok(list.filter(|list| !list.is_empty()).map_or(OnDisk::Unknown, OnDisk::Found))
        });
        match found {
            Ok(OnDisk::Unknown) => {
                // Nothing of it can be used, now or later, unless it was changed while it was read.
                self.counts.unreadable.fetch_add(1, Ordering::Relaxed);
                if self.version(key).load(Ordering::Acquire) == version {
                    self.pending.forget_if_idle(*key);
                }
                OnDisk::Unknown
            }
            Ok(found) => found,
            Err(error) => {
                self.on_index_error(&error);
                OnDisk::Unknown
            }
        }
    }

    fn restore(
        &self,
        index: &dyn Index,
        key: &CacheKey,
        row: &KeyRow,
    ) -> Result<Variants, IndexError> {
        let mut found = Vec::new();
        for variant in &row.variants {
            let decoded =
                codec::decode(&variant.record, &*self.shared.bearings, &self.shared.reads);
            let Some((_, stored)) = decoded.filter(|(of, _)| of == key) else {
                self.counts.unreadable.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            Self::fill_in(index, variant.at, &stored)?;
            found.push(Arc::new(stored));
        }
        Ok(Variants::restored(found))
    }

    /// Tells a body in slices which of them are here.
    fn fill_in(index: &dyn Index, at: BodyAt, stored: &StoredResponse) -> Result<(), IndexError> {
        let (BodyAt::Slices { id, .. }, Body::OnDisk(body)) = (at, &stored.body) else {
            return Ok(());
        };
        for (slice, row) in
            writer::slices(&id, |from, below, limit| index.scan(from, below, limit))?
        {
            body.put(slice, Digest::new(row.digest));
        }
        Ok(())
    }

    /// The number of the index that was opened last.
    pub(super) fn opening(&self) -> u64 {
        self.openings.load(Ordering::Relaxed)
    }

    /// Notes that an index was opened. Told to others with the next change of phase.
    pub(super) fn opened(&self) {
        self.openings.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn index(&self) -> Option<Arc<dyn Index>> {
        self.index.read().clone()
    }

    /// Lets the worker open the index anew where what is on disk cannot be trusted.
    pub(super) fn on_index_error(&self, error: &IndexError) {
        if matches!(error, IndexError::Damaged { .. }) {
            *self.index.write() = None;
            let mut phase = self.phase.lock();
            if *phase == Phase::Open {
                *phase = Phase::Opening;
            }
        }
    }

    /// Ends reading and writing until the node starts again, and sees to it that this start does not
    /// trust what is on disk.
    pub(super) fn stop(&self, why: &str) {
        if self.stopped.swap(true, Ordering::Relaxed) {
            return;
        }
        *self.index.write() = None;
        stale::distrust(&self.limits.folder);
        self.shared.bearings.note(DiskEvent::Stopped { why: why.to_owned() });
    }

    /// Notes that a change is not written that must not be lost: until it is, the next start would not trust
    /// what lies there.
    pub(super) fn owe(&self) {
        if !self.owes.swap(true, Ordering::Relaxed) {
            stale::distrust(&self.limits.folder);
        }
    }

    /// Notes that nothing is owed any more, once nothing waits.
    pub(super) fn pay(&self) {
        let is_paid = self.owes.load(Ordering::Relaxed)
            && !self.is_stopped()
            && self.pending.waiting().1 == 0
            && stale::trust(&self.limits.folder).is_ok();
        if is_paid {
            self.owes.store(false, Ordering::Relaxed);
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether anything is written at present. After a while without, whoever asks may try.
    ///
    /// # Errors
    ///
    /// The disk refused a moment ago.
    pub(super) fn may_write(&self) -> io::Result<()> {
        let is_off = self.off_until.lock().is_some_and(|until| Instant::now() < until);
        if is_off || self.is_stopped() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "writing to disk is off"));
        }
        Ok(())
    }

    /// Notes that the disk took a body.
    pub(super) fn writes_on(&self) {
        if self.off_until.lock().take().is_some() {
            self.shared.bearings.note(DiskEvent::WritesOn);
        }
    }

    /// Writes nothing for a while. What fails during that while, such as a try to forget, does not make it
    /// longer: it would never end.
    pub(super) fn writes_off(&self, why: &str) {
        self.counts.write_failures.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let mut off_until = self.off_until.lock();
        let was = *off_until;
        if was.is_none_or(|until| until <= now) {
            *off_until = now.checked_add(RETRY_AFTER);
        }
        drop(off_until);
        if was.is_none() {
            self.shared.bearings.note(DiskEvent::WritesOff { why: why.to_owned() });
        }
    }

    /// Makes room for `bytes` that are being written and that no row tells of yet.
    ///
    /// # Errors
    ///
    /// The file system has no room for them, nor is any to be had by evictions.
    pub(super) fn make_room_for(&self, bytes: u64) -> io::Result<()> {
        let mut writer = self.writer.lock();
        let Some(writer) = writer.as_mut() else { return Ok(()) };
        match self.evict_for(writer, bytes) {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::new(io::ErrorKind::StorageFull, NO_ROOM)),
            Err(error) => {
                // The worker meets the same error and sees to it.
                drop((error, writer.undo()));
                Ok(())
            }
        }
    }

    fn evict_for(&self, writer: &mut Writer, bytes: u64) -> Result<bool, WriteError> {
        let has_room = self.find_room(writer, bytes)?;
        let gone = writer.make_room(bytes, None)?;
        writer.write_out()?;
        self.counts.went(gone);
        Ok(has_room)
    }

    /// Sees to it that the file system has room for `bytes` more, by evictions if need be, which are written out;
    /// returns whether it has.
    ///
    /// # Errors
    ///
    /// The index failed: undo what is staged.
    pub(super) fn find_room(&self, writer: &mut Writer, bytes: u64) -> Result<bool, WriteError> {
        // Where the system does not say, the disk will.
        let is_there =
            || self.shared.bodies.space().map_or(true, |space| room::has_room(space, bytes));
        if is_there() {
            return Ok(true);
        }
        let gone = writer.give_back(bytes)?;
        self.counts.went(gone);
        Ok(is_there())
    }
}
