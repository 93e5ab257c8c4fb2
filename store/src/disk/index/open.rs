//! How does an index come to be open, whatever lies in its folder?
//!
//! What cannot be opened, or not in time, is set aside, and an empty index takes its place. Only
//! what the machine refuses - room, permissions, descriptors - is an error, since an index must not
//! be thrown away for that.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::deadline::{NoResult, run_within};
use super::engine::{Engine, open_file};
use super::error::Failure;
use super::folder::Folder;
use super::guard::{Guarded, Opening};
use super::redb_engine::RedbEngine;
use super::sled_engine::SledEngine;
use super::{Index, IndexKind, IndexLimits, IndexOpenError};

/// An index that is open, and what was found in its folder.
pub struct Opened {
    /// The index.
    pub index: Box<dyn Index>,
    /// What it begins with.
    pub state: OpenedState,
}

/// What an index begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenedState {
    /// Nothing: there was none of this kind.
    Empty,
    /// What was there. Whether that was all there should be, such as after a start in which it was
    /// to be filled anew and that a kill has ended, is for the caller to note in it.
    Kept,
    /// Nothing: what was there was not usable and lies in the folder `bad`.
    SetAside {
        /// What was wrong with it, for a log.
        why: String,
    },
}

/// Opens the index of this `kind` in `folder`, or makes an empty one. Both are made if need be.
///
/// The caller sees to it that nobody else has the folder. An index of another kind that lies in it
/// is removed: it would grow old unseen, and be believed when the kind is changed back. Takes what
/// the engine takes to open, at most `limits.open_within` and the time to make an empty index.
///
/// # Errors
///
/// [`IndexOpenError`]: the machine refuses. That an index was set aside is no error.
pub fn open(kind: IndexKind, folder: &Path, limits: IndexLimits) -> Result<Opened, IndexOpenError> {
    let folder = Folder::new(folder, kind);
    folder.prepare()?;
    let next_generation = folder.next_generation();
    if !folder.has_index() {
        let index = first(&folder, limits, next_generation)?;
        return Ok(Opened { index, state: OpenedState::Empty });
    }
    let failure = if folder.is_trusted() {
        match guarded(&folder, limits, folder.generation()) {
            Ok(index) => return Ok(Opened { index, state: OpenedState::Kept }),
            Err(failure) => failure,
        }
    } else {
        Failure::Damaged("something went wrong when it was last used".to_owned())
    };
    if failure.may_pass() {
        return Err(refused(&folder, failure));
    }
    folder.set_aside()?;
    let index = first(&folder, limits, next_generation)?;
    Ok(Opened { index, state: OpenedState::SetAside { why: failure.why() } })
}

/// Makes an empty index.
fn first(
    folder: &Folder,
    limits: IndexLimits,
    generation: u64,
) -> Result<Box<dyn Index>, IndexOpenError> {
    let made = folder.make().map_err(Failure::Io).and_then(|()| {
        let index = guarded(folder, limits, generation)?;
        folder.made().map_err(Failure::Io)?;
        Ok(index)
    });
    made.map_err(|failure| {
        // Should it stay, the next start removes it.
        drop(folder.unmake());
        refused(folder, failure)
    })
}

fn guarded(
    folder: &Folder,
    limits: IndexLimits,
    generation: u64,
) -> Result<Box<dyn Index>, Failure> {
    let opening = opening(folder.clone(), limits, generation);
    let engine = opening()?;
    Ok(Box::new(Guarded::new(folder.clone(), limits, opening, engine)))
}

/// How the engine is opened, now and whenever the disk has failed it.
fn opening(folder: Folder, limits: IndexLimits, generation: u64) -> Opening {
    let within = limits.open_within;
    match folder.kind() {
        IndexKind::Redb => Box::new(move || {
            // Opened by name here, so that a thread that comes late meets the file it was given.
            let file = open_file(&folder.index(), true).map_err(Failure::from_io)?;
            let bytes = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX);
            finished(run_within(within, move || Ok(boxed(RedbEngine::open(file, bytes)?))), &limits)
        }),
        IndexKind::Sled => Box::new(move || {
            folder.clean_generation(generation).map_err(Failure::Io)?;
            let path = folder.generation_path(generation);
            DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(Failure::Io)?;
            let bytes = limits.memory_bytes;
            // Whether it is in use must be known before it is late.
            let open = move || Ok(boxed(SledEngine::open(&path, bytes, within / 2)?));
            finished(run_within(within, open), &limits)
        }),
    }
}

fn boxed(engine: impl Engine + 'static) -> Box<dyn Engine> {
    Box::new(engine)
}

fn finished(
    result: Result<Result<Box<dyn Engine>, Failure>, NoResult>,
    limits: &IndexLimits,
) -> Result<Box<dyn Engine>, Failure> {
    match result {
        Ok(opened) => opened,
        Err(NoResult::Late) => Err(Failure::Late(limits.open_within)),
        Err(NoResult::NoThread(error)) => Err(Failure::Io(error)),
        Err(NoResult::Panicked(why)) => Err(Failure::Damaged(why)),
    }
}

fn refused(folder: &Folder, failure: Failure) -> IndexOpenError {
    match failure {
        Failure::InUse => IndexOpenError::InUse { folder: folder.path().to_owned() },
        Failure::Io(source) => IndexOpenError::io("open", folder.index(), source),
        failure => IndexOpenError::Engine { why: failure.why() },
    }
}
