//! Answers over HTTP/2 that are kept ready, or leave together: each is that of its own request.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use weir_tests::frames::{END_HEADERS, END_STREAM, FrameRaw, frame, get, kind};
use weir_tests::{Shape, Stack};

use crate::http2::{Client, ask, client, request, spoken_within};

async fn taken(stack: &Stack) -> f64 {
    stack.edge().metrics().await.get("weir_express_requests_total")
}

/// Status, fields but the request's id, and body.
type Answer = (u16, BTreeMap<String, Vec<String>>, Bytes);

async fn answer(client: &mut Client, method: Method, path: &str, asked: &[(&str, &str)]) -> Answer {
    let mut request = request(method, path, "");
    for (name, value) in asked {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let (mut parts, body) = ask(client, request).await;
    parts.headers.remove("x-request-id");
    let mut fields = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in &parts.headers {
        fields.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
    }
    (parts.status.as_u16(), fields, body)
}

/// Asks by both ways until the short one is taken; returns what both answer.
async fn both(
    stack: &Stack,
    client: &mut Client,
    method: Method,
    path: &str,
    asked: &[(&str, &str)],
) -> Answer {
    for _ in 0..20 {
        let before = taken(stack).await;
        let short = answer(client, method.clone(), path, asked).await;
        if taken(stack).await > before {
            // A trailer that is taken changes nothing but the way.
            let more = [asked, &[("te", "trailers")]].concat();
            let long = answer(client, method, path, &more).await;
            assert_eq!(short, long, "{path} {asked:?}");
            return short;
        }
    }
    panic!("{path} {asked:?} does not take the short way");
}

fn set(stack: &Stack, path: &str, fields: &[(&str, &str)], body: &'static str) {
    let script = stack.answer(path, 200).header("cache-control", "max-age=600");
    let script = fields.iter().fold(script, |script, (name, value)| script.header(name, value));
    script.body(body).set();
}

#[tokio::test]
async fn fields_kept_ready_are_those_of_the_response_that_is_sent() {
    let shape = Shape::single().site(|site| site.fields.via = false);
    let stack = spoken_within(shape, |_| {}).start().await;
    let lines = [
        ("link", "a"),
        ("link", "b"),
        ("via", "1.1 origin"),
        ("cache-tag", "t"),
        ("cache-status", "inner; hit"),
    ];
    set(&stack, "/a", &lines, "one");
    set(&stack, "/b", &[("age", "7"), ("content-digest", "d"), ("x-cache", "origin")], "another");
    set(&stack, "/vary", &[("vary", "accept-language")], "0123456789");
    let mut client = client(stack.edge()).await;
    let client = &mut client;
    for _ in 0..2 {
        let a = both(&stack, client, Method::GET, "/a", &[]).await;
        assert_eq!(
            (a.1["link"].as_slice(), &a.2[..]),
            (&["a", "b"].map(String::from)[..], &b"one"[..])
        );
        assert_eq!(a.1["content-length"], ["3"]);
        assert!(!a.1.contains_key("via") && !a.1.contains_key("cache-tag"));
        let b = both(&stack, client, Method::GET, "/b", &[]).await;
        assert_eq!(
            (b.1["content-length"].as_slice(), &b.2[..]),
            (&["7".to_owned()][..], &b"another"[..])
        );
        assert!(!b.1.contains_key("link"));
        let part = both(&stack, client, Method::GET, "/b", &[("range", "bytes=1-3")]).await;
        assert_eq!((part.0, &part.2[..]), (206, &b"not"[..]));
        assert!(!part.1.contains_key("content-digest"));
        let head = both(&stack, client, Method::HEAD, "/b", &[]).await;
        assert_eq!((head.1, head.2.len()), (b.1, 0));
        for language in ["de", "fr", "de"] {
            both(&stack, client, Method::GET, "/vary", &[("accept-language", language)]).await;
        }
        stack.advance(Duration::from_secs(100));
    }
    let old = both(&stack, client, Method::GET, "/b", &[]).await;
    assert_eq!(old.1["age"], ["207"]);
    assert_eq!(old.1["cache-status"], ["edge; hit; ttl=393"]);
}

/// What a site does not show is not shown by what is kept either.
#[tokio::test]
async fn fields_that_a_site_hides_are_not_sent() {
    let shape = Shape::single().site(|site| {
        (site.fields.age, site.fields.cache_status) = (false, false);
        (site.fields.x_cache, site.fields.request_id) = (false, false);
    });
    let stack = spoken_within(shape, |_| {}).start().await;
    set(&stack, "/a", &[("age", "7"), ("cache-status", "inner; hit")], "one");
    let mut client = client(stack.edge()).await;
    for _ in 0..2 {
        let hidden = both(&stack, &mut client, Method::GET, "/a", &[]).await;
        for name in ["age", "cache-status", "x-cache"] {
            assert!(!hidden.1.contains_key(name), "{name}");
        }
        let (parts, _) = ask(&mut client, request(Method::GET, "/a", "")).await;
        assert!(!parts.headers.contains_key("x-request-id"));
    }
}

/// No two answers have the id of the same request.
#[tokio::test]
async fn each_answer_has_an_id_of_its_own() {
    let stack = spoken_within(Shape::single(), |_| {}).start().await;
    set(&stack, "/a", &[], "one");
    let mut client = client(stack.edge()).await;
    let mut ids = std::collections::HashSet::new();
    for _ in 0..8 {
        let (parts, _) = ask(&mut client, request(Method::GET, "/a", "")).await;
        assert!(ids.insert(parts.headers["x-request-id"].clone()));
        assert_eq!(parts.headers["x-request-id"].len(), 16);
    }
    assert!(taken(&stack).await >= 4.0);
}

/// Other fields, another length: nothing of the response before is left.
#[tokio::test]
async fn a_response_that_takes_the_place_of_another_has_its_own_fields() {
    let stack = spoken_within(Shape::single(), |_| {}).start().await;
    let mut client = client(stack.edge()).await;
    set(&stack, "/a", &[("x-first", "1"), ("etag", "\"1\"")], "one");
    both(&stack, &mut client, Method::GET, "/a", &[]).await;
    set(&stack, "/a", &[("etag", "\"2\"")], "second");
    stack.edge().purge(&serde_json::json!({"urls": ["http://www.test/a"]})).await;
    let purged = both(&stack, &mut client, Method::GET, "/a", &[]).await;
    assert_eq!(
        (purged.1["etag"].as_slice(), &purged.2[..]),
        (&["\"2\"".to_owned()][..], &b"second"[..])
    );
    assert!(!purged.1.contains_key("x-first"));
    stack.advance(Duration::from_secs(601));
    set(&stack, "/a", &[("etag", "\"3\"")], "the third");
    let stale = both(&stack, &mut client, Method::GET, "/a", &[]).await;
    assert_eq!(
        (stale.1["content-length"].as_slice(), &stale.2[..]),
        (&["9".to_owned()][..], &b"the third"[..])
    );
}

/// A response whose fields are too many to be kept is answered all the same.
#[tokio::test]
async fn many_fields_are_sent_as_they_are() {
    let stack = spoken_within(Shape::single(), |_| {}).start().await;
    let names: Vec<_> = (0..40).map(|index| format!("x-{index}")).collect();
    let lines: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
    set(&stack, "/many", &lines, "one");
    let mut client = client(stack.edge()).await;
    for _ in 0..2 {
        let many = both(&stack, &mut client, Method::GET, "/many", &[]).await;
        assert!(names.iter().all(|name| many.1[name] == ["v"]));
    }
}

/// Small and large bodies, known and unknown, all asked for in one write.
#[tokio::test]
async fn answers_that_leave_together_are_each_whole() {
    let stack = spoken_within(Shape::single(), |_| {}).start().await;
    let sizes = [0, 1, 255, 256, 1_024, 8_183, 8_192, 16_384, 20_000];
    let body = |size: usize| (0..=250_u8).cycle().take(size).collect::<Vec<_>>();
    for size in sizes {
        stack.serve(&format!("/{size}"), "max-age=60", body(size));
        for _ in 0..3 {
            stack.edge().get(&format!("/{size}")).await;
        }
    }
    let asked: Vec<_> = (0..45).map(|index| sizes[index * 5 % sizes.len()]).collect();
    let mut raw = FrameRaw::connect(stack.edge().addr(), 65_535).await;
    raw.send(kind::WINDOW_UPDATE, 0, 0, &[0, 127, 255, 255]).await;
    let before = taken(&stack).await;
    let ask = |(index, size): (usize, &usize)| {
        let path = if index % 9 == 8 { "/miss".to_owned() } else { format!("/{size}") };
        frame(kind::HEADERS, END_HEADERS | END_STREAM, stream(index), &get(&path))
    };
    raw.raw.write(asked.iter().enumerate().flat_map(ask).collect::<Vec<_>>()).await;
    let (mut bodies, mut open) = (BTreeMap::<u32, Vec<u8>>::new(), asked.len());
    while open > 0 {
        let frame = raw.next().await.expect("more frames");
        if matches!(frame.kind, kind::HEADERS | kind::DATA) {
            let came = bodies.entry(frame.stream).or_default();
            came.extend(frame.payload.iter().filter(|_| frame.kind == kind::DATA));
            open -= usize::from(frame.flags & END_STREAM);
        }
    }
    for (index, size) in asked.into_iter().enumerate().filter(|(index, _)| index % 9 != 8) {
        assert!(bodies[&stream(index)] == body(size), "{size} bytes on stream {}", stream(index));
    }
    assert!(taken(&stack).await >= before + 20.0);
}

fn stream(index: usize) -> u32 {
    u32::try_from(2 * index + 1).unwrap()
}

/// A hit whose client has no window is answered as it opens.
#[tokio::test]
async fn a_hit_goes_out_as_its_window_opens() {
    let stack = spoken_within(Shape::single(), |_| {}).start().await;
    stack.serve("/a", "max-age=60", "0123456789");
    let mut raw = FrameRaw::connect(stack.edge().addr(), 4).await;
    for index in 0..5 {
        raw.ask(stream(index), "/a").await;
        let (mut body, mut is_open) = (Vec::new(), true);
        while is_open {
            let data = raw.next_of(kind::DATA).await.unwrap();
            assert_eq!(data.stream, stream(index));
            assert!(data.payload.len() <= 4);
            body.extend_from_slice(&data.payload);
            is_open = data.flags & END_STREAM == 0;
            raw.send(kind::WINDOW_UPDATE, 0, data.stream, &[0, 0, 0, 4]).await;
        }
        assert_eq!(body, b"0123456789");
    }
    assert!(taken(&stack).await >= 2.0);
}
