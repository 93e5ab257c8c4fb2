//! Do the bodies keep their invariants?
//!
//! Here are the helpers; the cases lie in the files below. Faults come from [`Faults`], so nothing here
//! needs a broken disk or privileges.

mod damage;
mod failures;
mod kill;
mod ordinary;
mod walks;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::*;

/// A folder of its own, removed with its content.
pub(in crate::disk) struct Scratch(PathBuf);

impl Scratch {
    pub(in crate::disk) fn new() -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Relaxed);
        let name = format!("weir-bodies-{}-{serial}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(in crate::disk) fn path(&self) -> &Path {
        &self.0
    }

    fn open(&self) -> Bodies {
        Bodies::open(&self.0, SyncMode::None, None).unwrap()
    }

    fn open_with(&self, sync: SyncMode, faults: &Faults) -> io::Result<Bodies> {
        Bodies::open(&self.0, sync, Some(faults.clone())).map_err(|error| error.source)
    }

    /// The file of the body with this content.
    fn file(&self, content: &[u8]) -> PathBuf {
        let name = Digest::of(content).to_string();
        self.0.join("bodies").join(&name[..2]).join(name)
    }

    /// How many files lie aside.
    fn aside(&self) -> usize {
        std::fs::read_dir(self.0.join("bodies/tmp")).unwrap().count()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Content of any length that is not the same everywhere.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect()
}

/// Writes a body in one piece.
fn write(bodies: &Bodies, content: &[u8], records: &[&[u8]]) -> io::Result<Written> {
    bodies.write(Digest::of(content), content, records)
}

/// What is found of a body: its content and its records, both verified.
fn find(bodies: &Bodies, content: &[u8]) -> Result<(Bytes, Vec<Vec<u8>>), BodyError> {
    let body = bodies.open_body(&Digest::of(content), content.len() as u64)?;
    body.verify()?;
    let found = body.read_verified()?;
    assert_eq!(found, body.read_all()?);
    Ok((found, body.records()?))
}

/// Asserts that a body is there with these records.
fn assert_there(bodies: &Bodies, content: &[u8], records: &[&[u8]], why: &str) {
    let (found, noted) = find(bodies, content).unwrap();
    assert!(found == content, "{why}");
    assert_eq!(noted, records, "{why}");
}
