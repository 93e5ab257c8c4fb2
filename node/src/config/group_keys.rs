//! Which keys say how groups of equal servers are used: who is left out and taken back, what is asked
//! again, and how one of a site's servers is chosen and checked.
//!
//! Part of the list that begins in `keys`; the tables are opened there and in `site_keys`.

use std::time::Duration;

use super::keys::Visitor;
use super::kinds::{Choice, Count, List, Maybe, Percent, Span, check_path, status_range};
use super::model::UpstreamConfig;
use super::origin::{Balance, OriginConfig};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const BALANCE: Choice<Balance> = Choice {
    options: &[
        ("round-robin", Balance::RoundRobin),
        ("least-outstanding", Balance::LeastOutstanding),
        ("rendezvous", Balance::Rendezvous),
    ],
};

/// Visits the keys of `[upstream]` that concern groups.
pub(super) fn visit_upstream_groups(upstream: &mut UpstreamConfig, v: &mut impl Visitor) {
    v.key(
        "slow_start",
        &Span { min: Duration::ZERO, max: HOUR },
        &mut upstream.slow_start,
        "How long the share of an upstream that was left out grows from a tenth to the whole, at most as \
         long as it was left out; 0s for at once.",
    );
    v.key(
        "parent_check_interval",
        &Span { min: Duration::ZERO, max: HOUR },
        &mut upstream.parent_check_interval,
        "Time between two checks of a parent; 0s for none.",
    );
    v.key(
        "open_after",
        &Count::new(1, 100),
        &mut upstream.open_after,
        "Failures in a row of each server of a group after which one request a second asks it and the \
         others fail at once.",
    );
    v.key(
        "queue_max",
        &Count::new(0, 1_000_000),
        &mut upstream.queue_max,
        "Requests that wait for a connection to one upstream; further ones fail at once.",
    );
    visit_retries(upstream, v);
}

fn visit_retries(upstream: &mut UpstreamConfig, v: &mut impl Visitor) {
    v.key(
        "retry_statuses",
        &List::of(Count::new(400, 599)),
        &mut upstream.retry_statuses,
        "Statuses of an origin's answer with which a request that may be repeated goes to another origin.",
    );
    v.key(
        "retry_budget",
        &Percent { max: 100 },
        &mut upstream.retry_budget,
        "Retries, as a share of the requests to a group; a few a second are always allowed.",
    );
    v.key(
        "backoff",
        &Span { min: Duration::ZERO, max: SECOND },
        &mut upstream.backoff,
        "Longest pause before the second retry of a request, doubled for each further one. The first is \
         at once.",
    );
    v.key(
        "total_timeout",
        &Maybe(Span { min: MILLISECOND, max: DAY }),
        &mut upstream.total_timeout,
        "Time for all tries of one request, until the head of the response; no such limit when left out.",
    );
}

/// Visits the keys of `[site.origin]` that concern groups.
pub(super) fn visit_origin_groups(origin: &mut OriginConfig, v: &mut impl Visitor) {
    v.key(
        "balance",
        &BALANCE,
        &mut origin.balance,
        "Who of several servers is asked: each in turn, the one with the fewest requests in flight, or \
         always the same one for one URL. Weights count for all three.",
    );
    v.key(
        "check_path",
        &Maybe(check_path()),
        &mut origin.check_path,
        "Path that each server is asked for, to see whether it is well; no checks when left out.",
    );
    v.key(
        "check_interval",
        &Span { min: 10 * MILLISECOND, max: HOUR },
        &mut origin.check_interval,
        "Time between two checks of one server.",
    );
    v.key(
        "check_timeout",
        &Span { min: MILLISECOND, max: HOUR },
        &mut origin.check_timeout,
        "Time for one check.",
    );
    v.key(
        "check_rise",
        &Count::new(1, 100),
        &mut origin.check_rise,
        "Good checks in a row after which a server is asked again.",
    );
    v.key(
        "check_fall",
        &Count::new(1, 100),
        &mut origin.check_fall,
        "Bad checks in a row after which a server is left out.",
    );
    v.key(
        "check_status",
        &List::of_some(status_range()),
        &mut origin.check_status,
        "Statuses of a good check.",
    );
}
