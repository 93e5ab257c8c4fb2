//! What does the purge log lie in: a file, or the memory of this process?
//!
//! Writing happens on a thread for blocking work, one batch at a time.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Mutex;
use weir_cache::purge::Epoch;
use weir_store::{Born, LogAppendError, LogFile, LogOpenError, Recovered};

use super::book::Left;
use super::notes;
use super::record::{LogError, Numbered, Record};

/// Where the log lies.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In a file in this folder; it outlives the process.
    Folder(PathBuf),
    /// In memory: a new process begins a new log, and what members store is validated.
    Memory,
}

/// The log at rest.
pub(super) struct Keeper {
    file: Option<Arc<Mutex<LogFile>>>,
    /// Whether no lease can be left from before it was opened, and the file says so.
    grown: AtomicBool,
    lease: Duration,
    /// The runs of members that the file has.
    kept: Arc<parking_lot::Mutex<HashSet<String>>>,
}

/// What was found of an earlier life.
#[derive(Debug)]
pub(super) struct Found {
    /// The epoch, old or new.
    pub(super) epoch: Epoch,
    /// How long members that this log does not remember may hold leases; zero where there are none.
    pub(super) wait: Duration,
    /// The number of the newest entry.
    pub(super) head: u64,
    /// The entries kept.
    pub(super) entries: Vec<Numbered>,
    /// The members on the roll, each with the number of its run, in the order of enrolment.
    pub(super) members: Vec<(String, u64)>,
}

/// Why the log cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] LogOpenError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] LogAppendError),
}

impl Keeper {
    /// Opens the log, or makes one with the epoch `fresh`; leases last for `lease` from now on.
    pub(super) fn open(
        place: &Place,
        fresh: Epoch,
        lease: Duration,
    ) -> Result<(Self, Found), KeeperError> {
        let Place::Folder(folder) = place else {
            let found = Found {
                epoch: fresh,
                wait: lease,
                head: 0,
                entries: Vec::new(),
                members: Vec::new(),
            };
            let kept = Arc::default();
            return Ok((Self { file: None, grown: AtomicBool::new(true), lease, kept }, found));
        };
        let (mut file, recovered) = LogFile::open(folder, fresh.get())?;
        tell(&recovered);
        let wait = notes::settle(&mut file, recovered.born != Born::Resumed, lease)?;
        let entries = recovered.entries.into_iter().map(|(seq, bytes)| numbered(seq, &bytes));
        let found = Found {
            epoch: Epoch::new(recovered.epoch),
            wait,
            head: file.last_seq(),
            entries: entries.collect(),
            members: recovered.members.iter().filter_map(|text| notes::member(text)).collect(),
        };
        let grown = AtomicBool::new(wait.is_zero());
        let kept = file.members().iter().cloned().collect();
        let kept = Arc::new(parking_lot::Mutex::new(kept));
        Ok((Self { file: Some(Arc::new(Mutex::new(file))), grown, lease, kept }, found))
    }

    /// Notes, once, that every lease from before this log was opened has run out.
    pub(super) async fn grow_up(&self) {
        if self.grown.load(Relaxed) {
            return;
        }
        let lease = self.lease;
        let work = move |file: &mut LogFile| {
            notes::grow_up(file, lease).map_err(|error| not_written(&error))
        };
        match self.on_file(work, ()).await {
            Ok(()) => self.grown.store(true, Relaxed),
            // Then the next start waits for a lease that nobody holds.
            Err(error) => tracing::debug!(%error, "the purge log is not noted to have come of age"),
        }
    }

    /// Makes `record` durable and returns its number, which is `next` in a log that is whole. A log that
    /// has become too long is cut to the entries from `keep_from` first.
    pub(super) async fn append(
        &self,
        record: &Record,
        next: u64,
        keep_from: u64,
    ) -> Result<u64, LogError> {
        let bytes = serde_json::to_vec(record).map_err(|error| not_written(&error))?;
        let work = move |file: &mut LogFile| {
            let mut appended = file.append(&[&bytes]);
            if matches!(appended, Err(LogAppendError::Full { .. })) {
                file.compact(keep_from).map_err(|error| not_written(&error))?;
                appended = file.append(&[&bytes]);
            }
            appended.map_err(|error| not_written(&error))
        };
        self.on_file(work, next).await
    }

    /// Whether it is durable that the run `boot` of `name` is a member.
    pub(super) fn keeps(&self, name: &str, boot: u64) -> bool {
        self.file.is_none() || self.kept.lock().contains(&notes::text(name, boot))
    }

    /// Makes it durable that the run `boot` of `name` is a member.
    pub(super) async fn enrol(&self, name: &str, boot: u64) -> Result<(), LogError> {
        let (text, kept) = (notes::text(name, boot), Arc::clone(&self.kept));
        let work = move |file: &mut LogFile| {
            file.enrol(&text).map_err(|error| not_written(&error))?;
            kept.lock().insert(text);
            Ok(())
        };
        self.on_file(work, ()).await
    }

    /// Forgets the runs of members that `left` does not name, and the entries before `keep_from`.
    ///
    /// `left` is asked while nothing else can be written: a member is on the roll before it is in the file,
    /// so whoever is in the file and not on the roll then has been struck off.
    pub(super) async fn tidy(
        &self,
        left: impl FnOnce() -> Vec<Left> + Send + 'static,
        keep_from: u64,
    ) -> Result<(), LogError> {
        let kept = Arc::clone(&self.kept);
        let work = move |file: &mut LogFile| {
            for member in notes::gone(file, &left()) {
                file.strike(&member).map_err(|error| not_written(&error))?;
                kept.lock().remove(&member);
            }
            file.compact(keep_from).map_err(|error| not_written(&error))
        };
        self.on_file(work, ()).await
    }

    /// Runs `work` on the file where it may block; without a file the outcome is `otherwise`.
    async fn on_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut LogFile) -> Result<T, LogError> + Send + 'static,
        otherwise: T,
    ) -> Result<T, LogError> {
        let Some(file) = self.file.clone() else { return Ok(otherwise) };
        let mut file = file.lock_owned().await;
        let done = tokio::task::spawn_blocking(move || work(&mut file)).await;
        done.unwrap_or_else(|error| Err(not_written(&error)))
    }
}

fn not_written(error: &dyn std::error::Error) -> LogError {
    LogError::NotWritten { why: crate::telemetry::chain(error).to_string() }
}

/// Says what was unusual about a log that was opened.
fn tell(recovered: &Recovered) {
    if recovered.cut_bytes > 0 {
        let bytes = recovered.cut_bytes;
        tracing::warn!(
            bytes,
            "the purge log ended within an entry that nobody was promised; it was cut off"
        );
    }
    if let Born::Replaced { why, set_aside } = &recovered.born {
        let error = crate::telemetry::chain(why);
        tracing::error!(%error, set_aside = %set_aside.display(), "the purge log was damaged and is set aside; with the new one, every node validates what it stores");
    }
}

/// A record as it lies in the file. One that cannot be read stands for the widest purge.
pub(crate) fn numbered(seq: u64, bytes: &[u8]) -> Numbered {
    let record = serde_json::from_slice(bytes).unwrap_or_else(|error| {
        tracing::warn!(seq, %error, "an entry of the purge log cannot be read; it is taken to purge everything");
        Record::unreadable(seq)
    });
    Numbered { seq, record }
}
