//! Are all bodies come by, in order, whatever happens meanwhile?

use std::io::ErrorKind;
use std::num::NonZeroUsize;

use super::*;
use crate::faults::DiskOp;

/// Writes `count` bodies and returns their digests in order.
fn fill(bodies: &Bodies, count: u32) -> Vec<Digest> {
    let write = |number: u32| write(bodies, &number.to_le_bytes(), &[&number.to_be_bytes()]);
    let mut digests: Vec<Digest> = (0..count).map(|number| write(number).unwrap().digest).collect();
    digests.sort();
    digests
}

fn walk(bodies: &Bodies, limit: usize) -> Vec<FoundBody> {
    let limit = NonZeroUsize::new(limit).unwrap();
    let (mut all, mut from) = (Vec::new(), None);
    for _ in 0..10_000 {
        let (found, next) = bodies.walk(from, limit).unwrap();
        assert!(found.len() <= limit.get());
        all.extend(found);
        from = next;
        if from.is_none() {
            return all;
        }
    }
    panic!("the walk does not end");
}

fn digests(found: &[FoundBody]) -> Vec<Digest> {
    found.iter().map(|found| found.digest).collect()
}

#[test]
fn a_walk_comes_by_every_body_once_and_in_order() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    assert_eq!(walk(&bodies, 10).len(), 0, "nothing there");
    let all = fill(&bodies, 1_000);
    for limit in [1, 2, 3, 7, 1_000] {
        let found = walk(&bodies, limit);
        assert!(digests(&found) == all, "{limit}");
        for found in found {
            let contents = found.contents.unwrap();
            let mut number = contents.records[0].clone();
            number.reverse();
            assert_eq!((contents.length, Digest::of(&number)), (4, found.digest));
        }
    }
}

#[test]
fn a_walk_passes_what_is_no_body_and_tells_what_is_damaged() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    let all = fill(&bodies, 600);
    let first = bodies.path(&all[0]);
    std::fs::write(&first, "damaged").unwrap();
    let shelf = first.parent().unwrap();
    std::fs::write(shelf.join("note"), "not ours").unwrap();
    let misplaced = bodies.path(&all[599]);
    std::fs::copy(&misplaced, shelf.join(misplaced.file_name().unwrap())).unwrap();
    let found = walk(&bodies, 5);
    assert!(digests(&found) == all);
    for (index, found) in found.iter().enumerate() {
        assert_eq!(found.contents.is_err(), index == 0, "{index}");
    }
}

#[test]
fn what_is_removed_or_written_during_a_walk_does_no_harm() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    let all = fill(&bodies, 300);
    let (found, next) = bodies.walk(None, NonZeroUsize::MIN).unwrap();
    assert_eq!(digests(&found), all[..1]);
    for digest in &all[..150] {
        bodies.remove(digest).unwrap();
    }
    let four = NonZeroUsize::new(4).unwrap();
    let (mut seen, mut from) = (Vec::new(), next);
    while let Some(next) = from {
        let (found, next) = bodies.walk(Some(next), four).unwrap();
        seen.extend(digests(&found));
        from = next;
    }
    assert!(seen == all[150..]);
}

#[test]
fn failures_are_told_and_the_walk_can_go_on() {
    let scratch = Scratch::new();
    let all = fill(&scratch.open(), 3);
    let faults = Faults::default();
    let bodies = scratch.open_with(SyncMode::None, &faults).unwrap();
    faults.fail(DiskOp::List, 0, ErrorKind::PermissionDenied, 0);
    bodies.walk(None, NonZeroUsize::MIN).unwrap_err();
    for op in [DiskOp::Open, DiskOp::Read] {
        faults.fail(op, 0, ErrorKind::PermissionDenied, 0);
        let found = walk(&bodies, 1);
        assert!(digests(&found) == all);
        assert!(matches!(found[0].contents, Err(BodyError::Io { .. })));
        assert!(found[1].contents.is_ok());
    }
}

#[test]
fn a_scrubber_goes_round_and_finds_what_has_rotted() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    let all = fill(&bodies, 500);
    let path = bodies.path(&all[250]);
    let mut file = std::fs::read(&path).unwrap();
    file[65] ^= 1;
    std::fs::write(&path, file).unwrap();
    let mut scrubber = Scrubber::new(bodies.clone(), Some(all[100]));
    for round in [&all[101..], &all, &all] {
        for digest in round {
            let scrubbed = scrubber.step().unwrap().unwrap();
            assert_eq!((scrubbed.digest, scrubbed.bytes), (*digest, 68));
            assert_eq!(scrubbed.result.is_err(), *digest == all[250]);
        }
        assert!(scrubber.step().unwrap().is_none(), "the end of the round");
    }
    bodies.set_aside(&all[250]).unwrap();
    let mut seen = 0;
    while let Some(scrubbed) = scrubber.step().unwrap() {
        scrubbed.result.unwrap();
        seen += 1;
    }
    assert_eq!(seen, 499);
}

#[test]
fn a_scrubber_tries_a_folder_again_and_passes_what_was_removed() {
    let scratch = Scratch::new();
    let all = fill(&scratch.open(), 2_000);
    let faults = Faults::default();
    let bodies = scratch.open_with(SyncMode::None, &faults).unwrap();
    let mut scrubber = Scrubber::new(bodies.clone(), None);
    faults.fail(DiskOp::List, 0, ErrorKind::PermissionDenied, 0);
    scrubber.step().unwrap_err();
    assert_eq!(scrubber.step().unwrap().unwrap().digest, all[0]);
    bodies.remove(&all[1]).unwrap();
    assert_eq!(scrubber.step().unwrap().unwrap().digest, all[2]);
    std::fs::write(bodies.path(&all[3]), "").unwrap();
    let damaged = scrubber.step().unwrap().unwrap();
    assert!(matches!(damaged.result, Err(BodyError::Damaged { .. })));
}
