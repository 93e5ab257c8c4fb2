//! Which nodes must have applied a purge before it is complete, and which of them have?
//!
//! Kept by whoever numbers the log. Every member reports how far it has applied; each report that is
//! answered renews the member's lease. A purge waits for each member until it has applied it or until
//! the last lease from before the purge has run out: an answer after that carries the purge, and a
//! member renews its lease only after applying what an answer carries.
//!
//! # Invariants
//!
//! 1. A member is on the roll before its first lease: see [`Granted`].
//! 2. Whatever a member does or fails to do, a purge is complete one lease after it was asked for.
//! 3. Two runs of one name are two members until the lease of the first has run out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::time::Timestamp;

/// Receipts kept; the oldest go first.
const RECEIPTS_MAX: usize = 1024;
/// Members at the most. Those whose leases have run out make room.
const MEMBERS_MAX: usize = 4096;

/// What a member says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Its name.
    pub name: &'a str,
    /// The number of its run, drawn at its start.
    pub boot: u64,
    /// The newest entry of this log that it has applied.
    pub applied: u64,
}

/// What a report came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// This run of the member is known; it may be answered.
    Known,
    /// The member, or this run of it, is new on the roll. The roll must be kept where a crash cannot reach it before the answer
    /// goes out, or a later purge would not wait for it.
    New,
    /// The roll is full of members that may hold leases. It must not be answered.
    Full,
}

/// How far one node is with one purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It may still reuse what the purge matches.
    Pending,
    /// It has applied the purge.
    Applied {
        /// When it was known.
        at: Timestamp,
    },
    /// It has not applied the purge, and its lease has run out: it reuses nothing unasked.
    Fenced {
        /// When the lease ran out.
        at: Timestamp,
    },
}

/// How far a purge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Some node may still reuse what it matches.
    Applying,
    /// Every node has applied it.
    Applied,
    /// It holds: every node has applied it or is fenced.
    AppliedWithFenced,
}

impl State {
    /// The name in the admin API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applying => "applying",
            Self::Applied => "applied",
            Self::AppliedWithFenced => "applied_with_fenced",
        }
    }

    /// Whether the purge holds everywhere.
    pub const fn is_complete(self) -> bool {
        !matches!(self, Self::Applying)
    }
}

/// One node on a receipt.
#[derive(Clone, Debug)]
struct Line {
    boot: u64,
    /// When the leases of earlier runs of this name run out.
    earlier_until: Timestamp,
    /// When every lease from before the purge has run out.
    fence_at: Timestamp,
    /// When and by which run it was applied.
    applied: Option<(Timestamp, u64)>,
}

impl Line {
    fn state(&self, now: Timestamp) -> NodeState {
        match self.applied {
            // Another run of the same name may still hold its lease.
            Some((at, boot)) if boot == self.boot && now >= self.earlier_until => {
                NodeState::Applied { at }
            }
            Some((at, _)) if now >= self.fence_at => NodeState::Applied { at },
            _ if now >= self.fence_at => NodeState::Fenced { at: self.fence_at },
            _ => NodeState::Pending,
        }
    }
}

/// What is known of one purge.
#[derive(Clone, Debug)]
pub struct Receipt {
    seq: u64,
    opened: Timestamp,
    /// Until then members may be about that this roll does not know.
    strangers_until: Timestamp,
    lines: BTreeMap<Box<str>, Line>,
}

impl Receipt {
    /// The number of the entry.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// When the entry was safe in the log.
    pub fn opened(&self) -> Timestamp {
        self.opened
    }

    /// Every node that had to apply it, by name.
    pub fn nodes(&self, now: Timestamp) -> impl Iterator<Item = (&str, NodeState)> {
        self.lines.iter().map(move |(name, line)| (name.as_ref(), line.state(now)))
    }

    /// How far it is at `now`.
    pub fn state(&self, now: Timestamp) -> State {
        let mut state = State::Applied;
        if now < self.strangers_until {
            return State::Applying;
        }
        for (_, node) in self.nodes(now) {
            match node {
                NodeState::Pending => return State::Applying,
                NodeState::Fenced { .. } => state = State::AppliedWithFenced,
                NodeState::Applied { .. } => {}
            }
        }
        state
    }

    /// The next moment at which time alone may change the state; `None` if it cannot.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.lines.values().flat_map(|line| [line.earlier_until, line.fence_at]);
        ends.chain([self.strangers_until]).filter(|at| *at > now).min()
    }
}

/// One node on the roll.
#[derive(Clone, Debug)]
struct Member {
    boot: u64,
    applied: u64,
    /// When the last question was received that renewed its lease.
    heard: Timestamp,
    /// When the lease of an earlier run of the same name runs out.
    earlier_until: Timestamp,
}

/// A member as the roll has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolled<'a> {
    /// Its name.
    pub name: &'a str,
    /// The number of its newest run.
    pub boot: u64,
    /// The newest entry that it has reported as applied.
    pub applied: u64,
    /// When its newest report was received.
    pub heard: Timestamp,
    /// When the leases of earlier runs of this name run out.
    pub earlier_until: Timestamp,
}

/// The members of a log and the receipts of its newest purges.
#[derive(Clone, Debug)]
pub struct Roll {
    lease: Duration,
    strangers_until: Timestamp,
    members: BTreeMap<Box<str>, Member>,
    receipts: VecDeque<Receipt>,
}

impl Roll {
    /// An empty roll. Members count `lease` for themselves; here it counts a little more, so that
    /// clocks may differ by one part in fifty.
    ///
    /// Until `strangers_until` no purge is complete: members of an earlier life of this log may hold
    /// leases that nobody remembers.
    pub fn new(lease: Duration, strangers_until: Timestamp) -> Self {
        let drift = lease.checked_div(50).unwrap_or_default();
        Self {
            lease: lease.saturating_add(drift),
            strangers_until,
            members: BTreeMap::new(),
            receipts: VecDeque::new(),
        }
    }

    /// Puts the run `boot` of a member back on the roll that was on it before this process began at
    /// `now`; its lease may have been renewed just before.
    ///
    /// To be called for every run that was kept, the newest of a name last. Returns whether there was
    /// room.
    pub fn restore(&mut self, name: &str, boot: u64, now: Timestamp) -> bool {
        self.enrol(Report { name, boot, applied: 0 }, now) != Granted::Full
    }

    /// Takes a member's report, received at `now`.
    #[must_use = "a new member must be kept safe before it is answered"]
    pub fn on_report(&mut self, report: Report<'_>, now: Timestamp) -> Granted {
        let granted = self.enrol(report, now);
        for receipt in self.receipts.iter_mut().filter(|open| open.seq <= report.applied) {
            if let Some(line) = receipt.lines.get_mut(report.name)
                && line.applied.is_none_or(|(_, boot)| boot != line.boot && boot != report.boot)
            {
                line.applied = Some((now, report.boot));
            }
        }
        granted
    }

    fn enrol(&mut self, report: Report<'_>, now: Timestamp) -> Granted {
        let Report { name, boot, applied } = report;
        if let Some(member) = self.members.get_mut(name) {
            let is_known = member.boot == boot;
            if !is_known {
                let until = member.heard.saturating_add(self.lease);
                member.earlier_until = member.earlier_until.max(until);
                member.boot = boot;
            }
            member.applied = applied;
            member.heard = now;
            return if is_known { Granted::Known } else { Granted::New };
        }
        if !self.has_room(now) {
            return Granted::Full;
        }
        let member = Member { boot, applied, heard: now, earlier_until: Timestamp::ZERO };
        self.members.insert(name.into(), member);
        Granted::New
    }

    /// Whether one more fits, after striking off those that hold no lease where the roll is full.
    fn has_room(&mut self, now: Timestamp) -> bool {
        if self.members.len() >= MEMBERS_MAX {
            let lease = self.lease;
            self.members.retain(|_, member| {
                now < member.heard.saturating_add(lease).max(member.earlier_until)
            });
        }
        self.members.len() < MEMBERS_MAX
    }

    /// Takes a run of a member off the roll that says it reuses nothing any more. Where an earlier run of
    /// the name may hold a lease, the name stays, and its purges wait for that lease.
    pub fn leave(&mut self, name: &str, boot: u64) {
        let is_alone =
            |member: &Member| member.boot == boot && member.earlier_until <= member.heard;
        if self.members.get(name).is_some_and(is_alone) {
            self.members.remove(name);
        }
        for receipt in &mut self.receipts {
            let opened = receipt.opened;
            let is_alone = |line: &Line| {
                line.boot == boot && line.applied.is_none() && line.earlier_until <= opened
            };
            if receipt.lines.get(name).is_some_and(is_alone) {
                receipt.lines.remove(name);
            }
        }
    }

    /// Notes at `now` that members may be about that this roll does not know: no purge opened from now
    /// on is complete before every lease granted until now has run out.
    pub fn expect_strangers(&mut self, now: Timestamp) {
        self.strangers_until = self.strangers_until.max(now.saturating_add(self.lease));
    }

    /// Whether this run of a member is the one on the roll.
    pub fn knows(&self, name: &str, boot: u64) -> bool {
        self.members.get(name).is_some_and(|member| member.boot == boot)
    }

    /// Opens the receipt of the entry `seq`, which is safe in the log at `now`. Where others than this
    /// roll's keeper learn of entries, a member may have reported it as applied before.
    pub fn open(&mut self, seq: u64, now: Timestamp) {
        let line = |member: &Member| Line {
            boot: member.boot,
            earlier_until: member.earlier_until,
            fence_at: member.heard.saturating_add(self.lease).max(member.earlier_until),
            applied: (member.applied >= seq).then_some((now, member.boot)),
        };
        let lines = self.members.iter().map(|(name, member)| (name.clone(), line(member)));
        let receipt = Receipt {
            seq,
            opened: now,
            strangers_until: self.strangers_until,
            lines: lines.collect(),
        };
        if self.receipts.len() >= RECEIPTS_MAX {
            self.receipts.pop_front();
        }
        self.receipts.push_back(receipt);
    }

    /// The receipt of the entry `seq`; `None` if there is none or it is too old to be kept.
    pub fn receipt(&self, seq: u64) -> Option<&Receipt> {
        let index = self.receipts.binary_search_by_key(&seq, Receipt::seq).ok()?;
        self.receipts.get(index)
    }

    /// The members, by name.
    pub fn members(&self) -> impl Iterator<Item = Enrolled<'_>> {
        self.members.iter().map(|(name, member)| Enrolled {
            name,
            boot: member.boot,
            applied: member.applied,
            heard: member.heard,
            earlier_until: member.earlier_until,
        })
    }

    /// The lease as it is reckoned here.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Strikes members off that have been silent for `silence`; returns how many.
    pub fn strike(&mut self, silence: Duration, now: Timestamp) -> usize {
        let before = self.members.len();
        self.members.retain(|_, member| now.saturating_since(member.heard) < silence);
        before.saturating_sub(self.members.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::after;

    const LEASE: Duration = Duration::from_secs(5);

    fn roll() -> Roll {
        Roll::new(LEASE, Timestamp::ZERO)
    }

    fn report(roll: &mut Roll, name: &str, boot: u64, applied: u64, secs: u64) -> Granted {
        roll.on_report(Report { name, boot, applied }, after(secs))
    }

    fn state(roll: &Roll, secs: u64) -> State {
        roll.receipt(1).unwrap().state(after(secs))
    }

    #[test]
    fn a_purge_waits_for_every_member_or_for_its_lease() {
        let mut roll = roll();
        assert_eq!(report(&mut roll, "a", 1, 0, 10), Granted::New);
        assert_eq!(report(&mut roll, "b", 1, 0, 10), Granted::New);
        roll.open(1, after(11));
        assert_eq!(state(&roll, 11), State::Applying);
        assert_eq!(report(&mut roll, "a", 1, 1, 12), Granted::Known);
        assert_eq!(state(&roll, 12), State::Applying);
        assert_eq!(state(&roll, 15), State::Applying, "clocks may differ a little");
        assert_eq!(state(&roll, 16), State::AppliedWithFenced);
        report(&mut roll, "b", 1, 1, 20);
        assert_eq!(state(&roll, 20), State::Applied, "late, but applied");
    }

    #[test]
    fn reports_after_the_purge_do_not_lengthen_the_wait() {
        let mut roll = roll();
        report(&mut roll, "a", 1, 0, 10);
        roll.open(1, after(11));
        for secs in 11..16 {
            report(&mut roll, "a", 1, 0, secs);
        }
        assert_eq!(state(&roll, 16), State::AppliedWithFenced);
    }

    #[test]
    fn a_member_long_silent_is_fenced_at_once() {
        let mut roll = roll();
        report(&mut roll, "a", 1, 0, 10);
        roll.open(1, after(100));
        assert_eq!(state(&roll, 100), State::AppliedWithFenced);
    }

    #[test]
    fn an_earlier_run_of_a_name_is_waited_for() {
        let mut roll = roll();
        report(&mut roll, "a", 1, 0, 10);
        assert_eq!(report(&mut roll, "a", 2, 0, 11), Granted::New);
        roll.open(1, after(12));
        report(&mut roll, "a", 2, 1, 12);
        assert_eq!(state(&roll, 12), State::Applying, "run 1 may still reuse");
        assert_eq!(state(&roll, 16), State::Applied);
        // The receipt was opened for run 1, and run 2 answers for the name.
        let mut roll = self::roll();
        report(&mut roll, "a", 1, 0, 10);
        roll.open(1, after(11));
        report(&mut roll, "a", 2, 1, 12);
        assert_eq!(state(&roll, 12), State::Applying, "run 1 may still reuse");
        assert_eq!(state(&roll, 16), State::Applied);
    }

    #[test]
    fn strangers_of_an_earlier_life_are_waited_for() {
        let mut roll = Roll::new(LEASE, after(20));
        roll.open(1, after(16));
        assert_eq!(state(&roll, 19), State::Applying);
        assert_eq!(roll.receipt(1).unwrap().next_change(after(19)), Some(after(20)));
        assert_eq!(state(&roll, 20), State::Applied);
    }

    #[test]
    fn a_restored_member_is_waited_for_and_one_that_left_is_not() {
        let mut roll = roll();
        assert!(roll.restore("a", 1, after(10)));
        report(&mut roll, "b", 3, 0, 10);
        roll.leave("b", 2);
        assert_eq!(roll.members().count(), 2, "another run left");
        roll.leave("b", 3);
        roll.open(1, after(11));
        assert_eq!(state(&roll, 12), State::Applying);
        assert_eq!(state(&roll, 16), State::AppliedWithFenced);
        assert_eq!(roll.receipt(1).unwrap().nodes(after(16)).count(), 1);
    }

    #[test]
    fn two_runs_of_one_name_are_waited_for_after_a_restart_and_when_one_leaves() {
        let mut roll = roll();
        assert!(roll.restore("a", 1, after(10)) && roll.restore("a", 2, after(10)));
        report(&mut roll, "a", 2, 0, 10);
        roll.open(1, after(11));
        report(&mut roll, "a", 2, 1, 12);
        assert_eq!(state(&roll, 12), State::Applying, "run 1 may still reuse");
        roll.leave("a", 2);
        roll.open(2, after(13));
        let second = |secs| roll.receipt(2).unwrap().state(after(secs));
        assert_eq!(second(13), State::Applying, "nor does run 2 answer for it by leaving");
        assert_eq!(second(17), State::AppliedWithFenced);
    }

    #[test]
    fn a_member_may_have_applied_a_purge_before_its_receipt_is_opened() {
        let mut roll = roll();
        report(&mut roll, "a", 1, 1, 10);
        report(&mut roll, "b", 1, 0, 10);
        roll.open(1, after(11));
        assert_eq!(state(&roll, 11), State::Applying, "of b nothing is known");
        let a = roll.receipt(1).unwrap().nodes(after(11)).next();
        assert_eq!(a, Some(("a", NodeState::Applied { at: after(11) })));
    }

    #[test]
    fn strangers_that_are_expected_are_waited_for_by_later_purges_only() {
        let mut roll = roll();
        roll.open(1, after(10));
        roll.expect_strangers(after(10));
        roll.open(2, after(10));
        assert_eq!(state(&roll, 10), State::Applied);
        assert_eq!(roll.receipt(2).unwrap().state(after(15)), State::Applying);
        assert_eq!(roll.receipt(2).unwrap().state(after(16)), State::Applied);
    }

    #[test]
    fn everything_kept_is_bounded() {
        let mut roll = roll();
        for seq in 1..=2000 {
            roll.open(seq, after(seq));
        }
        assert!(roll.receipt(1).is_none() && roll.receipt(2000).is_some());
        for index in 0..MEMBERS_MAX {
            assert_eq!(report(&mut roll, &format!("m{index}"), 1, 0, 1), Granted::New);
        }
        assert_eq!(report(&mut roll, "one more", 1, 0, 2), Granted::Full, "all hold leases");
        assert_eq!(report(&mut roll, "one more", 1, 0, 9), Granted::New);
        assert_eq!(roll.members().count(), 1);
        let mut roll = self::roll();
        assert_eq!(roll.strike(LEASE, after(1)), 0);
        report(&mut roll, "a", 1, 0, 1);
        assert_eq!(roll.strike(LEASE, after(7)), 1);
    }
}
