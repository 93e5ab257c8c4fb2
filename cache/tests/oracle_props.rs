//! Our rules against those of the crate `http-cache-semantics`, which nobody here wrote.
//!
//! Properties generate what an exchange means and write it down twice: for us as origins write it,
//! in any case, order, quoting and shape of date; for the crate in the one form that it reads as
//! the standard does. So our reading is tested along with what follows from it. Only what the crate
//! gets right is generated. What it gets wrong stands in tables, both answers beside each other, so
//! that a change of either side shows.

#![expect(
    clippy::unwrap_used,
    reason = "a strategy that yields an illegal field is a bug of the test"
)]

mod oracle;

use std::time::Duration;

use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue};
use http_cache_semantics::CachePolicy;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use weir_cache::{NotStorable, Policy, Reuse, StoredHead};

use oracle::exchange::{Exchange, exchange};
use oracle::{after, ask, crate_time, derive};

/// Both sides' opinion on one exchange.
struct Opinions {
    ours: Result<StoredHead, NotStorable>,
    theirs: CachePolicy,
}

impl Opinions {
    fn of(exchange: &Exchange) -> Self {
        let request = exchange.request();
        Self {
            ours: derive(&unguarded(), &request, &exchange.as_origins_write(), exchange.delay),
            theirs: oracle::their_policy(&request, &exchange.as_the_crate_reads()),
        }
    }

    /// How long the response may be reused from its arrival on without asking anybody.
    fn ours_fresh_for(&self) -> Duration {
        match &self.ours {
            Ok(head) if !head.plan.validate_always => {
                head.plan.lifetime().saturating_sub(head.plan.initial_age())
            }
            _ => Duration::ZERO,
        }
    }
}

/// The guard refuses what the standard allows, and is no matter of this comparison.
fn unguarded() -> Policy {
    Policy { guard: false, ..Policy::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_one_side_stores_the_other_stores(exchange in exchange()) {
        let opinions = Opinions::of(&exchange);
        let storable = opinions.theirs.is_storable();
        match opinions.ours {
            Ok(_) => prop_assert!(storable),
            // Allowed, but of no use to anybody: we refuse, the crate stores and never reuses.
            Err(NotStorable::ZeroLifetime | NotStorable::VaryAny) => {
                prop_assert!(opinions.theirs.is_stale(crate_time(0)));
            }
            Err(NotStorable::NoFreshness) => {
                prop_assert!(!storable || !exchange.has_validator);
                prop_assert!(opinions.theirs.is_stale(crate_time(0)));
            }
            Err(why) => prop_assert!(!storable, "{}", why),
        }
    }

    #[test]
    fn both_sides_keep_a_response_fresh_for_the_same_time(exchange in exchange()) {
        let opinions = Opinions::of(&exchange);
        let [ours, theirs] = [opinions.ours_fresh_for(), opinions.theirs.time_to_live(crate_time(0))];
        prop_assert!(ours.abs_diff(theirs) < Duration::from_secs(1), "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn both_sides_give_the_same_age_and_freshness_at_every_later_second(
        exchange in exchange(),
        secs in prop_oneof![0_u64..200, 0_u64..100_000, 0_u64..5_000_000_000],
    ) {
        let opinions = Opinions::of(&exchange);
        let Ok(head) = &opinions.ours else { return Ok(()) };
        let end = opinions.theirs.time_to_live(crate_time(0)).as_secs();
        for secs in [secs, end.saturating_sub(1), end, end + 1] {
            let (now, then) = (after(secs), crate_time(secs));
            prop_assert_eq!(head.plan.age_secs(now), opinions.theirs.age(then).as_secs());
            // A guessed lifetime has parts of seconds on our side only.
            let near = head.plan.heuristic
                && head.plan.current_age(now).abs_diff(head.plan.lifetime()) < Duration::from_secs(1);
            if !near {
                let fresh = head.judge(None, now) == Reuse::Fresh;
                prop_assert_eq!(fresh, !opinions.theirs.is_stale(then), "after {} s", secs);
            }
        }
    }

    #[test]
    fn both_sides_find_the_same_requests_answered(
        exchange in exchange(),
        stored in request_fields(),
        other in request_fields(),
    ) {
        let [one, other] = [stored, other].map(|lines| {
            let mut fields = exchange.request();
            fields.extend(lines);
            fields
        });
        let policy = unguarded();
        let ours = derive(&policy, &one, &exchange.as_origins_write(), exchange.delay);
        let theirs = oracle::their_policy(&one, &exchange.as_the_crate_reads());
        let reused = ours.is_ok_and(|head| {
            head.vary.matches(&other, &policy) && head.judge(None, after(0)) == Reuse::Fresh
        });
        let fresh = theirs.before_request(&ask(&other), crate_time(0));
        // Without the part of a second of a guessed lifetime.
        prop_assume!(!theirs.time_to_live(crate_time(0)).is_zero() || !reused || !exchange.is_guessed());
        prop_assert_eq!(reused, fresh.satisfies_without_revalidation());
    }
}

/// At most one line of each field that [`exchange`] varies by, with values that mean what they are.
fn request_fields() -> impl Strategy<Value = Vec<(http::HeaderName, HeaderValue)>> {
    let value = prop::option::of(prop::sample::select(vec!["a", "b", "a1"]));
    prop::array::uniform2(value).prop_map(|values| {
        ["x-a", "x-b"]
            .into_iter()
            .zip(values)
            .filter_map(|(name, value)| {
                Some((name.parse().unwrap(), HeaderValue::from_static(value?)))
            })
            .collect()
    })
}

#[test]
fn the_generated_exchanges_are_of_every_kind() {
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<&str, u32>::new();
    for _ in 0..4_000 {
        let exchange = exchange().new_tree(&mut runner).unwrap().current();
        let opinions = Opinions::of(&exchange);
        let fresh = !opinions.ours_fresh_for().is_zero();
        let kind = match &opinions.ours {
            Ok(head) if fresh && head.plan.heuristic => "guessed",
            Ok(_) if fresh => "fresh",
            Ok(_) => "stale",
            Err(why) => why.as_str(),
        };
        *seen.entry(kind).or_default() += 1;
    }
    let kinds = ["fresh", "guessed", "stale", "no-store", "private", "authorization"];
    for kind in kinds.into_iter().chain(["no-freshness", "zero-lifetime", "vary-any"]) {
        let count = seen.get(kind).copied().unwrap_or_default();
        assert!(count >= 40, "{kind}: {count} of 4000; {seen:?}");
    }
}

#[test]
fn the_crate_is_asked_in_words_that_it_understands() {
    let mut request = HeaderMap::new();
    request.insert(AUTHORIZATION, HeaderValue::from_static("x"));
    let mut fields = HeaderMap::new();
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    let theirs = oracle::their_policy(&request, &(http::StatusCode::OK, fields));
    assert!(theirs.is_storable());
    assert_eq!(theirs.time_to_live(crate_time(59)), Duration::from_secs(1));
}
