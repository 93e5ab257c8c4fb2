//! Moves bytes both ways between two connections until both have ended, or nothing moves any more.
//!
//! The end of one direction is passed on and leaves the other open, as TCP has it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep_until};

/// Bytes held for each direction.
const BUFFER_BYTES: usize = 8 * 1024;

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides ended.
    Closed,
    /// No byte moved for as long as one may take.
    Idle,
    /// The node stopped.
    Cut,
    /// A connection broke.
    Failed,
}

impl End {
    /// The word it is counted under.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "idle",
            Self::Cut => "cut",
            Self::Failed => "failed",
        }
    }
}

/// Bytes that went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// From the client.
    pub(super) up: u64,
    /// To the client.
    pub(super) down: u64,
}

/// Joins the client's and the upstream's connection until both end, until no byte has moved for `idle`, or
/// until `cut`.
pub(super) async fn join<C, U>(
    (client, upstream): (&mut C, &mut U),
    idle: Duration,
    cut: impl Future<Output = ()>,
) -> (End, Moved)
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (up, down) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut client = Counting { io: client, read: &up };
    let mut upstream = Counting { io: upstream, read: &down };
    let moved = || Moved { up: up.load(Relaxed), down: down.load(Relaxed) };
    let copying =
        copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER_BYTES, BUFFER_BYTES);
    let end = tokio::select! {
        copied = copying => if copied.is_ok() { End::Closed } else { End::Failed },
        () = silence(idle, moved) => End::Idle,
        () = cut => End::Cut,
    };
    (end, moved())
}

/// Resolves when `moved` has stayed the same for `idle`.
async fn silence(idle: Duration, moved: impl Fn() -> Moved) {
    // Looked at a few times in each stretch, so that a byte costs no timer.
    let step = (idle / 8).max(Duration::from_millis(1));
    let (mut last, mut since) = (moved(), Instant::now());
    loop {
        sleep_until(Instant::now() + step).await;
        let now = moved();
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() >= idle {
            return;
        }
    }
}

/// A connection whose bytes are counted as they are read.
struct Counting<'a, T> {
    io: &'a mut T,
    read: &'a AtomicU64,
}

impl<T: AsyncRead + Unpin> AsyncRead for Counting<'_, T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut *self.io).poll_read(cx, buf);
        let arrived = buf.filled().len().saturating_sub(before);
        self.read.fetch_add(arrived as u64, Relaxed);
        poll
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counting<'_, T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_is_idle_only_while_nothing_moves_either_way() {
        let ((mut client, mut near), (mut far, mut upstream)) = (duplex(64), duplex(64));
        let idle = Duration::from_secs(60);
        let joined =
            tokio::spawn(
                async move { join((&mut near, &mut far), idle, std::future::pending()).await },
            );
        let mut byte = [0];
        for round in 0..6 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            let (from, to) = match round % 2 {
                0 => (&mut client, &mut upstream),
                _ => (&mut upstream, &mut client),
            };
            from.write_all(b"x").await.unwrap();
            to.read_exact(&mut byte).await.unwrap();
        }
        let began = Instant::now();
        assert_eq!(joined.await.unwrap(), (End::Idle, Moved { up: 3, down: 3 }));
        let waited = began.elapsed();
        assert!(waited >= idle && waited <= idle + idle / 4, "{waited:?}");
        assert_eq!(client.read(&mut byte).await.unwrap(), 0, "both sides are closed");
        assert_eq!(upstream.read(&mut byte).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_end_of_one_direction_leaves_the_other_open() {
        let ((mut client, mut near), (mut far, mut upstream)) = (duplex(64), duplex(64));
        let joined = tokio::spawn(async move {
            let idle = Duration::from_secs(60);
            join((&mut near, &mut far), idle, std::future::pending()).await
        });
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut asked = String::new();
        upstream.read_to_string(&mut asked).await.unwrap();
        upstream.write_all(b"answer").await.unwrap();
        upstream.shutdown().await.unwrap();
        let mut answered = String::new();
        client.read_to_string(&mut answered).await.unwrap();
        assert_eq!((asked.as_str(), answered.as_str()), ("question", "answer"));
        assert_eq!(joined.await.unwrap(), (End::Closed, Moved { up: 8, down: 6 }));
    }
}
