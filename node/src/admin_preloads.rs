//! The admin API of preloads: ask for one, see how far it is, end it.
//!
//! Whichever node is asked, the tasks are those of the node that keeps the purge log.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{StatusCode, header};
use serde_json::json;

use crate::admin::Admin;
use crate::admin_audit::About;
use crate::admin_purges::Waiting;
use crate::node::Node;
use crate::problem::Problem;
use crate::push::{Answer, Ask, Preload, TaskOrder, Wish, WishError};

/// The longest that one question waits for an answer; longer waits are several.
const ASK_MAX: Duration = Duration::from_secs(5);

/// `POST /v1/preloads`.
pub(crate) async fn create(
    State(admin): State<Admin>,
    Extension(about): Extension<About>,
    Query(waiting): Query<Waiting>,
    body: Bytes,
) -> Result<Response, Problem> {
    let wait = waiting.duration()?;
    let wish: Wish = serde_json::from_slice(&body).map_err(|error| {
        let detail = format!("{error}; expected {{\"urls\": [...], \"tiers\": [\"edge\"], \"headers\": {{}}, \"sitemap\": \"URL\", \"manifest\": \"URL\", \"rate\": 100}}");
        Problem::new(StatusCode::BAD_REQUEST, "Not a preload", detail)
    })?;
    let order = wish.order(&admin.node).await.map_err(|error| match error {
        WishError::Wrong(why) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing is preloaded", why)
        }
        WishError::Busy => busy("other sitemaps and objects are being read; ask again"),
    })?;
    about.say(order.urls.iter().map(|_| "urls"), order.urls.first().map_or("", String::as_str));
    submit(&admin.node, order, wait).await
}

/// Hands a task to the node that keeps them, and waits for its end for `wait`.
pub(crate) async fn submit(
    node: &Node,
    order: TaskOrder,
    wait: Duration,
) -> Result<Response, Problem> {
    let made = match ask(node, Ask::Create(order)).await? {
        Answer::One(Some(preload)) => *preload,
        Answer::Refused { why, busy: true } => return Err(busy(&why)),
        Answer::Refused { why, busy: false } => {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Nothing is preloaded",
                why,
            ));
        }
        _ => return Err(not_understood()),
    };
    tracing::info!(id = made.id, urls = made.urls, reason = made.reason, "preload taken");
    let id = made.id.clone();
    let shown = if wait.is_zero() { made } else { settled(node, &id, wait).await?.unwrap_or(made) };
    let done = !wait.is_zero() && shown.has_ended();
    let status = if done { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = format!("/v1/preloads/{id}");
    Ok((status, [(header::LOCATION, location)], Json(shown)).into_response())
}

/// `GET /v1/preloads`.
pub(crate) async fn list(State(admin): State<Admin>) -> Result<Response, Problem> {
    match ask(&admin.node, Ask::List).await? {
        Answer::All(preloads) => Ok(Json(json!({"preloads": preloads})).into_response()),
        _ => Err(not_understood()),
    }
}

/// `GET /v1/preloads/{id}`.
pub(crate) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(waiting): Query<Waiting>,
) -> Result<Json<Preload>, Problem> {
    let wait = waiting.duration()?;
    settled(&admin.node, &id, wait).await?.map(Json).ok_or_else(|| unknown(&id))
}

/// `DELETE /v1/preloads/{id}`.
pub(crate) async fn cancel(
    State(admin): State<Admin>,
    Extension(about): Extension<About>,
    Path(id): Path<String>,
) -> Result<Json<Preload>, Problem> {
    about.say(["preloads"], &id);
    match ask(&admin.node, Ask::Cancel { id: id.clone() }).await? {
        Answer::One(found) => found.map(|preload| Json(*preload)).ok_or_else(|| unknown(&id)),
        _ => Err(not_understood()),
    }
}

/// A preload once it has ended, or as it is when `wait` is over.
async fn settled(node: &Node, id: &str, wait: Duration) -> Result<Option<Preload>, Problem> {
    let mut left = wait;
    loop {
        let part = left.min(ASK_MAX);
        left -= part;
        let wait_ms = u64::try_from(part.as_millis()).unwrap_or(0);
        let Answer::One(found) = ask(node, Ask::Show { id: id.to_owned(), wait_ms }).await? else {
            return Err(not_understood());
        };
        let goes_on = found.as_ref().is_some_and(|preload| !preload.has_ended());
        if !goes_on || left.is_zero() {
            return Ok(found.map(|preload| *preload));
        }
    }
}

async fn ask(node: &Node, ask: Ask) -> Result<Answer, Problem> {
    node.log.push(ask).await.map_err(|error| {
        let detail = format!("{}; ask again", crate::telemetry::chain(&error));
        let title = "The node that keeps preloads is not to be had";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, title, detail)
    })
}

/// What may be possible later.
pub(crate) fn busy(why: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too much is under way", why)
}

fn not_understood() -> Problem {
    let detail = "the node that keeps preloads gave another answer than was asked for; do all nodes have the same version?";
    Problem::new(StatusCode::BAD_GATEWAY, "Not understood", detail)
}

fn unknown(id: &str) -> Problem {
    let detail =
        format!("no preload {id:?} is known; they are kept for an hour after they have ended");
    Problem::new(StatusCode::NOT_FOUND, "No such preload", detail)
}
