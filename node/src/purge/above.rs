//! How does a node without the log ask the one that keeps it?
//!
//! Through its parents, each of which asks its own, over the same proven connections as data: no node
//! needs another address, and a parent that fails is passed over. A message is a POST with the field
//! `Weir-Control`, whose body is covered by the proof.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use weir_cache::CacheKey;

use super::Order;
use super::hops;
use super::order::OrderForm;
use super::record::{Batch, Log, LogError, PurgeReceipt, Reported};
use crate::inner;
use crate::push;
use crate::upstream::{Answer, Group, OutBody, OutRequest, Position, Upstreams};

/// Bytes of a message, either way: the longest purge, and the longest stretch of the log, fit.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long an answer may take beyond the time that was asked for.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_250);
/// How long making an entry durable may take on top.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// Parents asked for one thing, the first one included.
const TRIES_MAX: u32 = 3;
/// After this time no other parent is asked.
const TRY_AGAIN_WITHIN: Duration = Duration::from_secs(2);
/// The longest that one message asks to wait; longer waits are several messages.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What one node asks of the log of another.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// See [`Log::append`].
    Append { order: OrderForm, wait_ms: u64 },
    /// See [`Log::receipt`].
    Receipt { id: String, wait_ms: u64 },
    /// See [`Log::receipts`].
    Receipts,
    /// See [`Log::report`].
    Report(Reported),
    /// See [`Log::push`].
    Push(push::Ask),
}

/// The log of a node further up.
pub(crate) struct Above {
    name: String,
    upstreams: Arc<Upstreams>,
    parents: Arc<Group>,
    /// Moves on with each failure, so that another parent is asked.
    turn: AtomicU64,
}

impl Above {
    /// The log that `parents` lead to, asked by the node `name`.
    pub(crate) fn new(name: &str, upstreams: Arc<Upstreams>, parents: Arc<Group>) -> Self {
        Self { name: name.to_owned(), upstreams, parents, turn: AtomicU64::new(0) }
    }

    /// Sends a message that may be sent again to another parent where the first does not answer: what it
    /// asks for is the same when it is done twice.
    async fn ask<T: DeserializeOwned>(&self, ask: &Ask, within: Duration) -> Result<T, LogError> {
        let began = Instant::now();
        let mut result = self.ask_once(ask, within).await;
        for _ in 1..TRIES_MAX {
            let unreachable = matches!(result, Err(LogError::Unreachable { .. }));
            // Whoever asked has a time of their own; what took long is not begun again.
            if !unreachable || began.elapsed() > TRY_AGAIN_WITHIN {
                break;
            }
            result = self.ask_once(ask, within).await;
        }
        result
    }

    /// Sends a message and reads its answer, within `within`.
    async fn ask_once<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        within: Duration,
    ) -> Result<T, LogError> {
        let asking = async {
            let answer = self
                .upstreams
                .send(&self.parents, self.request(ask)?)
                .await
                .map_err(|error| unreachable(&crate::telemetry::chain(&error)))?;
            read(answer).await
        };
        let answered = tokio::time::timeout(within, asking).await;
        let result = answered
            .unwrap_or_else(|_late| Err(unreachable(&format!("no answer within {within:?}"))));
        if matches!(result, Err(LogError::Unreachable { .. })) {
            self.turn.fetch_add(1, Relaxed);
        }
        result
    }

    fn request(&self, ask: &Ask) -> Result<OutRequest, LogError> {
        let body = serde_json::to_vec(ask).map_err(|error| unreachable(&error))?;
        Ok(message(body.into(), self.way()))
    }

    /// Chooses among the parents: each node its own, and another one after a failure.
    fn way(&self) -> CacheKey {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.name.as_bytes());
        hasher.update(&self.turn.load(Relaxed).to_le_bytes());
        CacheKey::from_bytes(hasher.finalize().into())
    }
}

/// A message to a parent, which `key` chooses among several.
pub(crate) fn message(body: Bytes, key: CacheKey) -> OutRequest {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("weir.invalid"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(inner::CONTROL, inner::control(&body, hops::passed()));
    OutRequest {
        method: Method::POST,
        path_and_query: "/".to_owned(),
        headers,
        body: OutBody::Whole(body),
        key,
        interim: None,
        position: Position::default(),
        avoid: None,
    }
}

async fn read<T: DeserializeOwned>(answer: Answer) -> Result<T, LogError> {
    let status = answer.status;
    let body = Limited::new(answer.body, MESSAGE_BYTES_MAX).collect().await;
    let bytes = body.map_err(|error| unreachable(&error))?.to_bytes();
    match status {
        StatusCode::OK => serde_json::from_slice(&bytes).map_err(|error| unreachable(&error)),
        StatusCode::INSUFFICIENT_STORAGE => Err(LogError::NotWritten { why: text(&bytes) }),
        StatusCode::TOO_MANY_REQUESTS => Err(LogError::Busy),
        status => Err(unreachable(&format!("the parent answered {status}: {}", text(&bytes)))),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..bytes.len().min(512)).unwrap_or_default()).trim().to_owned()
}

fn unreachable(why: &dyn std::fmt::Display) -> LogError {
    LogError::Unreachable { why: why.to_string() }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

impl Log for Above {
    fn append(
        &self,
        order: Order,
        wait: Duration,
    ) -> BoxFuture<'_, Result<PurgeReceipt, LogError>> {
        async move {
            let first = wait.min(WAIT_MAX);
            let ask = Ask::Append { order: order.form(), wait_ms: millis(first) };
            let receipt: PurgeReceipt =
                self.ask(&ask, first + WRITE_WITHIN + ANSWER_WITHIN).await?;
            let left = wait.saturating_sub(first);
            if receipt.is_complete() || left.is_zero() {
                return Ok(receipt);
            }
            Ok(self.receipt(receipt.id.clone(), left).await?.unwrap_or(receipt))
        }
        .boxed()
    }

    fn receipt(
        &self,
        id: String,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Option<PurgeReceipt>, LogError>> {
        async move {
            let mut left = wait;
            loop {
                let now = left.min(WAIT_MAX);
                left = left.saturating_sub(now);
                let ask = Ask::Receipt { id: id.clone(), wait_ms: millis(now) };
                let receipt: Option<PurgeReceipt> = self.ask(&ask, now + ANSWER_WITHIN).await?;
                let goes_on = receipt.as_ref().is_some_and(|receipt| !receipt.is_complete());
                if !goes_on || left.is_zero() {
                    return Ok(receipt);
                }
            }
        }
        .boxed()
    }

    fn receipts(&self) -> BoxFuture<'_, Result<Vec<PurgeReceipt>, LogError>> {
        async move { self.ask(&Ask::Receipts, ANSWER_WITHIN).await }.boxed()
    }

    fn report(&self, reported: Reported) -> BoxFuture<'_, Result<Batch, LogError>> {
        async move {
            let within = Duration::from_millis(reported.hold_ms) + ANSWER_WITHIN;
            self.ask_once(&Ask::Report(reported), within).await
        }
        .boxed()
    }

    fn push(&self, ask: push::Ask) -> BoxFuture<'_, Result<push::Answer, LogError>> {
        async move {
            let wait = match &ask {
                push::Ask::Show { wait_ms, .. } => Duration::from_millis(*wait_ms).min(WAIT_MAX),
                // The list of URLs may be long.
                push::Ask::Create(_) => WRITE_WITHIN,
                _ => Duration::ZERO,
            };
            self.ask(&Ask::Push(ask), wait + ANSWER_WITHIN).await
        }
        .boxed()
    }
}
