//! Who answers a request?
//!
//! Read top to bottom: control paths, then the script of the path, then what the query asks for
//! over what the folder or the generated pages give. The choice is made from the head alone, before
//! the body is read; the answer is made after.

use std::sync::Arc;

use http::{Method, header};
use tokio::task::spawn_blocking;

use crate::{
    answer::Answer,
    body::Received,
    control,
    files::{self, Found},
    pattern::Pattern,
    query::Params,
    represent::{self, Resource},
    request::{Refused, RequestHead},
    script::Recipe,
    source::Source,
    state::State,
};

/// Who answers.
#[derive(Debug)]
pub(crate) enum Chosen {
    Control,
    Query(Params),
    /// The query is bad.
    Refuse(Refused),
    Script(Arc<Recipe>),
}

impl Chosen {
    /// Chooses by the head. Uses up a script that is for one request.
    pub(crate) fn by(state: &State, head: &RequestHead) -> Self {
        if control::owns(&head.path) {
            return Self::Control;
        }
        if let Some(recipe) = state.scripts.take(&head.path) {
            return Self::Script(recipe);
        }
        match Params::parse(head.query.as_deref(), &state.gates) {
            Ok(params) => Self::Query(params),
            Err(refused) => Self::Refuse(refused),
        }
    }

    pub(crate) fn is_counted(&self) -> bool {
        !matches!(self, Self::Control)
    }

    /// Says whether the answer goes out before the body of the request is read.
    pub(crate) fn is_before_body(&self) -> bool {
        matches!(self, Self::Script(recipe) if recipe.is_before_body())
    }

    /// Says whether the body of the request is part of the answer.
    pub(crate) fn echoes(&self) -> bool {
        matches!(self, Self::Query(params) if params.echo)
    }

    /// Makes the answer.
    pub(crate) async fn answer(
        self,
        state: &State,
        head: &RequestHead,
        received: Received,
    ) -> Answer {
        match self {
            Self::Control => control::answer(state, head),
            Self::Script(recipe) => recipe.answer(&head.path, state.version()),
            Self::Refuse(refused) => Answer::text(refused.status, &refused.text),
            Self::Query(params) => {
                let mut answer = plain_answer(state, head, &params, received).await;
                params.apply(&mut answer);
                answer
            }
        }
    }
}

/// The answer before the query changes its form.
async fn plain_answer(
    state: &State,
    head: &RequestHead,
    params: &Params,
    received: Received,
) -> Answer {
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    match (received.kept, params.size, &state.dir) {
        // A 2xx would turn the connection into a tunnel (RFC 9110 §9.3.6).
        _ if head.method == Method::CONNECT => Answer::method_not_allowed("GET, HEAD, POST"),
        (Some(body), _, _) => echo(head, body),
        (None, Some(size), _) => read(state, head, params, sized(state, &head.path, size)),
        (None, None, Some(_)) if is_read => file(state, head, params).await,
        (None, None, Some(_)) => Answer::method_not_allowed("GET, HEAD"),
        (None, None, None) if is_read => read(state, head, params, page(state, &head.path)),
        (None, None, None) => written(state, head),
    }
}

/// Answers with a resource, conditionally unless the query names a status.
fn read(state: &State, head: &RequestHead, params: &Params, resource: Resource) -> Answer {
    match params.status {
        None => represent::represent(resource, head, &state.cache_control),
        Some(200..=399) => represent::whole(resource, &state.cache_control),
        // An error has no validators, and is for caches to judge unless `header=` says otherwise.
        Some(status) => {
            Answer::new(status, resource.source).with("Content-Type", resource.content_type)
        }
    }
}

/// The generated page of `path`: a few words of text, the same for every query.
fn page(state: &State, path: &str) -> Resource {
    let version = state.version();
    let text = format!("path: {path}\nversion: {version}\n");
    generated(path, version, "text/plain; charset=utf-8", Source::Bytes(text.into()))
}

fn sized(state: &State, path: &str, size: u64) -> Resource {
    let version = state.version();
    let source = Source::pattern(Pattern::new(path, version), size);
    generated(path, version, "application/octet-stream", source)
}

fn generated(path: &str, version: u64, content_type: &'static str, source: Source) -> Resource {
    let fingerprint = Pattern::new(path, version).fingerprint();
    let etag = format!("\"{:x}-{fingerprint:x}-{version}\"", source.remaining());
    Resource { content_type, etag, modified: None, source }
}

async fn file(state: &State, head: &RequestHead, params: &Params) -> Answer {
    let (root, path, version) = (state.dir.clone(), head.path.clone(), state.version());
    let found = spawn_blocking(move || files::find(&root.unwrap_or_default(), &path, version));
    match found.await {
        Ok(Ok(Found::File(resource))) => read(state, head, params, resource),
        Ok(Ok(Found::Folder)) => {
            // Two slashes at the start would name another host.
            let path = format!("/{}/", head.path.trim_start_matches('/'));
            let query = head.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
            Answer::text(301, "a folder ends with a slash").with("Location", path + &query)
        }
        Ok(Ok(Found::Forbidden)) => Answer::text(403, "this file cannot be read"),
        Ok(Ok(Found::Missing)) => Answer::text(404, "there is no such file"),
        Ok(Ok(Found::Refused(why))) => Answer::text(400, why),
        Ok(Err(_)) | Err(_) => Answer::text(500, "the file system failed"),
    }
}

fn echo(head: &RequestHead, body: Vec<u8>) -> Answer {
    let content_type = head.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    Answer::new(200, Source::Bytes(body.into()))
        .with("Content-Type", content_type.unwrap_or(b"application/octet-stream"))
}

/// The answer to a method that may change something: nothing is changed, 200 is said.
fn written(state: &State, head: &RequestHead) -> Answer {
    let text =
        format!("method: {}\npath: {}\nversion: {}", head.method, head.path, state.version());
    let answer = Answer::text(200, &text);
    let is_options = head.method == Method::OPTIONS;
    if is_options { answer.with("Allow", "GET, HEAD, OPTIONS, POST, PUT, DELETE") } else { answer }
}
