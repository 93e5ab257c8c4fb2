//! Does a process that is killed while it writes leave a body that is not whole?
//!
//! The test runs itself as a child that writes without end, and kills that with SIGKILL at moments
//! nobody chose. What only a power cut can spoil is not shown here.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

const FOLDER: &str = "WEIR_BODIES_KILL_FOLDER";
const ROUND: &str = "WEIR_BODIES_KILL_ROUND";
const TEST: &str = "disk::bodies::tests::kill::killed_writers_leave_whole_bodies_only";
const ROUNDS: u64 = 12;

#[test]
fn killed_writers_leave_whole_bodies_only() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let round = std::env::var(ROUND).unwrap().parse().unwrap();
        write_until_killed(Path::new(&folder), round);
    }
    let scratch = Scratch::new();
    let mut random = Random(u64::from(std::process::id()) | 1);
    let mut acknowledged = Vec::new();
    let (mut leftovers, mut bodies_seen) = (0, 0);
    for round in 0..ROUNDS {
        acknowledged.extend(kill_at_random(scratch.path(), round, &mut random));
        leftovers += scratch.aside();
        let bodies = scratch.open();
        assert_eq!(scratch.aside(), 0, "round {round}");
        for digest in &acknowledged {
            bodies.open_any(digest).unwrap();
        }
        let mut scrubber = Scrubber::new(bodies, None);
        while let Some(Scrubbed { digest, result, .. }) = scrubber.step().unwrap() {
            assert!(result.is_ok(), "round {round}: {digest}: {result:?}");
            bodies_seen += 1;
        }
    }
    assert!(bodies_seen > 100, "the children got far enough: {bodies_seen}, {leftovers} left over");
}

/// Lets a child write a while, kills it, and returns what it has said is written.
fn kill_at_random(folder: &Path, round: u64, random: &mut Random) -> Vec<Digest> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut written, mut line) = (Vec::new(), String::new());
    let wanted = 20 + random.below(60);
    while written.len() as u64 <= wanted {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "round {round}: the child has ended");
        written.extend(said(&line));
    }
    // Long enough for the child to be anywhere in what it does next.
    let kill_at = Instant::now() + Duration::from_micros(random.below(3_000));
    while Instant::now() < kill_at {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    written.extend(output.lines().filter_map(|line| said(&line.unwrap())));
    written
}

fn said(line: &str) -> Option<Digest> {
    Digest::from_name(line.trim_end().strip_prefix("written ")?)
}

/// The life of a child. Each line it writes is one write, so none is half heard.
fn write_until_killed(folder: &Path, round: u64) -> ! {
    let sync = if round.is_multiple_of(2) { SyncMode::None } else { SyncMode::Data };
    let bodies = Bodies::open(folder, sync, None).unwrap();
    let mut random = Random(round.wrapping_mul(0x9e37_79b9) | 1);
    say("");
    loop {
        // Few enough to come again, so that records are appended too.
        let content = content(usize::try_from(random.below(40) * 7_001).unwrap());
        let record = vec![1; usize::try_from(random.below(9_000)).unwrap()];
        let written = if random.below(2) == 0 {
            write(&bodies, &content, &[&record]).unwrap()
        } else {
            let mut writer = bodies.begin().unwrap();
            content.chunks(16_384).for_each(|part| writer.append(part).unwrap());
            writer.finish(&[&record]).unwrap()
        };
        say(&format!("written {}", written.digest));
        if random.below(4) == 0 {
            // Nobody has been told of this one.
            let removed: Vec<u8> = content_of_one_use(&mut random);
            let digest = write(&bodies, &removed, &[]).unwrap().digest;
            if random.below(2) == 0 {
                bodies.remove(&digest).unwrap();
            } else {
                bodies.set_aside(&digest).unwrap();
            }
        }
    }
}

fn content_of_one_use(random: &mut Random) -> Vec<u8> {
    (0..64).flat_map(|_| random.next().to_le_bytes()).collect()
}

fn say(line: &str) {
    let mut output = io::stdout().lock();
    output.write_all(format!("{line}\n").as_bytes()).unwrap();
    output.flush().unwrap();
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
