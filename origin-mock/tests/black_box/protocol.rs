//! HTTP/1.1 on the wire: framing, persistence, refusals.

use weir_origin_mock::OriginMock;

use crate::client::{Client, End};

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let mut requests = String::new();
    for n in 0..50 {
        requests += &format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET ");
    }
    client.send(requests).await;
    for n in 0..50 {
        assert!(client.read().await.text().contains(&format!("path: /{n}\n")), "{n}");
    }
    assert_eq!(origin.total(), 50, "no body byte was taken for a request");
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let request = "\r\nPOST /a?echo=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   2\r\nab\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.read().await.text(), "ab");
}

#[tokio::test]
async fn an_expectation_is_met_before_the_body() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    client.ask("POST", "/a?echo=1", "Expect: 100-continue\r\nContent-Length: 2\r\n").await;
    assert_eq!(client.bytes(25).await, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ok").await;
    assert_eq!(client.read().await.text(), "ok");
}

#[tokio::test]
async fn bad_requests_are_refused_and_the_connection_closes() {
    let origin = OriginMock::start().await;
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    let cases = [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\n\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nab\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
        (&large, 431),
    ];
    for (request, status) in cases {
        let shown = &request[..request.len().min(80)];
        let mut client = Client::connect(origin.addr()).await;
        client.send(request).await;
        let response = client.read().await;
        assert_eq!((response.status, response.get("Connection")), (status, "close"), "{shown:?}");
        assert_eq!(client.end().await, End::Closed, "{shown:?}");
    }
}

#[tokio::test]
async fn a_head_of_almost_the_limit_is_served() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let path = format!("/{}", "p".repeat(60_000));
    assert_eq!(client.get(&path).await.status, 200);
    assert_eq!(origin.hits(&path), 1);
}

#[tokio::test]
async fn clients_of_http_1_0_get_what_they_understand() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    client.send("GET /a?size=10&chunked=1&info=103 HTTP/1.0\r\n\r\n").await;
    let response = client.read().await;
    assert_eq!((response.interim.len(), response.get("Transfer-Encoding")), (0, ""));
    assert_eq!((response.body.len(), response.end), (10, Some(End::Closed)));

    let mut client = Client::connect(origin.addr()).await;
    client.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    assert_eq!(client.read().await.get("Connection"), "keep-alive");
    client.send("GET /a HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.read().await.get("Connection"), "close");
    assert_eq!(client.end().await, End::Closed);
}

#[tokio::test]
async fn a_client_may_ask_to_close() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let response = client.get_with("/a", "Connection: close\r\n").await;
    assert_eq!(response.get("Connection"), "close");
    assert_eq!(client.end().await, End::Closed);
}

#[tokio::test]
async fn absolute_targets_are_counted_by_their_path() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    assert_eq!(client.get("http://test/a?x").await.text(), "path: /a\nversion: 1\n");
    assert_eq!(origin.requests("/a")[0].target, "http://test/a?x");
}
