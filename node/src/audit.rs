//! Does a second opinion agree with what was decided about storing?
//!
//! Compiled with the feature `policy-audit` only. What [`weir_cache::audit`] finds is counted and
//! traced; nothing depends on it.

use weir_cache::{NotStorable, Policy, RequestHead, ResponseHead, StoredHead, Timing, audit};

use crate::metrics::{Metrics, Verdict};

/// Exchanges that the second opinion agrees about, or that it is known to be no judge of.
const UNOPPOSED: &str = "unopposed";

/// One exchange with upstream and the rules for it.
#[derive(Clone, Copy)]
pub(crate) struct Exchange<'a> {
    /// The choices of the site.
    pub(crate) policy: &'a Policy,
    /// The request as it went upstream.
    pub(crate) request: &'a RequestHead<'a>,
    /// What came back.
    pub(crate) response: &'a ResponseHead,
    /// When.
    pub(crate) timing: Timing,
}

/// Compares `found`, what was made of `exchange`, with the second opinion.
pub(crate) fn compare(
    metrics: &Metrics,
    exchange: Exchange<'_>,
    found: &Result<StoredHead, NotStorable>,
) {
    let Exchange { policy, request, response, timing } = exchange;
    let disagreement = audit(policy, request, response, timing, found);
    if let Some(disagreement) = disagreement {
        let status = response.status.as_u16();
        tracing::debug!(status, headers = ?response.headers, "policy audit: {disagreement}");
    }
    let verdict = disagreement.map_or(UNOPPOSED, weir_cache::Disagreement::as_str);
    metrics.policy_audit.get_or_create(&Verdict { verdict }).inc();
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, StatusCode};
    use weir_cache::{Now, Seq, Timestamp, UnixTime};

    use super::*;

    fn counted(metrics: &Metrics, verdict: &'static str) -> u64 {
        metrics.policy_audit.get_or_create(&Verdict { verdict }).get()
    }

    #[test]
    fn a_disagreement_is_counted_by_its_kind() {
        let metrics = Metrics::new("edge", "edge-0");
        let now = Now { monotonic: Timestamp::ZERO, wall: UnixTime::from_secs(1_781_524_800) };
        let timing = Timing { request: now, response: now };
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", HeaderValue::from_static("max-age=60"));
        let response = ResponseHead { status: StatusCode::OK, headers };
        let (none, policy) = (HeaderMap::new(), Policy::default());
        let request = RequestHead { method: &Method::GET, headers: &none, target_uri: None };
        let found = StoredHead::derive(&policy, &request, &response, timing, Seq::default());
        let exchange = Exchange { policy: &policy, request: &request, response: &response, timing };

        compare(&metrics, exchange, &found);
        compare(&metrics, exchange, &Err(NotStorable::NoStore));
        let mut longer = found.unwrap();
        longer.plan = longer.plan.with_lifetime(longer.plan.lifetime() * 2);
        compare(&metrics, exchange, &Ok(longer));

        let counts = [UNOPPOSED, "storable", "fresh-for"].map(|verdict| counted(&metrics, verdict));
        assert_eq!(counts, [1, 1, 1]);
    }
}
