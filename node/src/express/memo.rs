//! Which site and which key does a target of a host have? Worked out once, remembered for each thread.
//!
//! A key follows from the site's rules, host and target alone wherever the site is [`Site::express`]; so what was
//! worked out stays true until sites are read again, and then everything is forgotten. What is asked for once is most
//! often a miss, which the long way has to work out anyway: it costs a place here and nothing more.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::sync::Arc;

use http::uri::PathAndQuery;
use weir_cache::eviction::Seeded;
use weir_cache::{CacheKey, Keyed, Scheme, Target};

use super::lines::Lines;
use crate::access;
use crate::site::{Site, Sites};

/// Targets remembered by one thread.
const PLACES: usize = 8_192;
/// Bytes of host and target together that are remembered.
const BYTES_MAX: usize = 512;

/// A target whose site and key are known.
#[derive(Debug)]
pub(crate) struct Known {
    asked: Asked,
    pub(crate) site: Arc<Site>,
    pub(crate) keyed: Keyed,
    /// What stays the same of the head of its whole response.
    pub(super) lines: Lines,
}

/// What one thread remembers.
struct Memo {
    /// The sites that it is true for; held, so that their address means them.
    sites: Option<Arc<Sites>>,
    places: Vec<Place>,
    hasher: Seeded,
}

/// Where something was asked for: nothing yet, something with this hash, or something known with this hash.
///
/// All else is behind the pointer, so that what is asked for is reached over few lines of the processor's cache.
#[derive(Default)]
struct Place {
    hash: u64,
    known: Option<Arc<Known>>,
}

/// Host and target as they were sent, in one piece.
#[derive(Debug)]
struct Asked {
    both: Box<str>,
    host_bytes: usize,
}

impl Asked {
    fn of(host: &str, target: &str) -> Self {
        Self { both: [host, target].concat().into(), host_bytes: host.len() }
    }

    fn is(&self, host: &str, target: &str) -> bool {
        self.both.split_at_checked(self.host_bytes) == Some((host, target))
    }
}

thread_local! {
    static MEMO: RefCell<Memo> = RefCell::new(Memo::new());
}

/// The site and the key of `target` at `host`; `None` where the long way must find them, or why there are none.
pub(super) fn known(
    sites: &Arc<Sites>,
    scheme: Scheme,
    (host, target): (&str, &str),
) -> Option<Arc<Known>> {
    MEMO.with_borrow_mut(|memo| memo.known(sites, scheme, (host, target)))
}

impl Memo {
    /// Nothing remembered.
    fn new() -> Self {
        Self { sites: None, places: Vec::new(), hasher: Seeded::random() }
    }

    fn known(
        &mut self,
        sites: &Arc<Sites>,
        scheme: Scheme,
        (host, target): (&str, &str),
    ) -> Option<Arc<Known>> {
        if !self.sites.as_ref().is_some_and(|own| Arc::ptr_eq(own, sites)) {
            self.places.clear();
            self.places.resize_with(PLACES, Place::default);
            self.sites = Some(Arc::clone(sites));
        }
        if host.len() + target.len() > BYTES_MAX {
            return None;
        }
        // Clients choose both: the seed keeps them from choosing places.
        let hash = self.hasher.hash_one((scheme, host, target));
        let at = usize::try_from(hash % PLACES as u64).unwrap_or(0);
        let place = self.places.get_mut(at)?;
        if place.hash != hash {
            *place = Place { hash, known: None };
            return None;
        }
        let same = |known: &&Arc<Known>| {
            known.keyed.target.scheme() == scheme && known.asked.is(host, target)
        };
        if let Some(known) = place.known.as_ref().filter(same) {
            return Some(Arc::clone(known));
        }
        let known = Arc::new(work_out(sites, scheme, (host, target))?);
        place.known = Some(Arc::clone(&known));
        Some(known)
    }
}

/// What [`crate::handle`] makes of host and target, for a site at which nothing else counts.
fn work_out(sites: &Sites, scheme: Scheme, (host, target): (&str, &str)) -> Option<Known> {
    // hyper is stricter with some bytes; what it would refuse or cut is left to it.
    let wire = PathAndQuery::try_from(target).ok().filter(|wire| wire.as_str() == target)?;
    let target = Target::parse(scheme, host, wire.as_str()).ok()?.without_port();
    let site = sites.find(target.host_without_port()).filter(|site| site.express)?;
    let granted = access::for_anyone(&site.access, target)?;
    let keyed = CacheKey::derive(&site.name, &site.key_rules, granted, &http::HeaderMap::new());
    (!site.bypasses(&keyed)).then(|| Known {
        asked: Asked::of(host, wire.as_str()),
        site: Arc::clone(site),
        keyed,
        lines: Lines::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_that_host_with_that_target() {
        let asked = Asked::of("example.com:80", "/a?b");
        assert!(asked.is("example.com:80", "/a?b"));
        for (host, target) in [
            ("example.com:80", "/a?c"),
            ("example.com:80", "/a?"),
            ("example.com:81", "/a?b"),
            ("example.com:80/", "a?b"),
            ("example.com:8", "0/a?b"),
            ("", "example.com:80/a?b"),
        ] {
            assert!(!asked.is(host, target), "{host} {target}");
        }
    }
}
