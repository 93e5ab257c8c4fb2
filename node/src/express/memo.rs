//! Which site and which key does a target of a host have? Worked out once, remembered for each thread.
//!
//! A key follows from the site's rules, host and target alone wherever the site is [`Site::express`]; so what was
//! worked out stays true until sites are read again, and then everything is forgotten. What is asked for once is most
//! often a miss, which the long way has to work out anyway: it costs a place here and nothing more.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use http::uri::PathAndQuery;
use weir_cache::eviction::Seeded;
use weir_cache::{CacheKey, Keyed, Scheme, Target};

use super::lines::Lines;
use super::ready::Ready;
use crate::access;
use crate::site::{Site, Sites};

/// Targets remembered by one thread.
const PLACES: usize = 8_192;
/// Bytes of host and target together that are remembered.
const BYTES_MAX: usize = 512;

/// A target whose site and key are known.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) site: Arc<Site>,
    pub(crate) keyed: Keyed,
    /// What stays the same of the head of its whole response.
    pub(super) lines: Lines,
    /// The fields of the answer with it.
    pub(super) ready: Ready,
}

/// What one thread remembers.
struct Memo {
    /// The sites that it is true for; held, so that their address means them.
    sites: Option<Arc<Sites>>,
    places: Vec<Option<Place>>,
    hasher: Seeded,
}

enum Place {
    /// Something with this hash was asked for.
    Seen(u64),
    Known {
        host: Box<str>,
        target: Box<str>,
        known: Arc<Known>,
    },
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
        let random = RandomState::new();
        let hasher = Seeded::new([0_u8, 1].map(|number| random.hash_one(number)));
        Self { sites: None, places: Vec::new(), hasher }
    }

    fn known(
        &mut self,
        sites: &Arc<Sites>,
        scheme: Scheme,
        (host, target): (&str, &str),
    ) -> Option<Arc<Known>> {
        if !self.sites.as_ref().is_some_and(|own| Arc::ptr_eq(own, sites)) {
            self.places.clear();
            self.places.resize_with(PLACES, || None);
            self.sites = Some(Arc::clone(sites));
        }
        if host.len() + target.len() > BYTES_MAX {
            return None;
        }
        // Clients choose both: the seed keeps them from choosing places.
        let hash = self.hasher.hash_one((scheme, host, target));
        let at = usize::try_from(hash % PLACES as u64).unwrap_or(0);
        let place = self.places.get_mut(at)?;
        match place {
            Some(Place::Known { host: of, target: to, known })
                if known.keyed.target.scheme() == scheme && **to == *target && **of == *host =>
            {
                return Some(Arc::clone(known));
            }
            Some(Place::Seen(seen)) if *seen == hash => {}
            _ => {
                *place = Some(Place::Seen(hash));
                return None;
            }
        }
        let known = Arc::new(work_out(sites, scheme, (host, target))?);
        let place_of = Arc::clone(&known);
        *place = Some(Place::Known { host: host.into(), target: target.into(), known: place_of });
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
        site: Arc::clone(site),
        keyed,
        lines: Lines::default(),
        ready: Ready::default(),
    })
}
