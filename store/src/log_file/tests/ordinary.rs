//! What does a log do while nothing goes wrong?

use super::*;

#[test]
fn what_was_acknowledged_is_found_again() {
    let scratch = Scratch::new();
    let (_, state) = scratch.filled(&script());
    let (log, recovered) = scratch.open(FRESH);
    let numbers: Vec<u64> = recovered.entries.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(State::of(&recovered), state);
    assert_eq!((recovered.epoch, recovered.born, recovered.cut_bytes), (OLD, Born::Resumed, 0));
    assert_eq!((recovered.first_seq, numbers), (3, vec![3, 4, 5, 6, 7]));
    assert_eq!(log.members(), ["edge-2", "edge-3"]);
    assert_eq!((log.epoch(), log.first_seq(), log.last_seq()), (OLD, 3, 7));
    assert_eq!(log.bytes(), scratch.log().metadata().unwrap().len());
}

#[test]
fn a_log_that_is_made_is_empty_and_has_the_epoch_it_was_given() {
    let scratch = Scratch::new();
    let (log, recovered) = scratch.open(OLD);
    assert_eq!((recovered.epoch, &recovered.born), (OLD, &Born::New));
    assert_eq!(State::of(&recovered), State::empty());
    assert_eq!(log.last_seq(), 0);
}

#[test]
fn numbers_go_on_after_everything_was_compacted() {
    let scratch = Scratch::new();
    scratch.filled(&[Op::append(&["one", "two"]), Op::enrol("edge-1"), Op::Compact(u64::MAX)]);
    let (mut log, recovered) = scratch.open(FRESH);
    assert_eq!((recovered.first_seq, recovered.entries.len(), log.last_seq()), (3, 0, 2));
    assert_eq!(recovered.members, ["edge-1"]);
    assert_eq!(log.append(&[b"three"]).unwrap(), 3);
}

#[test]
fn compaction_frees_room_and_never_goes_back() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open(OLD);
    for _ in 0..50 {
        log.append(&[&[7; 100]]).unwrap();
        log.enrol("edge-1").unwrap();
        log.strike("edge-1").unwrap();
    }
    let before = log.bytes();
    log.compact(50).unwrap();
    assert!(log.bytes() < before / 40, "{} of {before} bytes left", log.bytes());
    log.compact(1).unwrap();
    assert_eq!((log.first_seq(), log.last_seq()), (50, 50));
}

#[test]
fn compaction_copies_more_than_one_chunk() {
    let scratch = Scratch::new();
    let payload = |seq: u64| vec![u8::try_from(seq % 251).unwrap(); 60_000];
    let ops: Vec<Op> = (1..=20).map(|seq| Op::Append(vec![payload(seq)])).collect();
    scratch.filled(&ops);
    let (mut log, _) = scratch.open(FRESH);
    log.compact(4).unwrap();
    drop(log);
    let (_, recovered) = scratch.open(FRESH);
    let expected: Vec<(u64, Vec<u8>)> = (4..=20).map(|seq| (seq, payload(seq))).collect();
    assert!(recovered.entries == expected);
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open(OLD);
    log.append(&[b"one"]).unwrap();
    log.enrol("edge-1").unwrap();
    let before = log.bytes();
    log.enrol("edge-1").unwrap();
    log.strike("edge-2").unwrap();
    assert_eq!(log.append(&[]).unwrap(), 1);
    assert_eq!(log.bytes(), before);
}

#[test]
fn what_is_too_long_is_refused_and_leaves_no_trace() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open(OLD);
    let longest = vec![1; LOG_PAYLOAD_BYTES_MAX];
    let too_long = vec![1; LOG_PAYLOAD_BYTES_MAX + 1];
    let refused = log.append(&[b"short", &too_long]);
    assert!(matches!(refused, Err(LogAppendError::TooLarge { .. })), "a payload: {refused:?}");
    let refused = log.append(&[longest.as_slice(); 4]);
    assert!(matches!(refused, Err(LogAppendError::TooLarge { .. })), "an append: {refused:?}");
    let refused = log.enrol(&"m".repeat(LOG_MEMBER_BYTES_MAX + 1));
    assert!(matches!(refused, Err(LogAppendError::TooLarge { .. })), "a name: {refused:?}");
    assert_eq!(log.append(&[&longest]).unwrap(), 1);
    drop(log);
    let (_, recovered) = scratch.open(FRESH);
    assert!(recovered.entries == [(1, longest)]);
    assert!(recovered.members.is_empty());
}

#[test]
fn a_full_log_takes_entries_again_once_it_is_compacted() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open(OLD);
    log.bytes_max = 400;
    let full = loop {
        if let Err(error) = log.append(&[b"entry"]) {
            break error;
        }
    };
    assert!(matches!(full, LogAppendError::Full { bytes_max: 400 }), "{full:?}");
    assert!(log.bytes() <= 400);
    let last_seq = log.last_seq();
    log.compact(last_seq).unwrap();
    assert_eq!(log.append(&[b"entry"]).unwrap(), last_seq + 1);
}
