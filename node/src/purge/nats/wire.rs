//! How is the stream asked? Core NATS messages to JetStream's own interface, a few of them.
//!
//! JetStream's consumers are not used: what the server pushes is a hint, what counts is read by number,
//! so that nothing can be stuck that one has to notice.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, HeaderMap, Request, RequestErrorKind, Subscriber};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Notify;

use super::super::record::LogError;
use super::trail::Mark;
use crate::config::NatsConfig;

/// How long connecting and one question may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Messages and bytes that the stream keeps.
const MESSAGES_KEPT: u64 = 100_000;
const BYTES_KEPT: u64 = 256 * 1024 * 1024;
/// How long the server remembers the name of a message that is sent again.
const NAMES_KEPT: Duration = Duration::from_secs(120);
/// What the description of a stream begins with; the lease in milliseconds follows.
const DESCRIPTION: &str = "weir purge log, lease_ms=";
/// JetStream's name for "no such message" (stream not found is 10059).
const NO_STREAM: u32 = 10_059;
const NO_MESSAGE: u32 = 10_037;

/// Why the stream did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The server cannot be reached or does not answer. What was asked may still be done.
    #[error("NATS does not answer: {why}")]
    Unanswered {
        /// What stood in the way.
        why: String,
    },
    /// The server answered that it will not.
    #[error("JetStream refuses: {why}")]
    Refused {
        /// What it said.
        why: String,
    },
}

impl From<WireError> for LogError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Unanswered { .. } => Self::Unreachable { why: error.to_string() },
            WireError::Refused { .. } => Self::NotWritten { why: error.to_string() },
        }
    }
}

fn unanswered(why: &dyn std::fmt::Display) -> WireError {
    WireError::Unanswered { why: why.to_string() }
}

/// What a message of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A purge.
    Purge,
    /// A member's word on how far it is; by it, it renews its lease.
    Report,
    /// What a later version may put there.
    Unknown,
}

/// One message of the log.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Its number.
    pub(super) seq: u64,
    /// What it is.
    pub(super) kind: Kind,
    /// What it says.
    pub(super) payload: Bytes,
}

impl Message {
    /// What tells it from another message with its number.
    pub(super) fn mark(&self) -> Mark {
        blake3::hash(&self.payload)
    }

    fn new(seq: u64, subject: &str, payload: Bytes) -> Self {
        let kind = match subject.rsplit('.').next() {
            Some("purge") => Kind::Purge,
            Some("report") => Kind::Report,
            _ => Kind::Unknown,
        };
        Self { seq, kind, payload }
    }

    /// Reads a message as the server pushes it.
    pub(super) fn pushed(message: &async_nats::Message) -> Option<Self> {
        let seq = message.headers.as_ref()?.get("Nats-Sequence")?.as_str().parse().ok()?;
        Some(Self::new(seq, &message.subject, message.payload.clone()))
    }
}

/// What there is to know of the stream.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// When it was made; no two streams share that.
    pub(super) created: String,
    /// The oldest message kept.
    pub(super) first: u64,
    /// The newest.
    pub(super) last: u64,
    /// The lease of all who follow it.
    pub(super) lease: Duration,
}

/// The names of one CDN's subjects and stream.
#[derive(Clone, Debug)]
pub(super) struct Names {
    cdn: String,
    /// The stream.
    pub(super) stream: String,
}

impl Names {
    /// The names for the CDN called `cdn`.
    pub(super) fn new(cdn: &str, stream: Option<&str>) -> Self {
        let stream = stream.map_or_else(|| format!("{cdn}-purges"), str::to_owned);
        Self { cdn: cdn.to_owned(), stream }
    }

    fn log(&self, what: &str) -> String {
        format!("weir.{}.log.{what}", self.cdn)
    }

    fn news(&self) -> String {
        format!("weir.{}.news.>", self.cdn)
    }

    fn acks(&self) -> String {
        format!("weir.{}.acks", self.cdn)
    }
}

/// A connection to the server.
pub(super) struct Wire {
    client: Client,
    names: Names,
    /// Told when the connection has broken.
    lost: Arc<Notify>,
}

impl Wire {
    /// Connects as the node `name`.
    pub(super) async fn connect(
        config: &NatsConfig,
        names: &Names,
        name: &str,
    ) -> Result<Self, WireError> {
        let server = config.server.clone().unwrap_or_default();
        let lost = Arc::new(Notify::new());
        let options = options(config, name, &lost).map_err(|error| unanswered(&error))?;
        // A task of its own: without TLS compiled in, a server that demands it makes the client panic.
        let connecting = tokio::spawn(async move { options.connect(server).await });
        let client = tokio::time::timeout(CONNECT_WITHIN, connecting)
            .await
            .map_err(|_late| unanswered(&format!("no connection within {CONNECT_WITHIN:?}")))?
            .map_err(|_panic| unanswered(&"the client gave up; does the server demand TLS?"))?
            .map_err(|error| unanswered(&crate::telemetry::chain(&error)))?;
        Ok(Self { client, names: names.clone(), lost })
    }

    /// Waits until the connection breaks.
    pub(super) async fn broken(&self) -> WireError {
        self.lost.notified().await;
        unanswered(&"the connection broke")
    }

    /// What the server pushes of the log.
    pub(super) async fn news(&self) -> Result<Subscriber, WireError> {
        self.client.subscribe(self.names.news()).await.map_err(|error| unanswered(&error))
    }

    /// What members say between their reports.
    pub(super) async fn acks(&self) -> Result<Subscriber, WireError> {
        self.client.subscribe(self.names.acks()).await.map_err(|error| unanswered(&error))
    }

    /// Tells the other members something that need not be kept.
    pub(super) async fn tell(&self, payload: Vec<u8>) -> Result<(), WireError> {
        let told = self.client.publish(self.names.acks(), payload.into()).await;
        told.map_err(|error| unanswered(&error))
    }

    /// The stream; `None` if there is none.
    pub(super) async fn look(&self) -> Result<Option<Stream>, WireError> {
        let answer = self.api("STREAM.INFO", &json!({})).await?;
        let Some(Info { config, created, state }) = found(answer, NO_STREAM)? else {
            return Ok(None);
        };
        let lease = config.description.strip_prefix(DESCRIPTION).and_then(|ms| ms.parse().ok());
        let (Some(lease), Some(true)) =
            (lease, config.republish.map(|to| to.dest == self.names.news()))
        else {
            let why = format!(
                "the stream {} is not one that Weir made; delete it or set [purge] nats_stream",
                self.names.stream
            );
            return Err(WireError::Refused { why });
        };
        let lease = Duration::from_millis(lease);
        Ok(Some(Stream { created, first: state.first_seq, last: state.last_seq, lease }))
    }

    /// Makes the stream. Where another node has just done so, that is as good.
    pub(super) async fn make(&self, lease: Duration, replicas: usize) -> Result<(), WireError> {
        let config = json!({
            "name": self.names.stream,
            "description": format!("{DESCRIPTION}{}", lease.as_millis()),
            "subjects": [self.names.log(">")],
            "republish": {"src": self.names.log(">"), "dest": self.names.news()},
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "num_replicas": replicas,
            "max_msgs": MESSAGES_KEPT,
            "max_bytes": BYTES_KEPT,
            "duplicate_window": u64::try_from(NAMES_KEPT.as_nanos()).unwrap_or(0),
            // A hole in the log makes all members validate all that they store.
            "deny_delete": true,
        });
        let answer = self.api("STREAM.CREATE", &config).await?;
        let _made: Option<serde_json::Value> = found(answer, 0)?;
        Ok(())
    }

    /// Removes the stream.
    pub(super) async fn remove(&self) -> Result<(), WireError> {
        let answer = self.api("STREAM.DELETE", &json!({})).await?;
        let _removed: Option<serde_json::Value> = found(answer, NO_STREAM)?;
        Ok(())
    }

    /// Writes a message; returns its number once the stream has confirmed it. The same `id` again is the
    /// same message.
    pub(super) async fn write(
        &self,
        kind: Kind,
        id: &str,
        payload: Bytes,
    ) -> Result<u64, WireError> {
        let what = if kind == Kind::Purge { "purge" } else { "report" };
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let request = Request::new().headers(headers).payload(payload);
        let answer = self.ask(self.names.log(what), request).await?;
        let ack: Option<Ack> = found(answer, 0)?;
        ack.map(|ack| ack.seq).ok_or_else(|| unanswered(&"an empty answer"))
    }

    /// The message `seq`; `None` if there is none.
    pub(super) async fn read(&self, seq: u64) -> Result<Option<Message>, WireError> {
        let answer = self.api("STREAM.MSG.GET", &json!({"seq": seq})).await?;
        let Some(Got { message }) = found(answer, NO_MESSAGE)? else { return Ok(None) };
        let payload = STANDARD.decode(message.data).map_err(|error| unanswered(&error))?;
        Ok(Some(Message::new(message.seq, &message.subject, payload.into())))
    }

    async fn api(&self, verb: &str, body: &serde_json::Value) -> Result<Bytes, WireError> {
        let request = Request::new().payload(body.to_string().into());
        self.ask(format!("$JS.API.{verb}.{}", self.names.stream), request).await
    }

    async fn ask(&self, subject: String, request: Request) -> Result<Bytes, WireError> {
        let request = request.timeout(Some(ANSWER_WITHIN));
        let answer = self.client.send_request(subject, request).await;
        answer.map(|answer| answer.payload).map_err(|error| match error.kind() {
            RequestErrorKind::MaxPayloadExceeded => WireError::Refused {
                why: format!(
                    "one message may have {} bytes; purge in smaller parts, or raise max_payload of the NATS server",
                    self.client.max_payload()
                ),
            },
            _ => unanswered(&crate::telemetry::chain(&error)),
        })
    }
}

/// The options of a connection. It is never mended: a new one is made, and what was missed is read.
fn options(config: &NatsConfig, name: &str, lost: &Arc<Notify>) -> io::Result<ConnectOptions> {
    let lost = Arc::clone(lost);
    let options = ConnectOptions::new()
        .name(format!("weir {name}"))
        .connection_timeout(CONNECT_WITHIN)
        .max_reconnects(1)
        .event_callback(move |event| {
            if matches!(event, Event::Disconnected | Event::Closed) {
                lost.notify_one();
            }
            async {}
        });
    let Some(path) = &config.credentials else { return Ok(options) };
    let (user, password) = credentials(path)?;
    Ok(options.user_and_password(user, password))
}

/// Reads `user:password` from a file.
fn credentials(path: &Path) -> io::Result<(String, String)> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        io::Error::new(error.kind(), format!("{} cannot be read: {error}", path.display()))
    })?;
    let (user, password) =
        text.trim_end_matches(['\r', '\n']).split_once(':').ok_or_else(|| {
            io::Error::other(format!("{} does not hold user:password", path.display()))
        })?;
    Ok((user.to_owned(), password.to_owned()))
}

/// Reads an answer; `None` for the failure called `absent`.
fn found<T: serde::de::DeserializeOwned>(
    answer: Bytes,
    absent: u32,
) -> Result<Option<T>, WireError> {
    let failed: Failed = serde_json::from_slice(&answer).map_err(|error| unanswered(&error))?;
    match failed.error {
        None => serde_json::from_slice(&answer).map(Some).map_err(|error| unanswered(&error)),
        Some(failure) if failure.err_code == absent => Ok(None),
        // No leader, no room for requests: as if there had been no answer.
        Some(failure) if failure.code == 503 => Err(unanswered(&failure.description)),
        Some(failure) => Err(WireError::Refused { why: failure.description }),
    }
}

#[derive(Deserialize)]
struct Failed {
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Ack {
    seq: u64,
}

#[derive(Deserialize)]
struct Got {
    message: GotMessage,
}

#[derive(Deserialize)]
struct GotMessage {
    seq: u64,
    subject: String,
    #[serde(default)]
    data: String,
}

#[derive(Deserialize)]
struct Info {
    config: InfoConfig,
    created: String,
    state: InfoState,
}

#[derive(Deserialize)]
struct InfoConfig {
    #[serde(default)]
    description: String,
    republish: Option<Republish>,
}

#[derive(Deserialize)]
struct Republish {
    dest: String,
}

#[derive(Deserialize)]
struct InfoState {
    first_seq: u64,
    last_seq: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str, absent: u32) -> Result<Option<u64>, String> {
        let answer: Result<Option<Ack>, _> = found(Bytes::from(answer.to_owned()), absent);
        answer.map(|ack| ack.map(|ack| ack.seq)).map_err(|error| error.to_string())
    }

    #[test]
    fn answers_of_jetstream_are_read() {
        let absent = r#"{"error":{"code":404,"err_code":10037,"description":"no message found"}}"#;
        let busy = r#"{"error":{"code":503,"err_code":10008,"description":"not available"}}"#;
        assert_eq!(read(r#"{"stream":"s","seq":7,"duplicate":true}"#, 0), Ok(Some(7)));
        assert_eq!(read(absent, NO_MESSAGE), Ok(None));
        assert_eq!(read(absent, 0), Err("JetStream refuses: no message found".to_owned()));
        assert_eq!(read(busy, 0), Err("NATS does not answer: not available".to_owned()));
        assert!(read("PING", 0).is_err());
    }

    #[test]
    fn the_last_part_of_a_subject_says_what_a_message_is() {
        for (subject, kind) in [
            ("weir.c.log.purge", Kind::Purge),
            ("weir.c.news.report", Kind::Report),
            ("weir.c.log.later", Kind::Unknown),
        ] {
            assert_eq!(Message::new(1, subject, Bytes::new()).kind, kind);
        }
    }
}
