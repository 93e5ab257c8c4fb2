//! What does an index of the disk tier cost, in time, memory and room?
//!
//! ```text
//! cargo run --release -p weir-store --example index_bench -- --kind redb --records 1000000
//! ```
//!
//! A child stores records shaped like those of the tier, reads some, replaces half of them, and is
//! killed. Then the index is opened again, after that and after a clean end and other kills. One
//! thread does all of it; the figures are what a call takes, and so depend on the machine and
//! whoever else uses it.
#![expect(clippy::print_stdout, reason = "a table on the standard output is what it is for")]

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use weir_store::index::{Batch, Index, IndexKind, IndexLimits, Opened, open};

type Failed = Box<dyn Error>;

/// Stored responses that are written at once.
const RESPONSES_PER_BATCH: u64 = 64;
const FLUSH_EVERY: Duration = Duration::from_secs(1);
const LEISURELY_FLUSHES: u64 = 100;
const GETS: u64 = 100_000;
/// The share of gets that find nothing is one in this many.
const MISS_EVERY: u64 = 10;
/// Batches that the child writes before it may be killed.
const CHILD_BATCHES: u64 = 300;
/// What a child says when it may be killed.
const READY: &str = "ready to be killed";

fn main() -> Result<(), Failed> {
    let options = Options::parse()?;
    match options.child.as_str() {
        "" => {}
        "whole" => return live_a_whole_life(&options),
        _ => return write_until_killed(&options),
    }
    drop(std::fs::remove_dir_all(&options.folder));
    println!("kind {}, {} MiB of cache", options.kind.as_str(), options.memory_bytes >> 20);
    kill_a_child("whole", &options)?;
    reopen("killed at its end", &options)?;
    reopen("closed", &options)?;
    for _ in 0..3 {
        kill_a_child("writing", &options)?;
        reopen("killed in writing", &options)?;
    }
    std::fs::remove_dir_all(&options.folder)?;
    Ok(())
}

/// The life of a child that does all that an index is for, and never ends by itself.
fn live_a_whole_life(options: &Options) -> Result<(), Failed> {
    let index = opened(options)?;
    insert(&*index, options)?;
    read(&*index, options)?;
    room(&*index, options.records);
    churn(&*index, options)?;
    at_leisure(&*index, options)?;
    room(&*index, options.records);
    memory("in use")?;
    println!("{READY}");
    loop {
        std::thread::park();
    }
}

struct Options {
    kind: IndexKind,
    /// Stored responses, each of three keys.
    records: u64,
    memory_bytes: u64,
    folder: PathBuf,
    /// What this process does if it is a child: `whole` or `writing`.
    child: String,
}

impl Options {
    fn parse() -> Result<Self, Failed> {
        let mut options = Self {
            kind: IndexKind::Redb,
            records: 100_000,
            memory_bytes: IndexLimits::default().memory_bytes,
            folder: std::env::temp_dir().join(format!("weir-index-bench-{}", std::process::id())),
            child: String::new(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or("a value is missing")?;
            match name.as_str() {
                "--kind" => options.kind = value.parse()?,
                "--records" => options.records = value.parse()?,
                "--memory-mib" => options.memory_bytes = value.parse::<u64>()? << 20,
                "--folder" => options.folder = value.into(),
                "--child" => options.child = value,
                _ => return Err(format!("what is {name}?").into()),
            }
        }
        Ok(options)
    }
}

fn opened(options: &Options) -> Result<Box<dyn Index>, Failed> {
    let mut limits = IndexLimits::default();
    limits.memory_bytes = options.memory_bytes;
    limits.open_within = Duration::from_secs(600);
    let Opened { index, state } = open(options.kind, &options.folder, limits)?;
    println!("                       opened: {state:?}");
    Ok(index)
}

fn insert(index: &dyn Index, options: &Options) -> Result<(), Failed> {
    let begin = Instant::now();
    let mut writer = Writer::default();
    let mut number = 0;
    while number < options.records {
        let end = (number + RESPONSES_PER_BATCH).min(options.records);
        writer.write(index, number..end)?;
        number = end;
    }
    writer.flush(index)?;
    let micros = begin.elapsed().as_secs_f64() * 1e6;
    println!("insert                 {:10.1} µs per response", micros / count(options.records));
    writer.applies.print("a batch");
    writer.flushes.print("a flush");
    memory("after the inserts")
}

/// Writes batches, and flushes once a second.
struct Writer {
    batch: Batch,
    applies: Times,
    flushes: Times,
    flushed: Instant,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            batch: Batch::default(),
            applies: Times::default(),
            flushes: Times::default(),
            flushed: Instant::now(),
        }
    }
}

impl Writer {
    fn write(&mut self, index: &dyn Index, numbers: std::ops::Range<u64>) -> Result<(), Failed> {
        self.batch.clear();
        numbers.for_each(|number| put_response(&mut self.batch, number));
        self.apply(index)
    }

    /// Removes what is stored under `numbers`, and stores what is as far behind as `by` says.
    fn replace(
        &mut self,
        index: &dyn Index,
        numbers: std::ops::Range<u64>,
        by: u64,
    ) -> Result<(), Failed> {
        self.batch.clear();
        for number in numbers {
            keys(number).into_iter().for_each(|key| self.batch.remove(key));
            put_response(&mut self.batch, number + by);
        }
        self.apply(index)
    }

    fn apply(&mut self, index: &dyn Index) -> Result<(), Failed> {
        self.applies.time(|| index.apply(&self.batch))?;
        if self.flushed.elapsed() >= FLUSH_EVERY {
            self.flush(index)?;
        }
        Ok(())
    }

    fn flush(&mut self, index: &dyn Index) -> Result<(), Failed> {
        self.flushes.time(|| index.flush())?;
        self.flushed = Instant::now();
        Ok(())
    }
}

fn put_response(batch: &mut Batch, number: u64) {
    let name = name(number);
    let mut value = vec![0; 440 + usize::from(name[0] & 127)];
    blake3::Hasher::new().update(&name).finalize_xof().fill(&mut value);
    // Half of it is what compresses: names of fields, a URL.
    value.iter_mut().step_by(2).for_each(|byte| *byte &= 15);
    let [response, order, tag] = keys(number);
    batch.put(response, value);
    batch.put(order, name);
    batch.put(tag, []);
}

/// The three keys of a stored response: itself, its place in the order of eviction, one tag.
fn keys(number: u64) -> [Vec<u8>; 3] {
    let name = name(number);
    let order = [b"o".as_slice(), &number.to_be_bytes(), &name[..8]].concat();
    let tag = blake3::hash(&(number % 1_000).to_le_bytes());
    [response_key(number), order, [b"t".as_slice(), tag.as_bytes(), &name].concat()]
}

fn response_key(number: u64) -> Vec<u8> {
    [b"r".as_slice(), &name(number)].concat()
}

fn name(number: u64) -> [u8; 32] {
    *blake3::hash(&number.to_be_bytes()).as_bytes()
}

/// Replaces the older half, as eviction does: what is removed makes room for as much.
fn churn(index: &dyn Index, options: &Options) -> Result<(), Failed> {
    let begin = Instant::now();
    let mut writer = Writer::default();
    let mut number = 0;
    while number < options.records / 2 {
        let end = number + RESPONSES_PER_BATCH;
        writer.replace(index, number..end, options.records)?;
        number = end;
    }
    writer.flush(index)?;
    let micros = begin.elapsed().as_secs_f64() * 1e6;
    println!("replace                {:10.1} µs per response", micros / count(number));
    writer.applies.print("a batch");
    writer.flushes.print("a flush");
    memory("after replacing")
}

/// Stores a little between two flushes, as a node does that does not do it all the time.
fn at_leisure(index: &dyn Index, options: &Options) -> Result<(), Failed> {
    let mut writer = Writer::default();
    for round in 0..LEISURELY_FLUSHES {
        let first = 2 * options.records + round * 2 * RESPONSES_PER_BATCH;
        writer.write(index, first..first + RESPONSES_PER_BATCH)?;
        writer.write(index, first + RESPONSES_PER_BATCH..first + 2 * RESPONSES_PER_BATCH)?;
        writer.flush(index)?;
    }
    writer.applies.print("one of two batches");
    writer.flushes.print("their flush");
    Ok(())
}

fn read(index: &dyn Index, options: &Options) -> Result<(), Failed> {
    let mut hits = Times::default();
    let mut misses = Times::default();
    for round in 0..GETS {
        let place = u64::from_le_bytes(name(round | 1 << 63)[..8].try_into()?) % options.records;
        if round.is_multiple_of(MISS_EVERY) {
            let key = response_key(place + options.records);
            assert!(misses.time(|| index.get(&key))?.is_none(), "found what is not there");
        } else {
            let key = response_key(place);
            assert!(hits.time(|| index.get(&key))?.is_some(), "{place} is missing");
        }
    }
    hits.print("a get that finds");
    misses.print("a get that does not");
    let mut scans = Times::default();
    for tag in 0..100_u64 {
        let from = [b"t".as_slice(), blake3::hash(&tag.to_le_bytes()).as_bytes()].concat();
        let below = [from.as_slice(), &[255; 33]].concat();
        scans.time(|| index.scan(&from, &below, 1_000))?;
    }
    scans.print("a scan of 1,000 keys");
    Ok(())
}

fn room(index: &dyn Index, records: u64) {
    let bytes = index.bytes_on_disk();
    println!(
        "on disk                {:10.1} MiB, {:.0} bytes per response",
        count(bytes) / 1_048_576.0,
        count(bytes) / count(records)
    );
}

fn reopen(what: &str, options: &Options) -> Result<(), Failed> {
    let begin = Instant::now();
    let index = opened(options)?;
    assert!(index.get(&response_key(options.records - 1))?.is_some(), "the last is missing");
    println!("ready, {what:<17}{:10.3} s", begin.elapsed().as_secs_f64());
    memory(what)?;
    let begin = Instant::now();
    drop(index);
    println!("closed                 {:10.3} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Lets a process use the index, and ends it in the middle.
fn kill_a_child(child: &str, options: &Options) -> Result<(), Failed> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--child", child, "--kind", options.kind.as_str()])
        .args(["--records", &options.records.to_string()])
        .args(["--memory-mib", &(options.memory_bytes >> 20).to_string()])
        .arg("--folder")
        .arg(&options.folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("the child has no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if line == READY {
            child.kill()?;
            child.wait()?;
            return Ok(());
        }
        println!("{line}");
    }
    Err("the child has ended by itself".into())
}

fn write_until_killed(options: &Options) -> Result<(), Failed> {
    let index = opened(options)?;
    let mut writer = Writer::default();
    let mut output = std::io::stdout().lock();
    for batch in 0_u64.. {
        // Some of those that are there, and others.
        let first = u64::from_le_bytes(name(batch)[..8].try_into()?) % (2 * options.records);
        writer.write(&*index, first..first + RESPONSES_PER_BATCH)?;
        if batch == CHILD_BATCHES {
            writeln!(output, "{READY}")?;
            output.flush()?;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Times {
    micros: Vec<f64>,
}

impl Times {
    fn time<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = act();
        self.micros.push(begin.elapsed().as_secs_f64() * 1e6);
        result
    }

    fn print(&mut self, what: &str) {
        self.micros.sort_by(f64::total_cmp);
        let at = |share: usize| {
            let place =
                (self.micros.len() * share / 1_000).min(self.micros.len().saturating_sub(1));
            self.micros.get(place).copied().unwrap_or_default()
        };
        println!("{what:<23}{:10.1} µs p50{:12.1} p99{:12.1} worst", at(500), at(990), at(1_000));
    }
}

/// What the kernel says of the memory of this process.
fn memory(when: &str) -> Result<(), Failed> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status"))?;
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
    {
        println!("memory {when:<20} {}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    Ok(())
}

/// A count as a measure; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn count(number: u64) -> f64 {
    number as f64
}
