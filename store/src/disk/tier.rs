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
use super::reads::Reads;
use super::record::BodyAt;
use super::rows::{KeyRow, SliceId, key_at, unseal};
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

/// What the tier holds and has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Whether the index is open.
    pub open: bool,
    /// Whether writing is off, because the disk refused a moment ago.
    pub writes_off: bool,
    /// Bytes charged for everything stored.
    pub bytes: u64,
    /// Keys with at least one stored response.
    pub keys: u64,
    /// Files of bodies.
    pub files: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes that are free on the file system.
    pub free_bytes: u64,
    /// Bytes of bodies in memory that wait to be written.
    pub waiting_bytes: u64,
    /// Keys whose change waits.
    pub waiting_keys: u64,
    /// Files kept open.
    pub open_files: u64,
    /// Keys evicted.
    pub evictions: u64,
    /// Lookups that found something.
    pub hits: u64,
    /// Lookups that found nothing.
    pub misses: u64,
    /// Changes written.
    pub written: u64,
    /// Changes not written because the disk refused.
    pub write_failures: u64,
    /// Changes not written because too many bytes waited.
    pub overflows: u64,
    /// Files found damaged and set aside.
    pub damaged: u64,
    /// Files that the index names and that are not there.
    pub missing: u64,
    /// Reads that the system refused.
    pub read_failures: u64,
    /// Rows that could not be read, or were from the future.
    pub unreadable: u64,
    /// Bytes read by the scrubber.
    pub scrubbed_bytes: u64,
    /// Files removed that nobody used.
    pub orphans: u64,
}

/// Counters that are not kept elsewhere.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) evictions: AtomicU64,
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) write_failures: AtomicU64,
    pub(super) overflows: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) scrubbed_bytes: AtomicU64,
    pub(super) orphans: AtomicU64,
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
    /// Nothing is read or written any more.
    stopped: AtomicBool,
    /// Since the disk refused: until when nothing is written. `None` while it takes what it is given.
    off_until: Mutex<Option<Instant>>,
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
        stale::clear_if_marked(&limits.folder).map_err(DiskOpenError::Stale)?;
        let bodies = Arc::new(Bodies::open(&limits.folder, limits.sync, None)?);
        let reads =
            Arc::new(Reads::new(Arc::clone(&bodies), Arc::clone(&bearings), limits.open_files_max));
        let shared = Shared { bodies, reads, heat: Arc::new(Heat::new()), bearings };
        let inner = Arc::new(Inner {
            shared,
            pending: Pending::new(limits.waiting_bytes_max, CHANGES_MAX),
            index: RwLock::new(None),
            writer: Mutex::new(None),
            counts: Counts::default(),
            versions: (0..VERSIONS).map(|_| AtomicU64::new(0)).collect(),
            openings: AtomicU64::new(0),
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
        self.inner.version(key).fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    /// Notes that `key` was hit, wherever it was found. Costs one load for a key that is asked for often.
    pub fn note_hit(&self, key: &CacheKey) {
        self.inner.shared.heat.note(key);
    }

    /// What is stored under `key`, with bodies that are still on disk. Blocks.
    #[must_use]
    pub fn get(&self, key: &CacheKey) -> OnDisk {
        let found = match self.inner.pending.get(key) {
            Some(Wanted::List(list)) => OnDisk::Found(list),
            Some(Wanted::Nothing) => OnDisk::Unknown,
            None => self.inner.read(key),
        };
        let counts = &self.inner.counts;
        let is_hit = matches!(found, OnDisk::Found(_));
        let counter = if is_hit { &counts.hits } else { &counts.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
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

    /// Reads `key` from disk.
    fn read(&self, key: &CacheKey) -> OnDisk {
        let Some(index) = self.index() else { return OnDisk::Unknown };
        let row = match index.get(&key_at(key)) {
            Ok(Some(row)) => row,
            Ok(None) => return OnDisk::Nothing,
            Err(error) => {
                self.on_index_error(&error);
                return OnDisk::Unknown;
            }
        };
        let row: Option<KeyRow> = unseal(&row);
        let list = row.map(|row| self.restore(&*index, key, &row));
        match list {
            Some(list) if !list.is_empty() => OnDisk::Found(list),
            // Nothing of it can be used, now or later.
            _ => {
                self.counts.unreadable.fetch_add(1, Ordering::Relaxed);
                self.want(*key, Wanted::Nothing, false);
                OnDisk::Unknown
            }
        }
    }

    fn restore(&self, index: &dyn Index, key: &CacheKey, row: &KeyRow) -> Variants {
        let mut found = Vec::new();
        for variant in &row.variants {
            let decoded =
                codec::decode(&variant.record, &*self.shared.bearings, &self.shared.reads);
            let Some((_, stored)) = decoded.filter(|(of, _)| of == key) else {
                self.counts.unreadable.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            self.fill_in(index, variant.at, &stored);
            found.push(Arc::new(stored));
        }
        Variants::restored(found)
    }

    /// Tells a body in slices which of them are here.
    fn fill_in(&self, index: &dyn Index, at: BodyAt, stored: &StoredResponse) {
        let (BodyAt::Slices { id, .. }, Body::OnDisk(body)) = (at, &stored.body) else { return };
        match writer::slices(&id, |from, below, limit| index.scan(from, below, limit)) {
            Ok(slices) => {
                for (slice, row) in slices {
                    body.put(slice, Digest::new(row.digest));
                }
            }
            Err(error) => self.on_index_error(&error),
        }
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
        stale::mark(&self.limits.folder);
        self.shared.bearings.note(DiskEvent::Stopped { why: why.to_owned() });
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
        let has_room = self.has_room(writer, bytes)?;
        let evicted = writer.make_room(bytes)?;
        writer.write_out()?;
        self.counts.evictions.fetch_add(evicted, Ordering::Relaxed);
        Ok(has_room)
    }

    /// Whether the file system has room for `bytes` more, if need be after evictions.
    ///
    /// # Errors
    ///
    /// The index failed: undo what is staged.
    pub(super) fn has_room(&self, writer: &mut Writer, bytes: u64) -> Result<bool, WriteError> {
        // Where the system does not say, the disk will.
        let is_there =
            || self.shared.bodies.space().map_or(true, |space| room::has_room(space, bytes));
        if is_there() {
            return Ok(true);
        }
        let evicted = writer.give_back(bytes)?;
        self.counts.evictions.fetch_add(evicted, Ordering::Relaxed);
        Ok(is_there())
    }

    fn stats(&self) -> DiskStats {
        let totals = self.writer.lock().as_ref().map(|writer| writer.totals).unwrap_or_default();
        let index = self.index();
        let (waiting_bytes, waiting_keys) = self.pending.waiting();
        let (damaged, missing, read_failures) = self.shared.reads.faults();
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        DiskStats {
            open: index.is_some(),
            writes_off: self.off_until.lock().is_some(),
            bytes: totals.bytes(),
            keys: totals.keys,
            files: totals.files,
            free_bytes: self.shared.bodies.space().map_or(0, |space| space.free),
            index_bytes: index.map_or(0, |index| index.bytes_on_disk()),
            waiting_bytes,
            waiting_keys: crate::response::length(waiting_keys),
            open_files: crate::response::length(self.shared.reads.open_files()),
            evictions: of(&counts.evictions),
            hits: of(&counts.hits),
            misses: of(&counts.misses),
            written: of(&counts.written),
            write_failures: of(&counts.write_failures),
            overflows: of(&counts.overflows),
            damaged,
            missing,
            read_failures,
            unreadable: of(&counts.unreadable),
            scrubbed_bytes: of(&counts.scrubbed_bytes),
            orphans: of(&counts.orphans),
        }
    }
}
