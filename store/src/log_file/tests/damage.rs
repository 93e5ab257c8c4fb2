//! Is a torn tail told from damage, and is damage always seen?

use super::format::{HEADER_BYTES, Head, Header};
use super::scan::{Contents, Unreadable};
use super::*;

fn read(bytes: &[u8]) -> Result<Contents, Unreadable> {
    Contents::read(bytes, bytes.len() as u64)
}

/// A log of [`OLD`] with the records given as `(kind, seq, payload)`, each sealed as it should be.
fn sealed(records: &[(Kind, u64, &[u8])]) -> Vec<u8> {
    let mut batch = Batch::new(OLD, HEADER_BYTES as u64);
    for (kind, seq, payload) in records {
        batch.push(*kind, *seq, Payload::check(payload, usize::MAX).unwrap());
    }
    [&Header { epoch: OLD, first_seq: 1 }.encode(), batch.bytes()].concat()
}

#[test]
fn a_log_cut_anywhere_holds_every_append_that_fits_and_no_part_of_another() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open(OLD);
    let mut state = State::empty();
    let mut whole = vec![(log.bytes(), state.clone())];
    for op in script().iter().filter(|op| !matches!(op, Op::Compact(_))) {
        op.apply(&mut log).unwrap();
        state = state.after(op);
        whole.push((log.bytes(), state.clone()));
    }
    drop(log);
    let bytes = std::fs::read(scratch.log()).unwrap();
    for length in 0..=bytes.len() {
        scratch.put(&bytes[..length]);
        let (mut log, recovered) = scratch.open(FRESH);
        let fits = whole.iter().rev().find(|(end, _)| *end <= length as u64);
        let Some((end, expected)) = fits else {
            assert!(matches!(recovered.born, Born::Replaced { .. }), "{length}");
            assert_eq!((recovered.epoch, State::of(&recovered)), (FRESH, State::empty()));
            continue;
        };
        assert_eq!((recovered.epoch, &recovered.born), (OLD, &Born::Resumed), "{length}");
        assert_eq!(&State::of(&recovered), expected, "{length}");
        assert_eq!(recovered.cut_bytes, length as u64 - end, "{length}");
        assert_eq!(scratch.log().metadata().unwrap().len(), *end, "{length}");
        assert_eq!(log.append(&[b"next"]).unwrap(), expected.next_seq(), "{length}");
    }
}

#[test]
fn any_flipped_bit_is_damage() {
    let scratch = Scratch::new();
    let (bytes, _) = scratch.filled(&script());
    assert!(read(&bytes).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let contents = read(&flipped);
        assert!(matches!(contents, Err(Unreadable::Damaged { .. })), "bit {bit}: {contents:?}");
    }
}

#[test]
fn any_flipped_bit_of_a_torn_record_is_damage_once_its_head_is_there() {
    let whole = sealed(&[(Kind::Entry, 1, b"one"), (Kind::Entry, 2, b"two")]);
    let second = whole.len() - 40;
    let torn = &whole[..second + format::HEAD_BYTES];
    assert!(read(torn).is_ok());
    for bit in second * 8..torn.len() * 8 {
        let mut flipped = torn.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let contents = read(&flipped);
        assert!(matches!(contents, Err(Unreadable::Damaged { .. })), "bit {bit}: {contents:?}");
    }
}

#[test]
fn records_with_right_checks_must_also_follow_one_another() {
    use Kind::{Enrol, Entry, EntryPart, Strike};
    type Case = (&'static [(Kind, u64, &'static [u8])], bool, &'static str);
    const CASES: &[Case] = &[
        (&[(Entry, 1, b""), (Entry, 2, b"")], true, "one after the other"),
        (&[(Enrol, 0, b"a"), (Entry, 1, b""), (Strike, 1, b"a")], true, "members between entries"),
        (&[(EntryPart, 1, b""), (Entry, 2, b"")], true, "an append of two"),
        (&[(Entry, 2, b"")], false, "the first is missing"),
        (&[(Entry, 1, b""), (Entry, 1, b"")], false, "a number twice"),
        (&[(Entry, 1, b""), (Entry, 3, b"")], false, "a gap"),
        (&[(Entry, 1, b""), (Enrol, 0, b"a")], false, "a member from before the entry"),
        (&[(Enrol, 1, b"a")], false, "a member from after an entry that is missing"),
        (&[(EntryPart, 1, b""), (Enrol, 1, b"a")], false, "an append without its end"),
    ];
    for &(records, expected, why) in CASES {
        assert_eq!(read(&sealed(records)).is_ok(), expected, "{why}");
    }
}

#[test]
fn records_with_right_checks_must_also_mean_something() {
    let place = format::Place { epoch: OLD, at: HEADER_BYTES as u64 };
    let contents = read(&sealed(&[(Kind::Enrol, 0, b"\xff")]));
    assert!(matches!(contents, Err(Unreadable::Damaged { .. })), "a name that is no text");
    for first_seq in [0, u64::MAX] {
        let header = Header { epoch: OLD, first_seq }.encode();
        assert!(read(&header).is_err(), "numbers beginning at {first_seq}");
    }
    let too_long = u32::try_from(LOG_PAYLOAD_BYTES_MAX + 1).unwrap().to_le_bytes();
    for (bytes, kind, why) in [(too_long, 1, "too long"), ([0; 4], 9, "of no kind")] {
        let head = format::sealed_head(bytes, kind, 1, place);
        let meaning = Head::decode(&head, place);
        assert_eq!(meaning, Err(Damage::Meaning { at: place.at }), "{why}");
    }
}

#[test]
fn a_record_of_another_log_or_from_another_place_is_not_taken_for_ours() {
    let ours = sealed(&[(Kind::Entry, 1, b"one"), (Kind::Enrol, 1, b"a"), (Kind::Enrol, 1, b"b")]);
    let mut other = Batch::new(FRESH, HEADER_BYTES as u64);
    other.push(Kind::Entry, 1, Payload::check(b"one", 3).unwrap());
    let foreign = [&ours[..HEADER_BYTES], other.bytes()].concat();
    assert!(read(&foreign).is_err(), "of another log");
    let (before, last) = ours.split_at(ours.len() - 38);
    let twice = [before, last, last].concat();
    assert!(read(&twice).is_err(), "a record twice");
    let missing = [&before[..before.len() - 38], last].concat();
    assert!(read(&missing).is_err(), "a record left out");
}

#[test]
fn a_damaged_log_is_set_aside_as_it_was() {
    let scratch = Scratch::new();
    let (mut bytes, _) = scratch.filled(&script());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    scratch.put(&bytes);
    let (mut log, recovered) = scratch.open(FRESH);
    let Born::Replaced { set_aside, .. } = &recovered.born else { panic!("{recovered:?}") };
    assert_eq!(std::fs::read(set_aside).unwrap(), bytes);
    assert_eq!((recovered.epoch, State::of(&recovered)), (FRESH, State::empty()));
    assert_eq!(log.append(&[b"one"]).unwrap(), 1);
}

#[test]
fn compaction_never_carries_damage_over() {
    let overwrite = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    let cut = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    };
    for (why, spoil) in [("flipped", &overwrite as &dyn Fn(&Path)), ("cut", &cut)] {
        let scratch = Scratch::new();
        scratch.filled(&script());
        let (mut log, _) = scratch.open(FRESH);
        spoil(&scratch.log());
        let spoilt = std::fs::read(scratch.log()).unwrap();
        let refused = log.compact(u64::MAX);
        assert!(matches!(refused, Err(LogAppendError::Damaged { .. })), "{why}: {refused:?}");
        let refused = log.append(&[b"next"]);
        assert!(matches!(refused, Err(LogAppendError::Poisoned)), "{why}: {refused:?}");
        assert_eq!(std::fs::read(scratch.log()).unwrap(), spoilt, "{why}");
        assert!(!scratch.path().join("purge.log.new").exists(), "{why}");
    }
}
