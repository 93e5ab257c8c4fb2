//! Sends a body, or a part of one, from disk: as much as the client takes, read just before it is sent.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use weir_store::{BodyError, DiskBody, LaterRead, Reading};

/// The bytes of a body on disk that are still to be sent.
pub(crate) struct DiskReader {
    body: Arc<DiskBody>,
    at: u64,
    end: u64,
    reading: Option<LaterRead>,
}

impl DiskReader {
    /// The bytes of `body` from offset `first` up to and without `end`.
    pub(crate) fn new(body: &Arc<DiskBody>, first: u64, end: u64) -> Self {
        Self { body: Arc::clone(body), at: first, end: end.min(body.len()), reading: None }
    }

    /// How many bytes have not been taken.
    pub(crate) fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.left() == 0 {
            return Poll::Ready(None);
        }
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => match self.body.read(self.at, self.left()) {
                Reading::Now(bytes) => return Poll::Ready(Some(Ok(self.pass(bytes)))),
                Reading::Later(reading) => reading,
            },
        };
        match reading.as_mut().poll(cx) {
            Poll::Pending => {
                self.reading = Some(reading);
                Poll::Pending
            }
            Poll::Ready(read) => Poll::Ready(Some(read.map(|bytes| self.pass(bytes)))),
        }
    }

    fn pass(&mut self, bytes: Bytes) -> Bytes {
        self.at = self.at.saturating_add(bytes.len() as u64);
        bytes
    }
}
