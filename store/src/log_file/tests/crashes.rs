//! What is found after a crash, or a failure of the disk, at each single step?

use std::io::ErrorKind;

use super::*;

/// Bytes of a write that reach the file before the failure; more than there are means all. Anything
/// else fails before it is done, or after.
const DONE: [usize; 6] = [0, 1, 21, 40, 45, 10_000];

/// Asserts that a log opens as it was in one of `possible`, and that its numbers go on from there.
fn assert_found(scratch: &Scratch, possible: &[State], why: &str) {
    let (mut log, recovered) = scratch.open(FRESH);
    assert_eq!((recovered.epoch, &recovered.born), (OLD, &Born::Resumed), "{why}");
    let found = State::of(&recovered);
    assert!(possible.contains(&found), "{why}: {found:?} is none of {possible:?}");
    assert_eq!(log.append(&[b"after"]).unwrap(), found.next_seq(), "{why}");
    drop(log);
    let again = State::of(&scratch.open(FRESH).1);
    assert_eq!(again, found.after(&Op::append(&["after"])), "{why}");
}

/// Asserts that a log which could not be made is made, or found made.
fn assert_made(scratch: &Scratch, why: &str) {
    let (_, recovered) = scratch.open(FRESH);
    let found = (recovered.epoch, &recovered.born);
    assert!(matches!(found, (OLD, Born::Resumed) | (FRESH, Born::New)), "{why}: {recovered:?}");
    assert_eq!(State::of(&recovered), State::empty(), "{why}");
}

/// Operations of the disk from before the log is there to the end of the script.
fn steps_of_script() -> usize {
    let scratch = Scratch::new();
    let faults = Faults::default();
    let (mut log, _) = LogFile::open_with_faults(scratch.path(), OLD, &faults).unwrap();
    for op in script() {
        op.apply(&mut log).unwrap();
    }
    faults.take_seen().len()
}

#[test]
fn a_crash_at_any_step_keeps_what_was_acknowledged_and_halves_no_append() {
    for done in DONE {
        for after in 0..steps_of_script() {
            crash(after, done);
        }
    }
}

/// Runs the script up to a crash, and checks what is found.
fn crash(after: usize, done: usize) {
    let why = format!("crash at step {after} with {done} done");
    let scratch = Scratch::new();
    let faults = Faults::default();
    faults.crash(after, done);
    let Ok((mut log, _)) = LogFile::open_with_faults(scratch.path(), OLD, &faults) else {
        assert_made(&scratch, &why);
        return;
    };
    let mut state = State::empty();
    for op in script() {
        if op.apply(&mut log).is_err() {
            drop(log);
            assert_found(&scratch, &[state.after(&op), state], &why);
            return;
        }
        state = state.after(&op);
    }
    unreachable!("{why}: nothing has failed");
}

#[test]
fn a_failure_at_any_step_is_either_undone_or_owned_up_to() {
    for done in DONE {
        for after in 0..steps_of_script() {
            fail_once(after, done);
        }
    }
}

/// Runs the script with one failure, and checks what is found.
fn fail_once(after: usize, done: usize) {
    let why = format!("failure at step {after} with {done} done");
    let scratch = Scratch::new();
    let faults = Faults::default();
    faults.fail_any(after, ErrorKind::StorageFull, done);
    let Ok((mut log, _)) = LogFile::open_with_faults(scratch.path(), OLD, &faults) else {
        assert_made(&scratch, &why);
        return;
    };
    let mut possible = vec![State::empty()];
    let (mut failures, mut poisoned) = (0, false);
    for op in script() {
        let next = possible[0].after(&op);
        match op.apply(&mut log) {
            Ok(()) if poisoned => panic!("{why}: {op:?} worked"),
            Ok(()) => possible = vec![next],
            Err(LogAppendError::NotWritten { .. }) if !poisoned => failures += 1,
            Err(LogAppendError::Uncertain { .. }) if !poisoned => {
                (failures, poisoned) = (failures + 1, true);
                possible.push(next);
            }
            Err(LogAppendError::Poisoned) if poisoned => {}
            Err(error) => panic!("{why}: {op:?}: {error:?}"),
        }
    }
    assert!(failures <= 1, "{why}");
    drop(log);
    assert_found(&scratch, &possible, &why);
}

#[test]
fn a_failure_while_a_log_is_opened_again_loses_nothing() {
    let scratch = Scratch::new();
    let (mut bytes, state) = scratch.filled(&script());
    bytes.extend_from_slice(b"torn");
    for after in 0.. {
        scratch.put(&bytes);
        let faults = Faults::default();
        faults.fail_any(after, ErrorKind::Other, 1);
        let works = LogFile::open_with_faults(scratch.path(), FRESH, &faults).is_ok();
        assert_found(&scratch, std::slice::from_ref(&state), &format!("failure at step {after}"));
        if works {
            assert!(after > 5);
            break;
        }
    }
}

#[test]
fn a_crash_while_a_damaged_log_is_replaced_never_brings_its_epoch_back() {
    let scratch = Scratch::new();
    let (mut bytes, _) = scratch.filled(&script());
    *bytes.last_mut().unwrap() ^= 1;
    for step in 0.. {
        let (after, done) = (step / 2, step % 2);
        scratch.put(&bytes);
        let faults = Faults::default();
        faults.crash(after, done);
        let works = LogFile::open_with_faults(scratch.path(), FRESH, &faults).is_ok();
        let (_, recovered) = scratch.open(FRESH + 1);
        let fresh = [FRESH, FRESH + 1].contains(&recovered.epoch);
        assert!(fresh && State::of(&recovered) == State::empty(), "{after}: {recovered:?}");
        if works {
            break;
        }
    }
}

#[test]
fn a_failed_write_is_taken_back_and_the_log_goes_on() {
    let scratch = Scratch::new();
    let faults = Faults::default();
    let (mut log, _) = LogFile::open_with_faults(scratch.path(), OLD, &faults).unwrap();
    log.append(&[b"one"]).unwrap();
    let before = log.bytes();
    faults.fail(DiskOp::Write, 0, ErrorKind::StorageFull, 41);
    let error = log.append(&[b"lost", b"lost too"]).unwrap_err();
    let LogAppendError::NotWritten { source } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), ErrorKind::StorageFull);
    assert_eq!((log.bytes(), scratch.log().metadata().unwrap().len()), (before, before));
    assert_eq!(log.append(&[b"two"]).unwrap(), 2);
    drop(log);
    let entries = scratch.open(FRESH).1.entries;
    assert_eq!(entries, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
}

#[test]
fn a_write_that_cannot_be_taken_back_poisons_the_log() {
    for second in [DiskOp::Truncate, DiskOp::Sync] {
        let scratch = Scratch::new();
        let faults = Faults::default();
        let (mut log, _) = LogFile::open_with_faults(scratch.path(), OLD, &faults).unwrap();
        log.append(&[b"one"]).unwrap();
        faults.fail(DiskOp::Write, 0, ErrorKind::StorageFull, 30);
        faults.fail(second, 0, ErrorKind::Other, 0);
        let error = log.append(&[b"lost"]).unwrap_err();
        assert!(matches!(error, LogAppendError::Uncertain { .. }), "{second:?}: {error:?}");
        for error in [
            log.append(&[b"two"]).unwrap_err(),
            log.append(&[]).unwrap_err(),
            log.enrol("edge-1").unwrap_err(),
            log.strike("edge-1").unwrap_err(),
            log.compact(1).unwrap_err(),
        ] {
            assert!(matches!(error, LogAppendError::Poisoned), "{second:?}: {error:?}");
        }
        drop(log);
        let entries = scratch.open(FRESH).1.entries;
        assert_eq!(entries, [(1, b"one".to_vec())], "{second:?}");
    }
}

#[test]
fn an_append_whose_sync_failed_may_be_found_and_is_then_made_durable() {
    let scratch = Scratch::new();
    let faults = Faults::default();
    let (mut log, _) = LogFile::open_with_faults(scratch.path(), OLD, &faults).unwrap();
    faults.fail(DiskOp::Sync, 0, ErrorKind::Other, 0);
    faults.fail(DiskOp::Truncate, 0, ErrorKind::Other, 0);
    let error = log.append(&[b"one"]).unwrap_err();
    assert!(matches!(error, LogAppendError::Uncertain { .. }), "{error:?}");
    drop(log);
    drop(faults.take_seen());
    let (log, recovered) = LogFile::open_with_faults(scratch.path(), FRESH, &faults).unwrap();
    assert_eq!(recovered.entries, [(1, b"one".to_vec())]);
    assert_eq!(log.last_seq(), 1);
    let seen = faults.take_seen();
    let written = seen.iter().position(|op| *op == DiskOp::Write).unwrap();
    assert_eq!(seen[written..], [DiskOp::Write, DiskOp::Sync, DiskOp::SyncFolder]);
}

#[test]
fn everything_is_durable_before_it_is_acknowledged() {
    use DiskOp::{Create, Open, Read, Rename, Sync, SyncFolder, Write};
    let scratch = Scratch::new();
    let faults = Faults::default();
    let (mut log, _) = LogFile::open_with_faults(scratch.path(), OLD, &faults).unwrap();
    let made = [Create, Open, Create, Write, Sync, Rename, SyncFolder];
    assert_eq!(faults.take_seen(), made, "making");
    log.append(&[b"one", b"two"]).unwrap();
    assert_eq!(faults.take_seen(), [Write, Sync], "appending");
    log.enrol("edge-1").unwrap();
    assert_eq!(faults.take_seen(), [Write, Sync], "enrolling");
    log.strike("edge-1").unwrap();
    assert_eq!(faults.take_seen(), [Write, Sync], "striking");
    log.compact(2).unwrap();
    let compacted = [Create, Write, Read, Write, Sync, Rename, SyncFolder];
    assert_eq!(faults.take_seen(), compacted, "compacting");
}
