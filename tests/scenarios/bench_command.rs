//! `weir bench replay` and `weir bench synth` as a user runs them: what they print and write, and the exit codes.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use weir_tests::{Ended, Folder, Program};

async fn weir(arguments: &str) -> Ended {
    Program::new("weir").args(arguments).run().await
}

fn assert_ended(ended: &Ended, code: i32, why: &str) {
    assert_eq!(ended.code, Some(code), "{why}\n{}{}", ended.stdout, ended.stderr);
}

/// A made-up log in `folder`; its path.
async fn made_up(folder: &Folder, more: &str) -> String {
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("made-up.tsv.gz").display().to_string();
    let made = format!("bench synth --requests 5000 --objects 400 --seed 3 {more} --out {file}");
    assert_ended(&weir(&made).await, 0, "a log is made up");
    file
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    std::fs::create_dir_all(folder).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// The whole way: a log, an answer for people, one for programs, and pages.
#[tokio::test]
async fn a_log_is_answered_in_words_numbers_and_plots() {
    let folder = Folder::new();
    let log = made_up(&folder, "--preset web --purge-storm --scan 100 --flash 0.6").await;
    let out = folder.path().join("out");
    let asked = format!("bench replay --trace {log} --sweep 1%,10% --bound --rtt 20:5:30:80");
    let shown = weir(&format!("{asked} --out {}", out.display())).await;
    assert_ended(&shown, 0, "replay");
    for words in ["from the origin", "revalidated-304", "exceeded by no cache", "Cacheable is GET"]
    {
        assert!(shown.stdout.contains(words), "{words}\n{}", shown.stdout);
    }
    assert_eq!(shown.stderr, "", "no progress where nobody watches");
    let read = |name: &str| std::fs::read(out.join(name)).unwrap();
    assert!(read("report.html").starts_with(b"<!doctype html>"));
    assert!(read("plots.svg").starts_with(b"<svg "));
    assert!(read("plots.png").starts_with(b"\x89PNG"));
    assert_eq!(String::from_utf8(read("report.txt")).unwrap(), shown.stdout);

    let json = weir(&format!("{asked} --json")).await;
    assert_eq!(json.stdout.as_bytes(), read("report.json"), "a second run is the same");
    let answer: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        answer["trace"]["requests"],
        5_000 + 100 + answer["trace"]["purges"].as_u64().unwrap()
    );
    assert_eq!(answer["cold"]["client"]["requests"], 5_100);
    assert_eq!(answer["tiers"].as_array().unwrap().len(), 3);
    assert_eq!(answer["sweep"].as_array().unwrap().len(), 2);
    let offload = |at: usize| answer["sweep"][at]["warm"]["request_offload"].as_f64().unwrap();
    assert!(0.0 < offload(0) && offload(0) < offload(1), "more room keeps more");
}

/// Real nodes and simulated ones come to the same on one log, as far as it can be said at all: nodes spread the keys of their
/// maps by chance, know whole seconds, and charge each response for what its head takes and not for the mean of all heads.
#[tokio::test]
async fn real_nodes_and_simulated_ones_agree() {
    const POINTS_APART_MAX: f64 = 0.5;
    // Thousands of requests through three tiers of a debug build.
    const WITHIN: Duration = Duration::from_secs(120);
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let log = folder.path().join("web.tsv").display().to_string();
    let made = "bench synth --preset web --requests 3000 --objects 600 --seed 3";
    assert_ended(&weir(&format!("{made} --out {log}")).await, 0, "a log is made up");
    let nodes = "--edges 2 --regionals 1 --shield 1 --capacity 10% --size-scale 2 --json";
    let played = async |more: &str| -> Value {
        let arguments = format!("bench replay --trace {log} {nodes} {more}");
        let ended = Program::new("weir").args(&arguments).run_within(WITHIN).await;
        assert_ended(&ended, 0, &arguments);
        serde_json::from_str(&ended.stdout).unwrap()
    };
    let real = played("--engine http").await;
    let overhead = real["setup"]["overhead_bytes"].as_u64().unwrap();
    assert!((100..5_000).contains(&overhead), "{overhead} B a response beside its body");
    let simulated = played(&format!("--engine sim --bound-bodies --overhead {overhead}B")).await;
    assert_eq!(
        (real["engine"].as_str(), simulated["engine"].as_str()),
        (Some("http"), Some("sim"))
    );

    for name in ["edge_object_hit_ratio", "edge_byte_hit_ratio", "request_offload", "byte_offload"]
    {
        for part in ["cold", "warm"] {
            let of = |answer: &Value| answer[part]["ratios"][name].as_f64().unwrap() * 100.0;
            let (real, simulated) = (of(&real), of(&simulated));
            assert!(real > 5.0, "{part} {name}: {real} %");
            let apart = (real - simulated).abs();
            assert!(apart <= POINTS_APART_MAX, "{part} {name}: {real} % and {simulated} %");
        }
    }
    // The origin counts what it is asked, nodes say what they did. Both come to the same, but for what is asked again
    // where a kept connection had ended, which the busier machine sees more of.
    let outcomes = &real["tiers"][2]["cold"]["outcomes"];
    let up: u64 = ["miss", "revalidated-304", "pass"]
        .into_iter()
        .map(|name| outcomes[name].as_u64().unwrap())
        .sum();
    let asked = real["cold"]["origin"]["requests"].as_u64().unwrap();
    assert!((up..=up + up / 100).contains(&asked), "{asked} requests for {outcomes}");
}

/// Purges of the log are purges of the nodes, and what must not be stored passes.
#[tokio::test]
async fn real_nodes_are_purged_and_passed_as_the_log_says() {
    let folder = Folder::new();
    let row = |at: u32, method: &str, path: &str, more: &str| {
        format!("{at}\tc\t{method}\twww.test\t{path}\t200\t100\t{more}\n")
    };
    let log = [
        row(0, "GET", "/a", "max-age=60"),
        row(1_000, "GET", "/a", "max-age=60"),
        row(2_000, "GET", "/b", "private"),
        row(3_000, "PURGE", "/a", "-"),
        row(4_000, "GET", "/a", "max-age=60"),
        row(70_000, "GET", "/a", "max-age=60"),
    ];
    let log = written(folder.path(), "log.tsv", &log.concat());
    let nodes = "--edges 1 --regionals 0 --shield 1 --capacity 1MiB --warmup 0 --json";
    let replay = weir(&format!("bench replay --trace {log} --engine http {nodes}")).await;
    assert_ended(&replay, 0, "replay");
    assert_eq!(replay.stderr, "", "no log lines of nodes and no progress");
    let answer: Value = serde_json::from_str(&replay.stdout).unwrap();
    for (tier, fresh) in [(0, 1), (1, 0)] {
        let outcomes = &answer["tiers"][tier]["cold"]["outcomes"];
        let told = ["hit-fresh", "miss", "revalidated-304", "pass"]
            .map(|name| outcomes[name].as_u64().unwrap());
        assert_eq!(told, [fresh, 2, 1, 1], "{outcomes}");
    }
    let told = ["requests", "bytes", "validations", "passed", "passed_bytes"]
        .map(|name| answer["cold"]["origin"][name].as_u64().unwrap());
    assert_eq!(told, [4, 300, 1, 1, 100], "{answer}");
}

/// A seed makes one log, and another one another.
#[tokio::test]
async fn a_seed_makes_one_log() {
    let made = async |seed: u32| {
        weir(&format!("bench synth --preset video --requests 500 --objects 50 --seed {seed}"))
            .await
            .stdout
    };
    let first = made(1).await;
    assert_eq!(first.lines().count(), 501);
    assert!(first.starts_with("ts_ms\tclient\tmethod\thost\tpath\tstatus\tsize\tcache_control\n"));
    assert_eq!(first, made(1).await);
    assert_ne!(first, made(2).await);
}

/// The rules of sites are those of nodes: keys, lifetimes, paths that are not cached.
#[tokio::test]
async fn a_log_is_judged_by_the_rules_of_sites() {
    let folder = Folder::new();
    let row = |at: u32, path: &str| format!("{at}\tc\tGET\twww.test\t{path}\t200\t10\n");
    let log =
        [row(0, "/a?utm_x=1"), row(1_000, "/a?utm_x=2"), row(9_000, "/a"), row(9_500, "/api/b")];
    let log = written(folder.path(), "log.tsv", &log.concat());
    let sites = "[[site]]\nname = \"www\"\nhosts = [\"www.test\"]\n[site.key]\nquery_ignore = [\"utm_*\"]\n\
                 [[site.rule]]\npath = \"/api/**\"\nbypass = true\n[[site.rule]]\npath = \"/**\"\nttl = \"5s\"\n";
    let sites = written(folder.path(), "sites.toml", sites);
    let one = "--edges 1 --regionals 0 --shield 0 --capacity 1MiB --warmup 0 --json";
    let replay = weir(&format!("bench replay --trace {log} --sites {sites} {one}")).await;
    assert_ended(&replay, 0, "replay");
    let answer: Value = serde_json::from_str(&replay.stdout).unwrap();
    let outcomes = &answer["tiers"][0]["cold"]["outcomes"];
    let told = ["miss", "hit-fresh", "revalidated-304", "pass"]
        .map(|name| outcomes[name].as_u64().unwrap());
    assert_eq!(told, [1, 1, 1, 1], "{outcomes}");
}

/// Who asks for something that makes no sense learns what would.
#[tokio::test]
async fn mistakes_are_explained() {
    let folder = Folder::new();
    let place = folder.path();
    let log = written(place, "log.tsv", "0\tc\tGET\twww.test\t/a\t200\t10\n");
    let empty = written(place, "empty.log", "");
    let strange = written(place, "strange.log", "what is this\n");
    let bad_sites = written(place, "bad.toml", "[[site]]\nname = \"www\"\nhots = [\"a\"]\n");
    let other = written(place, "other.toml", "[[site]]\nname = \"o\"\nhosts = [\"other.test\"]\n");
    let missing = place.join("missing.log").display().to_string();
    // (arguments, exit code, what is said)
    let cases = [
        (format!("replay --trace {missing}"), 1, "missing.log cannot be read"),
        (format!("replay --trace {empty}"), 1, "is empty"),
        (format!("replay --trace {strange}"), 1, "name it with --format"),
        (format!("replay --trace {strange} --format tsv"), 1, "no line could be read"),
        (format!("replay --trace {log} --sites {other}"), 1, "their hosts belong to no site"),
        (format!("replay --trace {log} --sites {bad_sites}"), 2, "hots"),
        (format!("replay --trace {log} --format csv"), 2, "tsv, weir, combined or cloudfront"),
        (format!("replay --trace {log} --capacity 0%"), 2, "a percentage is above 0"),
        (format!("replay --trace {log} --capacity 5"), 2, "written 5%"),
        (format!("replay --trace {log} --capacity 1%"), 2, "would have no room"),
        (format!("replay --trace {log} --sweep 1%,x"), 2, "written 5%"),
        (format!("replay --trace {log} --sizing 1:2"), 2, "edge:regional:shield"),
        (format!("replay --trace {log} --goal belady"), 2, "balanced, objects or bytes"),
        (format!("replay --trace {log} --fill never"), 2, "everywhere, copy-down or second-miss"),
        (format!("replay --trace {log} --ttl 60s"), 2, "fixed:TIME"),
        (format!("replay --trace {log} --warmup 1"), 2, "from 0 to below 1"),
        (format!("replay --trace {log} --edges 0"), 2, "at least one edge"),
        (format!("replay --trace {log} --rtt 1:2"), 2, "expected 4 links"),
        (format!("replay --trace {log} --disk 1GiB"), 2, "--memory"),
        (format!("replay --trace {log} --engine curl"), 2, "sim"),
        (
            format!("replay --trace {log} --engine http --capacity 1MiB --goal lru"),
            2,
            "--engine sim only",
        ),
        (
            format!("replay --trace {log} --engine http --capacity 1MiB --fill copy-down"),
            2,
            "everywhere",
        ),
        (
            format!("replay --trace {log} --engine http --capacity 1MiB --fetch-ms 9"),
            2,
            "--fetch-ms",
        ),
        (
            format!("replay --trace {log} --engine http --capacity 1MiB --overhead 9B"),
            2,
            "--overhead",
        ),
        (format!("replay --trace {log} --engine http --concurrency 0"), 2, "--concurrency"),
        ("replay".to_owned(), 2, "--trace"),
        ("synth --preset blog".to_owned(), 2, "web, download or video"),
        ("synth --requests 0".to_owned(), 2, "requests are from 1"),
        ("synth --flash 7".to_owned(), 2, "between 0 and 1"),
        ("synth --requests 5 --out /no/such/folder/x.tsv".to_owned(), 1, "cannot be written"),
    ];
    for (arguments, code, said) in cases {
        let ended = weir(&format!("bench {arguments}")).await;
        assert_ended(&ended, code, &arguments);
        assert!(ended.stderr.contains(said), "{arguments}: {said}\n{}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments}");
    }
}
