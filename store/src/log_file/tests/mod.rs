//! Does the log keep its invariants?
//!
//! Here are the helpers and a model of a log in memory; the cases lie in the files below. Faults
//! come from [`Faults`], so nothing here needs a broken disk or privileges.

mod crashes;
mod damage;
mod folder;
mod ordinary;
mod properties;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::*;
use crate::faults::DiskOp;

/// The epoch of every log that the tests make first, and the one offered when it is opened again.
const OLD: u64 = 0x00d0;
const FRESH: u64 = 0xf2e5;

/// A folder of its own, removed with its content.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Relaxed);
        let name = format!("weir-log-file-{}-{serial}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn log(&self) -> PathBuf {
        self.0.join("purge.log")
    }

    fn open(&self, epoch: u64) -> (LogFile, Recovered) {
        LogFile::open(&self.0, epoch).unwrap()
    }

    /// Makes a log by `ops` and closes it; returns its bytes and what it holds.
    fn filled(&self, ops: &[Op]) -> (Vec<u8>, State) {
        let (mut log, recovered) = self.open(OLD);
        let mut state = State::of(&recovered);
        for op in ops {
            op.apply(&mut log).unwrap();
            state = state.after(op);
        }
        drop(log);
        (std::fs::read(self.log()).unwrap(), state)
    }

    /// Puts `bytes` in the place of the log.
    fn put(&self, bytes: &[u8]) {
        std::fs::create_dir_all(&self.0).unwrap();
        std::fs::write(self.log(), bytes).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// What can be asked of a log.
#[derive(Debug, Clone)]
enum Op {
    Append(Vec<Vec<u8>>),
    Compact(u64),
    Enrol(String),
    Strike(String),
}

impl Op {
    fn append(payloads: &[&str]) -> Self {
        Self::Append(payloads.iter().map(|payload| payload.as_bytes().to_vec()).collect())
    }

    fn enrol(member: &str) -> Self {
        Self::Enrol(member.to_owned())
    }

    fn strike(member: &str) -> Self {
        Self::Strike(member.to_owned())
    }

    fn apply(&self, log: &mut LogFile) -> Result<(), LogAppendError> {
        match self {
            Self::Append(payloads) => {
                let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
                log.append(&payloads).map(drop)
            }
            Self::Compact(keep_from) => log.compact(*keep_from),
            Self::Enrol(member) => log.enrol(member),
            Self::Strike(member) => log.strike(member),
        }
    }
}

/// What a log holds, as far as its caller can see.
#[derive(Debug, Clone, PartialEq)]
struct State {
    first_seq: u64,
    entries: Vec<(u64, Vec<u8>)>,
    members: Vec<String>,
}

impl State {
    fn empty() -> Self {
        Self { first_seq: 1, entries: Vec::new(), members: Vec::new() }
    }

    fn of(recovered: &Recovered) -> Self {
        Self {
            first_seq: recovered.first_seq,
            entries: recovered.entries.clone(),
            members: recovered.members.clone(),
        }
    }

    fn next_seq(&self) -> u64 {
        self.first_seq + self.entries.len() as u64
    }

    fn after(&self, op: &Op) -> Self {
        let mut state = self.clone();
        match op {
            Op::Append(payloads) => {
                for payload in payloads {
                    state.entries.push((state.next_seq(), payload.clone()));
                }
            }
            Op::Compact(keep_from) => {
                state.first_seq = (*keep_from).clamp(self.first_seq, self.next_seq());
                state.entries.retain(|(seq, _)| *seq >= state.first_seq);
            }
            Op::Enrol(member) if state.members.contains(member) => {}
            Op::Enrol(member) => state.members.push(member.clone()),
            Op::Strike(member) => state.members.retain(|enrolled| enrolled != member),
        }
        state
    }
}

/// A short log in which everything happens.
fn script() -> Vec<Op> {
    vec![
        Op::append(&["one"]),
        Op::enrol("edge-1"),
        Op::enrol("edge-2"),
        Op::append(&["two", "three", "four"]),
        Op::strike("edge-1"),
        Op::append(&[""]),
        Op::Compact(3),
        Op::append(&["six", "seven"]),
        Op::enrol("edge-3"),
    ]
}
