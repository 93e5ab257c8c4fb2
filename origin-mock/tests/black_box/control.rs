//! The paths under `/__origin/`.

use weir_origin_mock::OriginMock;

use crate::client::Client;

#[tokio::test]
async fn stats_count_everything_but_themselves() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    client.get("/b?x").await;
    client.get("/b?y").await;
    client.get("/a").await;
    let stats = client.get("/__origin/stats").await;
    let expected = r#"{"connections":1,"paths":{"/a":1,"/b":2},"total":3,"version":1}"#;
    assert_eq!(stats.text().trim(), expected);
    assert_eq!(stats.get("Cache-Control"), "no-store");
    assert_eq!((origin.total(), origin.hits("/__origin/stats")), (3, 0));

    client.ask("DELETE", "/__origin/stats", "").await;
    let expected = r#"{"connections":1,"paths":{},"total":0,"version":1}"#;
    assert_eq!(client.read().await.text().trim(), expected);
    assert_eq!((origin.total(), origin.hits("/b")), (0, 0));
}

#[tokio::test]
async fn a_deploy_says_the_new_version() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    assert_eq!(client.post("/__origin/deploy", b"").await.text(), "{\"version\":2}\n");
    assert_eq!(origin.version(), 2);
}

#[tokio::test]
async fn wrong_uses_are_explained() {
    let origin = OriginMock::start().await;
    let mut client = Client::connect(origin.addr()).await;
    for (method, target, status, says) in [
        ("GET", "/__origin/deploy", 405, "POST"),
        ("POST", "/__origin/stats", 405, "DELETE"),
        ("GET", "/__origin/release?gate=a", 405, "POST"),
        ("POST", "/__origin/release", 400, "gate: expected a name"),
        ("POST", "/__origin/release?gate=%zz", 400, "gate: expected a name"),
        ("GET", "/__origin/", 404, "/__origin/stats"),
    ] {
        client.ask(method, target, "").await;
        let response = client.read().await;
        assert_eq!(response.status, status, "{method} {target}");
        assert!(response.text().contains(says), "{method} {target}: {}", response.text());
    }
    assert_eq!(origin.version(), 1);
}
