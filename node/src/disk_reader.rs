//! Sends a body, or a part of one, from disk: as much as the client takes, read just before it is sent.
//!
//! A slice that is missing, or turns out to be, is fetched, where there is somebody who may: the client waits for
//! its bytes instead of being cut off.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use weir_store::{BodyError as ReadError, DiskBody, LaterRead, Reading};

use crate::body::BodyError;
use crate::slices::{Fetcher, Seat};
use crate::upstream::FillError;

/// How often in a row the same byte is fetched: a disk that loses at once what is written to it has no more
/// to give.
const FETCHES_MAX: u32 = 3;

type Bringing = Pin<Box<dyn Future<Output = Result<Option<Seat>, Arc<FillError>>> + Send + Sync>>;

/// The bytes of a body on disk that are still to be sent.
pub(crate) struct DiskReader {
    body: Arc<DiskBody>,
    at: u64,
    end: u64,
    reading: Option<LaterRead>,
    fetcher: Option<Arc<Fetcher>>,
    bringing: Option<Bringing>,
    /// Where the bytes come from at present that are not on disk yet.
    seat: Option<Seat>,
    /// Times that the next byte was fetched.
    fetches: u32,
}

impl DiskReader {
    /// The bytes of `body` from offset `first` up to and without `end`.
    pub(crate) fn new(body: &Arc<DiskBody>, first: u64, end: u64) -> Self {
        Self {
            body: Arc::clone(body),
            at: first,
            end: end.min(body.len()),
            reading: None,
            fetcher: None,
            bringing: None,
            seat: None,
            fetches: 0,
        }
    }

    /// The same, with what brings missing slices, and a seat where the first of them come from.
    pub(crate) fn filled_by(self, fetcher: Option<Arc<Fetcher>>, seat: Option<Seat>) -> Self {
        Self { fetcher, seat, ..self }
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
        loop {
            if self.left() == 0 {
                return Poll::Ready(None);
            }
            if let Some(bringing) = &mut self.bringing {
                let brought = ready!(bringing.as_mut().poll(cx));
                self.bringing = None;
                match brought {
                    Ok(seat) => self.seat = seat.or_else(|| self.seat.take()),
                    Err(error) => return Poll::Ready(Some(Err(BodyError::Fill(error)))),
                }
            }
            match ready!(self.poll_read(cx)) {
                Ok(bytes) => return Poll::Ready(Some(Ok(self.pass(bytes)))),
                Err(error) => match self.bring(&error) {
                    Some(bringing) => self.bringing = Some(bringing),
                    None => return Poll::Ready(Some(Err(BodyError::Disk(error)))),
                },
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ReadError>> {
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None if !self.body.holds(self.at) => return Poll::Ready(Err(ReadError::Missing)),
            None => match self.body.read(self.at, self.left()) {
                Reading::Now(bytes) => return Poll::Ready(Ok(bytes)),
                Reading::Later(reading) => reading,
            },
        };
        let read = reading.as_mut().poll(cx);
        if read.is_pending() {
            self.reading = Some(reading);
        }
        read
    }

    /// The next byte, on its way; `None` where it cannot be had.
    fn bring(&mut self, error: &ReadError) -> Option<Bringing> {
        let is_lost = matches!(error, ReadError::Missing | ReadError::Damaged { .. });
        let fetcher = self.fetcher.as_ref().filter(|_| is_lost && self.fetches < FETCHES_MAX)?;
        self.fetches = self.fetches.saturating_add(1);
        Some(Box::pin(Arc::clone(fetcher).bring(self.at, self.end)))
    }

    fn pass(&mut self, bytes: Bytes) -> Bytes {
        self.at = self.at.saturating_add(bytes.len() as u64);
        self.fetches = 0;
        match &self.seat {
            Some(seat) if seat.brings(self.at) => seat.reach(self.at),
            // The run it belongs to is not waited for any more.
            _ => self.seat = None,
        }
        bytes
    }
}
