//! Does a client take the answer to a request of an HTTP/2 connection?
//!
//! There a stuck reader does not block the connection: it gives no window to one stream (RFC 9113 §5.2), and the
//! deadlines of the connection see nothing. So each request has a task with a watch of its own, which ends it, and
//! with it the stream, where nothing of a body that is at hand has been taken for too long. Only what can be answered
//! at once, and is taken at once, has none.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::body::{BodyError, ResponseBody};
use crate::metrics::Reason;
use crate::node::Node;

tokio::task_local! {
    /// The pace of the request that a task answers.
    static PACE: Arc<Pace>;
}

/// How a client takes one answer.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since when bytes wait for the client; `None` while it waits for us.
    waiting: Mutex<Option<Instant>>,
    /// Whether the request has a task of its own.
    has_task: AtomicBool,
}

impl Pace {
    /// The pace of the present task; `None` outside of one.
    pub(super) fn present() -> Option<Arc<Self>> {
        PACE.try_with(Arc::clone).ok()
    }

    fn client_waits(&self) {
        *self.waiting.lock() = None;
    }

    fn bytes_wait(&self) {
        *self.waiting.lock() = Some(Instant::now());
    }

    /// Returns once bytes have waited for `patience`.
    async fn stalled(&self, patience: Duration) {
        let mut look = Instant::now() + patience;
        loop {
            tokio::time::sleep_until(look).await;
            let waiting = *self.waiting.lock();
            let since = waiting.unwrap_or_else(Instant::now);
            look = since + patience;
            if look <= Instant::now() {
                return;
            }
        }
    }
}

/// Runs the requests of a connection, each as a task.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) node: Arc<Node>,
}

/// Returns when the request has a task of its own. What is more than a look goes behind this, so that the requests of a
/// connection do not wait for each other.
pub(super) async fn in_own_task() {
    let waits = || PACE.try_with(|pace| !pace.has_task.load(Relaxed)).unwrap_or(false);
    // Nobody needs to be woken: the task is polled when it begins.
    std::future::poll_fn(|_| if waits() { Poll::Pending } else { Poll::Ready(()) }).await;
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let pace = Arc::new(Pace::default());
        let mut stream = Box::pin(AssertUnwindSafe(stream).catch_unwind());
        // A plain hit ends here. Whoever is to be woken for the others is told when their task begins.
        let first = &mut Context::from_waker(Waker::noop());
        let begun = PACE.sync_scope(Arc::clone(&pace), || stream.as_mut().poll(first));
        if let Poll::Ready(ended) = begun {
            return note_panic(&self.node, &ended);
        }
        pace.has_task.store(true, Relaxed);
        let node = Arc::clone(&self.node);
        let task = PACE.scope(Arc::clone(&pace), async move {
            tokio::select! {
                biased;
                ended = stream => note_panic(&node, &ended),
                () = pace.stalled(node.config.limits.write_timeout) => {
                    node.metrics.refused.get_or_create(&Reason { reason: "stuck-reader" }).inc();
                }
            }
        });
        drop(tokio::spawn(task));
    }
}

/// A bug in one request ends its stream, is counted, and leaves the others alone.
fn note_panic(node: &Node, ended: &std::thread::Result<()>) {
    if ended.is_err() {
        node.metrics.panics.inc();
        tracing::error!("a request ended in a panic; please report this");
    }
}

/// Bytes of a body that are handed over at once. h2 keeps what it was given until the client has taken it, and tells
/// nobody; the next piece is asked for when the one before has gone.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// A body that notes when it waits for whom.
pub(super) struct Paced {
    body: ResponseBody,
    /// What is left of a piece that was too large.
    rest: Bytes,
    pace: Option<Arc<Pace>>,
}

impl Paced {
    /// `body`, whose head goes out as this is called.
    pub(super) fn new(body: ResponseBody, pace: Option<Arc<Pace>>) -> Self {
        if let Some(pace) = &pace {
            pace.bytes_wait();
        }
        Self { body, rest: Bytes::new(), pace }
    }
}

impl Paced {
    /// Keeps of a frame what is too much for once.
    fn cut(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(mut bytes) if bytes.len() > PIECE_BYTES_MAX => {
                self.rest = bytes.split_off(PIECE_BYTES_MAX);
                Frame::data(bytes)
            }
            Ok(bytes) => Frame::data(bytes),
            Err(other) => other,
        }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(pace) = &self.pace {
            pace.client_waits();
        }
        let frame = if self.rest.is_empty() {
            ready!(Pin::new(&mut self.body).poll_frame(cx))
        } else {
            Some(Ok(Frame::data(std::mem::take(&mut self.rest))))
        };
        let frame = frame.map(|frame| frame.map(|frame| self.cut(frame)));
        if let Some(pace) = &self.pace {
            pace.bytes_wait();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::body::Content;

    #[tokio::test]
    async fn no_piece_is_larger_than_what_h2_may_keep() {
        let whole = Bytes::from(vec![7; 3 * PIECE_BYTES_MAX + 1]);
        let body = ResponseBody::new(Content::Whole(whole.clone()), None);
        let mut body = Paced::new(body, None);
        let (mut came, mut pieces) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE_BYTES_MAX);
            came.extend_from_slice(&piece);
            pieces += 1;
            assert_eq!(body.is_end_stream(), came.len() == whole.len());
        }
        assert_eq!((pieces, came), (4, whole.to_vec()));
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_does_not_take_what_waits_is_stalled() {
        let patience = Duration::from_secs(60);
        let pace = Arc::new(Pace::default());
        let watching = tokio::spawn({
            let pace = Arc::clone(&pace);
            async move { pace.stalled(patience).await }
        });
        let minutes = |n: u64| tokio::time::sleep(Duration::from_secs(60 * n));
        minutes(30).await;
        assert!(!watching.is_finished(), "the client waits for us");
        for _ in 0..10 {
            pace.bytes_wait();
            tokio::time::sleep(Duration::from_secs(50)).await;
            pace.client_waits();
        }
        assert!(!watching.is_finished(), "slow is not stuck");
        pace.bytes_wait();
        let since = Instant::now();
        watching.await.unwrap();
        assert!(
            since.elapsed() >= patience && since.elapsed() < 2 * patience + Duration::from_secs(1)
        );
    }
}
