//! What TLS costs a node in CPU time. Run by hand; docs/tls.md has the command and the figures.

use std::io::Write;
use std::net::SocketAddr;

use weir_origin_mock::OriginMock;
use weir_tests::{Authority, Folder, Process, Program, Request, TlsClient, free_base_port};

const HANDSHAKES: u32 = 1_000;
const HITS: u32 = 5_000;

/// Milliseconds of CPU time that the process has used.
fn cpu_ms(process: &Process) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let behind_name = text.rsplit(')').next().unwrap();
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    // A tick is 10 ms on every Linux.
    ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() * 10.0
}

fn report(what: &str, count: u32, ms: f64) {
    let each = ms * 1_000.0 / f64::from(count);
    let line = format!("{what}: {each:.0} µs each, {:.0} a second of CPU time\n", 1e6 / each);
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

#[tokio::test]
#[ignore = "measures for half a minute and asserts nothing"]
async fn what_handshakes_and_hits_cost() {
    let (authority, folder, origin) = (Authority::new(), Folder::new(), OriginMock::start().await);
    origin.script("/hit").ok().header("cache-control", "max-age=600").body(vec![7; 10_000]).set();
    let port = free_base_port();
    let files = authority.certify(&["www.test"]).write(folder.path(), "a");
    let text = format!(
        "[node]\nname = 'edge-0'\nlisten = '127.0.0.1:{port}'\n[tls]\nlisten = '127.0.0.1:{}'\n\
         [[tls.certificate]]\ncertificate = '{}'\nkey = '{}'\n\
         [[site]]\nname = 'www'\nhosts = ['*']\norigins = ['{}']\n",
        port + 100,
        files.certificate.display(),
        files.key.display(),
        origin.url(),
    );
    let path = folder.path().join("edge.toml");
    std::fs::write(&path, text).unwrap();
    let mut edge = Program::new("weir-edge").arg("--config").arg(&path).spawn();
    edge.line().await.unwrap();
    let to: SocketAddr = format!("127.0.0.1:{}", port + 100).parse().unwrap();
    let plain: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let hit = Request::get("/hit");

    TlsClient::trusting(&authority).send(to, "www.test", &hit).await;
    let before = cpu_ms(&edge);
    for _ in 0..HANDSHAKES {
        // Without a session to resume.
        TlsClient::trusting(&authority).send(to, "www.test", &hit).await;
    }
    report("full handshakes, each with a hit of 10 kB", HANDSHAKES, cpu_ms(&edge) - before);

    let client = TlsClient::trusting(&authority);
    client.send(to, "www.test", &hit).await;
    let before = cpu_ms(&edge);
    let mut resumed = 0;
    for _ in 0..HANDSHAKES {
        let mut connection = client.open(to, "www.test").await.unwrap();
        resumed += u32::from(connection.resumed);
        // Its answer brings the ticket for the next one.
        connection.send(&hit).await.unwrap();
    }
    assert_eq!(resumed, HANDSHAKES);
    report("resumed handshakes, each with a hit of 10 kB", HANDSHAKES, cpu_ms(&edge) - before);

    hit.send(plain).await;
    let mut open = client.open(to, "www.test").await.unwrap();
    let before = cpu_ms(&edge);
    for _ in 0..HITS {
        open.send(&hit).await.unwrap();
    }
    report("hits of 10 kB over TLS", HITS, cpu_ms(&edge) - before);
    let mut open = weir_tests::Raw::connect(plain).await;
    let before = cpu_ms(&edge);
    for _ in 0..HITS {
        open.get("/hit").await;
    }
    report("hits of 10 kB without TLS", HITS, cpu_ms(&edge) - before);
}
