//! How does a log become numbers?
//!
//! Each text of a target is looked at once, and each lifetime is worked out once for a key and what its response said;
//! both are remembered by number. Sizes are known when the whole log is read.

use std::collections::HashMap;

use http::StatusCode;
use weir_cache::{CacheKey, Target};

use super::sites::{Judged, Lifetime, Placed, Sites, Ttl};
use super::workload::{Ask, Notes, Object, Request, Workload, WorkloadError};
use super::{first_u64, mix};
use crate::trace::Record;

/// Different texts of Cache-Control that are told apart; a log with more is unlike any.
const CACHE_CONTROLS_MAX: usize = 65_536;

/// What was known of an object at its last request: spares asking the rules once more.
#[derive(Debug, Clone, Copy)]
struct Last {
    cache_control: u32,
    status: u16,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Class { class: u32, is_known: bool },
    Pass,
}

/// Sizes seen of an object.
#[derive(Debug, Clone, Copy, Default)]
struct Sizes {
    /// Whether a request may be answered by it; what is only ever refused by the origin is no object.
    is_asked: bool,
    of_200: Option<u64>,
    of_any: Option<u64>,
}

/// What the text of a target came to.
#[derive(Debug, Clone, Copy)]
enum Known {
    Object(u32),
    Bypass,
    NoSite,
    Refused,
}

/// What is gathered while a log is read.
pub(super) struct Reading<'a> {
    sites: &'a Sites,
    ttl: Ttl,
    targets: HashMap<u128, Known>,
    keys: HashMap<CacheKey, u32>,
    sizes: Vec<Sizes>,
    /// Site, key and path of each object; rules ask for them.
    places: Vec<(usize, CacheKey, Box<str>)>,
    last: Vec<Option<Last>>,
    cache_controls: HashMap<String, u32>,
    classes: HashMap<Lifetime, u32>,
    class_list: Vec<Lifetime>,
    /// With the time of the log.
    requests: Vec<(i64, Request)>,
    pub(super) notes: Notes,
}

impl<'a> Reading<'a> {
    pub(super) fn new(sites: &'a Sites, ttl: Ttl) -> Self {
        Self {
            sites,
            ttl,
            targets: HashMap::new(),
            keys: HashMap::new(),
            sizes: Vec::new(),
            places: Vec::new(),
            last: Vec::new(),
            cache_controls: HashMap::new(),
            classes: HashMap::new(),
            class_list: Vec::new(),
            requests: Vec::new(),
            notes: Notes::default(),
        }
    }

    pub(super) fn take(&mut self, record: &Record) -> Result<(), WorkloadError> {
        if let Some(hit) = record.observed_hit {
            self.notes.observed.0 += 1;
            self.notes.observed.1 += u64::from(hit);
        }
        let is_purge = record.method == "PURGE";
        let is_read = matches!(record.method.as_str(), "GET" | "HEAD");
        let pass = Ask::Pass { bytes: record.bytes.unwrap_or(0) };
        let ask = match self.place(record)? {
            Known::NoSite => {
                self.notes.without_site += 1;
                return Ok(());
            }
            Known::Refused => {
                self.notes.refused_targets += 1;
                return Ok(());
            }
            Known::Object(object) if is_purge => Ask::Purge { object },
            Known::Bypass if is_purge => return Ok(()),
            Known::Object(object) if is_read && matches!(record.status, 200 | 206 | 304) => {
                match self.judge(object, record) {
                    Verdict::Class { class, is_known } => {
                        self.note_size(object, record);
                        self.notes.unknown_lifetime += u64::from(!is_known);
                        Ask::Object { object, class }
                    }
                    Verdict::Pass => pass,
                }
            }
            Known::Object(_) | Known::Bypass => pass,
        };
        match ask {
            Ask::Object { .. } => self.notes.cacheable += 1,
            Ask::Pass { .. } => self.notes.passed += 1,
            Ask::Purge { .. } => self.notes.purges += 1,
        }
        let client = client_of(&record.client);
        self.requests.push((record.at_ms, Request { at_ms: 0, client, ask }));
        Ok(())
    }

    /// What the target of a request is; each text is looked at once.
    fn place(&mut self, record: &Record) -> Result<Known, WorkloadError> {
        let mut hasher = blake3::Hasher::new();
        for part in [record.scheme.as_str(), "\0", &record.host, "\0", &record.path] {
            hasher.update(part.as_bytes());
        }
        let [print @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] =
            *hasher.finalize().as_bytes();
        let print = u128::from_le_bytes(print);
        if let Some(known) = self.targets.get(&print) {
            return Ok(*known);
        }
        let known = match Target::parse(record.scheme, &record.host, &record.path) {
            Err(_) => Known::Refused,
            Ok(target) => match self.sites.place(target) {
                None => Known::NoSite,
                Some(placed) if placed.bypasses => Known::Bypass,
                Some(placed) => Known::Object(self.object_of(placed)?),
            },
        };
        self.targets.insert(print, known);
        Ok(known)
    }

    fn object_of(&mut self, placed: Placed) -> Result<u32, WorkloadError> {
        let Placed { site, keyed, .. } = placed;
        if let Some(object) = self.keys.get(&keyed.key) {
            return Ok(*object);
        }
        let object =
            u32::try_from(self.places.len()).map_err(|_reason| WorkloadError::TooManyObjects)?;
        self.keys.insert(keyed.key, object);
        self.places.push((site, keyed.key, keyed.target.path().into()));
        self.sizes.push(Sizes::default());
        self.last.push(None);
        Ok(object)
    }

    fn judge(&mut self, object: u32, record: &Record) -> Verdict {
        if let Some(fixed) = self.ttl.fixed() {
            return self.verdict_of(fixed);
        }
        let text = record.cache_control.as_deref();
        let cache_control = self.number_of(text);
        let at = object as usize;
        if let Some(Some(last)) = self.last.get(at)
            && (last.cache_control, last.status) == (cache_control, record.status)
        {
            return last.verdict;
        }
        let Some((site, key, path)) = self.places.get(at) else { return Verdict::Pass };
        let status = StatusCode::from_u16(record.status).unwrap_or(StatusCode::OK);
        let judged = self.sites.judge((*site, key, path), status, text);
        let verdict = self.verdict_of(judged);
        if let Some(slot) = self.last.get_mut(at) {
            *slot = Some(Last { cache_control, status: record.status, verdict });
        }
        verdict
    }

    /// A number for a text of Cache-Control.
    fn number_of(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return u32::MAX };
        if let Some(number) = self.cache_controls.get(text) {
            return *number;
        }
        let number = u32::try_from(self.cache_controls.len()).unwrap_or(u32::MAX);
        if self.cache_controls.len() < CACHE_CONTROLS_MAX {
            self.cache_controls.insert(text.to_owned(), number);
            return number;
        }
        // Beyond the bound texts share a number by their length: a lifetime may be that of another request for the
        // same object.
        u32::MAX - 1 - u32::try_from(text.len() % 1_024).unwrap_or(0)
    }

    fn verdict_of(&mut self, judged: Judged) -> Verdict {
        let (lifetime, is_known) = match judged {
            Judged::Passed => return Verdict::Pass,
            Judged::Stored(lifetime) => (lifetime, true),
            Judged::Unknown(lifetime) => (lifetime, false),
        };
        let next = u32::try_from(self.class_list.len()).unwrap_or(u32::MAX);
        let class = *self.classes.entry(lifetime).or_insert(next);
        if class == next {
            self.class_list.push(lifetime);
        }
        Verdict::Class { class, is_known }
    }

    fn note_size(&mut self, object: u32, record: &Record) {
        let Some(sizes) = self.sizes.get_mut(object as usize) else { return };
        sizes.is_asked = true;
        sizes.of_any = sizes.of_any.max(record.bytes);
        if record.status == 200 && record.method == "GET" {
            sizes.of_200 = sizes.of_200.max(record.bytes);
        }
    }

    pub(super) fn finish(mut self, size_scale: u64) -> Result<Workload, WorkloadError> {
        if self.requests.is_empty() {
            return Err(WorkloadError::NoRequests(self.why_nothing()));
        }
        let pairs = self.requests.windows(2);
        self.notes.out_of_order =
            pairs.map(|pair| u64::from(matches!(pair, [a, b] if b.0 < a.0))).sum();
        if self.notes.out_of_order > 0 {
            self.requests.sort_by_key(|(at, _)| *at);
        }
        self.notes.size_scale = size_scale;
        let (objects, numbers) = self.objects(size_scale);
        let first = self.requests.first().map_or(0, |(at, _)| *at);
        let number = |object: u32| numbers.get(object as usize).copied().flatten();
        let renumbered = self.requests.into_iter().filter_map(|(at, request)| {
            let ask = match request.ask {
                Ask::Pass { bytes } => Ask::Pass { bytes: scaled(bytes, size_scale) },
                Ask::Object { object, class } => Ask::Object { object: number(object)?, class },
                Ask::Purge { object } => Ask::Purge { object: number(object)? },
            };
            Some(Request { at_ms: at.abs_diff(first), ask, ..request })
        });
        let requests = renumbered.collect();
        Ok(Workload { requests, objects, classes: self.class_list, notes: self.notes })
    }

    /// The objects that are asked for, and the number of each key among them.
    fn objects(&mut self, size_scale: u64) -> (Vec<Object>, Vec<Option<u32>>) {
        let asked = || self.sizes.iter().filter(|sizes| sizes.is_asked);
        let known = || asked().filter_map(|sizes| sizes.of_200.or(sizes.of_any));
        let sum = known().map(u128::from).sum::<u128>();
        let mean = sum.checked_div(known().count() as u128);
        let mean = mean.and_then(|mean| u64::try_from(mean).ok());
        let (mut objects, mut numbers) = (Vec::new(), Vec::with_capacity(self.sizes.len()));
        for (sizes, (_, key, _)) in self.sizes.iter().zip(&self.places) {
            if !sizes.is_asked {
                numbers.push(None);
                continue;
            }
            let size = sizes.of_200.or(sizes.of_any);
            self.notes.unknown_size += u64::from(size.is_none());
            numbers.push(u32::try_from(objects.len()).ok());
            let bytes = size.or(mean).map_or(1, |bytes| scaled(bytes, size_scale));
            objects.push(Object { bytes, hash: first_u64(key.as_bytes()) });
        }
        (objects, numbers)
    }

    fn why_nothing(&self) -> &'static str {
        if self.notes.without_site > 0 {
            "their hosts belong to no site of the file (for a log without hosts name one with --host)"
        } else if self.notes.refused_targets > 0 {
            "no target could be read"
        } else {
            "no line could be read as one"
        }
    }
}

/// A size that is not made nothing.
fn scaled(bytes: u64, scale: u64) -> u64 {
    (bytes / scale).max(u64::from(bytes > 0))
}

/// A number for who asked.
fn client_of(name: &str) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    u32::try_from(mix(hash) >> 32).unwrap_or(u32::MAX)
}
