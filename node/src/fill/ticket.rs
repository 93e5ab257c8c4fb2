//! A place at a fill: first to learn what comes of it, then to read its body.
//!
//! A ticket holds its place in the body from the moment of joining, so no byte is dropped before its
//! holder has read it. Dropping a ticket or a reader leaves the fill; others go on.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;

use super::body::{Read, ReaderId};
use super::progress::Progress;
use super::table::Fill;
use crate::upstream::FillError;

/// A place at a fill.
#[derive(Debug)]
pub(crate) struct Ticket {
    fill: Arc<Fill>,
    reader: Option<ReaderId>,
}

impl Ticket {
    /// A place at a fill under way; `None` if its first bytes are gone.
    pub(crate) fn attach(fill: &Arc<Fill>) -> Option<Self> {
        let reader = fill.body.attach(0)?;
        Some(Self { fill: Arc::clone(fill), reader: Some(reader) })
    }

    /// A place at a fill that has no bytes yet, which therefore cannot be refused.
    pub(crate) fn attach_new(fill: &Arc<Fill>) -> Self {
        Self { fill: Arc::clone(fill), reader: fill.body.attach(0) }
    }

    /// Waits until there is more than a pending fill.
    ///
    /// Unbounded here because the run is bounded: every run ends within the upstream's timeouts.
    /// Dropping the future leaves the fill.
    pub(crate) async fn progress(&self) -> Progress {
        let mut watch = self.fill.watch();
        match watch.wait_for(|progress| !matches!(progress, Progress::Pending)).await {
            Ok(progress) => progress.clone(),
            Err(_) => Progress::Abandoned,
        }
    }

    /// Whether byte `offset` has arrived or will within `window` bytes.
    pub(crate) fn is_near(&self, offset: u64, window: u64) -> bool {
        offset <= self.fill.body.received().saturating_add(window)
    }

    /// Asks that the fill be finished though this place is given up.
    pub(crate) fn want(&self) {
        self.fill.want();
    }

    /// The body from `first` on, at most `length` bytes of it.
    pub(crate) fn into_reader(mut self, first: u64, length: Option<u64>) -> FillReader {
        let reader = self.reader.take();
        if let Some(id) = reader
            && first > 0
        {
            self.fill.body.advance(id, first);
        }
        FillReader {
            fill: Arc::clone(&self.fill),
            reader,
            left: length,
            reading: None,
            takes_trailers: false,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.fill.body.detach(reader);
        }
    }
}

type SpillRead = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send + Sync>>;

/// Reads the body of a fill.
pub(crate) struct FillReader {
    fill: Arc<Fill>,
    reader: Option<ReaderId>,
    /// Bytes still wanted; `None` means all.
    left: Option<u64>,
    reading: Option<SpillRead>,
    takes_trailers: bool,
}

impl FillReader {
    /// The same, with what comes behind the body.
    pub(crate) fn with_trailers(mut self) -> Self {
        self.takes_trailers = true;
        self
    }

    /// What came behind the body, once, after its end; `None` where there is nothing, or nothing for
    /// this reader.
    pub(crate) fn take_trailers(&self) -> Option<HeaderMap> {
        if self.takes_trailers { self.fill.body.take_trailers() } else { None }
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Arc<FillError>>>> {
        let Some(id) = self.reader else { return Poll::Ready(None) };
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        loop {
            if let Some(reading) = &mut self.reading {
                let read = std::task::ready!(reading.as_mut().poll(cx));
                self.reading = None;
                return Poll::Ready(Some(self.on_spill_read(id, read)));
            }
            match std::task::ready!(self.fill.body.poll_read(id, cx)) {
                Read::Bytes(bytes) => return Poll::Ready(Some(Ok(self.limit(bytes)))),
                Read::Spilled { file, offset, length } => {
                    self.reading = Some(Box::pin(file.read(offset, length)));
                }
                Read::End => return Poll::Ready(None),
                Read::Cut(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    fn on_spill_read(
        &mut self,
        id: ReaderId,
        read: io::Result<Bytes>,
    ) -> Result<Bytes, Arc<FillError>> {
        let bytes = read.map_err(|source| Arc::new(FillError::Spill { source }))?;
        self.fill.body.advance(id, bytes.len() as u64);
        Ok(self.limit(bytes))
    }

    /// Cuts `bytes` to what is still wanted.
    fn limit(&mut self, bytes: Bytes) -> Bytes {
        let Some(left) = self.left else { return bytes };
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.left = Some(left - take as u64);
        bytes.slice(..take)
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.fill.body.detach(reader);
        }
    }
}
