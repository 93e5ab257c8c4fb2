//! Proportions of the three ways to choose, by table and by seed.

use super::*;

fn mixed(bits: u64) -> u64 {
    u64::from_le_bytes(blake3::hash(&bits.to_le_bytes()).as_bytes()[..8].try_into().unwrap())
}

/// Candidates of these weights, whose hashes are those of `key`.
fn candidates(weights: &[u32], key: u64) -> Vec<Candidate> {
    let candidate = |(seat, weight): (usize, &u32)| Candidate {
        seat,
        weight: *weight,
        outstanding: 0,
        hash: mixed(key * 1_000 + seat as u64),
    };
    weights.iter().enumerate().map(candidate).collect()
}

fn first(balancer: &Balancer, mut candidates: Vec<Candidate>) -> usize {
    balancer.arrange(&mut candidates);
    candidates[0].seat
}

#[test]
fn turns_are_smooth() {
    // (weights, who is asked)
    let cases: &[(&[u32], &[usize])] = &[
        (&[1, 1, 1], &[0, 1, 2, 0, 1, 2]),
        (&[3, 1, 1], &[0, 1, 0, 2, 0, 0, 1, 0, 2, 0]),
        (&[5, 1], &[0, 0, 0, 1, 0, 0]),
        (&[7], &[0, 0]),
    ];
    for (weights, expected) in cases {
        let balancer = Balancer::new(Balance::RoundRobin, weights.len());
        let asked: Vec<_> =
            expected.iter().map(|_| first(&balancer, candidates(weights, 0))).collect();
        assert_eq!(&asked, expected, "{weights:?}");
    }
}

/// In turn, shares are exact in each round; by key, they are as the weights to within chance.
#[test]
fn shares_are_as_the_weights() {
    for seed in 0..24_u64 {
        let count = 2 + (mixed(seed) % 5) as usize;
        let weights: Vec<u32> =
            (0..count as u64).map(|i| 1 + (mixed(seed * 100 + i) % 9) as u32).collect();
        let total: u32 = weights.iter().sum();
        for by in [Balance::RoundRobin, Balance::LeastOutstanding, Balance::Rendezvous] {
            let balancer = Balancer::new(by, count);
            let mut asked = vec![0_u32; count];
            let rounds = 400;
            for key in 0..total * rounds {
                asked[first(&balancer, candidates(&weights, u64::from(key)))] += 1;
            }
            for (asked, weight) in asked.iter().zip(&weights) {
                let expected = weight * rounds;
                let off = match by {
                    Balance::Rendezvous => 6.0 * f64::from(expected).sqrt(),
                    _ => 0.0,
                };
                let difference = f64::from(asked.abs_diff(expected));
                assert!(
                    difference <= off,
                    "seed {seed} {by:?} {weights:?}: {asked} for {expected}"
                );
            }
        }
    }
}

/// A server that goes moves its own keys only; a weight that changes moves keys to or from it only.
#[test]
fn keys_move_from_the_server_that_changes_only() {
    let balancer = Balancer::new(Balance::Rendezvous, 4);
    for key in 0..5_000 {
        let all = candidates(&[3, 1, 2, 4], key);
        let before = first(&balancer, all.clone());
        let without: Vec<_> = all.iter().copied().filter(|c| c.seat != 2).collect();
        let mut heavier = all.clone();
        heavier[2].weight = 5;
        if before != 2 {
            assert_eq!(first(&balancer, without), before, "key {key}");
            assert!([before, 2].contains(&first(&balancer, heavier)), "key {key}");
        } else {
            assert_eq!(first(&balancer, heavier), 2, "key {key}");
        }
    }
}

#[test]
fn the_fewest_requests_for_its_weight_is_asked() {
    // ((weight, outstanding) of each, who is asked)
    let cases: &[(&[(u32, u32)], usize)] = &[
        (&[(1, 1), (1, 0)], 1),
        (&[(1, 1), (3, 2)], 1),
        (&[(1, 1), (3, 4)], 0),
        (&[(1, 0), (1, 9), (1, 1)], 0),
        (&[(1_000_000, u32::MAX), (1, 0)], 1),
    ];
    for (servers, expected) in cases {
        let balancer = Balancer::new(Balance::LeastOutstanding, servers.len());
        let mut list = candidates(&vec![1; servers.len()], 1);
        for (candidate, (weight, outstanding)) in list.iter_mut().zip(*servers) {
            (candidate.weight, candidate.outstanding) = (*weight, *outstanding);
        }
        assert_eq!(first(&balancer, list), *expected, "{servers:?}");
    }
}

#[test]
fn no_hash_makes_a_score_that_is_no_number() {
    for hash in [0, 1, u64::MAX - 1, u64::MAX] {
        let score = score(&Candidate { seat: 0, weight: 1_000_000, outstanding: 0, hash });
        assert!(score.is_finite() && score > 0.0, "{hash}: {score}");
    }
}

/// Whoever was away does not come back to a pile of turns.
#[test]
fn a_server_that_was_away_is_not_owed_its_turns() {
    let balancer = Balancer::new(Balance::RoundRobin, 2);
    for _ in 0..1_000 {
        assert_eq!(first(&balancer, candidates(&[1, 1], 0)[..1].to_vec()), 0);
    }
    let asked: Vec<_> = (0..4).map(|_| first(&balancer, candidates(&[1, 1], 0))).collect();
    assert_eq!(asked.iter().sum::<usize>(), 2, "{asked:?}");
}
