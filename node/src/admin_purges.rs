//! The admin API of purges: ask for one, see what became of it, and `PURGE` for tools that people have.
//!
//! What is asked for is read whole before anything is done. An answer that says that a purge was taken
//! means that it is durable; one that says that it is complete means that it holds everywhere.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use weir_cache::purge::{Mode, Selector, Tags};

use crate::admin::Admin;
use crate::admin_audit::About;
use crate::config::parse_duration;
use crate::node::Node;
use crate::problem::Problem;
use crate::purge::{LogError, Order, PurgeReceipt, Wish, target_of};

/// Bytes of a request body: 10,000 URLs of the usual length or a few long ones to purge, 100,000 to
/// preload.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest that a request may ask to wait.
const WAIT_MAX: Duration = Duration::from_secs(5 * 60);
/// How long `PURGE` waits; the lease of every node has run out before.
const PURGE_WAIT: Duration = Duration::from_secs(10);

/// What may follow the path. A slip in its name must not turn a purge that waits into one that does not.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Waiting {
    wait: Option<String>,
}

impl Waiting {
    pub(crate) fn duration(&self) -> Result<Duration, Problem> {
        parse_wait(self.wait.as_deref())
    }
}

/// How long to wait; not at all where nothing is said.
pub(crate) fn parse_wait(text: Option<&str>) -> Result<Duration, Problem> {
    let Some(text) = text else { return Ok(Duration::ZERO) };
    let duration = parse_duration(text).map_err(|error| {
        let detail = format!("wait is {text:?}: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "Not a time to wait", detail)
    })?;
    if duration > WAIT_MAX {
        let detail = format!("wait is {text:?} (expected at most {}s)", WAIT_MAX.as_secs());
        return Err(Problem::new(StatusCode::BAD_REQUEST, "Too long to wait", detail));
    }
    Ok(duration)
}

/// `POST /v1/purges`.
pub(crate) async fn create(
    State(admin): State<Admin>,
    Extension(about): Extension<About>,
    waiting: Result<Query<Waiting>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let wait = read_wait(waiting)?;
    let wish = read_wish(&body.map_err(|error| unread(&error))?)?;
    let order = Order::read(wish, &admin.node.sites.load()).map_err(|detail| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was purged", detail)
    })?;
    let receipt = submit(&admin.node, order, wait, &about).await?;
    let done = !wait.is_zero() && receipt.is_complete();
    let status = if done { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = format!("/v1/purges/{}", receipt.id);
    Ok((status, [(header::LOCATION, location)], Json(receipt)).into_response())
}

fn read_wait(waiting: Result<Query<Waiting>, QueryRejection>) -> Result<Duration, Problem> {
    match waiting {
        Ok(Query(waiting)) => waiting.duration(),
        Err(error) => {
            let detail = format!("{}; expected ?wait=10s or nothing", error.body_text());
            Err(Problem::new(StatusCode::BAD_REQUEST, "Not a time to wait", detail))
        }
    }
}

fn unread(error: &BytesRejection) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!(
            "expected at most {BODY_BYTES_MAX} bytes; send several calls, or use prefixes or tags"
        );
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Nothing was purged", detail);
    }
    Problem::new(StatusCode::BAD_REQUEST, "Not a purge", error.body_text())
}

fn read_wish(body: &[u8]) -> Result<Wish, Problem> {
    let bad = |error: &str| {
        let detail = format!(
            "{error}; expected {{\"urls\": [...], \"prefixes\": [...], \"hosts\": [...], \"tags\": [...], \"globs\": [...], \"everything\": false, \"mode\": \"purge\" or \"invalidate\", \"reason\": \"...\"}}"
        );
        Problem::new(StatusCode::BAD_REQUEST, "Not a purge", detail)
    };
    // Serde would read an array as the fields in their order, with nothing that says what each means.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(bad("the body is no JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| bad(&error.to_string()))
}

/// `GET /v1/purges`.
pub(crate) async fn list(State(admin): State<Admin>) -> Result<Response, Problem> {
    let receipts = admin.node.log.receipts().await.map_err(|error| not_done(&error))?;
    Ok(Json(json!({"purges": receipts})).into_response())
}

/// `GET /v1/purges/{id}`.
pub(crate) async fn show(
    State(admin): State<Admin>,
    id: Result<Path<String>, PathRejection>,
    waiting: Result<Query<Waiting>, QueryRejection>,
) -> Result<Json<PurgeReceipt>, Problem> {
    let wait = read_wait(waiting)?;
    let Path(id) = id.map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "Not the id of a purge", error.body_text())
    })?;
    let found = admin.node.log.receipt(id.clone(), wait).await.map_err(|error| not_done(&error))?;
    found.map(Json).ok_or_else(|| {
        let detail = format!("no purge {id:?} is known; receipts of the newest 1024 are kept");
        Problem::new(StatusCode::NOT_FOUND, "No such purge", detail)
    })
}

/// `PURGE <url>`, or by the tags in `Surrogate-Key`, `xkey` or `Cache-Tag`.
pub(crate) async fn purge_method(
    State(admin): State<Admin>,
    request: Request,
) -> Result<Response, Problem> {
    let selectors = selectors_of(&admin.node, &request).map_err(|detail| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was purged", detail)
    })?;
    let soft = ["fastly-soft-purge", "soft-purge"];
    let is_soft = soft.iter().any(|name| says_yes(request.headers(), name));
    let mode = if is_soft { Mode::Invalidate } else { Mode::Purge };
    let about = request.extensions().get::<About>().cloned().unwrap_or_default();
    let order = Order::new(mode, selectors);
    let receipt = submit(&admin.node, order, PURGE_WAIT, &about).await?;
    if receipt.is_complete() {
        let id = [(HeaderName::from_static("weir-purge-id"), receipt.id)];
        return Ok((StatusCode::NO_CONTENT, id).into_response());
    }
    Ok((StatusCode::ACCEPTED, Json(receipt)).into_response())
}

fn says_yes(headers: &HeaderMap, name: &str) -> bool {
    headers.get(name).is_some_and(|value| matches!(value.as_bytes(), b"1" | b"true"))
}

fn selectors_of(node: &Node, request: &Request) -> Result<Vec<Selector>, String> {
    let tags = Tags::of(request.headers());
    if tags.is_overflowing() {
        return Err("the tags are too many or too long (expected at most 128)".to_owned());
    }
    let named: Result<Vec<Selector>, _> = tags.iter().map(Selector::tag).collect();
    let named = named.map_err(|bad| bad.to_string())?;
    if !named.is_empty() {
        return Ok(named);
    }
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let authority = uri.authority().map(ToString::to_string);
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = authority.as_deref().or(host).ok_or("no host (expected PURGE http://host/path)")?;
    let target = target_of(&format!("http://{host}{path}"), &node.sites.load())?;
    Ok(vec![Selector::url(&target)])
}

/// Hands an order to the log and says so in this node's own log.
async fn submit(
    node: &Node,
    order: Order,
    wait: Duration,
    about: &About,
) -> Result<PurgeReceipt, Problem> {
    let order = Order { by: node.config.name.clone(), ..order };
    let first = order.selectors.first().map(ToString::to_string).unwrap_or_default();
    about.say(order.selectors.iter().map(kind_of), &first);
    let (count, mode, reason) = (order.selectors.len(), order.mode.as_str(), order.reason.clone());
    let receipt = node.log.append(order, wait).await.map_err(|error| not_done(&error))?;
    tracing::info!(
        id = receipt.id,
        seq = receipt.seq,
        mode,
        first,
        count,
        reason,
        state = receipt.state,
        "purge taken"
    );
    Ok(receipt)
}

/// What the audit log calls things of this kind.
fn kind_of(selector: &Selector) -> &'static str {
    match selector {
        Selector::Everything => "everything",
        Selector::Glob(_) => "globs",
        Selector::Host(_) => "hosts",
        Selector::Prefix { .. } => "prefixes",
        Selector::Tag(_) => "tags",
        Selector::Url(_) => "urls",
    }
}

/// A purge that was not taken, or of which nothing can be learned.
fn not_done(error: &LogError) -> Problem {
    let detail = format!("{}; ask again", crate::telemetry::chain(error));
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The purge log is not to be had", detail)
}
