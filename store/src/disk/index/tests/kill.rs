//! Does a process that is killed while it writes leave every batch whole or absent, and what was
//! flushed in its place?
//!
//! The test runs itself as a child that writes without end and says so on its standard output, and
//! kills that at moments nobody chose, some of them while it opens the index. What only a power
//! cut can undo is not shown here.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use super::*;

const FOLDER: &str = "WEIR_INDEX_KILL_FOLDER";
const KIND: &str = "WEIR_INDEX_KILL_KIND";
/// How long one kind is tried.
const TIME: Duration = Duration::from_secs(5);
const ROUNDS_MIN: u64 = 4;
/// Each batch puts this many keys, of which it shares some with those before it.
const KEYS: u64 = 30;
const SLOTS: u64 = 40;

#[test]
fn killed_writes_are_whole_or_absent_in_redb() {
    kill_again_and_again(IndexKind::Redb, "killed_writes_are_whole_or_absent_in_redb");
}

#[test]
fn killed_writes_are_whole_or_absent_in_sled() {
    kill_again_and_again(IndexKind::Sled, "killed_writes_are_whole_or_absent_in_sled");
}

fn kill_again_and_again(kind: IndexKind, name: &str) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        write_until_killed(std::env::var(KIND).unwrap().parse().unwrap(), Path::new(&folder));
    }
    let scratch = Scratch::new();
    let mut random = Random(u64::from(std::process::id()) | 1);
    let begin = Instant::now();
    let mut round = 0;
    while round < ROUNDS_MIN || begin.elapsed() < TIME {
        let flushed = kill_at_random(&scratch, name, kind, &mut random);
        let (index, state) = opened(kind, scratch.path());
        assert!(!matches!(state, OpenedState::SetAside { .. }), "round {round}: {state:?}");
        assert_whole(&*index, flushed, round);
        round += 1;
    }
}

/// Lets a child write a while, kills it, and returns the newest batch that it has flushed.
fn kill_at_random(scratch: &Scratch, name: &str, kind: IndexKind, random: &mut Random) -> u64 {
    let (mut child, mut output) = child(scratch, name, kind);
    // In one round of four it is killed while it opens.
    let wanted = if random.below(4) == 0 { 0 } else { 1 + random.below(12) };
    let mut flushed = 0;
    let mut line = String::new();
    for said in 0..=wanted {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the child has ended after {said}");
        while !heard(&line, &mut flushed) {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "the child has ended after {said}");
        }
    }
    // Long enough for the child to be anywhere in what it does next.
    let kill_at = Instant::now() + Duration::from_micros(random.below(20_000));
    while Instant::now() < kill_at {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in output.lines() {
        heard(&line.unwrap(), &mut flushed);
    }
    flushed
}

/// Notes what a line of a child says. False for one of the test harness.
fn heard(line: &str, flushed: &mut u64) -> bool {
    if let Some(number) = line.trim_end().strip_prefix("flushed ") {
        *flushed = number.parse().unwrap();
        return true;
    }
    line.trim_end() == "opening"
}

fn child(scratch: &Scratch, name: &str, kind: IndexKind) -> (Child, BufReader<ChildStdout>) {
    let module = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{name}"), "--nocapture"])
        .env(FOLDER, scratch.path())
        .env(KIND, kind.as_str())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// The life of a child. Each line it writes is one write, so none is half heard.
fn write_until_killed(kind: IndexKind, folder: &Path) -> ! {
    // Begins a line of its own after what the test harness has written.
    say("\nopening");
    let (index, _) = opened(kind, folder);
    let mut number = newest(&*index).unwrap_or(0);
    say(&format!("flushed {number}"));
    loop {
        number += 1;
        index.apply(&batch(number)).unwrap();
        if number.is_multiple_of(7) {
            index.flush().unwrap();
            say(&format!("flushed {number}"));
        }
    }
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

/// Batch `number` removes the keys of an older one and puts some of its own, one of them shared.
fn batch(number: u64) -> Batch {
    let mut batch = Batch::default();
    for slot in 0..KEYS {
        batch.remove(key(number.saturating_sub(SLOTS), slot));
    }
    for slot in 0..KEYS {
        batch.put(key(number, slot), value(number, slot));
    }
    batch.put("newest", number.to_be_bytes());
    batch
}

/// Scattered, so that a batch touches many pages.
fn key(number: u64, slot: u64) -> Vec<u8> {
    let scattered = blake3::hash(&[number.to_be_bytes(), slot.to_be_bytes()].concat());
    [b"k", &scattered.as_bytes()[..16]].concat()
}

fn value(number: u64, slot: u64) -> Vec<u8> {
    let mut random = Random((number << 8 | slot).wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    (0..100 + random.below(500)).map(|_| random.next().to_le_bytes()[0]).collect()
}

fn newest(index: &dyn Index) -> Option<u64> {
    let bytes = index.get(b"newest").unwrap()?;
    Some(u64::from_be_bytes(bytes.try_into().unwrap()))
}

/// The index is that of right after some batch, and not of one before the flush.
fn assert_whole(index: &dyn Index, flushed: u64, round: u64) {
    let Some(newest) = newest(index) else {
        assert_eq!(flushed, 0, "round {round}: what was flushed is gone");
        assert!(index.scan(&[], &[255], 1).unwrap().is_empty(), "round {round}");
        return;
    };
    assert!(newest >= flushed, "round {round}: {newest} is the newest, {flushed} was flushed");
    let mut expected = std::collections::BTreeMap::new();
    for number in newest.saturating_sub(SLOTS - 1).max(1)..=newest {
        expected.extend((0..KEYS).map(|slot| (key(number, slot), value(number, slot))));
    }
    let found = index.scan(b"k", b"l", usize::MAX).unwrap();
    assert_eq!(found.len(), expected.len(), "round {round}: after batch {newest}");
    assert!(found.into_iter().eq(expected), "round {round}: a value is wrong");
}

/// Numbers that are random enough (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
