//! Where requests go when the addresses of a name change, asked of a name server on loopback.

use std::net::Ipv4Addr;
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::UpstreamConfig;
use crate::upstream::resolve::Resolver;
use crate::upstream::resolve::fake::NameServer;
use crate::upstream::transport::Transport;

const A: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const B: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const SOON: Duration = Duration::from_secs(15);

/// Answers every request on `stream` with `name`.
async fn answer(mut stream: TcpStream, name: &'static str) {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {
        if bytes.ends_with(b"\r\n\r\n") {
            bytes.clear();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{name}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

/// A server that says its name.
async fn server(address: Ipv4Addr, port: u16, name: &'static str) -> u16 {
    let listener = TcpListener::bind((address, port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, name));
        }
    });
    port
}

fn link(servers: &NameServer, port: u16) -> Link {
    let resolver = Resolver::asking(servers.port());
    let transport = Transport::resolving_with(resolver, &UpstreamConfig::default());
    Link::new(&UpstreamAddr::plain("origin.test", port), &transport.to_parents())
}

async fn ask(link: &Link) -> String {
    let request = Request::builder().uri("/").header("host", "www.test").body(OutBody::Empty);
    let answer = link.request(request.unwrap(), false).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn requests_follow_a_name_whose_address_changes() {
    let servers = NameServer::start(&[A], 1).await;
    let port = server(A, 0, "a").await;
    server(B, port, "b").await;
    let link = link(&servers, port);
    assert_eq!(ask(&link).await, "a");
    servers.say(Some(&[B]));
    // The first server lives on, and so does the idle connection to it.
    let followed = async { while ask(&link).await != "b" {} };
    tokio::time::timeout(SOON, followed).await.unwrap();
    for _ in 0..20 {
        assert_eq!(ask(&link).await, "b");
    }
    assert!(servers.asked() < 20, "once a TTL, not once a request: {}", servers.asked());
}

#[tokio::test]
async fn a_dead_address_is_passed_over_and_a_name_without_live_ones_asked_about_again() {
    let servers = NameServer::start(&[A, B], 3_600).await;
    let port = server(B, 0, "b").await;
    let link = link(&servers, port);
    assert_eq!(ask(&link).await, "b");

    let servers = NameServer::start(&[A], 3_600).await;
    let link = self::link(&servers, port);
    servers.say(Some(&[B]));
    let moved = async {
        loop {
            let request = Request::builder().uri("/").header("host", "www.test");
            match link.request(request.body(OutBody::Empty).unwrap(), false).await {
                Ok(_) => break,
                Err(LinkError::Connect(_)) => tokio::task::yield_now().await,
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(SOON, moved).await.unwrap();
}
