//! What the admin API can be made to fetch: what configured sites have, from their origins, and nothing
//! else.

use http::Method;
use serde_json::{Value, json};
use weir_origin_mock::OriginMock;
use weir_tests::{Reply, Request, Shape, Stack, TOKEN};

/// A site for `www.test` and no other host.
async fn one_host() -> Stack {
    Shape::single().site(|site| site.hosts = vec!["www.test".parse().unwrap()]).start().await
}

async fn send(stack: &Stack, request: Request) -> Reply {
    let token = format!("Bearer {TOKEN}");
    request.header("authorization", &token).send(stack.edge().admin_addr()).await
}

fn escaped(url: &str) -> String {
    let escape = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    url.bytes().map(escape).collect()
}

/// Every way to have something fetched, stored or purged by its URL, and `PURGE`, whose host is its own.
async fn ask_all(stack: &Stack, url: &str) -> Vec<(&'static str, Reply)> {
    let post = |path: &str, body: Value| Request::new(Method::POST, path).body(body.to_string());
    let put = format!("/v1/objects?wait=20s&url={}", escaped(url));
    let put =
        Request::new(Method::PUT, &put).header("object-cache-control", "max-age=60").body("x");
    let requests = [
        ("urls", post("/v1/preloads?wait=20s", json!({"urls": [url]}))),
        ("sitemap", post("/v1/preloads?wait=20s", json!({"sitemap": url}))),
        ("manifest", post("/v1/preloads?wait=20s", json!({"manifest": url}))),
        ("object", put),
        ("purge", post("/v1/purges?wait=20s", json!({"urls": [url]}))),
    ];
    let mut replies = Vec::new();
    for (way, request) in requests {
        replies.push((way, send(stack, request).await));
    }
    replies
}

#[tokio::test]
async fn no_url_leads_to_a_host_that_no_site_has() {
    let stack = one_host().await;
    let trap = OriginMock::start().await;
    let port = trap.addr().port();
    let long = format!("http://www.test/{}", "a".repeat(40_000));
    let urls = [
        // Addresses of this machine and of its provider, as they may be spelled.
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://0:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fe80::1%25eth0]/".to_owned(),
        // Hosts that are almost the site's.
        "http://www.test.evil.test/".to_owned(),
        "http://evil.www.test/".to_owned(),
        "http://www.test%2eevil.test/".to_owned(),
        "http://www.test%00.evil.test/".to_owned(),
        // Two readings of one host.
        "http://user@www.test/".to_owned(),
        "http://user:password@www.test/".to_owned(),
        format!("http://www.test@127.0.0.1:{port}/"),
        format!("http://www.test:80@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}#@www.test/"),
        format!("http://127.0.0.1:{port}\\@www.test/"),
        format!("http://www.test,127.0.0.1:{port}/"),
        "http:// www.test/".to_owned(),
        "http://www.test /".to_owned(),
        // Ports that are none.
        "http://www.test:80:80/".to_owned(),
        "http://www.test:99999/".to_owned(),
        "http://www.test:-1/".to_owned(),
        format!("http://www.test:{port}@/"),
        // Other schemes, files, and no scheme.
        "file:///etc/passwd".to_owned(),
        "file://www.test/etc/passwd".to_owned(),
        "ftp://www.test/a".to_owned(),
        format!("gopher://www.test:{port}/_GET"),
        "unix:/run/weir.sock".to_owned(),
        "data:text/plain,x".to_owned(),
        "javascript://www.test/%0a".to_owned(),
        "jar:http://www.test/a".to_owned(),
        "/etc/passwd".to_owned(),
        "../../etc/passwd".to_owned(),
        "//www.test/a".to_owned(),
        "http:/www.test/a".to_owned(),
        "www.test/a".to_owned(),
        String::new(),
        // Characters that would end a line, and more of them than a URL may have.
        "http://www.test/a?b\r\nHost: evil.test\r\n\r\n".to_owned(),
        "http://www.test\r\nHost: evil.test/".to_owned(),
        "http://www.test/?\0".to_owned(),
        "http://www.test/?a b".to_owned(),
    ];
    for url in &urls {
        for (way, reply) in ask_all(&stack, url).await {
            let said = String::from_utf8_lossy(&reply.body);
            assert_eq!(reply.status, 422, "{way} {url:?}: {said}");
        }
    }
    for (way, reply) in ask_all(&stack, &long).await.into_iter().filter(|(way, _)| *way != "purge")
    {
        assert_eq!(reply.status, 422, "{way}: too long");
    }
    assert_eq!(stack.origin.total(), 0, "the origin was not asked");
    assert_eq!(trap.total(), 0, "nor was anybody else");
}

/// A port in a URL is not a port to connect to.
#[tokio::test]
async fn a_port_leads_to_the_origin_of_the_site_all_the_same() {
    let stack = one_host().await;
    let trap = OriginMock::start().await;
    stack.serve("/a", "max-age=60", "a");
    let url = format!("http://www.test:{}/a", trap.addr().port());
    let wish = json!({"urls": [url]}).to_string();
    let request = Request::new(Method::POST, "/v1/preloads?wait=20s").body(wish);
    assert_eq!(send(&stack, request).await.status, 200);
    assert_eq!((stack.origin.hits("/a"), trap.total()), (1, 0));
}

/// A site for any host is asked at its own origins, whatever the host.
#[tokio::test]
async fn a_site_for_any_host_never_leads_beyond_its_origins() {
    let stack = Shape::single().start().await;
    let trap = OriginMock::start().await;
    let port = trap.addr().port();
    stack.serve("/latest/meta-data/", "max-age=60", "the origin's own");
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        "169.254.169.254".to_owned(),
        "metadata.google.internal".to_owned(),
    ] {
        let url = format!("http://{host}/latest/meta-data/");
        let before = stack.origin.hits("/latest/meta-data/");
        let wish = json!({"urls": [url]}).to_string();
        let request = Request::new(Method::POST, "/v1/preloads?wait=20s").body(wish);
        let reply = send(&stack, request).await;
        let said: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status.as_u16(), &said["done"]), (200, &json!(1)), "{host}: {said}");
        assert_eq!(stack.origin.hits("/latest/meta-data/"), before + 1, "{host}");
        let manifest = json!({"manifest": url}).to_string();
        let request = Request::new(Method::POST, "/v1/preloads?wait=20s").body(manifest);
        assert_eq!(send(&stack, request).await.status, 422, "what came is no list of URLs");
    }
    for url in ["file:///etc/passwd", "gopher://x/", "http://a@b/", "http:///", "http://a\\b/"] {
        for (way, reply) in ask_all(&stack, url).await {
            assert_eq!(reply.status, 422, "{way} {url}");
        }
    }
    assert_eq!(trap.total(), 0);
}

/// Redirects are an answer like any other.
#[tokio::test]
async fn no_redirect_of_an_origin_is_followed() {
    let stack = one_host().await;
    let trap = OriginMock::start().await;
    let away = format!("http://{}/", trap.addr());
    for status in [301, 302, 303, 307, 308] {
        for (number, to) in [away.as_str(), "//169.254.169.254/", "/elsewhere"].iter().enumerate() {
            let path = format!("/{status}/{number}");
            let script = stack.answer(&path, status).header("location", to);
            script.header("cache-control", "max-age=60").set();
            for (way, reply) in ask_all(&stack, &format!("http://www.test{path}")).await {
                // A redirect may be stored as what it is; it is no document.
                let expected = if matches!(way, "sitemap" | "manifest") { 422 } else { 200 };
                let said = String::from_utf8_lossy(&reply.body);
                assert_eq!(reply.status.as_u16(), expected, "{way} {path} to {to}: {said}");
            }
        }
    }
    assert_eq!((stack.origin.hits("/elsewhere"), trap.total()), (0, 0));
}

/// A document of the site may name what it likes.
#[tokio::test]
async fn what_a_document_names_is_held_to_the_same() {
    let stack = one_host().await;
    let trap = OriginMock::start().await;
    let away = format!("http://{}/x.xml", trap.addr());
    let long = format!("http://www.test/{}", "a".repeat(40_000));
    for (number, named) in [away.as_str(), "file:///etc/passwd", long.as_str()].iter().enumerate() {
        let (index, pages) = (format!("/index-{number}.xml"), format!("/pages-{number}.xml"));
        let list = format!("/list-{number}.txt");
        let sitemap = format!("<sitemapindex><sitemap><loc>{named}</loc></sitemap></sitemapindex>");
        stack.serve(&index, "max-age=60", sitemap);
        stack.serve(
            &pages,
            "max-age=60",
            format!("<urlset><url><loc>{named}</loc></url></urlset>"),
        );
        stack.serve(&list, "max-age=60", (*named).to_owned());
        let entity = format!(
            "<!DOCTYPE x [<!ENTITY e SYSTEM \"{named}\">]><urlset><url><loc>&e;</loc></url></urlset>"
        );
        stack.serve(&format!("/entity-{number}.xml"), "max-age=60", entity);
        for (key, path) in [
            ("sitemap", index),
            ("sitemap", pages),
            ("manifest", list),
            ("sitemap", format!("/entity-{number}.xml")),
        ] {
            let before = stack.origin.total();
            let wish = json!({key: format!("http://www.test{path}")}).to_string();
            let request = Request::new(Method::POST, "/v1/preloads?wait=20s").body(wish);
            let reply = send(&stack, request).await;
            assert_eq!(reply.status, 422, "{path}: {}", String::from_utf8_lossy(&reply.body));
            assert_eq!(stack.origin.total(), before + 1, "the document and nothing else: {path}");
        }
    }
    assert_eq!(trap.total(), 0);
}
