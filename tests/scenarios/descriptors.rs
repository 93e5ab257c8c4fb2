//! A process that runs out of descriptors: connections that are idle make room, and nothing spins.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use weir_origin_mock::OriginMock;
use weir_tests::{Process, Program, Raw, Request, free_base_port, soon, until_so};

/// Time that the process has been running on a CPU; the system counts in hundredths of a second.
fn cpu_time(process: &Process) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    // The name of the program, in parentheses, may hold anything; the times are 12 and 13 words behind it.
    let (_, behind) = stat.rsplit_once(')').unwrap();
    let words = behind.split_whitespace().skip(11).take(2);
    Duration::from_millis(words.map(|ticks| 10 * ticks.parse::<u64>().unwrap()).sum())
}

fn open_files(process: &Process) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count()
}

async fn answers(at: SocketAddr) {
    let mut client = Raw::connect(at).await;
    client.write("GET /a HTTP/1.1\r\nHost: www.test\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_process_without_descriptors_serves_those_who_ask() {
    let origin = OriginMock::start().await;
    origin.script("/a").header("cache-control", "max-age=600").body("hello").set();
    let port = free_base_port();
    let up = Program::new("weir").args("up --json --edges 1 --regionals 0 --origin");
    let mut up = up.arg(origin.url()).arg("--port").arg(port.to_string()).spawn();
    up.line().await.unwrap();
    let edge = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(Request::get("/a").send(edge).await.status, 200);

    let before = open_files(&up);
    let max = format!("--nofile={}", before + 20);
    let pid = up.id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, &max]).status().unwrap();
    assert!(limited.success());
    let (began, cpu) = (Instant::now(), cpu_time(&up));
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(Raw::connect(edge).await);
    }
    for _ in 0..5 {
        soon("an answer", answers(edge)).await;
    }
    let (took, worked) = (began.elapsed(), cpu_time(&up).saturating_sub(cpu));
    assert!(worked < took.mul_f64(0.6) + Duration::from_millis(200), "{worked:?} of {took:?}");

    drop(idle);
    until_so("the descriptors to be given back", async || open_files(&up) <= before + 3).await;
    answers(edge).await;
    up.signal("TERM");
    assert_eq!(up.end().await.code, Some(0));
}
