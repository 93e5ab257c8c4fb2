//! What does a log mean under the rules of sites?
//!
//! Requests become numbers: an object for each key, a class for each lifetime. The whole log is held so, in 32 bytes a
//! request and some 80 an object, because it is played several times.
//!
//! The rules of counting, which the report repeats: cacheable is GET or HEAD with 200, 206 or 304; everything else, what
//! rules send past the store and what must not be stored, passes. The size of an object is that of its largest body with
//! 200, or the largest of any where there is none; each request for it weighs that size.

use super::reading::Reading;
use super::sites::{Lifetime, Sites, Ttl};
use crate::trace::{BadLines, Format, Record, TraceError, TraceReader};

/// How many requests pass between two looks at the watch.
const WATCHED_EVERY: u64 = 16_384;

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    /// Milliseconds since the first one.
    pub(super) at_ms: u64,
    /// Says who asked.
    pub(super) client: u32,
    pub(super) ask: Ask,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// For something that may be stored for as long as the class says.
    Object { object: u32, class: u32 },
    /// For something that passes, with so many bytes.
    Pass { bytes: u64 },
    /// That nobody have this any more.
    Purge { object: u32 },
}

/// What is known of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    pub(super) bytes: u64,
    /// What rendezvous hashing looks at.
    pub(super) hash: u64,
}

/// A log that is ready to be played.
#[derive(Debug)]
pub struct Workload {
    pub(super) requests: Vec<Request>,
    pub(super) objects: Vec<Object>,
    pub(super) classes: Vec<Lifetime>,
    /// What the log was and what was supposed about it.
    pub notes: Notes,
}

/// What a log was and what was supposed about it.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// Its form.
    pub format: Option<Format>,
    /// Lines that could not be read.
    pub bad_lines: BadLines,
    /// Requests for hosts of no site; they are left out.
    pub without_site: u64,
    /// Requests whose target a node refuses; they are left out.
    pub refused_targets: u64,
    /// Requests before another one that stands earlier in the log; they were put in order.
    pub out_of_order: u64,
    /// Cacheable requests for which neither log nor rules give a lifetime; supposed to stay fresh.
    pub unknown_lifetime: u64,
    /// Objects of which no size is known; they weigh the mean of the others, or 1 where there are none.
    pub unknown_size: u64,
    /// Requests whose log says whether its cache had it, and those of them that it had.
    pub observed: (u64, u64),
    /// Cacheable requests for objects.
    pub cacheable: u64,
    /// Requests that pass.
    pub passed: u64,
    /// Purges.
    pub purges: u64,
    /// By how much sizes were divided.
    pub size_scale: u64,
}

/// Why a log cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// It cannot be read.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// No line is a request that counts.
    #[error("no request of the log counts: {0}")]
    NoRequests(&'static str),
    /// It has more keys than numbers.
    #[error("the log has more than 4 billion different keys")]
    TooManyObjects,
}

impl Workload {
    /// Reads all of `trace`. Sizes are divided by `size_scale`, which is at least 1. `watch` is told every now and then
    /// how many lines were read.
    ///
    /// # Errors
    ///
    /// [`WorkloadError`].
    pub fn read(
        trace: &mut TraceReader,
        sites: &Sites,
        (ttl, size_scale): (Ttl, u64),
        watch: &mut dyn FnMut(u64),
    ) -> Result<Self, WorkloadError> {
        let mut reading = Reading::new(sites, ttl);
        let mut record = Record::default();
        let mut count = 0_u64;
        while trace.next_into(&mut record)? {
            reading.take(&record)?;
            count += 1;
            if count.is_multiple_of(WATCHED_EVERY) {
                watch(count);
            }
        }
        reading.notes.format = Some(trace.format());
        reading.notes.bad_lines = trace.bad_lines().clone();
        reading.finish(size_scale.max(1))
    }

    /// How many requests and purges there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// How many different keys are asked for and may be stored.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.objects.len()
    }

    /// Bytes of all objects together: what it takes to hold everything once.
    #[must_use]
    pub fn footprint(&self) -> u64 {
        self.objects.iter().fold(0, |sum, object| sum.saturating_add(object.bytes))
    }

    /// Time from the first request to the last one.
    #[must_use]
    pub fn span_ms(&self) -> u64 {
        self.requests.last().map_or(0, |request| request.at_ms)
    }

    /// Bytes of the objects that were asked for within a minute, in the minute in which they are most.
    #[must_use]
    pub fn working_set_of_a_minute(&self) -> u64 {
        let mut last_seen = vec![u64::MAX; self.objects.len()];
        let (mut minute, mut sum, mut most) = (0, 0_u64, 0_u64);
        for request in &self.requests {
            let Ask::Object { object, .. } = request.ask else { continue };
            let of = request.at_ms / 60_000;
            if of != minute {
                (minute, sum) = (of, 0);
            }
            let at = object as usize;
            if let (Some(seen), Some(object)) = (last_seen.get_mut(at), self.objects.get(at))
                && *seen != minute
            {
                *seen = minute;
                sum = sum.saturating_add(object.bytes);
                most = most.max(sum);
            }
        }
        most
    }
}
