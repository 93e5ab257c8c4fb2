//! What becomes of the files that are found in the folder?

use std::fs;
use std::os::unix::fs::FileExt;

use super::super::{IndexKind, IndexOpenError};
use super::*;

/// An index with some rows, closed.
fn written(kind: IndexKind, folder: &Path) {
    let (index, _) = opened(kind, folder);
    for batch in 0..40_u32 {
        let mut changes = Batch::default();
        for number in 0..100_u32 {
            let key = blake3::hash(&(batch * 100 + number).to_be_bytes());
            changes.put(key.as_bytes().as_slice(), vec![7; 300]);
        }
        index.apply(&changes).unwrap();
    }
    put(&*index, "a", "1");
}

/// The file in which the engine has its pages.
fn pages(kind: IndexKind, scratch: &Scratch) -> (PathBuf, u64) {
    let name = match kind {
        IndexKind::Redb => "/index.redb",
        IndexKind::Sled => "/db",
    };
    scratch.files(name).pop().unwrap()
}

fn set_aside(state: &OpenedState) -> bool {
    matches!(state, OpenedState::SetAside { .. })
}

fn in_bad(scratch: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(scratch.path().join("bad")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn kinds_have_the_names_of_the_configuration() {
    for kind in IndexKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    let error = "rocksdb".parse::<IndexKind>().unwrap_err();
    assert_eq!(error.to_string(), "`rocksdb` is no index: `redb` and `sled` are");
}

#[test]
fn changing_the_kind_starts_empty_and_so_does_changing_it_back() {
    for (first, second) in [(IndexKind::Redb, IndexKind::Sled), (IndexKind::Sled, IndexKind::Redb)]
    {
        let scratch = Scratch::new();
        written(first, scratch.path());
        let (index, state) = opened(second, scratch.path());
        assert_eq!((state, get(&*index, "a")), (OpenedState::Empty, None));
        drop(index);
        let (index, state) = opened(first, scratch.path());
        assert_eq!((state, get(&*index, "a")), (OpenedState::Empty, None));
    }
}

#[test]
fn a_snapshot_that_a_kill_has_cut_short_is_removed() {
    let scratch = Scratch::new();
    written(IndexKind::Sled, scratch.path());
    let (log, _) = pages(IndexKind::Sled, &scratch);
    let snapshot = log.with_file_name("snap.00000000FFFFFFFF.generating");
    fs::write(&snapshot, b"half a snap").unwrap();
    let (index, state) = opened(IndexKind::Sled, scratch.path());
    assert_eq!((state, get(&*index, "a").as_deref()), (OpenedState::Kept, Some("1")));
    assert!(!snapshot.exists());
}

#[test]
fn a_file_that_is_no_index_is_set_aside() {
    for kind in IndexKind::ALL {
        let scratch = Scratch::new();
        written(kind, scratch.path());
        let (file, bytes) = pages(kind, &scratch);
        fs::write(&file, vec![0xa5; usize::try_from(bytes).unwrap()]).unwrap();
        let (index, state) = opened(kind, scratch.path());
        assert!(state != OpenedState::Kept || get(&*index, "a").is_none(), "{kind:?}: {state:?}");
        put(&*index, "b", "2");
        drop(index);
        let (index, state) = opened(kind, scratch.path());
        assert_eq!((state, get(&*index, "b").as_deref()), (OpenedState::Kept, Some("2")));
    }
}

/// redb refuses such a file, and a caller would be told of damage.
#[test]
fn an_index_that_a_kill_has_left_half_made_is_an_empty_one() {
    for kind in IndexKind::ALL {
        let scratch = Scratch::new();
        written(kind, scratch.path());
        let (file, bytes) = pages(kind, &scratch);
        fs::write(&file, vec![0; usize::try_from(bytes).unwrap()]).unwrap();
        fs::write(scratch.path().join("index.making"), b"").unwrap();
        let (index, state) = opened(kind, scratch.path());
        assert_eq!((state, get(&*index, "a")), (OpenedState::Empty, None), "{kind:?}");
        put(&*index, "b", "2");
        drop(index);
        let (index, state) = opened(kind, scratch.path());
        assert_eq!((state, get(&*index, "b").as_deref()), (OpenedState::Kept, Some("2")));
    }
}

/// Something else than a file, and something else than a folder.
#[test]
fn a_name_that_is_taken_by_something_else_is_set_aside() {
    for kind in IndexKind::ALL {
        let scratch = Scratch::new();
        written(kind, scratch.path());
        let path = scratch.path().join(format!("index.{}", kind.as_str()));
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
            fs::write(&path, b"a file").unwrap();
        } else {
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        }
        let (_, state) = opened(kind, scratch.path());
        assert!(set_aside(&state), "{kind:?}: {state:?}");
    }
}

/// What can be seen of damage depends on where it is: whatever happens, no panic comes out, no
/// value is wrong, and an index that was set aside is followed by one that stays.
fn survives(kind: IndexKind, spoil: impl Fn(&fs::File, u64)) {
    survives_with(kind, spoil, |key, value| {
        assert!(value == [7; 300] || (key, value) == (b"a", b"1"), "{kind:?}: {key:?}");
    });
}

fn survives_with(
    kind: IndexKind,
    spoil: impl Fn(&fs::File, u64),
    check_row: impl Fn(&[u8], &[u8]),
) {
    let scratch = Scratch::new();
    written(kind, scratch.path());
    let (file, bytes) = pages(kind, &scratch);
    spoil(&fs::File::options().read(true).write(true).open(file).unwrap(), bytes);
    let (index, state) = opened(kind, scratch.path());
    let rows = index.scan(&[], &[255; 33], usize::MAX);
    let used = rows.and_then(|rows| {
        rows.iter().for_each(|(key, value)| check_row(key, value));
        index.apply(&puts(&[("b", "2")]))?;
        index.flush()
    });
    drop(index);
    let (index, again) = opened(kind, scratch.path());
    match used {
        Err(error) => assert!(set_aside(&again), "{kind:?}: {state:?}, {error}, {again:?}"),
        Ok(()) if again == OpenedState::Kept => {
            assert_eq!(get(&*index, "b").as_deref(), Some("2"), "{kind:?}: {state:?}");
        }
        // A sled that has lost a part of its log may open and be used, and not open the next time.
        Ok(()) => assert!(kind == IndexKind::Sled && set_aside(&again), "{state:?}, {again:?}"),
    }
    put(&*index, "c", "3");
    drop(index);
    let (index, state) = opened(kind, scratch.path());
    assert_eq!((state, get(&*index, "c").as_deref()), (OpenedState::Kept, Some("3")), "{kind:?}");
}

#[test]
fn a_spoilt_page_lets_no_panic_out() {
    for kind in IndexKind::ALL {
        for place in 0..8 {
            survives(kind, |file, bytes| {
                let at = (bytes / 8 * place) & !4095;
                file.write_all_at(&[if place % 2 == 0 { 0 } else { 0x5a }; 4096], at).unwrap();
            });
        }
    }
}

/// Here redb may give a wrong value, which its callers check for.
#[test]
fn a_flipped_bit_lets_no_panic_out() {
    for kind in IndexKind::ALL {
        for place in 0..8 {
            let flip = |file: &fs::File, bytes: u64| {
                let (at, mut byte) = (bytes / 8 * place + 97 * place, [0]);
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ 1 << (place % 8)], at).unwrap();
            };
            survives_with(kind, flip, |_, _| ());
        }
    }
}

#[test]
fn a_file_cut_short_lets_no_panic_out() {
    for kind in IndexKind::ALL {
        for eighths in [0, 1, 4, 7] {
            survives(kind, |file, bytes| file.set_len(bytes / 8 * eighths + 100).unwrap());
        }
    }
}

#[test]
fn only_the_newest_index_that_was_set_aside_is_kept() {
    for kind in IndexKind::ALL {
        let scratch = Scratch::new();
        for round in 1..4 {
            written(kind, scratch.path());
            // As if it had panicked.
            fs::remove_file(scratch.path().join("index.trusted")).unwrap();
            let (index, state) = opened(kind, scratch.path());
            assert!(set_aside(&state) && get(&*index, "a").is_none(), "{kind:?}: {state:?}");
            assert_eq!(in_bad(&scratch), [format!("index-{round}")]);
        }
    }
}

#[test]
fn an_index_that_does_not_open_in_time_is_set_aside() {
    for kind in IndexKind::ALL {
        let scratch = Scratch::new();
        written(kind, scratch.path());
        // Not even an empty one opens in no time.
        let limits = IndexLimits { open_within: Duration::ZERO, ..limits() };
        let error = open(kind, scratch.path(), limits).err().unwrap();
        assert!(matches!(error, IndexOpenError::Engine { .. }), "{kind:?}: {error}");
        assert_eq!(in_bad(&scratch).len(), 1, "{kind:?}");
        let (index, _) = opened(kind, scratch.path());
        assert_eq!(get(&*index, "a"), None, "{kind:?}");
        put(&*index, "b", "2");
        drop(index);
        let (index, state) = opened(kind, scratch.path());
        assert_eq!((state, get(&*index, "b").as_deref()), (OpenedState::Kept, Some("2")));
    }
}

#[test]
fn an_index_that_is_open_is_not_opened_again() {
    for kind in IndexKind::ALL {
        let scratch = Scratch::new();
        let (index, _) = opened(kind, scratch.path());
        put(&*index, "a", "1");
        let limits = IndexLimits { open_within: Duration::from_millis(50), ..limits() };
        let second = open(kind, scratch.path(), limits).err().unwrap();
        assert!(matches!(second, IndexOpenError::InUse { .. }), "{kind:?}: {second}");
        assert_eq!(get(&*index, "a").as_deref(), Some("1"));
        assert!(in_bad(&scratch).is_empty());
    }
}

#[test]
fn the_room_on_disk_is_that_of_the_files() {
    for kind in IndexKind::ALL {
        let scratch = Scratch::new();
        written(kind, scratch.path());
        let (index, _) = opened(kind, scratch.path());
        let bytes = index.bytes_on_disk();
        assert!((1_200_000..40_000_000).contains(&bytes), "{kind:?}: {bytes}");
    }
}
