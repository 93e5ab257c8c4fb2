//! What does the log note beside its entries: who its members are, and what leases may be about?
//!
//! All are names that the log file keeps. A run of a member is its name and number. Two names that no node
//! can have, since no token has a slash, say how long leases last, and that leases may be held which no
//! run noted here accounts for.

use std::time::Duration;

use weir_store::{LogAppendError, LogFile};

use super::book::Left;

/// Says that this log began a moment ago, or that its leases were longer before.
const YOUNG: &str = "/young";
/// Says how long leases last, in milliseconds.
const LEASE: &str = "/lease ";

/// A run of a member as the file has it.
pub(super) fn text(name: &str, boot: u64) -> String {
    format!("{name} {boot:016x}")
}

/// The run of a member that `text` names; `None` for what is no member.
pub(super) fn member(text: &str) -> Option<(String, u64)> {
    let (name, boot) = text.rsplit_once(' ').filter(|_| !text.starts_with('/'))?;
    Some((name.to_owned(), u64::from_str_radix(boot, 16).ok()?))
}

/// The runs of members that nobody waits for any more.
pub(super) fn gone(file: &LogFile, left: &[Left]) -> Vec<String> {
    let stays = |text: &str| match member(text) {
        None => true,
        Some((name, boot)) => {
            left.iter().any(|left| left.name == name && (left.boot == boot || left.has_earlier))
        }
    };
    file.members().iter().filter(|text| !stays(text)).cloned().collect()
}

/// Brings the notes of a log that was opened up to date: whether it `is_new`, and that leases last for
/// `lease` from now on. Returns for how long leases may be held that it does not know of.
pub(super) fn settle(
    file: &mut LogFile,
    is_new: bool,
    lease: Duration,
) -> Result<Duration, LogAppendError> {
    let longer = leases(file).max().filter(|before| *before > lease);
    let is_young = is_new || longer.is_some() || file.members().iter().any(|text| text == YOUNG);
    if !is_young {
        note_lease(file, lease)?;
        return Ok(Duration::ZERO);
    }
    file.enrol(YOUNG)?;
    file.enrol(&lease_text(lease))?;
    Ok(longer.unwrap_or(lease))
}

/// Notes that every lease from before has run out.
pub(super) fn grow_up(file: &mut LogFile, lease: Duration) -> Result<(), LogAppendError> {
    note_lease(file, lease)?;
    file.strike(YOUNG)
}

fn note_lease(file: &mut LogFile, lease: Duration) -> Result<(), LogAppendError> {
    let text = lease_text(lease);
    file.enrol(&text)?;
    let is_old = |noted: &&String| noted.starts_with(LEASE) && **noted != text;
    for old in file.members().iter().filter(is_old).cloned().collect::<Vec<_>>() {
        file.strike(&old)?;
    }
    Ok(())
}

fn lease_text(lease: Duration) -> String {
    format!("{LEASE}{}", lease.as_millis())
}

fn leases(file: &LogFile) -> impl Iterator<Item = Duration> {
    let noted = file.members().iter().filter_map(|text| text.strip_prefix(LEASE)?.parse().ok());
    noted.map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(60);

    /// A folder of this test, removed with it.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("weir-notes-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn open(&self) -> LogFile {
            LogFile::open(&self.0, 7).unwrap().0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_young_log_stays_young_until_a_lease_has_passed_however_often_it_is_opened() {
        let folder = Folder::new("young");
        assert_eq!(settle(&mut folder.open(), true, SHORT).unwrap(), SHORT);
        assert_eq!(
            settle(&mut folder.open(), false, SHORT).unwrap(),
            SHORT,
            "again before it was over"
        );
        grow_up(&mut folder.open(), SHORT).unwrap();
        assert_eq!(settle(&mut folder.open(), false, SHORT).unwrap(), Duration::ZERO);
    }

    #[test]
    fn a_lease_that_is_shortened_is_waited_for_once_more() {
        let folder = Folder::new("lease");
        settle(&mut folder.open(), true, LONG).unwrap();
        grow_up(&mut folder.open(), LONG).unwrap();
        for _ in 0..2 {
            assert_eq!(settle(&mut folder.open(), false, SHORT).unwrap(), LONG);
        }
        grow_up(&mut folder.open(), SHORT).unwrap();
        assert_eq!(settle(&mut folder.open(), false, SHORT).unwrap(), Duration::ZERO);
        assert_eq!(
            settle(&mut folder.open(), false, LONG).unwrap(),
            Duration::ZERO,
            "longer is no harm"
        );
    }

    #[test]
    fn runs_are_kept_as_long_as_somebody_waits_for_them() {
        let folder = Folder::new("gone");
        let mut file = folder.open();
        settle(&mut file, true, SHORT).unwrap();
        for (name, boot) in [("edge 0", 1), ("edge 0", 2), ("b", 3), ("c", 4), ("c", 5)] {
            file.enrol(&text(name, boot)).unwrap();
        }
        let left =
            |name: &str, boot, has_earlier| Left { name: name.to_owned(), boot, has_earlier };
        let gone = gone(&file, &[left("edge 0", 2, false), left("c", 5, true)]);
        assert_eq!(gone, [text("edge 0", 1), text("b", 3)]);
        assert_eq!(member(&text("edge 0", 2)), Some(("edge 0".to_owned(), 2)));
        assert_eq!(member("/lease 5000"), None);
    }
}
