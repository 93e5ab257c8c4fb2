//! Which of several equal servers is asked, and which next when it fails?
//!
//! Those that are well are asked, in the order that the [`Balancer`] gives; backups only while no other
//! server is; those left out come last rather than never, since asking is all that is left when all are
//! unwell. There is an end to that: when each server has failed `open_after` times in a row, the group is
//! *open*, one request a second asks, each time the server whose turn it is, and all others fail at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use weir_cache::{CacheKey, Timestamp};

use super::balance::{Balancer, Candidate};
use super::budget::Budget;
use super::health::WHOLE;
use super::member::{Member, Slot, Standing};
use super::roster::Roster;
use super::tls::TlsError;
use super::transport::Links;
use crate::config::{Balance, OriginServer, SiteConfig, UpstreamAddr, UpstreamConfig};

/// Time between two requests to a group that is open.
const TRICKLE: Duration = Duration::from_secs(1);

/// What the servers of a group are to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nodes of the next tier: one keeps a key for all, so the key chooses.
    Parents,
    /// The site's own servers: each can answer anything.
    Origins,
}

/// A server's place in a group.
#[derive(Debug)]
pub(crate) struct Seat {
    /// The server.
    pub(crate) member: Arc<Member>,
    /// Whether it is asked only while no other server can be.
    pub(crate) backup: bool,
    weight: u16,
}

/// Equal servers upstream.
#[derive(Debug)]
pub(crate) struct Group {
    kind: Kind,
    seats: Vec<Seat>,
    balancer: Balancer,
    budget: Budget,
    /// Failures in a row of each server that open the group; `None` where it never opens.
    open_after: Option<u32>,
    /// When the next request may ask while the group is open.
    next_ask_micros: AtomicU64,
}

impl Group {
    /// The nodes of the next tier.
    pub(crate) fn parents(addrs: &[UpstreamAddr], config: &UpstreamConfig, links: &Links) -> Self {
        let seat = |addr| {
            let member = Arc::new(Member::new(addr, config, links));
            Seat { member, weight: 1, backup: false }
        };
        let seats = addrs.iter().map(seat).collect();
        Self::new(Kind::Parents, seats, Balance::Rendezvous, config)
    }

    /// Nodes that lead to the purge log. Connections and health of their own, and always asked: whoever
    /// asks about purges has a pace already, and a lease does not wait.
    pub(crate) fn of_log(addrs: &[UpstreamAddr], config: &UpstreamConfig, links: &Links) -> Self {
        Self { open_after: None, ..Self::parents(addrs, config, links) }
    }

    /// The servers of a site.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; only where a server is asked over TLS.
    pub(crate) fn origins(site: &SiteConfig, roster: &Roster) -> Result<Self, TlsError> {
        let links = roster.links(site)?;
        let seat = |server: &OriginServer| Seat {
            member: roster.member(&server.addr, &site.origin, &links),
            weight: server.weight,
            backup: server.backup,
        };
        let seats = site.origins.iter().map(seat).collect();
        Ok(Self::new(Kind::Origins, seats, site.origin.balance, roster.config()))
    }

    fn new(kind: Kind, seats: Vec<Seat>, balance: Balance, config: &UpstreamConfig) -> Self {
        Self {
            kind,
            balancer: Balancer::new(balance, seats.len()),
            seats,
            budget: Budget::new(config.retry_budget),
            open_after: Some(config.open_after),
            next_ask_micros: AtomicU64::new(0),
        }
    }

    /// What the servers are.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// All servers, in the order of the configuration.
    pub(crate) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// What is left for retries.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether each server is left out and has failed `open_after` times in a row.
    fn is_open(&self, standings: &[Standing]) -> bool {
        let failed = |standing: &Standing, after| !standing.usable && standing.failures >= after;
        !standings.is_empty()
            && self.open_after.is_some_and(|after| standings.iter().all(|s| failed(s, after)))
    }

    /// The servers in the order in which they are to be asked for `key` at `now`; `None` where the group
    /// is open and another request asks in this second. Costs three small allocations.
    ///
    /// A server that is left out comes first where this request is the one that tries it.
    pub(super) fn order(&self, key: &CacheKey, now: Timestamp) -> Option<Queue> {
        let standings: Vec<_> = self.seats.iter().map(|seat| seat.member.standing(now)).collect();
        if self.is_open(&standings) {
            return self.trickle(now);
        }
        let mut ordered = Vec::with_capacity(self.seats.len());
        for backup in [false, true] {
            let mut line = self.candidates(key, |seat| {
                (self.seats[seat].backup == backup
                    && (standings[seat].usable || standings[seat].due))
                    .then_some(standings[seat].share)
            });
            if ordered.is_empty() {
                self.balancer.arrange(&mut line);
                // The right to try an unwell one is taken only by the request that uses it.
                let takes = |at: &Candidate| {
                    standings[at.seat].usable || self.seats[at.seat].member.begin_try(now)
                };
                if let Some(first) = line.iter().position(takes) {
                    ordered.push(line.remove(first).seat);
                }
            }
            let usable = |candidate: &&Candidate| standings[candidate.seat].usable;
            ordered.extend(line.iter().filter(usable).map(|candidate| candidate.seat));
        }
        let well = ordered.len();
        self.append_the_unwell(key, &standings, &mut ordered);
        let members = ordered.iter().map(|seat| Arc::clone(&self.seats[*seat].member));
        Some(Queue { members: members.collect(), well })
    }

    /// Adds everybody else: those that have answered since they were left out first, backups last.
    fn append_the_unwell(&self, key: &CacheKey, standings: &[Standing], ordered: &mut Vec<usize>) {
        if ordered.len() == self.seats.len() {
            return;
        }
        let mut rest = self.candidates(key, |seat| (!ordered.contains(&seat)).then_some(WHOLE));
        if ordered.is_empty() {
            self.balancer.arrange(&mut rest);
        }
        let place = |at: &Candidate| (self.seats[at.seat].backup, standings[at.seat].failures > 0);
        rest.sort_by_key(place);
        ordered.extend(rest.iter().map(|candidate| candidate.seat));
    }

    /// The servers to which `share` gives one.
    fn candidates(&self, key: &CacheKey, share: impl Fn(usize) -> Option<u32>) -> Vec<Candidate> {
        let candidate = |(seat, Seat { member, weight, .. }): (usize, &Seat)| {
            Some(Candidate {
                seat,
                weight: u32::from(*weight) * share(seat)?.max(1),
                outstanding: member.outstanding(),
                hash: member.hash(key),
            })
        };
        self.seats.iter().enumerate().filter_map(candidate).collect()
    }

    /// One server for the one request of this second; `None` for the others.
    fn trickle(&self, now: Timestamp) -> Option<Queue> {
        let due = self.next_ask_micros.load(Relaxed);
        let next = now.saturating_add(TRICKLE).as_micros();
        if due > now.as_micros()
            || self.next_ask_micros.compare_exchange(due, next, Relaxed, Relaxed).is_err()
        {
            return None;
        }
        let mut all = self.candidates(&CacheKey::from_bytes([0; 32]), |_| Some(WHOLE));
        self.balancer.arrange_by_turn(&mut all);
        let member = Arc::clone(&self.seats.get(all.first()?.seat)?.member);
        Some(Queue { members: vec![member], well: 0 })
    }
}

/// The servers that one request has not asked yet.
#[derive(Debug)]
pub(super) struct Queue {
    /// In the order in which they are to be asked.
    members: Vec<Arc<Member>>,
    /// How many of them, from the first on, are well.
    well: usize,
}

impl Queue {
    /// Whether a server is left that is well.
    pub(super) fn has_well(&self) -> bool {
        self.well > 0
    }

    /// Whether any is left.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Has `member` asked only when no other is left.
    pub(super) fn put_last(&mut self, member: &Arc<Member>) {
        let Some(at) = self.members.iter().position(|other| Arc::ptr_eq(other, member)) else {
            return;
        };
        let member = self.take_at(at);
        self.members.push(member);
    }

    /// The next server.
    pub(super) fn take(&mut self) -> Option<Arc<Member>> {
        (!self.members.is_empty()).then(|| self.take_at(0))
    }

    /// The next server with a free connection, of those that are well where there are any.
    pub(super) fn take_free(&mut self) -> Option<Slot> {
        let among = if self.well > 0 { self.well } else { self.members.len() };
        for at in 0..among {
            if let Some(slot) = self.members[at].free_slot() {
                drop(self.take_at(at));
                return Some(slot);
            }
        }
        None
    }

    fn take_at(&mut self, at: usize) -> Arc<Member> {
        if at < self.well {
            self.well -= 1;
        }
        self.members.remove(at)
    }

    #[cfg(test)]
    fn authorities(&self) -> Vec<&str> {
        self.members.iter().map(|member| member.authority()).collect()
    }
}

#[cfg(test)]
#[path = "tests/group.rs"]
mod tests;
