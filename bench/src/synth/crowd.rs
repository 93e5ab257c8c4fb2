//! What does the crowd ask for next?

use std::collections::VecDeque;

use super::catalog::{Catalog, Thing, max_age, size};
use super::clock::Clock;
use super::draws::{Draws, Zipf};
use super::preset::{Parameters, ParametersError};

/// Requests that "a moment ago" looks back.
const RECENT_MAX: usize = 1_000;
/// Share of the requests of a log that a flash crowd has, and how much of them are for one thing.
const FLASH_SHARE: f64 = 0.05;
const FLASH_FOCUS: f64 = 0.5;
/// Part of the time that a flash crowd takes of what its requests would.
const FLASH_TIME: f64 = 0.2;
const FLASH_BYTES: u64 = 200_000;
/// Where a scan and a purge storm begin.
const SCAN_AT: f64 = 0.5;
const PURGES_AT: f64 = 1.0 / 3.0;
/// Playlists for each object of the catalog.
const PLAYLISTS_SHARE: usize = 50;
const PLAYLIST_BYTES: u64 = 2_000;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// Something of the catalog.
    Catalog(u64),
    /// What the flash crowd came for.
    Flash,
    /// Something that nobody asks for again.
    Once(u64),
    /// A playlist.
    Playlist(u64),
    /// Something of the catalog that is purged.
    Purge(u64),
    /// Something that only a scan asks for.
    Scan(u64),
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// Milliseconds since the first one.
    pub at_ms: u64,
    /// Region of the client.
    pub region: u32,
    /// Its number there.
    pub client: u32,
    /// What it asks for.
    pub what: What,
    /// Bytes of the body.
    pub bytes: u64,
    /// How long it is fresh.
    pub max_age_secs: u64,
}

/// Rows of a made-up log, one after another.
#[derive(Debug)]
pub struct Crowd {
    parameters: Parameters,
    draws: Draws,
    clock: Clock,
    catalog: Catalog,
    playlists: Zipf,
    recent: VecDeque<(What, u64, u64)>,
    /// Requests given.
    given: u64,
    once: u64,
    /// Rows of an event that come before the next request.
    purges: VecDeque<Thing>,
    scanned: u64,
    now_ms: u64,
}

impl Crowd {
    /// A crowd.
    ///
    /// # Errors
    ///
    /// [`ParametersError`].
    pub fn new(parameters: Parameters) -> Result<Self, ParametersError> {
        parameters.check()?;
        let mut draws = Draws::new(parameters.seed);
        let catalog = Catalog::new(&parameters, &mut draws);
        let playlists = Zipf::new((parameters.objects / PLAYLISTS_SHARE).max(1), 1.0);
        Ok(Self {
            clock: Clock::new(parameters.span),
            parameters,
            draws,
            catalog,
            playlists,
            recent: VecDeque::new(),
            given: 0,
            once: 0,
            purges: VecDeque::new(),
            scanned: 0,
            now_ms: 0,
        })
    }

    /// Requests, without those of a scan.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.parameters.requests
    }

    /// How far a share of the log is.
    fn place(&self, share: f64) -> u64 {
        let place = share.clamp(0.0, 1.0) * self.parameters.requests as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the requests"
        )]
        let place = place as u64;
        place
    }

    /// The share of the time that is over when a share of the requests is: a flash crowd packs them.
    fn time_of(&self, share: f64) -> f64 {
        let Some(begin) = self.parameters.flash else { return share };
        let length = FLASH_SHARE.min(1.0 - begin);
        let saved = length * (1.0 - FLASH_TIME);
        let within = (share - begin).clamp(0.0, length);
        (share - within * (1.0 - FLASH_TIME)) / (1.0 - saved).max(f64::MIN_POSITIVE)
    }

    fn in_flash(&self) -> bool {
        self.parameters.flash.is_some_and(|begin| {
            let length = self.place(FLASH_SHARE);
            let from = self.place(begin);
            (from..from + length).contains(&self.given)
        })
    }

    /// A row of an event that is due, before the next request.
    fn event(&mut self) -> Option<(What, u64, u64)> {
        if let Some(thing) = self.purges.pop_front() {
            return Some((What::Purge(thing.number), 0, 0));
        }
        if self.given >= self.place(SCAN_AT) && self.scanned < self.parameters.scan {
            self.scanned += 1;
            let bytes = size(&self.parameters, 0.0, &mut self.draws);
            return Some((What::Scan(self.scanned), bytes, 86_400));
        }
        None
    }

    /// What the next request is for.
    fn request(&mut self, region: u32) -> (What, u64, u64) {
        if self.in_flash() && self.draws.happens(FLASH_FOCUS) {
            return (What::Flash, FLASH_BYTES, 60);
        }
        let kind = self.draws.unit();
        let Parameters { once, recent, playlists, .. } = self.parameters;
        if kind < once {
            self.once += 1;
            let bytes = size(&self.parameters, 0.0, &mut self.draws);
            let max_age = max_age(self.parameters.max_ages, &mut self.draws);
            return (What::Once(self.once), bytes, max_age);
        }
        if kind < once + playlists {
            let number = self.playlists.draw(&mut self.draws) as u64;
            return (What::Playlist(number), PLAYLIST_BYTES + number % 1_000, 1);
        }
        if kind < once + playlists + recent && !self.recent.is_empty() {
            let back = self.draws.below(self.recent.len() as u64);
            let at = usize::try_from(back).unwrap_or(0);
            if let Some(again) = self.recent.get(at) {
                return *again;
            }
        }
        let drawn = self.catalog.draw(region, &mut self.draws);
        drawn.map_or((What::Flash, FLASH_BYTES, 60), |thing| {
            (What::Catalog(thing.number), thing.bytes, thing.max_age_secs)
        })
    }

    fn remember(&mut self, asked: (What, u64, u64)) {
        if !matches!(asked.0, What::Catalog(_)) {
            return;
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(asked);
    }

    /// What changes before the request that comes next.
    fn turn(&mut self) {
        let tenth = self.parameters.requests / 10;
        if tenth > 0 && self.given > 0 && self.given.is_multiple_of(tenth) {
            self.catalog.churn(&self.parameters, &mut self.draws);
        }
        if self.parameters.purge_storm && self.given == self.place(PURGES_AT) {
            let top = self.catalog.top(self.parameters.objects.div_ceil(10));
            self.purges.extend(top);
        }
    }

    fn row(&self, (what, bytes, max_age_secs): (What, u64, u64), who: (u32, u32)) -> Drawn {
        let (region, client) = who;
        Drawn { at_ms: self.now_ms, region, client, what, bytes, max_age_secs }
    }
}

impl Iterator for Crowd {
    type Item = Drawn;

    fn next(&mut self) -> Option<Drawn> {
        if let Some(event) = self.event() {
            return Some(self.row(event, (0, 0)));
        }
        if self.given >= self.parameters.requests {
            return None;
        }
        let share = self.given as f64 / self.parameters.requests as f64;
        let of_time = self.time_of(share);
        self.now_ms = self.clock.at_ms(of_time);
        let one_of = |draws: &mut Draws, count: u32| {
            u32::try_from(draws.below(u64::from(count))).unwrap_or(0)
        };
        let region = one_of(&mut self.draws, self.parameters.regions);
        let client = one_of(&mut self.draws, self.parameters.clients) + 1;
        let asked = self.request(region);
        self.remember(asked);
        self.given += 1;
        let row = self.row(asked, (region, client));
        self.turn();
        Some(row)
    }
}
