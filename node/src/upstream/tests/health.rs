//! The state machine of one server's health, by table and by seeded play.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const RULES: Rules = Rules {
    eject_after: 1,
    broken_after: 3,
    eject_for: SECOND.saturating_mul(2),
    slow_start: SECOND.saturating_mul(10),
};
const CHECKS: CheckRules = CheckRules { rise: 2, fall: 3 };

fn at(millis: u64) -> Timestamp {
    Timestamp::ZERO.saturating_add(Duration::from_millis(millis))
}

fn out_at(millis: u64) -> Health {
    let mut health = Health::new(RULES);
    assert!(health.on_failure(at(millis)));
    health
}

#[test]
fn failures_in_a_row_take_a_server_out_and_an_answer_between_them_does_not_let_them() {
    let mut health = Health::new(Rules { eject_after: 3, ..RULES });
    for _ in 0..5 {
        assert!(!health.on_failure(at(0)) && !health.on_failure(at(0)));
        assert!(!health.on_success(at(0)), "it was never out");
    }
    assert!(!health.on_failure(at(0)) && !health.on_failure(at(0)));
    assert!(health.on_failure(at(0)), "the third in a row");
    assert_eq!((health.state(at(0)), health.failures()), (State::Ejected, 3));
}

#[test]
fn one_request_tries_it_and_each_failed_try_doubles_the_time_up_to_32_times() {
    let mut health = out_at(0);
    let mut since = 0;
    for doublings in [0, 1, 2, 3, 4, 5, 5, 5] {
        let out = 2_000 << doublings;
        assert!(!health.is_due(at(since + out - 1)), "{doublings}: out for {out} ms");
        since += out;
        assert!(health.begin_try(at(since)));
        assert!(!health.begin_try(at(since)), "the others do not wait for that");
        assert!(!health.on_failure(at(since)), "no news");
    }
    since += 64_000;
    assert!(health.begin_try(at(since)) && health.on_success(at(since)));
    assert!(health.state(at(since)).is_usable(), "one success brings it back");
    assert!(health.on_failure(at(since)));
    assert!(health.begin_try(at(since + 2_000)), "and the doubling begins anew");
}

/// Fifty requests that were under way when a server died say it once.
#[test]
fn failures_of_requests_that_were_under_way_do_not_add_to_the_time() {
    let mut health = out_at(0);
    for _ in 0..50 {
        assert!(!health.on_failure(at(10)));
    }
    assert_eq!(health.failures(), 51);
    assert!(health.begin_try(at(2_000)));
}

/// A try that never reports (its client left) does not lock the server out.
#[test]
fn a_try_that_is_lost_is_tried_again_after_the_time() {
    let mut health = out_at(0);
    assert!(health.begin_try(at(2_000)));
    assert!(!health.begin_try(at(3_999)));
    assert!(health.begin_try(at(4_000)));
}

#[test]
fn a_server_that_comes_back_starts_with_a_tenth_and_ramps_no_longer_than_it_was_out() {
    // (out for, the ramp lasts, in milliseconds)
    for (out, lasts) in [(2_000, 2_000), (10_000, 10_000), (60_000, 10_000)] {
        let mut health = out_at(0);
        health.on_success(at(out));
        let share = |passed| health.share(at(out + passed));
        assert_eq!((share(0), health.state(at(out))), (100, State::Starting));
        assert_eq!(share(lasts / 2), 550, "half way after {out} ms");
        assert!((998..1_000).contains(&share(lasts - 1)));
        assert_eq!((share(lasts), health.state(at(out + lasts))), (WHOLE, State::Up));
    }
    let mut health = Health::new(Rules { slow_start: Duration::ZERO, ..RULES });
    health.on_failure(at(0));
    health.on_success(at(60_000));
    assert_eq!(health.state(at(60_000)), State::Up, "slow start can be turned off");
}

#[test]
fn checks_take_a_server_out_and_alone_bring_it_back() {
    let mut health = Health::new(RULES);
    health.set_checks(Some(CHECKS), at(0));
    let bad = |health: &mut Health, now| health.on_check(Verdict::Bad, at(now));
    let good = |health: &mut Health, now| health.on_check(Verdict::Good, at(now));
    assert!(!bad(&mut health, 1) && !bad(&mut health, 2) && !good(&mut health, 3));
    assert!(!bad(&mut health, 4) && !bad(&mut health, 5), "a good one between begins anew");
    assert!(bad(&mut health, 6), "the third in a row");
    assert_eq!(health.state(at(6)), State::CheckedDown);
    assert!(!health.is_due(at(60_000)), "no request is spent on trying it");
    assert!(!health.on_success(at(60_000)), "nor does an answer bring it back");
    assert!(!good(&mut health, 60_001) && good(&mut health, 60_002));
    assert_eq!(health.state(at(60_002)), State::Starting);
    assert!(health.on_failure(at(80_000)), "requests take it out as ever");
    assert!(!health.on_success(at(80_001)), "one that was under way");
    assert_eq!(health.state(at(80_001)), State::Ejected);
    assert!(!good(&mut health, 80_002) && good(&mut health, 80_003));
    assert_eq!(health.failures(), 0);
}

#[test]
fn a_parent_that_leaves_is_out_at_once_and_its_silence_is_no_news() {
    let mut health = Health::new(RULES);
    health.set_checks(Some(CHECKS), at(0));
    assert!(health.on_check(Verdict::Leaving, at(1)));
    assert!((0..5).all(|_| !health.on_check(Verdict::Bad, at(2))));
    assert_eq!(health.state(at(2)), State::Leaving);
    assert!(!health.on_check(Verdict::Good, at(3)) && health.on_check(Verdict::Good, at(4)));
}

#[test]
fn the_end_of_checks_does_not_leave_a_server_out_for_ever() {
    let mut health = Health::new(RULES);
    health.set_checks(Some(CHECKS), at(0));
    assert!((0..3).any(|_| health.on_check(Verdict::Bad, at(1))));
    health.set_checks(None, at(2));
    assert!(health.state(at(2)).is_usable());
    assert!(!health.on_check(Verdict::Bad, at(3)), "a late one counts no more");
}

#[test]
fn broken_bodies_count_in_a_row_though_their_heads_are_answers() {
    let mut health = Health::new(RULES);
    for _ in 0..4 {
        health.on_success(at(0));
        assert!(!health.on_broken_body(at(0)));
        health.on_success(at(0));
        assert!(!health.on_broken_body(at(0)));
        health.on_whole_body();
    }
    assert!(!health.on_broken_body(at(0)) && !health.on_broken_body(at(0)));
    assert!(health.on_broken_body(at(0)));
    assert_eq!((health.state(at(0)), health.failures()), (State::Ejected, 0));
}

/// Whatever happens in whatever order: news is told once, time out is bounded, and one that answers and
/// has good checks is in use again.
#[test]
fn play() {
    for seed in 0..256_u64 {
        let mut bits = seed;
        let mut draw = move |below: u64| {
            bits = bits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (bits >> 33) % below
        };
        let mut health = Health::new(RULES);
        let checked = draw(2) == 0;
        health.set_checks(checked.then_some(CHECKS), at(0));
        let mut now = 0;
        for step in 0..500 {
            now += draw(3_000);
            let before = health.state(at(now)).is_usable();
            let told = match draw(7) {
                0 | 1 => health.on_failure(at(now)),
                2 => health.on_success(at(now)),
                3 => health.on_broken_body(at(now)),
                4 => health.on_check(Verdict::Good, at(now)),
                5 => health.on_check(Verdict::Bad, at(now)),
                _ => {
                    health.begin_try(at(now));
                    false
                }
            };
            let after = health.state(at(now)).is_usable();
            assert!(
                told || before == after,
                "seed {seed} step {step}: a change that nobody is told of"
            );
            let share = health.share(at(now));
            assert!((START..=WHOLE).contains(&share), "seed {seed} step {step}: {share}");
            if !after && !checked {
                assert!(
                    health.is_due(at(now + 64_000)),
                    "seed {seed} step {step}: out for too long"
                );
            }
        }
        health.on_success(at(now));
        assert!(!checked || (0..2).map(|_| health.on_check(Verdict::Good, at(now))).count() == 2);
        assert!(health.state(at(now)).is_usable(), "seed {seed}");
    }
}
