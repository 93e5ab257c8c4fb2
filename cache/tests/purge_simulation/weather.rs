//! What kind of run a seed makes: how slow, how faulty, how short of memory.

use std::time::Duration;

use super::rng::Rng;

/// What members count for themselves.
pub(crate) const LEASE: Duration = Duration::from_secs(5);
/// One millisecond in the unit of time.
pub(crate) const MS: u64 = 1_000;

/// The kinds of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was said long ago is heard again: late doubles, entries of logs that were lost.
    Echoes,
    /// Everything that can go wrong with one run of each name at a time.
    Faults,
    /// The same, and the first edge hands over to a second run of its name and back.
    Handover,
    /// Nothing goes wrong.
    Quiet,
    /// Faults, of which most are crashes, the log's own more than others, amid doubled messages.
    Restarts,
    /// Few faults, but most answers of the origin take up to seconds, and many messages half a one.
    Slow,
}

/// What holds for one run.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) kind: Kind,
    /// Actions until the schedule ends.
    pub(crate) actions: u64,
    /// Longest pause between two actions.
    pub(crate) pause_max: u64,
    /// Messages lost, doubled and slow, of a hundred.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) slow: u64,
    /// Longest way of a message, and of a slow one.
    pub(crate) way_max: u64,
    pub(crate) slow_max: u64,
    /// Answers of the origin that take seconds, of a hundred.
    pub(crate) origin_slow: u64,
    /// Bodies that take seconds after their head, of a hundred.
    pub(crate) body_slow: u64,
    /// Faults among the actions, of a hundred.
    pub(crate) faults: u64,
    /// Restarts of the log's keeper that find its disk empty, of a hundred.
    pub(crate) log_lost: u64,
    /// How long a response is fresh.
    pub(crate) fresh: Duration,
    /// Whether stores outlive their process.
    pub(crate) has_disks: bool,
    /// Whether what a node has applied is on disk before it counts, and what is stored has its position
    /// there as the log calls it.
    pub(crate) writes_first: bool,
    /// Whether edges go on with what they store when they are cut off. They promise then what they knew.
    pub(crate) serves_stale: bool,
    /// Whether regionals and edges ask the origin when no parent answers.
    pub(crate) asks_origin: bool,
    /// Whether reports wait at the log for news.
    pub(crate) holds_reports: bool,
    /// Entries that the log keeps for members that are behind.
    pub(crate) log_kept: usize,
    /// Things named that a ledger holds.
    pub(crate) named_max: usize,
    /// How far clocks run from true, in parts of a million: together less than one in fifty.
    pub(crate) drift: u64,
}

impl Weather {
    pub(crate) fn draw(kind: Kind, rng: &mut Rng) -> Self {
        let is_quiet = kind == Kind::Quiet;
        let rough = |value| if is_quiet { 0 } else { value };
        let usual = Self {
            kind,
            actions: if is_quiet { 150 } else { 130 },
            pause_max: rng.pick(&[60, 200, 350]) * MS,
            lost: rough(rng.pick(&[0, 2, 8])),
            doubled: rough(rng.pick(&[0, 3, 10])),
            slow: rough(rng.pick(&[0, 3, 12])),
            way_max: rng.pick(&[2, 10, 40]) * MS,
            slow_max: rng.pick(&[500, 3_000]) * MS,
            origin_slow: rough(rng.pick(&[2, 10, 30])),
            body_slow: rough(rng.pick(&[0, 5, 20])),
            faults: rough(rng.pick(&[4, 10, 20])),
            log_lost: 30,
            fresh: Duration::from_secs(if is_quiet { 600 } else { rng.pick(&[2, 10, 600]) }),
            has_disks: rng.happens(50),
            asks_origin: rng.happens(50),
            holds_reports: rng.happens(50),
            log_kept: if is_quiet { 1_000 } else { rng.pick(&[3, 20, 1_000]) },
            named_max: if is_quiet { 1_000 } else { rng.pick(&[4, 15, 1_000]) },
            drift: rng.pick(&[0, 9_000]),
            writes_first: kind != Kind::Echoes && rng.happens(50),
            serves_stale: kind != Kind::Echoes && rng.happens(50),
        };
        let serves_stale = usual.has_disks && usual.writes_first && usual.serves_stale && !is_quiet;
        let usual = Self { serves_stale, ..usual };
        match kind {
            Kind::Faults | Kind::Handover | Kind::Quiet => usual,
            Kind::Echoes => Self {
                faults: 20,
                doubled: 40,
                slow: 8,
                slow_max: 3_000 * MS,
                log_lost: 60,
                has_disks: false,
                ..usual
            },
            Kind::Restarts => Self { faults: 12, doubled: 20, pause_max: 350 * MS, ..usual },
            Kind::Slow => Self {
                faults: 2,
                slow: 20,
                slow_max: 500 * MS,
                way_max: 40 * MS,
                origin_slow: 60,
                ..usual
            },
        }
    }
}
