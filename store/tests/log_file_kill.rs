//! Does a process that is killed while it appends lose anything it has acknowledged?
//!
//! The test runs itself as a child that appends without end and says so on its standard output, and
//! kills that with SIGKILL at moments nobody chose. What only a power cut can undo is not shown
//! here.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use weir_store::{Born, LogFile, Recovered};

const FOLDER: &str = "WEIR_LOG_FILE_KILL_FOLDER";
const ROUND: &str = "WEIR_LOG_FILE_KILL_ROUND";
const EPOCH: u64 = 1;
const ROUNDS: u64 = 20;
/// Entries that the child keeps when it compacts.
const KEPT: u64 = 60;

#[test]
fn killed_appends_lose_nothing_acknowledged() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let round = std::env::var(ROUND).unwrap().parse().unwrap();
        append_until_killed(Path::new(&folder), round);
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("log-file-kill-{}", std::process::id()));
    let mut acknowledged = Acknowledged::default();
    let mut random = Random(u64::from(std::process::id()) | 1);
    for round in 0..ROUNDS {
        kill_at_random(&folder, round, &mut random, &mut acknowledged);
        let (log, recovered) = LogFile::open(&folder, EPOCH + 1 + round).unwrap();
        acknowledged.assert_found(&recovered, round);
        acknowledged.last_seq = log.last_seq();
    }
    assert!(acknowledged.last_seq > KEPT, "the children got far enough to compact");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// What the children have been told is durable.
#[derive(Default)]
struct Acknowledged {
    last_seq: u64,
    members: Vec<String>,
}

impl Acknowledged {
    fn hear(&mut self, line: &str) {
        if let Some(seq) = line.strip_prefix("appended ") {
            self.last_seq = seq.parse().unwrap();
        }
        if let Some(member) = line.strip_prefix("enrolled ") {
            self.members.push(member.to_owned());
        }
    }

    fn assert_found(&self, recovered: &Recovered, round: u64) {
        assert_eq!((recovered.epoch, &recovered.born), (EPOCH, &Born::Resumed), "round {round}");
        let next_seq = recovered.first_seq + recovered.entries.len() as u64;
        assert!(next_seq > self.last_seq, "round {round}: {} is missing", self.last_seq);
        let compacted = recovered.first_seq - 1;
        assert!(compacted <= self.last_seq.saturating_sub(KEPT), "round {round}: {compacted}");
        for (index, (seq, bytes)) in recovered.entries.iter().enumerate() {
            assert_eq!(*seq, recovered.first_seq + index as u64, "round {round}");
            assert!(*bytes == payload(*seq), "round {round}: entry {seq} is not what was appended");
        }
        for member in &self.members {
            assert!(recovered.members.contains(member), "round {round}: {member} is missing");
        }
    }
}

/// Lets a child append a while, kills it, and notes all that it has said.
fn kill_at_random(folder: &Path, round: u64, random: &mut Random, acknowledged: &mut Acknowledged) {
    let (mut child, mut output) = child(folder, round);
    let mut appended = 0;
    let wanted = 1 + random.below(30);
    let mut line = String::new();
    while appended < wanted {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "round {round}: the child has ended");
        acknowledged.hear(line.trim_end());
        appended += u64::from(line.starts_with("appended "));
    }
    // Long enough for the child to be anywhere in what it does next.
    let kill_at = Instant::now() + Duration::from_micros(random.below(4_000));
    while Instant::now() < kill_at {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in output.lines() {
        acknowledged.hear(&line.unwrap());
    }
}

fn child(folder: &Path, round: u64) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_appends_lose_nothing_acknowledged", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// The life of a child. Each line it writes is one write, so none is half heard.
fn append_until_killed(folder: &Path, round: u64) -> ! {
    let (mut log, _) = LogFile::open(folder, EPOCH).unwrap();
    let mut random = Random(round.wrapping_mul(0x9e37_79b9) | 1);
    // Begins a line of its own after what the test harness has written.
    say("");
    let member = format!("edge-{round}");
    log.enrol(&member).unwrap();
    say(&format!("enrolled {member}"));
    loop {
        let next_seq = log.last_seq() + 1;
        let payloads: Vec<Vec<u8>> =
            (0..=random.below(4)).map(|index| payload(next_seq + index)).collect();
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        say(&format!("appended {}", log.append(&payloads).unwrap()));
        if random.below(5) == 0 {
            log.compact((log.last_seq() + 1).saturating_sub(KEPT)).unwrap();
        }
    }
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

/// The payload of an entry, which depends on its number only; now and then a long one.
fn payload(seq: u64) -> Vec<u8> {
    let mut random = Random(seq.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    let length = if seq.is_multiple_of(7) { 20_000 } else { random.below(300) };
    (0..length).map(|_| random.next().to_le_bytes()[0]).collect()
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
