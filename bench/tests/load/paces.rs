//! Do closed and open loop send as many and as often as they should, and count lateness where it belongs?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_bench::load::{Arrivals, Asked, Pace, PercentileForm, Plan, Until, Watch, run};

use crate::server::{Reply, Server, ok};
use crate::{DEADLINE, asking, figures, plan};

const STALL: Duration = Duration::from_millis(500);
/// The same in microseconds.
const STALL_US: f64 = 500_000.0;

fn open(rate: f64, arrivals: Arrivals, plan: Plan) -> Plan {
    Plan { pace: Pace::Open { rate, arrivals }, ..plan }
}

/// A server that stops for a while at one request, as for a pause of its collector.
async fn stalls_at(number: u64) -> Server {
    Server::start(move |n| match n == number {
        true => Reply::Stall(STALL, ok("a")),
        false => Reply::Bytes(ok("a")),
    })
    .await
}

#[tokio::test]
async fn a_closed_loop_sends_exactly_as_many_requests_as_wanted() {
    let server = Server::start(|_| Reply::Bytes(ok("hello"))).await;
    let plan = Plan { connections: 7, threads: 2, ..plan(&server.url("/"), 1_000) };
    let figures = figures(plan).await;
    assert_eq!(server.seen.count(), 1_000);
    assert_eq!(server.seen.connections(), 7, "each connection is opened once");
    assert_eq!((figures.requests, figures.errors, figures.reopened), (1_000, 0, 0));
    assert_eq!((figures.body_bytes, figures.latency_us.count), (5_000, 1_000));
    assert_eq!(figures.bytes, 1_000 * u64::try_from(ok("hello").len()).unwrap());
    assert_eq!(figures.statuses, BTreeMap::from([(200, 1_000)]));
    assert_eq!((figures.pace, figures.latency_from), ("closed", "sent"));
    assert!(figures.late.is_none() && figures.server.is_none() && !figures.stopped);
}

#[tokio::test]
async fn a_closed_loop_ends_when_its_time_is_over_and_counts_no_warm_up() {
    let server = Server::start(|_| Reply::Bytes(ok("a"))).await;
    let span = Duration::from_millis(200);
    let until = Until::Elapsed(span);
    let began = Instant::now();
    let figures = figures(Plan { until, warmup: span, ..plan(&server.url("/"), 1) }).await;
    assert!(began.elapsed() >= span * 2);
    assert!(figures.requests > 0 && figures.requests < server.seen.count());
    assert_eq!(figures.latency_us.count, figures.requests);
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate() {
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let server = Server::start(|_| Reply::Bytes(ok("a"))).await;
        let plan = Plan { connections: 8, threads: 2, ..plan(&server.url("/"), 300) };
        let figures = figures(open(400.0, arrivals, plan)).await;
        assert_eq!((figures.requests, server.seen.count()), (300, 300), "{arrivals:?}");
        let late = figures.late.unwrap();
        assert_eq!((late.start_us.count, late.unsent), (300, 0));
        // 300 arrivals span 299 gaps; random ones have a deviation of 6 % of that. Above there is only the deadline: a
        // machine may be busy.
        let least = if arrivals == Arrivals::Constant { 0.745 } else { 0.45 };
        assert!(figures.seconds >= least, "{arrivals:?} {}", figures.seconds);
    }
}

#[tokio::test]
async fn an_open_loop_does_not_hide_what_a_stall_did_to_those_who_did_not_ask() {
    let server = stalls_at(100).await;
    let plan = Plan { connections: 4, ..plan(&server.url("/"), 500) };
    let figures = figures(open(500.0, Arrivals::Constant, plan)).await;
    assert_eq!((figures.requests, figures.latency_from), (500, "due"));
    // 250 requests were due in the stall, evenly: half of all, of which a tenth is later than 90 % of it.
    let latency = figures.latency_us;
    assert!(latency.p90 >= STALL_US * 0.7, "{latency:?}");
    assert!(latency.p99 >= STALL_US * 0.9, "{latency:?}");
    let late = figures.late.unwrap();
    assert!(late.by_connections >= 200, "{late:?}");
}

#[tokio::test]
async fn a_closed_loop_shows_a_stall_as_one_late_answer_unless_it_is_corrected() {
    let server = stalls_at(100).await;
    let raw = figures(plan(&server.url("/"), 2_000)).await;
    assert!(raw.latency_us.max >= STALL_US, "{:?}", raw.latency_us);
    assert!(raw.latency_us.p99 < STALL_US / 2.0, "{:?}", raw.latency_us);

    let server = stalls_at(100).await;
    let pace = Pace::Closed { expected_interval: Some(Duration::from_millis(1)) };
    let corrected = figures(Plan { pace, ..plan(&server.url("/"), 2_000) }).await;
    assert_eq!((corrected.requests, corrected.latency_from), (2_000, "sent, corrected"));
    assert!(corrected.latency_us.count >= 2_490, "{:?}", corrected.latency_us);
    assert!(corrected.latency_us.p99 >= STALL_US * 0.9, "{:?}", corrected.latency_us);
}

#[tokio::test]
async fn an_open_loop_tells_what_it_could_not_send() {
    let server = Server::start(|_| Reply::Silence).await;
    let until = Until::Elapsed(Duration::from_millis(300));
    let timeout = Duration::from_millis(200);
    let plan = Plan { until, timeout, ..plan(&server.url("/"), 1) };
    let figures = figures(open(1_000.0, Arrivals::Constant, plan)).await;
    let late = figures.late.unwrap();
    assert_eq!(figures.requests, 0);
    assert_eq!(figures.errors, server.seen.count());
    assert_eq!(figures.errors_by_kind, BTreeMap::from([("timeout", figures.errors)]));
    assert_eq!(late.unsent + figures.errors, 300, "{late:?}");
    assert!(figures.latency_us.min >= 200_000.0, "who gave up waited that long");
}

#[tokio::test]
async fn a_run_that_is_stopped_tells_what_it_has() {
    let server = Server::start(|_| Reply::Bytes(ok("a"))).await;
    for pace in [
        Pace::Closed { expected_interval: None },
        Pace::Open { rate: 1_000.0, arrivals: Arrivals::Constant },
        // The next arrival is far away.
        Pace::Open { rate: 0.001, arrivals: Arrivals::Constant },
    ] {
        let until = Until::Elapsed(Duration::from_secs(3_600));
        let plan = Plan { pace, until, ..plan(&server.url("/"), 1) };
        let watch = Arc::new(Watch::new(1));
        let running = tokio::spawn(run(plan, Arc::clone(&watch)));
        let asked = async {
            while watch.done() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, asked).await.unwrap();
        watch.stop();
        let figures = tokio::time::timeout(DEADLINE, running).await.unwrap().unwrap().unwrap();
        assert!(figures.stopped && figures.requests > 0);
    }
}

#[tokio::test]
async fn misses_and_keys_reach_the_server_in_their_shares() {
    let server = Server::start(|_| Reply::Bytes(ok("a"))).await;
    let asked =
        Asked { urls: vec![server.url("/k{n}")], keys: Some(4), miss: 0.1, ..Asked::default() };
    let plan =
        Plan { asking: asking(asked), connections: 4, threads: 2, ..plan("http://x/", 4_000) };
    let figures = figures(plan).await;
    let mut keys = BTreeMap::<String, u32>::new();
    let mut misses = Vec::new();
    for head in server.seen.heads() {
        let path = head.split(' ').nth(1).unwrap();
        let (key, query) = path.split_once('?').unwrap_or((path, ""));
        *keys.entry(key.to_owned()).or_default() += 1;
        misses.extend((!query.is_empty()).then(|| query.to_owned()));
    }
    // Standard deviations 27 and 19; six of them.
    assert_eq!(keys.len(), 4);
    assert!(keys.values().all(|count| (835..1_165).contains(count)), "{keys:?}");
    let count = misses.len();
    assert!((285..515).contains(&count), "{count}");
    assert_eq!(figures.misses_asked, u64::try_from(count).unwrap());
    misses.sort_unstable();
    misses.dedup();
    assert_eq!(misses.len(), count, "no miss is asked twice, by no thread");
}

#[tokio::test]
async fn the_cost_of_the_server_and_the_distribution_are_told() {
    let server = Server::start(|_| Reply::Bytes(ok("a"))).await;
    let plan = Plan { pids: vec![std::process::id()], ..plan(&server.url("/"), 500) };
    let figures = figures(plan).await;
    assert!(figures.driver.cpu_us_per_request > 0.0);
    assert!(figures.server.is_some());
    assert!(figures.percentiles(PercentileForm::Csv).trim_end().ends_with(",500"));
    let line = serde_json::to_value(&figures).unwrap();
    assert_eq!((&line["loop"], &line["requests"]), (&"closed".into(), &500.into()));
    assert!(line["outcomes"]["none"]["latency_us"]["p999"].is_number());
}
