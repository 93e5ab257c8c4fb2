//! What does a user see of a preload?

use serde_json::Value;

use crate::progress::bar;

/// Whether more is to come of it.
pub(super) fn is_running(preload: &Value) -> bool {
    word(preload, "state") == "running"
}

/// Whether any URL got into any node.
pub(super) fn has_result(preload: &Value) -> bool {
    number(preload, "done") > 0
}

/// A preload in words, the nodes with something to tell by line.
pub(super) fn text(preload: &Value) -> String {
    let number = |key| number(preload, key);
    let nodes = preload.get("nodes").and_then(Value::as_object);
    let mut text = format!(
        "preload {}: {}; {} of {} on {} nodes, {} fresh before, {} failed, {} bytes\n",
        word(preload, "id"),
        word(preload, "state"),
        number("done"),
        number("total"),
        nodes.map_or(0, serde_json::Map::len),
        number("hits"),
        number("failed"),
        number("bytes"),
    );
    for (name, node) in nodes.into_iter().flatten() {
        let failures = node.get("failures").and_then(Value::as_array);
        if word(node, "state") == "done" && failures.is_none_or(Vec::is_empty) {
            continue;
        }
        let (done, total) = (self::number(node, "done"), self::number(node, "total"));
        let (state, failed) = (word(node, "state"), self::number(node, "failed"));
        text.push_str(&format!("  {name}: {state}; {done} of {total}, {failed} failed\n"));
        for failure in failures.into_iter().flatten() {
            let (url, why) = (word(failure, "url"), word(failure, "why"));
            text.push_str(&format!("    {url}: {why}\n"));
        }
    }
    text
}

/// How far `preload` is, in one line.
pub(super) fn line(preload: &Value) -> String {
    let count = |key| usize::try_from(number(preload, key)).unwrap_or(usize::MAX);
    let (total, failed) = (count("total"), count("failed"));
    let through = count("done").saturating_add(failed).min(total);
    format!("{}, {failed} failed", bar(through, total))
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bar_is_as_long_as_what_is_through() {
        for (done, failed, total, full) in
            [(0, 0, 4, 0), (1, 1, 4, 15), (4, 0, 4, 30), (0, 0, 0, 30)]
        {
            let line = line(&json!({"done": done, "failed": failed, "total": total}));
            assert_eq!(line.matches('#').count(), full, "{line}");
        }
    }

    #[test]
    fn failures_are_told_and_nodes_without_any_are_not() {
        let failure = json!({"url": "http://a/", "why": "the answer is 404"});
        let preload = json!({"id": "x", "state": "partly", "nodes": {
            "edge-0": {"state": "done", "failures": []},
            "edge-1": {"state": "done", "failed": 1, "failures": [failure]},
        }});
        let text = text(&preload);
        assert!(text.contains("edge-1") && text.contains("http://a/: the answer is 404"), "{text}");
        assert!(!text.contains("edge-0"), "{text}");
    }
}
