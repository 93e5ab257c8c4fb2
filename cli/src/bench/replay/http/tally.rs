//! What did one request come to, by what nodes say of it in `Cache-Status`?
//!
//! A member a tier, the nearest to the client last. A hit keeps the members that came with the stored response; they
//! tell of another request and are not read.

use weir_bench::replay::{Counted, Outcome, TierName};

/// What a tier says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) outcome: Outcome,
    /// Whether it stored what came.
    pub(super) stored: bool,
}

/// Reads what each of `tiers`, from the client on, says in the value of `Cache-Status`; those behind the one that answered
/// are left out. `passes` says whether the request is one that no store may answer.
pub(super) fn told(cache_status: &str, tiers: &[TierName], passes: bool) -> Vec<Told> {
    let mut members = cache_status.rsplit(',').map(str::trim);
    let mut all = Vec::with_capacity(tiers.len());
    for tier in tiers {
        let Some(member) = members.next() else { break };
        let mut parts = member.split(';').map(str::trim);
        if parts.next() != Some(tier.as_str()) {
            break;
        }
        let told = read(parts, passes);
        all.push(told);
        if matches!(told.outcome, Outcome::HitFresh | Outcome::HitStale) {
            break;
        }
    }
    all
}

fn read<'a>(parts: impl Iterator<Item = &'a str>, passes: bool) -> Told {
    let (mut hit, mut stale, mut validated, mut collapsed, mut stored) =
        (false, false, false, false, false);
    for part in parts {
        match part.split_once('=').unwrap_or((part, "")) {
            ("hit", _) => hit = true,
            ("ttl", ttl) => stale = ttl.starts_with('-'),
            ("fwd-status", status) => validated = status == "304",
            ("collapsed", _) => collapsed = true,
            ("stored", _) => stored = true,
            _ => {}
        }
    }
    let outcome = match (hit, collapsed, validated) {
        (true, _, _) if stale => Outcome::HitStale,
        (true, _, _) => Outcome::HitFresh,
        _ if passes => Outcome::Pass,
        (_, true, _) => Outcome::Collapsed,
        (_, _, true) => Outcome::Revalidated,
        _ => Outcome::Miss,
    };
    Told { outcome, stored }
}

/// Adds one request of which the client got `bytes`.
pub(super) fn count(counted: &mut Counted, told: &[Told], bytes: u64, passes: bool) {
    let client = &mut counted.client;
    client.requests += 1;
    client.bytes += bytes;
    if !passes {
        client.cacheable += 1;
        client.cacheable_bytes += bytes;
    }
    // Who asks to validate gets no body.
    let mut validates = false;
    for (tier, told) in counted.tiers.iter_mut().zip(told) {
        tier.count(told.outcome);
        let is_stored =
            matches!(told.outcome, Outcome::HitFresh | Outcome::HitStale | Outcome::Revalidated);
        if !validates {
            tier.bytes += bytes;
            tier.stored_bytes += if is_stored { bytes } else { 0 };
        }
        tier.fills += u64::from(told.outcome == Outcome::Miss);
        tier.rejected += u64::from(told.outcome == Outcome::Miss && !told.stored);
        validates = told.outcome == Outcome::Revalidated;
    }
}

/// How many were asked: 1 is the edge, one more than there are tiers the origin.
pub(super) fn depth(told: &[Told]) -> usize {
    let answered = told
        .last()
        .is_some_and(|last| matches!(last.outcome, Outcome::HitFresh | Outcome::HitStale));
    told.len() + usize::from(!answered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Collapsed, HitFresh, HitStale, Miss, Pass, Revalidated};

    #[test]
    fn each_tier_that_was_asked_has_one_outcome() {
        // (Cache-Status, whether it passes, outcomes from the edge on, depth)
        let miss = "shield; fwd=uri-miss; stored, regional; fwd=uri-miss; stored, edge; fwd=uri-miss; stored";
        let cases: [(&str, bool, &[Outcome], usize); 9] = [
            (miss, false, &[Miss; 3], 4),
            (miss, true, &[Pass; 3], 4),
            (
                "shield; fwd=uri-miss; stored, regional; hit; ttl=5, edge; hit; ttl=5",
                false,
                &[HitFresh],
                1,
            ),
            (
                "shield; fwd=uri-miss, regional; hit; ttl=5, edge; fwd=uri-miss; stored",
                false,
                &[Miss, HitFresh],
                2,
            ),
            ("edge; hit; ttl=-3", false, &[HitStale], 1),
            ("edge; hit; ttl=0", false, &[HitFresh], 1),
            (
                "regional; hit; ttl=60, edge; fwd=stale; fwd-status=304; ttl=60",
                false,
                &[Revalidated, HitFresh],
                2,
            ),
            (
                "shield; fwd=miss, regional; fwd=miss; collapsed, edge; fwd=miss",
                false,
                &[Miss, Collapsed, Miss],
                4,
            ),
            ("other; hit", false, &[], 1),
        ];
        let tiers = TierName::ALL;
        for (value, passes, outcomes, far) in cases {
            let told = told(value, &tiers, passes);
            assert_eq!(
                told.iter().map(|told| told.outcome).collect::<Vec<_>>(),
                outcomes,
                "{value}"
            );
            assert_eq!(depth(&told), far, "{value}");
        }
    }

    #[test]
    fn who_validates_gets_no_body() {
        let tier = |outcome| Told { outcome, stored: false };
        let mut counted = Counted { tiers: vec![Default::default(); 3], ..Counted::default() };
        count(&mut counted, &[tier(Revalidated), tier(HitFresh)], 7, false);
        let sent: Vec<_> = counted.tiers.iter().map(|tier| (tier.requests, tier.bytes)).collect();
        assert_eq!(sent, [(1, 7), (1, 0), (0, 0)]);
        assert_eq!((counted.tiers[0].stored_bytes, counted.client.cacheable_bytes), (7, 7));
    }
}
