//! The body of a response to a peer, and what is noted when it has gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::access_log::Record;
use crate::disk_reader::DiskReader;
use crate::fill::FillReader;
use crate::limits::{Place, Shaper};
use crate::listener::Answering;
use crate::metrics::StripedCounter;
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
    pub(crate) bytes: StripedCounter,
    /// Its line in the access log; `None` where there is no such log.
    pub(crate) record: Option<Box<Record>>,
}

/// The body of a response.
pub(crate) struct ResponseBody {
    content: Content,
    sent: u64,
    account: Option<Account>,
    answering: Option<Answering>,
    /// The request's place among those in flight at its site.
    place: Option<Place>,
    /// What spreads it over time; `None` where nothing does.
    shaper: Option<Box<Shaper>>,
}

impl ResponseBody {
    /// A body that is accounted for when it is dropped.
    pub(crate) fn new(content: Content, account: Option<Account>) -> Self {
        Self { content, sent: 0, account, answering: None, place: None, shaper: None }
    }

    /// The same, keeping the connection in the state of answering until it has gone.
    pub(crate) fn answering(mut self, answering: Answering) -> Self {
        self.answering = Some(answering);
        self
    }

    /// The same, holding `place` until it has gone and spread over time by `shaper`.
    pub(crate) fn limited(mut self, place: Place, shaper: Option<Box<Shaper>>) -> Self {
        (self.place, self.shaper) = (Some(place), shaper);
        self
    }

    /// The next frame, data of it in pieces as their turn comes where the body is spread over time.
    fn poll_in_turn(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Some(shaper) = &mut self.shaper
                && shaper.held() > 0
            {
                let piece = ready!(shaper.poll_piece(cx));
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let frame = ready!(self.poll_content(cx));
            match (&mut self.shaper, frame) {
                (Some(shaper), Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => shaper.put(bytes),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                (_, frame) => return Poll::Ready(frame),
            }
        }
    }

    /// Bytes that came and wait for their turn.
    fn held(&self) -> u64 {
        self.shaper.as_ref().map_or(0, |shaper| shaper.held() as u64)
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
        let frame = ready!(self.poll_in_turn(cx));
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
        if self.held() > 0 {
            return false;
        }
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
        let held = self.held();
        let of = |left: u64| SizeHint::with_exact(left.saturating_add(held));
        match &self.content {
            Content::Empty => of(0),
            Content::Whole(bytes) => of(bytes.len() as u64),
            Content::Row(row) => of(row.left()),
            Content::Disk(reader) => of(reader.left()),
            Content::Fill(_) => SizeHint::default(),
            Content::Upstream(passing) => match passing.body.size_hint().exact() {
                Some(left) => of(left),
                None => SizeHint::default(),
            },
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        drop(self.answering.take());
        drop(self.place.take());
        let Some(account) = self.account.take() else { return };
        account.bytes.inc_by(self.sent);
        if let Some(record) = account.record {
            record.write(self.sent);
        }
    }
}
