//! The file of what a node has applied: is it whole, and what if it cannot be?
//!
//! All of this blocks on the disk.
//!
//! # Invariants
//!
//! 1. A file that is there is whole: everything that this node has said to have applied can be worked out
//!    from it, or is older than what it begins with.
//! 2. So a file that could not be written is taken away, which works on a full disk too. While that
//!    cannot be done either, the node *owes* it, and says to nobody that it has applied anything.
//! 3. A file that is made anew begins where the node stands: what is older is not known one by one.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_cache::Timestamp;
use weir_cache::purge::{AsOf, Epoch, Ledger};
use weir_store::{Born, Faults, LogFile, LogOpenError, Recovered};

use super::line::Line;
use crate::purge::authority::fresh_epoch;

/// Bytes of lines that are kept when there are more; what they say is not known after a restart.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Lines that nobody needs from which on they are worth being taken out, if they are as many as the rest.
const DEAD_MIN: usize = 1_024;
/// Pause before a file that could not be written is made anew.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How things stand with the file.
#[derive(Debug)]
pub(super) enum Paper {
    /// There is none, and a next run will know that it knows nothing. Not tried again before then.
    Gone(Timestamp),
    /// The node has no folder for it, or has let go of it.
    None,
    /// There may be one that is not whole. The file in hand, unless it is lost.
    Owed(Option<LogFile>),
    /// It says all that has been applied.
    Whole(LogFile),
}

/// The file, or its absence.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    faults: Option<Faults>,
    pub(super) paper: Paper,
    /// The life of the log that the newest lines are about.
    epoch: Option<Epoch>,
    /// What the newest line says to have met, if it does.
    pub(super) met: Option<(AsOf, [u8; 32])>,
    /// The lines about it at the end of the file: the number in the log, and the bytes of each.
    lines: VecDeque<(u64, u64)>,
}

/// A file that can be written, what it says, each line with its bytes, and why one before is not believed.
type Read = (LogFile, Vec<(Line, u64)>, Option<Unread>);

/// What was wrong with a file that is not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("it was damaged, and lies in {} now", aside.display())]
    Damaged { aside: PathBuf, source: weir_store::Damage },
    #[error("it was not written by this version, and lies in {} now", aside.display())]
    Foreign { aside: PathBuf },
    #[error("it could not be read, and was removed")]
    Unreadable(#[from] LogOpenError),
}

/// Why what was applied is not in the file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    #[error(transparent)]
    Append(#[from] weir_store::LogAppendError),
    #[error("a line cannot be written as bytes")]
    Encode(#[from] postcard::Error),
    #[error(transparent)]
    Open(#[from] LogOpenError),
    #[error("the thread that wrote has ended")]
    Lost,
}

impl Kept {
    /// That of a node without a folder.
    pub(super) fn none() -> Self {
        Self {
            folder: PathBuf::new(),
            faults: None,
            paper: Paper::None,
            epoch: None,
            met: None,
            lines: VecDeque::new(),
        }
    }

    /// Opens the file in `folder`, or makes one; returns what it says, and why a file that was there is
    /// not believed.
    ///
    /// # Errors
    ///
    /// [`LogOpenError`]: the folder is in use or cannot be written.
    pub(super) fn open(
        folder: &Path,
        faults: Option<Faults>,
    ) -> Result<(Self, Ledger, Option<Unread>), LogOpenError> {
        let mut kept = Self { folder: folder.to_owned(), faults, ..Self::none() };
        let (log, lines, unread) = match kept.read() {
            Ok(read) => read,
            Err(error @ LogOpenError::InUse { .. }) => return Err(error),
            Err(error) => {
                let unread = kept.clear(error)?;
                (kept.open_log()?.0, Vec::new(), Some(unread))
            }
        };
        let mut ledger = Ledger::new();
        for (line, bytes) in &lines {
            line.recall(&mut ledger);
            kept.note(line, *bytes);
        }
        kept.paper = Paper::Whole(log);
        Ok((kept, ledger, unread))
    }

    /// Reads the file, or sets it aside and makes another.
    fn read(&self) -> Result<Read, LogOpenError> {
        let (mut log, recovered) = self.open_log()?;
        if let Born::Replaced { why, set_aside } = recovered.born {
            return Ok((log, Vec::new(), Some(Unread::Damaged { aside: set_aside, source: why })));
        }
        let decoded: Option<Vec<_>> = recovered
            .entries
            .iter()
            .map(|(_, bytes)| Some((Line::decode(bytes)?, bytes.len() as u64)))
            .collect();
        if let Some(lines) = decoded {
            return Ok((log, lines, None));
        }
        let aside = log.set_aside().map_err(|source| self.failed("set aside", source))?;
        drop(log);
        Ok((self.open_log()?.0, Vec::new(), Some(Unread::Foreign { aside })))
    }

    fn open_log(&self) -> Result<(LogFile, Recovered), LogOpenError> {
        let fresh = || fresh_epoch().get();
        let open = |epoch| match &self.faults {
            Some(faults) => LogFile::open_with_faults(&self.folder, epoch, faults),
            None => LogFile::open(&self.folder, epoch),
        };
        match open(fresh()) {
            Err(LogOpenError::EpochTaken { epoch }) => open(epoch.wrapping_add(1)),
            opened => opened,
        }
    }

    /// Takes away a file that cannot be opened.
    fn clear(&self, error: LogOpenError) -> Result<Unread, LogOpenError> {
        let path = self.path();
        if let LogOpenError::OtherFormat { .. } = error {
            let aside = self.folder.join("purge.log.other-format");
            std::fs::rename(&path, &aside).map_err(|source| self.failed("set aside", source))?;
            return Ok(Unread::Foreign { aside });
        }
        match remove(&self.folder) {
            Ok(()) => Ok(Unread::Unreadable(error)),
            // What was wrong first says more than this.
            Err(_) => Err(error),
        }
    }

    fn failed(&self, what: &'static str, source: std::io::Error) -> LogOpenError {
        LogOpenError::Io { what, path: self.path(), source }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("purge.log")
    }

    /// Writes down what is about to be applied by a node that stands at `before`.
    ///
    /// # Errors
    ///
    /// [`Unwritten`], once for each file: from then on there is none, or one is owed.
    pub(super) fn write(
        &mut self,
        lines: &[Line],
        before: Option<AsOf>,
        now: Timestamp,
    ) -> Result<(), Unwritten> {
        self.mend(before, now)?;
        let Paper::Whole(log) = &mut self.paper else { return Ok(()) };
        match append(log, lines) {
            Ok(bytes) => {
                for (line, bytes) in lines.iter().zip(bytes) {
                    self.note(line, bytes);
                }
                Ok(())
            }
            Err(error) => {
                self.give_up(now);
                Err(error)
            }
        }
    }

    /// Does what is owed, and makes a file anew where there is none, if it is time.
    pub(super) fn mend(&mut self, at: Option<AsOf>, now: Timestamp) -> Result<(), Unwritten> {
        if matches!(self.paper, Paper::Owed(_)) {
            self.give_up(now);
        }
        if matches!(self.paper, Paper::Gone(until) if now >= until) {
            return self.make_anew(at, now);
        }
        Ok(())
    }

    fn make_anew(&mut self, at: Option<AsOf>, now: Timestamp) -> Result<(), Unwritten> {
        self.paper = Paper::Owed(None);
        let (mut log, _none) = match self.open_log() {
            Ok(opened) => opened,
            Err(error) => {
                self.give_up(now);
                return Err(error.into());
            }
        };
        let joined: Vec<Line> = at.map(Line::Joined).into_iter().collect();
        // Nothing that it might say already is about what this node has applied.
        let written =
            if log.last_seq() == 0 { append(&mut log, &joined) } else { Err(Unwritten::Lost) };
        match written {
            Ok(bytes) => {
                for (line, bytes) in joined.iter().zip(bytes) {
                    self.note(line, bytes);
                }
                self.paper = Paper::Whole(log);
                Ok(())
            }
            Err(error) => {
                self.paper = Paper::Owed(Some(log));
                self.give_up(now);
                Err(error)
            }
        }
    }

    /// Takes the file away, or owes it.
    pub(super) fn give_up(&mut self, now: Timestamp) {
        (self.epoch, self.lines) = (None, VecDeque::new());
        let log = match std::mem::replace(&mut self.paper, Paper::Owed(None)) {
            Paper::Whole(log) => Some(log),
            Paper::Owed(log) => log,
            Paper::Gone(_) | Paper::None => None,
        };
        self.paper = match log {
            Some(mut log) => match log.remove() {
                Ok(()) => Paper::Gone(now.saturating_add(TRY_AGAIN_AFTER)),
                Err(_) => Paper::Owed(Some(log)),
            },
            None => match remove(&self.folder) {
                Ok(()) => Paper::Gone(now.saturating_add(TRY_AGAIN_AFTER)),
                Err(_) => Paper::Owed(None),
            },
        };
    }

    /// Whether nobody may be told that anything has been applied.
    pub(super) fn is_owed(&self) -> bool {
        matches!(self.paper, Paper::Owed(_))
    }

    /// Takes out what nobody needs that knows the entries past `since` one by one.
    ///
    /// # Errors
    ///
    /// [`Unwritten`]; as for [`Kept::write`].
    pub(super) fn tidy(&mut self, since: Option<AsOf>, now: Timestamp) -> Result<(), Unwritten> {
        let Paper::Whole(log) = &mut self.paper else { return Ok(()) };
        let first = log.last_seq().saturating_add(1).saturating_sub(self.lines.len() as u64);
        let dead = dead(&self.lines, since.filter(|at| Some(at.epoch) == self.epoch), BYTES_MAX);
        let keep_from = first.saturating_add(dead as u64);
        let dead_in_file = keep_from.saturating_sub(log.first_seq());
        let alive = log.last_seq().saturating_add(1).saturating_sub(keep_from);
        let is_worth_it = dead_in_file >= (DEAD_MIN as u64).max(alive) || log.bytes() > BYTES_MAX;
        if dead_in_file == 0 || !is_worth_it {
            return Ok(());
        }
        self.lines.drain(..dead);
        if let Err(error) = log.compact(keep_from) {
            self.give_up(now);
            return Err(error.into());
        }
        Ok(())
    }

    fn note(&mut self, line: &Line, bytes: u64) {
        let at = line.at();
        if matches!(line, Line::Joined(_)) || self.epoch != Some(at.epoch) {
            self.lines.clear();
            self.epoch = Some(at.epoch);
        }
        self.met = if let Line::Met(at, mark) = line { Some((*at, *mark)) } else { None };
        self.lines.push_back((at.seq, bytes));
    }
}

/// How many of the oldest `lines` nobody needs: they are about entries up to `since`, or too long all
/// together. The newest stays, since it says how far the node was.
fn dead(lines: &VecDeque<(u64, u64)>, since: Option<AsOf>, bytes_max: u64) -> usize {
    let bytes: u64 = lines.iter().map(|(_, bytes)| bytes).sum();
    // By half, so that it is not done again for each line.
    let mut too_many = if bytes > bytes_max { bytes - bytes_max / 2 } else { 0 };
    let mut is_dead = |(seq, bytes): &(u64, u64)| {
        let is_too_much = too_many > 0;
        too_many = too_many.saturating_sub(*bytes);
        is_too_much || since.is_some_and(|since| *seq <= since.seq)
    };
    lines.iter().take(lines.len().saturating_sub(1)).take_while(|line| is_dead(line)).count()
}

/// Appends `lines` by one write, and returns the bytes of each.
fn append(log: &mut LogFile, lines: &[Line]) -> Result<Vec<u64>, Unwritten> {
    let encoded = lines.iter().map(Line::encode).collect::<Result<Vec<_>, _>>()?;
    let payloads: Vec<&[u8]> = encoded.iter().map(Vec::as_slice).collect();
    log.append(&payloads)?;
    Ok(payloads.iter().map(|payload| payload.len() as u64).collect())
}

/// Takes away the file of a folder that this node does not use, so that no later run believes it.
pub(super) fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(folder.join("purge.log")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        // Also where it was gone: an earlier try may not have made that durable.
        _ if folder.is_dir() => std::fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
