//! Which hit ratios do the goals of eviction reach on a request log?
//!
//! Replays a log from standard input and prints the object and byte hit ratio of each goal, and of LRU, with
//! room for 1 % and 10 % of the bytes of all objects:
//!
//! `zcat LOG.tsv.gz | cargo run --release -p weir-cache --example eviction`
//!
//! The log is text with a line of names and then `ts_ms client method host path status size`, separated by tabs,
//! in order of arrival. What counts is GET and HEAD with 200, 206 or 304. An object is a host with a path; its
//! size is the largest body with 200. In a log without sizes all are of one byte. Caches begin empty.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for the terminal")]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a tool that may stop at what is wrong"
)]

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::time::Instant;

use weir_cache::eviction::{Eviction, Goal, Seeded, Shelf, TwoQueues, for_goal};

type Make = fn() -> Box<dyn Eviction>;

/// Objects that are asked for once, of which a scan consists.
const SCAN: u32 = 20_000;

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let log = Log::read(&text);
    let footprint: u64 = log.sizes.iter().sum();
    let policies = [
        ("balanced", (|| for_goal(Goal::Balanced)) as Make),
        ("objects", || for_goal(Goal::Objects)),
        ("bytes", || for_goal(Goal::Bytes)),
        ("s3-fifo", || Box::<TwoQueues>::default()),
    ];
    println!("{} requests of {} objects, {footprint} bytes", log.asked.len(), log.sizes.len());
    for percent in [1, 10] {
        let room = (footprint * percent / 100).max(1);
        let mut lru = Lru::new(room);
        let ratios = log.replay(|key, size| lru.ask(key, size));
        println!("{percent:2} % lru      {ratios}");
        for (name, make) in policies {
            let mut shelf = shelf(make, room);
            let began = Instant::now();
            let ratios = log.replay(|key, size| ask(&mut shelf, key, size));
            let rate = log.asked.len() as f64 / began.elapsed().as_secs_f64() / 1e6;
            let lost = log.lost_by_scan(make, room);
            println!("{percent:2} % {name:8} {ratios}  {lost:.4} lost by a scan, {rate:.2} M/s");
        }
    }
}

fn shelf(make: Make, room: u64) -> Shelf<u32> {
    Shelf::with_policy(make(), room, Seeded::default())
}

fn ask(shelf: &mut Shelf<u32>, key: u32, size: u64) -> bool {
    let hit = shelf.get(&key);
    if !hit {
        shelf.insert(key, size);
    }
    hit
}

/// Which objects were asked for, in order, and how large each is.
struct Log {
    asked: Vec<u32>,
    sizes: Vec<u64>,
}

impl Log {
    fn read(text: &str) -> Self {
        let mut numbers = HashMap::new();
        let (mut asked, mut sizes) = (Vec::new(), Vec::new());
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [_, _, method, host, path, status, size] = fields[..7] else { continue };
            let counts =
                ["GET", "HEAD"].contains(&method) && ["200", "206", "304"].contains(&status);
            if !counts {
                continue;
            }
            let number = *numbers.entry((host, path)).or_insert(sizes.len());
            if number == sizes.len() {
                sizes.push(0);
            }
            if status == "200" {
                sizes[number] = size.parse().unwrap_or(0).max(sizes[number]);
            }
            asked.push(u32::try_from(number).unwrap());
        }
        sizes.iter_mut().for_each(|size| *size = (*size).max(1));
        Self { asked, sizes }
    }

    fn replay(&self, mut ask: impl FnMut(u32, u64) -> bool) -> Ratios {
        let mut ratios = Ratios::default();
        for key in &self.asked {
            let size = self.sizes[usize::try_from(*key).unwrap()];
            ratios.add(ask(*key, size), size);
        }
        ratios
    }

    /// The part of requests that are hits no more in the last quarter of the log, when a scan comes before it.
    fn lost_by_scan(&self, make: Make, room: u64) -> f64 {
        let from = self.asked.len() / 4 * 3;
        let last_quarter = |scan: u32| {
            let mut shelf = shelf(make, room);
            let mut ratios = Ratios::default();
            for (at, key) in self.asked.iter().enumerate() {
                if at == from {
                    // Objects that nobody else asks for, with the sizes of others.
                    for number in 0..scan {
                        let like = usize::try_from(number).unwrap() * 7_919 % self.sizes.len();
                        ask(&mut shelf, u32::MAX - number, self.sizes[like]);
                    }
                }
                let size = self.sizes[usize::try_from(*key).unwrap()];
                let hit = ask(&mut shelf, *key, size);
                if at >= from {
                    ratios.add(hit, size);
                }
            }
            ratios.of_objects()
        };
        last_quarter(0) - last_quarter(SCAN)
    }
}

#[derive(Default)]
struct Ratios {
    hits: u64,
    asked: u64,
    bytes_hit: u64,
    bytes_asked: u64,
}

impl Ratios {
    fn add(&mut self, hit: bool, size: u64) {
        self.hits += u64::from(hit);
        self.asked += 1;
        self.bytes_hit += u64::from(hit) * size;
        self.bytes_asked += size;
    }

    fn of_objects(&self) -> f64 {
        self.hits as f64 / self.asked as f64
    }
}

impl std::fmt::Display for Ratios {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of_bytes = self.bytes_hit as f64 / self.bytes_asked as f64;
        write!(f, "{:.4} {of_bytes:.4}", self.of_objects())
    }
}

/// What was asked for longest ago goes: to compare with.
struct Lru {
    room: u64,
    bytes: u64,
    turn: u64,
    turns: HashMap<u32, u64>,
    line: BTreeMap<u64, (u32, u64)>,
}

impl Lru {
    fn new(room: u64) -> Self {
        Self { room, bytes: 0, turn: 0, turns: HashMap::new(), line: BTreeMap::new() }
    }

    fn ask(&mut self, key: u32, size: u64) -> bool {
        self.turn += 1;
        let before = self.turns.get(&key).copied();
        if let Some(before) = before {
            self.line.remove(&before);
        } else if size > self.room {
            return false;
        } else {
            self.bytes += size;
        }
        self.turns.insert(key, self.turn);
        self.line.insert(self.turn, (key, size));
        while self.bytes > self.room {
            let (_, (key, size)) = self.line.pop_first().unwrap();
            self.turns.remove(&key);
            self.bytes -= size;
        }
        before.is_some()
    }
}
