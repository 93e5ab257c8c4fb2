//! `PUT /v1/objects?url=URL`: store an object that no origin has sent.
//!
//! The body is the object's. Fields of the request that begin with `Object-` become the object's
//! fields, without that word; `Object-Status` is its status. Then the tiers asked for fetch it.

use std::time::Duration;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::admin::Admin;
use crate::admin_audit::About;
use crate::admin_preloads::{busy, submit};
use crate::admin_purges::parse_wait;
use crate::problem::Problem;
use crate::push::{
    PUT_BYTES_MAX, Put, PutError, PutHead, accept_put, check_url, read_tiers, spread_of,
};

/// What the fields of the object begin with.
const PREFIX: &str = "object-";
/// Time for the body to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(120);

/// What may follow the path.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    url: String,
    tiers: Option<String>,
    wait: Option<String>,
}

/// `PUT /v1/objects`.
pub(crate) async fn put(
    State(admin): State<Admin>,
    Extension(about): Extension<About>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let node = &admin.node;
    let wait = parse_wait(asked.wait.as_deref())?;
    let named = asked.tiers.as_deref().unwrap_or_default().split(',').map(str::trim);
    let named = named.filter(|tier| !tier.is_empty()).map(str::to_owned).collect();
    let tiers = read_tiers(named).map_err(wrong)?;
    let head = head(asked.url, &headers).map_err(wrong)?;
    check_url(node, &head.url).map_err(wrong)?;
    about.say(["objects"], &head.url);
    let _held = node
        .push
        .large
        .try_acquire()
        .map_err(|_full| busy("other objects and sitemaps are being read; ask again"))?;
    let max = node.config.store.object_max.as_u64().min(PUT_BYTES_MAX);
    let body = whole(body, max).await?;
    let spread = spread_of(node, &head, tiers);
    let accepted = accept_put(node, Put { head, body }).await.map_err(|error| problem(&error))?;
    submit(node, spread.after(accepted), wait).await
}

/// The object's status and fields.
fn head(url: String, request: &HeaderMap) -> Result<PutHead, String> {
    let mut status = 200;
    let mut headers = Vec::new();
    for (name, value) in request {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else { continue };
        let text = value.to_str().map_err(|_opaque| format!("Object-{name} is not text"))?;
        if name == "status" {
            status = text
                .parse()
                .map_err(|_odd| format!("Object-Status is {text:?} (expected such as 200)"))?;
        } else {
            headers.push((name.to_owned(), text.to_owned()));
        }
    }
    Ok(PutHead { url, status, headers })
}

async fn whole(body: Body, max: u64) -> Result<bytes::Bytes, Problem> {
    let limit = usize::try_from(max).unwrap_or(usize::MAX);
    match tokio::time::timeout(BODY_WITHIN, to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // It is too long, or its sender has gone and reads no answer.
        Ok(Err(_)) => Err(problem(&PutError::TooLarge(max))),
        Err(_late) => {
            let detail = format!("the body did not arrive within {BODY_WITHIN:?}");
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "Too slow", detail))
        }
    }
}

fn wrong(why: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was stored", why)
}

fn problem(error: &PutError) -> Problem {
    let status = match error {
        PutError::Wrong(_) | PutError::NotStorable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        PutError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        PutError::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, "Nothing was stored", error.to_string())
}
