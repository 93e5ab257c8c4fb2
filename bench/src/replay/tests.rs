//! Small logs whose outcomes can be worked out by hand.

use std::fmt::Write as _;
use std::io::Cursor;
use std::time::Duration;

use proptest::prelude::*;
use weir_cache::eviction::Goal;

use super::*;
use crate::trace::TraceReader;

/// One request a second for these objects, each of `bytes`.
pub(super) fn workload_of(objects: &[u32], bytes: u64) -> Workload {
    let mut log = String::new();
    for (at, object) in objects.iter().enumerate() {
        writeln!(log, "{}\tc{at}\tGET\ta.test\t/{object}\t200\t{bytes}", at * 1_000).unwrap();
    }
    read(&log, Ttl::Never)
}

fn read(log: &str, ttl: Ttl) -> Workload {
    let cursor = Cursor::new(log.to_owned().into_bytes());
    let mut trace = TraceReader::of_reader("log", cursor, None, "a.test").unwrap();
    Workload::read(&mut trace, &Sites::any().unwrap(), (ttl, 1), &mut |_| {}).unwrap()
}

/// Nodes with room for everything.
fn roomy(nodes: [u32; 3]) -> Setup {
    Setup {
        nodes,
        space: [Space::One { bytes: 1_000_000 }; 3],
        policy: Policy::Goal(Goal::Balanced),
        fill: Fill::Everywhere,
        fetch_ms: 0,
        overhead: 0,
        bounds_bodies: false,
        warmup: 0.0,
        seed: 1,
    }
}

fn run(workload: &Workload, setup: &Setup) -> Run {
    let Ok(run) = Sim.run(workload, setup, &mut |_| {});
    run
}

fn outcomes(tier: &TierCounts) -> Vec<(&'static str, u64)> {
    let counted = OUTCOMES.into_iter().map(|outcome| (outcome.as_str(), tier.of(outcome)));
    counted.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn a_miss_fills_every_tier_and_another_edge_finds_it_above() {
    let workload = workload_of(&[0; 40], 10);
    let run = run(&workload, &roomy([4, 2, 1]));
    let [edge, regional, shield] = run.cold.tiers.as_slice() else { panic!("three tiers") };
    assert_eq!(outcomes(edge), [("hit-fresh", 36), ("miss", 4)], "each edge misses once");
    assert_eq!(outcomes(regional), [("hit-fresh", 3), ("miss", 1)]);
    assert_eq!(outcomes(shield), [("miss", 1)]);
    assert_eq!((run.cold.origin.requests, run.cold.origin.bytes), (1, 10));
    assert_eq!((edge.bytes, edge.stored_bytes, regional.bytes, shield.bytes), (400, 360, 40, 10));
    assert!((run.cold.request_offload() - 39.0 / 40.0).abs() < 1e-9);
    assert!((run.cold.hops() - 46.0 / 40.0).abs() < 1e-9);
    assert_eq!(run.depths[0][1], 36, "from the edge");
    assert_eq!((run.depths[4][2], run.depths[4][4]), (3, 1), "from the regional, and the origin");
}

#[test]
fn what_may_not_be_stored_passes_and_is_left_out_of_the_ratios() {
    let log = "0\tc\tPOST\ta.test\t/a\t200\t1\n1\tc\tGET\ta.test\t/a\t404\t2\n2\tc\tGET\ta.test\t/a\t200\t3\tprivate\n\
               3\tc\tGET\ta.test\t/a\t200\t4\tmax-age=9\n4\tc\tHEAD\ta.test\t/a\t304\t0\tmax-age=9\n";
    let workload = read(log, Ttl::Trace);
    let run = run(&workload, &roomy([1, 0, 1]));
    let [edge, shield] = run.cold.tiers.as_slice() else { panic!("two tiers") };
    assert_eq!(outcomes(edge), [("hit-fresh", 1), ("miss", 1), ("pass", 3)]);
    assert_eq!(outcomes(shield), [("miss", 1), ("pass", 3)]);
    assert_eq!((run.cold.client.requests, run.cold.client.cacheable), (5, 2));
    assert_eq!((run.cold.client.bytes, run.cold.client.cacheable_bytes), (14, 8));
    assert_eq!((run.cold.origin.requests, run.cold.origin.passed), (4, 3));
    assert!((run.cold.request_offload() - 0.5).abs() < 1e-9);
    assert_eq!(workload.notes.passed, 3);
}

#[test]
fn ages_count_from_the_origin_on_every_tier() {
    // Two clients on two edges; 10 s of freshness. The second edge gets at 8 s what was made at 0 s.
    let setup = Setup { seed: 1, ..roomy([2, 0, 1]) };
    let (a, b) = two_clients(&setup);
    let row =
        |at: u64, client: &str| format!("{at}\t{client}\tGET\ta.test\t/a\t200\t5\tmax-age=10\n");
    let log =
        [row(0, &a), row(8_000, &b), row(9_999, &b), row(10_000, &b), row(19_000, &a)].concat();
    let run = run(&read(&log, Ttl::Trace), &setup);
    let [edge, shield] = run.cold.tiers.as_slice() else { panic!("two tiers") };
    assert_eq!(outcomes(edge), [("hit-fresh", 1), ("revalidated-304", 2), ("miss", 2)]);
    // At 10 s the shield validates for the edge; at 19 s its own is fresh since then, and it says so to the other.
    assert_eq!(outcomes(shield), [("hit-fresh", 2), ("revalidated-304", 1), ("miss", 1)]);
    assert_eq!((run.cold.origin.requests, run.cold.origin.validations), (2, 1));
    assert_eq!(shield.bytes, 10, "validations bring no body");
}

/// Two clients that ask different edges.
fn two_clients(setup: &Setup) -> (String, String) {
    let log: String = (0..20).map(|n| format!("0\tc{n}\tGET\ta.test\t/{n}\t200\t1\n")).collect();
    let workload = read(&log, Ttl::Never);
    let edge = |client: u32| mix(u64::from(client) ^ mix(setup.seed)) % 2;
    let first = edge(workload.requests[0].client);
    let other = workload.requests.iter().position(|request| edge(request.client) != first).unwrap();
    ("c0".to_owned(), format!("c{other}"))
}

#[test]
fn stale_responses_are_used_in_their_window_and_validated_meanwhile() {
    let row = |at: u64| {
        format!("{at}\tc\tGET\ta.test\t/a\t200\t5\tmax-age=10, stale-while-revalidate=5\n")
    };
    let log: String = [0, 12_000, 13_000, 30_000].into_iter().map(row).collect();
    let run = run(&read(&log, Ttl::Trace), &roomy([1, 0, 0]));
    let expected = [("hit-fresh", 1), ("hit-stale", 1), ("revalidated-304", 1), ("miss", 1)];
    assert_eq!(outcomes(&run.cold.tiers[0]), expected);
    assert_eq!(run.cold.origin.validations, 2);
}

#[test]
fn requests_within_a_fetch_join_it() {
    let log: String =
        [0, 50, 99, 100].iter().map(|at| format!("{at}\tc\tGET\ta.test\t/a\t200\t5\n")).collect();
    let setup = Setup { fetch_ms: 100, ..roomy([1, 0, 1]) };
    let run = run(&read(&log, Ttl::Never), &setup);
    assert_eq!(
        outcomes(&run.cold.tiers[0]),
        [("hit-fresh", 1), ("collapsed", 2), ("miss", 1)],
        "at 100 ms the answer is there"
    );
    assert_eq!(run.cold.origin.requests, 1);
    assert_eq!(run.depths[3][3], 2, "they wait for the origin");
}

#[test]
fn a_purge_removes_from_all_nodes_and_is_no_request() {
    let log = "0\tc\tGET\ta.test\t/a\t200\t5\n1\tc\tGET\ta.test\t/a\t200\t5\n2\tx\tPURGE\ta.test\t/a\t200\t0\n\
               3\tc\tGET\ta.test\t/a\t200\t5\n";
    let workload = read(log, Ttl::Never);
    let run = run(&workload, &roomy([1, 1, 1]));
    for tier in &run.cold.tiers {
        assert_eq!(tier.of(Outcome::Miss), 2);
    }
    assert_eq!((run.cold.client.requests, workload.notes.purges), (3, 1));
}

#[test]
fn fills_differ_in_who_stores() {
    // Each object is asked for by four edges.
    let log: String = (0..40).map(|n| format!("{n}\tc{n}\tGET\ta.test\t/a\t200\t1\n")).collect();
    let workload = read(&log, Ttl::Never);
    let fills = |fill| {
        let run = run(&workload, &Setup { fill, ..roomy([1, 1, 1]) });
        run.cold.tiers.iter().map(|tier| (tier.hits(), tier.fills)).collect::<Vec<_>>()
    };
    assert_eq!(fills(Fill::Everywhere), [(39, 1), (0, 1), (0, 1)]);
    assert_eq!(fills(Fill::CopyDown), [(37, 1), (1, 1), (1, 1)], "one tier further down each time");
    assert_eq!(fills(Fill::SecondMiss), [(39, 1), (0, 1), (0, 0)], "the shield missed it once");
}

#[test]
fn a_size_is_that_of_the_largest_whole_body() {
    let log = "0\tc\tGET\ta.test\t/a\t206\t99\n1\tc\tGET\ta.test\t/a\t200\t40\n2\tc\tGET\ta.test\t/a\t304\t0\n\
               3\tc\tGET\ta.test\t/b\t206\t7\n4\tc\tGET\ta.test\t/c\t200\t-\n";
    let workload = read(log, Ttl::Never);
    let sizes: Vec<_> = workload.objects.iter().map(|object| object.bytes).collect();
    assert_eq!(sizes, [40, 7, 23], "the last is the mean of the others");
    assert_eq!((workload.footprint(), workload.notes.unknown_size), (70, 1));
}

#[test]
fn logs_out_of_order_are_put_in_order() {
    let log = "9000\tc\tGET\ta.test\t/a\t200\t1\n1000\tc\tGET\ta.test\t/b\t200\t1\n5000\tc\tGET\ta.test\t/c\t200\t1\n";
    let workload = read(log, Ttl::Never);
    let times: Vec<_> = workload.requests.iter().map(|request| request.at_ms).collect();
    assert_eq!((times.as_slice(), workload.notes.out_of_order), ([0, 4_000, 8_000].as_slice(), 1));
}

#[test]
fn a_fixed_lifetime_replaces_what_the_log_says() {
    let log = "0\tc\tGET\ta.test\t/a\t200\t1\tprivate\n1500\tc\tGET\ta.test\t/a\t200\t1\tprivate\n";
    let run = run(&read(log, Ttl::Fixed(Duration::from_secs(1))), &roomy([1, 0, 0]));
    assert_eq!(outcomes(&run.cold.tiers[0]), [("revalidated-304", 1), ("miss", 1)]);
}

#[test]
fn intervals_and_the_two_halves_add_up() {
    let objects: Vec<u32> = (0..500).map(|n| n * n % 37).collect();
    let workload = workload_of(&objects, 3);
    let setup = Setup { warmup: 0.4, ..roomy([4, 2, 1]) };
    let run = run(&workload, &setup);
    let sum: u64 = run.intervals.iter().map(|interval| interval.counted.client.requests).sum();
    assert_eq!((sum, run.cold.client.requests, run.warm.client.requests), (500, 500, 300));
    assert_eq!(run.depths.iter().flatten().sum::<u64>(), 300);
    assert_eq!(run.intervals.len(), 100);
}

#[test]
fn warnings_tell_of_sizes_that_cannot_work() {
    let workload = workload_of(&(0..60).collect::<Vec<_>>(), 100);
    let options = StudyOptions { sizing: [1, 2, 8], ..StudyOptions::default() };
    let warnings =
        |setup: &Setup| study(&workload, setup, &options, &|_, _| {}).unwrap().warnings.join("\n");
    let equal = Setup { space: [Space::One { bytes: 2_000 }; 3], ..roomy([4, 2, 1]) };
    assert!(warnings(&equal).contains("twice the regionals"), "{}", warnings(&equal));
    let sized = roomy([4, 2, 1]).with_total(4_000, [1, 2, 8]);
    let told = warnings(&sized);
    assert!(!told.contains("twice") && told.contains("busiest minute"), "{told}");
    assert!(warnings(&roomy([1, 0, 0])).contains("more does not help"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever is asked of whatever nodes: outcomes add up, what one tier sends another has asked for, and a second run is
    /// the same bit for bit.
    #[test]
    fn counters_add_up_and_runs_repeat(
        objects in proptest::collection::vec(0_u32..30, 1..200), nodes in (1_u32..4, 0_u32..3, 0_u32..2),
        total in 50_u64..3_000, fetch_ms in prop::sample::select(vec![0_u64, 2_500]), policy in 0_usize..4,
        seed in any::<u64>(), fill in prop::sample::select(vec![Fill::Everywhere, Fill::CopyDown, Fill::SecondMiss]),
    ) {
        let mut log = String::new();
        for (at, object) in objects.iter().enumerate() {
            let age = object % 5 * 3;
            writeln!(log, "{}\tc{}\tGET\ta.test\t/{object}\t200\t{}\tmax-age={age}", at * 700, at % 11, object * 7).unwrap();
        }
        let workload = read(&log, Ttl::Trace);
        let policy = [Policy::Goal(Goal::Balanced), Policy::Goal(Goal::Bytes), Policy::Lru, Policy::S3Fifo][policy];
        let setup = Setup { policy, fetch_ms, seed, fill, ..roomy([nodes.0, nodes.1, nodes.2]) };
        let setup = setup.with_total(total, [1, 2, 8]);
        let first = run(&workload, &setup);
        prop_assert_eq!(&first, &run(&workload, &setup));
        let counted = &first.cold;
        let mut below = counted.client.requests;
        for tier in &counted.tiers {
            prop_assert_eq!(tier.requests, below);
            prop_assert_eq!(tier.outcomes.iter().sum::<u64>(), tier.requests);
            let asks = [Outcome::HitStale, Outcome::Revalidated, Outcome::Miss, Outcome::Pass];
            below = asks.into_iter().map(|outcome| tier.of(outcome)).sum();
        }
        prop_assert_eq!(counted.origin.requests, below);
        for tier in &first.tiers {
            prop_assert!(tier.peak_permille.iter().all(|permille| *permille <= 1_000));
        }
    }
}
