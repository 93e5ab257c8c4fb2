//! TLS to clients: which certificate they see, what their requests mean, and what ends a handshake.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use weir_node::config::{ClientCertificates, MinVersion, TlsConfig, UnknownName};
use weir_tests::{Authority, Folder, Issued, Raw, Request, Shape, Stack, TlsClient, raw_exchange};

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
