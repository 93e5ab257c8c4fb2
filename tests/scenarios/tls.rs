//! TLS to clients: which certificate they see, what their requests mean, and what ends a handshake.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use weir_node::config::{ClientCertificates, MinVersion, TlsConfig, UnknownName};
use weir_tests::{
    Authority, Folder, Issued, Raw, Request, Shape, Stack, TlsClient, raw_exchange, soon,
};

/// What a node needs to listen for TLS with one certificate, for `www.test` and two other names.
struct Bench {
    authority: Authority,
    folder: Folder,
}

impl Bench {
    fn new() -> Self {
        Self { authority: Authority::new(), folder: Folder::new() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn client(&self) -> TlsClient {
        TlsClient::trusting(&self.authority)
    }

    /// The keys of `[tls]` with certificates for these lists of names.
    fn tls(&self, certificates: &[&[&str]]) -> TlsConfig {
        let write = |(i, names): (usize, &&[&str])| {
            self.authority.certify(names).write(self.path(), &format!("c{i}"))
        };
        TlsConfig {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            certificates: certificates.iter().enumerate().map(write).collect(),
            ..TlsConfig::default()
        }
    }

    /// A stack of one edge with these keys.
    async fn edge(&self, tls: TlsConfig) -> Stack {
        Shape::single().node(move |node| node.tls = tls.clone()).start().await
    }
}

const WWW: &[&[&str]] = &[&["www.test", "*.img.test", "127.0.0.1"]];

/// Whether the handshake was broken off with this alert.
fn alert<T>(result: io::Result<T>, alert: &str) -> bool {
    result.err().is_some_and(|error| error.to_string().contains(alert))
}

#[tokio::test]
async fn a_request_over_tls_is_answered_and_its_scheme_is_https() {
    let bench = Bench::new();
    let stack = bench.edge(bench.tls(WWW)).await;
    stack.serve("/a", "max-age=60", "hello");
    let (client, to) = (bench.client(), stack.edge().tls_addr());
    let mut connection = client.open(to, "www.test").await.unwrap();
    let miss = connection.send(&Request::get("/a")).await.unwrap();
    let hit = connection.send(&Request::get("/a")).await.unwrap();
    assert_eq!((miss.x_cache(), hit.x_cache()), ("MISS".into(), "HIT".into()));
    assert_eq!(&hit.body[..], b"hello");
    let plain = stack.edge().get("/a").await;
    assert_eq!(plain.x_cache(), "MISS", "http and https are two keys");
    let seen = stack.origin.requests("/a");
    let proto = |i: usize| seen[i].headers.get("x-forwarded-proto").unwrap();
    assert_eq!(
        (seen.len(), proto(0), proto(1)),
        (2, &"https".parse().unwrap(), &"http".parse().unwrap())
    );
    let forwarded = seen[0].headers.get("forwarded").unwrap().to_str().unwrap();
    assert!(forwarded.contains("proto=https"), "{forwarded}");
    let metrics = stack.edge().metrics().await;
    let ok = ["outcome=\"ok\"", "version=\"1.3\""];
    assert_eq!(metrics.sum("weir_tls_handshakes_total", &ok), 1.0);
}

#[tokio::test]
async fn the_certificate_is_that_of_the_name_exact_before_wildcard() {
    let bench = Bench::new();
    let names: &[&[&str]] = &[&["first.test"], &["*.a.test"], &["www.a.test", "b.test"]];
    let issued: Vec<Issued> = names.iter().map(|names| bench.authority.certify(names)).collect();
    let mut tls = bench.tls(&[]);
    for (i, issued) in issued.iter().enumerate() {
        tls.certificates.push(issued.write(bench.path(), &format!("s{i}")));
    }
    for unknown_name in [UnknownName::Refuse, UnknownName::First] {
        let stack = bench.edge(TlsConfig { unknown_name, ..tls.clone() }).await;
        let to = stack.edge().tls_addr();
        // (name, certificate; None where the client is told that there is none)
        let cases = [
            ("first.test", Some(0)),
            ("img.a.test", Some(1)),
            ("WWW.a.test", Some(2)),
            ("b.test", Some(2)),
            ("a.test", None),
            ("x.img.a.test", None),
        ];
        for (name, expected) in cases {
            let opened = bench.client().open(to, name).await;
            match (expected, unknown_name) {
                (Some(i), _) => {
                    let shown = opened.unwrap().certificate.unwrap();
                    assert_eq!(pem_body(&shown), pem_lines(&issued[i].pem), "{name}");
                }
                (None, UnknownName::Refuse) => assert!(alert(opened, "UnrecognisedName"), "{name}"),
                (None, UnknownName::First) => {
                    // It is for another host, which a client that checks does not believe.
                    assert!(alert(opened, "not valid for name"), "{name}");
                }
            }
        }
        let nameless = bench.client().nameless().open(to, "first.test").await.unwrap();
        assert_eq!(pem_body(&nameless.certificate.unwrap()), pem_lines(&issued[0].pem));
        let refused = stack.edge().metrics().await;
        let refused = refused.sum("weir_tls_handshakes_total", &["outcome=\"refused\""]);
        assert_eq!(refused, if unknown_name == UnknownName::Refuse { 2.0 } else { 0.0 });
    }
}

/// The certificate in a PEM file, without its lines.
fn pem_lines(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

fn pem_body(der: &[u8]) -> String {
    use std::fmt::Write;
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in der.chunks(3) {
        let bytes = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        for i in 0..4_usize {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63] as char;
            let shown = if i <= chunk.len() { digit } else { '=' };
            write!(text, "{shown}").unwrap();
        }
    }
    text
}

#[tokio::test]
async fn versions_and_protocols_are_those_offered() {
    let bench = Bench::new();
    let both = bench.edge(bench.tls(WWW)).await;
    let new_only = bench.edge(TlsConfig { min_version: MinVersion::Tls13, ..bench.tls(WWW) }).await;
    let old = TlsClient::old(&bench.authority);
    let reply = old.send(both.edge().tls_addr(), "www.test", &Request::get("/a")).await;
    assert_eq!(reply.status, 200);
    let metrics = both.edge().metrics().await;
    assert_eq!(
        metrics.sum("weir_tls_handshakes_total", &["outcome=\"ok\"", "version=\"1.2\""]),
        1.0
    );
    assert!(alert(old.open(new_only.edge().tls_addr(), "www.test").await, "ProtocolVersion"));
    // (offered, agreed on; None where there is nothing in common)
    let cases: [(&[&str], Option<Option<&str>>); 3] =
        [(&[], Some(None)), (&["http/1.1"], Some(Some("http/1.1"))), (&["spdy/1"], None)];
    for (offered, agreed) in cases {
        let client = bench.client().offering(offered);
        let opened = client.open(both.edge().tls_addr(), "www.test").await;
        match agreed {
            Some(agreed) => {
                let mut opened = opened.unwrap();
                assert_eq!(opened.alpn.as_deref(), agreed.map(str::as_bytes));
                assert_eq!(opened.send(&Request::get("/a")).await.unwrap().status, 200);
            }
            None => assert!(alert(opened, "NoApplicationProtocol")),
        }
    }
}

/// A client that knows both gets HTTP/2; its requests are those of the secured connection, and no others.
#[tokio::test]
async fn http2_is_preferred_over_tls() {
    let bench = Bench::new();
    let stack = bench.edge(bench.tls(WWW)).await;
    stack.serve("/a", "max-age=60", "hello");
    let client = bench.client().offering(&["http/1.1", "h2"]);
    let stream = client.connect(stack.edge().tls_addr(), "www.test").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    // (URL, status)
    let cases = [
        ("https://www.test/a", 200),
        ("https://www.test/a", 200),
        ("http://www.test/a", 400),
        ("https://other.test/a", 421),
    ];
    for (url, status) in cases {
        let request = http::Request::get(url).body(Full::<Bytes>::default()).unwrap();
        let response = soon("an answer", sender.send_request(request)).await.unwrap();
        assert_eq!(response.status(), status, "{url}");
    }
    let seen = stack.origin.requests("/a");
    assert_eq!((seen.len(), &seen[0].headers["x-forwarded-proto"]), (1, &"https".parse().unwrap()));
}

#[tokio::test]
async fn sessions_are_resumed() {
    let bench = Bench::new();
    let stack = bench.edge(bench.tls(WWW)).await;
    for client in [bench.client(), TlsClient::old(&bench.authority)] {
        for resumed in [false, true] {
            let mut connection = client.open(stack.edge().tls_addr(), "www.test").await.unwrap();
            assert_eq!(connection.resumed, resumed);
            // The ticket comes with the answer.
            assert_eq!(connection.send(&Request::get("/a")).await.unwrap().status, 200);
        }
    }
    assert_eq!(stack.edge().metrics().await.get("weir_tls_resumed_total"), 2.0);
}

#[tokio::test]
async fn a_request_is_for_the_host_that_was_named_or_one_of_its_certificate() {
    let bench = Bench::new();
    let certificates: &[&[&str]] = &[&["www.test", "*.img.test", "127.0.0.1"], &["other.test"]];
    let stack = bench.edge(bench.tls(certificates)).await;
    let to = stack.edge().tls_addr();
    // (name of the handshake, Host, status)
    let cases = [
        (Some("www.test"), "www.test", 200),
        (Some("www.test"), "WWW.test:8443", 200),
        (Some("www.test"), "a.img.test", 200),
        (Some("a.img.test"), "b.img.test", 200),
        (Some("www.test"), "127.0.0.1", 200),
        (Some("www.test"), "other.test", 421),
        (Some("www.test"), "img.test", 421),
        (Some("www.test"), "nobody.test", 421),
        (Some("other.test"), "www.test", 421),
        (None, "other.test", 200),
        (None, "nobody.test", 200),
    ];
    for (name, host, status) in cases {
        let client = if name.is_some() { bench.client() } else { bench.client().nameless() };
        let request = Request::get("/a").header("host", host);
        let reply = client.send(to, name.unwrap_or("www.test"), &request).await;
        assert_eq!(reply.status, status, "{name:?} {host}");
    }
    let refused = stack.edge().metrics().await.sum("weir_refused_total", &["misdirected"]);
    assert_eq!(refused, 4.0);
    // An absolute target has the scheme of the listener.
    for (scheme, status) in [("https", 200), ("http", 400)] {
        let request = Request::get(&format!("{scheme}://www.test/a"));
        assert_eq!(bench.client().send(to, "www.test", &request).await.status, status, "{scheme}");
    }
}

#[tokio::test]
async fn clients_without_tls_are_sent_to_https_and_those_with_it_told_to_stay() {
    let bench = Bench::new();
    let tls = bench.tls(WWW);
    let stack = Shape::single()
        .node(move |node| node.tls = tls.clone())
        .site(|site| {
            site.tls.redirect = true;
            site.tls.hsts = Some(Duration::from_secs(365 * 24 * 60 * 60));
            site.tls.hsts_subdomains = true;
        })
        .start()
        .await;
    stack
        .answer("/a", 200)
        .header("cache-control", "max-age=60")
        .header("strict-transport-security", "max-age=1")
        .body("hello")
        .set();
    let port = stack.edge().tls_addr().port();
    let post = Request::new(http::Method::POST, "/a?b").body("x");
    for (request, status) in [(Request::get("/a?b"), 301), (post, 308)] {
        let reply = stack.edge().send(&request).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.field("location"), format!("https://www.test:{port}/a?b"));
        assert_eq!(reply.field("cache-control"), "no-store");
        assert_eq!(reply.field("strict-transport-security"), "");
    }
    assert_eq!(stack.origin.requests("/a?b").len(), 0);
    let challenge = stack.edge().get("/.well-known/acme-challenge/token").await;
    assert_eq!(
        stack.origin.requests("/.well-known/acme-challenge/token").len(),
        1,
        "{challenge:?}"
    );
    let to = stack.edge().tls_addr();
    let promised = "max-age=31536000; includeSubDomains";
    for (host, expected) in [("www.test", promised), ("127.0.0.1", "max-age=1")] {
        for x_cache in ["MISS", "HIT"] {
            let request = Request::get("/a").header("host", host);
            let reply = bench.client().send(to, "www.test", &request).await;
            assert_eq!(reply.x_cache(), x_cache);
            assert_eq!(reply.field("strict-transport-security"), expected, "{host}");
        }
    }
}

#[tokio::test]
async fn certificates_are_read_again_when_files_change_and_connections_stay() {
    let bench = Bench::new();
    let mut tls = bench.tls(WWW);
    tls.reread_interval = Duration::from_millis(20);
    let stack = bench.edge(tls).await;
    let to = stack.edge().tls_addr();
    let mut before = bench.client().open(to, "www.test").await.unwrap();
    let shown = async || bench.client().open(to, "www.test").await.unwrap().certificate.unwrap();
    let first = shown().await;

    // A certificate without its key changes nothing.
    let renewed = bench.authority.certify(&["www.test", "new.test"]);
    let key = bench.path().join("c0.key");
    let old_key = std::fs::read(&key).unwrap();
    let _files = renewed.write(bench.path(), "c0");
    let new_key = std::fs::read(&key).unwrap();
    std::fs::write(&key, &old_key).unwrap();
    assert_eq!(before.send(&Request::get("/a")).await.unwrap().status, 200);

    std::fs::write(&key, &new_key).unwrap();
    soon("the renewed certificate", async {
        while shown().await == first {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(bench.client().open(to, "new.test").await.is_ok(), "names are read again too");
    assert_eq!(before.certificate.as_ref(), Some(&first));
    assert_eq!(before.send(&Request::get("/a")).await.unwrap().status, 200, "connections stay");
}

#[tokio::test]
async fn clients_show_certificates_where_they_may_or_must() {
    let bench = Bench::new();
    let strangers = Authority::new();
    let client_ca = Some(bench.authority.file(&bench.folder));
    let anonymous = bench.client();
    let known = TlsClient::showing(&bench.authority, &bench.authority.certify_client("ann"));
    let stranger = TlsClient::showing(&bench.authority, &strangers.certify_client("eve"));
    let server = bench.authority.issue(&["www.test"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let server = TlsClient::showing(&bench.authority, &server);
    // (mode, anonymous, known, stranger and a certificate for servers only)
    let cases = [
        (ClientCertificates::None, true, true, true),
        (ClientCertificates::Optional, true, true, false),
        (ClientCertificates::Required, false, true, false),
    ];
    for (client_certificates, anonymous_may, known_may, others_may) in cases {
        let client_ca =
            client_ca.clone().filter(|_| client_certificates != ClientCertificates::None);
        let stack =
            bench.edge(TlsConfig { client_ca, client_certificates, ..bench.tls(WWW) }).await;
        let to = stack.edge().tls_addr();
        let who = [
            ("anonymous", &anonymous, anonymous_may),
            ("known", &known, known_may),
            ("stranger", &stranger, others_may),
            ("server", &server, others_may),
        ];
        for (name, client, may) in who {
            let got = match client.open(to, "www.test").await {
                Ok(mut connection) => connection.send(&Request::get("/a")).await,
                Err(_) => None,
            };
            let status = got.map(|reply| reply.status.as_u16());
            assert_eq!(status, may.then_some(200), "{name} {client_certificates:?}");
        }
    }
}

#[tokio::test]
async fn a_site_may_want_certificates_and_tell_the_origin_whose() {
    let bench = Bench::new();
    let tls = TlsConfig {
        client_ca: Some(bench.authority.file(&bench.folder)),
        client_certificates: ClientCertificates::Optional,
        ..bench.tls(WWW)
    };
    for required in [true, false] {
        let tls = tls.clone();
        let stack = Shape::single()
            .node(move |node| node.tls = tls.clone())
            .site(move |site| {
                site.tls.require_client_certificate = required;
                site.tls.client_certificate_field = Some("x-client".parse().unwrap());
                site.key.headers = vec!["x-client".parse().unwrap()];
            })
            .start()
            .await;
        stack.serve("/a", "max-age=60", "hello");
        let to = stack.edge().tls_addr();
        let forged = Request::get("/a").header("x-client", "CN=ann");
        let anonymous = bench.client().send(to, "www.test", &forged).await;
        let plain = stack.edge().send(&forged).await;
        let status = if required { 403 } else { 200 };
        assert_eq!((anonymous.status.as_u16(), plain.status.as_u16()), (status, status));
        // No two have one text, whatever their names are made of.
        for name in ["ann", "bob", "Zo\u{eb}", "Zo\u{e9}", "ann, OU=admin"] {
            let client =
                TlsClient::showing(&bench.authority, &bench.authority.certify_client(name));
            let reply = client.send(to, "www.test", &forged).await;
            assert_eq!((reply.status.as_u16(), reply.x_cache()), (200, "MISS".into()), "{name}");
        }
        let told: Vec<_> = stack
            .origin
            .requests("/a")
            .iter()
            .map(|seen| {
                seen.headers.get("x-client").map(|value| value.to_str().unwrap().to_owned())
            })
            .collect();
        let known: Vec<_> = told.iter().flatten().collect();
        assert_eq!(known[..2], ["CN=ann", "CN=bob"]);
        assert!(known[2..].iter().all(|text| text.starts_with("blake3:")), "{known:?}");
        assert_eq!(told.iter().filter(|told| told.is_none()).count(), if required { 0 } else { 2 });
        // Who vouches for certificates asks without TLS, and has none.
        let challenge = stack.edge().get("/.well-known/acme-challenge/token").await;
        assert_eq!(challenge.status, 200);
    }
}

#[tokio::test]
async fn what_is_no_handshake_ends_and_harms_nobody() {
    let bench = Bench::new();
    let mut tls = bench.tls(WWW);
    tls.handshake_timeout = Duration::from_millis(200);
    let stack = bench.edge(tls).await;
    let to = stack.edge().tls_addr();
    let hello: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: www.test\r\n\r\n",
        b"\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x15\x03\x03\x00\x02\x02\x28",
    ];
    for bytes in hello {
        let answer = raw_exchange(to, bytes).await;
        assert!(!answer.contains("HTTP"), "{answer:?}");
    }
    // One that says nothing, and one that stops midway, end at the deadline.
    let mut silent = Raw::connect(to).await;
    let mut half = Raw::connect(to).await;
    half.write(b"\x16\x03\x01\x02\x00\x01\x00").await;
    silent.rest().await;
    half.rest().await;
    stack.edge().metrics_reach(|metrics| metrics.get("weir_connections") == 0.0).await;
    let metrics = stack.edge().metrics().await;
    let ended = |outcome: &str| metrics.sum("weir_tls_handshakes_total", &[outcome]);
    assert!(ended("timed-out") >= 2.0, "{}", ended("timed-out"));
    assert!(ended("failed") >= 3.0, "{}", ended("failed"));
    assert_eq!(metrics.get("weir_panics_total"), 0.0);

    // The other way round: a handshake where a request is expected.
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n";
    let answer = raw_exchange(stack.edge().addr(), hello).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer:?}");
    assert_eq!(stack.edge().get("/a").await.status, 200);
}

#[tokio::test]
async fn handshakes_that_are_not_done_count_among_the_connections() {
    let bench = Bench::new();
    let tls = bench.tls(WWW);
    let stack = Shape::single()
        .node(move |node| {
            node.tls = tls.clone();
            node.limits.connections_max = 3;
        })
        .start()
        .await;
    let to = stack.edge().tls_addr();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(Raw::connect(to).await);
    }
    stack.edge().metrics_reach(|metrics| metrics.get("weir_connections") == 3.0).await;
    assert!(bench.client().open(to, "www.test").await.is_err());
    let refused = stack.edge().metrics().await.get("weir_connections_refused_total");
    assert_eq!(refused, 1.0);
    drop(held);
    stack.edge().metrics_reach(|metrics| metrics.get("weir_connections") == 0.0).await;
    assert!(bench.client().open(to, "www.test").await.is_ok());
}

#[tokio::test]
async fn a_node_that_goes_away_ends_idle_connections_and_finishes_answers() {
    let bench = Bench::new();
    let mut stack = bench.edge(bench.tls(WWW)).await;
    let hold = stack.origin.script("/held").ok().body("x").hold().set();
    let mut busy = bench.client().open(stack.edge().tls_addr(), "www.test").await.unwrap();
    let mut idle = bench.client().open(stack.edge().tls_addr(), "www.test").await.unwrap();
    assert_eq!(idle.send(&Request::get("/a")).await.unwrap().status, 200);
    let answer = tokio::spawn(async move { busy.send(&Request::get("/held")).await });
    hold.reached().await;
    let edge = stack.edges.remove(0);
    let ending = tokio::spawn(edge.shutdown());
    idle.ended().await;
    hold.release();
    assert_eq!(answer.await.unwrap().unwrap().status, 200);
    ending.await.unwrap();
}

#[tokio::test]
async fn the_end_of_each_certificate_is_shown() {
    let bench = Bench::new();
    let stack = bench.edge(bench.tls(&[&["www.test"], &["*.b.test", "b.test"]])).await;
    let metrics = stack.edge().metrics().await;
    for name in ["www.test", "*.b.test"] {
        let until = metrics.sum("weir_tls_certificate_expiry_seconds", &[name]);
        assert_eq!(until, 7_258_118_400.0, "{name}: 2200-01-01");
    }
}
