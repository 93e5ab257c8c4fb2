//! What do the paths under `/__origin/` do?
//!
//! They let a user with curl, and the demo, look at the origin and move it on. They are not
//! counted, cannot be scripted and answer in JSON that no cache may store. Whoever can reach the
//! origin can use them; it is a tool for tests and demos.

use http::Method;
use serde_json::json;

use crate::{
    answer::Answer,
    query,
    request::{Refused, RequestHead},
    state::State,
};

const PREFIX: &str = "/__origin/";

/// Says whether `path` belongs to the control paths.
pub(crate) fn owns(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Answers a request for a control path.
pub(crate) fn answer(state: &State, head: &RequestHead) -> Answer {
    let method = &head.method;
    match head.path.strip_prefix(PREFIX).unwrap_or_default() {
        "stats" if *method == Method::DELETE => {
            state.stats.reset();
            stats(state)
        }
        "stats" if matches!(*method, Method::GET | Method::HEAD) => stats(state),
        "stats" => Answer::method_not_allowed("GET, HEAD, DELETE"),
        "deploy" if *method == Method::POST => {
            Answer::json(200, &json!({ "version": state.deploy() }))
        }
        "deploy" => Answer::method_not_allowed("POST"),
        "release" if matches!(*method, Method::POST | Method::DELETE) => move_gate(state, head)
            .unwrap_or_else(|refused| Answer::text(refused.status, &refused.text)),
        "release" => Answer::method_not_allowed("POST, DELETE"),
        _ => Answer::text(
            404,
            "control paths: GET or DELETE /__origin/stats, POST /__origin/deploy, \
             POST or DELETE /__origin/release?gate=NAME",
        ),
    }
}

fn stats(state: &State) -> Answer {
    Answer::json(200, &state.stats.document(state.version()))
}

/// Opens a gate, or closes it again on DELETE.
fn move_gate(state: &State, head: &RequestHead) -> Result<Answer, Refused> {
    let mut pairs = query::pairs(head.query.as_deref().unwrap_or_default());
    let name = pairs.find_map(|(name, value)| (name == "gate").then_some(value)).flatten();
    let name = name.unwrap_or_default();
    let gate = query::gate("gate", &name, &state.gates)?;
    let open = head.method == Method::POST;
    if open {
        gate.release();
    } else {
        gate.close();
    }
    Ok(Answer::json(200, &json!({ "gate": name, "open": open })))
}
