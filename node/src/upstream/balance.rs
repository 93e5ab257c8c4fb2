//! Which of several servers is asked first, and which next?
//!
//! Three ways to choose, each by weight: in turn (smooth weighted round robin), the fewest requests in
//! flight, or the highest score for the key (weighted rendezvous hashing). Health is not known here:
//! who is left out is no candidate, and who starts has a lower weight.
//!
//! Turns are kept behind a lock: each choice reads and moves the credit of every server. It is held for
//! some tens of nanoseconds once for each request that goes upstream, which itself takes a thousand
//! times as long.

use std::cmp::Ordering;

use parking_lot::Mutex;

use crate::config::Balance;

/// A server that may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its place in the group.
    pub(super) seat: usize,
    /// Its weight by configuration times its share in thousandths; never 0.
    pub(super) weight: u32,
    /// Requests in flight, bodies included.
    pub(super) outstanding: u32,
    /// What it makes of the key: equally likely to be any number.
    pub(super) hash: u64,
}

/// Chooses among the servers of one group.
#[derive(Debug)]
pub(super) struct Balancer {
    by: Balance,
    turns: Mutex<Turns>,
}

impl Balancer {
    /// Chooses among `seats` servers.
    pub(super) fn new(by: Balance, seats: usize) -> Self {
        Self { by, turns: Mutex::new(Turns { credits: vec![0; seats] }) }
    }

    /// Puts the candidates in the order in which they are to be asked.
    ///
    /// Where they take turns, the first one has had its turn then.
    pub(super) fn arrange(&self, candidates: &mut [Candidate]) {
        if candidates.len() < 2 {
            return;
        }
        match self.by {
            Balance::Rendezvous => candidates.sort_by(by_score),
            Balance::RoundRobin => self.turns.lock().take(candidates),
            Balance::LeastOutstanding => {
                candidates.sort_by(by_load);
                let least = candidates[0];
                let ties =
                    candidates.iter().take_while(|other| by_load(&least, other).is_eq()).count();
                self.turns.lock().take(&mut candidates[..ties]);
            }
        }
    }

    /// The same for servers that are all as good as any other: each in its turn.
    pub(super) fn arrange_by_turn(&self, candidates: &mut [Candidate]) {
        self.turns.lock().take(candidates);
    }
}

/// Smooth weighted round robin: each server earns its weight, the richest is asked and pays for all.
/// A server of weight 3 beside two of weight 1 is so asked as A B A C A.
#[derive(Debug)]
struct Turns {
    credits: Vec<i64>,
}

impl Turns {
    /// Gives a turn, and leaves the candidates in the order of their credit.
    fn take(&mut self, candidates: &mut [Candidate]) {
        let mut total = 0;
        for candidate in candidates.iter() {
            let weight = i64::from(candidate.weight);
            total += weight;
            if let Some(credit) = self.credits.get_mut(candidate.seat) {
                *credit = credit.saturating_add(weight);
            }
        }
        let credit = |candidate: &Candidate| self.credits.get(candidate.seat).copied().unwrap_or(0);
        candidates.sort_by(|a, b| credit(b).cmp(&credit(a)).then(a.seat.cmp(&b.seat)));
        if let Some(first) = candidates.first()
            && let Some(credit) = self.credits.get_mut(first.seat)
        {
            *credit = credit.saturating_sub(total);
        }
    }
}

/// Requests in flight over weight, compared without division.
fn by_load(a: &Candidate, b: &Candidate) -> Ordering {
    let load =
        |of: &Candidate, other: &Candidate| u64::from(of.outstanding) * u64::from(other.weight);
    load(a, b).cmp(&load(b, a))
}

/// The highest score first.
fn by_score(a: &Candidate, b: &Candidate) -> Ordering {
    score(b).total_cmp(&score(a)).then(a.seat.cmp(&b.seat))
}

/// Weighted rendezvous hashing: `-w / ln(h)` with `h` between 0 and 1. The highest of several is theirs
/// in proportion to the weights, and a change of one weight moves keys to or from that server only.
fn score(candidate: &Candidate) -> f64 {
    // 52 bits and a half are exact, and neither 0 nor 1.
    #[expect(clippy::cast_precision_loss, reason = "52 bits fit in the 53 of an f64")]
    let hash = ((candidate.hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    -f64::from(candidate.weight) / hash.ln()
}

#[cfg(test)]
#[path = "tests/balance.rs"]
mod tests;
