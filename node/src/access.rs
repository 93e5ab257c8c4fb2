//! On what ground may a target be asked for?
//!
//! Each ground is a gate of its own, and a key is derived of what passed one of them
//! ([`weir_cache::check`]):
//!
//! ```text
//! client ──────────────► ClientGate    the rules of the site, before anything is looked up
//! child, proven ───────► ChildGate     its edge has checked; signatures are gone by then
//! purge, push, preload ► OperatorGate  plain URLs of somebody with the admin token, or of the origin
//! anyone ──────────────► OpenSiteGate  a site whose rules let everybody in
//! ```
//!
//! Requests come in by [`admit`] alone, which tells clients from children by the proof of the tiers.
//! What is done with a refusal is for the caller.
//!
//! # Invariants
//!
//! 1. A request without a proof of the tiers is a client's, on every tier.
//! 2. What proved the right to ask goes neither into a key, nor upstream, nor into a log.

use std::convert::Infallible;
use std::net::IpAddr;

use http::{HeaderMap, Method};
use weir_access::{Country, CountryOf, Denial, Grant, Request};
use weir_cache::{Denied, Gate, Granted, Now, Target, check};

use crate::countries::Countries;
use crate::inbound::{Inbound, Peer};
use crate::limits::Over;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::site::Site;

/// Why the gate for clients does not let a request in.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A rule of the site.
    Rule(Denial),
    /// The client has asked too often.
    Limit(Over),
}

/// Why a request is not let in.
pub(crate) type NotAdmitted = Denied<Refused>;

/// Names the reason in logs and counters; never shown to the client.
pub(crate) const fn word(denied: &NotAdmitted) -> &'static str {
    match denied {
        Denied::Gate(Refused::Rule(denial)) => denial.as_str(),
        Denied::Gate(Refused::Limit(over)) => over.word(),
        Denied::Method => "method",
    }
}

/// Lets a request in, at `now`, and takes the proof of its right out of `inbound`.
///
/// # Errors
///
/// [`NotAdmitted`] by the first rule that refuses. Nothing may then be looked up or forwarded.
pub(crate) fn admit(
    node: &Node,
    site: &Site,
    inbound: &mut Inbound,
    now: Now,
) -> Result<Granted, NotAdmitted> {
    let target = inbound.target.clone();
    let granted = match inbound.peer {
        Peer::Child { .. } => {
            check(ChildGate, &inbound.method, target).map_err(|denied| match denied {
                Denied::Method => Denied::Method,
                Denied::Gate(never) => match never {},
            })?
        }
        Peer::Client => {
            let (headers, client) = (&mut inbound.headers, inbound.address);
            let gate = ClientGate { node, site, headers, client, now };
            check(gate, &inbound.method, target)?
        }
    };
    inbound.target.clone_from(granted.target());
    Ok(granted)
}

/// Grants a plain GET of `target` that no client asks for: what an operator purges, pushes or puts, and
/// what an origin's answer refers to.
///
/// Nothing that it leads to is sent to a client: their requests are checked when they come.
pub(crate) fn for_operator(target: Target) -> Option<Granted> {
    // A GET is a request for its target.
    check(OperatorGate, &Method::GET, target).ok()
}

/// Grants a plain GET of `target` to whoever asks, where the site's rules let everybody in; `None` where they have
/// anything to say.
pub(crate) fn for_anyone(rules: &weir_access::Policy, target: Target) -> Option<Granted> {
    check(OpenSiteGate(rules), &Method::GET, target).ok()
}

/// The rules of a site that has none.
struct OpenSiteGate<'a>(&'a weir_access::Policy);

impl Gate for OpenSiteGate<'_> {
    /// It has some.
    type Denial = ();

    fn admit(self, _method: &Method, target: Target) -> Result<Target, ()> {
        if self.0.lets_everybody_in() { Ok(target) } else { Err(()) }
    }
}

/// The rules of a site for a client.
struct ClientGate<'a> {
    node: &'a Node,
    site: &'a Site,
    /// The fields of the request; what belongs to a signature is taken out.
    headers: &'a mut HeaderMap,
    client: IpAddr,
    now: Now,
}

impl Gate for ClientGate<'_> {
    type Denial = Refused;

    fn admit(self, method: &Method, target: Target) -> Result<Target, Refused> {
        let Self { node, site, headers, client, now } = self;
        let request = Request { method, target: &target, headers, client };
        let countries = Counted { countries: &site.countries, metrics: &node.metrics };
        site.access.check_client(request, &countries).map_err(Refused::Rule)?;
        // Guesses at signatures cost their guesser what other requests do.
        site.limits.charge(&node.limits, client, now.monotonic).map_err(Refused::Limit)?;
        let Some(grant) = site.access.check_use(request, now.wall).map_err(Refused::Rule)? else {
            return Ok(target);
        };
        node.metrics.note_signed(&site.name, grant.key_id());
        grant.strip().strip_headers(headers);
        Ok(Grant::into_target(grant))
    }
}

/// Where clients are, with a count of what was asked.
struct Counted<'a> {
    countries: &'a Countries,
    metrics: &'a Metrics,
}

impl CountryOf for Counted<'_> {
    fn country(&self, address: IpAddr) -> Option<Country> {
        let located = self.countries.locate(address);
        self.metrics.note_located(located);
        located.country()
    }
}

/// The word of a node below, which has proven itself: the edge that the request came to has checked it.
struct ChildGate;

impl Gate for ChildGate {
    type Denial = Infallible;

    fn admit(self, _method: &Method, target: Target) -> Result<Target, Infallible> {
        Ok(target)
    }
}

/// The right of an operator.
struct OperatorGate;

impl Gate for OperatorGate {
    type Denial = Infallible;

    fn admit(self, _method: &Method, target: Target) -> Result<Target, Infallible> {
        Ok(target)
    }
}
