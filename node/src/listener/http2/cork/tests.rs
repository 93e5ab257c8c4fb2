//! What is held leaves as one, in order, and within its bound.

use std::task::Waker;

use super::*;

/// Takes so many bytes and notes them, write by write; fails where it is broken. Has nothing to read.
#[derive(Default)]
struct Peer {
    room: usize,
    is_broken: bool,
    writes: Vec<Vec<u8>>,
    reads: usize,
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reads += 1;
        Poll::Pending
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let taken = buf.len().min(self.room);
        if taken == 0 {
            return Poll::Pending;
        }
        self.room -= taken;
        self.writes.push(buf[..taken].to_vec());
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn cork(room: usize) -> Cork<Peer> {
    Cork::new(Peer { room, ..Peer::default() })
}

/// Polls a connection once that does `doing`.
fn poll<T>(
    cork: &Cork<Peer>,
    mut doing: impl FnMut(&mut Cork<Peer>, &mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let mut own = cork.clone();
    let mut connection = std::pin::pin!(std::future::poll_fn(|cx| doing(&mut own, cx)));
    let mut corked = Corked { connection: connection.as_mut(), cork: cork.clone() };
    Pin::new(&mut corked).poll(&mut Context::from_waker(Waker::noop()))
}

/// Writes and flushes each of `all` until one is not taken; returns how many are.
fn write(cork: &mut Cork<Peer>, cx: &mut Context<'_>, all: &[&[u8]]) -> usize {
    let taken = all.iter().take_while(|bytes| {
        let written = Pin::new(&mut *cork).poll_write(cx, bytes);
        assert!(Pin::new(&mut *cork).poll_flush(cx).is_ready());
        matches!(written, Poll::Ready(Ok(written)) if written == bytes.len())
    });
    taken.count()
}

#[test]
fn what_is_written_in_one_go_leaves_as_one_and_in_order() {
    let large = vec![7; LARGE];
    let cork = cork(1 << 20);
    let polled = poll(&cork, |cork, cx| {
        assert_eq!(write(cork, cx, &[b"a", b"bc", &large, b"d", b"e"]), 5);
        assert_eq!(cork.0.lock().stream.writes.len(), 2, "the rest waits");
        Poll::<()>::Pending
    });
    assert!(polled.is_pending());
    let held = cork.0.lock();
    assert_eq!(held.stream.writes, [&b"abc"[..], &large, b"de"]);
    assert_eq!(held.bytes.capacity(), 0, "idle");
}

#[test]
fn a_peer_that_takes_nothing_makes_the_connection_wait_and_gets_all_in_the_end() {
    let piece = [7; 5 << 10];
    let cork = cork(3);
    let mut taken = 0;
    let polled = poll(&cork, |cork, cx| {
        taken = write(cork, cx, &[&piece[..]; 9]);
        Poll::<()>::Pending
    });
    assert!(polled.is_pending());
    assert_eq!(taken, HELD_MAX / piece.len());
    cork.0.lock().stream.room = 1 << 20;
    assert!(poll(&cork, |_, _| Poll::<()>::Pending).is_pending());
    let held = cork.0.lock();
    assert_eq!(held.stream.writes.concat(), piece.repeat(taken));
    assert!(held.bytes.is_empty());
}

#[test]
fn the_connection_hears_that_what_was_held_could_not_be_sent() {
    let cork = cork(1 << 20);
    cork.0.lock().stream.is_broken = true;
    let mut written = false;
    let mut poll_once = || {
        poll(&cork, |cork, cx| {
            if !std::mem::replace(&mut written, true) {
                write(cork, cx, &[b"a"]);
                return Poll::Pending;
            }
            Pin::new(cork).poll_read(cx, &mut ReadBuf::new(&mut [0; 8]))
        })
    };
    assert!(poll_once().is_pending(), "it is held, and sent afterwards");
    let ended = poll_once();
    let Poll::Ready(Err(error)) = ended else { panic!("{ended:?}") };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_stream_with_nothing_to_read_is_asked_once_a_poll() {
    let cork = cork(0);
    for polls in 1..4 {
        let polled = poll(&cork, |cork, cx| {
            for _ in 0..5 {
                let mut cork = Pin::new(&mut *cork);
                assert!(cork.as_mut().poll_read(cx, &mut ReadBuf::new(&mut [0; 8])).is_pending());
            }
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(cork.0.lock().stream.reads, polls);
    }
}
