//! Behaviours that a test scripts.

use std::time::{Duration, Instant};

use weir_origin_mock::{OriginMock, pattern_bytes};

use crate::client::{Client, End};

#[tokio::test]
async fn a_held_answer_stands_at_its_point_and_is_then_reset() {
    let origin = OriginMock::start().await;
    let hold = origin.script("/film").ok().content_length(1000).send(400).hold().then_reset().set();
    let mut client = Client::connect(origin.addr()).await;
    client.ask("GET", "/film?any=query", "").await;
    hold.reached().await;
    assert_eq!(origin.hits("/film"), 1);
    hold.release();
    let response = client.read().await;
    assert_eq!(response.get("Content-Length"), "1000");
    assert_eq!(response.body, pattern_bytes("/film", 1, 0..400));
    assert_eq!(response.end, Some(End::Reset));
}

#[tokio::test]
async fn what_was_sent_before_a_hold_is_on_the_wire() {
    let origin = OriginMock::start().await;
    let hold = origin.script("/a").ok().body("0123456789").send(4).hold().set();
    let mut client = Client::connect(origin.addr()).await;
    client.ask("GET", "/a", "").await;
    let head = client.read_head_only().await;
    assert_eq!(head.get("Content-Length"), "10");
    assert_eq!(client.bytes(4).await, b"0123");
    hold.reached().await;
    hold.release();
    assert_eq!(client.bytes(6).await, b"456789", "the rest follows without a call of its own");
    assert_eq!(client.get("/b").await.status, 200, "and the connection goes on");
}

#[tokio::test]
async fn several_requests_wait_at_one_hold() {
    let origin = OriginMock::start().await;
    let hold = origin.script("/a").status(404).body("no").hold().set();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(origin.addr()).await;
        client.ask("GET", "/a", "").await;
        clients.push(client);
    }
    hold.reached_by(3).await;
    assert_eq!(origin.connections(), 3);
    hold.release();
    for client in &mut clients {
        let response = client.read().await;
        assert_eq!((response.status, response.text()), (404, "no"));
    }
}

#[tokio::test]
async fn a_script_can_stop_at_two_points() {
    let origin = OriginMock::start().await;
    let second = origin.gate("second");
    let first = origin.script("/a").ok().body("ab").hold().send(1).hold_at(&second).set();
    let mut client = Client::connect(origin.addr()).await;
    client.ask("GET", "/a", "").await;
    first.reached().await;
    first.release();
    second.reached().await;
    second.release();
    assert_eq!(client.read().await.text(), "ab");
}

#[tokio::test]
async fn setting_again_replaces_and_once_is_used_in_order() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    origin.script("/a").status(500).set();
    origin.script("/a").status(404).set();
    origin.script("/a").status(502).once().set();
    origin.script("/a").status(503).once().set();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.get("/a").await.status);
    }
    assert_eq!(statuses, [502, 503, 404, 404]);
    origin.script("/a").status(502).once().set();
    origin.script("/a").status(410).set();
    assert_eq!(client.get("/a").await.status, 410, "what was pending is replaced too");
    origin.clear_script("/a");
    assert_eq!(client.get("/a").await.status, 200);
}

#[tokio::test]
async fn a_script_sends_only_the_fields_it_names() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    origin.script("/a").ok().header("Vary", "A").header("vary", "B").header("ETag", "\"e\"").set();
    let response = client.get_with("/a", "If-None-Match: \"e\"\r\n").await;
    assert_eq!(response.status, 200, "conditions are not looked at");
    assert_eq!(response.fields.names(), ["content-length", "date", "etag", "vary", "vary"]);
    origin.script("/a").ok().without_date().set();
    assert_eq!(client.get("/a").await.fields.names(), ["content-length"]);
}

#[tokio::test]
async fn nothing_or_everything_goes_out_before_an_end_without_send() {
    let origin = OriginMock::start().await;
    origin.script("/silent").then_reset().set();
    origin.script("/silent-close").then_close().set();
    origin.script("/whole").ok().body("all").then_close().set();
    origin.script("/head").ok().body("all").send(0).then_close().set();
    let cases = [
        ("/silent", 0, "", End::Reset),
        ("/silent-close", 0, "", End::Closed),
        ("/head", 200, "", End::Closed),
    ];
    for (path, status, body, end) in cases {
        let response = Client::connect(origin.addr()).await.get(path).await;
        assert_eq!(
            (response.status, response.text(), response.end),
            (status, body, Some(end)),
            "{path}"
        );
    }
    let mut client = Client::connect(origin.addr()).await;
    let response = client.get("/whole").await;
    assert_eq!((response.text(), response.get("Connection"), response.end), ("all", "", None));
    assert_eq!(client.end().await, End::Closed, "unannounced");
}

#[tokio::test]
async fn raw_bytes_are_sent_verbatim() {
    let origin = OriginMock::start().await;
    let raw = b"HTTP/1.1 200 O\0K\nBad Name : x\r\n folded\r\n\r\nbody";
    let hold = origin.script("/raw").raw(&raw[..20]).hold().raw(&raw[20..]).set();
    let mut client = Client::connect(origin.addr()).await;
    client.ask("GET", "/raw", "").await;
    assert_eq!(client.bytes(20).await, &raw[..20]);
    hold.release();
    assert_eq!(client.rest().await, (raw[20..].to_vec(), End::Closed));
    origin.script("/raw").raw("HTTP").then_reset().set();
    let mut client = Client::connect(origin.addr()).await;
    client.ask("GET", "/raw", "").await;
    assert_eq!(client.rest().await, (b"HTTP".to_vec(), End::Reset));
}

#[tokio::test]
async fn framing_can_be_wrong_in_every_way() {
    let origin = OriginMock::start().await;
    origin.script("/short").ok().body("1234").content_length(9).set();
    origin.script("/unsaid").ok().body("1234").close_delimited().set();
    origin.script("/own").ok().header("Content-Length", "4, 4").body("1234").set();
    let response = Client::connect(origin.addr()).await.get("/short").await;
    assert_eq!((response.text(), response.end), ("1234", Some(End::Closed)));
    let response = Client::connect(origin.addr()).await.get("/unsaid").await;
    assert_eq!((response.text(), response.get("Connection")), ("1234", "close"));
    assert_eq!((response.get("Content-Length"), response.end), ("", Some(End::Closed)));
    let mut client = Client::connect(origin.addr()).await;
    client.ask("GET", "/own", "").await;
    assert_eq!(client.read_head_only().await.get("Content-Length"), "4, 4");
    assert_eq!(client.rest().await, (b"1234".to_vec(), End::Closed));
}

#[tokio::test]
async fn interim_responses_chunks_and_trailers_can_be_scripted() {
    let origin = OriginMock::start().await;
    let hold = origin
        .script("/a")
        .informational(100, &[])
        .informational(103, &[("Link", "</a>"), ("X", "y")])
        .hold()
        .ok()
        .body("body")
        .trailer("X-Sum", "1")
        .set();
    let mut client = Client::connect(origin.addr()).await;
    client.ask("GET", "/a", "").await;
    hold.reached().await;
    assert_eq!(client.bytes(25).await, b"HTTP/1.1 100 Continue\r\n\r\n", "before the hold");
    hold.release();
    let response = client.read().await;
    assert_eq!((response.interim[0].0, response.interim[0].1.get("X")), (103, "y"));
    assert_eq!((response.text(), response.trailers.get("X-Sum")), ("body", "1"));
}

#[tokio::test]
async fn delay_and_drip_can_be_scripted() {
    let origin = OriginMock::start().await;
    let tick = Duration::from_millis(30);
    origin.script("/a").delay(tick).ok().body("abc").drip(1, tick).set();
    let start = Instant::now();
    let response = Client::connect(origin.addr()).await.get("/a").await;
    assert_eq!(response.text(), "abc");
    assert!(start.elapsed() >= tick * 3, "one delay and two pauses");
}

#[tokio::test]
async fn head_of_a_script_has_no_body() {
    let origin = OriginMock::start().await;
    origin.script("/a").ok().body("abc").chunked().set();
    let mut client = Client::connect(origin.addr()).await;
    client.ask("HEAD", "/a", "").await;
    assert_eq!(client.read_head_only().await.get("Transfer-Encoding"), "chunked");
    assert_eq!(client.get("/a").await.text(), "abc");
}

#[tokio::test]
async fn requests_are_kept_as_they_came() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    client.ask("POST", "/a?b=c", "Content-Length: 3\r\nX-A: 1\r\nX-A: 2\r\n").await;
    client.send("abc").await;
    origin.hits_reach("/a", 1).await;
    let seen = &origin.requests("/a")[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str(), seen.body_len), ("POST", "/a?b=c", 3));
    let values: Vec<_> = seen.headers.get_all("x-a").iter().collect();
    assert_eq!(values, ["1", "2"]);
    assert_eq!(origin.requests("/other"), []);
}

#[tokio::test]
async fn a_request_whose_client_leaves_is_counted_with_what_came() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    client.ask("POST", "/a", "Content-Length: 10\r\n").await;
    client.send("abc").await;
    drop(client);
    origin.hits_reach("/a", 1).await;
    assert_eq!(origin.requests("/a")[0].body_len, 3);
}

#[tokio::test]
#[should_panic(expected = "0 of 1 requests reached the hold")]
async fn waiting_for_what_never_comes_fails_the_test() {
    let origin = OriginMock::start().await;
    let hold = origin.script("/a").ok().hold().set();
    tokio::time::pause();
    hold.reached().await;
}

#[tokio::test]
async fn raw_bytes_can_leave_the_connection_open() {
    let origin = OriginMock::start().await;
    let raw = "HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad";
    origin.script("/a").raw(raw).then_keep().set();
    let mut client = Client::connect(origin.addr()).await;
    assert_eq!(client.get("/a").await.status, 304);
    client.ask("GET", "/b", "").await;
    assert_eq!(client.read().await.text(), "bad", "the excess is taken for the next answer");
    assert_eq!(client.read().await.text(), "path: /b\nversion: 1\n");
}

#[tokio::test]
async fn an_answer_can_come_before_the_body() {
    let origin = OriginMock::start().await;
    origin.script("/a").status(413).body("too large").before_body().set();
    let mut client = Client::connect(origin.addr()).await;
    client.ask("POST", "/a", "Expect: 100-continue\r\nContent-Length: 1000000\r\n").await;
    let response = client.read().await;
    assert_eq!((response.status, response.text()), (413, "too large"));
    assert_eq!((response.interim.len(), response.get("Connection")), (0, "close"));
    client.send("GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.end().await;
    assert_eq!((origin.total(), origin.hits("/b")), (1, 0), "the body is not taken for a request");
}
