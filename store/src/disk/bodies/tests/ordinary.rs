//! What is found of what was written, while nothing fails?

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::super::format::RECORDS_BYTES_MAX;
use super::*;

/// Lengths around those at which something is done otherwise.
const LENGTHS: [usize; 8] = [0, 1, 4_095, 65_535, 65_536, 65_537, 131_073, 1_000_000];

#[test]
fn a_body_is_found_as_it_was_written() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    for length in LENGTHS {
        let content = content(length);
        let digest = Digest::of(&content);
        let first = write(&bodies, &content, &[b"one", b"two"]).unwrap();
        assert_eq!(first, Written { digest, length: length as u64, existed: false });
        assert_there(&bodies, &content, &[b"one", b"two"], "written");
        let again = write(&bodies, &content, &[b"three"]).unwrap();
        assert_eq!(again, Written { existed: true, ..first });
        assert_there(&bodies, &content, &[b"one", b"two", b"three"], "written again");
    }
    assert_eq!(scratch.aside(), 0);
    drop(bodies);
    for length in LENGTHS {
        let records: [&[u8]; 3] = [b"one", b"two", b"three"];
        assert_there(&scratch.open(), &content(length), &records, "by another process");
    }
}

#[test]
fn content_may_come_in_pieces() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    for length in LENGTHS {
        let content = content(length);
        let parts: Vec<&[u8]> = content.chunks(10_000).collect();
        let mut writer = bodies.begin().unwrap();
        for part in &parts {
            writer.append(part).unwrap();
        }
        assert_eq!(scratch.aside(), 1);
        let written = writer.finish(&[b"one"]).unwrap();
        assert!(!written.existed);
        assert_there(&bodies, &content, &[b"one"], "written bit by bit");
        let again = write(&bodies, &content, &[b"two"]).unwrap();
        assert_eq!(again, Written { existed: true, ..written });
        let mut writer = bodies.begin().unwrap();
        writer.append(&content).unwrap();
        assert_eq!(writer.finish(&[]).unwrap(), again);
        assert_there(&bodies, &content, &[b"one", b"two"], "one file");
    }
    assert_eq!(scratch.aside(), 0);
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    let mut writer = bodies.begin().unwrap();
    writer.append(b"half").unwrap();
    drop(writer);
    assert_eq!(scratch.aside(), 0);
    assert!(matches!(find(&bodies, b"half"), Err(BodyError::Missing)));
}

#[test]
fn leftovers_are_removed_and_nothing_else_is() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    write(&bodies, b"kept", &[]).unwrap();
    let tmp = scratch.path().join("bodies/tmp");
    for name in ["0", "1", "abc"] {
        std::fs::write(tmp.join(name), "left").unwrap();
    }
    // What is no file cannot be removed like one, and is passed over.
    std::fs::create_dir(tmp.join("2")).unwrap();
    std::fs::write(scratch.path().join("bodies/README"), "not ours").unwrap();
    drop(bodies);
    let bodies = scratch.open();
    assert_eq!(scratch.aside(), 1);
    assert!(scratch.path().join("bodies/README").exists());
    assert_there(&bodies, b"kept", &[], "kept");
    for other in [b"a", b"b", b"c", b"d"] {
        write(&bodies, other, &[]).unwrap();
    }
}

#[test]
fn records_are_left_out_when_there_is_no_room() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    let long = vec![7; 40_000];
    write(&bodies, b"a", &[&long, &long]).unwrap();
    assert_there(&bodies, b"a", &[&long], "the second does not fit");
    write(&bodies, b"a", &[b"short"]).unwrap();
    assert_there(&bodies, b"a", &[&long, b"short"], "a shorter one does");
    for _ in 0..150 {
        write(&bodies, b"a", &[&[9; 200]]).unwrap();
    }
    let (_, records) = find(&bodies, b"a").unwrap();
    let bytes: usize = records.iter().map(|record| record.len() + 16).sum();
    assert!(bytes <= RECORDS_BYTES_MAX && bytes + 216 > RECORDS_BYTES_MAX, "{bytes}");
}

#[test]
fn any_part_of_a_body_can_be_read_also_when_it_has_been_removed() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    let content = content(300_000);
    let digest = write(&bodies, &content, &[b"record"]).unwrap().digest;
    let body = bodies.open_body(&digest, 300_000).unwrap();
    assert!(bodies.remove(&digest).unwrap());
    assert!(!bodies.remove(&digest).unwrap(), "it is gone");
    assert!(matches!(bodies.open_body(&digest, 300_000), Err(BodyError::Missing)));
    for (at, wanted, expected) in [
        (0, 10, 10),
        (299_990, 100, 10),
        (300_000, 1, 0),
        (u64::MAX, 1, 0),
        (5, 0, 0),
        (1, 290_000, 290_000),
    ] {
        let mut buffer = vec![0; wanted];
        assert_eq!(body.read_at(at, &mut buffer).unwrap(), expected, "{at}");
        let begin = usize::try_from(at).unwrap().min(content.len());
        assert!(buffer[..expected] == content[begin..begin + expected], "{at}");
    }
    body.verify().unwrap();
    let mut whole = vec![0; 300_000];
    std::os::unix::fs::FileExt::read_exact_at(&*body.file, &mut whole, body.offset).unwrap();
    assert!(whole == content && body.length == 300_000, "whoever reads the file itself");
}

#[test]
fn two_who_write_the_same_body_at_once_have_one_file() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    for round in 0..50 {
        let content = content(1_000 + round);
        // Both are past the look whether it is there.
        let mut writers = [bodies.begin().unwrap(), bodies.begin().unwrap()];
        writers.iter_mut().for_each(|writer| writer.append(&content).unwrap());
        let start = std::sync::Barrier::new(4);
        let written: Vec<Written> = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (writer, record) in writers.into_iter().zip([b"one", b"two"]) {
                let start = &start;
                threads.push(scope.spawn(move || {
                    start.wait();
                    writer.finish(&[record]).unwrap()
                }));
            }
            for record in [b"six", b"ten"] {
                let (start, bodies, content) = (&start, &bodies, &content);
                threads.push(scope.spawn(move || {
                    start.wait();
                    write(bodies, content, &[record]).unwrap()
                }));
            }
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(written.iter().filter(|written| !written.existed).count(), 1, "{round}");
        let (_, mut records) = find(&bodies, &content).unwrap();
        records.sort();
        assert_eq!(records, [b"one", b"six", b"ten", b"two"], "{round}");
    }
    assert_eq!(scratch.aside(), 0);
}

#[test]
fn everything_is_for_this_user_alone_and_no_link_is_followed() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    write(&bodies, b"a", &[]).unwrap();
    let file = scratch.file(b"a");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    for folder in [file.parent().unwrap(), &scratch.path().join("bodies/tmp"), scratch.path()] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    let elsewhere = scratch.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert!(matches!(find(&bodies, b"a"), Err(BodyError::Io { .. })));
    write(&bodies, b"a", &[b"record"]).unwrap_err();
    assert_eq!(std::fs::metadata(&elsewhere).unwrap().size(), 65, "nothing was written through it");
    assert!(bodies.remove(&Digest::of(b"a")).unwrap(), "the link");
    assert!(elsewhere.exists());
}

#[test]
fn only_what_has_to_outlive_a_power_cut_is_synced() {
    use crate::faults::DiskOp::{
        Create, MakeFolder, Open, Read, Rename, Sync, SyncFolder, Unlink, Write,
    };
    let scratch = Scratch::new();
    let faults = Faults::default();
    for (sync, content, first, second) in [
        (
            SyncMode::None,
            b"a",
            vec![Create, Write, Rename, MakeFolder, Rename],
            // It is not looked for: that its name is taken shows when it is to have it.
            vec![Create, Write, Rename, Open, Read, Read, Write, Unlink],
        ),
        (
            SyncMode::Data,
            b"b",
            vec![Open, Create, Write, Sync, Rename, MakeFolder, SyncFolder, Rename, SyncFolder],
            vec![Open, Read, Read, Write, Sync],
        ),
    ] {
        let bodies = scratch.open_with(sync, &faults).unwrap();
        for (expected, why) in [(first, "written"), (second, "written again")] {
            drop(faults.take_seen());
            write(&bodies, content, &[b"record"]).unwrap();
            assert_eq!(faults.take_seen(), expected, "{sync:?}, {why}");
        }
    }
}

#[test]
fn there_is_room_on_the_file_system() {
    let scratch = Scratch::new();
    let space = scratch.open().space().unwrap();
    assert!(space.free > 0 && space.total >= space.free, "{space:?}");
}
