//! What does a user see of a preload?

use std::io::{IsTerminal, stderr};

use serde_json::Value;

use crate::output;

/// The bar's width in characters.
const BAR_WIDTH: usize = 30;
/// To the start of the line, and everything after it erased.
const CLEAR: &str = "\r\x1b[K";

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

/// One line on standard error, redrawn in place; silent where nobody watches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bar {
    watched: bool,
}

impl Bar {
    /// A bar on standard error if that is a terminal.
    pub(super) fn on_terminal() -> Self {
        Self { watched: stderr().is_terminal() }
    }

    /// Whether there is one.
    pub(super) fn is_watched(self) -> bool {
        self.watched
    }

    /// Draws how far `preload` is.
    pub(super) fn draw(self, preload: &Value) {
        if self.watched {
            output::err(&format!("{CLEAR}{}", line(preload)));
        }
    }

    /// Takes it away.
    pub(super) fn clear(self) {
        if self.watched {
            output::err(CLEAR);
        }
    }
}

fn line(preload: &Value) -> String {
    let number = |key| number(preload, key);
    let (total, failed) = (number("total"), number("failed"));
    let through = number("done").saturating_add(failed).min(total);
    let width = u64::try_from(BAR_WIDTH).unwrap_or(0);
    let full = through.saturating_mul(width).checked_div(total).unwrap_or(0);
    let full = usize::try_from(full).unwrap_or(0).min(BAR_WIDTH);
    let bar = format!("{}{}", "#".repeat(full), "-".repeat(BAR_WIDTH - full));
    format!("[{bar}] {through}/{total}, {failed} failed")
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
            [(0, 0, 4, 0), (1, 1, 4, 15), (4, 0, 4, 30), (0, 0, 0, 0)]
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
