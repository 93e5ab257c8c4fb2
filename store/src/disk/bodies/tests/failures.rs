//! What is on the disk after each single step that fails?

use rustix::io::Errno;

use super::*;
use crate::faults::{DiskOp, Failure};

const SYNCS: [SyncMode; 2] = [SyncMode::None, SyncMode::Data];
/// Bytes of a write that reach the file before the failure; more than there are means all. Anything
/// else fails before it is done, or after.
const DONE: [usize; 6] = [0, 1, 64, 70, 1_000, 1_000_000];
const ERRORS: [Errno; 4] = [Errno::NOSPC, Errno::IO, Errno::ROFS, Errno::MFILE];

/// Something that writes a body with one record.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Into a folder that is not there yet, by one write.
    Small,
    /// By several writes, into a folder that is there.
    Large,
    /// Bit by bit.
    Streamed,
    /// Only the record, to a file that has one.
    Again,
    /// Only the record, to a file whose only record is torn.
    Torn,
    /// In the place of a damaged file.
    Damaged,
}

const WAYS: [Way; 6] = [Way::Small, Way::Large, Way::Streamed, Way::Again, Way::Torn, Way::Damaged];

impl Way {
    fn content(self) -> Vec<u8> {
        content(if matches!(self, Self::Large | Self::Streamed) { 70_000 } else { 900 })
    }

    /// Makes the folder as it is before, and says whether the body is there already.
    fn prepare(self, scratch: &Scratch) -> bool {
        let bodies = scratch.open();
        let path = scratch.file(&self.content());
        if !matches!(self, Self::Small) {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        if matches!(self, Self::Again | Self::Torn | Self::Damaged) {
            write(&bodies, &self.content(), &[b"old"]).unwrap();
        }
        let file = || std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        match self {
            Self::Torn => file().set_len(64 + 900 + 10).unwrap(),
            Self::Damaged => file().set_len(500).unwrap(),
            _ => {}
        }
        matches!(self, Self::Again | Self::Torn)
    }

    fn go(self, bodies: &Bodies) -> io::Result<Written> {
        let content = self.content();
        let Self::Streamed = self else {
            return write(bodies, &content, &[b"new"]);
        };
        let mut writer = bodies.begin()?;
        for part in content.chunks(30_000) {
            writer.append(part)?;
        }
        writer.finish(&[b"new"])
    }

    /// The records there are before and after.
    fn records(self) -> (Vec<&'static [u8]>, Vec<&'static [u8]>) {
        match self {
            Self::Again => (vec![b"old"], vec![b"old", b"new"]),
            _ => (vec![], vec![b"new"]),
        }
    }
}

/// The steps of `way` while nothing fails.
fn steps(way: Way, sync: SyncMode) -> usize {
    let scratch = Scratch::new();
    way.prepare(&scratch);
    let faults = Faults::default();
    let bodies = scratch.open_with(sync, &faults).unwrap();
    drop(faults.take_seen());
    way.go(&bodies).unwrap();
    faults.take_seen().len()
}

/// What has happened to a body.
#[derive(Clone, Copy)]
struct Was {
    /// Whether it was there before.
    there: bool,
    /// Whether its writer was told that it is there.
    acknowledged: bool,
}

/// Asserts that the body is whole, or absent if it was before, or is as damaged as it was.
fn assert_sound(scratch: &Scratch, way: Way, was: Was, why: &str) {
    let bodies = scratch.open();
    let Was { there: existed, acknowledged } = was;
    let (before, after) = way.records();
    match find(&bodies, &way.content()) {
        Ok((_, records)) if acknowledged => assert_eq!(records, after, "{why}"),
        Ok((_, records)) => assert!(records == before || records == after, "{why}: {records:?}"),
        Err(BodyError::Missing) => assert!(!existed && !acknowledged, "{why}: it is gone"),
        Err(BodyError::Damaged { .. }) if matches!(way, Way::Damaged) => {
            assert!(!acknowledged, "{why}");
        }
        Err(error) => panic!("{why}: {error:?}"),
    }
    assert_eq!(scratch.aside(), 0, "{why}");
    way.go(&bodies).unwrap();
    let (content, records) = find(&bodies, &way.content()).unwrap();
    assert!(content == way.content() && records.ends_with(&[b"new".to_vec()]), "{why}");
}

/// Calls `try_one` for every way, step and share of it that is done.
fn for_each_step(mut try_one: impl FnMut(Way, SyncMode, usize, usize)) {
    for way in WAYS {
        for sync in SYNCS {
            for after in 0..steps(way, sync) {
                DONE.into_iter().for_each(|done| try_one(way, sync, after, done));
            }
        }
    }
}

#[test]
fn a_failure_at_any_step_leaves_a_whole_body_or_none() {
    let mut errors = ERRORS.into_iter().cycle();
    for_each_step(|way, sync, after, done| {
        let error = errors.next().unwrap();
        let why = format!("{way:?}, {sync:?}: {error:?} at step {after} with {done} done");
        let scratch = Scratch::new();
        let there = way.prepare(&scratch);
        let faults = Faults::default();
        let bodies = scratch.open_with(sync, &faults).unwrap();
        faults.fail_any(after, Failure::Os(error.raw_os_error()), done);
        let failed = way.go(&bodies);
        if let Err(failed) = &failed {
            assert_eq!(failed.raw_os_error(), Some(error.raw_os_error()), "{why}");
            assert_eq!(scratch.aside(), 0, "{why}: nothing is left");
        }
        drop(bodies);
        let was = Was { there, acknowledged: failed.is_ok() };
        assert_sound(&scratch, way, was, &why);
    });
}

#[test]
fn a_crash_at_any_step_leaves_a_whole_body_or_none() {
    for_each_step(|way, sync, after, done| {
        let why = format!("{way:?}, {sync:?}: crash at step {after} with {done} done");
        let scratch = Scratch::new();
        let there = way.prepare(&scratch);
        let faults = Faults::default();
        let bodies = scratch.open_with(sync, &faults).unwrap();
        faults.crash(after, done);
        // What was written aside in vain may be in the way of nobody.
        let acknowledged = way.go(&bodies).is_ok();
        assert!(!acknowledged || matches!(way, Way::Again | Way::Torn), "{why}");
        drop(bodies);
        assert_sound(&scratch, way, Was { there, acknowledged }, &why);
    });
}

#[test]
fn a_part_that_was_not_written_may_be_tried_again() {
    let scratch = Scratch::new();
    let faults = Faults::default();
    let bodies = scratch.open_with(SyncMode::None, &faults).unwrap();
    let mut writer = bodies.begin().unwrap();
    writer.append(b"one ").unwrap();
    faults.fail(DiskOp::Write, 0, Failure::Os(Errno::NOSPC.raw_os_error()), 2);
    writer.append(b"two").unwrap_err();
    writer.append(b"two").unwrap();
    writer.finish(&[b"new"]).unwrap();
    assert_there(&bodies, b"one two", &[b"new"], "tried again");
}

#[test]
fn reading_tells_a_disk_that_refuses_from_a_file_that_is_damaged() {
    let scratch = Scratch::new();
    write(&scratch.open(), &content(200_000), &[b"record"]).unwrap();
    let faults = Faults::default();
    let bodies = scratch.open_with(SyncMode::None, &faults).unwrap();
    for error in ERRORS {
        for (op, steps) in [(DiskOp::Open, 1), (DiskOp::Read, 7)] {
            for after in 0..steps {
                faults.fail(op, after, Failure::Os(error.raw_os_error()), 0);
                let found = find(&bodies, &content(200_000));
                let told = match found {
                    Err(BodyError::Io { source }) => source.raw_os_error(),
                    other => panic!("{error:?} at {op:?} {after}: {other:?}"),
                };
                assert_eq!(told, Some(error.raw_os_error()));
            }
        }
    }
    assert_there(&bodies, &content(200_000), &[b"record"], "it has passed");
}

#[test]
fn a_body_that_cannot_be_removed_is_owned_up_to() {
    let scratch = Scratch::new();
    let faults = Faults::default();
    let bodies = scratch.open_with(SyncMode::None, &faults).unwrap();
    let digest = write(&bodies, b"a", &[]).unwrap().digest;
    let read_only = Failure::Os(Errno::ROFS.raw_os_error());
    faults.fail(DiskOp::Unlink, 0, read_only, 0);
    bodies.remove(&digest).unwrap_err();
    assert_there(&bodies, b"a", &[], "as before");
    faults.fail(DiskOp::Rename, 0, read_only, 0);
    faults.fail(DiskOp::Unlink, 0, read_only, 0);
    bodies.set_aside(&digest).unwrap_err();
    assert_there(&bodies, b"a", &[], "as before");
    // To keep it is a luxury.
    for op in [DiskOp::List, DiskOp::Rename] {
        faults.fail(op, 0, read_only, 0);
        bodies.set_aside(&digest).unwrap();
        assert!(matches!(find(&bodies, b"a"), Err(BodyError::Missing)));
        write(&bodies, b"a", &[]).unwrap();
    }
}

#[test]
fn folders_that_cannot_be_made_ready_are_named() {
    for (op, after, done, name) in [
        (DiskOp::MakeFolder, 0, 0, "bodies/tmp"),
        (DiskOp::MakeFolder, 1, 0, "bad"),
        (DiskOp::List, 0, 0, "bodies/tmp"),
    ] {
        let scratch = Scratch::new();
        let faults = Faults::default();
        faults.fail(op, after, Failure::Os(Errno::IO.raw_os_error()), done);
        let opened = Bodies::open(scratch.path(), SyncMode::None, Some(faults));
        let error = opened.unwrap_err();
        assert_eq!(error.path, scratch.path().join(name));
        assert!(error.to_string().contains(name), "{error}");
    }
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path().join("bodies/tmp")).unwrap();
    std::fs::write(scratch.path().join("bodies/tmp/1"), "left").unwrap();
    let faults = Faults::default();
    faults.fail(DiskOp::Unlink, 0, Failure::Os(Errno::ROFS.raw_os_error()), 0);
    scratch.open_with(SyncMode::None, &faults).unwrap();
    assert_eq!(scratch.aside(), 1, "what cannot be removed stays");
}
