//! Who has changed what by way of the admin API? Every change leaves a record, and so does everybody
//! who was not let in.
//!
//! A record is an event of the target `weir::audit`, which no level of the log leaves out, and where
//! `admin.audit_file` is set two lines of JSON there: `asked` before anything is done, and `answered`,
//! with the status and what was selected, before the answer is sent. Both have the same `id`.
//!
//! ```text
//! asked -> the change -+-> answered
//!                      +-> unanswered    whoever asked has gone; the change may have been made
//! refused                                nobody was let in
//! ```
//!
//! # Invariants
//!
//! 1. With a file, nothing is done of which the file does not say who asked for it.
//! 2. No record holds a body, a secret or a query; each is one line of at most a few KiB.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use crate::admin_audit_file::{AuditFile, AuditFileError};
use crate::inbound::fresh_id;
use crate::node::Node;
use crate::purge::rfc3339;
use crate::telemetry::chain;

/// Characters kept of a path, a selector or a request id.
const TEXT_MAX: usize = 512;
/// What a client calls its request.
const REQUEST_ID: &str = "x-request-id";

/// What a change is about; the route says so as soon as it knows, and at most once.
#[derive(Clone, Debug, Default)]
pub(crate) struct About(Arc<OnceLock<Selected>>);

#[derive(Debug, Serialize)]
struct Selected {
    /// How many of each kind.
    selected: BTreeMap<&'static str, usize>,
    /// The first of them, without its query.
    first: String,
}

impl About {
    /// Says that it is about things of these kinds, the first of which is `first`.
    pub(crate) fn say(&self, kinds: impl IntoIterator<Item = &'static str>, first: &str) {
        let mut selected = BTreeMap::new();
        for kind in kinds {
            *selected.entry(kind).or_insert(0) += 1;
        }
        // A query may carry a signature.
        let first = cut(first.split(['?', '#']).next().unwrap_or_default());
        // Whoever says so twice has said it before.
        drop(self.0.set(Selected { selected, first }));
    }
}

/// The audit log of one node.
#[derive(Debug)]
pub(crate) struct Audit {
    file: Option<AuditFile>,
}

/// One request as its records show it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    id: String,
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    method: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    event: &'static str,
    #[serde(flatten)]
    entry: &'a Entry,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    #[serde(flatten)]
    about: Option<&'a Selected>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
struct End {
    event: &'static str,
    status: Option<StatusCode>,
    why: Option<&'static str>,
}

impl Entry {
    /// The entry for `request` from `client`, to `node`.
    pub(crate) fn of(node: &Node, client: IpAddr, request: &Request) -> Self {
        Self {
            client: Some(client),
            request_id: request_id(request.headers()),
            ..Self::by_system(node, request.method().as_str(), request.uri().path())
        }
    }

    /// The entry for what the system of the node asks for, `method` being its way to do so.
    pub(crate) fn by_system(node: &Node, method: &str, path: &str) -> Self {
        Self {
            id: fresh_id().to_str().unwrap_or_default().to_owned(),
            node: node.config.name.clone(),
            token: None,
            client: None,
            method: cut(method),
            path: cut(path),
            request_id: None,
        }
    }

    /// The same for a request that the token called `name` lets in.
    pub(crate) fn by(self, name: &str) -> Self {
        Self { token: Some(name.to_owned()), ..self }
    }

    /// Tells `end` to the log of events.
    fn tell(&self, end: End, about: &About) {
        let selected = about.0.get();
        let counts = selected.map(|about| format!("{:?}", about.selected));
        tracing::info!(
            target: "weir::audit",
            id = self.id,
            token = self.token,
            client = self.client.map(tracing::field::display),
            method = %self.method.escape_debug(),
            path = %self.path.escape_debug(),
            status = end.status.map(|status| status.as_u16()),
            why = end.why,
            selected = counts,
            first = selected.map(|about| about.first.escape_debug().to_string()),
            request_id = self.request_id,
            "{}", end.event
        );
    }

    /// The line that says `end`.
    fn line(&self, node: &Node, end: End, about: &About) -> String {
        let at = rfc3339(node.clock.present().stamp.wall_micros / 1_000);
        let End { event, status, why } = end;
        let status = status.map(|status| status.as_u16());
        let line = Line { at, event, entry: self, status, why, about: about.0.get() };
        // Texts and numbers have no form that JSON lacks.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

impl Audit {
    /// The log, with `file` where there is one.
    pub(crate) fn new(file: Option<AuditFile>) -> Self {
        Self { file }
    }

    /// Notes that a change is asked for, before anything is done.
    ///
    /// # Errors
    ///
    /// [`AuditFileError`]: nothing may be done.
    pub(crate) async fn begin(
        &self,
        node: &Arc<Node>,
        entry: Entry,
    ) -> Result<Open, AuditFileError> {
        let about = About::default();
        if let Some(file) = &self.file {
            let asked = End { event: "asked", status: None, why: None };
            let added = file.add(entry.line(node, asked, &about)).await;
            added.inspect_err(|error| lost(node, error))?;
        }
        Ok(Open { node: Arc::clone(node), file: self.file.clone(), entry: Some(entry), about })
    }

    /// Notes that `entry` was refused with `status`, for want of what `why` names.
    pub(crate) async fn refused(
        &self,
        node: &Node,
        entry: &Entry,
        (status, why): (StatusCode, &'static str),
    ) {
        let end = End { event: "refused", status: Some(status), why: Some(why) };
        finish(node, self.file.as_ref(), entry, (end, &About::default())).await;
    }
}

/// A change that is being made. Dropped before it is answered, it is noted as unanswered.
#[derive(Debug)]
pub(crate) struct Open {
    node: Arc<Node>,
    file: Option<AuditFile>,
    /// `None` once its end is noted.
    entry: Option<Entry>,
    about: About,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("name", &self.config.name).finish_non_exhaustive()
    }
}

impl Open {
    /// Where the route says what the change is about.
    pub(crate) fn about(&self) -> About {
        self.about.clone()
    }

    /// Notes that it is answered with `status`, which is not sent before this returns.
    pub(crate) async fn answered(mut self, status: StatusCode) {
        let Some(entry) = self.entry.take() else { return };
        let end = End { event: "answered", status: Some(status), why: None };
        finish(&self.node, self.file.as_ref(), &entry, (end, &self.about)).await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        let (node, file, about) = (Arc::clone(&self.node), self.file.take(), self.about.clone());
        let end = End { event: "unanswered", status: None, why: None };
        let noting = async move { finish(&node, file.as_ref(), &entry, (end, &about)).await };
        // Without a runtime the process is ending.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(noting);
        }
    }
}

/// Notes an end. That it is not in the file is counted and told; what was done stays done.
async fn finish(node: &Node, file: Option<&AuditFile>, entry: &Entry, (end, about): (End, &About)) {
    entry.tell(end, about);
    if let Some(file) = file
        && let Err(error) = file.add(entry.line(node, end, about)).await
    {
        lost(node, &error);
    }
}

fn lost(node: &Node, error: &AuditFileError) {
    node.metrics.admin_audit_failures.inc();
    tracing::error!("a line of the audit log is lost: {}", chain(error));
}

/// What the client calls the request, if that is a text.
fn request_id(headers: &HeaderMap) -> Option<String> {
    headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).map(cut)
}

/// The first [`TEXT_MAX`] characters.
fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_selected_is_counted_and_shown_without_its_query() {
        let about = About::default();
        about.say(["url", "tag", "url"], "url:www.test/a?sig=hunter2#x");
        about.say(["host"], "twice");
        let shown = serde_json::to_value(about.0.get().unwrap()).unwrap();
        let expected = serde_json::json!({
            "selected": {"url": 2, "tag": 1}, "first": "url:www.test/a",
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_line_is_one_line_whatever_the_path() {
        let entry = Entry {
            id: "1".to_owned(),
            node: "edge-0".to_owned(),
            token: Some("ci".to_owned()),
            client: Some("::1".parse().unwrap()),
            method: "PURGE".to_owned(),
            path: cut(&format!("/a\r\n\u{1b}[2J\"{}", "x".repeat(9_000))),
            request_id: None,
        };
        let line = Line {
            at: rfc3339(0),
            event: "asked",
            entry: &entry,
            status: None,
            why: None,
            about: None,
        };
        let text = serde_json::to_string(&line).unwrap();
        assert!(text.len() < 1_000 && !text.contains(char::is_control), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            read["path"].as_str().unwrap(),
            entry.path,
            "what was asked for can be read back"
        );
        assert_eq!(read["client"], "::1");
        assert!(read.get("status").is_none() && read.get("request_id").is_none(), "{text}");
    }
}
