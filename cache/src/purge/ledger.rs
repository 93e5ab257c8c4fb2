//! Which applied purges has a stored response not seen yet?
//!
//! The ledger holds, for everything that a purge can name, the number of the newest entry that named
//! it. Applying an entry therefore costs the same with ten responses stored as with ten million, and
//! judging one response costs a few look-ups, never a walk over entries. Patterns alone are tried one
//! by one; their number is bounded.
//!
//! # Positions
//!
//! The log counts its entries within an [`Epoch`]; a log that was lost begins another one, with numbers
//! that say nothing about the old. A node therefore counts in a [`Seq`] of its own that only ever
//! grows: within an epoch it moves with the log, and each new epoch begins above all that was before.
//! Comparing what a response reflects with what is applied is then one comparison, epochs included.
//!
//! # Invariants
//!
//! 1. What is not known to be reflected is taken to be overtaken: a response from before `since`, from
//!    another epoch, or of unknown position must be validated; also before any log has been joined.
//! 2. Forgetting old entries raises `since` in the same step.
//! 3. An entry out of order is never applied: see [`Gap`].

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::seq::Seq;

use super::marks::Mode;
use super::named::Named;
use super::selector::Selector;
use super::tags::Tags;

/// Things named by live entries that a ledger holds at most; with more, the older half is forgotten.
const NAMED_MAX: usize = 200_000;
/// Patterns among them.
const GLOBS_MAX: usize = 256;
/// How far beyond this node's own position a parent's word is believed, in entries. Also the distance
/// between two epochs in the node's own count, so that no number of one reaches into the next.
const HORIZON: u64 = 1 << 32;
/// Where a node that has applied nothing stands: above zero, which is older than every purge.
const START: Seq = Seq::new(1);

/// One life of a log. Drawn at random when the log is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// Makes the epoch with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = BadAsOf;

    fn from_str(text: &str) -> Result<Self, BadAsOf> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits {
            return Err(BadAsOf);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_not_hex| BadAsOf)
    }
}

/// A position in the log as nodes tell it to each other: `0123456789abcdef.42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AsOf {
    /// The life of the log.
    pub epoch: Epoch,
    /// The newest entry reflected; zero for none.
    pub seq: u64,
}

/// A text that is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position in a purge log (expected 16 hexadecimal digits, a dot and a number)")]
pub struct BadAsOf;

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

impl FromStr for AsOf {
    type Err = BadAsOf;

    fn from_str(text: &str) -> Result<Self, BadAsOf> {
        let (epoch, seq) = text.split_once('.').ok_or(BadAsOf)?;
        let digits = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit());
        let seq = if digits { seq.parse().ok() } else { None };
        Ok(Self { epoch: epoch.parse()?, seq: seq.ok_or(BadAsOf)? })
    }
}

/// What one entry of the log asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happens to what it matches.
    pub mode: Mode,
    /// What it matches: whatever any of these matches.
    pub selectors: Vec<Selector>,
}

/// A response, as far as purges look at it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Host, path and query; see [`KeyText::purged_as`](crate::KeyText::purged_as).
    pub resource: &'a str,
    /// Its tags.
    pub tags: Tagged<'a>,
}

/// What is known of a response's tags.
#[derive(Clone, Copy, Debug)]
pub enum Tagged<'a> {
    /// These are all.
    Known(&'a Tags),
    /// Its head has not come yet: it may carry any.
    Unknown,
}

/// How a response stands with the purges that this node has applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// None that it does not reflect matches it.
    Clear,
    /// It must be validated before any use; it may not stand in for an error.
    Invalidated {
        /// The newest such entry.
        by: Seq,
    },
    /// It is gone.
    Purged {
        /// The newest such entry.
        by: Seq,
    },
}

impl Standing {
    /// The stricter of two; of two alike, the newer.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Purged { by: a }, Self::Purged { by: b }) => Self::Purged { by: a.max(b) },
            (Self::Purged { .. }, _) | (_, Self::Clear) => self,
            (Self::Invalidated { by: a }, Self::Invalidated { by: b }) => {
                Self::Invalidated { by: a.max(b) }
            }
            (Self::Clear, _) | (Self::Invalidated { .. }, _) => other,
        }
    }
}

/// An entry that does not follow the last one applied.
///
/// The caller fetches what lies between, or, where that is not kept any more, calls
/// [`Ledger::join`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {got} does not follow: the next one is {wanted}")]
pub struct Gap {
    /// The entry that would have followed.
    pub wanted: u64,
    /// The one that came.
    pub got: u64,
}

/// The purges that one node has applied.
#[derive(Clone, Debug)]
pub struct Ledger {
    epoch: Option<Epoch>,
    /// The node's own position of the log's entry zero.
    base: u64,
    /// Entries up to here are not known one by one.
    since: Seq,
    applied: Seq,
    /// Numbers of this epoch that a log which went back gives a second time.
    doubled: RangeInclusive<u64>,
    named: Named,
    named_max: usize,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Ledger {
    /// A ledger that has never heard of a log. What is of unknown position must be validated even so:
    /// it may be from before the process, and purges may have been applied then.
    pub fn new() -> Self {
        Self::with_bound(NAMED_MAX)
    }

    /// The same with another bound on the things named; for simulations.
    pub fn with_bound(named_max: usize) -> Self {
        Self {
            epoch: None,
            base: START.get(),
            since: START,
            applied: START,
            doubled: RangeInclusive::new(1, 0),
            named: Named::default(),
            named_max,
        }
    }

    /// Takes up the log at `head` without the entries up to there: at first contact, when the log has
    /// another epoch, or when entries in between are not kept any more.
    ///
    /// Everything stored that does not reflect `head` must be validated from then on.
    pub fn join(&mut self, head: AsOf) {
        let is_behind = self.position(head.seq) < self.applied;
        // A log that has fewer entries than were applied of it is another one under the old name.
        if self.epoch != Some(head.epoch) || is_behind {
            self.doubled = if self.epoch == Some(head.epoch) {
                let newest = self.applied_seq().max(*self.doubled.end());
                head.seq.saturating_add(1)..=newest
            } else {
                RangeInclusive::new(1, 0)
            };
            self.base = self.applied.get().saturating_add(HORIZON);
            self.epoch = Some(head.epoch);
        }
        let position = self.position(head.seq);
        self.applied = position;
        self.since = position;
        self.named = Named::default();
    }

    /// Applies the entry numbered `seq` of the log joined; one that has been applied already changes
    /// nothing. Returns the node's own number of it.
    ///
    /// # Errors
    ///
    /// [`Gap`] if entries before it have not been applied.
    pub fn apply(&mut self, seq: u64, entry: &Entry) -> Result<Seq, Gap> {
        let position = self.position(seq);
        if position <= self.applied {
            return Ok(position);
        }
        let wanted = self.applied_seq().saturating_add(1);
        if self.epoch.is_none() || seq != wanted {
            return Err(Gap { wanted, got: seq });
        }
        self.note(position, entry);
        Ok(position)
    }

    /// Takes back what a run before this one has noted of itself: that it had applied the entry
    /// numbered `entry_at`, and had noted all before it that named anything.
    ///
    /// So numbers may be missing, unlike in [`Ledger::apply`]. An entry of a log that is not the one
    /// joined begins with joining that. A number that comes twice means both entries: a run may end
    /// between noting an entry and applying it, and the log may have lost that entry since.
    pub fn recall(&mut self, entry_at: AsOf, entry: &Entry) {
        if self.epoch != Some(entry_at.epoch) {
            self.join(AsOf { seq: entry_at.seq.saturating_sub(1), ..entry_at });
        }
        // What is marked later than it was overtakes more, never less.
        let position = self.position(entry_at.seq).max(self.applied);
        self.note(position, entry);
    }

    fn note(&mut self, position: Seq, entry: &Entry) {
        for selector in &entry.selectors {
            self.named.mark(selector, entry.mode, position);
        }
        self.applied = position;
        self.keep_within_bounds();
    }

    /// How a response that reflects the log up to `reflects` stands.
    pub fn judge(&self, subject: Subject<'_>, reflects: Seq) -> Standing {
        if reflects >= self.applied {
            Standing::Clear
        } else if reflects < self.since {
            Standing::Invalidated { by: self.since }
        } else {
            self.named.judge(subject, reflects)
        }
    }

    /// The newest entry applied, in the node's own count.
    pub fn applied(&self) -> Seq {
        self.applied
    }

    /// Entries up to here are not known one by one, in the node's own count.
    pub fn since(&self) -> Seq {
        self.since
    }

    /// The position to tell other nodes; `None` before the log has been heard of.
    pub fn as_of(&self) -> Option<AsOf> {
        self.told(self.applied)
    }

    /// What other nodes call `position`; `None` where they could not understand it.
    pub fn told(&self, position: Seq) -> Option<AsOf> {
        let seq = position.get().checked_sub(self.base)?;
        self.epoch.map(|epoch| AsOf { epoch, seq })
    }

    /// The node's own number of what another node told it, or of what lies on disk; zero, which is
    /// older than every purge, for a position in another epoch, and for one that may be from before
    /// the log went back.
    pub fn heard(&self, as_of: AsOf) -> Seq {
        if self.epoch != Some(as_of.epoch) || self.doubled.contains(&as_of.seq) {
            return Seq::default();
        }
        let farthest = self.applied.get().saturating_add(HORIZON).saturating_sub(1);
        Seq::new(self.position(as_of.seq).get().min(farthest))
    }

    /// Whether everything up to `as_of` has been applied here.
    pub fn reaches(&self, as_of: AsOf) -> bool {
        self.epoch == Some(as_of.epoch) && self.position(as_of.seq) <= self.applied
    }

    /// The log's name for [`Ledger::since`]; `None` before the log has been heard of.
    pub fn since_as_of(&self) -> Option<AsOf> {
        self.told(self.since)
    }

    /// The things named by the entries known one by one.
    pub fn named(&self) -> usize {
        self.named.len()
    }

    /// Forgets the entries up to `position`: nothing stored is older any more, or what is shall be
    /// validated. Costs a walk over the things named.
    pub fn forget(&mut self, position: Seq) {
        let position = position.min(self.applied);
        if position > self.since {
            self.since = position;
            self.named.forget(position);
        }
    }

    /// The log's number of the newest entry applied.
    fn applied_seq(&self) -> u64 {
        self.applied.get().saturating_sub(self.base)
    }

    fn position(&self, seq: u64) -> Seq {
        Seq::new(self.base.saturating_add(seq))
    }

    fn keep_within_bounds(&mut self) {
        while self.named.len() > self.named_max || self.named.globs() > GLOBS_MAX {
            let middle = self.named.middle().max(Seq::new(self.since.get().saturating_add(1)));
            self.forget(middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::headers;

    const EPOCH: Epoch = Epoch::new(7);

    fn entry(mode: Mode, selector: &str) -> Entry {
        Entry { mode, selectors: vec![selector.parse().unwrap()] }
    }

    fn joined() -> Ledger {
        let mut ledger = Ledger::new();
        ledger.join(AsOf { epoch: EPOCH, seq: 0 });
        ledger
    }

    fn untagged(resource: &str) -> Subject<'_> {
        static NONE: std::sync::LazyLock<Tags> = std::sync::LazyLock::new(Tags::default);
        Subject { resource, tags: Tagged::Known(&NONE) }
    }

    #[test]
    fn each_selector_matches_what_it_names_and_nothing_else() {
        // (selector, resource, fields with tags, matched, why)
        const CASES: &[(&str, &str, &str, bool, &str)] = &[
            ("everything", "a.b/x", "", true, "all of it"),
            ("host:a.b", "a.b/x", "", true, "the host"),
            ("host:a.b", "c.a.b/x", "", false, "not below it"),
            ("url:a.b/x", "a.b/x", "", true, "the URL"),
            ("url:a.b/x", "a.b/x?y", "", false, "the query is part of it"),
            ("url:a.b/x", "a.b/x/", "", false, "so is a slash"),
            ("prefix:a.b/x", "a.b/x", "", true, "itself"),
            ("prefix:a.b/x", "a.b/xy?z", "", true, "character by character"),
            ("prefix:a.b/x/", "a.b/x", "", false, "the slash is asked for"),
            ("prefix:a.b/x", "c.b/x", "", false, "on its host"),
            ("prefix:a.b/", "a.b/", "", true, "the root"),
            ("tag:t", "a.b/x", "Cache-Tag: s, t", true, "one of its tags"),
            ("tag:t", "a.b/x", "Cache-Tag: tt", false, "whole tags"),
            ("glob:a.b/*.js", "a.b/x/y.js", "", true, "a pattern"),
            ("glob:a.b/*.js", "a.b/x.css", "", false, "not by it"),
        ];
        for mode in [Mode::Purge, Mode::Invalidate] {
            for &(selector, resource, fields, matched, why) in CASES {
                let mut ledger = joined();
                let before = ledger.applied();
                let by = ledger.apply(1, &entry(mode, selector)).unwrap();
                let tags = Tags::of(&headers(fields));
                let subject = Subject { resource, tags: Tagged::Known(&tags) };
                let expected = match (matched, mode) {
                    (false, _) => Standing::Clear,
                    (true, Mode::Purge) => Standing::Purged { by },
                    (true, Mode::Invalidate) => Standing::Invalidated { by },
                };
                assert_eq!(ledger.judge(subject, before), expected, "{why}: {selector}");
                assert_eq!(ledger.judge(subject, by), Standing::Clear, "reflected: {selector}");
            }
        }
    }

    #[test]
    fn a_purge_beats_an_invalidation_whichever_came_last() {
        for order in [["host:a.b", "url:a.b/x"], ["url:a.b/x", "host:a.b"]] {
            let mut ledger = joined();
            let before = ledger.applied();
            for (seq, selector) in (1..).zip(order) {
                let mode = if selector.starts_with("url") { Mode::Purge } else { Mode::Invalidate };
                ledger.apply(seq, &entry(mode, selector)).unwrap();
            }
            let standing = ledger.judge(untagged("a.b/x"), before);
            assert!(matches!(standing, Standing::Purged { .. }), "{order:?}");
            assert!(matches!(
                ledger.judge(untagged("a.b/y"), before),
                Standing::Invalidated { .. }
            ));
        }
    }

    #[test]
    fn unknown_and_overflowing_tags_may_be_any() {
        let mut ledger = joined();
        let before = ledger.applied();
        ledger.apply(1, &entry(Mode::Purge, "tag:t")).unwrap();
        let unknown = Subject { resource: "a.b/x", tags: Tagged::Unknown };
        assert!(matches!(ledger.judge(unknown, before), Standing::Purged { .. }));
        let many: Vec<String> = (0..200).map(|n| format!("x{n}")).collect();
        let tags = Tags::of(&headers(&format!("xkey: {}", many.join(" "))));
        let subject = Subject { resource: "a.b/x", tags: Tagged::Known(&tags) };
        assert!(matches!(ledger.judge(subject, before), Standing::Purged { .. }));
    }

    #[test]
    fn entries_are_applied_in_order_and_once() {
        let mut ledger = joined();
        let first = ledger.apply(1, &entry(Mode::Purge, "host:a.b")).unwrap();
        assert_eq!(ledger.apply(1, &entry(Mode::Purge, "host:c.d")).unwrap(), first, "again");
        assert_eq!(ledger.judge(untagged("c.d/"), Seq::new(first.get() - 1)), Standing::Clear);
        let gap = ledger.apply(3, &entry(Mode::Purge, "everything")).unwrap_err();
        assert_eq!(gap, Gap { wanted: 2, got: 3 });
        assert_eq!(ledger.applied(), first, "nothing was applied");
        let fresh = Ledger::new().apply(1, &entry(Mode::Purge, "everything"));
        assert!(fresh.is_err(), "no log has been joined");
    }

    #[test]
    fn another_epoch_makes_everything_older_whatever_its_numbers() {
        let mut ledger = joined();
        for seq in 1..=50 {
            ledger.apply(seq, &entry(Mode::Purge, "host:other")).unwrap();
        }
        // A parent that is ahead made it reflect more than this node has applied.
        let reflects = ledger.heard(AsOf { epoch: EPOCH, seq: 900 });
        assert_eq!(ledger.judge(untagged("a.b/"), reflects), Standing::Clear);
        ledger.join(AsOf { epoch: Epoch::new(8), seq: 3 });
        assert!(matches!(ledger.judge(untagged("a.b/"), reflects), Standing::Invalidated { .. }));
        assert_eq!(ledger.heard(AsOf { epoch: EPOCH, seq: 900 }), Seq::default());
        let now = ledger.heard(AsOf { epoch: Epoch::new(8), seq: 3 });
        assert_eq!(ledger.judge(untagged("a.b/"), now), Standing::Clear);
    }

    #[test]
    fn positions_are_told_and_heard_alike() {
        let mut ledger = joined();
        assert_eq!(Ledger::new().as_of(), None);
        ledger.apply(1, &entry(Mode::Purge, "host:a.b")).unwrap();
        let told = ledger.as_of().unwrap();
        assert_eq!(told, AsOf { epoch: EPOCH, seq: 1 });
        assert_eq!(ledger.heard(told), ledger.applied());
        assert!(ledger.reaches(told));
        assert!(!ledger.reaches(AsOf { epoch: EPOCH, seq: 2 }));
        assert!(!ledger.reaches(AsOf { epoch: Epoch::new(1), seq: 0 }));
        assert_eq!(ledger.told(Seq::default()), None, "from before this epoch");
    }

    #[test]
    fn a_skipped_stretch_of_the_log_makes_what_is_older_validate() {
        let mut ledger = joined();
        let before = ledger.applied();
        ledger.join(AsOf { epoch: EPOCH, seq: 10 });
        assert!(matches!(ledger.judge(untagged("a.b/"), before), Standing::Invalidated { .. }));
        assert_eq!(ledger.judge(untagged("a.b/"), ledger.applied()), Standing::Clear);
    }

    #[test]
    fn a_log_that_went_back_is_another_one() {
        let mut ledger = joined();
        ledger.join(AsOf { epoch: EPOCH, seq: 10 });
        let reflects = ledger.applied();
        ledger.join(AsOf { epoch: EPOCH, seq: 4 });
        assert!(matches!(ledger.judge(untagged("a.b/"), reflects), Standing::Invalidated { .. }));
        assert!(ledger.reaches(AsOf { epoch: EPOCH, seq: 4 }));
        // Whoever says 7 of this log may mean the entry that was lost.
        ledger.join(AsOf { epoch: EPOCH, seq: 12 });
        for (seq, clear) in [(4, false), (5, false), (10, false), (11, false), (12, true)] {
            let position = ledger.heard(AsOf { epoch: EPOCH, seq });
            let standing = ledger.judge(untagged("a.b/"), position);
            assert_eq!(standing == Standing::Clear, clear, "{seq}");
        }
        ledger.join(AsOf { epoch: EPOCH, seq: 2 });
        assert_eq!(ledger.heard(AsOf { epoch: EPOCH, seq: 12 }), Seq::default());
        ledger.join(AsOf { epoch: Epoch::new(8), seq: 7 });
        assert_eq!(ledger.heard(AsOf { epoch: Epoch::new(8), seq: 7 }), ledger.applied());
    }

    #[test]
    fn the_ledger_is_bounded_and_forgetting_never_clears_a_response() {
        let mut ledger = Ledger::with_bound(100);
        ledger.join(AsOf { epoch: EPOCH, seq: 0 });
        let before = ledger.applied();
        for seq in 1..=1000 {
            ledger.apply(seq, &entry(Mode::Purge, &format!("url:a.b/{seq}"))).unwrap();
            assert!(ledger.named() <= 100);
        }
        assert_ne!(ledger.judge(untagged("a.b/1"), before), Standing::Clear);
        assert_ne!(ledger.judge(untagged("a.b/unnamed"), before), Standing::Clear, "unknown");
        assert_eq!(ledger.judge(untagged("a.b/unnamed"), ledger.since()), Standing::Clear);
        let mut globs = joined();
        for seq in 1..=600 {
            globs.apply(seq, &entry(Mode::Purge, &format!("glob:a.b/{seq}*"))).unwrap();
        }
        assert!(globs.named() <= GLOBS_MAX);
    }

    #[test]
    fn one_large_entry_leaves_nothing_clear_that_it_named() {
        let mut ledger = Ledger::with_bound(10);
        ledger.join(AsOf { epoch: EPOCH, seq: 0 });
        let before = ledger.applied();
        let selectors = (0..50).map(|n| format!("url:a.b/{n}").parse().unwrap()).collect();
        ledger.apply(1, &Entry { mode: Mode::Purge, selectors }).unwrap();
        assert!(ledger.named() <= 10);
        assert_ne!(ledger.judge(untagged("a.b/7"), before), Standing::Clear);
        assert_eq!(ledger.judge(untagged("a.b/7"), ledger.applied()), Standing::Clear);
    }

    #[test]
    fn before_any_log_is_heard_of_nothing_of_unknown_position_is_clear() {
        let mut ledger = Ledger::new();
        let unknown = ledger.heard(AsOf { epoch: EPOCH, seq: 9 });
        assert!(matches!(ledger.judge(untagged("a.b/"), unknown), Standing::Invalidated { .. }));
        let now = ledger.applied();
        assert_eq!(ledger.judge(untagged("a.b/"), now), Standing::Clear, "fetched by this run");
        ledger.join(AsOf { epoch: EPOCH, seq: 0 });
        assert_ne!(ledger.judge(untagged("a.b/"), now), Standing::Clear, "before the first word");
    }

    #[test]
    fn what_is_recalled_is_as_it_was_applied() {
        let mut before = joined();
        let mut after = joined();
        for seq in 1..=3 {
            let entry = entry(Mode::Purge, &format!("url:a.b/{seq}"));
            before.apply(seq, &entry).unwrap();
            after.recall(AsOf { epoch: EPOCH, seq }, &entry);
        }
        assert_eq!(after.as_of(), before.as_of());
        for reflects in 0..=4 {
            let at = AsOf { epoch: EPOCH, seq: reflects };
            for seq in 1..=3 {
                let subject = format!("a.b/{seq}");
                assert_eq!(
                    after.judge(untagged(&subject), after.heard(at)),
                    before.judge(untagged(&subject), before.heard(at))
                );
            }
        }
    }

    #[test]
    fn recalling_goes_over_gaps_and_joins_what_it_meets() {
        let mut ledger = Ledger::new();
        let at = |epoch, seq| AsOf { epoch: Epoch::new(epoch), seq };
        ledger.recall(at(7, 5), &entry(Mode::Purge, "url:a.b/5"));
        assert_eq!(ledger.since_as_of(), Some(at(7, 4)), "what was before is not known");
        ledger.recall(at(7, 9), &entry(Mode::Purge, "url:a.b/9"));
        assert_eq!(ledger.as_of(), Some(at(7, 9)));
        let old = ledger.heard(at(7, 6));
        assert_eq!(ledger.judge(untagged("a.b/5"), old), Standing::Clear);
        assert!(matches!(ledger.judge(untagged("a.b/9"), old), Standing::Purged { .. }));
        ledger.recall(at(8, 3), &entry(Mode::Purge, "url:a.b/3"));
        assert_eq!(ledger.as_of(), Some(at(8, 3)));
        assert_ne!(ledger.judge(untagged("a.b/"), old), Standing::Clear, "another log");
    }

    #[test]
    fn a_number_that_is_recalled_twice_means_both_entries() {
        let mut ledger = joined();
        let at = AsOf { epoch: EPOCH, seq: 1 };
        ledger.recall(at, &entry(Mode::Purge, "url:a.b/lost"));
        ledger.recall(at, &entry(Mode::Purge, "url:a.b/given"));
        let before = ledger.heard(AsOf { epoch: EPOCH, seq: 0 });
        for resource in ["a.b/lost", "a.b/given"] {
            assert!(matches!(ledger.judge(untagged(resource), before), Standing::Purged { .. }));
        }
        assert_eq!(ledger.as_of(), Some(at));
    }

    #[test]
    fn positions_are_read_strictly() {
        let good: AsOf = "00000000000000ff.12".parse().unwrap();
        assert_eq!(good, AsOf { epoch: Epoch::new(255), seq: 12 });
        assert_eq!(good.to_string(), "00000000000000ff.12");
        for junk in [
            "",
            ".",
            "ff.1",
            "00000000000000ff.",
            "00000000000000ff.-1",
            "00000000000000fg.1",
            "00000000000000ff.+1",
            "00000000000000ff.99999999999999999999999",
        ] {
            assert!(junk.parse::<AsOf>().is_err(), "{junk:?}");
        }
    }
}
