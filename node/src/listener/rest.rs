//! What is left of an answer that did not leave with one write: a body that the peer takes in pieces, or that lies in
//! files, whose bytes go from the page cache to the socket without passing through here.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use rustix::net::{SendFlags, send};
use tokio::io::AsyncWrite;
use weir_store::{DiskBody, LaterRead, Place, Reading, Sent};

use super::guard::Guarded;
use super::http1::Http1;
use super::outlet::Outlet;
use super::phase::Answering;
use crate::express::Found;
use crate::metrics::CacheOutcome;

/// Bytes that are read and written with the head: less than a file costs to be sent from.
const LITTLE_BYTES: u64 = 32 * 1024;

/// What is left of an answer.
pub(super) struct Rest {
    head: Bytes,
    /// Bytes of the body that are in memory, and go before the others.
    piece: Bytes,
    files: Option<Files>,
    /// Bytes of the body that have gone.
    sent: u64,
    found: Found,
    /// Keeps the connection in the state of answering.
    _answering: Answering,
}

/// Bytes of a body in open files.
struct Files {
    body: Arc<DiskBody>,
    places: VecDeque<Place>,
    /// Offset in the body of the first byte of the first place.
    at: u64,
    /// Bytes that are read instead of sent.
    reading: Option<Read>,
}

/// Bytes read.
enum Read {
    Here(Bytes),
    /// The disk is waited for.
    Coming(LaterRead),
}

impl Rest {
    /// What is left of `found` under `head`, of which the first bytes are written.
    pub(super) fn new(
        (head, written): (&[u8], usize),
        mut found: Found,
        answering: Answering,
    ) -> Self {
        let of_body = written.saturating_sub(head.len());
        let mut rest = Self {
            head: Bytes::copy_from_slice(head.get(written..).unwrap_or_default()),
            piece: found.share(found.body().get(of_body..).unwrap_or_default()),
            files: found.take_files().map(|(body, at, places)| Files {
                body,
                places: places.into(),
                at,
                reading: None,
            }),
            sent: of_body as u64,
            found,
            _answering: answering,
        };
        rest.take_little();
        rest
    }

    /// Takes what is little out of its file, so that it leaves with the head in one write.
    fn take_little(&mut self) {
        let Some(files) = &mut self.files else { return };
        let length = files.places.front().map_or(0, |place| place.length);
        if length > LITTLE_BYTES {
            return;
        }
        files.read(length);
        if let Some(Read::Here(bytes)) = files.reading.take_if(|read| matches!(read, Read::Here(_)))
        {
            files.pass(bytes.len() as u64);
            self.piece = bytes;
        }
    }

    /// Sends on; ready when all has gone.
    pub(super) fn poll_send<S: Outlet>(
        &mut self,
        to: &mut Guarded<S, Http1>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.head.is_empty() || !self.piece.is_empty() {
                ready!(self.poll_memory(to, cx))?;
                continue;
            }
            let Some(files) = &mut self.files else { return Poll::Ready(Ok(())) };
            let Some(place) = files.places.front() else { return Poll::Ready(Ok(())) };
            if files.reading.is_none() {
                let sent = to.poll_socket(cx, |socket| match files.body.send(place, socket)? {
                    Sent::Bytes(sent) => Ok(sent),
                    Sent::NotAtHand => Ok(0),
                });
                match ready!(sent)? {
                    0 => files.read(u64::MAX),
                    sent => {
                        files.pass(sent as u64);
                        self.sent += sent as u64;
                    }
                }
            }
            if let Some(reading) = &mut files.reading {
                self.piece = match reading {
                    Read::Here(bytes) => std::mem::take(bytes),
                    Read::Coming(read) => {
                        ready!(read.as_mut().poll(cx)).map_err(io::Error::other)?
                    }
                };
                files.reading = None;
                files.pass(self.piece.len() as u64);
            }
        }
    }

    /// Sends what is in memory.
    fn poll_memory<S: Outlet>(
        &mut self,
        to: &mut Guarded<S, Http1>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let head = &self.head;
        let written = if self.piece.is_empty() && self.files.is_some() {
            // The first bytes of the file go into the same segment.
            to.poll_socket(cx, |socket| Ok(send(socket, head, SendFlags::MORE)?))
        } else {
            let bufs = [IoSlice::new(head), IoSlice::new(&self.piece)];
            Pin::new(to).poll_write_vectored(cx, &bufs)
        };
        let written = ready!(written)?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        self.piece.advance(written - of_head);
        self.sent += (written - of_head) as u64;
        Poll::Ready(Ok(()))
    }
}

impl Files {
    /// Begins to read the next bytes, at most `max`.
    fn read(&mut self, max: u64) {
        let max = self.places.front().map_or(0, |place| place.length).min(max);
        self.reading = Some(match self.body.read(self.at, max) {
            Reading::Now(bytes) => Read::Here(bytes),
            Reading::Later(read) => Read::Coming(read),
        });
    }

    /// Notes that the first `bytes` are dealt with.
    fn pass(&mut self, bytes: u64) {
        self.at += bytes;
        if let Some(place) = self.places.front_mut() {
            place.at += bytes;
            place.length = place.length.saturating_sub(bytes);
            if place.length == 0 {
                self.places.pop_front();
            }
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.found.known.site.metrics.of(CacheOutcome::Hit).bytes.inc_by(self.sent);
    }
}
