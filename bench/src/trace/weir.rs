//! What does a line of a node's own access log say, as JSON?
//!
//! Other events of the same output are passed over, and so are requests that were not let in. What a tier logs are the
//! requests that it got: of a stack, the logs of the edges are the ones to replay.

use serde::Deserialize;
use weir_cache::{Scheme, Target};

use super::{BadLine, Line, Parser, Record, instant};

/// Lines of Weir.
#[derive(Debug)]
pub(super) struct Weir;

/// The fields that are of use.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(default)]
    target: String,
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    target_uri: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    cache: String,
    denied: Option<String>,
    #[serde(default)]
    peer: String,
    bytes: Option<u64>,
}

impl Parser for Weir {
    fn parse(&mut self, line: &str, record: &mut Record) -> Result<Line, BadLine> {
        let event: Event = serde_json::from_str(line)
            .map_err(|_reason| BadLine("not an event of a Weir log as JSON"))?;
        if event.target != "weir::access" || event.denied.is_some() || event.cache == "denied" {
            return Ok(Line::Other);
        }
        record.at_ms =
            instant::of_rfc3339(&event.timestamp).ok_or(BadLine("timestamp cannot be read"))?;
        // The log writes it as Rust shows texts: in quotes, with escapes. A target in normal form has few of them.
        let shown = event.target_uri.as_str();
        let inner =
            shown.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(shown);
        let uri = inner.replace("\\\"", "\"").replace("\\\\", "\\");
        let target: Target = uri.parse().map_err(|_reason| BadLine("target_uri cannot be read"))?;
        record.scheme = target.scheme();
        target.host().clone_into(&mut record.host);
        record.path = target.path_and_query();
        record.method = event.method;
        record.client = event.peer;
        record.status = event.status;
        record.bytes = event.bytes;
        record.cache_control = None;
        record.observed_hit = Some(event.cache == "hit");
        if record.scheme == Scheme::Http && record.method.is_empty() {
            return Err(BadLine("the method is missing"));
        }
        Ok(Line::Request)
    }
}
