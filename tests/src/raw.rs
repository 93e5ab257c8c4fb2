//! A connection on which every byte is chosen by the scenario.
//!
//! Reads just enough of HTTP/1.1 to find where a response ends: a status, fields, a length or
//! chunks. It forgives nothing and repairs nothing.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::soon;

/// An open connection.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    /// Bytes that came and belong to no response read so far.
    pub unread: Vec<u8>,
}

/// A response as its bytes say it.
#[derive(Debug, Clone)]
pub struct RawReply {
    /// The three digits of the status line.
    pub status: u16,
    /// Status line and fields, without the empty line.
    pub head: String,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// Lines behind the last chunk.
    pub trailers: Vec<String>,
}

impl RawReply {
    /// The value of the first field called `name`; empty if there is none.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.trim())
    }
}

impl Raw {
    /// Connects to `to`.
    pub async fn connect(to: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(to)).await.unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// Connects to `to` from 127.0.0.`host`, which is another client than 127.0.0.1.
    pub async fn connect_from(host: u8, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
        let stream = soon("a connection", socket.connect(to)).await.unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// Connects with a receive buffer of a few KiB, so that a peer that sends more soon has to wait.
    pub async fn connect_narrow(to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = soon("a connection", socket.connect(to)).await.unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// Sends `bytes`.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        soon("bytes to be taken", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends `bytes` as far as the peer takes them.
    pub async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        soon("bytes to be taken or refused", self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Says that nothing more will be sent; what comes can still be read.
    pub async fn end(&mut self) {
        // The peer may have ended the connection already.
        drop(self.stream.shutdown().await);
    }

    /// Asks for `path` of `www.test` with GET.
    pub async fn get(&mut self, path: &str) -> RawReply {
        self.write(format!("GET {path} HTTP/1.1\r\nHost: www.test\r\n\r\n")).await;
        self.response().await
    }

    /// Reads one response whose end its head tells.
    pub async fn response(&mut self) -> RawReply {
        let head = self.head().await;
        let status = head.get(9..12).and_then(|digits| digits.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {head:?}"));
        let mut reply = RawReply { status, head, body: Vec::new(), trailers: Vec::new() };
        if matches!(status, 100..=199 | 204 | 304) {
            return reply;
        }
        (reply.body, reply.trailers) = match reply.field("content-length").parse() {
            Ok(length) => (self.exactly(length).await, Vec::new()),
            Err(_) if reply.field("transfer-encoding") == "chunked" => self.chunks().await,
            Err(_) => panic!("a response without length: {}", reply.head),
        };
        reply
    }

    /// Reads a head, up to and without its empty line.
    pub async fn head(&mut self) -> String {
        let head = self.until(b"\r\n\r\n").await;
        String::from_utf8(head).unwrap()
    }

    /// The three digits of the next status line; `None` if the connection ends before a head is
    /// whole. The rest of the response stays unread.
    pub async fn status(&mut self) -> Option<u16> {
        let whole = |unread: &[u8]| unread.windows(4).any(|found| found == b"\r\n\r\n");
        while !whole(&self.unread) {
            if !soon("a response or the end", self.more()).await {
                return None;
            }
        }
        let digits = self.unread.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        Some(digits.and_then(|digits| digits.parse().ok()).unwrap())
    }

    /// Reads everything until the peer ends the connection, in whichever way.
    pub async fn rest(&mut self) -> Vec<u8> {
        while soon("bytes or the end", self.more()).await {}
        std::mem::take(&mut self.unread)
    }

    /// Reads exactly `length` bytes.
    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        soon("bytes of a body", async {
            while self.unread.len() < length {
                assert!(self.more().await, "{} of {length} bytes came", self.unread.len());
            }
        })
        .await;
        self.unread.drain(..length).collect()
    }

    /// Reads exactly `length` bytes; `None` if the connection ends before.
    pub async fn try_exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            if !soon("bytes or the end", self.more()).await {
                return None;
            }
        }
        Some(self.unread.drain(..length).collect())
    }

    async fn chunks(&mut self) -> (Vec<u8>, Vec<String>) {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8(self.until(b"\r\n").await).unwrap();
            let size = usize::from_str_radix(&line, 16).unwrap();
            if size == 0 {
                return (body, self.trailers().await);
            }
            body.extend(self.exactly(size).await);
            assert_eq!(self.exactly(2).await, b"\r\n");
        }
    }

    async fn trailers(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = String::from_utf8(self.until(b"\r\n").await).unwrap();
            if line.is_empty() {
                return lines;
            }
            lines.push(line);
        }
    }

    async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        soon("the end of a line", async {
            loop {
                if let Some(at) = self.unread.windows(end.len()).position(|found| found == end) {
                    let found = self.unread.drain(..at).collect();
                    self.unread.drain(..end.len());
                    return found;
                }
                assert!(self.more().await, "cut in {:?}", String::from_utf8_lossy(&self.unread));
            }
        })
        .await
    }

    /// Reads what comes next; `false` at the end of the connection.
    async fn more(&mut self) -> bool {
        self.unread.reserve(64 * 1024);
        self.stream.read_buf(&mut self.unread).await.unwrap_or(0) > 0
    }
}
