//! Behaviours that the query asks for.

use std::time::{Duration, Instant};

use weir_origin_mock::{OriginMock, pattern_bytes};

use crate::client::{Client, End};

#[tokio::test]
async fn a_cut_sends_the_full_length_and_fewer_bytes() {
    let origin = OriginMock::start().await;
    for (target, end) in
        [("/a?size=1000&cut=400", End::Closed), ("/a?size=1000&reset=400", End::Reset)]
    {
        let response = Client::connect(origin.addr()).await.get(target).await;
        assert_eq!(response.get("Content-Length"), "1000", "{target}");
        assert_eq!(response.body, pattern_bytes("/a", 1, 0..400), "{target}");
        assert_eq!(response.end, Some(end), "{target}");
        assert_eq!(response.get("Connection"), "", "{target}: not announced");
    }
}

#[tokio::test]
async fn a_cut_of_a_chunked_body_has_no_last_chunk() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let response = client.get("/a?size=1000&chunked=1&cut=1000").await;
    assert_eq!(response.body.len(), 1000);
    assert_eq!(response.end, Some(End::Closed), "all bytes came and the end did not");
}

#[tokio::test]
async fn a_length_too_long_ends_in_a_close() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let response = client.get("/a?size=10&length=18446744073709551615").await;
    assert_eq!(response.get("Content-Length"), "18446744073709551615");
    assert_eq!((response.body.len(), response.end), (10, Some(End::Closed)));
}

#[tokio::test]
async fn a_length_too_short_leaves_excess_bytes_on_an_open_connection() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let response = client.get("/a?size=10&length=4").await;
    assert_eq!((response.body.len(), response.end), (4, None));
    assert_eq!(client.bytes(6).await, pattern_bytes("/a", 1, 4..10), "the excess");
    assert_eq!(client.get("/b").await.status, 200, "the connection is open");
}

#[tokio::test]
async fn chunked_bodies_and_trailers_arrive_whole() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let response = client.get("/a?size=200000&chunked=1").await;
    assert!(response.body == pattern_bytes("/a", 1, 0..200_000), "the bytes differ");
    assert_eq!(response.get("Content-Length"), "");
    let response = client.get("/a?trailer=X-Sum:5&trailer=X-End:a%20b").await;
    assert_eq!(response.get("Trailer"), "X-Sum, X-End");
    assert_eq!((response.trailers.get("X-Sum"), response.trailers.get("X-End")), ("5", "a b"));
    assert_eq!(response.end, None);
}

#[tokio::test]
async fn interim_responses_come_first() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let response = client.get("/a?info=103&info=102").await;
    let interim: Vec<u16> = response.interim.iter().map(|(status, _)| *status).collect();
    assert_eq!((interim.as_slice(), response.status), ([103, 102].as_slice(), 200));
    assert!(response.interim[0].1.get("Link").contains("rel=preload"));
}

#[tokio::test]
async fn status_and_headers_are_as_asked_for() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let target = "/a?status=503&header=Retry-After:5&header=Set-Cookie:a%3D1&header=Set-Cookie:b";
    let response = client.get(target).await;
    assert_eq!((response.status, response.get("Retry-After")), (503, "5"));
    assert_eq!(response.fields.all("Set-Cookie"), ["a=1", "b"]);
    assert_eq!(response.get("Cache-Control"), "", "an error is not storable by default");
    let response = client.get("/a?header=Cache-Control:no-store").await;
    assert_eq!(response.get("Cache-Control"), "no-store", "the default is replaced");
    let response = client.get("/a?status=204").await;
    assert_eq!((response.status, response.get("Content-Length")), (204, ""));
    let response = client.get("/a?status=299").await;
    assert_eq!(response.text(), "path: /a\nversion: 1\n");
}

#[tokio::test]
async fn delay_and_drip_take_their_time() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    for target in ["/a?delay=60", "/a?drip=60", "/a?size=1000000&drip=60&chunked=1"] {
        let start = Instant::now();
        let response = client.get(target).await;
        assert!(start.elapsed() >= Duration::from_millis(60), "{target}");
        assert_eq!((response.status, response.end), (200, None), "{target}");
    }
}

#[tokio::test]
async fn a_named_gate_holds_until_released_and_stays_open() {
    let origin = OriginMock::start().await;
    let mut held = Client::connect(origin.addr()).await;
    held.ask("GET", "/a?hold=door", "").await;
    origin.gate("door").reached().await;
    let mut other = Client::connect(origin.addr()).await;
    let released = other.post("/__origin/release?gate=door", b"").await;
    assert_eq!(released.text(), "{\"gate\":\"door\",\"open\":true}\n");
    assert_eq!(held.read().await.status, 200);
    assert_eq!(other.get("/b?hold=door").await.status, 200, "level-triggered");

    other.ask("DELETE", "/__origin/release?gate=door", "").await;
    assert_eq!(other.read().await.text(), "{\"gate\":\"door\",\"open\":false}\n");
    held.ask("GET", "/c?hold=door", "").await;
    origin.gate("door").reached_by(3).await;
    origin.gate("door").release();
    assert_eq!(held.read().await.status, 200);
}

#[tokio::test]
async fn close_is_announced_and_done() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let response = client.get("/a?close=1").await;
    assert_eq!((response.get("Connection"), response.end), ("close", None));
    assert_eq!(client.end().await, End::Closed);
}

#[tokio::test]
async fn echo_returns_the_body_of_the_request() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let body = pattern_bytes("/x", 1, 0..300_000);
    let response = client.post("/a?echo=1", &body).await;
    assert!(response.body == body, "the bytes differ");
    client.ask("PUT", "/a?echo=1", "Transfer-Encoding: chunked\r\n").await;
    client.send("3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n").await;
    assert_eq!(client.read().await.text(), "abc0123456789");
    assert_eq!(origin.requests("/a")[1].body_len, 13);
}

#[tokio::test]
async fn a_bad_value_is_explained_and_the_connection_goes_on() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let response = client.get("/a?size=many").await;
    assert_eq!(response.status, 400);
    let expected = "size: expected a whole number from 0 to 17179869184, got \"many\"\n";
    assert_eq!(response.text(), expected);
    assert_eq!(client.get("/a").await.status, 200);
    assert_eq!(origin.hits("/a"), 2, "it was a request all the same");
}
