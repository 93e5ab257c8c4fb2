//! What does the guard make of an engine that does the worst?

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::engine::Engine;
use super::super::error::Failure;
use super::super::folder::Folder;
use super::super::guard::{Guarded, Opening};
use super::super::{IndexError, MemoryIndex, Rows};
use super::*;

/// What the next calls of an engine do, instead of what they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The disk is full.
    Full,
    /// Half of the batch is applied, then the disk is full.
    FullHalfWay,
    /// Nothing was kept of what was not flushed but the batch at hand, and the disk is full.
    FullWithoutThoseBefore,
    None,
    Panic,
}

/// The disk of an engine, which outlives its closing.
#[derive(Default)]
struct World {
    rows: MemoryIndex,
    /// What comes, in the order of the calls. The last is the next.
    next: Mutex<Vec<Trouble>>,
    opened: Mutex<u32>,
    may_tear: bool,
    panics_when_closed: bool,
}

impl World {
    fn meet(&self, half_way: impl FnOnce()) -> Result<(), Failure> {
        let full = || Err(Failure::Io(io::ErrorKind::StorageFull.into()));
        match self.next.lock().pop() {
            Some(Trouble::Full) => full(),
            Some(Trouble::FullHalfWay) => {
                half_way();
                full()
            }
            Some(Trouble::Panic) => panic!("as planned"),
            Some(Trouble::FullWithoutThoseBefore) => {
                self.rows.apply(&removes("a")).unwrap();
                half_way();
                full()
            }
            Some(Trouble::None) | None => Ok(()),
        }
    }
}

struct Troubled(Arc<World>);

impl Engine for Troubled {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        self.0.meet(|| ())?;
        Ok(self.0.rows.get(key).unwrap())
    }

    fn apply(&self, batch: &Batch) -> Result<(), Failure> {
        self.0.meet(|| self.0.rows.apply(&puts(&[("b", "half")])).unwrap())?;
        self.0.rows.apply(batch).unwrap();
        Ok(())
    }

    fn scan(&self, from: &[u8], below: &[u8], limit: usize) -> Result<Rows, Failure> {
        self.0.meet(|| ())?;
        Ok(self.0.rows.scan(from, below, limit).unwrap())
    }

    fn flush(&self) -> Result<(), Failure> {
        self.0.meet(|| ())
    }

    fn may_tear(&self) -> bool {
        self.0.may_tear
    }
}

impl Drop for Troubled {
    fn drop(&mut self) {
        assert!(!self.0.panics_when_closed, "as planned");
    }
}

fn guarded(scratch: &Scratch, limits: IndexLimits, world: &Arc<World>) -> (Guarded, Folder) {
    std::fs::create_dir_all(scratch.path()).unwrap();
    let folder = Folder::new(scratch.path(), IndexKind::Redb);
    folder.trust().unwrap();
    let reopened = Arc::clone(world);
    let opening: Opening = Box::new(move || {
        *reopened.opened.lock() += 1;
        reopened.meet(|| ())?;
        Ok(Box::new(Troubled(Arc::clone(&reopened))))
    });
    let engine = Box::new(Troubled(Arc::clone(world)));
    (Guarded::new(folder.clone(), limits, opening, engine), folder)
}

/// What is met, the next first.
fn plan(world: &World, troubles: &[Trouble]) {
    *world.next.lock() = troubles.iter().rev().copied().collect();
}

fn removes(key: &str) -> Batch {
    let mut batch = Batch::default();
    batch.remove(key);
    batch
}

fn is_damaged<T>(result: &Result<T, IndexError>) -> bool {
    matches!(result, Err(IndexError::Damaged { .. }))
}

fn is_full<T>(result: &Result<T, IndexError>) -> bool {
    matches!(result, Err(IndexError::Full { .. }))
}

#[test]
fn a_panic_ends_in_damage_that_stays() {
    let scratch = Scratch::new();
    let world = Arc::new(World { panics_when_closed: true, ..World::default() });
    let (index, folder) = guarded(&scratch, limits(), &world);
    plan(&world, &[Trouble::Panic]);
    let panicked = index.get(b"a");
    assert!(is_damaged(&panicked));
    let why = panicked.unwrap_err().to_string();
    assert_eq!(why, "the index is damaged: the engine panicked: as planned");
    assert!(!folder.is_trusted(), "the next start does not use it");
    assert!(is_damaged(&index.get(b"a")) && is_damaged(&index.flush()));
    assert!(is_damaged(&index.apply(&Batch::default())) && is_damaged(&index.scan(b"", b"b", 1)));
    assert_eq!(*world.opened.lock(), 0);
}

#[test]
fn a_panic_at_the_end_is_remembered() {
    let scratch = Scratch::new();
    let world = Arc::new(World { panics_when_closed: true, ..World::default() });
    let (index, folder) = guarded(&scratch, limits(), &world);
    drop(index);
    assert!(!folder.is_trusted());
}

#[test]
fn after_a_full_disk_the_engine_is_opened_anew() {
    let scratch = Scratch::new();
    let world = Arc::new(World::default());
    let (index, folder) = guarded(&scratch, limits(), &world);
    plan(&world, &[Trouble::Full, Trouble::Full]);
    assert!(is_full(&index.apply(&puts(&[("a", "1")]))));
    assert!(is_full(&index.get(b"a")), "it does not open yet");
    put(&index, "a", "2");
    assert_eq!(get(&index, "a").as_deref(), Some("2"));
    assert_eq!(*world.opened.lock(), 2);
    assert!(folder.is_trusted());
}

#[test]
fn it_is_not_tried_again_too_soon() {
    let scratch = Scratch::new();
    let world = Arc::new(World::default());
    let limits = IndexLimits { reopen_every: Duration::from_secs(3_600), ..limits() };
    let (index, _) = guarded(&scratch, limits, &world);
    plan(&world, &[Trouble::Full]);
    assert!(is_full(&index.flush()));
    for _ in 0..10 {
        assert!(is_full(&index.get(b"a")), "the reason is told again");
    }
    assert_eq!(*world.opened.lock(), 0);
}

#[test]
fn a_torn_batch_is_made_whole_before_anybody_looks() {
    let scratch = Scratch::new();
    let world = Arc::new(World { may_tear: true, ..World::default() });
    let (index, folder) = guarded(&scratch, limits(), &world);
    plan(&world, &[Trouble::FullHalfWay, Trouble::Full]);
    assert!(is_full(&index.apply(&puts(&[("a", "1"), ("b", "1")]))));
    assert!(!folder.is_trusted(), "a start in between does not use it");
    assert!(is_full(&index.get(b"a")));
    assert!(!folder.is_trusted());
    let both = [get(&index, "a"), get(&index, "b")];
    assert_eq!(both, [Some("1".to_owned()), Some("1".to_owned())]);
    assert!(folder.is_trusted());
}

#[test]
fn a_torn_batch_that_cannot_be_made_whole_is_tried_again() {
    let scratch = Scratch::new();
    let world = Arc::new(World { may_tear: true, ..World::default() });
    let (index, folder) = guarded(&scratch, limits(), &world);
    plan(&world, &[Trouble::FullHalfWay]);
    assert!(is_full(&index.apply(&puts(&[("b", "1")]))));
    let half_way_again = |index: &Guarded| {
        // The engine opens, and fails over the batch.
        plan(&world, &[Trouble::None, Trouble::FullHalfWay]);
        index.get(b"b")
    };
    assert!(is_full(&half_way_again(&index)) && !folder.is_trusted());
    assert_eq!(get(&index, "b").as_deref(), Some("1"));
    assert!(folder.is_trusted());
}

#[test]
fn a_batch_that_was_taken_and_lost_is_there_again_before_the_next_one() {
    let scratch = Scratch::new();
    let world = Arc::new(World { may_tear: true, ..World::default() });
    let (index, _) = guarded(&scratch, limits(), &world);
    put(&index, "a", "1");
    plan(&world, &[Trouble::FullWithoutThoseBefore]);
    assert!(is_full(&index.apply(&puts(&[("b", "1")]))));
    let both = [get(&index, "a"), get(&index, "b")];
    assert_eq!(both, [Some("1".to_owned()), Some("1".to_owned())]);
}

#[test]
fn what_was_flushed_is_not_applied_again() {
    let scratch = Scratch::new();
    let world = Arc::new(World { may_tear: true, ..World::default() });
    let (index, _) = guarded(&scratch, limits(), &world);
    put(&index, "a", "1");
    index.flush().unwrap();
    plan(&world, &[Trouble::FullWithoutThoseBefore]);
    assert!(is_full(&index.apply(&puts(&[("b", "1")]))));
    assert_eq!(get(&index, "a"), None, "an engine that breaks its word is believed");
    assert_eq!(get(&index, "b").as_deref(), Some("1"));
}

#[test]
fn an_index_that_is_never_flushed_flushes_itself() {
    let scratch = Scratch::new();
    let world = Arc::new(World { may_tear: true, ..World::default() });
    let (index, _) = guarded(&scratch, limits(), &world);
    let mut large = Batch::default();
    large.put("b", vec![0; 16 << 20]);
    index.apply(&large).unwrap();
    plan(&world, &[Trouble::Full]);
    assert!(is_full(&index.apply(&puts(&[("c", "1")]))), "its flush");
    assert_eq!(get(&index, "c"), None, "it was not applied");
}

#[test]
fn an_index_that_is_dropped_while_it_is_torn_is_not_used_again() {
    let scratch = Scratch::new();
    let world = Arc::new(World { may_tear: true, ..World::default() });
    let (index, folder) = guarded(&scratch, limits(), &world);
    plan(&world, &[Trouble::FullHalfWay]);
    assert!(is_full(&index.apply(&puts(&[("b", "1")]))));
    drop(index);
    assert!(!folder.is_trusted());
}

#[test]
fn an_engine_that_panics_while_it_is_opened_anew_is_damaged() {
    let scratch = Scratch::new();
    let (index, _) = opened(IndexKind::Redb, scratch.path());
    drop(index);
    let world = Arc::new(World::default());
    let (index, folder) = guarded(&scratch, limits(), &world);
    plan(&world, &[Trouble::Full]);
    assert!(is_full(&index.flush()));
    plan(&world, &[Trouble::Panic]);
    assert!(is_damaged(&index.get(b"a")) && !folder.is_trusted());
}
