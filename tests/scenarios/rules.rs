//! Rules by path: what an operator changes about lifetimes, on one tier and on three.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Method, StatusCode};
use weir_cache::Rule;
use weir_node::config::SiteConfig;
use weir_tests::{Reply, Request, Shape, Stack};

const SECS: fn(u64) -> Duration = Duration::from_secs;

fn rule(path: &str) -> Rule {
    Rule::new(path.parse().unwrap())
}

fn with_rules(rules: Vec<Rule>) -> impl Fn(&mut SiteConfig) + Send + Sync + 'static {
    move |site| site.rules.rules.clone_from(&rules)
}

async fn get(stack: &Stack, path: &str) -> Reply {
    stack.edge().get(path).await
}

fn detail(reply: &Reply) -> Option<String> {
    let status = reply.cache_status();
    status.split("; ").find_map(|part| part.strip_prefix("detail=")).map(str::to_owned)
}

#[tokio::test]
async fn a_ttl_keeps_what_states_no_lifetime_for_that_long_on_every_tier() {
    let img = Rule { ttl: Some(SECS(100)), ..rule("/img/**") };
    let stack = Shape::tiers(2, 1).site(with_rules(vec![img])).start().await;
    stack.answer("/img/a", 200).body("hello").set();
    stack.answer("/other", 200).body("hello").set();

    let miss = get(&stack, "/img/a").await;
    assert_eq!(
        miss.field("cache-status"),
        "shield; fwd=uri-miss; stored; detail=rule-ttl, \
         regional; fwd=uri-miss; stored; detail=rule-ttl, \
         edge; fwd=uri-miss; stored; detail=rule-ttl"
    );
    stack.advance(SECS(60));
    let second = stack.edges[1].get("/img/a").await;
    assert_eq!((second.x_cache().as_str(), second.field("age").as_str()), ("MISS", "60"));
    assert!(second.field("cache-status").contains("regional; hit; ttl=40, edge; "));
    stack.advance(SECS(39));
    assert_eq!(get(&stack, "/img/a").await.cache_status(), "edge; hit; ttl=1", "and no detail");
    stack.advance(SECS(1));
    for edge in &stack.edges {
        assert_eq!(edge.get("/img/a").await.x_cache(), "MISS", "100 s after the origin made it");
    }
    assert_eq!(stack.origin.hits("/img/a"), 2, "one for each lifetime");

    assert_eq!(detail(&get(&stack, "/other").await).as_deref(), Some("no-freshness"), "no rule");
}

#[tokio::test]
async fn bounds_change_only_what_lies_beyond_them() {
    let bounds = Rule { min_ttl: Some(SECS(10)), max_ttl: Some(SECS(100)), ..rule("/**") };
    let stack = Shape::single().site(with_rules(vec![bounds])).start().await;
    // (path, Cache-Control, detail, ttl of the hit)
    for (path, control, expected, ttl) in [
        ("/short", "max-age=1", Some("rule-min-ttl"), 10),
        ("/within", "max-age=50", None, 50),
        ("/long", "max-age=999", Some("rule-max-ttl"), 100),
    ] {
        stack.serve(path, control, "hello");
        let miss = get(&stack, path).await;
        assert_eq!(detail(&miss).as_deref(), expected, "{path}");
        assert_eq!(miss.field("cache-control"), control, "clients are told what the origin says");
        assert_eq!(get(&stack, path).await.cache_status(), format!("edge; hit; ttl={ttl}"));
    }
}

/// RFC 9111 §5.2.2.4: no bound lifts the duty to ask.
#[tokio::test]
async fn no_rule_reuses_what_must_be_validated_or_keeps_what_must_not_be_kept() {
    let eager = Rule {
        ttl: Some(SECS(100)),
        min_ttl: Some(SECS(50)),
        respect_origin: false,
        ..rule("/**")
    };
    let stack = Shape::single().site(with_rules(vec![eager])).start().await;
    // (Cache-Control, further field)
    for (path, control, field) in [
        ("/no-cache", "no-cache, max-age=60", ("etag", "\"a\"")),
        ("/no-store", "no-store", ("x-a", "b")),
        ("/private", "private, max-age=60", ("x-a", "b")),
        ("/cookie", "max-age=60", ("set-cookie", "a=b")),
    ] {
        let answer = stack.answer(path, 200).header("cache-control", control);
        answer.header(field.0, field.1).body("hello").set();
        for round in 1..=3 {
            assert_eq!(get(&stack, path).await.x_cache(), "MISS", "{path}");
            assert_eq!(stack.origin.hits(path), round, "{path}");
        }
    }
}

#[tokio::test]
async fn a_rule_may_count_before_the_origin() {
    let forced = Rule { ttl: Some(SECS(100)), respect_origin: false, ..rule("/*.js") };
    let stack = Shape::single().site(with_rules(vec![forced])).start().await;
    stack.serve("/a.js", "max-age=0", "hello");
    assert_eq!(detail(&get(&stack, "/a.js").await).as_deref(), Some("rule-ttl"));
    stack.advance(SECS(99));
    assert_eq!(get(&stack, "/a.js").await.x_cache(), "HIT");
    stack.advance(SECS(1));
    assert_eq!(get(&stack, "/a.js").await.x_cache(), "MISS");
}

#[tokio::test]
async fn a_bypass_asks_the_origin_each_time_and_stores_nothing() {
    let live = Rule { bypass: true, ..rule("/**/live") };
    let stack = Shape::tiers(1, 1).site(with_rules(vec![live])).start().await;
    stack.serve("/a/live", "max-age=60", "hello");
    stack.serve("/a/other", "max-age=60", "hello");
    for round in 1..=2 {
        let reply = get(&stack, "/a/live").await;
        assert_eq!((reply.status, reply.x_cache().as_str()), (StatusCode::OK, "BYPASS"));
        assert_eq!(
            reply.field("cache-status"),
            "shield; fwd=bypass; detail=rule-bypass, regional; fwd=bypass; detail=rule-bypass, \
             edge; fwd=bypass; detail=rule-bypass"
        );
        assert_eq!(stack.origin.hits("/a/live"), round);
    }
    let post = stack.edge().send(&Request::new(Method::POST, "/a/live")).await;
    assert_eq!(post.cache_status(), "edge; fwd=method", "the method comes first");
    get(&stack, "/a/other").await;
    assert_eq!(get(&stack, "/a/other").await.x_cache(), "HIT", "another path");
}

#[tokio::test]
async fn errors_are_kept_for_the_time_of_their_status() {
    let negative = [(StatusCode::NOT_FOUND, SECS(30)), (StatusCode::SERVICE_UNAVAILABLE, SECS(2))];
    let rule = Rule { negative_ttl: negative.into(), ..rule("/**") };
    let stack = Shape::tiers(1, 1).site(with_rules(vec![rule])).start().await;
    for (path, status, secs) in [("/gone", 404, 30), ("/down", 503, 2)] {
        stack.answer(path, status).body("sorry").set();
        let miss = get(&stack, path).await;
        assert_eq!((miss.status.as_u16(), miss.x_cache().as_str()), (status, "MISS"));
        assert_eq!(detail(&miss).as_deref(), Some("rule-ttl"));
        stack.advance(SECS(secs - 1));
        let hit = get(&stack, path).await;
        assert_eq!((hit.status.as_u16(), hit.x_cache().as_str()), (status, "HIT"));
        stack.advance(SECS(1));
        stack.serve(path, "max-age=60", "back");
        assert_eq!(get(&stack, path).await.body, "back", "not a moment longer");
    }
    stack.answer("/broken", 500).body("sorry").set();
    for round in 1..=2 {
        assert_eq!(get(&stack, "/broken").await.status, 500);
        assert_eq!(stack.origin.hits("/broken"), round, "another status is not kept");
    }
}

/// RFC 9111 §4.3.4: what a 304 confirms lives by the rule again.
#[tokio::test]
async fn a_confirmed_response_gets_its_lifetime_by_the_rule() {
    let capped = Rule { max_ttl: Some(SECS(10)), ..rule("/**") };
    let stack = Shape::single().site(with_rules(vec![capped])).start().await;
    stack.answer("/a", 200).header("cache-control", "max-age=60").header("etag", "\"a\"").set();
    get(&stack, "/a").await;
    stack.advance(SECS(10));
    stack.answer("/a", 304).header("cache-control", "max-age=60").header("etag", "\"a\"").set();
    let confirmed = get(&stack, "/a").await;
    assert_eq!(
        confirmed.cache_status(),
        "edge; fwd=stale; fwd-status=304; ttl=10; detail=rule-max-ttl"
    );
    stack.advance(SECS(9));
    assert_eq!(get(&stack, "/a").await.cache_status(), "edge; hit; ttl=1");
}

#[tokio::test]
async fn what_was_fetched_together_does_not_expire_together() {
    let stack = Shape::tiers(2, 1).site(|site| site.rules.jitter_percent = 50).start().await;
    let mut seen = BTreeSet::new();
    for number in 0..20 {
        let path = format!("/{number}");
        stack.serve(&path, "max-age=1000", "hello");
        let miss = get(&stack, &path).await;
        assert_eq!(detail(&miss), None, "no rule changed it");
        stack.edges[1].get(&path).await;
        let ttl = get(&stack, &path).await.cache_status();
        assert_eq!(stack.edges[1].get(&path).await.cache_status(), ttl, "the same on every node");
        let secs: u64 = ttl.strip_prefix("edge; hit; ttl=").unwrap().parse().unwrap();
        assert!((500..=1000).contains(&secs), "never lengthened, and by half at most: {secs}");
        seen.insert(secs);
    }
    assert!(seen.len() > 10, "{seen:?}");
    stack.serve("/short", "max-age=9", "hello");
    get(&stack, "/short").await;
    assert_eq!(get(&stack, "/short").await.cache_status(), "edge; hit; ttl=9");
}
