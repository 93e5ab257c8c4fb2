//! Interim responses (1xx) on their way to a client, such as 103 Early Hints (RFC 9110 §15.2).
//!
//! hyper's server refuses to send them. So the bytes go into a queue beside the connection, and the
//! connection's own stream writes them before whatever hyper writes next (see `listener`).
//! That is safe exactly while hyper has nothing of its own on the way, which is so from the moment a
//! request is read, with the answer before it sent in full, until its final response is handed over.
//!
//! # Invariants
//!
//! 1. Nothing is queued before [`Interims::open`] or after [`Interims::close`], so no interim response
//!    follows a final one.
//! 2. A client that speaks HTTP/1.0, or that has not taken all of the answer before, gets none.
//! 3. At most [`COUNT_MAX`] of [`BYTES_MAX`] bytes together wait for one request; more are dropped.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures_util::task::AtomicWaker;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use weir_cache::{Direction, strip_hop_by_hop};

use crate::inner;

/// Interim responses to one request.
const COUNT_MAX: usize = 16;
/// Bytes of all of them.
const BYTES_MAX: usize = 16 * 1024;

/// Whoever is to get the interim responses to a request upstream.
pub(crate) type Sink = Arc<dyn Fn(StatusCode, &HeaderMap) + Send + Sync>;

/// The queue of one connection, for one request at a time.
#[derive(Debug, Default)]
pub(crate) struct Interims {
    queue: Mutex<Queue>,
    /// Whether the queue holds bytes, so that a connection without any pays one load.
    waiting: AtomicBool,
    /// Whether the queue has been opened for the present request.
    opened: AtomicBool,
    connection: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    open: bool,
    /// Counts requests, so that what was meant for one never reaches the next.
    request: u64,
    count: usize,
    bytes: Vec<u8>,
}

impl Interims {
    /// Lets interim responses through until [`Interims::close`]; returns the number to send with.
    pub(crate) fn open(&self) -> u64 {
        self.opened.store(true, Relaxed);
        let mut queue = self.queue.lock();
        queue.open = true;
        queue.count = 0;
        queue.request += 1;
        queue.request
    }

    /// Lets no more through: the final response follows. Free where the queue was never opened.
    pub(crate) fn close(&self) {
        if self.opened.swap(false, Relaxed) {
            self.queue.lock().open = false;
        }
    }

    /// Queues one interim response to `request`, connection fields and inner fields removed.
    ///
    /// 100 and 101 speak of one connection only and are not passed on.
    pub(crate) fn send(&self, request: u64, status: StatusCode, headers: &HeaderMap) {
        if matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS) {
            return;
        }
        let Some(message) = serialize(status, headers) else { return };
        let mut queue = self.queue.lock();
        let fits = queue.bytes.len() + message.len() <= BYTES_MAX && queue.count < COUNT_MAX;
        if !queue.open || queue.request != request || !fits {
            return;
        }
        queue.count += 1;
        queue.bytes.extend_from_slice(&message);
        self.waiting.store(true, Relaxed);
        drop(queue);
        self.connection.wake();
    }

    /// Takes what is queued; `None` if there is nothing.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        if !self.waiting.load(Relaxed) {
            return None;
        }
        let mut queue = self.queue.lock();
        self.waiting.store(false, Relaxed);
        Some(std::mem::take(&mut queue.bytes))
    }

    /// Names the task that writes to the connection.
    pub(crate) fn written_by(&self, task: &std::task::Waker) {
        self.connection.register(task);
    }
}

/// The message on the wire; `None` if a field cannot be written.
fn serialize(status: StatusCode, headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut headers = headers.clone();
    inner::strip(&mut headers);
    strip_hop_by_hop(&mut headers, Direction::Response);
    headers.remove(CONTENT_LENGTH);
    let mut message = Vec::with_capacity(256);
    let reason = status.canonical_reason().unwrap_or("Interim");
    write!(message, "HTTP/1.1 {} {reason}\r\n", status.as_u16()).ok()?;
    for (name, value) in &headers {
        write!(message, "{name}: ").ok()?;
        message.extend_from_slice(value.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    Some(message)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const HINTS: StatusCode = StatusCode::EARLY_HINTS;

    fn link() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("link", HeaderValue::from_static("</a.css>; rel=preload"));
        headers.insert("weir-as-of", HeaderValue::from_static("7"));
        headers
    }

    #[test]
    fn only_an_open_queue_takes_interim_responses() {
        let interims = Interims::default();
        interims.send(0, HINTS, &link());
        assert_eq!(interims.take(), None, "not open yet");
        let first = interims.open();
        interims.send(first, HINTS, &link());
        let sent = String::from_utf8(interims.take().unwrap()).unwrap();
        assert_eq!(sent, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
        interims.close();
        interims.send(first, HINTS, &link());
        assert_eq!(interims.take(), None, "the final response is on its way");
        interims.open();
        interims.send(first, HINTS, &link());
        assert_eq!(interims.take(), None, "meant for the request before");
    }

    #[test]
    fn statuses_of_one_connection_stay_on_it() {
        let interims = Interims::default();
        let request = interims.open();
        interims.send(request, StatusCode::CONTINUE, &link());
        interims.send(request, StatusCode::SWITCHING_PROTOCOLS, &link());
        assert_eq!(interims.take(), None);
    }

    #[test]
    fn a_flood_is_cut_off() {
        let interims = Interims::default();
        let request = interims.open();
        for _ in 0..1_000 {
            interims.send(request, HINTS, &link());
        }
        let sent = String::from_utf8(interims.take().unwrap()).unwrap();
        assert_eq!(sent.matches("HTTP/1.1 103").count(), COUNT_MAX);
    }
}
