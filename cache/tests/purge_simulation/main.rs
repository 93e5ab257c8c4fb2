//! Seeded simulation of purges: once a purge is complete, no client sees what it removed.
//!
//! The pure rules of `weir_cache::purge` drive nodes that crash, freeze, are cut off and come back with
//! old positions, over a network that loses, doubles and delays. One generator of chance drives
//! everything; time is a number that is added to. A checker looks at every answer to every client.
//! Then each rule is taken out in turn, and the checker has to miss it.
//!
//! `PURGE_SIM_SEED=<n>` replays one seed, `PURGE_SIM_SEEDS=<n>` says how many to run,
//! `PURGE_SIM_TRACE=<n>` how many events to show. See `docs/purge-simulation.md`.

mod actions;
mod catalogue;
mod checker;
mod clock;
mod fill;
mod keeper;
mod log;
mod network;
mod node;
mod rng;
mod rules;
mod weather;
mod world;

use rules::{Rule, Rules};
use weather::Kind;
use world::{Stats, World};

/// Schedules that each kind of run is put through.
const SEEDS: u64 = 800;
/// Events before a failure that are shown.
const EVENTS_SHOWN: u64 = 30;
/// Schedules within which a rule that was taken out has to be missed.
const SEEDS_TO_MISS_A_RULE: u64 = 1_200;

/// The seeds to run: one, as many as asked for, or `default`.
fn seeds(default: u64) -> std::ops::Range<u64> {
    match setting("PURGE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("PURGE_SIM_SEEDS").unwrap_or(default),
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("settings are numbers"))
}

/// Runs all rules over many schedules; returns the sum of what came of them.
#[expect(clippy::print_stderr, reason = "counts for whoever asks for them with --nocapture")]
fn hold(kind: Kind) -> Stats {
    let mut sum = Stats::default();
    let seeds = seeds(SEEDS);
    for seed in seeds.clone() {
        match World::new(seed, kind, Rules::default()).run() {
            Ok(stats) => sum = sum.plus(stats),
            Err(_) => panic!("{}", failure(seed, kind, Rules::default())),
        }
    }
    eprintln!("{kind:?}, seeds {seeds:?}: {sum:?}");
    sum
}

/// What broke under `seed`, with the last events before. Runs it once more.
fn failure(seed: u64, kind: Kind, rules: Rules) -> String {
    let mut world = World::new(seed, kind, rules);
    let events = setting("PURGE_SIM_TRACE").unwrap_or(EVENTS_SHOWN);
    world.keep_trace(usize::try_from(events).expect("it fits into memory"));
    match world.run() {
        Err(broken) => {
            let step = world.stats.steps;
            format!("{kind:?}, seed {seed}, step {step}: {broken}\n{}", world.trace())
        }
        Ok(_) => format!("{kind:?}, seed {seed}: broke once and not again; it draws on chance"),
    }
}

/// Takes one rule out and says how many schedules it took until something broke.
#[expect(clippy::print_stderr, reason = "counts and traces for whoever asks with --nocapture")]
fn is_missed(rule: Rule) {
    let (kind, rules) = (rule.kind(), Rules::without(rule));
    let is_broken = |seed: &u64| World::new(*seed, kind, rules).run().is_err();
    let found = seeds(SEEDS_TO_MISS_A_RULE).find(is_broken);
    let seed = found.unwrap_or_else(|| panic!("nothing breaks without the rule {rule:?}"));
    eprintln!("without {rule:?}: {}", failure(seed, kind, rules));
}

#[test]
fn no_fault_brings_back_what_a_purge_removed() {
    let stats = hold(Kind::Faults);
    assert!(stats.hits > 0 && stats.purges_complete > 0, "{stats:?}");
}

#[test]
fn no_restart_brings_back_what_a_purge_removed() {
    let stats = hold(Kind::Restarts);
    assert!(stats.cut_off > 0, "nothing was read from a node cut off: {stats:?}");
}

#[test]
fn no_echo_brings_back_what_a_purge_removed() {
    hold(Kind::Echoes);
}

#[test]
fn no_delay_brings_back_what_a_purge_removed() {
    hold(Kind::Slow);
}

#[test]
fn two_runs_of_one_name_are_two_members() {
    hold(Kind::Handover);
}

/// A simulation in which nothing is ever reused would keep every promise.
#[test]
fn without_faults_most_answers_come_from_the_store() {
    let stats = hold(Kind::Quiet);
    assert_eq!(stats.errors, 0, "{stats:?}");
    assert!(stats.hits * 100 >= stats.answers * 45, "too few hits: {stats:?}");
    // A purge costs one fetch for each resource that it means, whatever the number of edges.
    assert!(stats.origin_fetches <= stats.purges_complete * 2, "too many fetches: {stats:?}");
}

#[test]
#[ignore = "takes minutes; makes the table in docs/purge-simulation.md"]
#[expect(clippy::print_stderr, reason = "the table")]
fn how_often_each_rule_is_missed() {
    for rule in Rule::ALL {
        let is_broken =
            |seed: &u64| World::new(*seed, rule.kind(), Rules::without(rule)).run().is_err();
        let broken: Vec<u64> = seeds(SEEDS_TO_MISS_A_RULE).filter(is_broken).collect();
        eprintln!("{rule:?}: first under seed {:?}, {} in all", broken.first(), broken.len());
    }
}

macro_rules! missed {
    ($($name:ident: $rule:ident,)*) => {
        $(#[test]
        fn $name() {
            is_missed(Rule::$rule);
        })*
    };
}

missed! {
    without_answers_in_turn_a_late_one_leads_back: AnswersInTurn,
    without_a_durable_apply_a_restart_forgets_a_purge: DurableApply,
    without_a_durable_join_old_positions_look_new: DurableJoin,
    without_a_durable_roll_a_crash_forgets_leases: DurableRoll,
    without_the_epoch_of_an_entry_another_is_skipped: EntryEpoch,
    without_epochs_a_lost_log_goes_unnoticed: Epoch,
    without_the_join_rule_a_fill_outlives_its_purge: Join,
    without_the_lease_a_node_cut_off_reuses: Lease,
    without_the_lease_a_node_cut_off_joins: JoinFenced,
    without_the_time_of_sending_a_lease_is_too_long: LeaseFromSending,
    without_the_reuse_rule_what_was_purged_is_reused: Reuse,
    without_the_store_rule_a_purge_is_overwritten: Store,
    without_the_upward_rule_a_parent_answers_too_old: Upward,
    without_the_validation_rule_a_304_revives_a_purge: Validation,
    without_the_youth_of_a_log_strangers_are_forgotten: YoungLog,
}

impl Stats {
    fn plus(self, other: Self) -> Self {
        Self {
            steps: self.steps + other.steps,
            answers: self.answers + other.answers,
            hits: self.hits + other.hits,
            cut_off: self.cut_off + other.cut_off,
            errors: self.errors + other.errors,
            origin_fetches: self.origin_fetches + other.origin_fetches,
            purges_complete: self.purges_complete + other.purges_complete,
        }
    }
}
