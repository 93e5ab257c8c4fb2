//! The thread that opens the index and writes changes.
//!
//! ```text
//! opening ──► open: changes in their order, a flush a second ──► closed: the rest, a last flush
//!    ▲            │ the index is damaged
//!    └────────────┘
//! ```

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::bearings::DiskEvent;
use super::evict::Gone;
use super::index::{self, IndexError, IndexLimits, OpenedState};
use super::pending::{Change, Wanted};
use super::rebuild::{self, Changed};
use super::tier::{Inner, NO_ROOM, Phase};
use super::writer::{WriteError, Writer};

/// How long the thread waits for a change before it looks at other things.
const IDLE: Duration = Duration::from_millis(100);
/// How long it waits for more changes once there is one.
const GATHER: Duration = Duration::from_millis(20);
/// What was applied is made durable as often.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// The pause after a change that cannot be written in any way, and between tries to open the index.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two openings of an index that is damaged again and again.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// An index that was fine for so long is opened at once if it is damaged then.
const FINE_AFTER: Duration = Duration::from_secs(600);

/// Opens and writes until the tier is closed.
pub(super) fn run(inner: &Inner) {
    let mut openings = Openings::default();
    let mut flushed = Instant::now();
    let mut dirty = false;
    loop {
        if inner.index().is_none() && !inner.is_stopped() {
            if inner.pending.is_closed() {
                break;
            }
            if openings.wait(inner) {
                break;
            }
            open(inner);
            continue;
        }
        let Some(changes) = inner.pending.next(IDLE, GATHER) else { break };
        remove_given_up(inner);
        dirty |= !changes.is_empty();
        if !bring_all(inner, &changes) && pause(inner, PAUSE) {
            break;
        }
        inner.pay();
        if dirty && flushed.elapsed() >= FLUSH_EVERY {
            flush(inner);
            (flushed, dirty) = (Instant::now(), false);
        }
    }
    remove_given_up(inner);
    flush(inner);
    if inner.pending.waiting().1 > 0 {
        inner.owe();
    }
    *inner.writer.lock() = None;
    *inner.index.write() = None;
}

/// How often the index had to be opened of late.
#[derive(Default)]
struct Openings {
    count: u32,
    last: Option<Instant>,
}

impl Openings {
    /// Waits before the next one, the longer the more there were; returns whether the tier ends meanwhile.
    fn wait(&mut self, inner: &Inner) -> bool {
        if self.last.is_some_and(|last| last.elapsed() > FINE_AFTER) {
            self.count = 0;
        }
        let doublings = self.count.saturating_sub(1).min(16);
        let time = PAUSE.saturating_mul(1 << doublings).min(PAUSE_MAX);
        let is_ending = self.count > 0 && pause(inner, time);
        self.count = self.count.saturating_add(1);
        self.last = Some(Instant::now());
        is_ending
    }
}

/// Opens the index.
fn open(inner: &Inner) {
    let began = Instant::now();
    *inner.writer.lock() = None;
    inner.shared.present.doubt();
    let limits =
        IndexLimits { memory_bytes: inner.limits.index_memory_bytes, ..IndexLimits::default() };
    let opened = match index::open(inner.limits.index, &inner.limits.folder, limits) {
        Ok(opened) => opened,
        Err(error) => {
            inner.writes_off(&error.to_string());
            // Nobody waits for it any more.
            set_phase(inner, Phase::Open);
            return;
        }
    };
    let index: Arc<dyn index::Index> = Arc::from(opened.index);
    let made = Writer::new(Arc::clone(&index), inner.shared.clone(), Arc::clone(&inner.limits));
    let Ok(mut writer) = made else { return };
    // A kill may have undone all of one that was kept.
    let is_empty = opened.state != OpenedState::Kept || writer.totals.keys == 0;
    if let OpenedState::SetAside { why } = opened.state {
        inner.shared.bearings.note(DiskEvent::IndexSetAside { why });
    }
    if is_empty && let Err(error) = rebuild::begin(&mut writer) {
        // Without that note the files of what is stored could be taken for nobody's.
        inner.on_index_error(&error);
        inner.writes_off(&error.to_string());
        return;
    }
    writer.changed = rebuild::is_noted(&writer).unwrap_or(true).then(Changed::default);
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (keys, bytes) = (writer.totals.keys, writer.totals.bytes());
    inner.shared.bearings.note(DiskEvent::Opened { keys, bytes, took_ms });
    *inner.writer.lock() = Some(writer);
    *inner.index.write() = Some(index);
    if inner.is_stopped() {
        *inner.index.write() = None;
    }
    inner.opened();
    set_phase(inner, Phase::Open);
}

fn set_phase(inner: &Inner, to: Phase) {
    let mut phase = inner.phase.lock();
    if *phase != Phase::Ending {
        *phase = to;
    }
    inner.changed.notify_all();
}

/// Waits a moment; returns whether the tier ends meanwhile.
fn pause(inner: &Inner, time: Duration) -> bool {
    let mut phase = inner.phase.lock();
    let is_on = |phase: &mut Phase| *phase != Phase::Ending;
    inner.changed.wait_while_for(&mut phase, is_on, time);
    *phase == Phase::Ending
}

/// Brings changes to the disk, together if that works, else one by one; returns whether none failed that
/// must not.
fn bring_all(inner: &Inner, changes: &[Change]) -> bool {
    if changes.len() > 1 && bring_together(inner, changes).is_ok() {
        return true;
    }
    let mut fine = true;
    for change in changes {
        fine &= bring(inner, change);
    }
    fine
}

/// Changes were not brought together: each has to be looked at.
struct Apart;

/// Brings changes to the disk in one commit, if none of them meets anything unusual.
fn bring_together(inner: &Inner, changes: &[Change]) -> Result<(), Apart> {
    let mut guard = inner.writer.lock();
    let writer = guard.as_mut().ok_or(Apart)?;
    let may_write = inner.may_write().is_ok();
    let has_list = changes.iter().any(|change| matches!(change.wanted, Wanted::List(_)));
    if has_list && !may_write {
        return Err(Apart);
    }
    let bytes = changes.iter().map(|change| change.wanted.bytes()).sum();
    let mut gone = Gone::default();
    let mut brought = || {
        writer.refresh()?;
        if has_list && !inner.find_room(writer, bytes)? {
            return Ok(false);
        }
        for change in changes {
            gone.add(write(writer, change, &change.wanted)?);
        }
        writer.write_out()?;
        Ok::<_, WriteError>(true)
    };
    if !matches!(brought(), Ok(true)) {
        // What is wrong shows again when they are brought one by one.
        drop(writer.undo());
        return Err(Apart);
    }
    drop(guard);
    inner.counts.went(gone);
    inner.counts.written.fetch_add(crate::response::length(changes.len()), Relaxed);
    changes.iter().for_each(|change| inner.pending.done(change));
    if has_list {
        inner.writes_on();
    }
    Ok(())
}

/// Brings one change to the disk; one that fails is tried again as the wish to forget its key. Returns
/// whether it was more than such a wish.
fn bring(inner: &Inner, change: &Change) -> bool {
    let mut guard = inner.writer.lock();
    let Some(writer) = guard.as_mut() else {
        inner.owe();
        inner.pending.failed(change);
        return false;
    };
    let wanted = match &change.wanted {
        Wanted::List(list) if !may_write(inner, writer, change) => {
            inner.counts.write_failures.fetch_add(1, Relaxed);
            if writer.may_stand_for(&change.key, list) {
                inner.pending.done(change);
                return true;
            }
            &Wanted::Nothing
        }
        wanted => wanted,
    };
    match bring_one(inner, writer, (change, wanted)) {
        Ok(gone) => {
            inner.counts.went(gone);
            inner.counts.written.fetch_add(1, Relaxed);
            inner.pending.done(change);
            if matches!(wanted, Wanted::List(_)) {
                inner.writes_on();
            }
            true
        }
        Err(error) => {
            on_failure(inner, writer, &error);
            let stands = match wanted {
                Wanted::List(list) => writer.may_stand_for(&change.key, list),
                Wanted::Nothing => false,
            };
            drop(guard);
            if stands {
                inner.pending.done(change);
            } else {
                inner.owe();
                inner.pending.failed(change);
            }
            matches!(wanted, Wanted::List(_))
        }
    }
}

/// Whether the bodies of a change may be written now.
fn may_write(inner: &Inner, writer: &mut Writer, change: &Change) -> bool {
    if inner.may_write().is_err() {
        return false;
    }
    match inner.find_room(writer, change.wanted.bytes()) {
        Ok(true) => true,
        Ok(false) => {
            inner.writes_off(NO_ROOM);
            false
        }
        Err(error) => {
            on_failure(inner, writer, &error);
            false
        }
    }
}

/// Writes one change, once more after evictions where the disk is full; returns how many keys went.
fn bring_one(
    inner: &Inner,
    writer: &mut Writer,
    (change, wanted): (&Change, &Wanted),
) -> Result<Gone, WriteError> {
    let write_it = |writer: &mut Writer| {
        writer.refresh()?;
        let gone = write(writer, change, wanted)?;
        writer.write_out()?;
        Ok::<_, WriteError>(gone)
    };
    let error = match write_it(writer) {
        Ok(gone) => return Ok(gone),
        Err(error) => error,
    };
    let is_list = matches!(wanted, Wanted::List(_));
    if is_list && is_full(&error) && writer.undo().is_ok() {
        let gone = writer.give_back(change.wanted.bytes())?;
        inner.counts.went(gone);
        if gone.evicted > 0 {
            return write_it(writer);
        }
    }
    Err(error)
}

/// Stages one change, and evictions that make room for it; returns how many keys those are.
fn write(writer: &mut Writer, change: &Change, wanted: &Wanted) -> Result<Gone, WriteError> {
    writer.write(&change.key, wanted)?;
    writer.make_room(0, Some(&change.key))
}

fn is_full(error: &WriteError) -> bool {
    match error {
        WriteError::Body(error) => {
            matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
        }
        WriteError::Index(error) => matches!(error, IndexError::Full { .. }),
    }
}

fn on_failure(inner: &Inner, writer: &mut Writer, error: &WriteError) {
    if let WriteError::Index(error) = error {
        inner.on_index_error(error);
    }
    let why =
        std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    inner.writes_off(&why);
    // Where the index cannot be read, nothing is written.
    drop(writer.undo());
}

/// Removes the files of bodies that were given up.
fn remove_given_up(inner: &Inner) {
    let files = inner.shared.reads.loose.take_given_up();
    if files.is_empty() {
        return;
    }
    let guard = inner.writer.lock();
    let Some(writer) = guard.as_ref() else { return };
    for digest in &files {
        if writer.is_used(digest).is_ok_and(|used| !used) {
            writer.unlink(digest);
        }
    }
}

fn flush(inner: &Inner) {
    let Some(index) = inner.index() else { return };
    if let Err(error) = index.flush() {
        inner.on_index_error(&error);
        inner.writes_off(&error.to_string());
        return;
    }
    if inner.may_write().is_ok()
        && let Ok(space) = inner.shared.bodies.space()
        && let Some(writer) = inner.writer.lock().as_mut()
    {
        writer.room = writer.room.and_then(|room| room.wider(space));
    }
}
