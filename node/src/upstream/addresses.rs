//! Which addresses does one server have at this moment?
//!
//! A name is resolved once per TTL, whoever asks, never per request: one task asks, and everybody goes
//! on with the addresses known. A literal address and `localhost` are never asked about.
//!
//! ```text
//! unknown ── asked, all wait ──► fresh ── TTL ──► ageing: asked in the background, the old ones hold
//!    ▲ failed: again in 1 s        ▲  ▲                 │ 5 s later    │ failed: again in 1 s
//!    └─────────                    │  └──── answer ─────┘              ▼
//!                                  └─ answer ── old: all wait a little, then the old ones hold
//! ```
//!
//! # Invariants
//!
//! 1. At most one lookup of a server's name is under way.
//! 2. Addresses that were found once go on being used for as long as the name cannot be resolved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::time::Instant;

use super::connect_error::ConnectError;
use super::resolve::{Found, LookupError, Resolver};
use crate::config::parse_literal;

/// Shortest time for which addresses hold, whatever TTL is stated.
const TTL_MIN: Duration = Duration::from_secs(1);
/// Time after a failed lookup in which the name is not asked about.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long after their TTL addresses are used without waiting for better ones.
const AGEING: Duration = Duration::from_secs(5);
/// How long a request waits for better addresses than old ones.
const BETTER_WITHIN: Duration = Duration::from_millis(500);
/// Longest time for one lookup, all name servers and search domains together.
const LOOKUP_MAX: Duration = Duration::from_secs(5);

/// The addresses of a server, in the order in which they are to be tried.
pub(super) type Known = Arc<[IpAddr]>;

/// What lookups of a node share.
#[derive(Debug, Clone)]
pub(super) struct Lookups {
    /// Who is asked.
    pub(super) resolver: Arc<Resolver>,
    /// Longest time for which addresses hold.
    pub(super) ttl_max: Duration,
    /// Lookups that failed.
    pub(super) failures: Counter,
}

/// The addresses of one server.
#[derive(Debug)]
pub(super) enum Addresses {
    /// They never change.
    Fixed(Known),
    /// Those of a name.
    Named(Arc<Named>),
}

impl Addresses {
    /// Those of `host`, a name or a literal address. Asks nothing yet.
    pub(super) fn of(host: &str, lookups: &Lookups) -> Self {
        if let Some(literal) = parse_literal(host) {
            return Self::Fixed([literal].into());
        }
        // RFC 6761 §6.3: names below it are this machine too.
        if host == "localhost" || host.ends_with(".localhost") {
            return Self::Fixed([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].into());
        }
        Self::Named(Arc::new(Named {
            name: host.to_owned(),
            lookups: lookups.clone(),
            asking: AtomicBool::new(false),
            state: watch::Sender::new(State::default()),
        }))
    }

    /// The addresses to be used; waits at most `patience` where none is known.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Lookup`] or [`ConnectError::LookupTimeout`], when none has ever been found.
    pub(super) async fn current(&self, patience: Duration) -> Result<Known, ConnectError> {
        match self {
            Self::Fixed(known) => Ok(Arc::clone(known)),
            Self::Named(named) => named.current(patience).await,
        }
    }

    /// Notes that no address took a connection: the name is asked about again, at most once a second.
    pub(super) fn doubt(&self) {
        if let Self::Named(named) = self {
            named.doubt();
        }
    }
}

/// A name and what is known of it.
#[derive(Debug)]
pub(super) struct Named {
    name: String,
    lookups: Lookups,
    asking: AtomicBool,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// What was found last, when, and until when it holds.
    found: Option<(Known, Instant, Instant)>,
    /// Why the last lookup found nothing, and when.
    failed: Option<(LookupError, Instant)>,
}

/// What to do about a state.
enum Step {
    Use(Known),
    Ask(Known),
    Wait(Known),
    Fail(LookupError),
    WaitForAny,
}

impl State {
    fn step(&self, now: Instant) -> Step {
        let paused = self.failed.as_ref().filter(|(_, at)| now < *at + RETRY_AFTER);
        match (&self.found, paused) {
            (Some((known, _, until)), _) if now < *until => Step::Use(Arc::clone(known)),
            (Some((known, ..)), Some(_)) => Step::Use(Arc::clone(known)),
            // While the name cannot be resolved, nobody waits for it.
            (Some((known, _, until)), None) if now < *until + AGEING || self.failed.is_some() => {
                Step::Ask(Arc::clone(known))
            }
            (Some((known, ..)), None) => Step::Wait(Arc::clone(known)),
            (None, Some((error, _))) => Step::Fail(Arc::clone(error)),
            (None, None) => Step::WaitForAny,
        }
    }
}

impl Named {
    async fn current(self: &Arc<Self>, patience: Duration) -> Result<Known, ConnectError> {
        let mut changes = self.state.subscribe();
        let step = changes.borrow_and_update().step(Instant::now());
        match step {
            Step::Use(known) => Ok(known),
            Step::Ask(known) => {
                self.ask();
                Ok(known)
            }
            Step::Wait(known) => {
                self.ask();
                // An answer or none: what is known afterwards is used.
                drop(tokio::time::timeout(BETTER_WITHIN.min(patience), changes.changed()).await);
                Ok(self.known().unwrap_or(known))
            }
            Step::Fail(source) => Err(self.failure(source)),
            Step::WaitForAny => {
                self.ask();
                match tokio::time::timeout(patience, changes.changed()).await {
                    Ok(_) => self.known_or_failure(patience),
                    Err(_elapsed) => Err(self.late(patience)),
                }
            }
        }
    }

    fn known(&self) -> Option<Known> {
        self.state.borrow().found.as_ref().map(|(known, ..)| Arc::clone(known))
    }

    fn known_or_failure(&self, waited: Duration) -> Result<Known, ConnectError> {
        let state = self.state.borrow();
        match (&state.found, &state.failed) {
            (Some((known, ..)), _) => Ok(Arc::clone(known)),
            (None, Some((error, _))) => Err(self.failure(Arc::clone(error))),
            (None, None) => Err(self.late(waited)),
        }
    }

    fn failure(&self, source: LookupError) -> ConnectError {
        ConnectError::Lookup { name: self.name.clone(), source }
    }

    fn late(&self, waited: Duration) -> ConnectError {
        ConnectError::LookupTimeout { name: self.name.clone(), waited }
    }

    fn doubt(self: &Arc<Self>) {
        let now = Instant::now();
        let asked_of_late = {
            let state = self.state.borrow();
            let found = state.found.as_ref().is_some_and(|(_, at, _)| now < *at + RETRY_AFTER);
            found || state.failed.as_ref().is_some_and(|(_, at)| now < *at + RETRY_AFTER)
        };
        if !asked_of_late {
            self.ask();
        }
    }

    /// Has the name asked about, unless somebody is at it.
    fn ask(self: &Arc<Self>) {
        if self.asking.swap(true, AcqRel) {
            return;
        }
        let asking = Asking(Arc::clone(self));
        tokio::spawn(async move {
            let named = &asking.0;
            let lookup = named.lookups.resolver.lookup(&named.name);
            let result = match tokio::time::timeout(LOOKUP_MAX, lookup).await {
                Ok(result) => result,
                Err(elapsed) => Err(Arc::new(elapsed) as LookupError),
            };
            named.note(result);
        });
    }

    fn note(&self, result: Result<Found, LookupError>) {
        let now = Instant::now();
        let name = &self.name;
        self.state.send_modify(|state| match result {
            Ok(found) => {
                if state.failed.take().is_some() {
                    tracing::info!(%name, "the name is resolved again");
                }
                let until = now + found.ttl.clamp(TTL_MIN, self.lookups.ttl_max.max(TTL_MIN));
                state.found = Some((found.addresses.into(), now, until));
            }
            Err(error) => {
                self.lookups.failures.inc();
                if state.failed.is_none() {
                    let goes_on = state.found.is_some();
                    let error = crate::telemetry::chain(&*error);
                    tracing::warn!(%name, %error, goes_on, "the name is not resolved");
                }
                state.failed = Some((error, now));
            }
        });
    }
}

/// The right to ask, given back however the asking ends.
struct Asking(Arc<Named>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.store(false, Release);
    }
}

#[cfg(test)]
mod tests;
