//! The thread that looks through the files when there is nothing else to do.
//!
//! First: every row is looked at, so that it is known which keys are not there; the index is built anew from what the
//! files say of themselves, if it was lost; files that no row names are removed, unless they are so many that it is
//! the index which is wrong. Then, for ever and slowly: files are compared with their digests, so that damage is found
//! before somebody asks. All of that begins anew when the index is found damaged and another opened.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::bearings::DiskEvent;
use super::bodies::{Bodies, BodyError, Digest, FoundBody, Scrubbed, Scrubber};
use super::codec;
use super::index::IndexError;
use super::rebuild;
use super::rows::{key_of, keys_from_to};
use super::tier::{Inner, Phase};

/// Files looked at together.
const LOOK: NonZeroUsize = NonZeroUsize::new(128).expect("not zero");
/// Rows looked at together.
const LEARN: usize = 512;
/// The pause between looks at names, so that others get the disk and the writer.
const REST: Duration = Duration::from_millis(5);
/// Files that no row names remembered at most.
const UNNAMED_MAX: usize = 65_536;
/// So many of them say nothing of the index.
const UNNAMED_FEW: u64 = 64;
/// One in so many of all files says that it has lost rows.
const UNNAMED_PART: u64 = 5;
/// The shortest time between two rounds of the scrubber.
const ROUND_MIN: Duration = Duration::from_secs(3_600);

/// Sweeps until the tier is closed, from the beginning whenever an index is opened.
pub(super) fn run(inner: &Inner) {
    let mut opening = 0;
    while let Some(opened) = wait_open(inner, opening) {
        opening = opened;
        if learn(inner, opening) && tidy(inner, opening) {
            go_round(inner, opening);
        }
    }
}

/// Compares files with their digests, round after round, until the tier ends or another index is opened.
fn go_round(inner: &Inner, opening: u64) {
    loop {
        let began = Instant::now();
        let is_over = inner.limits.scrub_bytes_per_second > 0 && !scrub(inner, opening);
        let is_over = is_over
            || rest(inner, opening, ROUND_MIN.saturating_sub(began.elapsed()))
            || !learn(inner, opening);
        if is_over {
            return;
        }
    }
}

/// Looks at every row once, unless that was done since the engine was opened, so that keys that are not there need not
/// be looked up. `false` if the tier ended, or another index was opened, meanwhile.
fn learn(inner: &Inner, opening: u64) -> bool {
    let Some(index) = inner.index() else { return true };
    let (openings, present) = (index.openings(), &inner.shared.present);
    if present.is_whole(openings) {
        return true;
    }
    {
        // Whoever writes stages nothing without this lock.
        let _writer = inner.writer.lock();
        present.forget_all();
    }
    let (mut from, below) = keys_from_to();
    loop {
        let Ok(rows) = index.scan(&from, &below, LEARN) else { return true };
        rows.iter().filter_map(|(at, _)| key_of(at)).for_each(|key| present.came(&key));
        match rows.into_iter().nth(LEARN.saturating_sub(1)) {
            Some((last, _)) => from = [last.as_slice(), &[0]].concat(),
            None => break,
        }
        if rest(inner, opening, REST) {
            return false;
        }
    }
    let _writer = inner.writer.lock();
    if inner.index().is_some_and(|current| Arc::ptr_eq(&current, &index)) {
        present.knows_all(openings);
    }
    true
}

/// Waits until an index is open that was opened after the one of number `opening`; its number, or `None` if
/// the tier ends before.
fn wait_open(inner: &Inner, opening: u64) -> Option<u64> {
    let mut phase = inner.phase.lock();
    inner.changed.wait_while(&mut phase, |phase| {
        *phase == Phase::Opening || (*phase == Phase::Open && inner.opening() == opening)
    });
    (*phase == Phase::Open).then(|| inner.opening())
}

/// Waits; returns whether the tier ends, or another index is opened, meanwhile.
fn rest(inner: &Inner, opening: u64, time: Duration) -> bool {
    let mut phase = inner.phase.lock();
    let goes_on = |phase: &Phase| *phase != Phase::Ending && inner.opening() == opening;
    inner.changed.wait_while_for(&mut phase, |phase| goes_on(phase), time);
    !goes_on(&phase)
}

/// Builds the index anew where it began empty, and removes files that nobody uses. `false` if the tier
/// ended, or another index was opened, meanwhile.
fn tidy(inner: &Inner, opening: u64) -> bool {
    let Ok(rebuild) = rebuild::is_due(inner) else { return true };
    let mut found: u64 = 0;
    let mut is_whole = true;
    let mut unnamed = Unnamed::default();
    let mut cursor = None;
    // A disk that cannot be read is met by others, who say so.
    while let Ok((files, next)) = inner.shared.bodies.walk(cursor, LOOK) {
        for file in &files {
            match tidy_one(inner, file, rebuild) {
                Ok(Tidied::Named) => unnamed.files = unnamed.files.saturating_add(1),
                Ok(Tidied::Found(more)) => found = found.saturating_add(more),
                Ok(Tidied::Unnamed) => unnamed.add(&file.digest),
                Err(error) => {
                    // Whoever looks again does so with an index that can be read.
                    inner.on_index_error(&error);
                    is_whole = false;
                }
            }
        }
        if rest(inner, opening, REST) {
            return false;
        }
        match next {
            Some(_) => cursor = next,
            None => {
                if rebuild && is_whole {
                    rebuild::end(inner);
                }
                if !rebuild && unnamed.are_too_many() {
                    distrust(inner);
                } else {
                    remove(inner, &unnamed.digests);
                }
                break;
            }
        }
    }
    if found > 0 {
        inner.shared.bearings.note(DiskEvent::Rebuilt { found });
    }
    true
}

/// Files that no row names, of all that were looked at.
#[derive(Default)]
struct Unnamed {
    digests: Vec<Digest>,
    files: u64,
}

impl Unnamed {
    fn add(&mut self, digest: &Digest) {
        self.files = self.files.saturating_add(1);
        // Those beyond stay for the next start.
        if self.digests.len() < UNNAMED_MAX {
            self.digests.push(*digest);
        }
    }

    /// Whether they are so many that the index must have lost rows. A kill leaves those of its last second.
    fn are_too_many(&self) -> bool {
        let unnamed = crate::response::length(self.digests.len());
        unnamed > UNNAMED_FEW && unnamed.saturating_mul(UNNAMED_PART) > self.files
    }
}

/// Has an index that does not name what it should set aside, and built anew from the files.
fn distrust(inner: &Inner) {
    let why = "it does not name files that are there";
    if let Some(index) = inner.index() {
        index.distrust(why);
    }
    inner.on_index_error(&IndexError::Damaged { why: why.to_owned() });
}

/// Removes files that nobody uses.
fn remove(inner: &Inner, files: &[Digest]) {
    for digest in files {
        let guard = inner.writer.lock();
        let Some(writer) = guard.as_ref() else { return };
        if writer.is_used(digest).is_ok_and(|used| !used) {
            writer.unlink(digest);
            inner.counts.orphans.fetch_add(1, Relaxed);
        }
    }
}

/// What a file turned out to be.
enum Tidied {
    /// A row names it, or it is left alone.
    Named,
    /// It belongs to so many stored responses that were taken in.
    Found(u64),
    /// Nobody's.
    Unnamed,
}

/// Sees to one file.
fn tidy_one(inner: &Inner, file: &FoundBody, rebuild: bool) -> Result<Tidied, IndexError> {
    let mut guard = inner.writer.lock();
    let Some(writer) = guard.as_mut() else { return Ok(Tidied::Named) };
    if writer.is_used(&file.digest)? {
        return Ok(Tidied::Named);
    }
    let mut found = 0;
    match &file.contents {
        Ok(contents) if rebuild => {
            writer.refresh()?;
            for record in &contents.records {
                let Some((slice, record)) = codec::split_file_record(record) else { continue };
                let content = (&file.digest, contents.length, slice);
                if let Some(key) = rebuild::take_in(writer, content, record)? {
                    // Who has not found it before is to look again.
                    inner.changing(&key);
                    found += 1;
                }
            }
            if let Err(error) = writer.write_out() {
                drop(writer.undo());
                return Err(error);
            }
        }
        // The disk may only be slow to answer; the next start looks again.
        Err(BodyError::Io { .. }) => return Ok(Tidied::Named),
        Ok(_) | Err(_) => {}
    }
    Ok(if found == 0 { Tidied::Unnamed } else { Tidied::Found(found) })
}

/// Compares every file with its digest, no faster than the limit. `false` if the tier ended, or another index
/// was opened, meanwhile.
fn scrub(inner: &Inner, opening: u64) -> bool {
    let mut scrubber = Scrubber::new(Bodies::clone(&inner.shared.bodies), None);
    loop {
        match scrubber.step() {
            Ok(Some(scrubbed)) => {
                if rest(inner, opening, take(inner, &scrubbed)) {
                    return false;
                }
            }
            Ok(None) | Err(_) => return true,
        }
    }
}

/// Sees to a file that was compared; returns how long to rest after it.
fn take(inner: &Inner, scrubbed: &Scrubbed) -> Duration {
    inner.counts.scrubbed_bytes.fetch_add(scrubbed.bytes, Relaxed);
    if let Err(BodyError::Damaged { .. }) = scrubbed.result {
        inner.shared.reads.on_damage(&scrubbed.digest);
    }
    let per_second = inner.limits.scrub_bytes_per_second.max(1);
    let micros = scrubbed.bytes.saturating_mul(1_000_000).checked_div(per_second).unwrap_or(0);
    Duration::from_micros(micros)
}
