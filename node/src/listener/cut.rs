//! How is a connection ended whose peer is too slow, or asked what cannot be read? What is said last, what
//! is counted, and for how long bytes are taken that nobody reads.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::metrics::Reason;
use crate::node::Node;

/// Why the node ends a connection in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cut {
    /// A head took too long.
    #[error("the request head took too long")]
    Head,
    /// The peer took no byte for too long.
    #[error("the peer took no byte for too long")]
    Write,
    /// The peer took too few bytes for too long.
    #[error("the peer took bytes too slowly")]
    WriteRate,
}

impl Cut {
    /// The word it is counted under.
    const fn word(self) -> &'static str {
        match self {
            Self::Head => "head-timeout",
            Self::Write => "write-timeout",
            Self::WriteRate => "write-rate",
        }
    }
}

impl From<Cut> for io::Error {
    fn from(cut: Cut) -> Self {
        Self::new(io::ErrorKind::TimedOut, cut)
    }
}

/// What HTTP/1.1 says to a head that took too long, where nothing else was begun (RFC 9110 §15.5.9).
pub(super) const HEAD_TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    connection: close\r\n\
    cache-control: no-store\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 35\r\n\r\n\
    The head of the request came late.\n";

/// Takes note of a connection that ended other than in peace, and charges its client for what it asked
/// that could not be read.
pub(super) fn note_ended(node: &Node, address: SocketAddr, error: &hyper::Error) {
    tracing::debug!(%address, error = %crate::telemetry::chain(error), "connection ended");
    if let Some(cut) = cut_of(error) {
        note_cut(node, cut.word());
        return;
    }
    let reason = if error.is_parse_too_large() {
        "head-too-large"
    } else if error.is_parse() {
        "unreadable-head"
    } else {
        return;
    };
    node.metrics.refused.get_or_create(&Reason { reason }).inc();
    node.limits.charge_refused(address.ip(), node.clock.now().monotonic);
}

/// Counts a connection that the node ended.
pub(super) fn note_cut(node: &Node, reason: &'static str) {
    node.metrics.connections_cut.get_or_create(&Reason { reason }).inc();
}

fn cut_of(error: &hyper::Error) -> Option<Cut> {
    let io = error.source()?.downcast_ref::<io::Error>()?;
    io.get_ref()?.downcast_ref::<Cut>().copied()
}

/// How long bytes are taken after the last answer.
const LINGER: Duration = Duration::from_secs(2);

/// Takes what a peer still sends after it was answered, so that the answer reaches it: a socket that is closed
/// over bytes unread resets the connection (RFC 9112 §9.6).
#[derive(Debug, Default)]
pub(super) struct Linger {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Linger {
    /// Ready at the end of what the peer sends, or of the time there is.
    pub(super) fn poll<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        // A peer that never pauses may not keep this task to itself: the timer is looked at each time.
        while timer.as_mut().poll(cx).is_pending() {
            let mut bytes = [0; 8 * 1024];
            let mut buf = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_end) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_as_long_as_they_say() {
        let text = std::str::from_utf8(HEAD_TOO_LATE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(head.lines().all(|line| !line.starts_with(' ')), "{head}");
    }
}
