//! The second opinion on storing, which the scenarios run with.

use weir_tests::{Shape, Stack};

/// Answers of every kind that the two are both right about, through all tiers.
const ANSWERS: &[(&str, u16, &str)] = &[
    ("/fresh", 200, "max-age=60"),
    ("/shared", 200, "s-maxage=60, max-age=5"),
    ("/private", 200, "private, max-age=60"),
    ("/no-store", 200, "no-store"),
    ("/gone", 410, "public, max-age=60"),
    ("/junk", 200, "max-age=junk"),
    ("/silent", 200, "extension"),
];

async fn ask_all(stack: &Stack) {
    for (path, status, cache_control) in ANSWERS {
        let script = stack.answer(path, *status).header("cache-control", cache_control);
        script.header("etag", "\"v1\"").body("hello").set();
        assert_eq!(stack.edge().get(path).await.status, *status);
    }
}

#[tokio::test]
async fn a_second_opinion_agrees_about_what_is_stored_on_every_tier() {
    let stack = Shape::tiers(1, 1).start().await;

    ask_all(&stack).await;

    for node in stack.nodes() {
        let metrics = node.metrics().await;
        let asked = metrics.get("weir_policy_audit_total");
        let unopposed = metrics.sum("weir_policy_audit_total", &["verdict=\"unopposed\""]);
        assert!(asked >= 7.0, "{asked}");
        assert_eq!(unopposed, asked);
    }
}
