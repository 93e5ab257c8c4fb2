//! Which crowds are there, and what makes each?

use std::str::FromStr;
use std::time::Duration;

/// Requests at most: more is a mistake.
const REQUESTS_MAX: u64 = 1_000_000_000;
/// Objects at most, which are held in memory.
const OBJECTS_MAX: usize = 50_000_000;

/// A kind of crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Pages, images and scripts: a few objects have most of the requests, sizes differ widely.
    Web,
    /// Packages and programs: flat popularity, large bodies.
    Download,
    /// Segments and playlists: steep popularity, playlists that are fresh for a second.
    Video,
}

/// A text that names no [`Preset`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a preset is web, download or video")]
pub struct UnknownPreset;

impl Preset {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Download => "download",
            Self::Video => "video",
        }
    }
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(text: &str) -> Result<Self, UnknownPreset> {
        let all = [Self::Web, Self::Download, Self::Video];
        all.into_iter().find(|preset| preset.as_str() == text).ok_or(UnknownPreset)
    }
}

/// What makes a crowd.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Requests, those of a scan and purges not counted.
    pub requests: u64,
    /// Objects that are in the catalog at a time.
    pub objects: usize,
    /// What chance is drawn from.
    pub seed: u64,
    /// Exponent of Zipf's law.
    pub alpha: f64,
    /// Share of requests for something that nobody asks for again.
    pub once: f64,
    /// Share of requests for something that was asked for a moment ago.
    pub recent: f64,
    /// Share of the catalog that is replaced after each tenth of the requests.
    pub churn: f64,
    /// Mean and deviation of the logarithm of sizes in bytes.
    pub size: (f64, f64),
    /// Largest size; `None` for none.
    pub size_max: Option<u64>,
    /// How far sizes follow ranks, -1 to 1; above 0 what is asked for often is smaller.
    pub size_by_rank: f64,
    /// Share of requests for playlists, which are fresh for a second.
    pub playlists: f64,
    /// Lifetimes in seconds with their shares of the objects; the shares add up to 1.
    pub max_ages: &'static [(u64, f64)],
    /// Regions, each with ranks of its own; at least 1.
    pub regions: u32,
    /// Clients of a region.
    pub clients: u32,
    /// Time from the first request to the last one.
    pub span: Duration,
    /// Where in the log a flash crowd begins, 0 to 1.
    pub flash: Option<f64>,
    /// Objects of a scan in the middle of the log that nobody else asks for.
    pub scan: u64,
    /// Whether a third into the log the most popular tenth of the catalog is purged.
    pub purge_storm: bool,
}

/// Parameters that make no crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// A number out of range.
    #[error("{0}")]
    OutOfRange(&'static str),
}

impl Parameters {
    /// The parameters of a preset for so many requests.
    #[must_use]
    pub fn of(preset: Preset, requests: u64, objects: usize, seed: u64) -> Self {
        let web = Self {
            requests,
            objects,
            seed,
            alpha: 1.02,
            once: 0.07,
            recent: 0.1,
            churn: 0.05,
            size: (9.46, 1.85),
            size_max: None,
            size_by_rank: 0.1,
            playlists: 0.0,
            max_ages: &[(60, 0.2), (3_600, 0.4), (86_400, 0.4)],
            regions: 4,
            clients: 1_000,
            span: Duration::from_secs(86_400),
            flash: None,
            scan: 0,
            purge_storm: false,
        };
        match preset {
            Preset::Web => web,
            Preset::Download => Self {
                alpha: 0.65,
                once: 0.19,
                size: (12.16, 1.74),
                max_ages: &[(86_400, 0.5), (604_800, 0.5)],
                ..web
            },
            Preset::Video => Self {
                alpha: 1.17,
                once: 0.2,
                recent: 0.2,
                churn: 0.2,
                size: (12.03, 2.1),
                size_max: Some(6_000_000),
                playlists: 0.21,
                max_ages: &[(300, 0.4), (14_400, 0.6)],
                ..web
            },
        }
    }

    /// Checks what makes no crowd.
    ///
    /// # Errors
    ///
    /// [`ParametersError`].
    pub fn check(&self) -> Result<(), ParametersError> {
        let problem = if self.requests == 0 || self.requests > REQUESTS_MAX {
            "requests are from 1 to 1,000,000,000"
        } else if self.objects == 0 || self.objects > OBJECTS_MAX {
            "objects are from 1 to 50,000,000"
        } else if self.scan > REQUESTS_MAX {
            "a scan has at most 1,000,000,000 objects"
        } else if self.flash.is_some_and(|at| !(0.0..=1.0).contains(&at)) {
            "a flash crowd begins between 0 and 1, the begin and the end of the log"
        } else if self.regions == 0 || self.clients == 0 {
            "there must be a region and a client"
        } else {
            return Ok(());
        };
        Err(ParametersError::OutOfRange(problem))
    }
}
