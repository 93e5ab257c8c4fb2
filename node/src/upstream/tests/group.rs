//! Who is asked: by table, and while servers come and go.

use weir_cache::Profile;

use super::*;
use crate::metrics::UpstreamMetrics;
use crate::upstream::Transport;
use crate::upstream::health::{CheckRules, Verdict};

const SECOND: Duration = Duration::from_secs(1);

fn config() -> UpstreamConfig {
    UpstreamConfig {
        eject_for: 2 * SECOND,
        slow_start: Duration::ZERO,
        ..UpstreamConfig::default()
    }
}

fn parents(count: u16) -> Group {
    let addr = |port| format!("http://parent:{port}").parse().unwrap();
    Group::parents(&(1..=count).map(addr).collect::<Vec<_>>(), &config(), &links())
}

fn origins(servers: &[&str]) -> Group {
    origins_under(&config(), servers)
}

fn origins_under(config: &UpstreamConfig, servers: &[&str]) -> Group {
    let mut site = SiteConfig::new("www", Profile::Default);
    site.origins = servers.iter().map(|text| text.parse().unwrap()).collect();
    let transport = Transport::new(config, UpstreamMetrics::default());
    Group::origins(&site, &Roster::new(config, &transport)).unwrap()
}

fn links() -> Links {
    Transport::new(&config(), UpstreamMetrics::default()).to_parents()
}

fn key(number: u64) -> CacheKey {
    CacheKey::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn at(seconds: u32) -> Timestamp {
    Timestamp::ZERO.saturating_add(seconds * SECOND)
}

fn order(group: &Group, number: u64, now: Timestamp) -> Vec<String> {
    let queue = group.order(&key(number), now).unwrap();
    queue.authorities().into_iter().map(str::to_owned).collect()
}

fn is_open(group: &Group, now: Timestamp) -> bool {
    let standings: Vec<_> = group.seats.iter().map(|seat| seat.member.standing(now)).collect();
    group.is_open(&standings)
}

fn first(group: &Group, number: u64, now: Timestamp) -> String {
    order(group, number, now).remove(0)
}

fn member<'a>(group: &'a Group, authority: &str) -> &'a Arc<Member> {
    let seat = group.seats().iter().find(|seat| seat.member.authority() == authority);
    &seat.unwrap().member
}

#[tokio::test]
async fn a_parent_that_goes_moves_only_its_own_keys() {
    let (three, two) = (parents(3), parents(2));
    let mut moved = 0;
    for number in 0..3_000 {
        let before = first(&three, number, at(0));
        let after = first(&two, number, at(0));
        if before == "parent:3" {
            moved += 1;
        } else {
            assert_eq!(before, after, "key {number} stays where it was");
        }
    }
    assert!((900..1_100).contains(&moved), "a third of the keys, not {moved}");
}

#[tokio::test]
async fn a_failed_parent_is_tried_by_one_request_at_a_time_and_later_each_time() {
    let group = parents(2);
    let preferred = Arc::clone(member(&group, &first(&group, 7, at(1))));
    let asked = |now| first(&group, 7, now) == preferred.authority();
    assert!(preferred.on_failure(at(1)));
    assert!(!asked(at(2)), "passed over for two seconds");
    assert!(asked(at(3)), "one request tries it");
    assert!(!asked(at(3)), "the others do not wait for that");
    assert!(!preferred.on_failure(at(3)), "no news");
    assert!(!asked(at(6)), "twice as long the second time");
    assert!(asked(at(7)));
    assert!(preferred.on_success(at(7)));
    assert!(asked(at(7)) && asked(at(7)), "one success clears it");
}

#[tokio::test]
async fn origins_take_turns_and_a_lone_one_is_always_asked() {
    let several = origins(&["http://o:1", "http://o:2", "http://o:3"]);
    let asked: Vec<_> = (0..3).map(|_| first(&several, 7, at(0))).collect();
    assert_eq!(asked, ["o:1", "o:2", "o:3"]);
    let lone = origins(&["http://o:1"]);
    lone.seats()[0].member.on_failure(at(0));
    assert_eq!(first(&lone, 7, at(0)), "o:1");
}

#[tokio::test]
async fn backups_are_asked_while_no_other_server_can_be() {
    let group = origins(&["http://o:1 backup", "http://o:2", "http://o:3"]);
    for _ in 0..4 {
        assert_eq!(order(&group, 7, at(0)).last().unwrap(), "o:1", "it may stand in for a failure");
    }
    member(&group, "o:2").on_failure(at(1));
    assert_eq!(order(&group, 7, at(1)), ["o:3", "o:1", "o:2"], "the unwell come last");
    member(&group, "o:3").on_failure(at(1));
    assert_eq!(first(&group, 7, at(1)), "o:1");
    let tries: Vec<_> = (0..3).map(|_| first(&group, 7, at(3))).collect();
    assert_eq!(tries.iter().filter(|authority| *authority == "o:1").count(), 1, "{tries:?}");
    assert_eq!(first(&group, 7, at(3)), "o:1", "two tries are under way");
    member(&group, "o:2").on_success(at(3));
    assert_eq!(first(&group, 7, at(3)), "o:2", "and back again");
}

#[tokio::test]
async fn an_unwell_group_is_asked_and_first_the_server_that_has_answered_since() {
    let group = origins(&["http://o:1", "http://o:2"]);
    for seat in group.seats() {
        seat.member.set_checks(Some(CheckRules { rise: 2, fall: 1 }), at(0));
        seat.member.on_check(Verdict::Bad, at(0));
    }
    let asked: Vec<_> = (0..4).map(|_| first(&group, 7, at(1))).collect();
    assert!(asked.contains(&"o:1".to_owned()) && asked.contains(&"o:2".to_owned()), "{asked:?}");
    member(&group, "o:2").on_failure(at(1));
    assert!((0..4).all(|_| first(&group, 7, at(1)) == "o:1"));
}

/// Whatever servers do, an open group is asked once a second, and a success closes it.
#[tokio::test]
async fn an_open_group_is_asked_once_a_second_each_server_in_its_turn() {
    let group = origins(&["http://o:1", "http://o:2 backup"]);
    let fail = |authority: &str, now| member(&group, authority).on_failure(now);
    for _ in 0..5 {
        fail("o:1", at(0));
    }
    assert!(!is_open(&group, at(0)), "the backup is well");
    for _ in 0..4 {
        fail("o:2", at(0));
    }
    assert!(group.order(&key(7), at(0)).is_some(), "not yet");
    fail("o:2", at(0));
    assert!(is_open(&group, at(0)));
    let mut asked = Vec::new();
    for millis in 0..60_000 {
        let now = Timestamp::from_micros(millis * 1_000);
        if let Some(queue) = group.order(&key(millis), now) {
            assert_eq!(queue.authorities().len(), 1, "and no other after it");
            asked.push(queue.authorities()[0].to_owned());
            fail(&asked[asked.len() - 1], now);
        }
    }
    assert_eq!(asked.len(), 60);
    assert!(asked.windows(2).all(|pair| pair[0] != pair[1]), "{asked:?}");
    member(&group, "o:2").on_success(at(60));
    assert!(!is_open(&group, at(60)));
    let asked: Vec<_> = (0..3).map(|_| first(&group, 7, at(60))).collect();
    assert_eq!(asked, ["o:1", "o:2", "o:2"], "one request tries the other one again");
}

#[tokio::test]
async fn checks_close_an_open_group_too() {
    let group = origins(&["http://o:1"]);
    let lone = &group.seats()[0].member;
    lone.set_checks(Some(CheckRules { rise: 1, fall: 1 }), at(0));
    for _ in 0..5 {
        lone.on_failure(at(0));
    }
    assert!(is_open(&group, at(0)));
    assert!(lone.on_check(Verdict::Good, at(1)));
    assert!(!is_open(&group, at(1)) && lone.standing(at(1)).usable);
}

#[tokio::test]
async fn the_way_to_the_purge_log_never_opens() {
    let group = Group::of_log(&["http://p:1".parse().unwrap()], &config(), &links());
    for _ in 0..100 {
        group.seats()[0].member.on_failure(at(0));
    }
    assert_eq!(first(&group, 7, at(0)), "p:1");
}

#[tokio::test]
async fn a_free_connection_is_taken_where_there_is_one() {
    let config = UpstreamConfig { connections_max: 1, ..config() };
    let group = origins_under(&config, &["http://o:1", "http://o:2"]);
    let take = || group.order(&key(7), at(0)).unwrap().take_free();
    let (one, two) = (take().unwrap(), take().unwrap());
    assert_ne!(one.member.authority(), two.member.authority());
    assert_eq!(one.member.outstanding(), 1);
    assert!(take().is_none());
    drop(two);
    assert!(take().is_some(), "whoever's turn it is");
}
