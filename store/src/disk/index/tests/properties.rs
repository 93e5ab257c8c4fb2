//! Does every index do what a map in memory does, over any number of restarts?

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{IndexError, MemoryIndex};
use super::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Apply(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Flush,
    Get(Vec<u8>),
    Reopen,
    Scan(Vec<u8>, Vec<u8>, usize),
}

/// Keys so short that they meet, and some that share a long beginning.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let short = vec(prop_oneof![Just(0), Just(1), Just(b'a'), Just(255)], 0..4);
    (short, prop_oneof![3 => Just(0), 1 => Just(65)]).prop_map(|(mut key, padding)| {
        key.resize(key.len().max(padding), 7);
        key.rotate_right(padding.min(60));
        key
    })
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    let bytes = prop_oneof![
        4 => vec(any::<u8>(), 0..40),
        1 => vec(any::<u8>(), 3_000..9_000),
    ];
    prop_oneof![1 => Just(None), 3 => bytes.prop_map(Some)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => vec((key(), value()), 0..12).prop_map(Step::Apply),
        1 => Just(Step::Flush),
        4 => key().prop_map(Step::Get),
        1 => Just(Step::Reopen),
        4 => (key(), key(), 0..20_usize).prop_map(|(from, below, limit)| Step::Scan(from, below, limit)),
    ]
}

fn apply(index: &dyn Index, model: &mut Model, changes: &[(Vec<u8>, Option<Vec<u8>>)]) {
    let mut batch = Batch::default();
    for (key, value) in changes {
        match value {
            Some(value) => {
                batch.put(key.as_slice(), value.as_slice());
                model.insert(key.clone(), value.clone());
            }
            None => {
                batch.remove(key.as_slice());
                model.remove(key);
            }
        }
    }
    index.apply(&batch).unwrap();
}

fn scanned(model: &Model, from: &[u8], below: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = model.iter().filter(|(key, _)| from <= key.as_slice() && key.as_slice() < below);
    rows.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Takes all steps with an index and a map, and compares what they say.
fn compare(
    steps: Vec<Step>,
    mut index: Box<dyn Index>,
    reopen: impl Fn() -> Option<Box<dyn Index>>,
) {
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Apply(changes) => apply(&*index, &mut model, &changes),
            Step::Flush => index.flush().unwrap(),
            Step::Get(key) => assert_eq!(index.get(&key).unwrap(), model.get(&key).cloned()),
            Step::Reopen => {
                let nothing: Box<dyn Index> = Box::new(MemoryIndex::default());
                // Closed before it is opened again, if it can be.
                let closing = std::mem::replace(&mut index, nothing);
                index = match reopen_after(closing, &reopen) {
                    Ok(index) | Err(index) => index,
                };
            }
            Step::Scan(from, below, limit) => assert_eq!(
                index.scan(&from, &below, limit).unwrap(),
                scanned(&model, &from, &below, limit)
            ),
        }
    }
    let all = index.scan(&[], &[255; 100], usize::MAX).unwrap();
    assert_eq!(all, model.into_iter().collect::<Vec<_>>());
}

/// The index opened again, or as it was if it lies nowhere.
fn reopen_after(
    index: Box<dyn Index>,
    reopen: &impl Fn() -> Option<Box<dyn Index>>,
) -> Result<Box<dyn Index>, Box<dyn Index>> {
    if index.bytes_on_disk() == 0 {
        return Err(index);
    }
    drop(index);
    Ok(reopen().unwrap())
}

fn compare_on_disk(kind: IndexKind, steps: Vec<Step>) {
    let scratch = Scratch::new();
    let (index, state) = opened(kind, scratch.path());
    assert_eq!(state, OpenedState::Empty);
    compare(steps, index, || {
        let (index, state) = opened(kind, scratch.path());
        assert_eq!(state, OpenedState::Kept);
        Some(index)
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_one_in_memory_is_a_map(steps in vec(step(), 0..40)) {
        compare(steps, Box::new(MemoryIndex::default()), || None);
    }

    #[test]
    fn redb_is_a_map(steps in vec(step(), 0..40)) {
        compare_on_disk(IndexKind::Redb, steps);
    }

    #[test]
    fn sled_is_a_map(steps in vec(step(), 0..40)) {
        compare_on_disk(IndexKind::Sled, steps);
    }
}

#[test]
fn batches_as_large_as_they_may_be_are_taken_and_larger_ones_are_not() {
    let scratch = Scratch::new();
    let mut indexes: Vec<Box<dyn Index>> = vec![Box::new(MemoryIndex::default())];
    for kind in IndexKind::ALL {
        indexes.push(opened(kind, &scratch.path().join(kind.as_str())).0);
    }
    let mut batch = Batch::default();
    (0..1_000_u32).for_each(|number| batch.put(number.to_be_bytes(), [1]));
    for index in &indexes {
        index.apply(&batch).unwrap();
    }
    batch.remove([0, 0, 0, 0]);
    for index in &indexes {
        assert!(matches!(index.apply(&batch), Err(IndexError::TooMany { changes: 1_001 })));
        assert_eq!(index.scan(&[], &[255], 2_000).unwrap().len(), 1_000);
    }
}

#[test]
fn the_later_of_two_changes_of_a_key_counts() {
    let scratch = Scratch::new();
    for kind in IndexKind::ALL {
        let (index, _) = opened(kind, &scratch.path().join(kind.as_str()));
        let mut batch = puts(&[("a", "1"), ("b", "1"), ("a", "2")]);
        batch.remove("b");
        batch.remove("c");
        batch.put("c", "3");
        index.apply(&batch).unwrap();
        let found = ["a", "b", "c"].map(|key| get(&*index, key));
        assert_eq!(found, [Some("2".to_owned()), None, Some("3".to_owned())], "{kind:?}");
    }
}
