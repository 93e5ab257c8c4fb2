//! The body of a response to a peer, and what is noted when it has gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, Sleep, sleep};

use crate::access_log::Record;
use crate::disk_reader::DiskReader;
use crate::fill::FillReader;
use crate::listener::Answering;
use crate::row::Row;
use crate::upstream::{FillError, UpstreamBody, only_passable};

/// Why a body ended before its end. hyper then breaks the connection off, so that the peer sees it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The fill behind it failed.
    #[error("the fill behind the response failed")]
    Fill(#[source] Arc<FillError>),
    /// The disk does not give the rest.
    #[error("the body cannot be read from disk")]
    Disk(#[source] weir_store::BodyError),
    /// Upstream ended it.
    #[error("upstream ended the body")]
    Upstream(#[source] hyper::Error),
    /// Upstream sent nothing for too long.
    #[error("upstream sent no byte for {0:?}")]
    Idle(Duration),
}

/// Where the bytes come from.
pub(crate) enum Content {
    /// Nowhere.
    Empty,
    /// Memory.
    Whole(Bytes),
    /// Several places, one after the other.
    Row(Box<Row>),
    /// The disk.
    Disk(Box<DiskReader>),
    /// A fill in flight.
    Fill(FillReader),
    /// Straight from upstream.
    Upstream(Box<Passing>),
}

/// A body that passes through, and how long it may pause.
pub(crate) struct Passing {
    body: UpstreamBody,
    idle: Duration,
    pause: Pin<Box<Sleep>>,
}

impl Passing {
    /// Passes `body` on as long as it never pauses for `idle`.
    pub(crate) fn new(body: UpstreamBody, idle: Duration) -> Self {
        Self { body, idle, pause: Box::pin(sleep(idle)) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.pause.as_mut().reset(Instant::now() + self.idle);
            let frame = frame.map(|frame| frame.map_err(BodyError::Upstream));
            return Poll::Ready(frame.map(only_passable));
        }
        ready!(self.pause.as_mut().poll(cx));
        Poll::Ready(Some(Err(BodyError::Idle(self.idle))))
    }
}

/// What is noted about a response when its body has gone.
pub(crate) struct Account {
    /// Counts the body's bytes.
    pub(crate) bytes: Counter,
    /// Its line in the access log; `None` where there is no such log.
    pub(crate) record: Option<Box<Record>>,
}

/// The body of a response.
pub(crate) struct ResponseBody {
    content: Content,
    sent: u64,
    account: Option<Account>,
    answering: Option<Answering>,
}

impl ResponseBody {
    /// A body that is accounted for when it is dropped.
    pub(crate) fn new(content: Content, account: Option<Account>) -> Self {
        Self { content, sent: 0, account, answering: None }
    }

    /// The same, keeping the connection in the state of answering until it has gone.
    pub(crate) fn answering(mut self, answering: Answering) -> Self {
        self.answering = Some(answering);
        self
    }

    fn poll_content(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.content {
            Content::Empty => Poll::Ready(None),
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Row(row) => {
                Poll::Ready(ready!(row.poll_next(cx)).map(|read| read.map(Frame::data)))
            }
            Content::Disk(reader) => {
                Poll::Ready(ready!(reader.poll_next(cx)).map(|read| read.map(Frame::data)))
            }
            Content::Fill(reader) => Poll::Ready(match ready!(reader.poll_next(cx)) {
                Some(read) => Some(read.map(Frame::data).map_err(BodyError::Fill)),
                None => reader.take_trailers().map(|trailers| Ok(Frame::trailers(trailers))),
            }),
            Content::Upstream(passing) => passing.poll(cx),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.poll_content(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.sent += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
            }
            Some(Err(error)) => {
                if let Some(record) = self.account.as_mut().and_then(|a| a.record.as_mut()) {
                    record.error = Some(crate::telemetry::chain(error).to_string());
                }
            }
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Row(row) => row.left() == 0,
            Content::Disk(reader) => reader.left() == 0,
            Content::Fill(_) => false,
            Content::Upstream(passing) => passing.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Row(row) => SizeHint::with_exact(row.left()),
            Content::Disk(reader) => SizeHint::with_exact(reader.left()),
            Content::Fill(_) => SizeHint::default(),
            Content::Upstream(passing) => passing.body.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        drop(self.answering.take());
        let Some(account) = self.account.take() else { return };
        account.bytes.inc_by(self.sent);
        if let Some(record) = account.record {
            record.write(self.sent);
        }
    }
}
