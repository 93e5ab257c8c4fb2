use proptest::prelude::*;

use super::*;

const POLICIES: [Policy; 6] = [
    Policy::Fifo,
    Policy::Lru,
    Policy::S3Fifo,
    Policy::Goal(Goal::Balanced),
    Policy::Goal(Goal::Objects),
    Policy::Goal(Goal::Bytes),
];

/// Which of `asked` are hits on a shelf that everything missed is put on.
fn hits(policy: Policy, bytes_max: u64, charges: &[u64], asked: &[u32]) -> Vec<bool> {
    let mut shelf = shelf(policy, bytes_max, &charges.into());
    let hit = |object: &u32| {
        let is_hit = shelf.hit(*object);
        if !is_hit {
            shelf.put(*object, &mut Vec::new());
        }
        is_hit
    };
    asked.iter().map(hit).collect()
}

#[test]
fn fifo_and_lru_differ_in_what_a_hit_does() {
    let asked = [0, 1, 0, 2, 0, 1];
    let fifo = hits(Policy::Fifo, 2, &[1; 3], &asked);
    assert_eq!(fifo, [false, false, true, false, false, false]);
    let lru = hits(Policy::Lru, 2, &[1; 3], &asked);
    assert_eq!(lru, [false, false, true, false, true, false]);
}

#[test]
fn s3_fifo_keeps_what_was_hit_from_a_scan() {
    // Object 0 is hit while it is on trial; then ten others come once each.
    let asked: Vec<u32> = [0, 0].into_iter().chain(1..=30).chain([0, 25]).collect();
    let s3 = hits(Policy::S3Fifo, 10, &[1; 31], &asked);
    assert_eq!(s3.get(32..), Some([true, true].as_slice()), "0 moved to the main queue");
    let lru = hits(Policy::Lru, 10, &[1; 31], &asked);
    assert_eq!(lru.get(32..), Some([false, true].as_slice()));
    // What left the small queue and comes again goes to the main one at once.
    let again: Vec<u32> = (0..12).chain([0]).chain(12..23).chain([0]).collect();
    let s3 = hits(Policy::S3Fifo, 10, &[1; 31], &again);
    assert_eq!(s3.last(), Some(&true), "{s3:?}");
}

#[test]
fn what_is_too_large_is_not_held() {
    for policy in POLICIES {
        let mut shelf = shelf(policy, 10, &Arc::from([11, 10]));
        let mut gone = Vec::new();
        assert!(!shelf.put(0, &mut gone) && gone.is_empty(), "{policy}");
        assert!(!shelf.holds(0) && shelf.bytes() == 0, "{policy}");
        let fits = policy != Policy::S3Fifo;
        assert_eq!(shelf.put(1, &mut gone), fits, "{policy}: a tenth is the most on trial");
        assert_eq!(shelf.bytes(), if fits { 10 } else { 0 }, "{policy}");
        shelf.remove(1);
        assert!(!shelf.holds(1) && shelf.bytes() == 0, "{policy}");
    }
}

proptest! {
    /// Whatever is asked, the bound holds, and what is held is what was put and did not go.
    #[test]
    fn shelves_hold_what_they_say(
        charges in proptest::collection::vec(0_u64..20, 8..40), bytes_max in 1_u64..60,
        asked in proptest::collection::vec((0_u32..40, 0_u8..8), 1..300),
    ) {
        let count = u32::try_from(charges.len()).unwrap();
        for policy in POLICIES {
            let mut shelf = shelf(policy, bytes_max, &charges.as_slice().into());
            let mut model = std::collections::BTreeSet::new();
            for (object, what) in &asked {
                let object = object % count;
                prop_assert_eq!(shelf.holds(object), model.contains(&object), "{}", policy);
                if *what == 0 {
                    shelf.remove(object);
                    model.remove(&object);
                } else if !shelf.hit(object) {
                    let mut gone = Vec::new();
                    let is_held = shelf.put(object, &mut gone);
                    for other in gone {
                        prop_assert!(model.remove(&other), "{} went and was not there", other);
                    }
                    if is_held {
                        model.insert(object);
                    }
                }
                let bytes: u64 = model.iter().map(|object| charge(&charges, *object)).sum();
                prop_assert_eq!(shelf.bytes(), bytes, "{}", policy);
                prop_assert!(bytes <= bytes_max, "{}", policy);
            }
        }
    }
}
