//! What does a log do with its folder and with what lies there?

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

#[test]
fn a_folder_in_use_is_refused_by_its_name() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open(OLD);
    let refused = LogFile::open(scratch.path(), FRESH).unwrap_err();
    assert!(matches!(refused, LogOpenError::InUse { .. }), "{refused:?}");
    assert!(refused.to_string().contains(scratch.path().to_str().unwrap()), "{refused}");
    log.append(&[b"one"]).unwrap();
    log.compact(1).unwrap();
    let refused = LogFile::open(scratch.path(), FRESH).unwrap_err();
    assert!(matches!(refused, LogOpenError::InUse { .. }), "after compaction: {refused:?}");
    drop(log);
    assert_eq!(scratch.open(FRESH).1.entries.len(), 1);
}

#[test]
fn what_is_made_is_for_this_user_alone() {
    let scratch = Scratch::new();
    let inner = scratch.path().join("data/log");
    drop(LogFile::open(&inner, OLD).unwrap());
    for (path, expected) in [
        (scratch.path().to_owned(), 0o700),
        (inner.clone(), 0o700),
        (inner.join("purge.log"), 0o600),
        (inner.join("purge.log.lock"), 0o600),
    ] {
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{}", path.display());
    }
}

#[test]
fn a_link_in_the_place_of_the_log_is_not_followed() {
    for name in ["purge.log", "purge.log.lock"] {
        let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
        let (bytes, _) = elsewhere.filled(&script());
        std::fs::create_dir(scratch.path()).unwrap();
        symlink(elsewhere.log(), scratch.path().join(name)).unwrap();
        let refused = LogFile::open(scratch.path(), FRESH).unwrap_err();
        assert!(matches!(refused, LogOpenError::Io { .. }), "{name}: {refused:?}");
        assert_eq!(std::fs::read(elsewhere.log()).unwrap(), bytes, "{name}");
    }
}

#[test]
fn a_link_in_the_place_of_a_log_being_made_is_replaced() {
    let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
    elsewhere.put(b"precious");
    std::fs::create_dir(scratch.path()).unwrap();
    symlink(elsewhere.log(), scratch.path().join("purge.log.new")).unwrap();
    let (mut log, _) = scratch.open(OLD);
    symlink(elsewhere.log(), scratch.path().join("purge.log.new")).unwrap();
    log.compact(1).unwrap();
    assert_eq!(std::fs::read(elsewhere.log()).unwrap(), b"precious");
}

#[test]
fn a_folder_in_the_place_of_the_log_is_refused() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.log()).unwrap();
    let refused = LogFile::open(scratch.path(), FRESH).unwrap_err();
    assert!(matches!(refused, LogOpenError::Io { .. }), "{refused:?}");
}

#[test]
fn a_log_of_another_version_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let header = format::Header { epoch: OLD, first_seq: 1 };
    let bytes = [&header.encode_as(2)[..], b"what this version does not know"].concat();
    scratch.put(&bytes);
    let refused = LogFile::open(scratch.path(), FRESH).unwrap_err();
    assert!(matches!(refused, LogOpenError::OtherFormat { version: 2, .. }), "{refused:?}");
    assert_eq!(std::fs::read(scratch.log()).unwrap(), bytes);
}

#[test]
fn the_newest_damaged_logs_are_kept() {
    let scratch = Scratch::new();
    for round in 1..=5_u8 {
        scratch.put(&[round]);
        let (_, recovered) = scratch.open(u64::from(round));
        let set_aside = scratch.path().join(format!("purge.log.damaged-{round}"));
        let expected = Born::Replaced { why: Damage::Header, set_aside };
        assert_eq!((recovered.born, recovered.epoch), (expected, u64::from(round)));
    }
    let kept: Vec<bool> = (1..=5)
        .map(|round| scratch.path().join(format!("purge.log.damaged-{round}")).exists())
        .collect();
    assert_eq!(kept, [false, false, true, true, true]);
    let newest = std::fs::read(scratch.path().join("purge.log.damaged-5")).unwrap();
    assert_eq!(newest, [5]);
}

#[test]
fn a_damaged_log_is_not_followed_by_one_of_the_same_epoch() {
    let scratch = Scratch::new();
    let (mut bytes, _) = scratch.filled(&script());
    *bytes.last_mut().unwrap() ^= 1;
    scratch.put(&bytes);
    let refused = LogFile::open(scratch.path(), OLD).unwrap_err();
    assert!(matches!(refused, LogOpenError::EpochTaken { epoch: OLD }), "{refused:?}");
    assert_eq!(std::fs::read(scratch.log()).unwrap(), bytes);
    assert_eq!(scratch.open(FRESH).1.epoch, FRESH);
}

#[test]
fn a_log_that_was_removed_is_not_found_again() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open(OLD);
    log.append(&[b"one"]).unwrap();
    log.remove().unwrap();
    assert!(matches!(log.append(&[b"two"]), Err(LogAppendError::Poisoned)));
    log.remove().unwrap();
    drop(log);
    let (log, recovered) = scratch.open(FRESH);
    assert_eq!((recovered.born, recovered.entries.len()), (Born::New, 0));
    assert_eq!(log.epoch(), FRESH);
}

#[test]
fn a_log_that_cannot_be_removed_says_so() {
    for op in [DiskOp::Unlink, DiskOp::SyncFolder] {
        let (scratch, faults) = (Scratch::new(), Faults::default());
        let (mut log, _) = LogFile::open_with_faults(scratch.path(), OLD, &faults).unwrap();
        faults.fail(op, 0, std::io::ErrorKind::Other, 0);
        assert!(log.remove().is_err(), "{op:?}");
        log.remove().unwrap();
        assert!(!scratch.log().exists());
    }
}

#[test]
fn a_log_that_makes_no_sense_is_set_aside_whole() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open(OLD);
    log.append(&[b"one"]).unwrap();
    let bytes = std::fs::read(scratch.log()).unwrap();
    let aside = log.set_aside().unwrap();
    assert_eq!(std::fs::read(aside).unwrap(), bytes);
    drop(log);
    assert_eq!(scratch.open(FRESH).1.born, Born::New);
}
