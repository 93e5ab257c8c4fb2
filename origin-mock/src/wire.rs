//! How do bytes get on and off one connection?
//!
//! Buffered reads and writes with deadlines, and the three ways to end: close, reset, drop. Knows
//! lines but no HTTP.
//!
//! # Invariants
//!
//! 1. Bytes read beyond one request stay in `incoming` for the next one (pipelining).
//! 2. No read or write waits longer than [`IDLE_MAX`] for the other side to move.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::request::{ReadError, Refused};

/// Longest wait for the client to send or take in a byte.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(75);
/// Size of one piece of a body, and of the write buffer.
pub(crate) const PIECE_MAX: usize = 64 << 10;
/// How long, and for how many reads, a closed connection still takes in what the client sends.
/// Closing with unread bytes makes the kernel send RST, which can destroy an answer under way.
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_READS_MAX: usize = 64;

/// One connection with its buffers.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Without it the last short segment waits for an acknowledgment, and a reset that follows
        // would discard it. Fails only on a connection that is gone, which the first read reports.
        stream.set_nodelay(true).ok();
        Self { stream, incoming: BytesMut::new(), outgoing: BytesMut::new() }
    }

    /// Bytes that have arrived and are not consumed.
    pub(crate) fn incoming(&mut self) -> &mut BytesMut {
        &mut self.incoming
    }

    /// Reads once; 0 means that the client has closed its side.
    pub(crate) async fn read_more(&mut self) -> io::Result<usize> {
        self.incoming.reserve(PIECE_MAX / 8);
        in_time(self.stream.read_buf(&mut self.incoming)).await
    }

    /// Reads one line and returns it without its CRLF. A bare LF is refused.
    pub(crate) async fn read_line(&mut self, bytes_max: usize) -> Result<Bytes, ReadError> {
        let end = loop {
            if let Some(end) = self.incoming.iter().position(|&byte| byte == b'\n') {
                break end;
            }
            if self.incoming.len() > bytes_max {
                return Err(Refused::bad("a line of the chunked body is too long").into());
            }
            self.read_expected().await?;
        };
        let line = self.incoming.split_to(end + 1).freeze();
        match line.strip_suffix(b"\r\n") {
            Some(text) => Ok(line.slice_ref(text)),
            None => Err(Refused::bad("a line must end with CRLF").into()),
        }
    }

    /// Takes up to `bytes_max` bytes of what has arrived, reading if nothing has.
    pub(crate) async fn read_piece(&mut self, bytes_max: u64) -> io::Result<Bytes> {
        if self.incoming.is_empty() {
            self.read_expected().await?;
        }
        let len = usize::try_from(bytes_max)
            .map_or(self.incoming.len(), |max| max.min(self.incoming.len()));
        Ok(self.incoming.split_to(len).freeze())
    }

    async fn read_expected(&mut self) -> io::Result<()> {
        match self.read_more().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Queues bytes; writes when a whole piece has come together.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.outgoing.extend_from_slice(bytes);
        if self.outgoing.len() >= PIECE_MAX { self.flush().await } else { Ok(()) }
    }

    /// Writes what is queued.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            in_time(self.stream.write_buf(&mut self.outgoing)).await?;
        }
        Ok(())
    }

    /// Ends with FIN, after everything queued.
    pub(crate) async fn close(mut self) {
        if self.flush().await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        let drained = timeout(LINGER_MAX, self.drain()).await;
        drop(drained);
    }

    async fn drain(&mut self) {
        for _ in 0..LINGER_READS_MAX {
            self.incoming.clear();
            if !matches!(self.read_more().await, Ok(1..)) {
                return;
            }
        }
    }

    /// Ends with RST. Bytes that have been written and not yet delivered are lost.
    pub(crate) fn reset(self) {
        // Fails only on a connection that is gone, where there is nothing left to reset.
        self.stream.set_zero_linger().ok();
    }
}

async fn in_time<T>(moving: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(IDLE_MAX, moving).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
