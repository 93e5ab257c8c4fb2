//! Generated pages and bodies, without any instruction.

use weir_origin_mock::{OriginMock, pattern_bytes};

use crate::client::Client;

#[tokio::test]
async fn any_path_answers_with_its_name_and_version() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let first = client.get("/any/path?x=1").await;
    assert_eq!((first.status, first.text()), (200, "path: /any/path\nversion: 1\n"));
    assert_eq!(first.get("Cache-Control"), "public, max-age=60");
    assert_eq!(
        first.fields.names(),
        ["accept-ranges", "cache-control", "content-length", "content-type", "date", "etag"],
        "nothing else leaks"
    );
    let other = client.get("/any/path?y").await;
    assert_eq!(other.get("ETag"), first.get("ETag"), "the query is not part of the page");
}

#[tokio::test]
async fn a_deploy_changes_every_page_and_its_tag() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let old = client.get("/a").await;
    assert_eq!(origin.deploy(), 2);
    let fields = format!("If-None-Match: {}\r\n", old.get("ETag"));
    let new = client.get_with("/a", &fields).await;
    assert_eq!((new.status, new.text()), (200, "path: /a\nversion: 2\n"));
    let fields = format!("If-None-Match: {}\r\n", new.get("ETag"));
    let same = client.get_with("/a", &fields).await;
    assert_eq!((same.status, same.get("ETag")), (304, new.get("ETag")));
    assert_eq!(same.get("Content-Length"), "");
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let get = client.get("/a?size=100").await;
    client.ask("HEAD", "/a?size=100", "").await;
    let head = client.read_head_only().await;
    assert_eq!(head.get("Content-Length"), "100");
    assert_eq!(head.fields.names(), get.fields.names());
    assert_eq!(client.get("/b").await.status, 200, "no body byte is in the way");
}

#[tokio::test]
async fn sized_bodies_follow_the_pattern() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let response = client.get("/big?size=1000000&v=9").await;
    assert_eq!(response.get("Content-Length"), "1000000");
    assert!(response.body == pattern_bytes("/big", 1, 0..1_000_000), "the bytes differ");
    origin.deploy();
    let response = client.get("/big?size=100").await;
    assert_eq!(response.body, pattern_bytes("/big", 2, 0..100));
}

#[tokio::test]
async fn a_range_of_the_largest_body_is_answered_at_once() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    let response = client.get_with("/big?size=17179869184", "Range: bytes=-100\r\n").await;
    assert_eq!(response.status, 206);
    assert_eq!(response.get("Content-Range"), "bytes 17179869084-17179869183/17179869184");
    assert_eq!(response.body, pattern_bytes("/big", 1, 17_179_869_084..17_179_869_184));
}

#[tokio::test]
async fn other_methods_answer_200_and_can_be_told_apart() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        client.ask(method, "/a", "").await;
        let response = client.read().await;
        assert_eq!(response.status, 200, "{method}");
        assert!(response.text().starts_with(&format!("method: {method}\n")), "{method}");
        assert_eq!(response.get("Cache-Control"), "", "{method}: nothing to store");
    }
    client.ask("OPTIONS", "*", "").await;
    assert!(client.read().await.get("Allow").contains("GET"));
    client.ask("CONNECT", "host:443", "").await;
    assert_eq!(client.read().await.status, 405, "no tunnel");
}
