//! Answers what children ask of the purge log.
//!
//! A node that does not keep the log asks its own parents in turn, so that a child need not know who
//! keeps it. Only proven children get here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use serde::Serialize;

use super::Order;
use super::above::{Ask, MESSAGE_BYTES_MAX};
use super::hops::{HOPS_MAX, answering};
use super::record::{Log, LogError};
use crate::body::Content;
use crate::inner;
use crate::node::Node;
use crate::push;
use crate::refuse;
use crate::upstream;

/// Time for a message to arrive, and how much more a long one has for each MiB.
const BODY_WITHIN: Duration = Duration::from_secs(5);
const MEBIBYTE_WITHIN: Duration = Duration::from_secs(1);

/// Answers a message whose body must have the digest `promised`.
pub(crate) async fn answer(
    node: &Arc<Node>,
    promised: &HeaderValue,
    body: Option<Incoming>,
) -> Response<Content> {
    let Some(body) = body else { return refused("a message has a body\n") };
    let mebibytes = body.size_hint().upper().map_or(0, |bytes| bytes >> 20).min(64);
    let within = BODY_WITHIN + MEBIBYTE_WITHIN * u32::try_from(mebibytes).unwrap_or(0);
    let whole = Limited::new(body, MESSAGE_BYTES_MAX).collect();
    let bytes = match tokio::time::timeout(within, whole).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(_)) | Err(_) => return refused("the message did not arrive whole\n"),
    };
    match inner::control_hops(promised, &bytes) {
        None => refused("the message is not the one that was signed\n"),
        Some(hops) if hops >= HOPS_MAX => {
            refused("the message has passed too many nodes: do parents point at each other?\n")
        }
        Some(hops) => answering(hops, read(node, &bytes)).await,
    }
}

async fn read(node: &Arc<Node>, bytes: &Bytes) -> Response<Content> {
    if upstream::is_ping(bytes) {
        return upstream::answer_ping(node);
    }
    if push::is_put(bytes) {
        return push::answer_put(node, bytes).await;
    }
    match serde_json::from_slice(bytes) {
        Ok(ask) => obey(node.log.as_ref(), ask).await,
        Err(error) => refused(&format!("the message cannot be read: {error}\n")),
    }
}

async fn obey(log: &dyn Log, ask: Ask) -> Response<Content> {
    match ask {
        Ask::Append { order, wait_ms } => match Order::from_form(&order) {
            Some(order) => told(log.append(order, Duration::from_millis(wait_ms)).await),
            None => refused("the order cannot be read; do all nodes have the same version?\n"),
        },
        Ask::Receipt { id, wait_ms } => told(log.receipt(id, Duration::from_millis(wait_ms)).await),
        Ask::Receipts => told(log.receipts().await),
        Ask::Report(reported) => told(log.report(reported).await),
        Ask::Push(ask) => told(log.push(ask).await),
    }
}

fn told<T: Serialize>(result: Result<T, LogError>) -> Response<Content> {
    let (status, text) = match result {
        Ok(value) => match serde_json::to_vec(&value) {
            Ok(bytes) => return Response::new(Content::Whole(Bytes::from(bytes))),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        Err(error @ LogError::Unreachable { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
        }
        Err(LogError::NotWritten { why }) => (StatusCode::INSUFFICIENT_STORAGE, why),
        Err(error @ LogError::Busy) => (StatusCode::TOO_MANY_REQUESTS, error.to_string()),
    };
    refuse::plain_owned(status, text)
}

fn refused(text: &str) -> Response<Content> {
    refuse::plain_owned(StatusCode::BAD_REQUEST, text.to_owned())
}
