//! Start, death, return and end of an origin.

use std::io::ErrorKind;

use tokio::{net::TcpStream, sync::oneshot};
use weir_origin_mock::{Config, OriginMock, StartError, run, url};

use crate::client::{Client, End};

#[tokio::test]
async fn a_stopped_origin_refuses_and_comes_back_on_the_same_port() {
    let origin = OriginMock::start().await;
    let hold = origin.script("/held").ok().hold().set();
    let mut held = Client::connect(origin.addr()).await;
    let mut idle = Client::connect(origin.addr()).await;
    held.ask("GET", "/held", "").await;
    idle.get("/a").await;
    hold.reached().await;
    for round in 0..3 {
        origin.stop().await;
        origin.stop().await;
        assert_eq!(origin.connections(), 0, "round {round}");
        let refused = TcpStream::connect(origin.addr()).await.expect_err("it is dead");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "round {round}");
        origin.restart().await.unwrap();
        origin.restart().await.unwrap();
        let mut client = Client::connect(origin.addr()).await;
        assert_eq!(client.get("/a").await.status, 200, "round {round}");
    }
    assert_eq!(held.end().await, End::Closed);
    assert_eq!(idle.end().await, End::Closed);
    assert_eq!(origin.hits("/a"), 4, "counts outlive the death");
    hold.release();
    let mut client = Client::connect(origin.addr()).await;
    assert_eq!(client.get("/held").await.fields.names(), ["content-length", "date"], "scripts too");
}

#[tokio::test]
async fn dropping_an_origin_ends_its_connections() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    client.get("/a").await;
    drop(origin);
    assert_eq!(client.end().await, End::Closed);
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let origin = OriginMock::start().await;
    let error = OriginMock::builder().listen(origin.addr()).start().await.expect_err("it is taken");
    assert_eq!(error.to_string(), format!("cannot listen on {}", origin.addr()));
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::AddrInUse);
}

#[tokio::test]
async fn bad_settings_are_named() {
    let missing = OriginMock::builder().dir("/no/such/folder").start().await;
    assert!(matches!(missing, Err(StartError::Dir { .. })), "{missing:?}");
    let file = OriginMock::builder().dir(file!().replace("origin-mock/", "")).start().await;
    assert!(matches!(file, Err(StartError::Dir { .. })), "{file:?}");
    let value = OriginMock::builder().cache_control("a\r\nb").start().await;
    assert!(matches!(value, Err(StartError::CacheControl { .. })), "{value:?}");
}

#[tokio::test]
async fn the_cache_control_can_be_chosen() {
    let origin = OriginMock::builder().cache_control("no-cache").start().await.unwrap();
    let mut client = Client::connect(origin.addr()).await;
    assert_eq!(client.get("/a").await.get("Cache-Control"), "no-cache");
}

#[tokio::test]
async fn running_in_process_ends_with_its_shutdown() {
    let (ready, is_ready) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let ready = |addr| ready.send(addr).expect("someone waits");
    let running = tokio::spawn(run(Config::default(), ready, async {
        stopped.await.expect("a stop");
    }));
    let addr = is_ready.await.unwrap();
    let mut client = Client::connect(addr).await;
    assert_eq!(client.get("/a").await.status, 200);
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    assert_eq!(client.end().await, End::Closed);
}

#[test]
fn urls_name_an_address_that_can_be_reached() {
    for (addr, expected) in [
        ("127.0.0.1:80", "http://127.0.0.1:80"),
        ("0.0.0.0:8380", "http://127.0.0.1:8380"),
        ("[::]:8380", "http://[::1]:8380"),
        ("[::1]:1", "http://[::1]:1"),
    ] {
        assert_eq!(url(addr.parse().unwrap()), expected);
    }
}
