//! One line for each request, written when the last byte of its body has gone.
//!
//! Lines are events of the target `weir::access` and leave through the bounded queue of
//! [`crate::telemetry`]; building one costs an allocation or two, so it is off unless configured.

use std::time::Instant;

use http::{HeaderValue, StatusCode};

use crate::inbound::{Inbound, Peer};
use crate::metrics::CacheOutcome;
use crate::outcome::Outcome;

/// What one line says.
pub(crate) struct Record {
    site: String,
    method: String,
    target: String,
    /// The status sent.
    pub(crate) status: StatusCode,
    cache: CacheOutcome,
    forward: &'static str,
    /// Why the request was not let in; `None` if it was.
    denied: Option<&'static str>,
    peer: String,
    request_id: HeaderValue,
    began: Instant,
    head_micros: u64,
    /// Why the body ended early; `None` if it did not.
    pub(crate) error: Option<String>,
}

impl Record {
    /// Notes what is known before the response is made; its status is set afterwards.
    pub(crate) fn new(site: &str, inbound: &Inbound, outcome: &Outcome, began: Instant) -> Self {
        Self {
            cache: outcome.counted(),
            forward: outcome.forward.map_or("", |why| why.as_str()),
            ..Self::of(site, inbound, began)
        }
    }

    /// Notes a request that was not let in, with the status of its answer and the reason.
    pub(crate) fn denied(
        site: &str,
        inbound: &Inbound,
        (status, reason): (StatusCode, &'static str),
        began: Instant,
    ) -> Self {
        Self {
            status,
            denied: Some(reason),
            // Its query may hold what others could get in with.
            target: inbound.target.clone().without_query().uri(),
            ..Self::of(site, inbound, began)
        }
    }

    fn of(site: &str, inbound: &Inbound, began: Instant) -> Self {
        Self {
            site: site.to_owned(),
            method: inbound.method.as_str().to_owned(),
            target: inbound.target.uri(),
            status: StatusCode::OK,
            cache: CacheOutcome::Denied,
            forward: "",
            denied: None,
            peer: peer(inbound),
            request_id: inbound.request_id.clone(),
            began,
            head_micros: micros(began),
            error: None,
        }
    }

    /// Writes the line. Control characters in what a client sent are escaped.
    pub(crate) fn write(&self, bytes: u64) {
        tracing::info!(
            target: "weir::access",
            site = self.site,
            method = self.method,
            target_uri = ?self.target,
            status = self.status.as_u16(),
            cache = self.cache.as_str(),
            fwd = self.forward,
            denied = self.denied,
            peer = self.peer,
            request_id = ?self.request_id,
            bytes,
            head_us = self.head_micros,
            total_us = micros(self.began),
            error = self.error.as_deref(),
        );
    }
}

fn peer(inbound: &Inbound) -> String {
    match &inbound.peer {
        Peer::Child { name } => name.clone(),
        Peer::Client => inbound.address.to_string(),
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
