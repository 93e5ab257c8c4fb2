//! The thread that opens the index and writes changes.
//!
//! ```text
//! opening ──► open: changes in their order, a flush a second ──► closed: the rest, a last flush
//!    ▲            │ the index is damaged
//!    └────────────┘
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::bearings::DiskEvent;
use super::index::{self, IndexError, IndexLimits, OpenedState};
use super::pending::{Change, Wanted};
use super::tier::{Inner, Phase};
use super::writer::{WriteError, Writer};

/// Changes taken from the line together.
const TAKE: usize = 64;
/// How long the thread waits for a change before it looks at other things.
const IDLE: Duration = Duration::from_millis(100);
/// What was applied is made durable as often.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// The pause after a change that cannot be written in any way, and between tries to open the index.
const PAUSE: Duration = Duration::from_millis(500);
/// Indexes opened in one run of the node.
const OPENINGS_MAX: u32 = 8;
/// Part of the disk that is made free when the file system has no room.
const ROOM_PART: u64 = 64;

/// Opens and writes until the tier is closed.
pub(super) fn run(inner: &Inner) {
    let mut openings = 0;
    let mut flushed = Instant::now();
    let mut dirty = false;
    loop {
        if inner.index().is_none() && !inner.is_stopped() {
            if inner.pending.is_closed() {
                break;
            }
            openings += 1;
            open(inner, openings);
            continue;
        }
        let Some(changes) = inner.pending.next(TAKE, IDLE) else { break };
        remove_given_up(inner);
        dirty |= !changes.is_empty();
        if !bring_all(inner, &changes) && pause(inner) {
            break;
        }
        if dirty && flushed.elapsed() >= FLUSH_EVERY {
            flush(inner);
            (flushed, dirty) = (Instant::now(), false);
        }
    }
    remove_given_up(inner);
    flush(inner);
    *inner.writer.lock() = None;
    *inner.index.write() = None;
}

/// Opens the index; after too many tries the tier is stopped.
fn open(inner: &Inner, openings: u32) {
    if openings > OPENINGS_MAX {
        return inner.stop("the index was damaged again and again");
    }
    let began = Instant::now();
    *inner.writer.lock() = None;
    let limits =
        IndexLimits { memory_bytes: inner.limits.index_memory_bytes, ..IndexLimits::default() };
    let opened = match index::open(inner.limits.index, &inner.limits.folder, limits) {
        Ok(opened) => opened,
        Err(error) => {
            inner.writes_off(&error.to_string());
            set_phase(inner, Phase::Open);
            pause(inner);
            return;
        }
    };
    let index: Arc<dyn index::Index> = Arc::from(opened.index);
    let made = Writer::new(Arc::clone(&index), inner.shared.clone(), Arc::clone(&inner.limits));
    let Ok(writer) = made else {
        pause(inner);
        return;
    };
    if let OpenedState::SetAside { why } = opened.state {
        inner.shared.bearings.note(DiskEvent::IndexSetAside { why });
    }
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (keys, bytes) = (writer.totals.keys, writer.totals.bytes());
    inner.shared.bearings.note(DiskEvent::Opened { keys, bytes, took_ms });
    *inner.writer.lock() = Some(writer);
    *inner.index.write() = Some(index);
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
fn pause(inner: &Inner) -> bool {
    let mut phase = inner.phase.lock();
    let is_on = |phase: &mut Phase| *phase != Phase::Ending;
    inner.changed.wait_while_for(&mut phase, is_on, PAUSE);
    *phase == Phase::Ending
}

/// Brings changes to the disk; returns whether none failed that must not.
fn bring_all(inner: &Inner, changes: &[Change]) -> bool {
    let mut fine = true;
    for change in changes {
        fine &= bring(inner, change);
    }
    fine
}

/// Brings one change to the disk; one that fails is tried again as the wish to forget its key. Returns
/// whether it was more than such a wish.
fn bring(inner: &Inner, change: &Change) -> bool {
    let wanted = match &change.wanted {
        Wanted::List(_) if inner.may_write().is_err() => {
            inner.counts.write_failures.fetch_add(1, Relaxed);
            &Wanted::Nothing
        }
        wanted => wanted,
    };
    let mut guard = inner.writer.lock();
    let Some(writer) = guard.as_mut() else {
        inner.pending.failed(change);
        return false;
    };
    let result = writer.write(&change.key, wanted).and_then(|()| writer.make_room(0));
    match result {
        Ok(evicted) => {
            inner.counts.evictions.fetch_add(evicted, Relaxed);
            inner.counts.written.fetch_add(1, Relaxed);
            inner.pending.done(change);
            true
        }
        Err(error) => {
            on_failure(inner, writer, &error);
            drop(guard);
            inner.pending.failed(change);
            matches!(wanted, Wanted::List(_))
        }
    }
}

fn on_failure(inner: &Inner, writer: &mut Writer, error: &WriteError) {
    let is_full = match error {
        WriteError::Body(error) => error.kind() == std::io::ErrorKind::StorageFull,
        WriteError::Index(IndexError::Full { .. }) => true,
        WriteError::Index(error) => {
            inner.on_index_error(error);
            false
        }
    };
    let why =
        std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    inner.writes_off(&why);
    if writer.reload().is_ok() && is_full {
        // Somebody else may fill the disk, too: what is here makes some room, though not all.
        let room = inner.limits.bytes_max.saturating_sub(writer.totals.bytes());
        let more = writer.totals.bytes().checked_div(ROOM_PART).unwrap_or(0);
        if let Ok(evicted) = writer.make_room(room.saturating_add(more)) {
            inner.counts.evictions.fetch_add(evicted, Relaxed);
        }
    }
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
    }
}
