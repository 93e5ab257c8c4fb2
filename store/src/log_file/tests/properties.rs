//! Do the invariants hold for logs that nobody thought of?

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::scan::{Contents, Unreadable};
use super::*;

/// One thing that happens to a log.
#[derive(Debug, Clone)]
enum Event {
    Ask(Op),
    Reopen,
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..60), 0..4)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => payloads().prop_map(Op::Append),
        1 => (0_u64..40).prop_map(Op::Compact),
        2 => "[a-c]".prop_map(Op::Enrol),
        1 => "[a-c]".prop_map(Op::Strike),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    vec(prop_oneof![6 => op().prop_map(Event::Ask), 1 => Just(Event::Reopen)], 1..16)
}

/// Whether one who holds `part` has seen nothing else than the beginning of `whole`.
fn begins(part: &[(u64, Vec<u8>)], whole: &[(u64, Vec<u8>)]) -> bool {
    whole.starts_with(part)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A crash within the last append, after any history, undoes that append and nothing else.
    #[test]
    fn a_crash_at_any_byte_leaves_the_state_before_the_append(
        events in events(),
        last in op(),
        cut in any::<Index>(),
    ) {
        let scratch = Scratch::new();
        let (mut log, _) = scratch.open(OLD);
        let mut state = State::empty();
        for event in &events {
            match event {
                Event::Ask(op) => {
                    op.apply(&mut log).unwrap();
                    state = state.after(op);
                }
                Event::Reopen => {
                    drop(log);
                    let recovered;
                    (log, recovered) = scratch.open(FRESH);
                    prop_assert_eq!(State::of(&recovered), state.clone());
                    prop_assert_eq!((recovered.epoch, recovered.cut_bytes), (OLD, 0));
                }
            }
        }
        prop_assume!(!matches!(last, Op::Compact(_)));
        let before = usize::try_from(log.bytes()).unwrap();
        last.apply(&mut log).unwrap();
        drop(log);
        let bytes = std::fs::read(scratch.log()).unwrap();
        let kept = before + cut.index(bytes.len() - before + 1);
        scratch.put(&bytes[..kept]);
        let (_, recovered) = scratch.open(FRESH);
        let expected = if kept == bytes.len() { state.after(&last) } else { state };
        prop_assert_eq!(State::of(&recovered), expected);
        prop_assert_eq!((recovered.epoch, recovered.born), (OLD, Born::Resumed));
    }

    /// Whatever is flipped and cut, what is read is the beginning of what was written, or nothing.
    #[test]
    fn spoilt_bytes_never_yield_a_wrong_entry(
        ops in vec(op(), 1..12),
        flips in vec(any::<Index>(), 1..4),
        cut in proptest::option::of(any::<Index>()),
    ) {
        let scratch = Scratch::new();
        let (mut bytes, state) = scratch.filled(&ops);
        for flip in &flips {
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len() + 1)));
        match Contents::read(bytes.as_slice(), bytes.len() as u64) {
            Err(Unreadable::Damaged { .. }) => {}
            Err(other) => prop_assert!(false, "{:?}", other),
            Ok(contents) => {
                prop_assert_eq!(contents.header.epoch, OLD);
                prop_assert_eq!(contents.header.first_seq, state.first_seq);
                prop_assert!(begins(&contents.entries, &state.entries));
            }
        }
    }

    /// Bytes that nobody wrote as a log are no log, and do no harm.
    #[test]
    fn any_bytes_can_be_read(noise in vec(any::<u8>(), 0..300), with_header: bool) {
        let header = format::Header { epoch: OLD, first_seq: 1 }.encode();
        let bytes = if with_header { [&header[..], &noise].concat() } else { noise };
        if let Ok(contents) = Contents::read(bytes.as_slice(), bytes.len() as u64) {
            prop_assert!(contents.entries.is_empty() && contents.members.is_empty());
        }
    }
}
